"""Immutable, interned objects: equal fields, one object. Nodes of the graph, and expressions,
arrays and statements of loops, are such objects.

A subclass annotates its fields; inherited fields come first:

    class Expr(Interned):
        __slots__ = ("dtype",)        # with slots of its own: none of these is a field
        _derived = ("dtype",)
        dtype: DType

    class Cast(Expr):
        x: Expr
        rounding: str = "nearest"

        def _derive(self) -> tuple[DType]:
            return (...,)             # the values of `_derived`, in order

`Cast(x)` and `Cast(x, rounding="nearest")` are then one object, so expressions are compared with
`is` and hashed by identity: a dictionary finds them without a walk through their fields. An object
lives as long as something refers to it.

Objects are made by the hundred thousand, so each class has a constructor of its own, compiled from
source text as a dataclass's is. That happens with the first object of the class: to do it at once
for the 50 classes of the graph would take longer than the rest of `import lazygrad`. A constructor
fills an object of a *draft*, a subclass whose attributes can be set, and then gives it its own
class, which makes it immutable: ten times as fast as setting attributes of an immutable object.
Dataclasses that are loaded only to compile are interned by the metaclass `Unique`.
"""

from __future__ import annotations

from _weakref import _remove_dead_weakref  # type: ignore[attr-defined]
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar, Self
from weakref import ref


class _Reference(ref["Interned"]):
    """A weak reference that knows its object's key."""

    __slots__ = ("key",)
    key: tuple[Any, ...]


interned: dict[tuple[Any, ...], _Reference] = {}
"""The living objects by their keys. In effect a WeakValueDictionary, whose look-ups would call
Python functions."""


def _forget(reference: _Reference) -> None:
    """Drop the entry of an object that is gone, unless another thread has made a new one."""
    _remove_dead_weakref(interned, reference.key)  # in one step, as WeakValueDictionary does


set_noted = object.__setattr__  # for slots that are neither fields nor derived


class Unique(type):
    """Metaclass of classes whose call returns the one living object with the given fields.

    `__match_args__` are a class's fields, in order, as a dataclass has them; `_defaults` has the
    values of fields that may be left out.
    """

    __match_args__: tuple[str, ...]
    _defaults: dict[str, Any] = {}  # noqa: RUF012  never changed
    _new: Callable[..., Any] | None
    _keyed: Callable[[tuple[Any, ...]], tuple[tuple[Any, ...], tuple[Any, ...]]] | None = None
    """From the fields as given: a key that equal objects share, and the fields as they are kept.
    None where the key is the class and the fields."""

    def __new__(
        metaclass: type[Any], name: str, bases: tuple[type, ...], namespace: dict[str, Any]
    ) -> Any:
        annotations: dict[str, str] = namespace.get("__annotations__", {})
        namespace["_new"] = None
        if "_defaults" not in namespace:  # a dataclass with slots is made twice
            own = (f for f, kind in annotations.items() if not kind.startswith("ClassVar"))
            namespace["_defaults"] = _inherited(bases) | {
                field: namespace[field] for field in own if field in namespace
            }
        return super().__new__(metaclass, name, bases, namespace)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != len(cls.__match_args__):
            args = cls._complete(args, kwargs)
        if cls._keyed is None:
            key = (cls, *args)
        else:
            key, args = cls._keyed(args)
        reference = interned.get(key)
        if reference is not None and (found := reference()) is not None:
            return found
        return entered(key, (cls._new or cls.new)(*args))

    @property
    def new(cls) -> Callable[..., Any]:
        """The function that makes a new object from all fields; it is kept as `_new`."""
        if cls._new is None:
            cls._new = cls._constructor()
        return cls._new

    def _constructor(cls) -> Callable[..., Any]:
        return partial(type.__call__, cls)

    def _complete(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Every field's value, in order: the key must not depend on how the fields were written."""
        names = cls.__match_args__
        left = names[len(args) :]
        values = cls._defaults | kwargs if kwargs else cls._defaults
        found = args + tuple([values[name] for name in left if name in values])
        if len(found) == len(names) and (not kwargs or kwargs.keys() <= set(left)):
            return found
        raise TypeError(
            f"{cls.__name__}({', '.join(names)}) cannot be made of {len(args)} values"
            + (f" and {', '.join(kwargs)}" if kwargs else "")
        )


def entered(key: tuple[Any, ...], made: Any) -> Any:
    """Enter an object under a key. Returns it, or the one that another thread entered meanwhile."""
    new = _Reference(made, _forget)
    new.key = key
    while (reference := interned.setdefault(key, new)) is not new:
        if (found := reference()) is not None:
            return found
        _forget(reference)
    return made


def _inherited(bases: tuple[type, ...]) -> dict[str, Any]:
    """The default values of a base's fields."""
    return next((base._defaults for base in bases if isinstance(base, Unique)), {})


class _Interning(Unique):
    """Also turns annotations into slots."""

    _fields: tuple[str, ...]
    _kinds: dict[str, str]  # of the fields: their annotations
    _derived: tuple[str, ...]

    def __new__(
        metaclass: type[_Interning],
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
    ) -> _Interning:
        kinds: dict[str, str] = next((base._kinds for base in bases), {})  # type: ignore[attr-defined]
        if "__slots__" not in namespace:
            annotations: dict[str, str] = namespace.get("__annotations__", {})
            own = {
                field: kind
                for field, kind in annotations.items()
                if field not in kinds and not kind.startswith("ClassVar")
            }
            namespace["__slots__"] = tuple(own)
            if own:
                namespace["_defaults"] = _inherited(bases) | {
                    field: namespace.pop(field) for field in own if field in namespace
                }
            kinds = kinds | own
        namespace["_kinds"] = kinds
        namespace["_fields"] = namespace["__match_args__"] = tuple(kinds)
        cls: _Interning = super().__new__(metaclass, name, bases, namespace)
        return cls

    def _constructor(cls) -> Callable[..., Any]:
        """A function of all fields and, optionally, of the values that `_derive` would return."""
        fields = "\n    ".join(f"made.{name} = {name}" for name in cls._fields)
        source = _SOURCE.format(
            parameters=", ".join((*cls._fields, "derived=None")),
            fields=fields or "pass",
            derivation=cls._derivation(),  # type: ignore[attr-defined]
            derived=_targets(cls._derived) or "_",
        )
        defined: dict[str, Any] = {"create": object.__new__, "Draft": draft_of(cls), "Own": cls}
        exec(compile(source, f"<lazygrad {cls.__name__}>", "exec"), defined)
        return defined["new"]  # type: ignore[no-any-return]


def draft_of(cls: Any, **namespace: Any) -> Any:
    """A subclass whose attributes can be set: an object of it becomes one of `cls`."""
    setting = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type.__new__(_Interning, cls.__name__, (cls,), {"__slots__": (), **setting, **namespace})


_SOURCE = """
def new({parameters}):
    made = create(Draft)
    {fields}
    if derived is None:
        {derivation}
    else:
        {derived} = derived
    made.__class__ = Own
    return made
"""


def _targets(names: tuple[str, ...]) -> str:
    """The left side of an assignment to attributes of `made`."""
    return "".join(f"made.{name}, " for name in names).rstrip()


class Interned(metaclass=_Interning):
    """Base of a family of immutable, interned objects. Subclasses fill `_derive`."""

    __slots__ = ("__weakref__",)
    _fields: ClassVar[tuple[str, ...]]
    _kinds: ClassVar[dict[str, str]]
    _derived: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def _derivation(cls) -> str:
        """A line of Python that sets the derived attributes of `made` from its fields."""
        return f"{_targets(cls._derived) or '_'} = made._derive()"

    def _derive(self) -> tuple[Any, ...]:
        """The values of the attributes that `_derived` names, from the fields. Raises where the
        fields do not fit together."""
        return ()

    def with_parts(self, kind: type, parts: Iterable[Any]) -> Self:
        """The object with other parts: each field that is of a class, or a tuple of such objects,
        becomes the next of `parts`, or as many of them."""
        rest = iter(parts)

        def other(value: Any) -> Any:
            if isinstance(value, tuple) and value and isinstance(value[0], kind):
                return tuple([next(rest) for _ in value])
            return next(rest) if isinstance(value, kind) else value

        return type(self)(*[other(getattr(self, name)) for name in self._fields])

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be deleted")
