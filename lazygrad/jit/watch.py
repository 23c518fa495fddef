"""Watch what a traced function reads in Python objects, and what it changes in them.

A capture depends on the values that the function's Python reads: a scale, a list of layers, a
tensor that is an attribute. They are held by *owners*: objects, lists, dicts, sets, the variables
of enclosing functions, and globals. When an owner is reached, what it holds is copied, so that
changes by the function are known. What counts:

- globals and variables of enclosing functions that the code mentions (code.py);
- attributes that are looked up: while the function is traced, `__getattribute__` of the classes of
  the reached objects has an overlay that notes them;
- everything in lists, dicts and sets.

Objects of Python's and NumPy's own classes, and large arrays and containers, are not looked into;
they count by identity.
"""

from __future__ import annotations

import pickle
import random
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import IOBase
from operator import is_
from threading import Lock
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..errors import JitError
from ..questions import questions
from ..tensor.core import TensorCore
from .code import closure_ways, global_ways, mentioned
from .owner import CELL, MISSING, Owner, contents, held, named, put
from .sizes import WatchedSize, is_asked_by_user
from .structure import EXACT, Captured, Entry, is_library, is_open
from .trace import tracing

LARGE_CONTAINER = 10_000  # items; more are counted, not compared
LARGE_ARRAY = 4096  # bytes

RANDOM = (random.Random, np.random.Generator, np.random.RandomState)


class Watch:
    """The owners that a function reaches, what it reads of them, and what it changes."""

    def __init__(
        self,
        integers: Collection[Entry] = (),
        resized: Mapping[tuple[int, Any], int] | None = None,
    ) -> None:
        """`integers` are entries outside that are read as sizes (sizes.py), as are all in the
        arguments. `resized` has other values for some, by the holder's id and the key."""
        self.integers = integers
        self._resized = resized or {}
        self.owners: dict[int, Owner] = {}  # by the holder's id
        self.tensors: dict[int, TensorCore] = {}  # found outside, by id
        self._waiting: list[tuple[Any, bool]] = []  # for visits
        self._is_visiting = False
        self._functions: dict[int, Any] = {}  # and classes, by id
        self._looked_up: set[tuple[type, str]] = set()  # names that instances lack, by class
        self._names: set[str] = set()  # that the code of functions mentions
        self._of_classes: list[tuple[type, dict[str, Any]]] = []  # attributes, without __names__
        self._random: list[tuple[Any, bytes]] = []  # random generators, and their states
        self.has_memos = False  # whether functions of functools remember what they were given
        self._classes: dict[type, None] = {}  # overlaid by this watch
        self._sizes: list[tuple[Owner, Any, WatchedSize]] = []  # put in place of integers

    # ------------------------------------------------------------------ what is reached

    def visit(self, value: Any, outside: bool = True) -> None:
        """Note what a function can reach from `value`, which is `outside` or in an argument."""
        kind = type(value)
        if kind in EXACT or kind is float:
            return
        self._waiting.append((value, outside))
        if self._is_visiting:
            return  # the outermost visit goes on with it: values may be nested deeply
        self._is_visiting = True
        try:
            while self._waiting:
                self._visit(*self._waiting.pop())
        finally:
            self._is_visiting = False
            self._waiting.clear()

    def _visit(self, value: Any, outside: bool) -> None:
        kind = type(value)
        if issubclass(kind, TensorCore):
            if outside:
                self.tensors[id(value)] = value
                self.visit(value._base)
        elif issubclass(kind, (tuple, frozenset)):
            for item in value:
                self.visit(item, outside)
        elif _is_owner(value):
            self._own(value, outside)
        else:
            for part in self._code(value):
                self.visit(part, outside or kind is not partial)

    def _own(self, value: Any, outside: bool) -> None:
        owner = self.owners.get(id(value))
        if owner is None:
            owner = self.owners[id(value)] = Owner(value)
            if owner.is_open:
                self._overlay(type(value))
            elif type(value) in (list, deque, dict, CellType):
                for key, item in owner.before.items():
                    self._put_size(owner, key, item, outside)
            if not outside:
                self._visit_all(owner, False)
        if outside and not owner.outside:
            owner.outside = True
            cls = type(value)
            if owner.is_open and (cls in self._classes or _is_overlaid(cls)):
                for name in owner.read & owner.before.keys():
                    self.visit(owner.before[name])
            else:
                owner.is_whole = True
                owner.read.update(owner.before)
                self._visit_all(owner, True)

    def mentions(self, names: frozenset[str]) -> bool:
        """Whether the code of functions mentions one of these names."""
        return not self._names.isdisjoint(names)

    def _visit_all(self, owner: Owner, outside: bool) -> None:
        kind = type(owner.holder)
        if issubclass(kind, dict):
            for key in owner.before:
                self.visit(key, outside)
        if not issubclass(kind, np.ndarray):
            for item in owner.before.values():
                self.visit(item, outside)

    def _code(self, value: Any) -> Iterable[Any]:
        """The values that a function, class, method and the like reach; these are no owners."""
        if isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, MethodType):
            return value.__func__, value.__self__
        elif isinstance(value, partial):
            return value.func, value.args, value.keywords
        elif isinstance(value, (staticmethod, classmethod)):
            return (value.__func__,)
        elif isinstance(value, property):
            return (value.fget, value.fset)
        elif isinstance(value, Captured):
            return value.parts()
        elif isinstance(value, type):
            self._special_methods(value)
        elif isinstance(value, RANDOM):
            self._random.append((value, _random_state(value)))
        elif isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, RANDOM):
            return (value.__self__,)
        elif hasattr(type(value), "__next__") and not isinstance(value, IOBase):
            raise JitError(
                f"jit: the function reads a {type(value).__name__}, an iterator from outside, "
                "which a replayed call would not advance; take its items outside, and pass them"
            )
        elif callable(value) and hasattr(value, "__wrapped__"):  # as functools.cache has it
            self.has_memos |= hasattr(value, "cache_info")
            return (value.__wrapped__,)
        return ()

    def _function(self, function: FunctionType) -> None:
        """Visit what a function's code mentions."""
        if id(function) in self._functions:
            return
        self._functions[id(function)] = function
        code = function.__code__
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        for cell in cells.values():
            self._own(cell, True)
        self.visit(function.__defaults__)
        self.visit(tuple((function.__kwdefaults__ or {}).values()))
        for way in closure_ways(code):
            found = contents(cells[way[0]]) if way[0] in cells else {}
            if found:
                self._follow(found[CELL], way[1:])
        if is_library(function.__globals__.get("__name__")):
            return
        self._names |= mentioned(code)
        for way in global_ways(code):
            if way[0] in function.__globals__ or not _is_builtin(way[0]):
                value = self._name(function.__globals__, way[0])
                self.visit(value)
                self._follow(value, way[1:])

    def _name(self, holder: Any, name: str, value: Any = None) -> Any:
        """Note that a name is read in a namespace. Returns what it held before the function ran, or
        MISSING. `value` says what that was, if it may have changed by now."""
        owner = self.owners.get(id(holder))
        if owner is None:
            owner = self.owners[id(holder)] = Owner(holder, True)
            owner.outside = True
        if owner.is_named and name not in owner.before:
            item = owner.before[name] = named(owner, name) if value is None else value
            if isinstance(holder, dict):
                self._put_size(owner, name, item, True)
        owner.read.add(name)
        return owner.before.get(name, MISSING)

    def _follow(self, value: Any, names: Iterable[str]) -> None:
        """Follow the names that code looks up in modules, classes and functions."""
        for name in names:
            if isinstance(value, ModuleType):
                found = vars(value)
                if name not in found:
                    return
                value = found[name] if is_library(value.__name__) else self._name(found, name)
            elif isinstance(value, type):
                value = self._class_attribute(value, name)
            elif isinstance(value, (FunctionType, Captured)):
                value = self._name(vars(value), name)
            else:
                return
            self.visit(value)

    def _class_attribute(self, cls: type, name: str) -> Any:
        """The attribute of a class, or of the first of its bases that has it; MISSING if none has.
        The look-up is noted."""
        for base in cls.__mro__:
            if is_library(base.__module__):
                value = base.__dict__.get(name, MISSING)
            else:
                value = self._name(base, name)  # noted, if it has none too
            if value is not MISSING:
                return value
        return MISSING

    def _special_methods(self, cls: type) -> None:
        """Visit the methods of a class that Python calls without looking them up in instances."""
        if id(cls) in self._functions:
            return
        self._functions[id(cls)] = cls
        for base in cls.__mro__:
            if is_library(base.__module__):
                continue
            values = {k: v for k, v in base.__dict__.items() if not k.startswith("__")}
            self._of_classes.append((base, values))
            for name, value in list(base.__dict__.items()):
                if name.startswith("__") and isinstance(value, (FunctionType, Captured)):
                    self.visit(value)

    # ------------------------------------------------------------------ what is looked up

    def _overlay(self, cls: type) -> None:
        if cls in self._classes:
            return
        self._special_methods(cls)
        if _overlay(cls):
            self._classes[cls] = None

    def note_look_up(self, value: Any, name: str) -> None:
        """Note which attribute is looked up, if the object is from outside."""
        owner = self.owners.get(id(value))
        if owner is None or name in owner.read or owner.is_named:
            return
        if name[:2] == "__":
            if name == "__dict__":
                owner.is_whole = True
                owner.is_shown |= is_asked_by_user(sys._getframe(2))  # past the overlay
                for each in owner.before:
                    self._noted(owner, each)
        elif owner.has_as_before(name):
            self._noted(owner, name)  # else it is what the function has set itself

    def as_read(self, value: Any, name: str, found: int) -> Any:
        """The integer that is found by a look-up, or the size that it is read as."""
        owner = self.owners.get(id(value))
        if owner is None or questions.get() is None or found is not owner.before.get(name):
            return found
        if owner.outside and (type(value), name) not in self.integers:
            return found
        n = owner.integers[name] = self._resized.get((id(value), name), found)
        return WatchedSize(n)

    def _put_size(self, owner: Owner, key: Any, item: Any, outside: bool) -> None:
        """Put a size that is watched in the place of an integer, in what has no look-ups to see."""
        holder = owner.holder
        if type(item) is not int or questions.get() is None:
            return
        if outside and (id(holder), key) not in self.integers:
            return
        owner.integers[key] = self._resized.get((id(holder), key), item)
        size = WatchedSize(owner.integers[key])
        put(holder, key, size)
        self._sizes.append((owner, key, size))

    def integers_of(self, objects: Sequence[Any]) -> tuple[tuple[int, int, Any], ...]:
        """What these objects, lists and dicts held that was read as a size: the value, the number
        of the object, and the key."""
        owners = [self.owners.get(id(value)) for value in objects]
        return tuple(
            [
                (owner.before[name], number, name)
                for number, owner in enumerate(owners)
                if owner is not None and not owner.is_shown
                for name in owner.before
                if name in owner.integers
            ]
        )

    def _noted(self, owner: Owner, name: str) -> None:
        name = sys.intern(str(name))  # it may be made anew in each call; guards compare by identity
        owner.read.add(name)
        if name not in owner.before:
            cls = type(owner.holder)
            if (cls, name) not in self._looked_up:
                self._looked_up.add((cls, name))
                self.visit(self._class_attribute(cls, name))
        elif owner.outside:
            self.visit(owner.before[name])

    def finish(self) -> None:
        """Note what classes hold by names that code mentions: overlays do not see look-ups in a
        class."""
        before = -1
        while before != len(self._functions):  # the values may have code that mentions more
            before = len(self._functions)
            for cls, values in self._of_classes:
                for name in values.keys() & self._names:
                    self._name(cls, name, values[name])
                    self.visit(values[name])

    def close(self) -> None:
        """Take away the overlays, and the sizes that are still where they were put."""
        for owner, key, size in self._sizes:
            if held(owner.holder, key) is size:
                put(owner.holder, key, owner.before[key])
        self._sizes.clear()
        while self._classes:
            _uncover(self._classes.popitem()[0])

    # ------------------------------------------------------------------ what is changed

    def changes(self) -> Iterator[tuple[Owner, Any, Any, Any]]:
        """What the function changed: owner, key, the value before, and the value now; for a list of
        another length the key is None, and the values are all items."""
        for owner in self.owners.values():
            before, now = owner.before, owner.now()
            if _is_same(before, now):
                continue
            if isinstance(owner.holder, (list, deque)) and len(now) != len(before):
                yield owner, None, list(before.values()), list(now.values())
                continue
            for key in [*before, *(key for key in now if key not in before)]:
                old, new = before.get(key, MISSING), now.get(key, MISSING)
                if old is not new and not _equal_content(owner.holder, old, new):
                    yield owner, key, old, new

    def restore(self) -> None:
        """Undo what the function changed."""
        for owner, key, before, _ in list(self.changes()):
            if isinstance(owner.holder, np.ndarray):
                owner.holder[...] = np.frombuffer(before, owner.holder.dtype).reshape(
                    owner.holder.shape
                )
            else:
                put(owner.holder, key, before)

    def verify_random(self) -> None:
        """Raise JitError where the function drew numbers that replayed calls would not draw."""
        for source, state in self._random:
            if _random_state(source) != state:
                raise JitError(
                    "jit: the function draws random numbers of Python's or NumPy's, which would "
                    "be the same in each call; draw Tensor.rand and the like, or pass the numbers"
                )


def _is_owner(value: Any) -> bool:
    kind = type(value)
    if issubclass(kind, (list, dict, set, deque)):
        return len(value) <= LARGE_CONTAINER
    if issubclass(kind, np.ndarray):
        return value.nbytes <= LARGE_ARRAY and not value.dtype.hasobject
    return is_open(kind)


def _is_same(before: dict[Any, Any], now: dict[Any, Any]) -> bool:
    """Whether keys and values are the very same objects, in order."""
    if len(before) != len(now):
        return False
    return all(map(is_, before, now)) and all(map(is_, before.values(), now.values()))


def _equal_content(holder: Any, a: Any, b: Any) -> bool:
    return isinstance(holder, (set, np.ndarray)) and bool(a == b)


def _is_builtin(name: str) -> bool:
    import builtins

    return hasattr(builtins, name)


def _random_state(source: Any) -> bytes:
    if isinstance(source, random.Random):
        return pickle.dumps(source.getstate())
    if isinstance(source, np.random.Generator):
        return pickle.dumps(source.bit_generator.state)
    return pickle.dumps(source.get_state())


# ---------------------------------------------------------------------- overlays of classes

_lock = Lock()
_covered: dict[type, list[Any]] = {}  # number of watches, and the class's own __getattribute__


def _is_overlaid(cls: type) -> bool:
    return any(base in _covered for base in cls.__mro__)


def _overlay(cls: type) -> bool:
    """Let watches see what is looked up in instances of a class. False if it cannot be changed."""
    with _lock:
        if cls in _covered:
            _covered[cls][0] += 1
            return True
        if cls.__flags__ & 1 << 8:  # it cannot be changed
            return False
        own = cls.__dict__.get("__getattribute__")
        found: Any = cls.__getattribute__
        # Where a base has an overlay, what that calls.
        look_up: Callable[[Any, str], Any] = getattr(found, "look_up", found)

        def overlay(value: Any, name: str) -> Any:
            if name != "__class__":  # which isinstance() asks for
                trace = tracing.get()
                if trace is not None and trace.watch is not None:
                    trace.watch.note_look_up(value, name)
                    found = look_up(value, name)
                    is_int = type(found) is int and look_up is object.__getattribute__
                    return trace.watch.as_read(value, name, found) if is_int else found
            return look_up(value, name)

        overlay.look_up = look_up  # type: ignore[attr-defined]
        _set_look_up(cls, overlay)
        _covered[cls] = [1, own]
        return True


def _uncover(cls: type) -> None:
    with _lock:
        _covered[cls][0] -= 1
        if not _covered[cls][0]:
            _set_look_up(cls, _covered.pop(cls)[1])


def _set_look_up(cls: type, look_up: Any) -> None:
    if look_up is None:
        type.__delattr__(cls, "__getattribute__")
    else:
        type.__setattr__(cls, "__getattribute__", look_up)
