"""What fuse makes is legal; every way to break it is found and told by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lazygrad.dtypes import float32
from lazygrad.errors import CompilerError
from lazygrad.expr import Literal, Var
from lazygrad.graph.ir import Const, Expand, Node, Permute, Reduce, Reshape, Sqrt, Sub
from lazygrad.schedule.fuse import fuse
from lazygrad.schedule.ir import Kernel, Member, Schedule
from lazygrad.schedule.verify import verify


def row_maximum(x: Node) -> Node:
    """max(x) along axis 1, expanded back."""
    rows, columns = x.shape
    return Expand(Reshape(Reduce(x, "max", (1,)), (rows, 1)), (rows, columns))


@pytest.fixture
def schedule(leaf) -> Schedule:
    """sqrt(x - max(x)) over rows: one kernel of two members."""
    x = leaf([[float(i * j % 7) for i in range(64)] for j in range(64)], float32)
    made = fuse([Sqrt(Sub(row_maximum(x), x))], 1)
    assert len(made.kernels) == 1
    return made


def changed(schedule: Schedule, **fields: object) -> Schedule:
    """The schedule, its first kernel with other fields."""
    kernel = replace(schedule.kernels[0], **fields)
    return replace(schedule, kernels=(kernel, *schedule.kernels[1:]))


def test_what_fuse_makes_is_legal(schedule):
    verify(schedule)


def test_kind_must_be_known(schedule):
    with pytest.raises(CompilerError, match="kernel 0 \\(spiral\\): its kind is none of"):
        verify(changed(schedule, kind="spiral"))


def test_members_of_a_map_have_no_inner_loops(schedule):
    with pytest.raises(CompilerError, match=r"inner loops|reduces"):
        verify(changed(schedule, kind="map"))


def test_positions_run_over_the_outer_loops_exactly_once(schedule):
    first, *others = schedule.kernels[0].members
    twice = Member(first.node, Var("a0", 32), first.stored)
    with pytest.raises(CompilerError, match=r"does not run over 0 \.\. 63"):
        verify(changed(schedule, members=(twice, *others)))


def test_positions_are_of_the_members_own_axes(schedule):
    first, *others = schedule.kernels[0].members
    foreign = Member(first.node, Var("q", 64), first.stored)
    with pytest.raises(CompilerError, match="no axes of it"):
        verify(changed(schedule, members=(foreign, *others)))


def test_each_node_is_written_once(schedule):
    with pytest.raises(CompilerError, match=r"kernel 1 .* is written by kernel 0 too"):
        verify(replace(schedule, kernels=schedule.kernels * 2))


def test_inputs_come_before(leaf):
    x = leaf([1.0, 2.0], float32)
    late = Sqrt(x)
    kernels = fuse([late], 1).kernels
    member = Member(Sqrt(late), Var("a0", 2), True)
    reader = Kernel("map", 2, (member,), (late,))
    verify(Schedule((*kernels, reader), (member.node,)))
    with pytest.raises(CompilerError, match="was not written before"):
        verify(Schedule((reader, *kernels), (member.node,)))


def test_outputs_are_written_or_buffers(leaf):
    x = leaf([1.0], float32)
    verify(Schedule((), (x,)))
    with pytest.raises(CompilerError, match="no kernel writes the output"):
        verify(Schedule((), (Const(1.0, float32, (1,)),)))


def test_kernels_write_something(schedule):
    members = tuple(replace(m, stored=False) for m in schedule.kernels[0].members)
    with pytest.raises(CompilerError, match="writes nothing"):
        verify(changed(schedule, members=members))


def test_many_elements_a_position_are_a_row_s_own(leaf):
    x = leaf([[1.0, 2.0], [3.0, 4.0]], float32)
    row = Member(Sqrt(x), Var("a0", 2), False)
    out = Member(Reduce(row.node, "sum", (1,)), Var("a0", 2), True)
    verify(Schedule((Kernel("row", 2, (row, out), (x,)),), (out.node,)))
    with pytest.raises(CompilerError, match="inner loops"):
        verify(Schedule((Kernel("contraction", 2, (row, out), (x,)),), (out.node,)))


def test_single_node_kinds_have_a_single_node(schedule):
    with pytest.raises(CompilerError, match="may have one"):
        verify(changed(schedule, kind="scatter"))


def test_a_member_stands_once(schedule):
    members = schedule.kernels[0].members
    with pytest.raises(CompilerError, match="member twice"):
        verify(changed(schedule, members=(*members, members[0])))


def test_a_scalar_has_position_zero(leaf):
    x = leaf(2.0, float32)
    made = fuse([Sqrt(x)], 1)
    assert made.kernels[0].members[0].position is Literal(0)
    verify(made)


def test_a_member_reads_others_at_its_own_position(leaf):
    x = leaf([[1.0, 2.0], [3.0, 4.0]], float32)
    row, column = Var("a0", 2), Var("a1", 2)
    first = Member(Sqrt(x), row, True)
    total = Member(Reduce(first.node, "sum", (1,)), row, True)
    turned = Permute(first.node, (1, 0))
    for place, fits in ((row, False), (column, True)):
        members = (first, total, Member(turned, place, True))
        schedule = Schedule((Kernel("row", 2, members, (x,)),), (total.node, turned))
        if fits:
            verify(schedule)
        else:
            with pytest.raises(CompilerError, match=r"at a0 reads .* at a1"):
                verify(schedule)
