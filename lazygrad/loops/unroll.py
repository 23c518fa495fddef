"""Write out unroll loops: one copy of the body for each iteration.

unroll i in 2:  acc[i] += a[i] * b    ->    acc[0] += a[0] * b;  acc[1] += a[1] * b
"""

from __future__ import annotations

from dataclasses import replace

from ..expr import Literal
from .ir import Body, For, If, Stmt
from .ir.rebuild import substitute_body


def unroll(body: Body) -> Body:
    """Replace every unroll loop by copies of its body.

    Requires: constant extents. Ensures: no unroll loop is left; of what a copy asks with a known
    answer, only the branch that is taken.
    """
    result: list[Stmt] = []
    for stmt in body:
        match stmt:
            case For(kind="unroll", extent=int() as extent):
                inner = unroll(stmt.body)
                for n in range(extent):
                    result.extend(_decided(substitute_body(inner, {stmt.var: Literal(n)})))
            case For():
                result.append(replace(stmt, body=unroll(stmt.body)))
            case If():
                result.append(
                    replace(stmt, body=unroll(stmt.body), otherwise=unroll(stmt.otherwise))
                )
            case _:
                result.append(stmt)
    return tuple(result)


def _decided(body: Body) -> Body:
    """The body without its Ifs whose condition is known."""
    result: list[Stmt] = []
    for stmt in body:
        match stmt:
            case If(condition=Literal(value=holds)):
                result.extend(_decided(stmt.body if holds else stmt.otherwise))
            case If():
                result.append(
                    replace(stmt, body=_decided(stmt.body), otherwise=_decided(stmt.otherwise))
                )
            case For():
                result.append(replace(stmt, body=_decided(stmt.body)))
            case _:
                result.append(stmt)
    return tuple(result)
