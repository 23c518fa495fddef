"""simplify() as a whole: values stay, work goes, in linear time and at any depth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazygrad.dtypes import bfloat16, bool_, float16, float32, float64, int8, int32, int64, uint8
from lazygrad.graph import build, ir
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.gradient import gradient
from lazygrad.graph.ir import (
    Add,
    Cast,
    Const,
    Detach,
    Div,
    Exp,
    Expand,
    Fold,
    Gather,
    Iota,
    Less,
    Maximum,
    Mul,
    Neg,
    Node,
    Pad,
    Permute,
    Reduce,
    Reshape,
    Scatter,
    Slice,
    Sqrt,
    Sub,
    Token,
    Where,
    Window,
    topological,
)
from lazygrad.graph.merge_sums import merge_sums
from lazygrad.graph.simplify import simplify
from lazygrad.graph.verify import verify


def below_movement(node):
    """What a chain of movement moves."""
    while isinstance(node, ir.Movement):
        node = node.x
    return node


# --------------------------------------------------------------------------- convolution


def convolution(x, w, stride=1, padding=1, groups=1, dilation=1):
    """conv2d as Tensor builds it: windows times weights, summed over (c, ky, kx)."""
    (n, _, *_), (o, inner, kh, kw) = x.shape, w.shape
    x = build.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    windows = Window(Window(x, 2, kh, stride, dilation), 3, kw, stride, dilation)
    oy, ox = windows.shape[2:4]
    windows = build.reshape(windows, (n, groups, inner, oy, ox, kh, kw))
    windows = build.permute(windows, (0, 1, 3, 4, 2, 5, 6))
    windows = build.reshape(windows, (n, groups, 1, oy, ox, inner, kh, kw))
    weights = build.reshape(w, (1, groups, o // groups, 1, 1, inner, kh, kw))
    full = (n, groups, o // groups, oy, ox, inner, kh, kw)
    product = Mul(build.expand(windows, full), build.expand(weights, full))
    return build.reshape(Reduce(product, "sum", (5, 6, 7)), (n, o, oy, ox))


@pytest.mark.parametrize(
    ("size", "kernel", "options"),
    [
        (6, 3, {}),
        (7, 3, {"stride": 2}),
        (8, 4, {"stride": 2}),
        (9, 5, {"stride": 3, "padding": 2}),
        (7, 3, {"dilation": 2}),
        (7, 3, {"groups": 2, "stride": 2}),
        (6, 1, {"padding": 0}),
        (6, 1, {"padding": 0, "stride": 2}),
        (6, 2, {"padding": 0, "stride": 2}),
    ],
)
def test_the_gradients_of_a_convolution_are_one_contraction_each(leaf, size, kernel, options):
    rng = np.random.default_rng(0)
    x = leaf(rng.normal(size=(2, 4, size, size)))
    w = leaf(rng.normal(size=(6, 4 // options.get("groups", 1), kernel, kernel)))
    y = convolution(x, w, **options)
    g = leaf(rng.normal(size=y.shape))
    outputs = [y, *gradient(y, [x, w], g)]
    simpler = merge_sums(simplify(outputs))
    verify(simpler)
    for old, new in zip(evaluate(outputs), evaluate(simpler), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-12)
    for node, factors in zip(simpler, ({x, w}, {g, w}, {g, x}), strict=True):
        (summed,) = [n for n in topological([node]) if isinstance(n, (Reduce, Fold))]
        assert isinstance(summed, Reduce)
        product = below_movement(summed.x)
        assert isinstance(product, Mul)
        assert {below_movement(factor) for factor in product.inputs} == factors
        assert isinstance(below_movement(node), Reduce)


def test_a_strided_convolutions_input_gradient_visits_no_zeros_but_a_border(leaf):
    """Each weight meets each cotangent once: work is output positions times kernel, not x's size
    times kernel, as where every second place is zero.
    """
    x, w = leaf(np.ones((1, 3, 64, 64))), leaf(np.ones((5, 3, 4, 4)))
    y = convolution(x, w, stride=2)
    (dx,) = simplify(gradient(y, [x]))
    (summed,) = [n for n in topological([dx]) if isinstance(n, Reduce)]
    assert summed.x.size <= 1.2 * y.size * 3 * 4 * 4


def test_the_input_gradient_of_max_pooling_needs_no_fold(leaf):
    x = leaf(np.random.default_rng(0).normal(size=(2, 3, 8, 8)))
    y = Reduce(Window(Window(x, 2, 2, 2), 3, 2, 2), "max", (4, 5))
    outputs = gradient(y, [x])
    simpler = simplify(outputs)
    assert not any(isinstance(node, (Fold, Window)) for node in topological(simpler))
    assert np.array_equal(*evaluate([*outputs, *simpler]))


# --------------------------------------------------------------------------- other patterns


def test_the_gradient_of_a_mean_is_a_constant(leaf):
    x = leaf(np.ones((3, 4)))
    mean = Mul(Reduce(x, "sum", (0, 1)), Const(1 / 12, float64))
    assert simplify(gradient(mean, [x])) == [Const(1 / 12, float64, (3, 4))]


def test_a_matrix_products_gradients_are_matrix_products(leaf):
    a, b = leaf(np.ones((4, 5))), leaf(np.ones((5, 6)))
    full = (4, 6, 5)
    product = Mul(
        Expand(Reshape(a, (4, 1, 5)), full), Expand(Reshape(Permute(b, (1, 0)), (1, 6, 5)), full)
    )
    y = Reduce(product, "sum", (2,))
    g = leaf(np.ones((4, 6)))
    for node, axis in zip(simplify(gradient(y, [a, b], g)), (1, 0), strict=True):
        assert isinstance(below_movement(node), Reduce)
        (summed,) = [n for n in topological([node]) if isinstance(n, Reduce)]
        assert {below_movement(f) for f in below_movement(summed.x).inputs} < {a, b, g}
        assert len(summed.axes) == 1, axis


def test_nothing_is_left_of_what_cancels(leaf):
    x = leaf(np.ones((2, 3)))
    y = Neg(Neg(Reshape(Permute(Permute(Mul(x, Const(1, float64, (2, 3))), (1, 0)), (1, 0)), (6,))))
    assert simplify([Reshape(y, (2, 3))]) == [x]


def test_outputs_keep_their_number_order_shape_and_dtype(leaf):
    x = leaf(np.ones((2, 3)))
    outputs = [Neg(x), x, Neg(Neg(x)), Cast(x, float32), Neg(x)]
    simpler = simplify(outputs)
    assert simpler == [Neg(x), x, x, Cast(x, float32), Neg(x)]
    assert simplify([]) == []


def test_simplifying_again_changes_nothing(leaf):
    x, w = leaf(np.ones((2, 3, 9, 9))), leaf(np.ones((4, 3, 3, 3)))
    y = convolution(x, w, stride=2)
    once = simplify([y, *gradient(y, [x, w], Exp(y))])
    assert simplify(once) == once


# --------------------------------------------------------------------------- time and depth


def test_a_chain_of_100_000_nodes_is_simplified(deep):
    x, y = deep
    simpler = simplify([Sub(y, Detach(x, Token()))])
    assert len(topological(simpler)) == 100_003


def test_work_is_linear(leaf, count_calls):
    def training_step(layers):
        """Small dense layers, relu, and Adam's update: about 57 nodes a layer."""
        rng = np.random.default_rng(0)
        h: Node = leaf(rng.normal(size=(8, 4)), float32)
        weights = [Detach(leaf(rng.normal(size=(4, 4)), float32), Token()) for _ in range(layers)]
        for w in weights:
            full = (8, 4, 4)
            rows, columns = Reshape(h, (8, 4, 1)), Reshape(w, (1, 4, 4))
            h = Reduce(Mul(Expand(rows, full), Expand(columns, full)), "sum", (1,))
            zero = build.zeros_like(h)
            h = Where(Less(zero, h), h, zero)
        outputs: list[Node] = []
        for w, g in zip(weights, gradient(h, weights), strict=True):
            m, v = (leaf(np.zeros((4, 4)), float32) for _ in range(2))
            m = Add(Mul(m, build.full_like(m, 0.9)), Mul(g, build.full_like(m, 0.1)))
            v = Add(Mul(v, build.full_like(v, 0.99)), Mul(Mul(g, g), build.full_like(v, 0.01)))
            outputs += [m, v, Sub(w, Div(m, Add(Sqrt(v), build.full_like(v, 1e-8))))]
        return outputs

    work, counts = [], []
    for layers in (60, 240):
        outputs = training_step(layers)
        counts.append(len(topological(outputs)))
        work.append(count_calls(lambda outputs=outputs: simplify(outputs)))
    assert counts[1] > 8000
    assert work[1] < 4.5 * work[0]  # four times the layers


# --------------------------------------------------------------------------- random graphs

FLOATS = [float32, float64, float16, bfloat16]
INTS = [int32, int8, uint8, int64]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, math.inf, -math.inf, math.nan]
UNARY = [ir.Neg, ir.Abs, ir.Exp, ir.Floor, ir.Round, ir.Not]
BINARY = [ir.Add, ir.Sub, ir.Mul, ir.Div, ir.FloorDiv, ir.Mod, ir.Maximum, ir.And, ir.Or, ir.Xor,
          ir.Shl, ir.Less, ir.Equal, ir.NotEqual]  # fmt: skip


@st.composite
def constants(draw, like):
    if like.dtype.is_float:
        return Const(draw(st.sampled_from(SPECIAL)), like.dtype, like.shape)
    return Const(draw(st.sampled_from([0, 1, -1, 2, 7])), like.dtype, like.shape)


@st.composite
def elementwise(draw, x):
    """An elementwise operation on x, and another operand that often has something to do with it."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        cls = draw(st.sampled_from(UNARY))
        return cls(x) if cls.operation.accepts(x.dtype) else Neg(x)
    if kind == 1:
        return Cast(x, draw(st.sampled_from([*FLOATS, *INTS, bool_])))
    y = draw(st.one_of(constants(x), st.just(x), st.just(Neg(x))))
    if kind == 2:
        condition = draw(st.sampled_from([Less(x, y), ir.Equal(x, y), ir.Not(ir.Equal(y, x))]))
        return Where(condition, x, y)
    cls = draw(st.sampled_from(BINARY))
    if not cls.operation.accepts(x.dtype):
        cls = Maximum
    return cls(x, y) if draw(st.booleans()) else cls(y, x)


@st.composite
def views(draw, x):
    """A view of x, of at most some hundred elements."""
    rank, kind = len(x.shape), draw(st.integers(0, 5))
    if kind == 0:
        return Permute(x, tuple(draw(st.permutations(range(rank)))))
    if kind == 1:
        shape = [n for n in x.shape if n != 1] or [1]
        merged = draw(st.booleans()) and len(shape) > 1
        shape = [shape[0] * shape[1], *shape[2:]] if merged else [1, *shape]
        return Reshape(x, tuple(shape))
    if kind == 2:
        repeats = 3 if x.size <= 100 else 1
        return Expand(x, tuple(repeats if n == 1 else n for n in x.shape))
    if kind == 3 and x.size <= 200:
        padding = tuple(draw(st.tuples(st.integers(0, 1), st.integers(0, 1))) for _ in range(rank))
        return Pad(x, padding, draw(st.sampled_from([0, 1])))
    if kind == 4:
        steps = [draw(st.sampled_from([1, -1, 2])) for _ in range(rank)]
        sizes = [max(1, n // abs(s)) for n, s in zip(x.shape, steps, strict=True)]
        starts = [n - 1 if s < 0 else 0 for n, s in zip(x.shape, steps, strict=True)]
        return Slice(x, tuple(starts), tuple(sizes), tuple(steps))
    axis = draw(st.integers(0, rank - 1))
    if x.size > 200:
        return x
    return Window(x, axis, draw(st.integers(1, min(3, x.shape[axis]))), draw(st.integers(1, 2)))


@st.composite
def sums(draw, x):
    """A reduction, fold, gather or scatter of x."""
    rank, kind = len(x.shape), draw(st.integers(0, 3))
    if kind <= 1 or rank < 2:
        axes = tuple(a for a in range(rank) if draw(st.booleans()))
        node = Reduce(x, draw(st.sampled_from(list(ir.REDUCTIONS))), axes)
        return node if node.shape else Reshape(node, (1,))
    if kind == 2:
        axis, stride = draw(st.integers(0, rank - 2)), draw(st.integers(1, 3))
        dilation = draw(st.integers(1, 2))
        size = (x.shape[axis] - 1) * stride + (x.shape[-1] - 1) * dilation + 1
        return Fold(x, axis, size, stride, dilation)
    index = ir.Mod(Iota(x.size), Const(2, int64, (x.size,)))
    flat = Reshape(x, (x.size,))
    if draw(st.booleans()):
        return Gather(flat, (index,))
    return Scatter(Const(0, x.dtype, (2,)), (index,), flat, draw(st.sampled_from(["sum", "set"])))


@st.composite
def graphs(draw, leaf, exact):
    """A random graph over one leaf; `exact`: without operations that may be reordered."""
    dtype = draw(st.sampled_from([*FLOATS, *INTS]))
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    values = SPECIAL if exact and dtype.is_float else [0, 1, 2, 3, -1, -2]
    flat = [draw(st.sampled_from(values)) for _ in range(math.prod(shape))]
    with np.errstate(all="ignore"):
        elements = np.array(flat, np.float64).astype(dtype.numpy if dtype.is_float else np.int64)
        x: Node = leaf(elements.astype(dtype.numpy).reshape(shape))
    steps = [elementwise, views] if exact else [views, views, sums, sums]
    for step in draw(st.lists(st.sampled_from(steps), min_size=1, max_size=8)):
        x = Detach(draw(step(x)), Token())
    return x


def bits(array):
    """The array's bits, every nan alike."""
    wide = array.astype(np.float64) if array.dtype.kind in "fV" else array
    return np.where(wide == wide, wide, np.nan if wide.dtype.kind == "f" else 0).tobytes()


@settings(max_examples=300)
@given(data=st.data())
def test_random_graphs_keep_every_bit(leaf, data):
    node = data.draw(graphs(leaf, exact=True))
    (simpler,) = simplify([node])
    verify([simpler])
    old, new = evaluate([node, simpler])
    assert bits(old) == bits(new)


@settings(max_examples=300)
@given(data=st.data())
def test_random_graphs_of_sums_keep_their_values(leaf, data):
    node = data.draw(graphs(leaf, exact=False))
    (simpler,) = simplify([node])
    verify([simpler])
    old, new = (a.astype(float) for a in evaluate([node, simpler]))
    tolerance = {2: 0.05, 4: 1e-4}.get(node.dtype.itemsize, 1e-9) if node.dtype.is_float else 0
    np.testing.assert_allclose(new, old, rtol=tolerance, atol=tolerance)
    assert not any(isinstance(inner, Detach) for inner in topological([simpler]))
