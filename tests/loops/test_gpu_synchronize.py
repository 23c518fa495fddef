"""Barriers where items of a group need them."""

from __future__ import annotations

from lazygrad.dtypes import float32
from lazygrad.expr import Array, Load, Var
from lazygrad.index import sub
from lazygrad.loops.gpu.synchronize import synchronize
from lazygrad.loops.ir import Alloc, Barrier, Body, For, Store
from lazygrad.loops.ir.rebuild import nest

I, K, G = Var("i", 8), Var("k", 3), Var("g", 2)
TILE = Array("tile", float32, 8, "local")
X, OUT, OTHER = (Array(name, float32, 8) for name in ("x", "out", "other"))


def items(target: Array, source: Array, turned: bool = False) -> For:
    """Each item copies an element; `turned`: another item's."""
    index = sub(7, I) if turned else I
    (loop,) = nest([I], (Store(target, I, Load(source, index)),), "workitem")
    assert isinstance(loop, For)
    return loop


def in_group(*body: For | Alloc | Barrier) -> Body:
    (group,) = nest([G], body, "workgroup")
    return (group,)


FILL, USE = items(TILE, X), items(OUT, TILE, turned=True)


def test_between_what_one_writes_and_another_reads() -> None:
    assert synchronize(in_group(Alloc(TILE), FILL, USE)) == in_group(
        Alloc(TILE), FILL, Barrier(), USE
    )


def test_not_between_what_nobody_shares() -> None:
    body = in_group(FILL, items(OTHER, X))
    assert synchronize(body) == body


def test_before_what_others_may_still_read_is_overwritten() -> None:
    made = synchronize(in_group(FILL, USE, FILL))
    assert made == in_group(FILL, Barrier(), USE, Barrier(), FILL)


def test_at_the_end_of_a_loop_that_fills_again() -> None:
    loop = For(K, 3, "serial", (FILL, USE))
    inside = For(K, 3, "serial", (FILL, Barrier(), USE, Barrier()))
    assert synchronize(in_group(loop)) == in_group(inside)
    once = For(Var("k", 1), 1, "serial", (FILL, USE))
    assert synchronize(in_group(once)) == in_group(
        For(once.var, 1, "serial", (FILL, Barrier(), USE))
    )
