"""What every iteration would pack alike is packed before the loop."""

from __future__ import annotations

from lazygrad.dtypes import float32
from lazygrad.expr import Array, Literal, Load, Var
from lazygrad.index import add, mul
from lazygrad.loops.cpu.hoist import hoist
from lazygrad.loops.ir import Accumulate, Alloc, Body, For, Store

I, K = Var("i", 4), Var("k", 8)
OUT, A, B = Array("out", float32, 4), Array("a", float32, 32), Array("b", float32, 8)
PANEL = Array("panel", float32, 8, "local")


def loop(fill: Body, kind: str = "serial") -> Body:
    total = Accumulate(OUT, I, "sum", Load(PANEL, K))
    return (For(I, 4, kind, (Alloc(PANEL), *fill, For(K, 8, "serial", (total,)))),)


def test_a_panel_leaves_a_loop_that_it_does_not_depend_on() -> None:
    fill = For(K, 8, "serial", (Store(PANEL, K, Load(B, K)),))
    alloc, filled, rest = hoist(loop((fill,)))
    assert (alloc, filled) == (Alloc(PANEL), fill)
    assert isinstance(rest, For)
    assert len(rest.body) == 1


def test_it_leaves_every_such_loop() -> None:
    fill = For(K, 8, "serial", (Store(PANEL, K, Load(B, K)),))
    outer = For(Var("j", 2), 2, "serial", loop((fill,)))
    assert [type(s) for s in hoist((outer,))] == [Alloc, For, For]


def test_a_panel_of_the_iteration_stays() -> None:
    fill = For(K, 8, "serial", (Store(PANEL, K, Load(A, add(mul(I, 8), K))),))
    body = loop((fill,))
    assert hoist(body) == body


def test_a_panel_of_what_the_loop_writes_stays() -> None:
    fill = For(K, 8, "serial", (Store(PANEL, K, Load(OUT, Literal(0))),))
    body = loop((fill,))
    assert hoist(body) == body


def test_a_panel_that_is_added_to_stays() -> None:
    fill = For(K, 8, "serial", (Accumulate(PANEL, K, "sum", Load(B, K)),))
    body = loop((fill,))
    assert hoist(body) == body


def test_threads_pack_for_themselves() -> None:
    fill = For(K, 8, "serial", (Store(PANEL, K, Load(B, K)),))
    body = loop((fill,), "parallel")
    assert hoist(body) == body
