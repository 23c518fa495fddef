"""Every derivative agrees with central finite differences in float64."""

import numpy as np
import pytest

from lazygrad.dtypes import bfloat16, bool_, float16, float32, float64, int32, int64
from lazygrad.errors import CompilerError
from lazygrad.graph import ir
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.gradient import gradient
from lazygrad.graph.ir import Buffer, Const, Gather, Mul, Reduce, Scatter, Slice, topological
from lazygrad.graph.simplify import simplify
from lazygrad.graph.vjp_rules import NO_GRADIENT, VJP_RULES, vjp_reduce
from lazygrad.runtime.buffer import DeviceBuffer

rng = np.random.default_rng(0)
SIGNED = rng.uniform(0.2, 2.0, (2, 3)) * np.array([[1, -1, 1], [-1, 1, -1]])  # no ties, no steps
OTHER = rng.uniform(0.3, 1.7, (2, 3)) * np.array([[1, 1, -1], [-1, -1, 1]])
POSITIVE, POWER = np.abs(SIGNED), np.array([[2.0, 3.0, 0.5], [0.0, 1.0, -1.5]])
WITH_ZEROS = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 5.0], [1.5, -2.0, 4.0]])
ROW = rng.normal(size=7)
IMAGE = rng.normal(size=(2, 6, 3))


def ints(leaf, values):
    return leaf(np.asarray(values, np.int64))


def gather(leaf, x):
    return Gather(x, (ints(leaf, [1, 0, 1, 9]), ints(leaf, [0, 2, 0, 1])))


def scatter(op):
    index = [1, 0, 4, 1, 9, 1]
    return lambda leaf, x, v: Scatter(x, (ints(leaf, index),), v, op)


# (what is checked, the node from its float inputs, their values)
def times_itself(g, node):
    """The rule of an exponential: its derivative is itself."""
    return (ir.Mul(g, node),)


CASES = [
    ("neg", lambda leaf, x: ir.Neg(x), [SIGNED]),
    ("abs", lambda leaf, x: ir.Abs(x), [SIGNED]),
    ("exp", lambda leaf, x: ir.Exp(x), [SIGNED]),
    ("log", lambda leaf, x: ir.Log(x), [POSITIVE]),
    ("sqrt", lambda leaf, x: ir.Sqrt(x), [POSITIVE]),
    ("sin", lambda leaf, x: ir.Sin(x), [SIGNED]),
    ("cos", lambda leaf, x: ir.Cos(x), [SIGNED]),
    ("tanh", lambda leaf, x: ir.Tanh(x), [SIGNED]),
    ("erf", lambda leaf, x: ir.Erf(x), [SIGNED]),
    ("floor", lambda leaf, x: ir.Floor(x), [SIGNED]),
    ("ceil", lambda leaf, x: ir.Ceil(x), [SIGNED]),
    ("trunc", lambda leaf, x: ir.Trunc(x), [SIGNED]),
    ("round", lambda leaf, x: ir.Round(x), [SIGNED]),
    ("add", lambda leaf, x, y: ir.Add(x, y), [SIGNED, OTHER]),
    ("add of itself", lambda leaf, x: ir.Add(x, x), [SIGNED]),
    ("sub", lambda leaf, x, y: ir.Sub(x, y), [SIGNED, OTHER]),
    ("mul", lambda leaf, x, y: ir.Mul(x, y), [SIGNED, OTHER]),
    ("mul by itself", lambda leaf, x: ir.Mul(x, x), [SIGNED]),
    ("div", lambda leaf, x, y: ir.Div(x, y), [SIGNED, OTHER]),
    ("floordiv", lambda leaf, x, y: ir.FloorDiv(x, y), [SIGNED, OTHER]),
    ("mod", lambda leaf, x, y: ir.Mod(x, y), [SIGNED, OTHER]),
    ("pow", lambda leaf, x, y: ir.Pow(x, y), [POSITIVE, POWER]),
    ("pow of negative", lambda leaf, x: ir.Pow(x, Const(3, float64, (2, 3))), [SIGNED]),
    ("maximum", lambda leaf, x, y: ir.Maximum(x, y), [SIGNED, OTHER]),
    ("minimum", lambda leaf, x, y: ir.Minimum(x, y), [SIGNED, OTHER]),
    ("where", lambda leaf, x, y: ir.Where(ir.Less(x, y), x, ir.Mul(y, y)), [SIGNED, OTHER]),
    ("cast", lambda leaf, x: ir.Cast(ir.Exp(x), float64), [SIGNED]),
    ("sum", lambda leaf, x: Reduce(x, "sum", (0, 2)), [IMAGE]),
    ("prod", lambda leaf, x: Reduce(x, "prod", (0, 2)), [IMAGE]),
    ("prod with zeros", lambda leaf, x: Reduce(x, "prod", (1,)), [WITH_ZEROS]),
    ("prod of one", lambda leaf, x: Reduce(x, "prod", (1,)), [WITH_ZEROS[:, :1]]),
    ("max", lambda leaf, x: Reduce(x, "max", (0, 2)), [IMAGE]),
    ("min", lambda leaf, x: Reduce(x, "min", (1,)), [IMAGE]),
    ("max of the first", lambda leaf, x: Reduce(x, "max", (0, 2), "first"), [IMAGE]),
    ("min of the first", lambda leaf, x: Reduce(x, "min", (1,), "first"), [IMAGE]),
    ("reshape", lambda leaf, x: ir.Reshape(x, (3, 4, 3)), [IMAGE]),
    ("permute", lambda leaf, x: ir.Permute(x, (2, 0, 1)), [IMAGE]),
    ("expand", lambda leaf, x: ir.Expand(x, (4, 3, 2)), [IMAGE[:1, :3, :1]]),
    ("pad", lambda leaf, x: ir.Pad(x, ((1, 0), (0, 2), (3, 1)), 5.0), [IMAGE]),
    ("slice", lambda leaf, x: Slice(x, (1, 0, 0), (1, 4, 3), (1, 1, 1)), [IMAGE]),
    ("slice with steps", lambda leaf, x: Slice(x, (1,), (3,), (2,)), [ROW]),
    ("slice backwards", lambda leaf, x: Slice(x, (6,), (3,), (-3,)), [ROW]),
    ("join", lambda leaf, x, y: ir.Join((x, ir.Mul(y, y), x), 1), [SIGNED, OTHER]),
    ("window", lambda leaf, x: ir.Window(x, 1, 3, 2, 1), [IMAGE]),
    ("window with dilation", lambda leaf, x: ir.Window(x, 1, 2, 1, 3), [IMAGE]),
    ("cumsum", lambda leaf, x: ir.Scan(x, 1), [SIGNED]),
    ("cumprod", lambda leaf, x: ir.Scan(x, 1, "prod"), [SIGNED]),
    ("fold", lambda leaf, x: ir.Fold(x, 0, 7, 3, 2), [IMAGE[:, :, :2]]),
    ("gather", gather, [SIGNED]),
    ("scatter sum", scatter("sum"), [ROW, ROW[1:] * 2]),
    ("scatter set", scatter("set"), [ROW, ROW[1:] * 2]),
    ("scatter prod", scatter("prod"), [ROW, ROW[1:] * 2]),
    ("scatter max", scatter("max"), [ROW, ROW[1:] * 2]),
    ("scatter min", scatter("min"), [ROW, ROW[1:] * 2]),
    ("copy", lambda leaf, x: ir.Copy(x, "CPU"), [SIGNED]),
    ("contiguous", lambda leaf, x: ir.Contiguous(x), [SIGNED]),
    ("overwritten", lambda leaf, x: ir.Overwritten(x, x), [SIGNED]),
    ("custom", lambda leaf, x: ir.Custom(ir.Exp(x), (x,), times_itself), [SIGNED]),
]
IDS = [name for name, _, _ in CASES]
# Smooth, and not linear: their second derivatives say something.
SMOOTH = {
    "custom", "exp", "log", "sqrt", "sin", "cos", "tanh", "erf", "mul", "mul by itself", "div",
    "pow of negative", "where", "prod", "prod with zeros", "scatter prod",
}  # fmt: skip
SECOND = [case for case in CASES if case[0] in SMOOTH]


def projected(leaf, node):
    """The node's elements, each with a weight of its own, added up."""
    weights = leaf(np.cos(np.arange(node.size)).reshape(node.shape))
    return Reduce(ir.Mul(node, weights), "sum", tuple(range(len(node.shape))))


def evaluated(node, replaced):
    """The node's value, with other elements in some of the leaves."""
    return evaluate([node], lambda b: replaced.get(b, b.storage.array))[0]


def differences(loss, targets, step=1e-6):
    """The gradient of a scalar node by central differences."""
    results = []
    for target in targets:
        value = target.storage.array
        slope = np.zeros_like(value)
        for i in np.ndindex(value.shape):
            around = []
            for sign in (1, -1):
                moved = value.copy()
                moved[i] += sign * step
                around.append(evaluated(loss, {target: moved}))
            slope[i] = (around[0] - around[1]) / (2 * step)
        results.append(slope)
    return results


def check(loss, targets, tolerance):
    for target, g in zip(targets, gradient(loss, targets), strict=True):
        found = np.zeros(target.shape) if g is None else evaluate([g])[0]
        (expected,) = differences(loss, [target])
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("build", "arrays"), [case[1:] for case in CASES], ids=IDS)
def test_a_rule_agrees_with_finite_differences(leaf, build, arrays):
    inputs = [leaf(array) for array in arrays]
    check(projected(leaf, build(leaf, *inputs)), inputs, 1e-7)


@pytest.mark.parametrize(
    ("build", "arrays"), [case[1:] for case in SECOND], ids=[case[0] for case in SECOND]
)
def test_second_derivatives_agree_with_finite_differences(leaf, build, arrays):
    inputs = [leaf(array) for array in arrays]
    for first in gradient(projected(leaf, build(leaf, *inputs)), inputs):
        check(projected(leaf, first), inputs, 1e-6)


def test_every_node_class_has_a_rule_or_is_known_to_have_no_gradient():
    made_by_passes = {ir.Winograd, ir.WinogradFilter, ir.Within}  # after gradients are taken
    of_loops = {ir.Recurrence, ir.StepInput}  # a loop has one derivative (graph/recurrence.py)
    assert VJP_RULES.keys() | NO_GRADIENT == set(ir.NODE_CLASSES) - made_by_passes - of_loops
    assert not VJP_RULES.keys() & NO_GRADIENT


def slopes(node, *inputs):
    """The gradients of the sum of the node's elements."""
    return [g.tolist() for g in evaluate(gradient(node, inputs))]


def test_pow_is_flat_at_an_exponent_of_zero_and_its_exponent_at_a_base_of_zero(leaf):
    x, y = leaf([0.0, 0.0, 2.0]), leaf([0.0, 2.0, 0.0])
    dx, dy = slopes(ir.Pow(x, y), x, y)
    assert dx == [0.0, 0.0, 0.0]
    assert dy == [0.0, 0.0, np.log(2.0)]


def test_second_derivatives_of_pow_are_finite_at_zero(leaf):
    x, y = leaf([0.0]), leaf([2.0])
    dx, dy = gradient(ir.Pow(x, y), [x, y])
    assert slopes(dx, x) == [[2.0]]
    assert np.isfinite(slopes(dy, x, y)).all()


def test_equal_operands_of_maximum_and_minimum_share_evenly(leaf):
    x, y = leaf([1.0, 2.0]), leaf([1.0, 3.0])
    assert slopes(ir.Maximum(x, y), x, y) == [[0.5, 0.0], [0.5, 1.0]]
    assert slopes(ir.Minimum(x, y), x, y) == [[0.5, 1.0], [0.5, 0.0]]


def test_the_several_maxima_of_a_reduction_share_evenly(leaf):
    x = leaf([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]])
    assert slopes(Reduce(x, "max", (1,)), x) == [[[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]]


def test_abs_is_flat_at_zero(leaf):
    x = leaf([0.0, -2.0])
    assert slopes(ir.Abs(x), x) == [[0.0, -1.0]]


def test_scattered_maxima_that_tie_share_evenly(leaf):
    x, v = leaf([2.0, 1.0]), leaf([2.0, 2.0, 5.0])
    node = Scatter(x, (leaf([0, 0, 1]),), v, "max")
    third = 1 / 3
    assert slopes(node, x, v) == [[third, 0.0], [third, third, 1.0]]


def test_the_product_of_scattered_zeros(leaf):
    x, v = leaf([3.0, 4.0, 5.0]), leaf([0.0, 7.0, 0.0, 0.0])
    node = Scatter(x, (leaf([0, 0, 1, 1]),), v, "prod")
    assert slopes(node, x, v) == [[0.0, 0.0, 1.0], [21.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize("low", [float16, bfloat16, float32])
def test_a_cast_takes_the_gradient_back_to_its_type(leaf, low):
    x = leaf([1.0, 2.0], low)
    (g,) = gradient(ir.Cast(x, float64), [x])
    assert g.dtype == low
    assert evaluate([g])[0].astype(float).tolist() == [1.0, 1.0]


def test_a_copy_brings_the_gradient_back_to_the_device(leaf):
    x = leaf([1.0])
    (g,) = gradient(ir.Copy(ir.Exp(x), "GPU"), [x])
    assert g.device == "CPU"


def test_no_gradient_flows_through_integers_and_bools(leaf):
    x = leaf([1.0, 2.0])
    for kind in (int32, int64, bool_):
        assert gradient(ir.Cast(ir.Cast(x, kind), float64), [x]) == [None]


def test_an_operation_without_a_derivative_is_named(leaf):
    x = leaf([1.0], float16)
    with pytest.raises(CompilerError, match="bitcast has no derivative"):
        gradient(ir.Bitcast(x, bfloat16), [x])


@pytest.mark.parametrize("op", ["max", "min"])
@pytest.mark.parametrize("ties", ["all", "first"])
def test_an_extreme_is_chosen_again_for_its_gradient(op, ties):
    """From the values that it is compared with: those may be rounded otherwise than when an extreme
    was kept. Where none is kept, both are one."""
    x, g = (Buffer(DeviceBuffer.from_numpy(rng.random(s), "CPU"), s) for s in ((2, 3), (2,)))
    extreme = Reduce(Mul(x, x), op, (1,), ties)
    (slope,) = vjp_reduce(g, extreme)
    assert extreme not in topological([slope])
    simple = topological(simplify([slope, extreme]))
    assert [node.op for node in simple if isinstance(node, Reduce)].count(op) == 1 + (
        (op, ties) == ("min", "first")  # which finds the place of the first
    )
