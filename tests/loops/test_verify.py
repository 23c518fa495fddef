"""What is not legal is named: each rule of the loop IR broken once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lazygrad.dtypes import float32, int64
from lazygrad.errors import CompilerError
from lazygrad.expr import Array, Cast, Literal, Load, Local, Op, Ramp, Var
from lazygrad.index import TRUE, less
from lazygrad.loops.ir import Accumulate, Alloc, Barrier, Body, For, Function, If, Let, Store
from lazygrad.loops.ir.verify import verify

I, J = Var("i", 8), Var("j", 8)
OUT, X = Array("out", float32, 8), Array("x", float32, 8)
ACC = Array("acc", float32, 1, "register")
ZERO, ONE = Literal(0), Literal(1.0, float32)
COPY = Store(OUT, I, Load(X, I))
SUM = Accumulate(OUT, ZERO, "sum", ONE)


def function(*body: For | If | Store | Accumulate | Alloc | Let | Barrier) -> Function:
    return Function("f", (OUT, X), 1, body)


def loop(*body: For | If | Store | Accumulate | Alloc | Let | Barrier, kind: str = "serial") -> For:
    return For(I, 8, kind, body)


def test_what_is_legal_passes() -> None:
    verify(function(loop(COPY)), final=True, unrolled=True)
    verify(function(Alloc(ACC), Store(ACC, ZERO, ONE), loop(COPY, kind="parallel")), final=True)
    verify(function(replace(SUM, needed=TRUE)))


FAULTS: dict[str, Body] = {
    "i is used in i where it is not known": (COPY,),
    "acc is written where it is not known": (Store(ACC, ZERO, ONE),),
    "x is written, and no output": (Store(X, ZERO, ONE),),
    "int64 is stored in out, which holds float32": (Store(OUT, ZERO, ZERO),),
    "out is indexed by 1.0": (Store(OUT, ONE, ONE),),
    "is outside its 8 elements": (Store(OUT, Literal(8), ONE),),
    "has the guard 0": (Store(OUT, ZERO, ONE, ZERO),),
    "in \\[2, 4\\] lanes": (Store(OUT, Ramp(ZERO, 1, 2), Load(X, Ramp(ZERO, 1, 4))),),
    "accumulates by mean": (replace(SUM, op="mean"),),
    "out is needed if 0": (replace(SUM, needed=ZERO),),
    "j is used in": (replace(SUM, needed=less(J, 3)),),
    "an if has the condition 0": (If(ZERO, (SUM,)),),
    "the loop over i is odd, none of": (For(I, 8, "odd", (COPY,)),),
    "its loop goes to 9": (For(I, 9, "serial", (COPY,)),),
    "the vector loop over i has the extent j": (
        For(J, 8, "serial", (For(I, J, "vector", (COPY,)),)),
    ),
    "inside another one over i": (loop(loop(COPY)),),
    "inside a parallel loop": (For(J, 8, "parallel", (loop(COPY, kind="parallel"),)),),
    "a barrier stands inside": (loop(COPY, Barrier(), kind="workitem"),),
    "it is in no parallel loop": (loop(COPY, kind="parallel"), Store(OUT, ZERO, ONE)),
    "out is read in a parallel loop after": (
        loop(COPY, kind="parallel"),
        loop(Store(OUT, I, Load(OUT, I)), kind="parallel"),
    ),
    "two arrays are named acc": (Alloc(ACC), Alloc(replace(ACC, size=2))),
    "mixes int64 and float32": (Store(OUT, ZERO, Op("add", (ZERO, ONE))),),
    "sqrt of int64": (Store(OUT, Op("sqrt", (ZERO,)), ONE),),
    "acc is made inside a vector loop": (loop(Alloc(ACC), COPY, kind="vector"),),
    "acc\\[0\\] holds 1 elements, not 2 more": (
        Alloc(ACC),
        Store(ACC, ZERO, Load(X, Ramp(ZERO, 1, 2))),
    ),
    "acc is allocated with scope global": (Alloc(replace(ACC, scope="global")),),
}


@pytest.mark.parametrize("message", FAULTS)
def test_what_is_not_legal_is_named(message: str) -> None:
    with pytest.raises(CompilerError, match=f"verify: f: .*({message})"):
        verify(function(*FAULTS[message]))


def test_what_a_pass_had_to_write_out() -> None:
    for left, message in (
        (loop(COPY, kind="vector"), "the vector loop over i is left"),
        (loop(COPY, kind="unroll"), "the unroll loop over i is left"),
        (replace(SUM, needed=TRUE), "out is still needed only if"),
        (loop(replace(COPY, needed=TRUE)), "out is still needed only if"),
    ):
        verify(function(left))
        with pytest.raises(CompilerError, match=message):
            verify(function(left), final=True)


def test_registers_have_constant_places_in_the_end() -> None:
    wide = replace(ACC, size=8)
    body = (Alloc(wide), loop(Store(wide, I, ONE), COPY))
    verify(function(*body))
    with pytest.raises(CompilerError, match=r"the register array acc is indexed by i: no constant"):
        verify(function(*body), unrolled=True)


def test_a_local_is_known_after_its_let_alone() -> None:
    y = Local("y", float32)
    verify(function(Let(y, ONE), Store(OUT, ZERO, y)))
    with pytest.raises(CompilerError, match="y is used in y where it is not known"):
        verify(function(Store(OUT, ZERO, y), Let(y, ONE)))
    with pytest.raises(CompilerError, match="y"):
        verify(function(Let(y, Cast(ZERO, int64))))
