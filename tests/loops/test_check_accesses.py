"""Tests of accesses: what is outside is reported and not touched; what is inside is as before."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad.dtypes import float32, int64
from lazygrad.expr import Array, Literal, Load, Local, Op, Ramp, Var
from lazygrad.index import add
from lazygrad.loops.check_accesses import check_accesses, described, with_report
from lazygrad.loops.ir import Accumulate, Alloc, Body, For, Function, Let, Store
from lazygrad.loops.ir.verify import verify
from tests.loops.evaluate import evaluate

OUT, X, PLACES = Array("out0", float32, 4), Array("in0", float32, 8), Array("in1", int64, 4)
i = Var("i", 4)
ZERO = Literal(0)


def run(body: Body, places: list[int]) -> tuple[list[float], str, Function]:
    """out0, what the report says of an access ("": nothing), and the checked function."""
    function = check_accesses(with_report(Function("f", (OUT, X, PLACES), 1, body)))
    verify(function)
    arrays = {
        "out0": np.full(4, -1, np.float32),
        "report": np.zeros(1, np.int64),
        "in0": np.arange(8, dtype=np.float32),
        "in1": np.array(places),
    }
    evaluate(function, arrays)
    report = int(arrays["report"][0])
    return arrays["out0"].tolist(), described(function, report) if report else "", function


def gathered(kind: str = "serial") -> Body:
    return (For(i, 4, kind, (Store(OUT, i, Load(X, Load(PLACES, i))),)),)


@pytest.mark.parametrize("kind", ["serial", "parallel"])
def test_what_is_inside_is_as_before(kind: str) -> None:
    assert run(gathered(kind), [7, 0, 3, 3])[:2] == ([7, 0, 3, 3], "")


@pytest.mark.parametrize("place", [8, 1000, -1, -(2**63), 2**63 - 1])
def test_a_read_outside_is_reported_and_gives_0(place: int) -> None:
    out, report, _ = run(gathered(), [1, place, 2, 3])
    assert out == [1, 0, 2, 3]
    assert report.startswith("in0[in1[i")
    assert report.endswith(f"; {min(max(place, -(2**31)), 2**31 - 1)} is outside")


def test_a_write_outside_is_reported_and_left_out() -> None:
    for write in (
        Store(OUT, Load(PLACES, i), Literal(5, float32)),
        Accumulate(OUT, Load(PLACES, i), "sum", Literal(6, float32)),
    ):
        out, report, _ = run((For(i, 4, "serial", (write,)),), [4, 1, 1, 0])
        assert out[2:] == [-1, -1]
        assert 5 in out or 11 in out
        assert report.endswith("is written, of 4 elements; 4 is outside")


def test_a_guard_excuses() -> None:
    guarded = Load(X, Load(PLACES, i), Op("lt", (i, Literal(1))))
    body = (For(i, 4, "serial", (Store(OUT, i, guarded),)),)
    assert run(body, [3, 99, 99, 99])[:2] == ([3, 0, 0, 0], "")


def test_vectors_are_tested_from_end_to_end() -> None:
    for start, worst in ((0, None), (4, None), (5, 8), (-1, -1)):
        body = (Store(OUT, Ramp(ZERO, 1, 4), Load(X, Ramp(add(Load(PLACES, ZERO), 0), 1, 4))),)
        out, report, _ = run(body, [start, 0, 0, 0])
        assert report.endswith("" if worst is None else f"; {worst} is outside")
        assert bool(report) == (worst is not None)
        inside = [n if 0 <= n < 8 else 0 for n in range(start, start + 4)]
        assert out == inside


def test_definitions_before_a_shared_loop_are_tested_in_it() -> None:
    """Around the loops that groups or threads share there are definitions alone."""
    local, own = Local("first", float32), Array("own", float32, 1, "register")
    body = (
        Let(local, Load(X, Load(PLACES, ZERO))),
        Alloc(own),
        For(i, 4, "workgroup", (Store(OUT, i, local),)),
    )
    out, report, function = run(body, [8, 0, 0, 0])
    assert [type(s) for s in function.body] == [Let, Alloc, For]
    assert out == [0, 0, 0, 0]
    assert report.startswith("in0")
    assert report.endswith("; 8 is outside")
