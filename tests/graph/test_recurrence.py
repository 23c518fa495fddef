"""Recurrences: their values, their derivative and their batches are those of their steps."""

import numpy as np
import pytest

from lazygrad.dtypes import float64, int64
from lazygrad.errors import CompilerError, ShapeError
from lazygrad.graph import build
from lazygrad.graph.batching import Batch
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.gradient import gradient
from lazygrad.graph.ir import (
    Add,
    Const,
    Custom,
    Equal,
    Exp,
    Mod,
    Mul,
    Node,
    Recurrence,
    Reduce,
    Step,
    Sub,
    Tanh,
    Where,
    step_inputs,
    topological,
)
from lazygrad.graph.recurrence import unroll_steps

T, B, H = 5, 3, 4


def matmul(a: Node, b: Node) -> Node:
    (n, k), (_, m) = a.shape, b.shape
    left = build.expand(build.reshape(a, (n, k, 1)), (n, k, m))
    return Reduce(Mul(left, build.expand(build.reshape(b, (1, k, m)), (n, k, m))), "sum", (1,))


def elman(h, x, w, b):
    new = Tanh(Add(Add(x, matmul(h, w)), build.broadcast_to(b, h.shape)))
    return (new,), new


def gated(h, c, x, w):
    gate = Exp(Sub(x, matmul(h, w)))
    new = Add(Mul(gate, c), Tanh(x))
    return (Mul(gate, Tanh(new)), new), Mul(new, new)


def scaled(h, x, s):
    return (Add(Mul(h, s), Mul(x, s)),), Exp(h)


def of_constants(h, x, a, w):
    new = Add(Mul(h, x), matmul(a, w))
    return (Tanh(new),), new


def squared(h, w):
    new = Tanh(matmul(matmul(h, w), w))
    return (new,), h


# step, shapes of starts, of series and of constants
LOOPS = {
    "elman": (elman, [(B, H)], [(T, B, H)], [(H, H), (H,)]),
    "gated": (gated, [(B, H), (B, H)], [(T, B, H)], [(H, H)]),
    "constants that are no factors": (scaled, [(B, H)], [(T, B, H)], [(B, H)]),
    "products of constants": (of_constants, [(B, H)], [(T, B, H)], [(B, H), (H, H)]),
    "no series": (squared, [(B, H)], [], [(H, H)]),
}


@pytest.fixture
def loop(leaf):
    def make(name: str, reverse: bool = False, steps: int = T, **more) -> Recurrence:
        rng = np.random.default_rng(0)
        step, *shapes = LOOPS[name]
        given = [[leaf(rng.normal(size=s) * 0.5, float64) for s in each] for each in shapes]
        given[1] = [build.slice_axis(x, 0, 0, steps) for x in given[1]]
        parts = tuple(map(tuple, given))
        states, value = step(*step_inputs(*parts, parts[0][0].device))
        return Recurrence(*parts, Step(states, value), steps, reverse, **more)

    return make


def projected(node: Node) -> Node:
    """A scalar whose derivatives depend on all elements."""
    weights = Const(0.5, node.dtype, node.shape)
    return Reduce(Mul(Mul(node, node), weights), "sum", tuple(range(len(node.shape))))


def of_all(made: Recurrence) -> Node:
    """A scalar of the states and another value of a loop."""
    values = [made.giving(state) for state in made.step.states]
    total = projected(made)
    for value in values:
        total = Add(total, projected(value))
    return total


def assert_equal(found, wanted, tolerance=1e-12):
    for a, b in zip(evaluate(found), evaluate(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", LOOPS)
def test_values_are_those_of_the_steps(loop, name, reverse):
    made = loop(name, reverse)
    values = [made, *map(made.giving, made.step.states)]
    written = unroll_steps(values)
    assert not any(isinstance(x, Recurrence) for x in topological(written))
    assert_equal(values, written)


@pytest.mark.parametrize("steps", [1, 2, T])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", LOOPS)
def test_derivatives_are_those_of_the_steps(loop, name, reverse, steps):
    made = loop(name, reverse, steps)
    (written,) = unroll_steps([of_all(made)])
    found, wanted = gradient(of_all(made), made.inputs), gradient(written, made.inputs)
    assert_equal(found, wanted)


@pytest.mark.parametrize("name", LOOPS)
def test_second_derivatives_are_those_of_the_steps(loop, name):
    made = loop(name)

    def twice(loss: Node) -> list[Node]:
        first = [projected(x) for x in gradient(loss, made.inputs)]
        return [x for each in first for x in gradient(each, made.inputs) if x is not None]

    assert_equal(twice(of_all(made)), twice(*unroll_steps([of_all(made)])))


def test_values_of_one_loop_have_one_derivative(loop):
    made = loop("gated")
    found = gradient(of_all(made), made.inputs)
    loops = {x.loop for x in topological(found) if isinstance(x, Recurrence)}
    assert len(loops) == 2  # forward and back


def test_the_derivative_keeps_what_takes_long_to_compute_again(loop):
    made = loop("elman")
    found = gradient(of_all(made), made.inputs)
    back = {x.loop for x in topological(found) if isinstance(x, Recurrence)} - {made.loop}
    (series,) = [loop[1] for loop in back]
    assert made.giving(made.step.states[0]) in series
    step = next(x.step for x in topological(found) if isinstance(x, Recurrence) and x.loop in back)
    assert not any(isinstance(x, Tanh) for x in topological(step.states))


def test_the_derivative_of_a_factor_is_one_sum_over_all_steps(loop):
    made = loop("elman")
    of_w = gradient(of_all(made), [made.constants[0]])[0]
    reductions = [x for x in topological([of_w]) if isinstance(x, Reduce) and x.shape == (H, H)]
    assert [x.x.shape[0] for x in reductions] == [T]


def test_integers_that_are_carried_have_no_derivative(leaf):
    start, count = leaf(np.ones(B), float64), leaf(np.zeros(()), int64)
    h, n = step_inputs((start, count), (), (), start.device)
    two = build.broadcast_to(build.reshape(n, (1,)), (B,))
    is_odd = Equal(Mod(two, build.full_like(two, 2)), build.full_like(two, 1))
    new = Where(is_odd, Mul(h, h), Add(h, h))
    states = (new, Add(n, Const(1, int64)))
    made = Recurrence((start, count), (), (), Step(states, new), T)
    (written,) = unroll_steps([projected(made)])
    assert_equal(gradient(projected(made), [start]), gradient(written, [start]))
    assert gradient(projected(made), [count]) == [None]


@pytest.mark.parametrize("line", [(1, 0), (1, -1), (2, 1)])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_count_ends_a_loop(loop, leaf, reverse, line):
    n = leaf(np.array(2), int64)
    made = loop("elman", reverse, count=(n,), line=line)
    steps = 2 * line[0] + line[1]
    short = loop("elman", reverse, steps)
    found = [build.slice_axis(x, 0, 0, steps) for x in (made, *unroll_steps([made]))]
    assert_equal(found, [short, short])


@pytest.mark.parametrize("which", [[0], [1], [2], [0, 1, 2, 3]])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_batch_of_loops(loop, leaf, reverse, which):
    made = loop("elman", reverse)
    rng = np.random.default_rng(1)
    batched = {made.inputs[n]: leaf(rng.normal(size=(2, *made.inputs[n].shape))) for n in which}
    found = Batch(2, batched).of(made)
    each = [
        build.substitute([made], {x: build.row(stack, n) for x, stack in batched.items()})[0]
        for n in range(2)
    ]
    assert_equal([build.row(found, n) for n in range(2)], each)


def test_equal_steps_are_one_object_and_have_one_name_in_any_process(loop):
    one, other = loop("elman"), loop("elman", reverse=True)
    assert one.step is other.step
    assert repr(one.step) == repr(other.step)
    assert repr(one.step) != repr(loop("gated").step)
    assert repr(one.step) != repr(one.giving(one.arguments[0]).step)


def test_a_state_keeps_its_shape_and_a_series_has_a_row_a_step(leaf):
    start, rows = leaf(np.ones(3)), leaf(np.ones((4, 3)))
    h, x = step_inputs((start,), (rows,), (), start.device)
    with pytest.raises(ShapeError, match="a state begins as"):
        Recurrence((start,), (rows,), (), Step((Reduce(h, "sum", (0,)),), h), 4)
    with pytest.raises(ShapeError, match="has not 5 rows"):
        Recurrence((start,), (rows,), (), Step((Add(h, x),), h), 5)


def test_a_custom_derivative_that_reads_another_tensor_is_refused(leaf):
    start, other = leaf(np.ones(3)), leaf(np.ones(3))
    (h,) = step_inputs((start,), (), (), start.device)
    new = Custom(Add(h, h), (h,), lambda g, node: (Mul(g, other),))
    made = Recurrence((start,), (), (), Step((new,), new), 3)
    with pytest.raises(CompilerError, match="custom derivative in a step"):
        gradient(projected(made), [start])
