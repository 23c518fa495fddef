"""Slots: nothing alive is overwritten, little is wasted, and planning takes little time."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from lazygrad.dtypes import float32, float64, int32
from lazygrad.graph.ir import Add, Bitcast, Cast, Neg, Node, Pad, Permute, Reduce, Slice
from lazygrad.index import flatten
from lazygrad.schedule.ir import (
    ALIGNMENT,
    Kernel,
    Member,
    MemoryPlan,
    Schedule,
    aligned,
    axis_variables,
)
from lazygrad.schedule.memory import plan_memory


def kernel(*nodes: Node, inputs: Sequence[Node] = (), kind: str = "map") -> Kernel:
    """A kernel that stores these nodes; without `inputs`, it reads what they are made of."""
    members = tuple(Member(n, flatten(axis_variables(n.shape), n.shape), True) for n in nodes)
    read = dict.fromkeys(inputs or [x for n in nodes for x in n.inputs if x not in nodes])
    return Kernel(kind, nodes[0].size, members, tuple(read))


def chain(x: Node, length: int) -> list[Node]:
    """x negated once, twice, ...: as many different nodes."""
    nodes = [Neg(x)]
    while len(nodes) < length:
        nodes.append(Neg(nodes[-1]))
    return nodes


def check(schedule: Schedule, plan: MemoryPlan, donated: dict[Node, Node] | None = None) -> None:
    """Run in mind: when a node is read, its slot still holds it."""
    holds: dict[object, Node] = {}

    def slot(node: Node) -> object:
        return plan.slot_of[node] if node in plan.slot_of else ("donated", plan.in_place[node])

    for k in schedule.kernels:
        for x in k.inputs:
            if x in plan.slot_of:
                assert holds[slot(x)] is x, f"{x} was overwritten"
        taken = [plan.in_place.get(n) for n in k.outputs]
        for x in k.inputs:
            for n in k.outputs:
                if x in plan.slot_of and slot(x) == slot(n):
                    assert x in taken, f"{n} overwrites {x}, which its kernel reads"
        for n in k.outputs:
            holds[slot(n)] = n
            if n in plan.slot_of:
                assert plan.slots[plan.slot_of[n]] >= n.nbytes
    for n in schedule.outputs:
        if n in plan.slot_of:
            assert holds[slot(n)] is n
            assert plan.slot_of[n] < plan.outputs


def test_a_chain_of_elementwise_kernels_needs_its_output_only(leaf):
    nodes = chain(leaf([0.0] * 100, float32), 10)
    schedule = Schedule(tuple(map(kernel, nodes)), (nodes[-1],))
    plan = plan_memory(schedule)
    check(schedule, plan)
    assert plan.slots == (aligned(400),)
    assert plan.least == aligned(400)


def test_sizes_are_whole_cache_lines(leaf):
    node = Neg(leaf([1.0], float32))
    plan = plan_memory(Schedule((kernel(node),), (node,)))
    assert plan.slots == (ALIGNMENT,)


def test_a_node_read_at_another_index_keeps_its_memory(leaf):
    x = Neg(leaf([[1.0, 2.0], [3.0, 4.0]], float32))
    y = Neg(Permute(x, (1, 0)))
    schedule = Schedule((kernel(x), kernel(y, inputs=[x])), (y,))
    plan = plan_memory(schedule)
    check(schedule, plan)
    assert not plan.in_place


def test_a_node_read_beside_its_own_place_keeps_its_memory(leaf):
    x = Neg(leaf([1.0, 2.0, 3.0, 4.0], float32))
    shifted = Neg(Pad(Slice(x, (0,), (3,), (1,)), ((1, 0),), 0.0))
    assert not plan_memory(Schedule((kernel(x), kernel(shifted, inputs=[x])), (shifted,))).in_place
    own = Neg(Pad(Slice(x, (1,), (3,), (1,)), ((1, 0),), 0.0))  # x[i] for i >= 1
    assert plan_memory(Schedule((kernel(x), kernel(own, inputs=[x])), (own,))).in_place


def test_a_node_that_two_members_read_keeps_its_memory(leaf):
    x = Neg(leaf([1.0, 2.0], float32))
    y, z = Neg(x), Add(x, x)
    schedule = Schedule((kernel(x), kernel(y, z)), (y, z))
    plan = plan_memory(schedule)
    check(schedule, plan)
    assert not plan.in_place


def test_a_node_of_another_dtype_takes_no_place(leaf):
    x = Neg(leaf([1.0, 2.0], float32))
    for y in (Cast(x, float64), Cast(x, int32), Bitcast(x, int32)):
        assert not plan_memory(Schedule((kernel(x), kernel(y)), (y,))).in_place


def test_a_contraction_takes_a_place_only_where_it_may(leaf):
    """Else its tiles may overlap: an element may be computed twice."""
    x = Neg(leaf([1.0, 2.0], float32))
    y = Neg(x)
    schedule = Schedule((kernel(x), kernel(y, kind="contraction")), (y,))
    assert not plan_memory(schedule).in_place
    assert plan_memory(schedule, in_contractions=True).in_place == {y: x}


def test_a_node_that_is_read_later_or_wanted_keeps_its_memory(leaf):
    x = Neg(leaf([1.0, 2.0], float32))
    y = Neg(x)
    z = Add(x, y)
    for outputs in ((z,), (x, z)):
        schedule = Schedule((kernel(x), kernel(y), kernel(z)), outputs)
        plan = plan_memory(schedule)
        check(schedule, plan)
        assert plan.in_place.get(y) is not x


def test_a_slot_is_used_again_when_its_node_is_dead(leaf):
    x = leaf([[0.0] * 64] * 64, float32)
    first = Neg(x)
    small = Reduce(first, "sum", (1,))
    second = Add(x, x)
    out = Add(Reduce(second, "sum", (1,)), small)
    schedule = Schedule(
        (kernel(first), kernel(small), kernel(second), kernel(out, inputs=[second, small])), (out,)
    )
    plan = plan_memory(schedule)
    check(schedule, plan)
    assert plan.slot_of[first] == plan.slot_of[second]


def test_an_output_s_slot_serves_others_until_it_is_written(leaf):
    x = leaf([[0.0] * 64] * 64, float32)
    first = Neg(x)
    total = Reduce(first, "sum", (0, 1))
    out = Add(x, x)
    schedule = Schedule((kernel(first), kernel(total), kernel(out)), (total, out))
    plan = plan_memory(schedule)
    check(schedule, plan)
    assert plan.slot_of[first] == plan.slot_of[out]


def test_outputs_come_first_and_each_has_its_own_slot(leaf):
    nodes = chain(leaf([1.0, 2.0], float32), 4)
    schedule = Schedule(tuple(map(kernel, nodes)), (nodes[3], nodes[1], nodes[3]))
    plan = plan_memory(schedule)
    check(schedule, plan)
    assert plan.outputs == 2
    assert {plan.slot_of[nodes[3]], plan.slot_of[nodes[1]]} == {0, 1}


def test_an_output_takes_the_buffer_donated_to_it(leaf):
    p, g = leaf([1.0, 2.0], float32), leaf([3.0, 4.0], float32)
    new = Add(p, g)
    plan = plan_memory(Schedule((kernel(new),), (new,)), {new: p})
    assert plan.in_place == {new: p}
    assert not plan.slots


@pytest.mark.parametrize("how", ["read later", "wanted itself", "not read"])
def test_a_donated_buffer_that_is_needed_is_not_taken(leaf, how):
    p, g = leaf([1.0, 2.0], float32), leaf([3.0, 4.0], float32)
    new, later = Add(p, g), Neg(p)
    kernels, outputs = [kernel(new)], [new]
    if how == "read later":
        kernels.append(kernel(later))
        outputs.append(later)
    elif how == "wanted itself":
        outputs.append(p)
    else:
        new = Neg(g)
        kernels, outputs = [kernel(new)], [new]
    assert not plan_memory(Schedule(tuple(kernels), tuple(outputs)), {new: p}).in_place


def random_schedule(leaf, rng: random.Random, count: int) -> Schedule:
    """Elementwise kernels that read some of the latest nodes of their size."""
    nodes: dict[int, list[Node]] = {}
    kernels = []
    last: list[Node] = []
    for _ in range(count):
        size = rng.choice((4, 100, 1000, 4000))
        known = nodes.setdefault(size, [leaf([0.0] * size, float32)])
        x, y = rng.choice(known[-6:]), rng.choice(known[-3:])
        node = Add(x, y) if rng.random() < 0.5 else Add(Neg(x), y)
        if any(node in k.outputs for k in kernels) or node in known:
            continue
        known.append(node)
        kernels.append(kernel(node, inputs=[x, y]))
        last.append(node)
    return Schedule(tuple(kernels), tuple(rng.sample(last, 3)))


@pytest.mark.parametrize("seed", range(20))
def test_random_schedules_keep_what_is_alive(leaf, seed):
    schedule = random_schedule(leaf, random.Random(seed), 60)
    plan = plan_memory(schedule)
    check(schedule, plan)
    assert plan.least <= plan.nbytes <= 1.5 * plan.least


@pytest.mark.parametrize("form", ["chain", "wide"])
def test_planning_is_nearly_linear(leaf, form, count_calls):
    x = leaf([0.0] * 8, float32)

    def scheduled(count: int) -> Schedule:
        if form == "chain":
            nodes = chain(x, count)
            outputs = (nodes[-1],)
        else:  # all alive at once
            nodes = [Add(x, leaf([float(i)] * 8, float32)) for i in range(count)]
            outputs = tuple(nodes)
        return Schedule(tuple(map(kernel, nodes)), outputs)

    small, large = scheduled(1000), scheduled(8000)
    work = [count_calls(lambda s=s: plan_memory(s)) for s in (small, large)]
    assert work[1] < 12 * work[0]  # eight times the kernels
    assert len(plan_memory(large).slots) == len(large.outputs)


def test_equal_kernels_take_over_equal_inputs(leaf):
    """They are then one function: of several inputs that fit, the first is taken."""
    for _ in range(20):
        x, y = (Neg(leaf([1.0, 2.0], float32)) for _ in range(2))
        z = Add(x, y)
        schedule = Schedule((kernel(x), kernel(y), kernel(z)), (z,))
        assert plan_memory(schedule).in_place == {z: x}
