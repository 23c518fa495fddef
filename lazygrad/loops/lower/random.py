"""Random words as scalar expressions."""

from __future__ import annotations

from collections.abc import Sequence

from ...dtypes import uint32
from ...expr import Cast, Expr, Literal, Op
from ...graph.ir.random import RandomBits, threefry
from ...index import equal, flatten, normalize
from ...schedule.access import MultiIndex


def random_word(node: RandomBits, index: MultiIndex, state: Sequence[Expr]) -> Expr:
    """One of the words at an index; `state` are the three words of the state."""
    word, *at = index
    key, draws = (state[0], state[1]), state[2]
    number = Cast(flatten(at, node.shape_), uint32)
    x, y = threefry(key, (number, draws), _operate)
    match word:
        case Literal(value=0):
            return x
        case Literal():
            return y
    return Op("where", (equal(word, 0), x, y))


def _operate(op: str, x: Expr, y: Expr | int) -> Expr:
    return normalize(Op(op, (x, Literal(y, uint32) if isinstance(y, int) else y)))
