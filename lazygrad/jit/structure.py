"""Nested values: the kind of a call's arguments, and copies of values with tensors replaced.

A nested value is made of lists, tuples, dicts and objects with attributes.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Hashable, Iterable
from copy import copy
from enum import Enum
from functools import lru_cache, partial
from types import (
    BuiltinFunctionType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    NoneType,
    SimpleNamespace,
)
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..dtypes import DType
from ..errors import JitError
from ..runtime.device import Device
from ..tensor.core import TensorCore

Entry = tuple[type | int, Any]
"""An attribute of a class's instances, or the item at some key of a list or dict, by its id."""


class Mismatch(Exception):
    """A capture does not fit a call, as something outside has changed; the text may say what. It is
    made when somebody reads it, where a function is given in its place."""

    def __str__(self) -> str:
        text = self.args[0] if self.args else ""
        return str(text() if callable(text) else text)


class Captured:
    """The base class of `jit`, for modules that `jit` imports."""

    __slots__ = ()

    def parts(self) -> tuple[Any, ...]:
        """The values that a call reaches."""
        raise NotImplementedError


EXACT = frozenset((int, bool, str, bytes, NoneType, type(...), type(NotImplemented)))
"""Types whose values are interchangeable when they are equal."""

BY_NAME = (
    type,
    ModuleType,
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    MethodWrapperType,
    Enum,
    DType,
    Captured,
)
"""Types whose values are not looked into, but compared as they are: code, modules, enumerations."""

CLOSED = (list, tuple, dict, set, frozenset, deque, np.ndarray, np.generic, str, int, float)
"""Types whose instances' attributes are not looked at."""

METHODS = "_captured_methods"
"""The attribute in which an instance keeps the captures of its methods."""

_CLOSED_LIBRARIES = sys.stdlib_module_names | {"numpy", "lazygrad", "ml_dtypes"}


def is_library(module: str | None) -> bool:
    """Whether the code of a module is taken to be constant: Python's own modules, and installed
    packages."""
    package = (module or "").partition(".")[0]
    return package in _CLOSED_LIBRARIES or _is_installed(package)


@lru_cache(maxsize=4096)
def _is_installed(package: str) -> bool:
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


def is_open(cls: type) -> bool:
    """Whether the attributes of a class's instances are looked at: of classes that users write, and
    of layers, optimizers and namespaces."""
    if issubclass(cls, (TensorCore, *BY_NAME, *CLOSED)):
        return False
    if issubclass(cls, SimpleNamespace):
        return True
    module = cls.__module__
    if module in ("argparse", "types") or module.startswith("lazygrad.nn."):
        return not cls.__flags__ & _IMMUTABLE
    if not cls.__flags__ & _HEAP or cls.__flags__ & _IMMUTABLE:
        return False
    return module.partition(".")[0] not in _CLOSED_LIBRARIES


_HEAP, _IMMUTABLE = 1 << 9, 1 << 8  # of a type: made by a class statement; cannot be changed


_slots: WeakKeyDictionary[type, dict[str, MemberDescriptorType]] = WeakKeyDictionary()


def _slots_of(cls: type) -> dict[str, MemberDescriptorType]:
    """The slots that a class and its bases declare, by name."""
    found = _slots.get(cls)
    if found is None:
        found = _slots[cls] = {
            name: value
            for base in cls.__mro__
            if base.__flags__ & _HEAP
            for name, value in base.__dict__.items()
            if isinstance(value, MemberDescriptorType)
        }
    return found


def has_slots(cls: type) -> bool:
    """Whether instances of a class may hold attributes outside of a __dict__."""
    return bool(_slots_of(cls)) or not cls.__dictoffset__


def attributes(value: Any) -> dict[str, Any]:
    """The attributes that an object holds itself, those in slots among them, by name."""
    found: dict[str, Any] = {}
    for name, slot in _slots_of(type(value)).items():
        try:
            found[name] = slot.__get__(value, type(value))
        except AttributeError:
            continue  # nothing in it
    try:
        found.update(object.__getattribute__(value, "__dict__"))
    except AttributeError:
        return found
    found.pop(METHODS, None)
    return found


def bits(value: float) -> Hashable:
    """A key by which floats are compared: 0.0 differs from -0.0, and nan equals nan."""
    return value if value and value == value else (value.hex(), str(value))


class Arguments:
    """The tensors in the arguments of a call, and the containers and objects, both in order."""

    __slots__ = ("_numbers", "objects", "tensors")

    def __init__(self) -> None:
        self.tensors: list[TensorCore] = []
        self.objects: list[Any] = []
        self._numbers: dict[int, int] = {}  # by id, of what is in these lists

    def describe(self, value: Any) -> Hashable:
        """The kind of an argument: all of it that a capture depends on.

        Of a tensor: shape, dtype, device, whether it requires gradient, is a leaf and has a
        gradient, and which earlier argument it is, if any. Of lists, tuples, dicts and objects:
        the kinds of their items and attributes. Of anything else: its type and value, floats by
        their bits. Raises TypeError for what cannot be compared by value.
        """
        if isinstance(value, TensorCore):
            return self._tensor(value)
        kind = type(value)
        if kind in EXACT:
            return (kind, value)
        if kind is float:
            return (kind, bits(value))
        if kind is tuple:
            return (kind, *[self.describe(item) for item in value])
        return self._composed(value, kind)

    def _tensor(self, tensor: TensorCore) -> Hashable:
        node = tensor._node
        numbers = self._numbers
        same = numbers.get(id(tensor))
        if same is None:
            numbers[id(tensor)] = len(self.tensors)
        self.tensors.append(tensor)
        requires_grad = tensor._requires_grad
        return (
            node.shape,
            node.dtype.name,
            node.device or Device.DEFAULT,  # a constant is computed there
            (tensor.is_leaf,) if requires_grad else requires_grad,
            tensor._grad is None,
            same,
        )

    def _composed(self, value: Any, kind: type) -> Hashable:
        if isinstance(value, (list, dict)) or is_open(kind):
            same = self._numbers.get(id(value))
            if same is not None:
                return (kind, "the same as", same)
            self._numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        if isinstance(value, partial):
            value = value.func, value.args, value.keywords
        elif isinstance(value, slice):
            value = value.start, value.stop, value.step
        if isinstance(value, (list, tuple)):
            return (kind, *[self.describe(item) for item in value])
        if isinstance(value, dict):
            pairs = value.items()
            return (kind, *[(self.describe(key), self.describe(item)) for key, item in pairs])
        if isinstance(value, complex):
            return (kind, bits(value.real), bits(value.imag))
        if isinstance(value, np.generic):
            return (kind, value.dtype.str, value.tobytes())
        if isinstance(value, BY_NAME):
            return (kind, value)
        if isinstance(value, np.ndarray):
            raise TypeError(
                f"a NumPy array of shape {value.shape}, which would stay what it is in this call; "
                "pass Tensor(array)"
            )
        if is_open(kind) and not hasattr(kind, "__next__"):
            pairs = attributes(value).items()
            return (kind, *[(name, self.describe(item)) for name, item in pairs])
        if (callable(value) or kind is object) and is_library(kind.__module__):
            return (kind, id(value), value)
        if not _is_steady(kind) or hasattr(kind, "__next__"):
            raise TypeError(
                f"a {kind.__name__}, which cannot be compared by value; pass tensors, numbers, "
                "strings, or lists, tuples, dicts and objects of them"
            )
        return (kind, value)


def described(arguments: Arguments, value: Any, name: int | str) -> Hashable:
    """The kind of an argument (`Arguments.describe`). Raises JitError naming the argument."""
    try:
        return arguments.describe(value)
    except TypeError as error:
        where = f"argument {name}" if isinstance(name, int) else f"argument '{name}'"
        raise JitError(f"jit: {where} is, or holds, {error}") from None


class Replacing:
    """Copies of nested values, in which `change` replaces what it knows.

    Lists, tuples, dicts, sets, slices and arrays are copied; objects only where something in them
    is replaced.
    """

    def __init__(self) -> None:
        self._copies: dict[int, Any] = {}  # of containers and objects, by id
        self._alive: list[Any] = []  # or an id would soon be another's
        self._changes = 0

    def change(self, value: Any) -> Any:
        """What replaces a value; NotImplemented for one that is looked into."""
        raise NotImplementedError

    def item(self, owner: Any, key: Any, value: Any) -> Any:
        """The copy of an object's attribute, or of an item of a container."""
        return self(value)

    def __call__(self, value: Any) -> Any:
        kind = type(value)
        if kind in EXACT or kind is float:
            return value
        changed = self.change(value)
        if changed is not NotImplemented:
            self._changes += 1
            return changed
        if isinstance(value, tuple):
            return like(value, map(self, value))
        if id(value) in self._copies:
            return self._copies[id(value)]
        if isinstance(value, (list, deque, dict)):
            return self._container(value)
        if isinstance(value, np.ndarray):
            return value.copy()
        if kind is set or kind is frozenset:
            return kind(map(self, value))
        if kind is slice:
            return slice(self(value.start), self(value.stop), self(value.step))
        if is_open(kind):
            return self._object(value)
        return value

    def _container(self, value: Any) -> Any:
        made: Any
        if isinstance(value, dict):
            made = {} if type(value) is dict else _emptied(value)
            self._remember(value, made)
            for key, item in value.items():
                made[self(key)] = self.item(value, key, item)
            return made
        made = [] if type(value) is list else _emptied(value)
        self._remember(value, made)
        made.extend(self.item(value, n, item) for n, item in enumerate(value))
        return made

    def _object(self, value: Any) -> Any:
        """A copy of an object whose attributes are replaced; the object, where none is."""
        bases = type(value).__mro__
        native: Any = next(base for base in bases if not base.__flags__ & _HEAP)
        made = native.__new__(type(value))
        self._remember(value, made)
        before = self._changes
        held = {name: self.item(value, name, x) for name, x in attributes(value).items()}
        if self._changes == before:
            self._copies[id(value)] = value
            return value
        for name, item in held.items():
            object.__setattr__(made, name, item)
        return made

    def _remember(self, value: Any, made: Any) -> None:
        self._copies[id(value)] = made
        self._alive.append(value)


def like(value: tuple[Any, ...], items: Iterable[Any]) -> Any:
    """A tuple of other items, which may be named as those of `value`."""
    kind: Any = type(value)
    return kind(*items) if hasattr(value, "_fields") else kind(items)


def _emptied(value: Any) -> Any:
    """An empty container like `value`, which may be of a subclass."""
    made = copy(value)
    made.clear()
    return made


def _is_steady(kind: type) -> bool:
    """Whether values of a type are hashed, and so compared, by value and not by identity."""
    hashed: Any = kind.__hash__
    return hashed is not None and hashed is not object.__hash__


def same_value(a: Any, b: Any) -> bool:
    """Whether two values that are no tensors, containers or objects are interchangeable."""
    kind = type(a)
    if kind is not type(b):
        return False
    if kind in EXACT:
        return bool(a == b)
    if kind is float:
        return bits(a) == bits(b)
    if kind is tuple:
        return len(a) == len(b) and all(map(same_value, a, b))
    if isinstance(a, np.generic):
        return bool(a.dtype == b.dtype) and a.tobytes() == b.tobytes()
    if isinstance(a, MethodType):
        return a.__func__ is b.__func__ and a.__self__ is b.__self__
    if isinstance(a, complex):
        return bits(a.real) == bits(b.real) and bits(a.imag) == bits(b.imag)
    if not is_open(kind) and not isinstance(a, BY_NAME):
        return a is b or (_is_steady(kind) and bool(a == b))
    return a is b


class Computed(Replacing):
    """Copies a result: in place of computed tensors that carry gradient it has leaves. Notes all
    tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[TensorCore] = []
        self.has_gradient = False

    def change(self, value: Any) -> Any:
        """As Replacing's."""
        if not isinstance(value, TensorCore):
            return NotImplemented
        self.tensors.append(value)
        if not value._requires_grad or value.is_leaf:
            return value
        self.has_gradient = True
        storage = value.storage
        return value if storage is None else type(value)._from_storage(storage, value.shape)
