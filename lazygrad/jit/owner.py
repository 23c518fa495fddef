"""What holds values by key: objects, lists, dicts, sets, variables of functions, and globals."""

from __future__ import annotations

from collections import deque
from types import CellType
from typing import Any

import numpy as np

from .structure import EXACT, attributes

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "missing"})()

WHOLE = "content"  # the key of what is held as one: by sets and arrays
CELL = "cell_contents"  # the key of a closure's variable


class Owner:
    """Something that holds values by key, and what it held before the function ran."""

    __slots__ = ("before", "holder", "is_named", "is_whole", "length", "order", "outside", "read")

    def __init__(self, holder: Any, is_named: bool = False) -> None:
        """`is_named`: only keys that are added count, of globals, a class or a function."""
        self.holder = holder
        self.is_named = is_named
        self.before: dict[Any, Any] = {} if is_named else contents(holder)
        self.read: set[Any] = set()  # keys
        self.is_whole = False  # whether it counts how many keys there are
        place = place_of(holder)
        self.length = len(place) if isinstance(place, (list, deque, dict)) else 0
        self.order = order_of(place) if isinstance(place, dict) and not is_named else None
        self.outside = False  # whether it is found in other ways than through the arguments


def order_of(place: dict[Any, Any]) -> list[Any] | tuple[int, ...]:
    """The keys of a dict, in order; their ids where these are not strings and numbers alone."""
    keys = list(place)
    return keys if EXACT.issuperset(map(type, keys)) else tuple(map(id, keys))


def place_of(holder: Any) -> Any:
    """Where the values of an owner are looked up; None for an object without __dict__."""
    if isinstance(holder, (list, deque, dict, CellType)):
        return holder
    try:
        return object.__getattribute__(holder, "__dict__")
    except AttributeError:
        return None


def contents(holder: Any) -> dict[Any, Any]:
    """What an owner holds, by key."""
    if isinstance(holder, CellType):
        try:
            return {CELL: holder.cell_contents}
        except ValueError:
            return {}
    if isinstance(holder, np.ndarray):
        return {WHOLE: holder.tobytes()}
    if isinstance(holder, set):
        return {WHOLE: frozenset(holder)}
    if isinstance(holder, (list, deque)):
        return dict(enumerate(holder))
    if isinstance(holder, dict):
        return dict(holder)
    return attributes(holder)


def named(owner: Owner, key: Any) -> Any:
    """What an owner with names holds now."""
    holder = owner.holder
    return (holder if isinstance(holder, dict) else vars(holder)).get(key, MISSING)


def put(holder: Any, key: Any, value: Any) -> None:
    """Let an owner hold a value, or none (MISSING) at `key`; all its items where key is None."""
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
