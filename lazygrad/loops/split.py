"""Split loops whose variable is used as a quotient and a remainder.

    serial n in 128: serial c: out[(n // 8) * 8*C + c*8 + n % 8] = ...
    ->
    serial n_h in 16: serial c: serial n_l in 8: out[n_h * 8*C + c*8 + n_l] = ...

The loop over the remainder (n_l) becomes the innermost: its elements are neighbours in memory. The
loops inside of a row are ordered by memory as well: those with the smallest steps innermost.
"""

from __future__ import annotations

from dataclasses import replace

from ..expr import Expr, Literal, Op, Var, parts
from ..index import add, mul
from .ir import Accumulate, Body, For, If, Stmt, Store, expressions, statements
from .ir.rebuild import body_loads, in_order_of_memory, nest, peel, substitute_body, written


def split_divided(body: Body) -> Body:
    """Split every loop over a variable v of which v // d and v % d both occur, for a d that divides
    the loop's extent. A loop of varying extent stays as it is.

    Requires: serial loops; the loops of a perfect nest may be interchanged. Ensures: the same
    values.
    """
    loops, inside = peel(body)
    fixed = next((n for n, s in enumerate(loops) if isinstance(s.extent, Expr)), len(loops))
    if fixed < len(loops):  # a loop of varying length stays as it is
        loops, inside = loops[:fixed], (loops[fixed],)
    if not loops:
        return tuple(s for stmt in body for s in _inside(stmt))
    inside = tuple(s for stmt in inside for s in _inside(stmt))
    outer: list[Var] = []
    lows: list[Var] = []
    for loop in loops:
        size = _divisor(inside, loop.var)
        if size is None:
            outer.append(loop.var)
            continue
        high = Var(f"{loop.var.name}_h", loop.var.extent // size)
        low = Var(f"{loop.var.name}_l", size)
        inside = substitute_body(inside, {loop.var: add(mul(high, size), low)})
        outer.append(high)
        lows.append(low)
    return nest([*outer, *lows], inside)


def _inside(stmt: Stmt) -> Body:
    match stmt:
        case For(extent=Expr()):
            return (replace(stmt, body=split_divided(stmt.body)),)
        case For():
            return _by_memory(split_divided((stmt,)))
        case If():
            then, otherwise = split_divided(stmt.body), split_divided(stmt.otherwise)
            return (replace(stmt, body=then, otherwise=otherwise),)
    return (stmt,)


def _by_memory(body: Body) -> Body:
    """A perfect nest with its loops in the order of memory: those with the largest steps outermost.
    A nest stays as it is where it reads an array that it writes, or a loop's extent varies.

    Requires: the loops may be interchanged.
    """
    loops, inside = peel(body)
    reads, changed = body_loads(inside), written(inside)
    if any(isinstance(s, (For, If)) for s in inside) or any(x.array in changed for x in reads):
        return body
    if not all(isinstance(loop.extent, int) and loop.kind == "serial" for loop in loops):
        return body
    places = [x.index for x in reads]
    places += [s.index for s in inside if isinstance(s, (Store, Accumulate))]
    return nest(in_order_of_memory([loop.var for loop in loops], places), inside)


def _divisor(body: Body, var: Var) -> int | None:
    """The largest d that divides the extent of a variable v, and for which x // d and y % d both
    occur, where x and y are v or v plus a constant. None if there is no such d."""
    divided: dict[str, set[int]] = {"floordiv": set(), "mod": set()}
    whole = (e for stmt in statements(body) for e in expressions(stmt))
    for e in parts(*whole, mentioning=var):
        match e:
            case Op(op=("floordiv" | "mod") as op, args=(x, Literal(value=d))):
                if x is var or _is_beside(x, var):
                    divided[op].add(int(d))
    both = [d for d in divided["floordiv"] & divided["mod"] if var.extent % d == 0]
    return max(both, default=None)


def _is_beside(e: Expr, var: Var) -> bool:
    """Whether e is var plus a constant."""
    match e:
        case Op(op="add", args=(x, y)):
            return (x is var and isinstance(y, Literal)) or (y is var and isinstance(x, Literal))
    return False
