"""Owners, which hold values by key: objects, lists, dicts, sets, variables of enclosing functions,
and globals."""

from __future__ import annotations

from collections import deque
from types import CellType
from typing import Any

import numpy as np

from .structure import EXACT, attributes, has_slots, is_open

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "missing"})()

WHOLE = "content"  # the key of what is held as one: by sets and arrays
CELL = "cell_contents"  # the key of a closure's variable


class Owner:
    """A holder of values by key, and what it held before the function ran."""

    __slots__ = (
        "before", "has_slots", "holder", "integers", "is_named", "is_open", "is_shown", "is_whole",
        "length", "order", "outside", "place", "read",
    )  # fmt: skip

    def __init__(self, holder: Any, is_named: bool = False) -> None:
        """`is_named`: the holder is a namespace (globals, a class, a function), and only the names
        in `before` count, which are added as they are met."""
        self.holder = holder
        self.is_named = is_named
        self.is_open = not is_named and is_open(type(holder))  # whether its attributes are seen
        self.has_slots = self.is_open and has_slots(type(holder))
        self.before: dict[Any, Any] = {} if is_named else self._contents()
        self.read: set[Any] = set()  # keys
        self.integers: dict[Any, int] = {}  # that were read as sizes (sizes.py), by key
        self.is_whole = False  # whether the number of its keys counts
        self.is_shown = False  # whether a user's code has looked at an object's __dict__
        place = self.place = place_of(holder)
        self.length = len(place) if isinstance(place, (list, deque, dict)) else 0
        self.order = order_of(place) if isinstance(place, dict) and not is_named else None
        self.outside = False  # whether it is found otherwise than through the arguments

    def _contents(self) -> dict[Any, Any]:
        return attributes(self.holder) if self.is_open else contents(self.holder)

    def now(self) -> dict[Any, Any]:
        """What it holds now, as far as it counts."""
        return {key: named(self, key) for key in self.before} if self.is_named else self._contents()

    def has_as_before(self, name: str) -> bool:
        """Whether an object's attribute is the very one that it was, or is still missing."""
        held = attributes(self.holder) if self.has_slots else self.place
        return held.get(name, MISSING) is self.before.get(name, MISSING)


def order_of(place: dict[Any, Any]) -> list[Any] | tuple[int, ...]:
    """The keys of a dict, in order; their ids if some keys are not of EXACT types."""
    keys = list(place)
    return keys if EXACT.issuperset(map(type, keys)) else tuple(map(id, keys))


def place_of(holder: Any) -> Any:
    """Where the values of an owner are looked up; None for an object without __dict__."""
    if issubclass(type(holder), (list, deque, dict, CellType)):
        return holder
    try:
        return object.__getattribute__(holder, "__dict__")
    except AttributeError:
        return None


def contents(holder: Any) -> dict[Any, Any]:
    """What an owner holds, by key."""
    kind = type(holder)  # isinstance() would look up __class__, which is slow on watched objects
    if issubclass(kind, CellType):
        try:
            return {CELL: holder.cell_contents}
        except ValueError:
            return {}
    if issubclass(kind, np.ndarray):
        return {WHOLE: holder.tobytes()}
    if issubclass(kind, set):
        return {WHOLE: frozenset(holder)}
    if issubclass(kind, (list, deque)):
        return dict(enumerate(holder))
    if issubclass(kind, dict):
        return dict(holder)
    return attributes(holder)


def named(owner: Owner, key: Any) -> Any:
    """What a namespace holds now under a name."""
    holder = owner.holder
    return (holder if isinstance(holder, dict) else vars(holder)).get(key, MISSING)


def held(holder: Any, key: Any) -> Any:
    """What a list, a dict or a variable of functions holds at `key`; MISSING where it has none."""
    try:
        return holder.cell_contents if isinstance(holder, CellType) else holder[key]
    except (LookupError, ValueError):
        return MISSING


def put(holder: Any, key: Any, value: Any) -> None:
    """Set what an owner holds at `key`; MISSING removes it. Key None: set all items of a list."""
    if isinstance(holder, CellType):
        if value is MISSING:
            del holder.cell_contents
        else:
            holder.cell_contents = value
    elif isinstance(holder, set):
        holder.clear()
        holder.update(value)
    elif key is None:
        holder.clear()
        holder.extend(value)
    elif isinstance(holder, (list, deque)):
        holder[key] = value
    elif isinstance(holder, dict):
        if value is MISSING:
            holder.pop(key, None)
        else:
            holder[key] = value
    else:
        kind: Any = type if isinstance(holder, type) else object
        if value is MISSING:
            kind.__delattr__(holder, key)
        else:
            kind.__setattr__(holder, key, value)
