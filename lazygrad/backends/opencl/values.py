"""What an expression has become: C text for each piece of its lanes, with the text's C type.

A vector whose lanes are an arithmetic sequence is kept as its first lane and the step between
lanes (0: a scalar in every lane), since that is how memory is addressed; it becomes a C vector
only where an operation needs one.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...expr import Expr
from .source import ADD, ATOM, EQUALITY, Term, binary, cast, conditional
from .types import pieces, vector


@dataclass(frozen=True, slots=True)
class Value:
    """The C expressions of an expression's pieces.

    `terms` has one for each of pieces(lanes), or, where `step` is not None, only the first lane's.
    `element` is the C type of a lane in a register ("bool": char masks in vectors). `plain` is the
    expression with the names of Lets replaced by their values, for its bounds; `first` is the
    first lane's, where `step` is not None.
    """

    terms: tuple[Term, ...]
    element: str
    lanes: int
    plain: Expr
    step: int | None = None
    first: Expr | None = None

    @property
    def is_uniform(self) -> bool:
        """One scalar in every lane."""
        return self.step == 0

    @property
    def is_true(self) -> bool:
        """The constant condition that always holds."""
        return self.step == 0 and self.terms[0][0] == "true"

    def lowest(self) -> Value:
        """The first lane of a sequence, alone."""
        first = self.plain if self.first is None else self.first
        return Value(self.terms, self.element, 1, first, 0, first)

    def spread(self, lanes: int) -> list[Term]:
        """A C expression for each piece of `lanes` lanes; a scalar is repeated."""
        if self.step is None:
            return list(self.terms)
        (first,) = self.terms
        result, start = [], 0
        for width in pieces(lanes):
            result.append(self._piece(first, start, width))
            start += width
        return result

    def _piece(self, first: Term, start: int, width: int) -> Term:
        if self.step:
            return _sequence(first, self.element, start * self.step, self.step, width)
        if width == 1:
            return first
        if self.element == "bool":
            masks = {"true": "-1", "false": "0"}
            text = masks.get(first[0]) or conditional(first, ("-1", ATOM), ("0", ATOM))[0]
            return f"(char{width})({text})", ATOM
        return cast(vector(self.element, width), first)

    def lane(self, k: int) -> Term:
        """The C expression of one lane, a scalar. The pieces must be names."""
        if self.step is not None:
            return plus(self.terms[0], k * self.step)
        for (text, level), width in zip(self.terms, pieces(self.lanes), strict=True):
            if k < width:
                if width == 1:
                    return text, level
                picked = f"{text}.s{k:x}"
                return (f"{picked} != 0", EQUALITY) if self.element == "bool" else (picked, ATOM)
            k -= width
        raise IndexError(k)


def scalar(text: str, element: str, plain: Expr) -> Value:
    """A name or a number."""
    return Value(((text, ATOM),), element, 1, plain, 0)


def plus(x: Term, constant: int) -> Term:
    """x + constant, written as people do."""
    if constant == 0:
        return x
    return binary("+" if constant > 0 else "-", ADD, x, (str(abs(constant)), ATOM))


def _sequence(first: Term, element: str, offset: int, step: int, width: int) -> Term:
    if width == 1:
        return plus(first, offset)
    steps = ", ".join(str(offset + k * step) for k in range(width))
    return binary("+", ADD, first, (f"({element}{width})({steps})", ATOM))
