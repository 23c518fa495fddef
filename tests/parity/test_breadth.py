"""Less common operations: values, shapes, dtypes and gradients are PyTorch's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lazygrad import Tensor


def label(value: object) -> str:
    """A name for a case that is the same in every process."""
    return re.sub(r" at 0x\w+", "", str(value))


Function = Callable[..., Any]
INF, NAN = float("inf"), float("nan")


def f32(values: Any) -> np.ndarray:
    return np.array(values, np.float32)


X = f32(np.random.default_rng(0).permutation(24).reshape(2, 3, 4) - 11.5)
SPECIAL = f32([0.0, -0.0, 1.0, -1.0, 0.5, INF, -INF, NAN])
UNIT = f32([-1.0, -0.999, -0.7, -1e-3, 0.0, 1e-6, 0.3, 0.95, 0.9999, 1.0])

SAME: dict[str, tuple[Function, np.ndarray]] = {
    "moveaxis": (lambda x: x.moveaxis((0, 1), (2, 0)), X),
    "movedim back": (lambda x: x.movedim((-1, 0), (0, -1)), X),
    "t": (lambda x: [x[0].t(), x[0, 0].t()], X),
    "ravel": (lambda x: x.ravel(), X),
    "reshape_as": (lambda x: x[0].reshape_as(x[1]), X),
    "select": (lambda x: [x.select(1, 2), x.select(-1, -1)], X),
    "diff": (lambda x: [x.diff(), x.diff(2), x.diff(1, 1), (x > 0).diff()], X),
    "rot90": (lambda x: [x.rot90(), x.rot90(-1, (1, 2)), x.rot90(2)], X),
    "flips": (lambda x: [x.fliplr(), x.flipud()], X),
    "tensor_split": (lambda x: [*x.tensor_split(3, 2), *x.tensor_split([1, 3], -1)], X),
    "tile": (lambda x: [x.tile((2,)), x.tile((2, 1, 1, 3))], X),
    "diag_embed": (lambda x: [x.diag_embed(), x.diag_embed(1), x.diag_embed(-2, 0, 2)], X),
    "aminmax": (lambda x: [*x.aminmax()], X),
    "var of a sample": (lambda x: [x.var(1, unbiased=False), x.std(1, unbiased=True)], X),
    "norm by name": (lambda x: x.norm("fro"), X),
    "nansum": (lambda x: [x.nansum(), x.nanmean()], f32([1, NAN, 3])),
    "logcumsumexp": (lambda x: x.logcumsumexp(0), f32([1, 2, -INF, 300, 4])),
    "kthvalue": (lambda x: [*x.kthvalue(2), *x.kthvalue(3, 1, keepdim=True)], X),
    "trace": (lambda x: x[0].trace(), X),
    "kron": (lambda x: [x[0].kron(x[1]), x[0, 0].kron(x[1])], X),
    "cross": (lambda x: x.cross(x.flip(2), 1), X),
    "inner": (lambda x: [x.inner(x[0]), x[0, 0].inner(x[0, 1]), x[0].inner(x[0, 0])], X),
    "mv": (lambda x: x[0].mv(x[1, 0]), X),
    "addmm": (lambda x: x[0].addmm(x[0, :, :3], x[1], beta=0.5, alpha=2), X),
    "addcmul": (lambda x: [x.addcmul(x, x, value=2), x.addcdiv(x, x + 20, value=0.5)], X),
    "names of arithmetic": (
        lambda x: [x.multiply(2), x.subtract(1), x.divide(2), x.negative(), x.absolute(), x.fix()],
        X,
    ),
    "names of comparisons": (
        lambda x: [
            x.greater(2),
            x.greater_equal(2.5),
            x.less(2),
            x.less_equal(2.5),
            x.not_equal(1),
        ],
        X,
    ),
    "clamp from one side": (lambda x: [x.clamp_min(1.0), x.clamp_max(2.0)], X),
    "nan_to_num": (lambda x: [x.nan_to_num(), x.nan_to_num(1.0, 2.0, 3.0)], SPECIAL),
    "signbit": (lambda x: x.signbit(), SPECIAL),
    "erfinv": (lambda x: x.erfinv(), UNIT[1:-1]),
    "logit": (lambda x: [x.logit(), x.logit(0.1)], UNIT[5:-1]),
    "sinc": (lambda x: x.sinc(), X),
    "degrees": (lambda x: [x.deg2rad(), x.rad2deg()], X),
    "dist": (lambda x: x[0].dist(x[1]), X),
}


@pytest.mark.parametrize("name", SAME)
def test_one_argument_agrees(agree: Any, name: str) -> None:
    function, values = SAME[name]
    agree(function, None, values, rtol=5e-5)


def test_the_inverse_of_erf_is_infinite_at_its_ends() -> None:
    values = Tensor([-1.0, 1.0, 1.5, NAN]).erfinv().numpy()
    np.testing.assert_array_equal(values, [-INF, INF, NAN, NAN])


def test_pairs_agree(agree: Any) -> None:
    a, b = f32([0, 3, -4, 1e30, INF, NAN]), f32([1, 4, 3, 1e30, 1, 0])
    agree(lambda x, y: x.hypot(y), torch.hypot, a, b, grad=False)
    agree(lambda x, y: x.hypot(y), torch.hypot, f32([3, -4, 1]), f32([4, 3, -2]))
    agree(lambda x, y: x.xlogy(y), torch.xlogy, f32([0, 0, 2, 0]), f32([0, 1, 3, NAN]), grad=False)
    agree(lambda x, y: x.xlogy(y), torch.xlogy, f32([1, 2]), f32([3, 0.5]))
    agree(lambda x, y: x.cosine_similarity(y), F.cosine_similarity, X, X[::-1].copy())


@pytest.mark.parametrize("q", [0.0, 0.3, 0.5, 1.0, [0.25, 0.75]])
def test_quantiles_agree(agree: Any, q: Any) -> None:
    def theirs(x: Any) -> Any:
        at = torch.tensor(q, dtype=x.dtype)
        return [torch.quantile(x, at), torch.quantile(x, at, 1), torch.quantile(x, at, -1, True)]

    agree(lambda x: [x.quantile(q), x.quantile(q, 1), x.quantile(q, -1, True)], theirs, X)


def test_parts_of_an_axis_are_replaced_as_in_pytorch(agree: Any) -> None:
    index = np.array([2, 0])
    agree(lambda x, i: x.index_fill(1, i, 3.0), None, X, index)
    agree(lambda x, i: x.index_copy(1, i, x[:, :2] * 2), None, X, index)
    agree(lambda x, i: x.repeat_interleave(i, 1), None, X, np.array([1, 0, 2]))
    agree(lambda x, i: x.repeat_interleave(i), None, X[0, 0], np.array([1, 0, 2, 1]))


def test_what_depends_on_values_agrees(agree: Any) -> None:
    agree(lambda x: x.unique(), None, np.array([[3, 1, 3], [2, 1, 0]]))
    agree(lambda x: [x.bincount(), x.bincount(minlength=9)], None, np.array([3, 1, 3, 0]))
    agree(lambda x: x.argwhere(), None, np.array([[3, 0], [0, 1]]))
    x = Tensor(X)
    assert [x.allclose(x + 1e-7), x.allclose(x + 1)] == [True, False]
    assert [x.equal(x.clone()), x.equal(x[0])] == [True, False]


def test_sizes_are_brought_to_a_shape() -> None:
    x = Tensor.arange(6).reshape(2, 3)
    assert x.pad_to(3, None).tolist() == [[0, 1, 2], [3, 4, 5], [0, 0, 0]]
    assert x.shrink_to((None, 2)).tolist() == [[0, 1], [3, 4]]
    with pytest.raises(ValueError, match=r"pad_to: \(2, 3\) exceeds \(1, 3\)"):
        x.pad_to(1, 3)


# --------------------------------------------------------------------------- pictures

PICTURE = f32(np.random.default_rng(1).standard_normal((2, 3, 7, 8)))


@pytest.mark.parametrize(
    "options",
    [(2,), (3, 2, 1), (2, 1), (3, 2, 0, 1, True), ((2, 3), 2, (1, 0)), (2, 2, 0, 2)],
    ids=label,
)
def test_places_of_maxima_agree(agree: Any, options: Any) -> None:
    def ours(x: Any) -> Any:
        return x.max_pool2d(*options, return_indices=True)

    def theirs(x: Any) -> Any:
        return F.max_pool2d(x, *options, return_indices=True)

    agree(ours, theirs, PICTURE)
    agree(ours, theirs, np.zeros_like(PICTURE))


def test_unpooling_agrees(agree: Any) -> None:
    for size in (None, (7, 8)):
        agree(
            lambda x, s=size: Tensor.max_unpool2d(
                *x.max_pool2d(2, return_indices=True), 2, output_size=s
            ),
            lambda x, s=size: F.max_unpool2d(
                *F.max_pool2d(x, 2, return_indices=True), 2, output_size=s
            ),
            PICTURE,
        )


@pytest.mark.parametrize("size", [1, 3, 5, (3, None), (2, 9)])
def test_adaptive_pools_agree(agree: Any, size: Any) -> None:
    agree(lambda x: x.adaptive_max_pool2d(size), lambda x: F.adaptive_max_pool2d(x, size), PICTURE)
    agree(lambda x: x.adaptive_avg_pool2d(size), lambda x: F.adaptive_avg_pool2d(x, size), PICTURE)
    if isinstance(size, int):
        x = PICTURE[0]
        agree(lambda x: x.adaptive_max_pool1d(size), lambda x: F.adaptive_max_pool1d(x, size), x)
        agree(lambda x: x.adaptive_avg_pool1d(size), lambda x: F.adaptive_avg_pool1d(x, size), x)
        x = PICTURE[:, :, None]
        agree(lambda x: x.adaptive_avg_pool3d(size), lambda x: F.adaptive_avg_pool3d(x, size), x)


@pytest.mark.parametrize(
    "options",
    [
        {"size": (5, 9), "mode": "bicubic"},
        {"scale_factor": 1.5, "mode": "bicubic"},
        {"size": (3, 11), "mode": "bicubic", "align_corners": True},
        {"size": (5, 3), "mode": "area"},
        {"size": (5, 11), "mode": "nearest-exact"},
        {"scale_factor": 0.6, "mode": "nearest-exact"},
    ],
    ids=label,
)
def test_resampling_agrees(agree: Any, options: Any) -> None:
    agree(
        lambda x: x.interpolate(**options),
        lambda x: F.interpolate(x, **options),
        PICTURE,
        atol=1e-5,
    )


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_the_nearest_element_agrees_in_float32(agree: Any, mode: str) -> None:
    choices = [
        (7, {"scale_factor": 0.6}), (6, {"size": 38}), (40, {"size": 77}), (31, {"size": 80}),
        (13, {"scale_factor": 2.3}), (29, {"scale_factor": 0.7}),
    ]  # fmt: skip
    for n, options in choices:
        agree(
            lambda x, options=options: x.interpolate(mode=mode, **options),
            lambda x, options=options: F.interpolate(x, mode=mode, **options),
            np.arange(n, dtype=np.float32).reshape(1, 1, n),
        )
    for factor in (1.1, 2.3):
        agree(
            lambda x, factor=factor: x.interpolate(scale_factor=factor, mode=mode),
            lambda x, factor=factor: F.interpolate(x, scale_factor=factor, mode=mode),
            f32(range(6)).reshape(1, 1, 2, 3),
        )


def test_pixels_are_shuffled_as_in_pytorch(agree: Any) -> None:
    x = PICTURE[:, :, :6, :6].repeat(4, 1)
    agree(lambda x: x.pixel_shuffle(2), lambda x: F.pixel_shuffle(x, 2), x)
    agree(lambda x: x.pixel_unshuffle(3), lambda x: F.pixel_unshuffle(x, 3), x)


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_transposed_convolutions_agree(agree: Any, spatial: int) -> None:
    rng = np.random.default_rng(2)
    x = f32(rng.standard_normal((2, 4, *(4, 3, 3)[:spatial])))
    w, b = f32(rng.standard_normal((4, 3, *(3, 2, 2)[:spatial]))), f32(rng.standard_normal(6))
    name, options = f"conv_transpose{spatial}d", {"stride": 2, "groups": 2, "padding": 1}
    ours, theirs = getattr(Tensor, name), getattr(F, name)
    agree(lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options), x, w, b, rtol=1e-4)
    agree(lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options), x[0], w, b, rtol=1e-4)


# --------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("write", "error", "text"),
    [
        (lambda x: x[Tensor([0, 5])], IndexError, "index: 5 is outside axis 0 of size 2"),
        (lambda x: x[:, Tensor([-4])], IndexError, "index: -4 is outside axis 1 of size 3"),
        (lambda x: x.gather(1, Tensor([[[3]]])), IndexError, "gather: 3 is outside axis 1"),
        (lambda x: x.gather(1, Tensor([[[-1]]])), IndexError, "gather: -1 is outside axis 1"),
        (lambda x: x.index_select(2, Tensor([4])), IndexError, "4 is outside axis 2 of size 4"),
        (lambda x: x.scatter(1, Tensor([[[7]]]), 1.0), IndexError, "scatter: 7 is outside axis 1"),
        (lambda x: x.softmax(3), IndexError, "softmax: axis 3 is outside the 3 axes"),
        (lambda x: x.reshape("a"), ValueError, "reshape: a size is an integer, not 'a'"),
        (lambda x: x.select(1, 3), IndexError, "select: index 3 is outside axis 1 of size 3"),
        (lambda x: x.movedim((0, 1), (0,)), ValueError, "movedim: .* is no move of distinct axes"),
        (lambda x: x.t(), ValueError, r"t: needs at most two axes, shape is \(2, 3, 4\)"),
        (lambda x: x.norm("nuc"), ValueError, "norm: p is a number or 'fro', not 'nuc'"),
        (lambda x: x.quantile(1.5), ValueError, r"quantile: 1.5 is not in \[0, 1\]"),
        (lambda x: x.kthvalue(5), ValueError, "kthvalue: 5 is none of 1 to 4"),
        (lambda x: x.repeat_interleave(-1), ValueError, "-1 is no number of repeats"),
        (lambda x: x.inner(x[0, :, :3]), ValueError, "inner: last axes of .* differ"),
        (lambda x: x.interpolate(size=4, mode="cubic"), ValueError, "mode 'cubic' is none of"),
        (lambda x: x.pixel_shuffle(2), ValueError, "4 does not divide the channels"),
    ],
    ids=label,
)
def test_mistakes_are_told_in_one_line(write: Function, error: type, text: str) -> None:
    with pytest.raises(error, match=text) as told:
        write(Tensor(X))
    assert "\n" not in str(told.value)
