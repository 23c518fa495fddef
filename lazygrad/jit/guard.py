"""What a capture found outside of the function, verified at each call.

Nearly always everything is as it was. To see this, all values are compared by identity, in a few
short loops. A value that is another object now must be equal to the old one, and another tensor
takes the place of the old one. Anything else needs another capture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import eq, is_
from types import CellType, MappingProxyType
from typing import Any

import numpy as np

from ..tensor.core import TensorCore
from .owner import MISSING, WHOLE, Owner, contents, held, order_of, place_of
from .structure import EXACT, Entry, Mismatch, is_open, same_value

Changes = dict[int, Any]
"""By the id of a tensor, container or object that a capture knows: what is in its place now."""


class Table:
    """Values of lists and dicts, or of attributes: `place[key]` must be `value`."""

    def __init__(self) -> None:
        self.owners: list[Any] = []  # of each entry, the list, dict or object
        self.entries: list[tuple[Any, Any, Any]] = []  # place (an object's __dict__), key, value

    def add(self, owner: Any, place: Any, key: Any, value: Any) -> None:
        self.owners.append(owner)
        self.entries.append((place, key, value))

    def is_held(self) -> bool:
        """Whether every value is the very object that it was. Raises LookupError."""
        for place, key, value in self.entries:  # noqa: SIM110  all() would take twice as long
            if place[key] is not value:
                return False
        return True

    def is_same(self, other: Table) -> bool:
        """Whether the other one has the very same values."""
        mine, others = list(flat(self.entries)), list(flat(other.entries))
        return (
            identical(self.owners, other.owners)
            and identical(mine[1::3], others[1::3])  # keys
            and identical(mine[2::3], others[2::3])  # values
            and all(map(_is_same_place, mine[::3], others[::3]))
        )

    def now(self, place: Any, key: Any) -> Any:
        return place[key]

    def look(self) -> list[tuple[Any, Any, Any, Any]]:
        """Of each entry: owner, key, the value that was, and the value now."""
        return [
            (owner, key, value, self.now(place, key))
            for owner, (place, key, value) in zip(self.owners, self.entries, strict=True)
        ]

    def move(self, changes: Changes) -> None:
        """Refer to the owners that have replaced others."""
        for n, owner in enumerate(self.owners):
            new = changes.get(id(owner), owner)
            if new is not owner:
                _, key, value = self.entries[n]
                self.owners[n], self.entries[n] = new, (place_of(new), key, value)

    def renew(self) -> None:
        """Note all values as they are now."""
        for n, (place, key, value) in enumerate(self.entries):
            now = self.now(place, key)
            if now is not value:
                self.entries[n] = place, key, now


class Slots(Table):
    """Values of objects without __dict__, and of variables of functions: `place.key`."""

    def is_held(self) -> bool:
        for place, key, value in self.entries:  # noqa: SIM110
            if getattr(place, key) is not value:
                return False
        return True

    def now(self, place: Any, key: Any) -> Any:
        return getattr(place, key)


class Guard:
    """The values that a capture depends on, and where they are."""

    def __init__(self, owners: Iterable[Owner]) -> None:
        self.items, self.slots = Table(), Slots()
        self.absent = Table()  # keys that places lack
        self.integers = Table()  # what was read as sizes (sizes.py)
        self.sized = Table()  # entries: place, the keys in order (of a dict), the length
        self.sets: tuple[list[Any], list[Any]] = [], []  # and their contents
        self.arrays: tuple[list[Any], list[Any]] = [], []
        self.seen: dict[int, Any] = {}  # containers and objects by id, which may be others later
        self.tensors: dict[int, TensorCore] = {}  # by id
        self.views: dict[int, TensorCore] = {}  # tensors that the function read through a base
        self.written: dict[int, TensorCore] = {}  # and those that it writes to
        for owner in owners:
            if owner.outside:
                self._add(owner)
        self.tables = [t for t in (self.items, self.slots) if t.entries]
        self._ways = self._ways_to(self.integers.owners)
        self._obstacle: tuple[Table, int] | None = None
        """A table, and the place in it of the number or text that was another one when the capture
        did not fit. Of many captures that differ in it, most are told apart by this look."""

    def _add(self, owner: Owner) -> None:
        holder, before = owner.holder, owner.before
        if isinstance(holder, (set, np.ndarray)):
            holders, values = self.sets if isinstance(holder, set) else self.arrays
            holders.append(holder)
            values.append(before[WHOLE])
            return
        place, keys = place_of(holder), owner.read
        if owner.is_whole and isinstance(place, (list, deque, dict)):
            self.sized.add(holder, place, owner.order, owner.length)
        if not owner.is_named:
            self.seen[id(holder)] = holder
        for key in [key for key in before if key in keys]:  # in order: captures are compared
            value = before[key]
            self._add_tensors(value)
            if key in owner.integers and not owner.is_shown:
                self.integers.add(holder, place, key, owner.integers[key])
            elif value is MISSING:
                self.absent.add(holder, place, key, MISSING)
            elif (
                isinstance(holder, CellType)
                or place is None
                or (place is not holder and key not in place)
            ):
                self.slots.add(holder, holder, key, value)
            else:
                self.items.add(holder, place, key, value)
        if place is not None:
            for key in sorted(keys - before.keys(), key=str):
                self.absent.add(holder, place, key, MISSING)

    def _add_tensors(self, value: Any) -> None:
        if isinstance(value, TensorCore):
            self.tensors[id(value)] = value
        elif isinstance(value, tuple):
            for item in value:
                self._add_tensors(item)

    def _ways_to(self, holders: Iterable[Any]) -> list[tuple[Table, int]]:
        """The places in tables of entries by which these containers and objects are found."""
        found: dict[int, tuple[Table, int]] = {}
        for table in self.tables:
            for n, (_, _, value) in enumerate(table.entries):
                if id(value) in self.seen:
                    found.setdefault(id(value), (table, n))
        ways: list[tuple[Table, int]] = []
        waiting = list(holders)
        while waiting:
            way = found.pop(id(waiting.pop()), None)
            if way is not None:
                ways.append(way)
                waiting.append(way[0].owners[way[1]])
        return ways

    def is_same(self, other: Guard, but_sizes: bool = False) -> bool:
        """Whether the other one verifies the very same values in the same places. `but_sizes`:
        integers that are sizes may differ."""
        both = self, other
        mine, others = (list(flat(each.integers.entries)) for each in both)
        tables = ((each.items, each.slots, each.absent) for each in both)
        by_id = ((each.seen, each.tensors, each.views, each.written) for each in both)
        return (
            all(map(Table.is_same, *tables))
            and identical(self.integers.owners, other.integers.owners)
            and mine[1::3] == others[1::3]  # keys
            and (but_sizes or mine[2::3] == others[2::3])  # values
            and identical(self.sized.owners, other.sized.owners)
            and [rest for _, *rest in self.sized.entries] == [r for _, *r in other.sized.entries]
            and identical(self.sets[0], other.sets[0])
            and self.sets[1] == other.sets[1]
            and identical(self.arrays[0], other.arrays[0])
            and self.arrays[1] == other.arrays[1]
            and all(a.keys() == b.keys() for a, b in zip(*by_id, strict=True))
        )

    def changed_integers(self) -> Iterator[Entry]:
        """The entries that were integers, and are others now: they may follow from sizes."""
        for table in self.tables:
            for owner, (place, key, value) in zip(table.owners, table.entries, strict=True):
                if type(value) is not int:
                    continue
                try:
                    now = table.now(place, key)
                except (LookupError, AttributeError, ValueError):
                    continue  # it is gone
                if type(now) is int and now != value:
                    if not is_open(type(owner)):
                        yield id(owner), key
                    elif table is self.items:  # it is in an object's __dict__
                        yield type(owner), key

    def integers_now(self) -> tuple[int, ...]:
        """What was read as sizes. Raises Mismatch where something is no integer."""
        found = tuple([held(place, key) for place, key, _ in self.integers.entries])
        if any(type(n) is not int for n in found):
            raise Mismatch
        return found

    def verify_integers(self, expected: Sequence[int], has_followed: bool) -> None:
        """Raise Mismatch where something that was read as a size is not the expected integer.
        Unless the guard `has_followed` what is there now, only where it holds the integer still."""
        if not has_followed:
            for table, n in self._ways:
                place, key, value = table.entries[n]
                if table.now(place, key) is not value:
                    return
        now = self.integers_now()
        if now != expected:
            n = next(n for n, (a, b) in enumerate(zip(now, expected, strict=True)) if a != b)
            _, name, _ = self.integers.entries[n]
            told = partial(_told, self.integers.owners[n], name, expected[n], now[n])
            raise Mismatch(told)

    # ------------------------------------------------------------------ each call

    def verify(self, known: Mapping[int, Any]) -> Changes | None:
        """Compare all values with what is there now. Returns what has replaced what; None where
        everything is as it was. Raises Mismatch where the capture does not fit any more.

        `known` are the tensors, by id, that the capture uses.
        """
        try:
            if self._obstacle is not None:
                self._verify_entry(*self._obstacle)
        except (LookupError, AttributeError):  # it is gone
            raise Mismatch from None
        if not self._is_shaped():
            raise Mismatch("something was added or taken away")
        try:
            for table in self.tables:
                if not table.is_held():
                    return self._follow(known)
        except (LookupError, ValueError, AttributeError):  # something is gone
            raise Mismatch from None
        return None

    def _verify_entry(self, table: Table, n: int) -> None:
        """Raise Mismatch if a number or text, at place n of a table, is another one now."""
        place, key, value = table.entries[n]
        now = table.now(place, key)
        if now is not value and not same_value(value, now):
            raise Mismatch(partial(_told, table.owners[n], key, value, now))

    def _is_shaped(self) -> bool:
        """Whether nothing was added or taken away, and sets and arrays hold the same."""
        for place, order, length in self.sized.entries:
            if len(place) != length:
                return False
            if order is not None and order != [*place] and order != order_of(place):
                return False
        for place, key, _ in self.absent.entries:
            if key in place:
                return False
        if self.arrays[0] and list(map(np.ndarray.tobytes, self.arrays[0])) != self.arrays[1]:
            return False
        return all(map(eq, *self.sets)) if self.sets[0] else True

    def _follow(self, known: Mapping[int, Any]) -> Changes:
        """Accept other objects that are equal, and other tensors. Raises Mismatch for the rest."""
        changes: Changes = {}
        same: list[tuple[Any, Any]] = []
        for table in self.tables:
            for n, (owner, key, old, new) in enumerate(table.look()):
                if old is new:
                    same.append((owner, old))
                    continue
                try:
                    self._match(old, new, changes)
                except Mismatch:
                    if _is_plain(old):
                        self._obstacle = table, n
                    raise Mismatch(partial(_told, owner, key, old, new)) from None
        if changes:
            for owner, value in same:
                if id(owner) not in changes and _mentions(value, changes):
                    raise Mismatch  # one thing in two places has become two things
            self._verify_one_to_one(changes, known)
        for table in self.tables:
            table.move(changes)
            table.renew()
        if changes:
            self._move(changes)
        return changes

    def _match(self, old: Any, new: Any, changes: Changes) -> None:
        """Note in `changes` that `new` replaces `old`. Raises Mismatch where it cannot."""
        if id(old) in changes:
            if changes[id(old)] is not new:
                raise Mismatch
        elif old is new:
            return
        elif type(old) is not type(new):
            raise Mismatch
        elif isinstance(old, TensorCore):
            if id(old) in self.views or (id(old) in self.written and new._base is not None):
                raise Mismatch
            changes[id(old)] = new
        elif id(old) in self.seen:
            changes[id(old)] = new
            self._match_contents(old, new, changes)
        elif isinstance(old, tuple) and len(old) == len(new):
            for a, b in zip(old, new, strict=True):
                self._match(a, b, changes)
        elif not same_value(old, new):
            raise Mismatch

    def _match_contents(self, old: Any, new: Any, changes: Changes) -> None:
        now = contents(new)
        for owner, (_, order, length) in zip(self.sized.owners, self.sized.entries, strict=True):
            place = place_of(new)
            if owner is old and len(place) != length:
                raise Mismatch
            if owner is old and order is not None and order_of(place) != order:
                raise Mismatch
        for owner, (_, key, _) in zip(self.absent.owners, self.absent.entries, strict=True):
            if owner is old and key in now:
                raise Mismatch
        for table in self.tables:
            for owner, (_, key, value) in zip(table.owners, table.entries, strict=True):
                if owner is old:
                    self._match(value, now.get(key, MISSING), changes)

    def _verify_one_to_one(self, changes: Changes, known: Mapping[int, Any]) -> None:
        """Raise Mismatch where two things have become one."""
        new = {id(value) for value in changes.values()}
        others = new - changes.keys()
        if len(new) != len(changes) or not others.isdisjoint([*known, *self.tensors, *self.seen]):
            raise Mismatch

    def _move(self, changes: Changes) -> None:
        self.absent.move(changes)
        self.integers.move(changes)
        self.sized.move(changes)
        self.seen = moved(self.seen, changes)
        self.tensors = moved(self.tensors, changes)
        self.written = moved(self.written, changes)


def identical(a: Iterable[Any], b: Iterable[Any]) -> bool:
    """Whether the things in both are the very same ones, in order."""
    first, second = list(a), list(b)
    return len(first) == len(second) and all(map(is_, first, second))


def _is_same_place(a: Any, b: Any) -> bool:
    """Whether two places of one owner are one: a class has another __dict__ at each look."""
    return a is b or type(a) is MappingProxyType


def flat(rows: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """The items of all rows, one after the other."""
    return chain.from_iterable(rows)


def moved(by_id: Mapping[int, Any], changes: Changes) -> dict[int, Any]:
    """Things by their ids, where some have been replaced."""
    now = (changes.get(key, value) for key, value in by_id.items())
    return {id(value): value for value in now}


def _mentions(value: Any, changes: Changes) -> bool:
    if isinstance(value, tuple):
        return any(_mentions(item, changes) for item in value)
    return id(value) in changes and changes[id(value)] is not value


def _is_plain(value: Any) -> bool:
    """Whether a value is a number, a text or None."""
    return type(value) in EXACT or type(value) is float


def _told(owner: Any, key: Any, old: Any, new: Any) -> str:
    """What has changed, in words."""
    if isinstance(owner, CellType):
        where = "a variable of an enclosing function"
    elif isinstance(owner, (list, deque)):
        where = f"item {key} of a {type(owner).__name__}"
    elif isinstance(owner, dict):
        where = f"the global or dict entry {key!r}"
    else:
        where = f"{getattr(owner, '__name__', type(owner).__name__)}.{key}"
    was, now = (repr(x) if _is_plain(x) else "another" for x in (old, new))
    return f"{where} was {was}, is {now}"
