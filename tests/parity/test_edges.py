"""Gradients where a derivative is missing, infinite or shared: they are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lazygrad import Tensor

NAN, INF = float("nan"), float("inf")


def f32(values: Any) -> np.ndarray:
    return np.array(values, np.float32)


STEPS = f32([0.0, -0.0, 1.0, -1.0, 0.5, 2.0])
TIES = f32([[1, 3, 3, 2], [2, 2, 2, 2], [-1, -1, -2, -2]])
PARTLY_ZERO = f32([[0, 0, 0], [1, -1, 2]])

ONE: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "abs": (lambda x: x.abs(), STEPS),
    "sqrt": (lambda x: x.sqrt(), f32([0.0, 1.0, 4.0])),
    "log": (lambda x: x.log(), f32([0.0, 1.0, 4.0])),
    "relu": (lambda x: x.relu(), STEPS),
    "sign": (lambda x: x.sign(), STEPS),
    "asin": (lambda x: x.asin(), f32([-1.0, -0.5, 0.0, 0.3, 1.0])),
    "acos": (lambda x: x.acos(), f32([-1.0, -0.5, 0.0, 0.3, 1.0])),
    "acosh": (lambda x: x.acosh(), f32([1.0, 1.5, 100.0])),
    "reciprocal square": (lambda x: x**-2, f32([0.0, 1.0, -2.0, INF])),
    "root of a square": (lambda x: x**0.5, f32([0.0, 1.0])),
    "constant power": (lambda x: x**0, STEPS),
    "logit": (lambda x: x.logit(), f32([0.0, 0.25, 0.5, 1.0])),
    "fmod": (lambda x: x.fmod(3), f32([0.0, 5.0, -5.0, 3.0, NAN])),
    "clamp": (lambda x: x.clamp(-1, 1), STEPS),
    "norm of zeros": (lambda x: x.norm(), f32([0, 0, 0])),
    "norm along an axis": (lambda x: x.norm(2, 1), PARTLY_ZERO),
    "largest norm": (lambda x: x.norm(INF, 1), PARTLY_ZERO),
    "deviation of equals": (lambda x: x.std(), f32([2, 2, 2])),
    "amax": (lambda x: x.amax(1), TIES),
    "amin": (lambda x: x.amin((0, 1)), TIES),
    "maximum of all": (lambda x: x.max(), TIES),
    "minimum of all": (lambda x: x.min(), TIES),
    "prod of zeros": (lambda x: x.prod(), f32([1, 0, 2, 0])),
    "cumprod of zeros": (lambda x: x.cumprod(0), f32([1, 0, 2, 0, 3])),
    "softmax": (lambda x: x.softmax(-1), f32([[1, -INF, 2], [INF, 1, 2], [1e4, -1e4, 0]])),
    "log_softmax": (lambda x: x.log_softmax(-1), f32([[INF, 1, 2], [1e4, -1e4, 0]])),
    "logsumexp": (lambda x: x.logsumexp(-1), f32([[1, -INF, 2], [1e4, -1e4, 0]])),
    "softmax of nothing": (lambda x: x.softmax(1), np.zeros((3, 0), np.float32)),
    "logsumexp of nothing": (lambda x: x.logsumexp(1), np.zeros((3, 0), np.float32)),
}


@pytest.mark.parametrize("name", ONE)
def test_gradients_agree_at_edges(agree: Any, name: str) -> None:
    function, values = ONE[name]
    agree(function, None, values)


def test_a_power_that_does_not_depend_on_its_base_has_a_gradient() -> None:
    x = Tensor([NAN, 0.0, 2.0], requires_grad=True)
    (x**0).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["relu6", "hardtanh", "hardsigmoid"])
def test_bounded_rectifiers_agree_at_their_bounds_and_at_nan(agree: Any, name: str) -> None:
    values = f32([NAN, -INF, -3, -1, -0.5, 0, 0.5, 1, 3, 6, 7, INF])
    agree(lambda x: getattr(x, name)(), getattr(F, name), values)


def test_threshold_keeps_nan(agree: Any) -> None:
    agree(lambda x: x.threshold(2, 7), lambda x: F.threshold(x, 2, 7), f32([NAN, 1, 2, 3]))


def test_remainders_of_zero_agree(agree: Any) -> None:
    agree(lambda x, y: x.fmod(y), None, f32([0, 0, 5, -5, 5, -5]), f32([3, -3, 3, 3, -3, -3]))


@pytest.mark.parametrize("q", [0.0, 0.25, 1 / 3, 0.5, 0.75, 1.0])
def test_quantiles_beside_infinity_agree(agree: Any, q: float) -> None:
    for values in ([1, 2, INF], [-INF, 1, 2], [1, INF, INF], [-INF, 3, 1, INF]):
        agree(lambda x: x.quantile(q), None, f32(values))


@pytest.mark.parametrize("weight", [0.3, 0.5, 0.7, 1.0])
def test_ways_from_and_to_infinity_agree(agree: Any, weight: float) -> None:
    agree(lambda x, y: x.lerp(y, weight), None, f32([-INF, 1, 1, INF]), f32([1, 3, INF, -INF]))


@pytest.mark.parametrize("which", ["max", "min"])
def test_one_axis_gives_its_gradient_to_the_first_of_equals(agree: Any, which: str) -> None:
    for values in (TIES, f32([[1, NAN, 2, 0]])):
        for axis in (0, 1, -1):
            agree(lambda x, i=axis: list(getattr(x, which)(i)), None, values)
            agree(
                lambda x, i=axis: getattr(x, which)(axis=i),
                lambda x, i=axis: getattr(x, which)(i)[0],
                values,
            )


@pytest.mark.parametrize("options", [(2,), (3, 2, 1), (2, 1), (2, 2, 0, 2)])
def test_pooling_gives_its_gradient_to_the_first_of_equals(agree: Any, options: Any) -> None:
    rng = np.random.default_rng(0)
    for values in (np.zeros((2, 1, 6, 6)), rng.integers(0, 3, (2, 3, 7, 6)).astype(float)):
        agree(lambda x: x.max_pool2d(*options), lambda x: F.max_pool2d(x, *options), f32(values))
    agree(lambda x: x.max_pool1d(2), lambda x: F.max_pool1d(x, 2), np.zeros((2, 1, 6), np.float32))


@pytest.mark.parametrize("size", [1, 2, (3, 2), (2, 5)])
def test_adaptive_pooling_gives_its_gradient_to_the_first_of_equals(agree: Any, size: Any) -> None:
    values = np.random.default_rng(0).integers(0, 3, (2, 3, 7, 6))
    for x in (f32([[[0, 1], [1, 0]]]), f32(values)):
        agree(lambda x: x.adaptive_max_pool2d(size), lambda x: F.adaptive_max_pool2d(x, size), x)


def test_normalize_of_zeros_agrees(agree: Any) -> None:
    agree(lambda x: x.normalize(), lambda x: F.normalize(x), PARTLY_ZERO)


def test_powers_of_zero_agree(agree: Any) -> None:
    base, exponent = f32([0, 0, 0, 0, 2]), f32([0, 1, 0.5, -1, 0])
    agree(lambda x, y: x**y, None, base, exponent)
    agree(lambda x: 0**x, None, f32([0, 1, 2]))


@pytest.mark.parametrize("which", ["maximum", "minimum"])
def test_pairs_share_their_gradient_where_equal(agree: Any, which: str) -> None:
    agree(lambda x, y: getattr(x, which)(y), getattr(torch, which), STEPS, STEPS[::-1].copy())
    agree(lambda x, y: getattr(x, which)(y), getattr(torch, which), STEPS, STEPS)


def test_what_is_not_chosen_gives_no_nan() -> None:
    for function in (Tensor.sqrt, Tensor.log, Tensor.asin, lambda x: 1 / x):
        x = Tensor([-4.0, 0.0, 0.25], requires_grad=True)
        inside = x > 0
        inside.where(function(inside.where(x, 0.5)), 0.0).sum().backward()
        assert np.isfinite(x.grad.numpy()).all()


def test_cross_entropy_of_certain_probabilities_has_finite_gradients(agree: Any) -> None:
    x, t = f32([0, 1, 0.5, 0.2, 1, 0]), f32([1, 0, 0.5, 0.1, 0.5, 0.5])
    agree(
        lambda a: a.binary_cross_entropy(Tensor(t), reduction="none"),
        lambda a: F.binary_cross_entropy(a, torch.tensor(t), reduction="none"),
        x,
    )


def test_attention_to_nothing_is_nothing(agree: Any) -> None:
    rng = np.random.default_rng(0)
    q, k, v = (f32(rng.standard_normal((2, 3, 5, 4))) for _ in range(3))
    allowed = rng.random((5, 5)) > 0.4
    allowed[1] = False
    for mask in (allowed, np.where(allowed, 0, -np.inf).astype(np.float32)):
        agree(
            lambda q, k, v, m=mask: q.scaled_dot_product_attention(k, v, attn_mask=Tensor(m)),
            lambda q, k, v, m=mask: F.scaled_dot_product_attention(
                q, k, v, attn_mask=torch.tensor(m)
            ),
            q, k, v,
        )  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [(5, 0), (0, 5), (1, 1), (9, 7)])
def test_attention_of_few_and_of_no_keys(
    agree: Any, dtype: Any, causal: bool, lengths: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    queries, keys = lengths
    q, k, v = (
        rng.standard_normal((2, 3, *shape)).astype(dtype)
        for shape in ((queries, 4), (keys, 4), (keys, 5))
    )
    tolerance = {np.float16: 1e-2, np.float32: 1e-5, np.float64: 1e-10}[dtype]
    agree(
        lambda q, k, v: q.scaled_dot_product_attention(k, v, is_causal=causal),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
        q, k, v, rtol=tolerance, atol=tolerance,
    )  # fmt: skip


def test_attention_with_shared_heads_agrees(agree: Any) -> None:
    rng = np.random.default_rng(0)
    q = f32(rng.standard_normal((2, 6, 5, 4)))
    k, v = (f32(rng.standard_normal((2, 3, 7, 4))) for _ in range(2))
    agree(
        lambda q, k, v: q.scaled_dot_product_attention(k, v, enable_gqa=True),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        q, k, v,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"heads of \(2, 3, 7, 4\) do not divide"):
        Tensor(q[:, :4]).scaled_dot_product_attention(Tensor(k), Tensor(v), enable_gqa=True)


@pytest.mark.parametrize(
    "integer", ["int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64"]
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_floats_that_no_integer_holds_become_what_pytorch_makes_of_them(
    dtype: str, integer: str
) -> None:
    values = [NAN, INF, -INF, 1e10, -1e10, 1e20, -1e20, 300.0, -5.0, 70000.0, 3e9, 1.5, -0.5]
    values += [sign * 2.0**power for power in (7, 8, 15, 16, 31, 32, 63, 64) for sign in (1, -1)]
    floats = torch.tensor(values, dtype=torch.float64).to(getattr(torch, dtype))
    # One by one: PyTorch's vectors differ from its single numbers.
    wanted = [floats[n : n + 1].to(getattr(torch, integer)).item() for n in range(len(values))]
    computed = Tensor(np.array(values * 3)).cast(dtype).realize().cast(integer).numpy()
    modulus = 1 << 8 * computed.dtype.itemsize  # PyTorch gives 2**64 for a uint64 of 0
    assert [int(x) % modulus for x in computed] == [int(x) % modulus for x in wanted] * 3


@pytest.mark.parametrize("integer", ["int64", "int32"])
def test_a_nan_as_index_touches_no_memory_outside(integer: str) -> None:
    places = (Tensor([0.0, 1.0]) / Tensor([0.0, 1.0])).cast(integer)
    for dtype in ("uint8", "float32"):
        x = Tensor(np.arange(10, 18)).cast(dtype).realize()
        for made in (x.gather(0, places), x[places], x.scatter(0, places, x[:2])):
            with pytest.raises(IndexError, match=r"test_edges.py:\d+\): index -\d+ is outside"):
                made.numpy()


@pytest.mark.parametrize("exponent", [-0.5, 0.5, 1.5, -1.5, 2, 3, -1, -2, 0, 4, 1 / 3, -3.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_at_the_edges_agree(agree: Any, exponent: float, dtype: Any) -> None:
    edges = np.array([0, -0.0, INF, -INF, NAN, -1, 2, 1e-30, 1e30, -2, 1], dtype)
    agree(lambda x: x**exponent, None, edges)
    agree(lambda x: 1 / (x**exponent), None, edges)


def test_powers_of_tensors_at_the_edges_agree(agree: Any) -> None:
    base = f32([0, -0.0, INF, -INF, NAN, -1, 2, 1e-30, -2, 1])
    exponent = f32([-0.5, 0.5, 2, 0, -1, INF, -INF, NAN, 1.5, 3])
    agree(lambda x, y: x**y, None, *(a.copy() for a in np.meshgrid(base, exponent)))
    agree(lambda x: [x.rsqrt(), x.sqrt(), x.reciprocal()], None, base)
