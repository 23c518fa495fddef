"""The tools that the loop passes share."""

from __future__ import annotations

from lazygrad.dtypes import bool_, float32, int64
from lazygrad.expr import Array, Cast, Literal, Load, Local, Op, Var, parts
from lazygrad.index import add, less, mul
from lazygrad.loops.ir import Accumulate, Alloc, Body, For, If, Let, Stmt, Store
from lazygrad.loops.ir.rebuild import (
    Names,
    apart,
    body_loads,
    mentions,
    reads,
    rewrite_body,
    substitute_body,
    written,
)

I, J = Var("i", 4), Var("j", 8)
OUT, X = Array("out", float32, 32), Array("x", float32, 32)
V, V_1 = (Array(name, float32, 1, "register") for name in ("v", "v_1"))
PLACE = add(mul(I, 8), J)
COPY = Store(OUT, PLACE, Load(X, PLACE))
BODY: Body = (For(I, 4, "serial", (For(J, 8, "serial", (COPY,)),)),)


def test_equal_statements_are_one_object() -> None:
    assert Store(OUT, PLACE, Load(X, PLACE)) is COPY is Store(OUT, PLACE, Load(X, PLACE), None)
    assert Array("x", float32, 32) is X is not Array("x", float32, 31)


def test_what_a_statement_mentions() -> None:
    assert mentions(BODY[0]) == {I, J, OUT, X}
    needed = Accumulate(OUT, Literal(0), "sum", Literal(1.0, float32), needed=less(I, 2))
    assert mentions(needed) == {OUT, I}
    assert reads(BODY[0]) == ()
    assert body_loads(BODY) == [Load(X, PLACE)]
    assert written(BODY) == {OUT}


def test_parts_are_distinct_and_closed_ones_are_left_out() -> None:
    load = Load(X, PLACE)
    total = Op("add", (load, Op("mul", (load, Load(X, I)))))
    assert sorted(map(repr, (x for x in parts(total) if isinstance(x, Load)))) == sorted(
        map(repr, (load, Load(X, I)))
    )
    assert list(parts(total, closed=(Load,))) == [total, total.operands[1]]
    assert not list(parts(load, closed=(Load,)))


def test_rules_see_inner_statements_first() -> None:
    seen: list[type[Stmt]] = []

    def rule(stmt: Stmt) -> Body | None:
        seen.append(type(stmt))
        return () if isinstance(stmt, Store) else None

    (loop,) = rewrite_body(BODY, rule)
    assert seen == [Store, For, For]
    assert loop == For(I, 4, "serial", (For(J, 8, "serial", ()),))
    assert rewrite_body(BODY, lambda stmt: None) == BODY


def test_substitution_changes_what_mentions_the_variable_and_takes_known_branches() -> None:
    other = For(J, 8, "serial", (Store(OUT, J, Literal(0.0, float32)),))
    asked = If(less(I, 2), (COPY,), (other,))
    assert substitute_body((asked, other), {I: Literal(1)}) == (
        Store(OUT, add(J, 8), Load(X, add(J, 8))),
        other,
    )
    assert substitute_body((asked,), {I: Literal(3)})[0] is other
    x, y = Local("x", int64), Local("y", int64)
    named = (Let(x, I), Store(OUT, Literal(0), Cast(x, float32)))
    assert substitute_body(named, {x: y}) == (
        Let(y, I),
        Store(OUT, Literal(0), Cast(y, float32)),
    )
    assert less(I, 2).dtype is bool_


def test_a_copy_to_stand_beside_others_has_arrays_of_its_own() -> None:
    body: Body = (Alloc(V), Alloc(V_1), Store(V, Literal(0), Load(V_1, Literal(0))), COPY)
    copy = apart(body, body)
    made = {s.array for s in copy if isinstance(s, Alloc)}
    assert len(made) == 2
    assert not made & {V, V_1}
    assert copy[-1] is COPY  # what both read and write is one array
    assert apart(body) == body


def test_names_are_new() -> None:
    names = Names(["v", "v_1"])
    assert [names.new("v") for _ in range(3)] == ["v_2", "v_3", "v_4"]
    assert [names.new("w"), names.new("w"), names.new("v_2")] == ["w", "w_1", "v_2_1"]
