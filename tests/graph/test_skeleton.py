"""A graph that an earlier one shows the way through is walked as by a search."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import float64
from lazygrad.graph import skeleton
from lazygrad.graph.ir import (
    Add,
    Buffer,
    Const,
    Detach,
    Gather,
    Iota,
    Mul,
    Neg,
    Node,
    Reduce,
    Reshape,
    Scatter,
    Sub,
    Token,
)
from lazygrad.graph.sizes import Family, Sample, with_arguments
from lazygrad.graph.skeleton import Skeleton
from lazygrad.graph.structure import Hashed, Walk

Leaf = Callable[..., Buffer]


def walk(begin: Skeleton, *steps: list[Node], known: Any = frozenset()) -> Walk:
    walked = Walk(known, begin)
    for outputs in steps:
        walked.walk(outputs)
    return walked


def check_same(found: Walk, *steps: list[Node], known: Any = frozenset()) -> None:
    """A walk has found what it would have found alone."""
    alone = walk(Skeleton(), *steps, known=known)
    assert found.nodes == alone.nodes == list(found.number)
    assert list(found.number.values()) == list(range(len(found.nodes)))
    assert found.leaves == alone.leaves
    outputs = [node for nodes in steps for node in nodes]
    assert found.key(outputs) == alone.key(outputs)


def some_graph(leaf: Leaf, seed: int) -> tuple[list[Node], list[Node]]:
    """A random graph with shared nodes: outputs, and some that a walk goes on to."""
    rng = random.Random(seed)
    nodes: list[Node] = [leaf([float(n), 1.0]) for n in range(3)]
    for _ in range(rng.randint(3, 30)):
        x, y = rng.choice(nodes), rng.choice(nodes[-4:])
        index = Iota(2)
        made: list[Node] = [
            Add(x, y),
            Sub(x, y),
            Neg(y),
            Mul(y, Const(rng.choice([2.0, 3.0]), float64, (2,))),
            Detach(x, Token()),
            Gather(x, (index,)),
            Scatter(x, (index,), y, "sum"),
        ]
        nodes.append(rng.choice(made))
    return nodes[-1:], rng.sample(nodes[3:], 2)


def test_random_graphs_are_walked_as_by_a_search(leaf: Leaf) -> None:
    begin = Skeleton()
    for turn in range(2):
        for seed in range(60):
            steps = some_graph(leaf, seed)
            check_same(walk(begin, *steps), *steps)
            with_known = {steps[1][0]}
            check_same(walk(begin, *steps, known=with_known), *steps, known=with_known)
            if turn:
                continue
            others = some_graph(leaf, seed)  # at once: its skeleton is among those remembered
            found = walk(begin, *others)
            assert found.structure is walk(begin, *steps).structure
            check_same(found, *others)


def test_a_graph_that_was_met_is_not_searched(leaf: Leaf, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Skeleton()
    graph = lambda: [Neg(Add(a := leaf([1.0]), Mul(a, leaf([2.0]))))]  # noqa: E731
    first = walk(begin, graph())
    monkeypatch.setattr(Walk, "_search", None)
    assert walk(begin, graph()).structure is first.structure


def test_nodes_that_are_one_here_and_two_there_matter(leaf: Leaf) -> None:
    begin, x = Skeleton(), leaf([1.0])
    two = [Add(Detach(x, Token()), Detach(x, Token()))]
    one = [Add(d := Detach(x, Token()), d)]
    for outputs in (two, one, two, one):
        check_same(walk(begin, outputs), outputs)
    a, b = leaf([1.0]), leaf([2.0])
    for outputs in ([Sub(a, b)], [Sub(a, a)], [Sub(b, b)], [Sub(b, a)]):
        check_same(walk(begin, outputs), outputs)  # type: ignore[arg-type]


def test_how_many_inputs_each_node_has_matters(leaf: Leaf) -> None:
    begin, x, i, j = Skeleton(), leaf(np.ones((2, 2))), Iota(2), leaf([0, 1])
    row, v = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    each: list[Node] = [Gather(row, (j,)), Gather(x, (i, j)), Scatter(row, (j,), v, "sum")]
    each.append(Scatter(x, (i, j), v, "sum"))
    for outputs in ([a, b] for a in each for b in each):
        check_same(walk(begin, outputs), outputs)


def test_what_is_known_is_a_leaf_and_a_known_constant_is_none(leaf: Leaf) -> None:
    begin, x = Skeleton(), leaf([1.0])
    inner, one = Neg(x), Const(1.0, float64, (1,))
    outputs: list[Node] = [Add(Mul(inner, inner), Neg(one))]
    for known in (frozenset(), {inner}, {inner, Neg(one)}, frozenset(), {Neg(one)}):
        check_same(walk(begin, outputs, known=known), outputs, known=known)
    assert walk(begin, outputs, known={inner}).leaves == [inner]


def test_graphs_that_differ_in_a_size_or_an_argument_have_one_structure(leaf: Leaf) -> None:
    def build(n: int, factor: float) -> Node:
        x = leaf([[1.0] * 3] * n)
        return Reduce(Reshape(Mul(x, Const(factor, float64, (n, 3))), (3 * n,)), "sum", (0,))

    begin = Skeleton()
    walks = [walk(begin, [build(n, f)]) for n, f in ((5, 0.5), (7, 0.5))]
    samples = [Sample(each.key([each.nodes[-1]]), each.nodes) for each in walks]
    family = walks[0].note_varying(Family(*samples).structure)
    found = walk(begin, [build(11, 0.5)])
    assert (found.structure, found.sizes) == (family, (11,))
    assert walk(begin, [build(5, 0.5)]).structure is walks[0].structure  # it was there before
    place = next(n for n, node in enumerate(walks[0].nodes) if isinstance(node, Const))
    arguments = walks[0].note_varying(with_arguments(walks[0].fields, [place]))
    assert walk(begin, [build(5, 0.7)]).structure is arguments
    for factor in (1.0, float("nan"), float("inf")):  # rules look at these
        assert walk(begin, [build(5, factor)]).structure is not arguments
    assert walk(begin, [build(11, 0.7)]).structure not in (arguments, family)


def test_a_structure_is_noted_once(leaf: Leaf) -> None:
    factor = Const(0.5, float64, (1,))
    walked = walk(Skeleton(), [Mul(leaf([2.0]), factor)])
    place, other = walked.number[factor], [*walked.fields]
    other[place] = struct.pack("<d", 0.25), float64, (1,)
    first, second = (
        walked.note_varying(with_arguments(f, [place])) for f in (walked.fields, other)
    )
    assert first is second


def test_a_structure_is_that_of_the_walk_so_far(leaf: Leaf) -> None:
    begin = Skeleton()
    found = []
    for _ in range(2):
        y = Neg(leaf([1.0, 2.0]))
        walked = walk(begin, [y])
        found.append(walked.structure)
        walked.walk([Reshape(y, (2, 1))])
        found.append(walked.structure)
    assert found[0] is found[2]
    assert found[1] is found[3]
    assert found[0] is not found[1]


def test_few_skeletons_are_remembered(leaf: Leaf, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Skeleton()
    monkeypatch.setattr(skeleton, "MAX_KINDS", 3)
    node: Node = leaf([1.0])
    for n in range(20):
        node = Neg(node)
        walk(begin, [node] * (n % 5 + 1))
    assert len(begin._next) == 3
    assert all(len(each) <= skeleton.MAX_NEXT for each in begin._next.values())
    monkeypatch.setattr(skeleton, "MAX_NODES", 10)
    before = dict(begin._next)
    check_same(walk(begin, [node]), [node])
    assert begin._next == before


def test_a_key_has_the_hash_of_its_elements() -> None:
    key = (1, (2, "x"))
    assert Hashed(key) == key
    assert hash(Hashed(key)) == hash(key)
    assert repr(Hashed(key)) == repr(key)
