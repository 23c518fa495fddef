"""16-bit floats are computed with in float32 and rounded once, and counts are never in them.

The truth is PyTorch's float64 result on the same 16-bit values: within one rounding of it, and
gradients within two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lazygrad import Tensor, nn

HALVES = ["float16", "bfloat16"]
ROUNDING = {"float16": 2.0**-11, "bfloat16": 2.0**-8}  # half a unit in the last place, relative

RNG = np.random.default_rng(5)
X = RNG.standard_normal((4, 6, 9)).astype(np.float32)
BIG = X * 30 + 200
PICTURE = RNG.standard_normal((2, 4, 7, 7)).astype(np.float32)
LOGITS = RNG.standard_normal((6, 9)).astype(np.float32) * 3
LABELS = RNG.integers(0, 9, 6)
CHANCES = RNG.uniform(0.05, 0.95, (6, 9)).astype(np.float32)
WEIGHT = RNG.integers(-9, 9, (5, 9)).astype(np.float32) / 4  # which every dtype holds
KERNEL = RNG.integers(-9, 9, (5, 6, 3)).astype(np.float32) / 4

Operation = Callable[..., Any]
CASES: dict[str, tuple[Operation, Operation, Any]] = {
    "mean": (lambda x: x.mean((0, 2)), lambda x: x.mean((0, 2)), BIG),
    "var": (lambda x: x.var(1), lambda x: x.var(1), BIG),
    "std": (lambda x: x.std(), lambda x: x.std(), BIG),
    "norm": (lambda x: x.norm(), lambda x: x.norm(), BIG),
    "norm 3": (lambda x: x.norm(3, 1), lambda x: x.norm(3, 1), X),
    "logsumexp": (lambda x: x.logsumexp(1), lambda x: x.logsumexp(1), BIG),
    "nanmean": (lambda x: x.nanmean(1), lambda x: x.nanmean(1), BIG),
    "sum of all": (lambda x: x.sum(), lambda x: x.sum(), X),
    "prod": (lambda x: x.prod(2), lambda x: x.prod(2), X),
    "cumsum": (lambda x: x.cumsum(2), lambda x: x.cumsum(2), X),
    "cumprod": (lambda x: x.cumprod(2), lambda x: x.cumprod(2), X),
    "logcumsumexp": (lambda x: x.logcumsumexp(2), lambda x: x.logcumsumexp(2), X),
    "softmax": (lambda x: x.softmax(1), lambda x: x.softmax(1), X),
    "log_softmax": (lambda x: x.log_softmax(-1), lambda x: x.log_softmax(-1), X),
    "normalize": (lambda x: x.normalize(axis=1), lambda x: F.normalize(x), X),
    "elu": (lambda x: x.elu(1.3), lambda x: F.elu(x, 1.3), X),
    "selu": (lambda x: x.selu(), lambda x: F.selu(x), X),
    "celu": (lambda x: x.celu(1.3), lambda x: F.celu(x, 1.3), X),
    "hardswish": (lambda x: x.hardswish(), lambda x: F.hardswish(x), X),
    "hardsigmoid": (lambda x: x.hardsigmoid(), lambda x: F.hardsigmoid(x), X),
    "softsign": (lambda x: x.softsign(), lambda x: F.softsign(x), X),
    "leaky_relu": (lambda x: x.leaky_relu(0.3), lambda x: F.leaky_relu(x, 0.3), X),
    "glu": (lambda x: x.glu(1), lambda x: F.glu(x, 1), X),
    "rsqrt": (lambda x: x.rsqrt(), lambda x: x.rsqrt(), BIG),
    "sigmoid": (lambda x: x.sigmoid(), lambda x: x.sigmoid(), X),
    "erf": (lambda x: x.erf(), lambda x: x.erf(), X),
    "tan": (lambda x: x.tan(), lambda x: x.tan(), CHANCES),
    "pow": (lambda x: x**2.7, lambda x: x**2.7, CHANCES),
    "pow 3": (lambda x: x**3, lambda x: x**3, X),
    "to a power": (lambda x: 1.7**x, lambda x: 1.7**x, X),
    "lerp": (lambda x: x.lerp(x * 0 + 1, 0.3), lambda x: x.lerp(x * 0 + 1, 0.3), X),
    "addcmul": (
        lambda x: x.addcmul(x, x, value=0.3), lambda x: x.addcmul(x, x, value=0.3), X,
    ),
    "layer_norm": (lambda x: x.layer_norm((9,)), lambda x: F.layer_norm(x, (9,)), BIG),
    "group norm": (
        lambda x: nn.GroupNorm(3, 6, affine=False)(x), lambda x: F.group_norm(x, 3), BIG,
    ),
    "instance norm": (
        lambda x: nn.InstanceNorm1d(6)(x), lambda x: F.instance_norm(x), BIG,
    ),
    "avg_pool2d": (lambda x: x.avg_pool2d(3, 2), lambda x: F.avg_pool2d(x, 3, 2), PICTURE),
    "adaptive pool": (
        lambda x: x.adaptive_avg_pool2d(3), lambda x: F.adaptive_avg_pool2d(x, 3), PICTURE,
    ),
    "bilinear": (
        lambda x: x.interpolate(11, mode="bilinear"),
        lambda x: F.interpolate(x, 11, mode="bilinear"), PICTURE,
    ),
    "bicubic": (
        lambda x: x.interpolate(11, mode="bicubic"),
        lambda x: F.interpolate(x, 11, mode="bicubic"), PICTURE,
    ),
    "attention": (
        lambda x: x.scaled_dot_product_attention(x, x),
        lambda x: F.scaled_dot_product_attention(x, x, x), X,
    ),
    "matmul": (lambda x: x @ x.detach().mT, lambda x: x @ x.detach().mT, X),
    "linear": (
        lambda x: x.linear(Tensor(WEIGHT).cast(x.dtype), Tensor(WEIGHT[:, 0]).cast(x.dtype)),
        lambda x: F.linear(x, *(torch.tensor(w).double() for w in (WEIGHT, WEIGHT[:, 0]))), X,
    ),
    "einsum": (
        lambda x: Tensor.einsum("bij,kj,bij->bk", x, Tensor(WEIGHT).cast(x.dtype), x.detach()),
        lambda x: torch.einsum("bij,kj,bij->bk", x, torch.tensor(WEIGHT).double(), x.detach()), X,
    ),
    "conv1d": (
        lambda x: x.conv1d(Tensor(KERNEL).cast(x.dtype), Tensor(WEIGHT[:, 0]).cast(x.dtype)),
        lambda x: F.conv1d(x, *(torch.tensor(w).double() for w in (KERNEL, WEIGHT[:, 0]))), X,
    ),
    "cross_entropy": (
        lambda x: x.cross_entropy(Tensor(LABELS)),
        lambda x: F.cross_entropy(x, torch.tensor(LABELS)), LOGITS,
    ),
    "nll_loss": (
        lambda x: x.nll_loss(Tensor(LABELS)),
        lambda x: F.nll_loss(x, torch.tensor(LABELS)), LOGITS,
    ),
    "mse_loss": (lambda x: x.mse_loss(x * 0 + 1), lambda x: F.mse_loss(x, x * 0 + 1), X),
    "l1_loss": (lambda x: x.l1_loss(x * 0 + 1), lambda x: F.l1_loss(x, x * 0 + 1), X),
    "huber_loss": (
        lambda x: x.huber_loss(x * 0 + 1, delta=0.7),
        lambda x: F.huber_loss(x, x * 0 + 1, delta=0.7), X,
    ),
    "binary_cross_entropy": (
        lambda x: x.binary_cross_entropy(x.detach() * 0 + 1),
        lambda x: F.binary_cross_entropy(x, x.detach() * 0 + 1), CHANCES,
    ),
    "with logits": (
        lambda x: x.binary_cross_entropy_with_logits(x.detach() * 0 + 1),
        lambda x: F.binary_cross_entropy_with_logits(x, x.detach() * 0 + 1), LOGITS,
    ),
    "kl_div": (
        lambda x: x.kl_div(x.detach() * 0 + 0.5, "sum"),
        lambda x: F.kl_div(x, x.detach() * 0 + 0.5, reduction="sum"), LOGITS,
    ),
    "quantile": (lambda x: x.quantile(0.3, 1), lambda x: x.quantile(0.3, 1), X),
}  # fmt: skip


def exact(dtype: str, array: np.ndarray) -> torch.Tensor:
    """The array's values rounded to `dtype`, as float64."""
    return torch.tensor(array).to(getattr(torch, dtype)).double()


def wide(x: Tensor) -> np.ndarray:
    return x.float().numpy().astype(np.float64)


def near(found: np.ndarray, true: torch.Tensor, dtype: str, roundings: float) -> None:
    """float32's own errors are let pass near 0, but for what the largest element says."""
    values = true.detach().numpy()
    room = roundings * ROUNDING[dtype] * 1.01
    np.testing.assert_allclose(found, values, room, 2e-6 * max(1.0, abs(values).max()))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", CASES)
def test_operations_round_once(name: str, dtype: str) -> None:
    ours, theirs, array = CASES[name]
    x = Tensor(array).cast(dtype).detach().requires_grad_()
    u = exact(dtype, array).requires_grad_()
    made, true = ours(x), theirs(u)
    assert str(made.dtype) == dtype
    near(wide(made), true, dtype, 1)
    # the cotangent is a number that both dtypes have, so that it is no source of error
    seed = np.round(np.random.default_rng(1).standard_normal(tuple(true.shape)) * 4) / 4
    made.backward(Tensor(np.asarray(seed, np.float32)).cast(dtype))
    true.backward(torch.tensor(seed))
    assert u.grad is not None
    near(wide(x.grad), u.grad, dtype, 2)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_batch_norm_of_16_bits_has_float32_statistics(dtype: str, scale: float) -> None:
    array = (np.random.default_rng(0).standard_normal((4, 3, 5, 5)) * scale).astype(np.float32)
    layer, other = nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3).double()
    u = exact(dtype, array)
    with Tensor.train():
        made = layer(Tensor(array).cast(dtype))
    near(wide(made), other(u), dtype, 1)
    np.testing.assert_allclose(layer.running_var.numpy(), other.running_var.numpy(), 1e-5)
    np.testing.assert_allclose(layer.running_mean.numpy(), other.running_mean.numpy(), 1e-4, 1e-5)
    assert str(layer.running_var.dtype) == "float32"
    near(wide(layer(Tensor(array).cast(dtype))), other.eval()(u), dtype, 1)


@pytest.mark.parametrize("size", [100.0, 250.0])
def test_scores_beyond_float16_are_attended_to(size: float) -> None:
    values = np.full((1, 4, 8), size, np.float32)
    values[:, :, 0] *= np.arange(4)
    q = Tensor(values).half()
    found = q.scaled_dot_product_attention(q, q, is_causal=True)
    u = torch.tensor(values).double()
    near(wide(found), F.scaled_dot_product_attention(u, u, u, is_causal=True), "float16", 1)
    layer = nn.MultiheadAttention(8, 2)
    for weight in nn.state.get_parameters(layer):
        weight.assign(weight.cast("float16").cast("float32"))
    out, shares = layer(q)
    assert shares is not None
    assert np.isfinite(out.numpy()).all()
    assert np.isfinite(shares.numpy()).all()


# --------------------------------------------------------------------------- numbers

NUMBERS = [1.4426950408889634, 0.1, 1e5, 70_000, 3e-6, 2.0]
ARITHMETIC: dict[str, Operation] = {
    "x * c": lambda x, c: x * c,
    "c * x": lambda x, c: c * x,
    "x + c": lambda x, c: x + c,
    "x - c": lambda x, c: x - c,
    "c - x": lambda x, c: c - x,
    "x / c": lambda x, c: x / c,
    "c / x": lambda x, c: c / x,
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", ARITHMETIC)
def test_numbers_are_not_rounded_to_16_bits(name: str, dtype: str) -> None:
    array = np.array([1000.0, 0.37, -3.3, 60_000.0, 2e-4], np.float32)
    operation = ARITHMETIC[name]
    for number in NUMBERS:
        x = torch.tensor(array).to(getattr(torch, dtype))
        for c in (number, torch.tensor(number)):  # a tensor of shape () is a number too
            # PyTorch itself does so where the number stands on the right, and there alone
            true = operation(x.float(), c).to(x.dtype).double().numpy()
            ours = operation(Tensor(array).cast(dtype), number if c is number else Tensor(number))
            assert str(ours.dtype) == dtype
            with np.errstate(invalid="ignore"):
                np.testing.assert_array_equal(wide(ours), true, err_msg=f"{name}, {number}")


@pytest.mark.parametrize("dtype", HALVES)
def test_scaled_sums_use_the_number_as_it_is(dtype: str) -> None:
    array = np.array([1000.0, 0.37, -3.3], np.float32)
    x, u = Tensor(array).cast(dtype), torch.tensor(array).to(getattr(torch, dtype))
    pairs = [
        (x.add(x, alpha=0.1), u.add(u, alpha=0.1)),
        (x.sub(x, alpha=0.1), u.sub(u, alpha=0.1)),
        (x.clamp(0.1, 100.1), u.clamp(0.1, 100.1)),
        ((x > 0).where(x, 0.1), torch.where(u > 0, u, 0.1)),
        (x.eq(1000.1), u.eq(1000.1)),
        (x.lt(0.3701), u.lt(0.3701)),
        (x.threshold(0.3701, 7.1), F.threshold(u, 0.3701, 7.1)),
    ]
    for ours, theirs in pairs:
        np.testing.assert_array_equal(wide(ours), theirs.double().numpy())


def test_float64_meets_numbers_in_float64() -> None:
    x = Tensor(np.array([1.0, 2.0]))
    assert x.add(0.1, alpha=3).tolist() == [1.0 + 0.1 * 3, 2.0 + 0.1 * 3]
    assert x.addcmul(0.1, 0.3).tolist() == [1.0 + 0.1 * 0.3, 2.0 + 0.1 * 0.3]


# --------------------------------------------------------------------------- sums by index


@pytest.mark.parametrize("dtype", HALVES)
def test_what_is_added_by_index_is_added_in_float32(dtype: str) -> None:
    n = 5000
    tenth = np.full((n, 1), 0.1, np.float32)
    places = np.zeros((n, 1), np.int64)
    wanted = float(exact(dtype, tenth).sum())
    values = Tensor(tenth).cast(dtype)
    zeros = Tensor.zeros(2, 1, dtype=dtype)
    rows = Tensor(places[:, 0])
    for made in (
        zeros.scatter_add(0, Tensor(places), values),
        zeros.index_add(0, rows, values),
        zeros.scatter_reduce(0, Tensor(places), values, "sum"),
    ):
        assert str(made.dtype) == dtype
        assert made[0].item() == pytest.approx(wanted, rel=ROUNDING[dtype])
    mean = zeros.scatter_reduce(0, Tensor(places), values, "mean", include_self=False)
    assert mean[0].item() == pytest.approx(wanted / n, rel=2 * ROUNDING[dtype])


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("how", ["embedding", "gather", "take"])
def test_gradients_of_lookups_are_added_in_float32(dtype: str, how: str) -> None:
    n = 3001
    x = Tensor(np.ones((2, 1), np.float32)).cast(dtype).detach().requires_grad_()
    places = Tensor(np.zeros(n, np.int64))
    looked = {
        "embedding": lambda: x[places],
        "gather": lambda: x.gather(0, places.unsqueeze(1)),
        "take": lambda: x.take(places),
    }[how]()
    (looked * 0.3).sum().backward()
    share = float(exact(dtype, np.array(0.3)))
    assert x.grad[0].item() == pytest.approx(share * n, rel=ROUNDING[dtype])
    assert x.grad[1].item() == 0


# --------------------------------------------------------------------------- counts


def test_counts_beyond_float16_are_counted() -> None:
    n = 70_000
    ones = Tensor(np.ones(n, np.float16), requires_grad=True)
    for function in (lambda x: x.max(), lambda x: x.amin(0), lambda x: x.amax()):
        (slope,) = function(ones).gradient(ones)
        np.testing.assert_allclose(slope.numpy(), 1 / n, 1e-2)
    many = Tensor(np.ones(100_000, np.float16))
    assert [many.nanmean().item(), many.mean().item()] == [1, 1]
    assert many.var().item() == 0
    logs = Tensor(np.full((n, 2), -1.0, np.float16))
    halves = Tensor(np.full((n, 2), 0.5, np.float16))
    assert logs.nll_loss(Tensor(np.zeros(n, np.int64))).item() == 1
    expected = F.kl_div(
        torch.full((4, 2), -1.0), torch.full((4, 2), 0.5), reduction="batchmean"
    ).item()
    assert logs.kl_div(halves, "batchmean").item() == pytest.approx(expected, rel=1e-3)
    assert logs.cross_entropy(halves).item() == pytest.approx(np.log(2), rel=1e-3)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int64"])
def test_class_numbers_are_not_in_the_labels_dtype(dtype: str) -> None:
    classes = 300 if np.dtype(dtype).itemsize == 1 else 40_000
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((20, classes)).astype(np.float32)
    labels = rng.integers(0, 100, 20)
    small, u = Tensor(labels.astype(dtype)), torch.tensor(labels)
    x = Tensor(logits)
    for ours, theirs in (
        (x.cross_entropy(small), F.cross_entropy(torch.tensor(logits), u)),
        (x.nll_loss(small), F.nll_loss(torch.tensor(logits), u)),
        (small.one_hot(classes).sum(0), F.one_hot(u, classes).sum(0)),
        (x[:, 0].gather(0, small), torch.tensor(logits)[:, 0].gather(0, u % 20))
        if labels.max() < 20
        else (x.sum(), torch.tensor(logits).sum()),
    ):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-4, 1e-4)


def test_means_by_index_count_beyond_the_dtype() -> None:
    zeros, places = Tensor(np.zeros(2, np.int8)), Tensor(np.zeros(200, np.int64))
    source = np.zeros(200, np.int8)
    source[:2] = 100, 27
    made = zeros.scatter_reduce(0, places, Tensor(source), "mean", include_self=False)
    assert made.tolist() == [0, 0]  # 127 over 200, not over -56
