"""Long sums are added up in blocks: the same terms, each once, and never many one after another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import DType, float32, float64, int32
from lazygrad.errors import ScheduleError
from lazygrad.expr import Array, Literal, Load, Op, Var
from lazygrad.index import add, less, mul
from lazygrad.loops.ir import Accumulate, Alloc, Body, For, Function, If, Store, show, statements
from lazygrad.loops.ir.rebuild import nest
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower import lower
from lazygrad.loops.plans import replay
from lazygrad.loops.primitives import Schedule, split
from lazygrad.loops.sums import cascade, perfect, rfactor
from lazygrad.targets import THRESHOLDS, Machine
from tests.loops.evaluate import evaluate
from tests.loops.passes import transform

ZERO = Literal(0)


def reduction(
    extents: list[int], dtype: DType = float32, op: str = "sum", start: int = 0
) -> Function:
    """out = start combined with all of x, one element after another."""
    size = int(np.prod(extents))
    x, out = Array("x", dtype, size), Array("out", dtype, 1)
    acc = Array("acc", dtype, 1, "register")
    loops = [Var(f"k{n}", extent) for n, extent in enumerate(extents)]
    place = add(ZERO)
    for var in loops:
        place = add(mul(place, var.extent), var)
    body: Body = (
        Alloc(acc),
        Store(acc, ZERO, Literal(start, dtype)),
        *nest(loops, (Accumulate(acc, ZERO, op, Load(x, place)),)),
        Store(out, ZERO, Load(acc, ZERO)),
    )
    return Function("f", (out, x), 1, body)


def cascaded(body: Body, machine: Machine) -> Body:
    """The loops with long sums in blocks."""
    s = Schedule(body)
    cascade(s, machine)
    return s.body


def in_blocks(function: Function, machine: Machine) -> Function:
    """The function with long sums in blocks, which must be legal."""
    made = replace(function, body=cascaded(function.body, machine))
    verify(made)
    return made


def run(function: Function, x: np.ndarray[Any, Any]) -> Any:
    out = np.zeros(1, x.dtype)
    evaluate(function, {"x": x.ravel(), "out": out})
    return out[0]


def test_text(cpu: Machine) -> None:
    text = show(in_blocks(reduction([4096]), cpu))
    assert (
        text
        == """\
f(out out: float32[1], x: float32[4096]):
    register acc: float32[1]
    acc[0] = 0.0:float32
    serial k0_c_c in 4:
        register acc_part_1: float32[1]
        acc_part_1[0] = 0.0:float32
        serial k0_c_d in 32:
            register acc_part: float32[1]
            acc_part[0] = 0.0:float32
            serial k0_d in 32:
                acc_part[0] += x[(((k0_c_c * 1024) + (k0_c_d * 32)) + k0_d)]
            acc_part_1[0] += acc_part[0]
        acc[0] += acc_part_1[0]
    out[0] = acc[0]
"""
    )


@pytest.mark.parametrize(
    "extents", [[33], [1000], [9973], [7, 41], [300, 3], [5, 6, 70], [2, 2500]]
)
def test_every_term_counts_once(extents: list[int], cpu: Machine) -> None:
    function = in_blocks(reduction(extents, float64, start=3), cpu)
    x = np.random.default_rng(0).integers(-100, 100, extents).astype(np.float64)
    assert run(function, x) == x.sum() + 3
    assert cascaded(function.body, cpu) == function.body  # nothing is left to do


@pytest.mark.parametrize("machine", ["cpu", "gpu"])
def test_the_error_is_a_few_units(machine: str, request: pytest.FixtureRequest) -> None:
    function = reduction([20_000])
    x = np.full(20_000, 0.1, np.float32)
    exact = x.astype(np.float64).sum()
    before, after = run(function, x), run(in_blocks(function, request.getfixturevalue(machine)), x)
    assert abs(before - exact) > 1e-5 * exact
    assert abs(after - exact) < 4e-7 * exact


@pytest.mark.parametrize(
    "function",
    [
        reduction([32]),
        reduction([5000], int32),
        reduction([5000], op="max"),
        reduction([5000], op="prod"),
    ],
    ids=["short", "whole numbers", "maximum", "product"],
)
def test_what_gains_nothing_stays(function: Function, cpu: Machine) -> None:
    assert cascaded(function.body, cpu) == function.body


def test_a_sum_that_is_read_meanwhile_stays(cpu: Machine) -> None:
    k, acc, x = Var("k", 500), Array("acc", float32, 1, "register"), Array("x", float32, 500)
    out = Array("out", float32, 500)
    body: Body = (
        Alloc(acc),
        Store(acc, ZERO, Literal(0, float32)),
        *nest([k], (Accumulate(acc, ZERO, "sum", Load(x, k)), Store(out, k, Load(acc, ZERO)))),
    )
    assert cascaded(body, cpu) == body


def test_sums_under_a_condition(cpu: Machine) -> None:
    function = reduction([40, 50])
    (loop,) = (s for s in function.body if isinstance(s, For))
    (inner,) = loop.body
    tested = For(loop.var, 40, "serial", (If(less(loop.var, 30), (inner,)),))
    body = tuple(tested if s is loop else s for s in function.body)
    made = in_blocks(Function("f", function.arguments, 1, body), cpu)
    x = np.arange(2000, dtype=np.float32)
    assert run(made, x) == x[:1500].sum()
    assert made.body != body


@pytest.mark.parametrize("machine", ["cpu", "gpu"])
def test_kernels_of_every_form(
    any_sample: Any, machine: str, request: pytest.FixtureRequest, monkeypatch: Any
) -> None:
    """With limits so low that nearly every sum is long."""
    for target in THRESHOLDS:
        low = replace(THRESHOLDS[target], sum_terms=3, sum_block=2, tile_terms=3, tile_block=2)
        monkeypatch.setitem(THRESHOLDS, target, low)
    facts = request.getfixturevalue(machine)
    scratch = 0 if facts.gpu else None
    function = lower(any_sample.kernel, "kernel", scratch, skips=not facts.gpu)
    seen: dict[str, Function] = {}
    made = transform(function, any_sample.kernel.kinds, facts, seen.__setitem__)
    any_sample.agrees(made)
    verify(made, final=True, unrolled=True)


def test_beside_a_sum_that_must_stay(cpu: Machine) -> None:
    """Of two sums in a loop one is read meanwhile; the other is added up in blocks all the same."""
    k, x = Var("k", 5000), Array("x", float32, 5000)
    one, two = (Array(name, float32, 1, "register") for name in ("one", "two"))
    out, total = Array("out", float32, 5000), Array("total", float32, 1)
    inside = (
        Accumulate(one, ZERO, "sum", Load(x, k)),
        Store(out, k, Load(one, ZERO)),
        Accumulate(two, ZERO, "sum", Load(x, k)),
    )
    starts = [s for a in (one, two) for s in (Alloc(a), Store(a, ZERO, Literal(0, float32)))]
    body: Body = (*starts, *nest([k], inside), Store(total, ZERO, Load(two, ZERO)))
    made = in_blocks(Function("f", (out, total, x), 2, body), cpu)
    values = np.ones(5000, np.float32)
    arrays = {"x": values, "out": np.zeros(5000, np.float32), "total": np.zeros(1, np.float32)}
    evaluate(made, arrays)
    assert arrays["total"][0] == 5000
    assert (arrays["out"] == np.arange(1, 5001)).all()
    names = {s.array.name for s in statements(made.body) if isinstance(s, Alloc)}
    assert "two_part" in names
    assert "one_part" not in names


def test_a_plan_can_be_replayed(cpu: Machine) -> None:
    function = reduction([7, 4100])
    s = Schedule(function.body)
    cascade(s, cpu)
    assert replay(function, "\n".join(s.plan)).body == s.body


def test_blocks_that_go_outside_begin_and_end_with_what_stood_beside_their_loop() -> None:
    function = reduction([6])
    blocks = rfactor(split(function.body, "k0", "exact", "c", "d:3"), "c")
    body = perfect(blocks, "c")
    (alloc, loop) = body
    assert alloc == Alloc(Array("acc", float32, 1, "local"))
    assert isinstance(loop, For)
    added, end = loop.body[-2:]
    assert isinstance(added, If)
    assert [type(s) for s in (*added.body, *added.otherwise)] == [Store, Accumulate]
    assert isinstance(end, If)
    assert [type(s) for s in end.body] == [Store]
    x = np.arange(6, dtype=np.float32)
    assert run(replace(function, body=body), x) == x.sum()


def test_a_loop_without_a_sum_is_told() -> None:
    with pytest.raises(ScheduleError, match="rfactor k0: no sum over k0"):
        rfactor(reduction([9], op="max").body, "k0")


@pytest.mark.parametrize(("rows", "is_in_blocks"), [(1, True), (8, False)])
def test_terms_of_a_tile_of_one_vector_need_no_blocks(
    cpu: Machine, rows: int, is_in_blocks: bool
) -> None:
    """Each of the eight rows uses what is read of b again: memory does not take the time."""
    k, r, lane = Var("k", 64), Var("r", rows), Var("lane", 16)
    a, b, out = (Array(name, float32, n) for name, n in (("a", 512), ("b", 1024), ("out", 128)))
    acc = Array("acc", float32, 128, "register")
    place = add(mul(r, 16), lane)
    product = Op("mul", (Load(a, add(mul(k, rows), r)), Load(b, add(mul(k, 16), lane))))

    def tile(stmt: Any) -> Body:
        return (For(r, rows, "unroll", (For(lane, 16, "vector", (stmt,)),)),)

    body = (
        Alloc(acc),
        *tile(Store(acc, place, Literal(0, float32))),
        *nest([k], tile(Accumulate(acc, place, "sum", product))),
        *tile(Store(out, place, Load(acc, place))),
    )
    s = Schedule(body)
    cascade(s, cpu)
    assert bool(s.plan) == is_in_blocks
