"""What makes LLVM IR fast: values stand before the loops that do not change them, addresses are
split by loop, and a note says which memory is never written.

The address of an access is computed from the outermost loop inwards: each loop adds the terms of
the index that vary there to the pointer of the loop around it. What is left for the innermost loop
is one pointer, a step and constants, which fit the processor's addressing modes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial

from ...expr import Array, Choose, Expr, Load
from ...index import add, linear, mul
from ...loops.legal.memory import is_inside
from .accesses import beyond
from .values import Values, needs
from .writer import Scope


class HoistingValues(Values):
    """Values in the outermost scope in which their operands are known.

    `levels` has the scope of each known value, as an index into `scopes`. Loads from arrays that
    the function writes stay where they are. Nothing moves out of a side of an If.
    """

    unchanged = ", !invariant.load !0"

    def __init__(self, written: set[Array], has_masks: bool) -> None:
        super().__init__(written, has_masks)
        self.level = 0  # the index of the innermost scope
        self.floor = 0  # the index of the innermost side of an If
        self.sink_level = 0
        self.levels: dict[Hashable, int] = {}

    def open(self, block: str) -> None:
        super().open(block)
        self.level += 1
        self.sink_level = self.level

    def close(self) -> Scope:
        scope = super().close()
        self.level -= 1
        self.sink_level = self.level
        return scope

    def fork(self, condition: str, *sides: Callable[[], str | None]) -> list[str]:
        return super().fork(condition, *(partial(self._kept_inside, side) for side in sides))

    def _kept_inside(self, side: Callable[[], str | None]) -> str | None:
        """What a side of an If writes, none of it outside of the innermost scope."""
        outside, self.floor = self.floor, self.level
        text = side()
        self.floor = outside
        return text

    def define(self, key: Hashable, text: str) -> None:
        self.known[key] = text
        self.levels[key] = self.sink_level
        self.sink.defined.append(key)

    def write_expression(self, e: Expr) -> str:
        self._at(self.level if self.level > 0 and self._stays(e) else self._outermost(needs(e)))
        text = super().write_expression(e)
        self._at(self.level)
        return text

    def _stays(self, e: Expr) -> bool:
        """Whether an expression must be computed where it stands, not before the loop."""
        if isinstance(e, Load):
            return e.array in self.written or not is_inside(e.array, e.index)
        return isinstance(e, Choose)

    def _outermost(self, keys: Iterable[Hashable]) -> int:
        """The outermost scope that may hold a value computed from these values."""
        level, levels = self.floor, self.levels
        for key in keys:
            level = max(level, levels[key])
        return level

    def _at(self, level: int) -> None:
        """Let `write` append to the scope of that level."""
        self.sink = self.scopes[level]
        self.sink_level = level

    def address(self, array: Array, index: Expr) -> str:
        constant, terms = linear(index)
        pointer, level = self.bases[array], self.sink_level
        by_level: dict[int, list[tuple[Expr, int]]] = {}
        for term in terms:
            by_level.setdefault(self._outermost(term[:1]), []).append(term)
        so_far: tuple[tuple[Expr, int], ...] = ()
        for place in sorted(by_level):
            so_far += tuple(by_level[place])
            key = (array.name, so_far)
            if (found := self.known.get(key)) is None:
                offset = self.value(add(*(mul(atom, k) for atom, k in by_level[place])))
                self._at(place)
                found = beyond(self, array, pointer, offset)
                found = self._hidden(array, found) if place > 1 else found
                self.define(key, found)
            pointer = found
        self._at(level)
        if constant == 0:
            return pointer
        # Written anew in each scope, next to its use, where it becomes part of the instruction; but
        # once for a register array, whose pointers LLVM removes.
        whole = (array.name, so_far, constant)
        found, anywhere = self.known.get(whole), array.scope == "register"
        if found is None or not (anywhere or self.levels[whole] == level):
            found = beyond(self, array, pointer, constant)
            self.define(whole, found)
        return found

    def _hidden(self, array: Array, pointer: str) -> str:
        """The pointer, for LLVM's loop passes one of unknown origin. (They would study each access
        of an inner loop once for every loop that its address depends on, a tenth of LLVM's time.)
        LLVM removes the call before it selects instructions."""
        name = f"{array.name}.at"
        return self.call(name, "ptr", "llvm.launder.invariant.group.p0", ("ptr", pointer))
