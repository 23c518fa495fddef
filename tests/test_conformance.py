"""The compiler against the oracle: whatever graph, `realize` gives what `evaluate` says.

It runs on the default device: BACKEND=GPU tests that backend.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazygrad.compile import realize
from lazygrad.dtypes import (
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int32,
    int64,
    uint8,
)
from lazygrad.graph import ir
from lazygrad.graph.build import broadcast_to
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Buffer, Node
from lazygrad.runtime.buffer import DeviceBuffer
from lazygrad.runtime.device import Device

TOLERANCES = {float64: 1e-12, float32: 2e-5, float16: 2e-3, bfloat16: 2e-2}


def buffer(array: np.ndarray) -> Buffer:
    """A leaf on the default device."""
    return Buffer(DeviceBuffer.from_numpy(array, Device.DEFAULT), array.shape)


def random_buffer(rng: np.random.Generator, shape: Sequence[int], dtype: DType) -> Buffer:
    """Small values, so that nothing overflows; floats from -3 to 3 in steps of 1/8, which every
    dtype holds."""
    if dtype.is_float:
        values = rng.integers(-24, 25, shape) / 8
    else:
        low = -9 if dtype.kind == "int" else 0
        values = rng.integers(low, 2 if dtype == bool_ else 10, shape)
    return buffer(np.asarray(values).astype(dtype.numpy))


def check(outputs: Sequence[Node], scale: float = 1.0) -> None:
    """realize and evaluate agree; `scale` widens the tolerance of floats."""
    expected = evaluate(outputs)
    for node, memory, value in zip(outputs, realize(outputs), expected, strict=True):
        found = memory.numpy().reshape(node.shape)
        assert found.dtype == value.dtype
        tolerance = TOLERANCES.get(node.dtype, 0.0) * scale
        wide = np.float64 if node.dtype.is_float else value.dtype
        np.testing.assert_allclose(
            found.astype(wide), value.astype(wide), tolerance, tolerance, err_msg=repr(node)
        )


# --------------------------------------------------------------------------- every node class

Case = Iterator[tuple[Node, ...]]
CASES: dict[type[Node], Callable[[np.random.Generator], Case]] = {}
SHAPES = ((), (1,), (3,), (2, 5), (4, 1, 9), (0, 3), (33,))
FLOATS = (float32, float64, float16, bfloat16)
INTS = (int64, int32, uint8)
ALL = (*FLOATS, *INTS, bool_)
POSITIVE = (ir.Log, ir.Sqrt, ir.Pow)


def case(*classes: type[Node]) -> Callable[[Any], Any]:
    """The graphs that test these classes."""

    def add(function: Any) -> Any:
        for cls in classes:
            CASES[cls] = lambda rng, cls=cls: function(rng, cls)
        return function

    return add


def _accepts(make: Callable[[], Node]) -> Node | None:
    """The node, unless its class refuses the dtype."""
    try:
        return make()
    except (TypeError, ValueError):
        return None


ELEMENTWISE = [
    cls for cls in ir.NODE_CLASSES if issubclass(cls, (ir.Unary, ir.Binary)) and cls is not ir.Cast
]


@case(*ELEMENTWISE)
def _elementwise(rng: np.random.Generator, cls: type[Node]) -> Case:
    count = 2 if issubclass(cls, ir.Binary) else 1
    for dtype in ALL:
        for shape in SHAPES:
            args: list[Node] = [random_buffer(rng, shape, dtype) for _ in range(count)]
            if cls in POSITIVE and dtype.is_float:
                args[0] = ir.Abs(args[0])
            node = _accepts(lambda args=args: cls(*args))  # type: ignore[misc]
            if node is not None:
                yield (node,)


@case(ir.Where)
def _where(rng: np.random.Generator, cls: type[Node]) -> Case:
    for dtype in ALL:
        for shape in SHAPES:
            x, y = (random_buffer(rng, shape, dtype) for _ in range(2))
            yield (ir.Where(random_buffer(rng, shape, bool_), x, y),)


@case(ir.Cast, ir.Bitcast)
def _cast(rng: np.random.Generator, cls: Any) -> Case:
    for old in ALL:
        for new in ALL:
            x: Node = random_buffer(rng, (3, 7), old)
            if cls is ir.Cast:
                # what a float outside of an integer's range becomes is not said
                yield (ir.Cast(ir.Abs(x) if new.kind == "uint" and old.is_float else x, new),)
            elif old.itemsize == new.itemsize and bool_ not in (old, new):
                yield (ir.Bitcast(ir.Bitcast(x, new), old),)


@case(ir.Buffer, ir.Contiguous, ir.Detach)
def _same(rng: np.random.Generator, cls: Any) -> Case:
    for shape in SHAPES:
        x = random_buffer(rng, shape, float32)
        yield (x if cls is ir.Buffer else cls(x),)
        yield (ir.Neg(x if cls is ir.Buffer else cls(x)),)


@case(ir.Within)
def _within(rng: np.random.Generator, cls: Any) -> Case:
    yield (cls(random_buffer(rng, (3, 4), float32), ir.Const(True, bool_, (3, 4))),)


@case(ir.Overwritten)
def _overwritten(rng: np.random.Generator, cls: Any) -> Case:
    yield (cls(random_buffer(rng, (3, 4), float32), random_buffer(rng, (3, 4), float32)),)


@case(ir.Custom)
def _custom(rng: np.random.Generator, cls: Any) -> Case:
    x, y = random_buffer(rng, (3, 4), float32), random_buffer(rng, (2,), float32)
    yield (cls(x, (y,), lambda g, node: (None,)),)


@case(ir.Copy)
def _copy(rng: np.random.Generator, cls: Any) -> Case:
    x = random_buffer(rng, (3, 4), float32)
    yield (ir.Exp(ir.Copy(ir.Neg(x), Device.DEFAULT)),)


@case(ir.Const, ir.Iota)
def _made(rng: np.random.Generator, cls: Any) -> Case:
    for dtype in ALL:
        if cls is ir.Const:
            yield from ((ir.Const(1, dtype, shape),) for shape in SHAPES)
        elif dtype != bool_:
            yield from ((ir.Iota(n, dtype),) for n in (0, 1, 7, 40))


@case(ir.Reduce)
def _reduce(rng: np.random.Generator, cls: Any) -> Case:
    for op in ir.REDUCTIONS:
        for dtype in ALL:
            for shape, axes in (
                ((7,), (0,)), ((2, 5), (1,)), ((2, 5), (0,)), ((4, 1, 9), (0, 2)), ((3, 0), (1,)),
                ((0, 3), (1,)), ((2, 3, 11), (1,)), ((6,), ()), ((2, 40), (1,)),
            ):  # fmt: skip
                yield (ir.Reduce(random_buffer(rng, shape, dtype), op, axes),)


@case(ir.Reshape, ir.Permute, ir.Expand, ir.Pad, ir.Slice, ir.Window)
def _movement(rng: np.random.Generator, cls: Any) -> Case:
    for dtype in (float32, int64, bool_, bfloat16):
        x = random_buffer(rng, (4, 1, 6), dtype)
        made: dict[type[Node], list[Node]] = {
            ir.Reshape: [ir.Reshape(x, (24,)), ir.Reshape(x, (3, 2, 1, 4))],
            ir.Permute: [ir.Permute(x, (2, 0, 1)), ir.Permute(x, (0, 2, 1))],
            ir.Expand: [ir.Expand(x, (4, 5, 6)), ir.Expand(x, (4, 0, 6))],
            ir.Pad: [ir.Pad(x, ((1, 0), (2, 1), (0, 3)), 1), ir.Pad(x, ((0, 0),) * 3, 0)],
            ir.Slice: [
                ir.Slice(x, (3, 0, 1), (4, 1, 2), (-1, 1, 3)),
                ir.Slice(x, (0, 0, 0), (0, 1, 6), (1, 1, 1)),
            ],
            ir.Window: [ir.Window(x, 2, 3, 1, 1), ir.Window(x, 2, 2, 2, 3), ir.Window(x, 0, 4)],
        }
        yield from ((node,) for node in made[cls])


@case(ir.Join)
def _join(rng: np.random.Generator, cls: Any) -> Case:
    for dtype in (float32, int64, bool_, bfloat16):
        for axis, sizes in ((0, (1, 4, 1)), (1, (3, 1, 17, 2)), (2, (1,) * 9)):
            shapes = [(*(2, 3, 5)[:axis], n, *(2, 3, 5)[axis + 1 :]) for n in sizes]
            parts = [random_buffer(rng, shape, dtype) for shape in shapes]
            yield ir.Join(tuple(parts), axis), ir.Join(tuple(parts[::-1]), axis)


@case(ir.Scan)
def _scan(rng: np.random.Generator, cls: Any) -> Case:
    for dtype in ALL:
        for shape in ((1,), (33,), (2, 5), (4, 1, 9), (0, 3), (9, 2, 70)):
            if dtype != bool_:
                x = random_buffer(rng, shape, dtype)
                yield tuple(ir.Scan(x, axis) for axis in range(len(shape)))
                yield tuple(ir.Scan(x, axis, "prod") for axis in range(len(shape)))


@case(ir.Fold)
def _fold(rng: np.random.Generator, cls: Any) -> Case:
    for dtype in (float32, int64, bool_, float16):
        for n, size, stride, dilation in ((6, 3, 1, 1), (9, 2, 2, 3), (5, 5, 1, 1), (7, 3, 2, 1)):
            count = ir.window_count(n, size, stride, dilation)
            x = random_buffer(rng, (2, count, 3, size), dtype)
            yield (ir.Fold(x, 1, n, stride, dilation),)


@case(ir.Gather)
def _gather(rng: np.random.Generator, cls: Any) -> Case:
    for dtype in (float32, int32, bool_):
        x = random_buffer(rng, (5, 4), dtype)
        rows = buffer(rng.integers(-1, 6, (3, 4)))
        columns = buffer(rng.integers(0, 4, (3, 4)).astype(np.int32))
        walked = broadcast_to(ir.Iota(4), (3, 4))
        yield (ir.Gather(x, (rows, columns)),)
        yield (ir.Gather(x, (rows, walked)), ir.Gather(ir.Neg(x), (rows, walked)))


@case(ir.Scatter)
def _scatter(rng: np.random.Generator, cls: Any) -> Case:
    for op in ("set", *ir.REDUCTIONS):
        for dtype in (float32, int64, bool_, bfloat16):
            x = random_buffer(rng, (5, 4), dtype)
            values = random_buffer(rng, (3, 4), dtype)
            rows = buffer(rng.integers(-1, 6, (3, 4)))
            columns = buffer(rng.integers(0, 4, (3, 4)))
            walked = broadcast_to(ir.Iota(4), (3, 4))
            row = broadcast_to(ir.Reshape(buffer(rng.integers(0, 5, 3)), (3, 1)), (3, 4))
            yield (ir.Scatter(x, (rows, columns), values, op),)
            yield (ir.Scatter(ir.Neg(x) if dtype.is_float else x, (row, walked), values, op),)


@case(ir.Winograd, ir.WinogradFilter)
def _winograd(rng: np.random.Generator, cls: Any) -> Case:
    machine = Device.get(Device.DEFAULT).machine
    if machine.gpu or machine.local_bytes:
        pytest.skip("made where its slices have memory enough")
    for x_shape, outputs in (((1, 1, 4, 4), 1), ((2, 3, 8, 10), 5), ((3, 17, 16, 6), 33)):
        w = random_buffer(rng, (outputs, x_shape[1], 3, 3), float32)
        made = ir.WinogradFilter(w)
        if cls is ir.Winograd:
            x = random_buffer(rng, x_shape, float32)
            yield (ir.Winograd(x, made, w), ir.Neg(ir.Winograd(ir.Abs(x), made, w)))
        else:
            yield (made,)


@case(ir.InRange)
def _in_range(rng: np.random.Generator, cls: Any) -> Case:
    source = ir.Source("index", "test.py", 1)
    for dtype in (*INTS, int8):
        for shape in SHAPES:
            for ignored in (None, 100):
                index = buffer(rng.integers(0, 7, shape).astype(dtype.numpy))
                low = 0 if dtype.kind == "uint" else -9
                yield (ir.InRange(index, 0, 7, ignored, source),)
                yield (ir.InRange(index, low, 8, ignored, source),)


@case(ir.Sort)
def _sort(rng: np.random.Generator, cls: Any) -> Case:
    for dtype in ALL:
        for shape in ((1,), (2,), (33,), (3, 0), (0, 3), (4, 1, 9)):
            x = random_buffer(rng, shape, dtype)
            for axis in range(len(shape)):
                yield ir.Sort(x, axis), ir.Sort(x, axis, True)
    values = rng.integers(0, 4, (3, 20)).astype(np.float32)
    values[rng.random(values.shape) < 0.3] = np.nan
    yield ir.Sort(buffer(values), 1), ir.Sort(buffer(values), 0, True)


@case(ir.RandomBits)
def _random_bits(rng: np.random.Generator, cls: Any) -> Case:
    state = buffer(rng.integers(0, 1 << 32, 3).astype(np.uint32))
    for shape in SHAPES:
        yield (ir.RandomBits(state, shape),)


@case(ir.Recurrence)
def _recurrence(rng: np.random.Generator, cls: Any) -> Case:
    """Of a step with a sum, two states that change places, and a value that is no state."""
    for shape, steps, reverse in itertools.product([(3, 4), (1, 1), (2, 17)], [1, 2, 5], [0, 1]):
        h, c, rows, scale = (
            buffer(rng.standard_normal(s).astype(np.float32))
            for s in (shape, shape, (steps, *shape), shape[1:])
        )
        parts = (h, c), (rows,), (scale,)
        old, other, x, s = ir.step_inputs(*parts, h.device)
        total = ir.Reduce(ir.Mul(old, broadcast_to(s, shape)), "sum", (1,))
        new = ir.Tanh(ir.Add(x, broadcast_to(ir.Reshape(total, (shape[0], 1)), shape)))
        made = ir.Recurrence(*parts, ir.Step((other, new), total), steps, bool(reverse))
        yield made, *map(made.giving, made.step.states)


@pytest.mark.parametrize(
    "cls",
    [cls for cls in ir.NODE_CLASSES if cls is not ir.StepInput],  # it has values in a step alone
    ids=lambda cls: cls.__name__,
)
def test_node_class(cls: type[Node]) -> None:
    """All graphs of a class at once, so that a plan is made once."""
    graphs = list(CASES[cls](np.random.default_rng(0)))
    assert graphs
    check([node for graph in graphs for node in graph])


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("width", [2, 3])
def test_the_last_of_equal_places_wins(step: int, width: int) -> None:
    """Also where places are arithmetic, and two loops meet in them."""
    shape = (40, width)
    place = ir.Add(
        ir.Mul(broadcast_to(ir.Reshape(ir.Iota(40), (40, 1)), shape), ir.Const(step, int64, shape)),
        ir.Mul(broadcast_to(ir.Iota(width), shape), ir.Const(step, int64, shape)),
    )
    zeros = buffer(np.zeros(step * (40 + width), np.float32))
    values = buffer(np.arange(40 * width, dtype=np.float32).reshape(shape))
    check([ir.Scatter(zeros, (place,), values, "set")])


# --------------------------------------------------------------------------- random graphs

SIZES = st.sampled_from((0, 1, 1, 2, 3, 4, 5, 8, 9, 17))
SHAPE = st.lists(SIZES, max_size=3).map(tuple)
UNARY = (ir.Neg, ir.Abs, ir.Sin, ir.Tanh)  # none with steps: a rounding error stays one
BINARY = (ir.Add, ir.Sub, ir.Mul, ir.Maximum, ir.Minimum)


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Outputs of a graph that grows a node at a time from a few leaves of float32."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    nodes: list[Node] = [
        random_buffer(rng, draw(SHAPE), float32) for _ in range(draw(st.integers(1, 3)))
    ]
    for _ in range(draw(st.integers(1, 8))):
        x = draw(st.sampled_from(nodes))
        node = draw(st.sampled_from(_GROW))(draw, x, rng)
        # tanh keeps chains of products and sums small, so that one tolerance fits all
        nodes.append(ir.Tanh(node) if node.dtype == float32 else ir.Cast(node, float32))
    return draw(st.lists(st.sampled_from(nodes[::-1]), min_size=1, max_size=3, unique=True))


def _axis(draw: st.DrawFn, x: Node) -> int | None:
    axes = [axis for axis, n in enumerate(x.shape) if n]
    return draw(st.sampled_from(axes)) if axes else None


def _elementwise_node(draw: st.DrawFn, x: Node, rng: np.random.Generator) -> Node:
    if draw(st.booleans()):
        return draw(st.sampled_from(UNARY))(x)
    other = draw(st.sampled_from((x, ir.Sin(x), random_buffer(rng, x.shape, float32))))
    return draw(st.sampled_from(BINARY))(x, other)


def _where_node(draw: st.DrawFn, x: Node, rng: np.random.Generator) -> Node:
    y = random_buffer(rng, x.shape, float32)
    return ir.Where(ir.Less(y, ir.Const(0, float32, x.shape)), ir.Sin(x), y)


def _reduce_node(draw: st.DrawFn, x: Node, rng: np.random.Generator) -> Node:
    axes = draw(st.sets(st.integers(0, max(len(x.shape) - 1, 0)))) if x.shape else set()
    op = draw(st.sampled_from(("sum", "max", "min")))
    reduced = ir.Reduce(x, op, tuple(sorted(axes)))
    if draw(st.booleans()):
        return reduced
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    return ir.Sub(x, broadcast_to(ir.Reshape(reduced, kept), x.shape))


def _movement_node(draw: st.DrawFn, x: Node, rng: np.random.Generator) -> Node:
    kind = draw(st.sampled_from(("permute", "reshape", "expand", "pad", "flip")))
    rank = len(x.shape)
    if kind == "permute":
        return ir.Permute(x, tuple(draw(st.permutations(range(rank)))))
    if kind == "reshape":
        return ir.Reshape(x, draw(st.sampled_from(((x.size,), (1, x.size), (*x.shape, 1)))))
    if kind == "pad":
        padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in x.shape)
        return ir.Pad(x, padding, draw(st.sampled_from((0.0, 1.5))))
    if kind == "flip" and x.size:
        starts = tuple(n - 1 for n in x.shape)
        return ir.Slice(x, starts, x.shape, (-1,) * rank)
    return broadcast_to(x, (draw(st.integers(1, 3)), *x.shape))


def _window_node(draw: st.DrawFn, x: Node, rng: np.random.Generator) -> Node:
    axis = _axis(draw, x)
    if axis is None:
        return ir.Neg(x)
    size = draw(st.integers(1, min(3, x.shape[axis])))
    stride = draw(st.integers(1, 2))
    windows = ir.Window(x, axis, size, stride)
    choice = draw(st.sampled_from(("windows", "max", "fold")))
    if choice == "max":
        return ir.Reduce(windows, "max", (len(windows.shape) - 1,))
    return windows if choice == "windows" else ir.Fold(windows, axis, x.shape[axis], stride)


def _gather_node(draw: st.DrawFn, x: Node, rng: np.random.Generator) -> Node:
    if not x.shape:
        return ir.Neg(x)
    shape = (draw(st.integers(1, 4)), *x.shape[1:])
    rows = buffer(rng.integers(-1, x.shape[0] + 1, shape))
    walked = []
    for axis, n in enumerate(x.shape[1:], 1):
        iota = ir.Reshape(ir.Iota(n), (n, *(1 for _ in x.shape[axis + 1 :])))
        walked.append(broadcast_to(iota, shape))
    if draw(st.booleans()) or not x.size:
        return ir.Gather(x, (rows, *walked))
    values = random_buffer(rng, shape, float32)
    return ir.Scatter(x, (rows, *walked), values, draw(st.sampled_from(("sum", "set", "max"))))


def _contraction_node(draw: st.DrawFn, x: Node, rng: np.random.Generator) -> Node:
    """x @ w, along the last axis."""
    *batch, k = x.shape or (1,)
    n = draw(SIZES)
    left = ir.Reshape(x, (*batch, 1, k))
    weight = random_buffer(rng, (n, k), float32)
    shape = (*batch, n, k)
    product = ir.Mul(broadcast_to(left, shape), broadcast_to(weight, shape))
    return ir.Mul(ir.Reduce(product, "sum", (len(shape) - 1,)), ir.Const(0.05, float32, shape[:-1]))


_GROW = (
    _elementwise_node, _elementwise_node, _where_node, _reduce_node, _movement_node, _window_node,
    _gather_node, _contraction_node,
)  # fmt: skip


@settings(max_examples=50)
@given(graphs())
def test_random_graphs(outputs: list[Node]) -> None:
    check(outputs, scale=5.0)


@pytest.mark.slow
@settings(max_examples=1000)
@given(graphs())
def test_many_random_graphs(outputs: list[Node]) -> None:
    check(outputs, scale=5.0)
