"""Each movement rule does what its equation says, and moves the same elements."""

import itertools
import math

import numpy as np
import pytest

from lazygrad.dtypes import float32, float64, int64
from lazygrad.graph import simplify_movement as rules
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import (
    Add,
    Const,
    Contiguous,
    Detach,
    Expand,
    Iota,
    Join,
    Neg,
    Node,
    Pad,
    Permute,
    Reduce,
    Reshape,
    Slice,
    Sort,
    Token,
    Window,
    Within,
)
from lazygrad.graph.simplify import simplify


@pytest.fixture
def cases(leaf):
    """(rule, a node, what the rule makes of it or None)"""
    x = leaf(np.arange(24.0).reshape(2, 3, 4))
    ones = leaf(np.arange(12.0).reshape(3, 1, 4))  # repeated along its middle axis
    wide = Expand(ones, (3, 5, 4))
    c = Const(2.0, float64, (2, 3))
    padded = Pad(x, ((1, 2), (0, 0), (2, 0)), 7.0)
    row = leaf(np.arange(80.0).reshape(2, 40) % 7)
    late, early = leaf(np.arange(80).reshape(2, 40) < 77), leaf(np.arange(80).reshape(2, 40) < 50)
    corner = leaf([[1.0]])
    y = leaf(np.arange(6.0).reshape(2, 3))
    join = Join((c, y, Neg(y)), 0)

    def rows(start: int, count: int, step: int = 1, of: Node = join) -> Node:
        return Slice(of, (start, 0), (count, 3), (step, 1))

    def few(x: Node) -> Node:
        return Slice(x, (0, 0), (2, 2), (1, 1))

    return [
        (rules.move_a_constant, Reshape(c, (6,)), Const(2.0, float64, (6,))),
        (rules.move_a_constant, Permute(c, (1, 0)), Const(2.0, float64, (3, 2))),
        (rules.move_a_constant, Window(c, 1, 2), Const(2.0, float64, (2, 2, 2))),
        (rules.pad_a_constant, Pad(c, ((1, 0), (0, 0)), 2.0), Const(2.0, float64, (3, 3))),
        (rules.pad_a_constant, Pad(c, ((1, 0), (0, 0)), 0.0), None),
        (rules.pad_a_constant, Pad(Const(0.0, float64, (1,)), ((1, 0),), -0.0), None),
        (rules.count_to_one, Iota(1), Const(0, int64, (1,))),
        (rules.count_to_one, Iota(2), None),
        (rules.contiguous_twice, Contiguous(Contiguous(x)), Contiguous(x)),
        (rules.contiguous_twice, Contiguous(x), None),
        (rules.reshape_reshape, Reshape(x, (2, 3, 4)), x),
        (rules.reshape_reshape, Reshape(Reshape(x, (24,)), (6, 4)), Reshape(x, (6, 4))),
        (rules.reshape_reshape, Reshape(Reshape(x, (24,)), (2, 3, 4)), x),
        (rules.reshape_below_expand, Reshape(wide, (3, 1, 5, 2, 2)),
         Expand(Reshape(ones, (3, 1, 1, 2, 2)), (3, 1, 5, 2, 2))),
        (rules.reshape_below_expand, Reshape(wide, (15, 4)), None),
        (rules.permute_permute, Permute(x, (0, 1, 2)), x),
        (rules.permute_permute, Permute(Permute(x, (1, 2, 0)), (1, 2, 0)), Permute(x, (2, 0, 1))),
        (rules.permute_permute, Permute(Permute(x, (1, 2, 0)), (2, 0, 1)), x),
        (rules.permute_ones, Permute(ones, (1, 0, 2)), Reshape(ones, (1, 3, 4))),
        (rules.permute_ones, Permute(ones, (2, 1, 0)), None),
        (rules.permute_below_reshape, Permute(Reshape(ones, (1, 3, 4)), (2, 0, 1)),
         Reshape(Permute(ones, (2, 0, 1)), (4, 1, 3))),
        (rules.permute_below_reshape, Permute(Reshape(x, (1, 2, 3, 4)), (3, 2, 0, 1)),
         Reshape(Permute(x, (2, 1, 0)), (4, 3, 1, 2))),
        (rules.permute_below_reshape, Permute(Reshape(x, (6, 4)), (1, 0)), None),
        (rules.permute_below_expand, Permute(wide, (2, 0, 1)),
         Expand(Permute(ones, (2, 0, 1)), (4, 3, 5))),
        (rules.expand_expand, Expand(ones, (3, 1, 4)), ones),
        (rules.expand_expand, Expand(Expand(corner, (1, 3)), (2, 3)), Expand(corner, (2, 3))),
        (rules.pad_pad, Pad(x, ((0, 0), (0, 0), (0, 0))), x),
        (rules.pad_pad, Pad(padded, ((1, 1), (0, 0), (0, 3)), 7.0),
         Pad(x, ((2, 3), (0, 0), (2, 3)), 7.0)),
        (rules.pad_pad, Pad(padded, ((1, 1), (0, 0), (0, 3)), 0.0), None),
        (rules.pad_below_expand, Pad(wide, ((1, 0), (0, 0), (0, 2)), 9.0),
         Expand(Pad(ones, ((1, 0), (0, 0), (0, 2)), 9.0), (4, 5, 6))),
        (rules.pad_below_expand, Pad(wide, ((0, 0), (1, 0), (0, 0))), None),
        (rules.pad_below_permute, Pad(Permute(x, (2, 0, 1)), ((1, 0), (0, 2), (0, 0)), 3.0),
         Permute(Pad(x, ((0, 2), (0, 0), (1, 0)), 3.0), (2, 0, 1))),
        (rules.slice_slice, Slice(x, (0, 0, 0), (2, 3, 4), (1, 1, 1)), x),
        (rules.slice_slice, Slice(x, (1, 0, 0), (2, 3, 4), (-1, 1, 1)), None),
        (rules.slice_slice,
         Slice(Slice(x, (1, 2, 0), (2, 3, 2), (-1, -1, 2)), (0, 2, 1), (2, 2, 2), (1, -2, -1)),
         Slice(x, (1, 0, 2), (2, 2, 2), (-1, 2, -2))),
        (rules.slice_of_sort, Slice(Sort(row, 1), (0, 0), (2, 2), (1, 1)), Sort(row, 1, False, 2)),
        (rules.slice_of_sort, Slice(Sort(row, 1, True), (1, 0), (1, 1), (1, 1)),
         Slice(Sort(row, 1, True, 1), (1, 0), (1, 1), (1, 1))),
        (rules.slice_of_sort, Slice(Sort(row, 1), (0, 1), (2, 2), (1, 1)), None),
        (rules.slice_of_sort, Slice(Sort(row, 1), (0, 0), (2, 3), (1, 1)), None),
        (rules.slice_below_within, few(Within(Within(Sort(row, 1), late), early)),
         Within(few(Within(Sort(row, 1), late)), few(early))),
        (rules.slice_below_within, few(Within(row, early)), None),
        (rules.slice_below_permute, Slice(Permute(x, (2, 0, 1)), (3, 0, 1), (2, 1, 2), (-2, 1, 1)),
         Permute(Slice(x, (0, 1, 3), (1, 2, 2), (1, 1, -2)), (2, 0, 1))),
        (rules.slice_below_expand, Slice(wide, (1, 4, 0), (2, 3, 4), (1, -1, 1)),
         Expand(Slice(ones, (1, 0, 0), (2, 1, 4), (1, 1, 1)), (2, 3, 4))),
        (rules.slice_below_pad, Slice(padded, (1, 0, 2), (2, 3, 4), (1, 1, 1)),
         Slice(x, (0, 0, 0), (2, 3, 4), (1, 1, 1))),
        (rules.slice_below_pad, Slice(padded, (0, 0, 1), (2, 3, 3), (1, 1, 2)),
         Pad(Slice(x, (0, 0, 1), (1, 3, 2), (1, 1, 2)), ((1, 0), (0, 0), (1, 0)), 7.0)),
        (rules.slice_below_pad, Slice(padded, (0, 0, 0), (5, 3, 2), (1, 1, 1)),
         Const(7.0, float64, (5, 3, 2))),
        (rules.slice_of_join, rows(0, 1), rows(0, 1, of=c)),
        (rules.slice_of_join, rows(3, 2, -1), rows(1, 2, -1, y)),
        (rules.slice_of_join, rows(4, 1), rows(0, 1, of=Neg(y))),
        (rules.slice_of_join, rows(1, 2), None),
        (rules.slice_of_join, Slice(join, (0, 0), (0, 3), (1, 1)), None),
    ]  # fmt: skip


def test_rules_do_what_their_equations_say(cases):
    for rule, before, after in cases:
        assert rule(before) is after, (rule.__name__, before)


def test_rules_move_the_same_elements(cases):
    for rule, before, _ in cases:
        old, new = evaluate([before, *simplify([before])])
        assert old.tobytes() == new.tobytes(), (rule.__name__, before)


def test_every_rule_has_a_case(cases):
    assert {rule for rule, _, after in cases if after is not None} == set(rules.RULES)


def test_a_slice_of_padding_reaches_what_it_reached(leaf):
    """Every slice of a padded axis, forwards and backwards, by every step."""
    padded = Pad(leaf(np.arange(1.0, 5.0)), ((2, 3),), 0.5)
    n = padded.shape[0]
    slices = [
        Slice(padded, (start,), (size,), (step,))
        for start, size, step in itertools.product(range(n), range(1, n + 1), (1, 2, 3, -1, -2, -3))
        if 0 <= start + (size - 1) * step < n
    ]
    for node, old, new in zip(slices, evaluate(slices), evaluate(simplify(slices)), strict=True):
        assert old.tolist() == new.tolist(), node


@pytest.mark.parametrize("seed", range(30))
def test_chains_of_movement_end_in_one_order(leaf, seed):
    """Random chains: the same elements, and no two neighbours of one kind."""
    rng = np.random.default_rng(seed)
    x = node = leaf(np.arange(24.0).reshape(1, 4, 3, 2))
    for _ in range(8):
        node = random_view(rng, node)
    (simpler,) = simplify([node])
    old, new = evaluate([node, simpler])
    assert old.tobytes() == new.tobytes()
    while simpler is not x and not isinstance(simpler, Const):
        inner = simpler.x
        assert type(simpler) is not type(inner) or isinstance(inner, Pad)  # pads of two values
        assert not isinstance(inner, Expand) or isinstance(simpler, (Reshape, Pad))
        simpler = inner


def random_view(rng, x):
    kind, rank = rng.integers(5), len(x.shape)
    if kind == 0:
        sizes = [n for size in x.shape for n in ((size // 2, 2) if size % 2 == 0 else (size,))]
        cut = int(rng.integers(0, len(sizes) + 1))
        shape = (math.prod(sizes[:cut]), *sizes[cut:], 1)
        return Reshape(x, shape[: max(1, len(shape))])
    if kind == 1:
        return Permute(x, tuple(map(int, rng.permutation(rank))))
    if kind == 2:
        return Expand(x, tuple(n if n > 1 or x.size > 500 else 2 for n in x.shape))
    if kind == 3:
        value = float(rng.integers(2))
        return Pad(x, tuple((int(rng.integers(2)), int(rng.integers(2))) for _ in x.shape), value)
    steps = [int(rng.choice([-1, 1, 2])) for _ in x.shape]
    sizes = [max(1, n // abs(step)) for n, step in zip(x.shape, steps, strict=True)]
    starts = [n - 1 if step < 0 else 0 for n, step in zip(x.shape, steps, strict=True)]
    return Slice(x, tuple(starts), tuple(sizes), tuple(steps))


def test_equal_views_written_in_two_ways_become_one_node(leaf):
    x = leaf(np.arange(6.0).reshape(2, 3))
    one = Expand(Permute(Reshape(x, (2, 1, 3)), (2, 1, 0)), (3, 4, 2))
    two = Permute(Expand(Reshape(x, (2, 1, 3)), (2, 4, 3)), (2, 1, 0))
    three = Expand(Reshape(Permute(x, (1, 0)), (3, 1, 2)), (3, 4, 2))
    first, second, third = simplify([one, two, three])
    assert first is second is third


def test_detached_variables_of_one_value_become_one_node(leaf):
    x = leaf([1.0])
    (node,) = simplify([Add(Detach(x, Token()), Detach(x, Token()))])
    assert node is Add(x, x)


def test_reductions_keep_their_dtype_when_empty(leaf):
    (node,) = simplify([Reduce(leaf(np.ones((0, 2)), float32), "max", (0,))])
    assert node is Const(-math.inf, float32, (2,))
