"""Rules from an expression to one in the operations of a target, and the driver that applies them.

A rule's docstring is its equation. Where the left side occurs in its own right side, it is what the
machine does: `int32(x)` of a float in the rule for `int32(x)` is the machine's conversion.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar

from ...dtypes import DType, is_low_precision
from ...expr import Array, Broadcast, Expr, Literal, Op
from ...index import bounds
from ...rewrite import bottom_up
from ...targets import Native

KINDS = {"bool": "b", "int": "i", "uint": "u", "float": "f"}
"""A letter for each kind of dtype; "h" is one of the floats of 16 bits."""


def kind_of(dtype: DType) -> str:
    """The letter of a dtype's kind."""
    return "h" if is_low_precision(dtype) else KINDS[dtype.kind]


Rule = Callable[[Any, Native], Expr | None]
R = TypeVar("R", bound=Rule)
Key = tuple[str | type, DType]  # an operation or a class, and the dtype of its last operand


class Rules:
    """Rules, by the operations and classes of expressions that they rewrite."""

    def __init__(self, *parts: Rules) -> None:
        """The rules of all parts, in order: the first that applies is taken."""
        self._rules: list[tuple[tuple[str | type, ...], str, Rule]] = [
            entry for part in parts for entry in part._rules
        ]
        self._found: dict[Key, tuple[Rule, ...]] = {}

    def rule(self, *of: str | type, kinds: str = "biufh") -> Callable[[R], R]:
        """Decorator: the function is a rule for these operations, or classes of expressions, whose
        last operand is of one of these kinds."""

        def register(function: R) -> R:
            self._rules.append((of, kinds, function))
            return function

        return register

    def _find(self, e: Expr) -> tuple[Rule, ...]:
        """The rules for expressions like e, in order."""
        key = (e.op if isinstance(e, Op) else type(e), e.operands[-1].dtype)
        found = self._found.get(key)
        if found is None:
            kind = kind_of(key[1])
            found = tuple(rule for of, kinds, rule in self._rules if key[0] in of and kind in kinds)
            self._found[key] = found
        return found

    def rule_for(self, e: Expr, native: Native) -> Rule | None:
        """The rule that changes e itself, if there is one."""
        return next((rule for rule in self._find(e) if rule(e, native) is not None), None)

    def legalise(self, e: Expr, native: Native, memo: dict[Expr, Expr]) -> Expr:
        """e after every rule; `memo` has the results for other expressions, of the same target."""

        def make(old: Expr) -> Expr:
            new = old.with_operands(tuple(map(memo.__getitem__, old.operands)))
            result = self._apply(new, native) if new.operands else None
            if result is not None:
                memo[new] = new  # in its own right side it stays
                memo[new] = new = self.legalise(result, native, memo)
            return memo.setdefault(new, new)

        return bottom_up(e, memo, attrgetter("operands"), make)

    def _apply(self, e: Expr, native: Native) -> Expr | None:
        """What the first rule that applies makes of e, or None."""
        for rule in self._find(e):
            if (result := rule(e, native)) is not None:
                return result
        return None


# --------------------------------------------------------------------------- building


def op(name: str, *args: Expr) -> Expr:
    """An operation."""
    return Op(name, args)


def lit(value: float, like: Expr) -> Expr:
    """A constant of another expression's dtype."""
    return Literal(value, like.dtype)


def where(condition: Expr, x: Expr, y: Expr) -> Expr:
    """x or y; where the condition is a constant, the one that it chooses."""
    if isinstance(condition, Literal):
        return x if condition.value else y
    return Op("where", (condition, x, y))


def is_equal(x: Expr, value: int) -> Expr:
    """x == value for an integer; a constant where the bounds say that it never is."""
    low, high = bounds(x)
    if low <= value <= high:
        return Op("eq", (x, lit(value, x)))
    return Literal(False, Op("eq", (x, x)).dtype)


def either(x: Expr, y: Expr) -> Expr:
    """x or y, of bools."""
    if isinstance(x, Literal):
        return x if x.value else y
    if isinstance(y, Literal):
        return y if y.value else x
    return Op("or", (x, y))


def scalar_of(e: Expr) -> Expr:
    """The scalar of a Broadcast; any other e as it is."""
    return e.x if isinstance(e, Broadcast) else e


def retyped(array: Array, dtype: DType) -> Array:
    """The same memory as elements of another dtype of the same size."""
    return Array(array.name, dtype, array.size, array.scope)
