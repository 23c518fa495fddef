"""Sizes that vary, by name: integers that are checked against bounds.

    n = Variable("n", 1, 512)
    for length in (17, 40, 203):
        context = tokens[:n.bind(length)]      # IndexError beyond the bounds

Sizes need no name to vary: programs that differ in one size share their code (graph/sizes.py). A
variable says which sizes are meant.
"""

from __future__ import annotations

from typing import Any

from .errors import ArgumentError, check_integers


class _WithValues(type):
    """The class of `Variable`: `isinstance(n.bind(3), Variable)` is true, as in tinygrad."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, BoundVariable) or type.__instancecheck__(cls, value)


class Variable(metaclass=_WithValues):
    """A size from `min` to `max`, both included, called `name` in messages.

    Raises ValueError for bounds that are not in order, or below 0.

    >>> Variable("n", 1, 8).bind(3) + 1
    4

        n = Variable("n", 1, 6)
        Tensor.arange(10)[: n.bind(3)].tolist() == [0, 1, 2]
    """

    __slots__ = ("max", "min", "name")

    def __init__(self, name: str, min: int, max: int, dtype: Any = None) -> None:
        """`dtype` is there for programs of tinygrad's, and without effect: sizes are integers."""
        check_integers(min=min, max=max)
        if not 0 <= min <= max:
            raise ArgumentError(f"Variable: {name} has no bounds from {min} to {max}")
        self.name, self.min, self.max = name, int(min), int(max)

    @property
    def vmin(self) -> int:
        """The least value."""
        return self.min

    @property
    def vmax(self) -> int:
        """The largest value."""
        return self.max

    def bind(self, value: int) -> BoundVariable:
        """The variable with a value: an integer, wherever a size or an index may stand.

        Raises ValueError outside of the bounds.
        """
        if not self.min <= value <= self.max:
            raise ValueError(f"Variable {self.name}: {value} is outside {self.min} to {self.max}")
        return BoundVariable(self, value)

    def __index__(self) -> int:
        raise TypeError(f"Variable {self.name} has no value: write {self.name}.bind(value)")

    def __repr__(self) -> str:
        return f"Variable({self.name!r}, {self.min}, {self.max})"


class BoundVariable(int):
    """The value of a variable. Arithmetic with it gives plain integers."""

    variable: Variable

    def __new__(cls, variable: Variable, value: int) -> BoundVariable:
        made = super().__new__(cls, value)
        made.variable = variable
        return made

    @property
    def val(self) -> int:
        """The value alone."""
        return int(self)

    def unbind(self) -> tuple[Variable, int]:
        """The variable, and the value."""
        return self.variable, int(self)
