"""evaluate() gives each node the value that its docstring promises."""

import warnings

import ml_dtypes
import numpy as np
import pytest

from lazygrad.dtypes import (
    bfloat16,
    bool_,
    float16,
    float32,
    int8,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from lazygrad.errors import CompilerError
from lazygrad.graph import ir
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import (
    Abs,
    Add,
    And,
    Bitcast,
    Cast,
    Ceil,
    Const,
    Contiguous,
    Copy,
    Cos,
    Detach,
    Div,
    Equal,
    Erf,
    Exp,
    Expand,
    Floor,
    FloorDiv,
    Fold,
    Gather,
    InRange,
    Iota,
    Join,
    Less,
    LessEqual,
    Log,
    Maximum,
    Minimum,
    Mod,
    Mul,
    Neg,
    Not,
    NotEqual,
    Or,
    Pad,
    Permute,
    Pow,
    Reduce,
    Reshape,
    Round,
    Scatter,
    Shl,
    Shr,
    Sin,
    Slice,
    Sort,
    Source,
    Sqrt,
    Sub,
    Tanh,
    Trunc,
    Where,
    Window,
    Xor,
)

INF, NAN = float("inf"), float("nan")
T, F = True, False

# One line a case: (node, given a maker of leaves; its value).
# G w G^T of the filter with 1 in its first corner and 4 in its last
FILTER = [[1, 0.5, 0.5, 0], [0.5, 1.25, 1.25, 2], [0.5, 1.25, 1.25, 2], [0, 2, 2, 4]]


def running(start: ir.Node, rows: ir.Node) -> ir.Node:
    """The sums of a start and the rows so far."""
    h, x = ir.step_inputs((start,), (rows,), (), "CPU")
    total = Add(h, x)
    return ir.Recurrence((start,), (rows,), (), ir.Step((total,), total), rows.shape[0])


CASES = [
    (lambda a: a([[1.0, 2.0]]), [[1.0, 2.0]]),
    (lambda a: Const(3, int32, (2,)), [3, 3]),
    (lambda a: Const(300, int8), 44),
    (lambda a: Const(1e300, float32), INF),
    (lambda a: Iota(3), [0, 1, 2]),
    (lambda a: InRange(a([2, 0, 9]), 0, 3, 9, Source("gather", "a.py", 1)), [2, 0, 9]),
    (lambda a: Iota(258, uint8), [*range(256), 0, 1]),
    (lambda a: Neg(a([1.0, -0.0])), [-1.0, 0.0]),
    (lambda a: Neg(a([1, 0], uint8)), [255, 0]),
    (lambda a: Neg(a([T, F])), [T, F]),
    (lambda a: Abs(a([-1.5, -0.0, NAN])), [1.5, 0.0, NAN]),
    (lambda a: Abs(a([-128, 5], int8)), [-128, 5]),
    (lambda a: Exp(a([0.0, -INF, 1000.0])), [1.0, 0.0, INF]),
    (lambda a: Log(a([1.0, 0.0, -1.0])), [0.0, -INF, NAN]),
    (lambda a: Sqrt(a([4.0, -0.0, -1.0])), [2.0, -0.0, NAN]),
    (lambda a: Sin(a([0.0, np.pi / 2])), [0.0, 1.0]),
    (lambda a: Cos(a([0.0])), [1.0]),
    (lambda a: Tanh(a([0.0, 50.0])), [0.0, 1.0]),
    (lambda a: Erf(a([0.0, 1.0, -INF])), [0.0, 0.8427007929497149, -1.0]),
    (lambda a: Floor(a([-1.5, 1.5])), [-2.0, 1.0]),
    (lambda a: Ceil(a([-1.5, 1.5])), [-1.0, 2.0]),
    (lambda a: Trunc(a([-1.5, 1.5])), [-1.0, 1.0]),
    (lambda a: Round(a([0.5, 1.5, -2.5])), [0.0, 2.0, -2.0]),
    (lambda a: Not(a([T, F])), [F, T]),
    (lambda a: Not(a([0, -1], int8)), [-1, 0]),
    (lambda a: Add(a([1.0, -0.0]), a([2.0, -0.0])), [3.0, -0.0]),
    (lambda a: Add(a([127], int8), a([1], int8)), [-128]),
    (lambda a: Add(a([T, T, F]), a([T, F, F])), [T, T, F]),
    (lambda a: Sub(a([0], uint8), a([1], uint8)), [255]),
    (lambda a: Sub(a([T, T, F, F]), a([T, F, T, F])), [F, T, T, F]),
    (lambda a: Mul(a([2.0, 0.0]), a([3.0, INF])), [6.0, NAN]),
    (lambda a: Mul(a([T, T]), a([T, F])), [T, F]),
    (lambda a: Div(a([1.0, 1.0, 0.0]), a([2.0, -0.0, 0.0])), [0.5, -INF, NAN]),
    (lambda a: FloorDiv(a([-7, 7, 7]), a([2, -2, 0])), [-4, -4, 0]),
    (lambda a: FloorDiv(a([-7.0, 1.0]), a([2.0, 0.1])), [-4.0, 9.0]),
    (lambda a: FloorDiv(a([T, T, F]), a([T, F, T])), [T, F, F]),
    (lambda a: Mod(a([-7, 7, 7]), a([2, -2, 0])), [1, -1, 0]),
    (lambda a: Mod(a([-7.0, 7.0, 1.0]), a([2.0, -2.0, 0.0])), [1.0, -1.0, NAN]),
    (lambda a: Mod(a([T, T]), a([T, F])), [F, F]),
    (lambda a: Pow(a([2.0, -2.0, NAN, -1.0]), a([3.0, 2.0, 0.0, 0.5])), [8.0, 4.0, 1.0, NAN]),
    (lambda a: Maximum(a([1.0, NAN, 1.0]), a([2.0, 1.0, NAN])), [2.0, NAN, NAN]),
    (lambda a: Minimum(a([1.0, NAN, 1.0]), a([2.0, 1.0, NAN])), [1.0, NAN, NAN]),
    (lambda a: Less(a([1.0, 2.0, NAN]), a([2.0, 2.0, 1.0])), [T, F, F]),
    (lambda a: LessEqual(a([1.0, 2.0, NAN]), a([2.0, 2.0, NAN])), [T, T, F]),
    (lambda a: Equal(a([0.0, NAN]), a([-0.0, NAN])), [T, F]),
    (lambda a: NotEqual(a([0.0, NAN]), a([-0.0, NAN])), [F, T]),
    (lambda a: And(a([12, 10]), a([10, 10])), [8, 10]),
    (lambda a: Or(a([T, F]), a([F, F])), [T, F]),
    (lambda a: Xor(a([12, 1]), a([10, 1])), [6, 0]),
    (lambda a: Shl(a([1, 1, -1], int8), a([3, 8, 7], int8)), [8, 0, -128]),
    (lambda a: Shl(a([T, T]), a([F, T])), [T, F]),
    (lambda a: Shr(a([-128, -1, 64], int8), a([3, 100, 8], int8)), [-16, -1, 0]),
    (lambda a: Shr(a([128, 255], uint8), a([7, 8], uint8)), [1, 0]),
    (lambda a: Where(a([T, F]), a([1, 2]), a([3, 4])), [1, 4]),
    (lambda a: Cast(a([-1.5, 2.9, 0.0]), int32), [-1, 2, 0]),
    (lambda a: Cast(a([0.0, -0.0, NAN, 0.1]), bool_), [F, F, T, T]),
    (lambda a: Cast(a([300, -1]), uint8), [44, 255]),
    (lambda a: Cast(a([-1.0, 2.0**63]), uint64), [2**64 - 1, 2**63]),
    (lambda a: Cast(a([T, F]), float16), [1.0, 0.0]),
    (lambda a: Cast(a([1e6], float32), float16), [INF]),
    (lambda a: Cast(a([257], int64), bfloat16), [256.0]),
    (lambda a: Cast(a([-2.5], bfloat16), int8), [-2]),
    (lambda a: Bitcast(a([1.0], float32), int32), [0x3F800000]),
    (lambda a: Bitcast(a(0x3F80, uint16), bfloat16), 1.0),
    (lambda a: Reduce(a([[1.0, 2.0], [3.0, 4.0]]), "sum", (0,)), [4.0, 6.0]),
    (lambda a: Reduce(a([[1, 2], [3, 4]], int8), "prod", (0, 1)), 24),
    (lambda a: Reduce(a([[100, 100]], int8), "sum", (1,)), [-56]),
    (lambda a: Reduce(a([[T, F], [F, F]]), "sum", (1,)), [T, F]),
    (lambda a: Reduce(a([[T, F], [T, T]]), "prod", (1,)), [F, T]),
    (lambda a: Reduce(a([[1.0, NAN], [3.0, 4.0]]), "max", (1,)), [NAN, 4.0]),
    (lambda a: Reduce(a([[1, 2]]), "min", (0, 1)), 1),
    (lambda a: Reduce(a(np.ones((2, 0))), "sum", (1,)), [0.0, 0.0]),
    (lambda a: Reduce(a(np.ones((2, 0))), "max", (1,)), [-INF, -INF]),
    (lambda a: Reduce(a(np.ones((0,)), int8), "min", (0,)), 127),
    (lambda a: Reduce(a([2048.0, 1.0, 1.0, 1.0], float16), "sum", (0,)), 2052.0),
    (lambda a: Reshape(a([[1, 2], [3, 4]]), (4,)), [1, 2, 3, 4]),
    (lambda a: Permute(a([[1, 2, 3]]), (1, 0)), [[1], [2], [3]]),
    (lambda a: Expand(a([[1], [2]]), (2, 2)), [[1, 1], [2, 2]]),
    (lambda a: Pad(a([1, 2]), ((1, 2),), 9), [9, 1, 2, 9, 9]),
    (lambda a: Slice(a([0, 1, 2, 3, 4]), (3,), (2,), (-2,)), [3, 1]),
    (lambda a: Slice(a([0, 1, 2]), (0,), (0,), (1,)), []),
    (lambda a: Join((a([1]), a([2, 3]), a([4])), 0), [1, 2, 3, 4]),
    (lambda a: Join((a([[1], [2]]), a([[3, 4], [5, 6]])), 1), [[1, 3, 4], [2, 5, 6]]),
    (lambda a: Window(a([0, 1, 2, 3, 4]), 0, 2, 1, 2), [[0, 2], [1, 3], [2, 4]]),
    (lambda a: Window(a([[0, 1, 2, 3]]), 1, 2, 2), [[[0, 1], [2, 3]]]),
    (lambda a: Window(a([[0], [1], [2]]), 0, 2), [[[0, 1]], [[1, 2]]]),
    (lambda a: Fold(a([[1, 2], [3, 4]]), 0, 3), [1, 5, 4]),
    (lambda a: ir.Scan(a([[1, 2], [3, 4]]), 0), [[1, 2], [4, 6]]),
    (lambda a: ir.Scan(a([[1, 2], [3, 4]]), 1), [[1, 3], [3, 7]]),
    (lambda a: ir.Scan(a([[1, 2], [3, 4]]), 1, "prod"), [[1, 2], [3, 12]]),
    (lambda a: Fold(a([[1, 2], [3, 4]]), 0, 6, 3, 2), [1, 0, 2, 3, 0, 4]),
    (lambda a: Fold(a([[[1, 2]], [[3, 4]]]), 0, 3), [[1], [5], [4]]),
    (lambda a: Gather(a([[1, 2], [3, 4]]), (a([1, 0]), a([0, 1]))), [3, 2]),
    (lambda a: Gather(a([5, 6]), (a([1, 2, -1]),)), [6, 0, 0]),
    (lambda a: Gather(a(np.ones(0)), (a([0]),)), [0.0]),
    (lambda a: Scatter(a([1, 1]), (a([0, 0, 1]),), a([2, 3, 4])), [6, 5]),
    (lambda a: Scatter(a([1, 1]), (a([0, 0, 5]),), a([2, 3, 4]), "set"), [3, 1]),
    (lambda a: Scatter(a([2, 1]), (a([0, 0]),), a([3, 5]), "prod"), [30, 1]),
    (lambda a: Scatter(a([2.0, 1.0]), (a([0, 1]),), a([3.0, NAN]), "max"), [3.0, NAN]),
    (lambda a: Scatter(a([[2, 1]]), (a([0]), a([1])), a([-3]), "min"), [[2, -3]]),
    (lambda a: Scatter(a([2048.0], float16), (a([0, 0]),), a([1.0, 1.0], float16)), [2050.0]),
    (lambda a: Sort(a([2.0, NAN, 1.0, 1.0]), 0), [2, 3, 0, 1]),
    (lambda a: Sort(a([2.0, NAN, 1.0, 1.0]), 0, True), [1, 0, 2, 3]),
    (lambda a: Sort(a([[3, 1], [1, 2]]), 0), [[1, 0], [0, 1]]),
    (lambda a: ir.RandomBits(a([0, 0, 0], uint32), (1,)), [[0x6B200159], [0x99BA4EFE]]),
    (lambda a: ir.WinogradFilter(a(np.reshape([1.0, *[0.0] * 7, 4.0], (1, 1, 3, 3)))), FILTER),
    (
        lambda a: ir.Winograd(
            a(np.arange(16.0).reshape(1, 1, 4, 4)),
            ir.WinogradFilter(w := a(np.reshape([1.0, *[0.0] * 7, 4.0], (1, 1, 3, 3)))),
            w,
        ),
        [[[[40, 45], [60, 65]]]],
    ),
    (lambda a: Copy(a([1]), "GPU"), [1]),
    (lambda a: Contiguous(a([1])), [1]),
    (lambda a: Detach(a([1]), ir.Token()), [1]),
    (lambda a: ir.Overwritten(a([1]), a([2])), [2]),
    (lambda a: running(a([1.0, 2.0]), a([[1.0, 2.0], [3.0, 4.0]])), [[2.0, 4.0], [5.0, 8.0]]),
    (lambda a: ir.Within(a([1, 2]), ir.Less(a([0, 2]), a([1, 1]))), [1, 2]),
    (lambda a: ir.Custom(a([1]), (a([2, 3]),), lambda g, node: (None,)), [1]),
]  # fmt: skip


@pytest.mark.parametrize(("build", "expected"), CASES)
def test_a_node_has_the_value_its_docstring_promises(leaf, build, expected):
    node = build(leaf)
    (value,) = evaluate([node])
    assert value.dtype == node.dtype.numpy
    assert value.shape == node.shape
    wide = value.astype(np.float64) if node.dtype.is_float else value
    expected = np.asarray(expected, wide.dtype).reshape(node.shape)
    np.testing.assert_allclose(wide, expected, rtol=1e-12, atol=1e-15)
    assert np.array_equal(np.signbit(wide), np.signbit(expected)) or np.isnan(expected).any()


def test_every_node_class_has_a_case(leaf):
    seen = {type(build(leaf)) for build, _ in CASES}
    assert seen == set(ir.NODE_CLASSES) - {ir.StepInput}  # has a value in a step alone


@pytest.mark.parametrize("dtype", [float16, bfloat16])
def test_low_precision_is_computed_in_float32_and_rounded_after_each_node(leaf, dtype):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=100).astype(dtype.numpy) for _ in range(2))
    a, b = leaf(x), leaf(y)
    product = (x.astype(np.float32) * y.astype(np.float32)).astype(dtype.numpy)
    total = (product.astype(np.float32) + x.astype(np.float32)).astype(dtype.numpy)
    assert np.array_equal(evaluate([Add(Mul(a, b), a)])[0], total)


def test_low_precision_sums_are_rounded_once(leaf):
    ones = leaf(np.ones(4096), bfloat16)  # bfloat16 counts to 256 only
    assert evaluate([Reduce(ones, "sum", (0,))])[0].astype(float) == 4096
    assert evaluate([Fold(Reshape(ones, (1, 4096)), 0, 4096)])[0].astype(float).sum() == 4096


def test_float32_sums_are_as_good_as_float64_ones(leaf):
    values = np.full((100_000, 2), 0.1, np.float32)
    (total,) = evaluate([Reduce(leaf(values), "sum", (0,))])
    assert total[0] == np.float32(values.astype(np.float64)[:, 0].sum())


def test_no_warning_escapes(leaf):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        zero, x = leaf([0.0]), leaf([1e30], float32)
        evaluate([Div(zero, zero), Log(zero), Mul(x, x), Cast(leaf([NAN, 1e30]), int8)])
        evaluate([FloorDiv(leaf([1]), leaf([0])), Mod(leaf([1]), leaf([0])), Const(1e9, float16)])


def test_buffers_are_read_through_the_function_given(leaf):
    x = leaf([1.0, 2.0])
    (value,) = evaluate([Neg(x)], lambda node: np.array([[5.0], [6.0]]))
    assert value.tolist() == [-5.0, -6.0]


def test_outputs_are_contiguous_and_keep_their_rank(leaf):
    x = leaf(np.arange(6.0).reshape(2, 3))
    wide = Expand(Reshape(x, (2, 3, 1)), (2, 3, 4))
    views = evaluate([Permute(x, (1, 0)), wide, Const(1, int8)])
    assert all(view.flags.c_contiguous for view in views)
    assert views[2].shape == ()


def test_scatter_set_keeps_the_last_of_many_duplicates(leaf):
    index = np.random.default_rng(1).integers(0, 7, 1000)
    x = Scatter(leaf(np.full(7, -1)), (leaf(index),), leaf(np.arange(1000)), "set")
    assert evaluate([x])[0].tolist() == [int(np.flatnonzero(index == i)[-1]) for i in range(7)]


def test_a_chain_of_100_000_nodes_evaluates(deep):
    _, y = deep
    assert evaluate([y])[0] == 0.5 - 100_000


def test_a_class_without_a_case_is_named(leaf):
    class Unknown(ir.Contiguous):
        """An operation that only this test knows."""

    node = Unknown(leaf([1.0]))
    with pytest.raises(CompilerError, match="evaluate: no case for unknown"):
        evaluate([node])


def test_bfloat16_arrays_are_ml_dtypes(leaf):
    assert evaluate([Cast(leaf([1.5]), bfloat16)])[0].dtype == ml_dtypes.bfloat16
