"""The tools that the loop passes share."""

from __future__ import annotations

from dataclasses import replace

from lazygrad.dtypes import bool_, float32, int64
from lazygrad.expr import Array, Cast, Expr, Literal, Load, Local, Op, Var, parts
from lazygrad.index import add, less, mul
from lazygrad.loops.ir import Accumulate, Alloc, Body, For, Function, If, Let, Stmt, Store, digest
from lazygrad.loops.ir.rebuild import (
    Names,
    apart,
    body_loads,
    has_trait,
    loads,
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


def test_traits_are_of_statements_at_any_depth() -> None:
    total = Accumulate(OUT, PLACE, "sum", Load(X, PLACE), needed=less(I, 2))
    inside = If(less(J, 3), (total,), ())
    body: Body = (COPY, For(I, 4, "parallel", (For(J, 8, "unroll", (inside,)),)))
    for trait in ("parallel", "unroll", "sum", "needed"):
        assert has_trait(body, trait)
        assert not has_trait(body[:1], trait)
    assert not has_trait(body, "serial")


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


def test_a_digest_tells_every_field_of_a_function_and_not_how_it_came_about() -> None:
    i, x = Var("i", 8), Array("x", float32, 8)
    out = Array("out", float32, 8)

    def function(value: Expr, needed: Expr | None = None) -> Function:
        update = Accumulate(out, i, "sum", value, needed=needed)
        return Function("f", (out, x), 1, (For(i, 8, "serial", (update,)),))

    plain = function(Load(x, i))
    others = [
        function(Load(x, i), less(i, 4)),
        function(Load(x, i, less(i, 4))),
        function(Load(x, add(i, 1))),
        function(Op("add", (Load(x, i), Literal(0.0, float32)))),
        function(Op("add", (Load(x, i), Literal(-0.0, float32)))),
        replace(plain, outputs=2),
    ]
    assert len({digest(f) for f in (plain, *others)}) == 1 + len(others)
    assert digest(replace(plain, comment="other")) == digest(plain)


def test_loads_are_found_in_indices_and_guards_too() -> None:
    i, x, n = Var("i", 8), Array("x", float32, 8), Array("n", int64, 8)
    inner = Load(n, i)
    outer = Load(x, inner, Op("lt", (inner, Literal(4))))
    assert set(loads(Op("mul", (outer, outer)))) == {outer, inner}
    assert loads(add(i, 1)) == ()
    assert not add(i, 1).has_loads
    assert Cast(outer, int64).has_loads
