"""Loops that run past their end: there they read zeros, and write nothing."""

from __future__ import annotations

from dataclasses import replace

from ..expr import Expr, Literal, Load, Op, Var, rewrite
from ..index import all_of
from .ir import Accumulate, Body, For, If, Stmt, statements
from .ir.rebuild import factors_of, map_bodies, variables


def masked(body: Body, var: Var, condition: Expr) -> Body:
    """The body of a loop over var, to have an effect only where the condition holds. Elsewhere, a
    sum of products into a register gets factors that are 0; what comes after the sum stands in an
    If.

        acc = 0;  serial k: acc += a[i*9 + k] * b[k];  out[i] = acc
        ->
        acc = 0;  serial k: acc += (a[i*9 + k] if i < 5) * b[k];  if i < 5: out[i] = acc
    """
    at = next((n for n, stmt in enumerate(body) if _sums(stmt)), None)
    match body:
        case (For() as loop,) if at is None:
            return (replace(loop, body=masked(loop.body, var, condition)),)
    if at is None:
        return _under(condition, body)
    stmt = body[at]
    if isinstance(stmt, Accumulate):
        inside: Stmt = _without_products(stmt, var, condition)
    else:
        inside = map_bodies(stmt, lambda inner: masked(inner, var, condition))
    return (*body[:at], inside, *_under(condition, body[at + 1 :]))


def guarded(e: Expr, condition: Expr | None) -> Expr:
    """e where the condition holds, else 0; nothing is loaded where it does not hold."""
    if condition is None:
        return e
    match e:
        case Op(op="where", args=(old, x, Literal(value=0))):
            both = all_of((old, condition))
            assert both is not None
            return Op("where", (both, loads_under(x, condition), e.operands[2]))
        case Load():
            return loads_under(e, condition)
    return Op("where", (condition, loads_under(e, condition), Literal(0, e.dtype)))


def loads_under(e: Expr, condition: Expr, var: Var | None = None) -> Expr:
    """e with its loads done only where the condition holds too: elsewhere they give 0. With `var`,
    only loads from memory, not from registers, that depend on it."""

    def change(x: Expr) -> Expr | None:
        if not isinstance(x, Load):
            return None
        if var and (x.array.scope == "register" or var not in variables(x.index)):
            return None
        return Load(x.array, x.index, all_of((x.guard, condition)))

    return rewrite(e, change)


def _sums(stmt: Stmt) -> bool:
    found = (s for s in statements((stmt,)) if isinstance(s, Accumulate))
    return any(s.array.scope == "register" for s in found)


def _under(condition: Expr, body: Body) -> Body:
    match body:
        case ():
            return ()
        case (If(old, inside, ()),):
            both = all_of((condition, old))
            assert both is not None
            return (If(both, inside),)
    return (If(condition, body),)


def _without_products(term: Accumulate, var: Var, condition: Expr) -> Accumulate:
    """A term of a sum; those of its factors that depend on var are 0 where the condition does not
    hold."""
    found = factors_of(term) or (term.value,)
    changed = {e: guarded(e, condition) for e in found if var in variables(e)}
    return replace(term, value=rewrite(term.value, changed.get))
