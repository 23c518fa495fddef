"""The loops of convolutions by tiles: slices of every kind, layouts, and what follows the sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.graph.evaluate import evaluate as evaluate_graph
from lazygrad.graph.ir import Node, Winograd, WinogradFilter
from lazygrad.graph.simplify import simplify
from lazygrad.loops.ir import For, Function
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower import lower
from lazygrad.schedule.fuse import fuse
from lazygrad.schedule.ir import Blocked, Kernel
from lazygrad.targets import SLICE_TILES, Machine, Native, Target
from tests.loops.evaluate import evaluate
from tests.loops.passes import transform

WIDE = Machine(
    name="a CPU", target=Target.CPU, cores=2, vector_bytes=16, registers=16, l1_bytes=32 << 10,
    l2_bytes=256 << 10, native=Native(),
)  # fmt: skip


def _values(*shape: int) -> Tensor:
    rng = np.random.default_rng(shape)
    return Tensor((rng.integers(-24, 25, shape) / 8).astype(np.float32))


def _node(x: Tensor, w: Tensor) -> Node:
    return Winograd(x._node, WinogradFilter(w._node), w._node)


def _kernel(node: Node) -> Kernel:
    (kernel,) = (k for k in fuse(simplify([node]), cores=1).kernels if k.kind == "winograd")
    return kernel


def _agrees(kernel: Kernel, function: Function) -> None:
    """The function is legal, and computes what the oracle says, in the layouts of the kernel."""
    verify(function)
    nodes = (*kernel.outputs, *kernel.inputs)
    values = []
    for node, value in zip(nodes, evaluate_graph(nodes), strict=True):
        if node in kernel.layouts:
            size = kernel.layouts[node].size
            rows = value.reshape(-1, size, *value.shape[1:])
            value = np.moveaxis(rows, 1, -1)
        values.append(np.ascontiguousarray(value).ravel())
    names = [array.name for array in function.arguments]
    arrays = dict(zip(names, values, strict=True))
    wanted = {name: arrays[name] for name in names[: function.outputs]}
    arrays.update((name, np.full_like(value, np.nan)) for name, value in wanted.items())
    evaluate(function, arrays)
    for name, value in wanted.items():
        np.testing.assert_allclose(arrays[name], value, 1e-4, 1e-4)


@pytest.mark.parametrize("cores", [1, 3, 100])
@pytest.mark.parametrize(
    ("n", "c", "o", "height", "width"),
    [(1, 2, 3, 2, 2), (2, 3, 2, 4, 6), (4, 1, 1, 6, 2), (1, 2, 2, 2, 36), (6, 2, 5, 8, 8)],
)
def test_slices(n: int, c: int, o: int, height: int, width: int, cores: int) -> None:
    x, w = _values(n, c, height, width), _values(o, c, 3, 3)
    kernel = _kernel(_node(x.pad((1, 1, 1, 1)), w))
    function = lower(kernel, "kernel", cores=cores)
    _agrees(kernel, function)
    if cores > 1 and (o > 1 or n * height * width // 4 > SLICE_TILES * 4 * cores):
        assert isinstance(function.body[0], For)  # over slices, or shares of the channels
    _agrees(kernel, transform(function, kernel.kinds, WIDE, lambda *_: None))


def test_what_follows_is_computed_with_the_sums() -> None:
    x, w = _values(2, 3, 6, 10), _values(4, 3, 3, 3)
    bias, more = _values(4), _values(2, 4, 4, 8)
    node = (x._derived(_node(x, w)) + bias.reshape(1, 4, 1, 1) + more).relu()._node
    schedule = fuse(simplify([node]), cores=1)
    assert [kernel.kind for kernel in schedule.kernels] == ["filter", "winograd"]
    kernel = schedule.kernels[-1]
    _agrees(kernel, transform(lower(kernel, "kernel"), kernel.kinds, WIDE, lambda *_: None))


def test_images_side_by_side() -> None:
    """Where the layout has blocks of images, a tile's numbers lie in them too."""
    x, w = _values(8, 2, 4, 6), _values(3, 2, 3, 3)
    node = _node((x * 2).contiguous().pad((1, 1, 1, 1)), w)
    kernel = _kernel(node)
    (source,) = (n for n in kernel.inputs if n.shape == x.shape)
    for nodes in ([source], [source, node], [node]):
        laid = replace(kernel, layouts={n: Blocked(4) for n in nodes})
        function = lower(laid, "kernel", cores=2)
        _agrees(laid, function)
        _agrees(laid, transform(function, laid.kinds, WIDE, lambda *_: None))


@pytest.mark.parametrize(("first", "count"), [(0, 6), (0, 3), (3, 5), (2, 4)])
def test_images_of_a_larger_batch_in_blocks(first: int, count: int) -> None:
    """Its blocks need not be those of the images that are convolved."""
    x, w = _values(8, 2, 4, 6), _values(3, 2, 3, 3)
    kernel = _kernel(_node((x * 2).contiguous()[first : first + count], w))
    (source,) = (n for n in kernel.inputs if n.shape == x.shape)
    laid = replace(kernel, layouts={source: Blocked(4)})
    function = lower(laid, "kernel", cores=2)
    _agrees(laid, function)
    _agrees(laid, transform(function, laid.kinds, WIDE, lambda *_: None))


@pytest.mark.parametrize(("o", "c"), [(1, 1), (16, 3), (24, 5), (7, 2)])
def test_filters(o: int, c: int) -> None:
    for w in (_values(o, c, 3, 3), _values(c, o, 3, 3).permute(1, 0, 2, 3).flip((2, 3))):
        (kernel,) = fuse(simplify([WinogradFilter(w._node)]), cores=1).kernels
        assert kernel.kind == "filter"
        function = lower(kernel, "kernel")
        _agrees(kernel, function)
        _agrees(kernel, transform(function, kernel.kinds, WIDE, lambda *_: None))
