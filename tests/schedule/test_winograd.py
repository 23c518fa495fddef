"""Which sums are convolutions of tiles, and that they have the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazygrad import Tensor, config
from lazygrad.dtypes import int64
from lazygrad.graph import build
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import (
    Less,
    Movement,
    Node,
    Reduce,
    Winograd,
    WinogradFilter,
    Within,
    topological,
)
from lazygrad.graph.simplify import simplify
from lazygrad.graph.verify import verify
from lazygrad.schedule import winograd
from lazygrad.schedule.winograd import recognise, use_winograd


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones too, though they would not pay."""
    monkeypatch.setattr(winograd, "PRODUCTS", 0)


def _values(*shape: int, dtype: Any = np.float32) -> Tensor:
    rng = np.random.default_rng(shape)
    values = (rng.integers(-24, 25, shape) / 8).astype(dtype)
    return Tensor(values, requires_grad=values.dtype.kind == "f")


def _convolutions(outputs: list[Node]) -> list[Node]:
    return [n for n in topological(outputs) if isinstance(n, Winograd)]


def _rewritten(tensor: Tensor) -> list[Node]:
    graph = simplify([tensor._node])
    result = use_winograd(graph)
    verify(result)
    for before, after in zip(evaluate(graph), evaluate(result), strict=True):
        np.testing.assert_allclose(after, before, 1e-5, 1e-3)
    return _convolutions(result)


def test_a_convolution_and_the_gradient_of_its_input() -> None:
    x, w = _values(2, 16, 16, 16), _values(20, 16, 3, 3)
    y = x.conv2d(w, padding=1)
    (node,) = _rewritten(y)
    assert node.shape == (2, 20, 16, 16)
    (gradient,) = (y * y).sum().gradient(x)
    assert len(_rewritten(gradient)) == 2
    (gradient,) = (y * y).sum().gradient(w)  # its sum is over places, not over a window
    assert len(_rewritten(gradient)) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: _values(8, 16, 16, 16).conv2d(_values(16, 16, 3, 3)),
        lambda: _values(16, 66, 34).conv2d(_values(16, 16, 3, 3)),
        lambda: _values(2, 16, 16, 16).conv_transpose2d(_values(16, 16, 3, 3), padding=1),
        lambda: _values(4, 16, 16, 16).flip(3).conv2d(_values(16, 16, 3, 3).flip(2), padding=1),
        lambda: _values(4, 16, 16, 16).permute(0, 1, 3, 2).conv2d(_values(16, 16, 3, 3)[::1]),
        lambda: _values(18, 4, 16, 18).permute(1, 2, 0, 3).conv2d(_values(16, 16, 3, 3)),
        lambda: (_values(2, 16, 16, 16).conv2d(_values(16, 16, 3, 3), padding=1)).permute(
            2, 3, 1, 0
        ),
        lambda: _values(2, 16, 19, 18)[:, :, 1:].conv2d(_values(16, 16, 3, 3)),
    ],
)
def test_convolutions_that_are(make: Any) -> None:
    assert len(_rewritten(make())) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: _values(2, 16, 33, 33).conv2d(_values(16, 16, 3, 3), stride=2),
        lambda: _values(2, 16, 36, 36).conv2d(_values(16, 16, 3, 3), dilation=2),
        lambda: _values(2, 32, 34, 34).conv2d(_values(32, 16, 3, 3), groups=2),
        lambda: _values(2, 32, 34, 34).conv2d(_values(32, 1, 3, 3), groups=32),
        lambda: _values(2, 16, 36, 36).conv2d(_values(16, 16, 5, 5)),
        lambda: _values(2, 16, 32, 34).conv2d(_values(16, 16, 1, 3)),
        lambda: _values(2, 16, 33, 34).conv2d(_values(16, 16, 3, 3)),  # an odd number of rows
        lambda: _values(2, 8, 34, 34).conv2d(_values(16, 8, 3, 3)),  # few channels
        lambda: _values(1, 16, 10, 10).conv2d(_values(16, 16, 3, 3)),  # few tiles
        lambda: _values(2, 16, 34, 34, dtype=np.float64).conv2d(
            _values(16, 16, 3, 3, dtype=np.float64)
        ),
        lambda: _values(2, 16, 34, 34, dtype=np.int32).conv2d(
            _values(16, 16, 3, 3, dtype=np.int32)
        ),
        lambda: _values(2, 16, 34).conv1d(_values(16, 16, 3)),
        lambda: _values(64, 96) @ _values(96, 64),
    ],
)
def test_sums_that_stay(make: Any) -> None:
    assert not _rewritten(make().detach())


@pytest.mark.parametrize(
    "make",
    [
        lambda x, w: (x * x).conv2d(w),
        lambda x, w: x.conv2d(w * w, padding=1),
        lambda x, w: (x.relu() * x.relu()).conv2d(w * w * w),
        lambda x, w: (x * 2).conv2d(w * 3),
    ],
)
def test_factors_may_be_products(make: Any) -> None:
    assert len(_rewritten(make(_values(2, 16, 18, 18), _values(16, 16, 3, 3)))) == 1


def test_a_window_must_not_be_used_twice() -> None:
    """sum over c, i, j of w[o, c, i, j] * x[c, y + i, y + j] is along a diagonal."""
    x, w = _values(16, 34, 34), _values(16, 16, 3, 3)
    windows = x.unfold(1, 3, 1).unfold(2, 3, 1).diagonal(axis1=1, axis2=2)  # (c, i, j, y)
    y = (windows.unsqueeze(0) * w.unsqueeze(-1)).sum((1, 2, 3))
    graph = simplify([y._node])
    assert any(isinstance(n, Reduce) for n in topological(graph))
    assert not _convolutions(use_winograd(graph))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), st.integers(2, 5), st.integers(2, 5), st.integers(1, 4), st.integers(1, 4),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_what_is_recognised_is_the_convolution(
    n: int, c: int, o: int, down: int, across: int, padded: bool, gradient: bool
) -> None:
    """At any size: whether it pays is another question."""
    border = 0 if padded else 2
    x, w = _values(n, c, 2 * down + border, 2 * across + border), _values(o, c, 3, 3)
    y = x.conv2d(w, padding=int(padded))
    if gradient:
        (y,) = (y * _values(*y.shape)).sum().gradient(x)
    nodes = [node for node in topological(simplify([y._node])) if isinstance(node, Reduce)]
    (found,) = (recognised for node in nodes if (recognised := recognise(node)) is not None)
    (node,) = (node for node in nodes if recognise(node) is not None)
    made = Winograd(found.x, WinogradFilter(found.w), found.w)
    (wanted,), (values,) = evaluate([node]), evaluate([made])
    shaped = values.reshape(found.sizes).transpose(found.order).reshape(wanted.shape)
    np.testing.assert_allclose(shaped, wanted, 1e-5, 1e-4)


def test_tiles_end_where_the_convolution_does(leaf: Any) -> None:
    """Images of up to 16 x 18 pixels, of which 5 x 7 are defined."""
    y = _values(2, 16, 16, 18).conv2d(_values(20, 16, 3, 3), padding=1)
    (convolution,) = simplify([y._node])
    x = convolution
    while isinstance(x, Movement):
        (x,) = x.inputs
    shape, node = x.shape, x
    for axis, count in ((3, leaf(5, int64)), (4, leaf(7, int64))):
        below = Less(build.walk(shape, axis), build.broadcast_to(count, shape))
        node = Within(node, below)
    graph = [build.reshape(node, convolution.shape)]
    result = use_winograd(graph)
    verify(result)
    (first,) = _convolutions(result)
    ends = [n for n in topological(result) if isinstance(n, Within)]
    assert [n.x for n in ends] == [first, ends[0]]
    rows, columns = (
        np.broadcast_to(each, first.shape) for each in evaluate([n.inside for n in ends])
    )
    assert (rows == (np.arange(16) < 5)[:, None]).all()
    assert (columns == (np.arange(18) < 7)).all()
    for before, after in zip(evaluate(graph), evaluate(result), strict=True):
        np.testing.assert_allclose(after, before, 1e-5, 1e-3)


def test_the_values_are_the_convolution_s() -> None:
    x, w = _values(1, 2, 6, 8), _values(3, 2, 3, 3)
    node = Winograd(x._node, WinogradFilter(w._node), w._node)
    (values,) = evaluate([node])
    (wanted,) = evaluate(simplify([x.conv2d(w)._node]))
    np.testing.assert_allclose(values, wanted, 1e-5, 1e-4)


@pytest.mark.parametrize("tiles", [0, 1])
@pytest.mark.parametrize("pixel", [np.inf, -np.inf, np.nan, 3e38])
def test_a_pixel_reaches_the_sums_that_it_is_a_term_of(pixel: float, tiles: int) -> None:
    x, w = _values(4, 17, 16, 16).numpy().copy(), _values(20, 17, 3, 3).numpy() / 64
    x[:, 3, 5, 6] = pixel
    w[:, 3] = np.abs(w[:, 3]) + 0.125
    with config.override(WINOGRAD=tiles):
        y = (Tensor(x, device="CPU").conv2d(Tensor(w, device="CPU"), padding=1).relu() + 1).numpy()
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    with np.errstate(invalid="ignore"):
        wanted = np.maximum(np.einsum("nchwij,ocij->nohw", windows, w), 0) + 1
    meets = np.zeros((16, 16), bool)
    meets[4:7, 5:8] = True
    assert (np.isfinite(wanted) | meets).all()
    np.testing.assert_allclose(y[..., ~meets], wanted[..., ~meets], 1e-4, 1e-4)
    np.testing.assert_allclose(y[..., meets], wanted[..., meets], 1e-4)


def test_filters_that_are_not_finite_spoil_their_own_results() -> None:
    x, w = _values(4, 16, 16, 16).numpy(), _values(20, 16, 3, 3).numpy().copy()
    w[7, 2, 1, 1] = np.nan
    y = Tensor(x, device="CPU").conv2d(Tensor(w, device="CPU"), padding=1).numpy()
    spoilt = np.zeros(20, bool)
    spoilt[7] = True
    assert np.isnan(y[:, spoilt]).all()
    assert np.isfinite(y[:, ~spoilt]).all()
