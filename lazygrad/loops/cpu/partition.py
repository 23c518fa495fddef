"""Loop partitioning: split loops where a condition on their index changes; the inner part needs no
test.

serial i in 58:  out[i] = x[i - 1] if (0 < i) & (i < 57)
->
out[0] = 0
serial i_1 in 56:  out[i_1 + 1] = x[i_1]
out[57] = 0
"""

from __future__ import annotations

from ...expr import COMPARISONS, Expr, Literal, Op, Var, parts
from ...index import substitute
from ...targets import LOOP_PARTS, LOOPS_IN_PARTS
from ..ir import Accumulate, Body, Store, expressions, statements
from ..ir.rebuild import stride, variables
from ..primitives import Schedule, inside_of, partition


def partition_loops(s: Schedule, lanes: int) -> list[str] | None:
    """Partition the innermost loops of a perfect nest. Returns the names of the loops that stay
    whole.

    None where no condition can be decided so, or where the innermost loop is not for vectors of
    `lanes`: it is too short, or its stores are not contiguous.

    Requires: serial loops, whose iterations are independent. Ensures: the same values; the
    conditions that decided where to split are constants in each part.
    """
    loops, body = s.outer()
    if not loops or loops[-1].extent < 2 * lanes:
        return None
    stores = [s for s in statements(body) if isinstance(s, (Store, Accumulate))]
    if any(stride(s.index, loops[-1]) != 1 for s in stores if s.array.scope == "global"):
        return None
    kept = list(loops)
    splits = 0
    while kept and splits < LOOPS_IN_PARTS:
        starts = _changes(inside_of(s.body, kept[-1].name), kept[-1])
        if len(starts) == 1 or len(starts) > LOOP_PARTS:
            if splits:
                break
        else:
            splits += 1
            s.do(partition, kept[-1].name, *starts[1:])
        kept.pop()
    return [v.name for v in kept] if splits else None


def _changes(body: Body, var: Var) -> list[int]:
    """0, and the values of var from which on some condition on it alone has another answer."""
    starts = {0}
    for condition in _conditions(body, var):
        first, last = 0, var.extent - 1
        answer = _answer(condition, var, first)
        if answer is None or answer == _answer(condition, var, last):
            continue
        while last - first > 1:  # a comparison of linear expressions changes once
            middle = (first + last) // 2
            if _answer(condition, var, middle) == answer:
                first = middle
            else:
                last = middle
        starts.add(last)
    return sorted(starts)


def _conditions(body: Body, var: Var) -> set[Expr]:
    """The comparisons by order that depend on var alone."""
    whole = (e for stmt in statements(body) for e in expressions(stmt))
    return {
        e
        for e in parts(*whole, mentioning=var)
        if isinstance(e, Op) and e.op in COMPARISONS - {"eq", "ne"} and variables(e) == {var}
    }


def _answer(condition: Expr, var: Var, value: int) -> bool | None:
    """Whether the condition holds for a value of var; None where that is not known."""
    decided = substitute(condition, {var: Literal(value)})
    return bool(decided.value) if isinstance(decided, Literal) else None
