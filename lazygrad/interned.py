"""Immutable objects of which no two are equal: the graph's nodes, the loops' expressions, arrays
and statements.

A subclass annotates its fields; those that it inherits come first:

    class Expr(Interned):
        __slots__ = ("dtype",)        # with slots of its own: these are derived, none is a field
        dtype: DType

    class Cast(Expr):
        x: Expr
        rounding: str = "nearest"

        def _derive(self) -> None:
            set_derived(self, "dtype", ...)

`Cast(x)` and `Cast(x, rounding="nearest")` are then one object, so expressions are compared with
`is`, hashed by identity, and found in any dictionary without a walk through what they hold. They
live as long as something refers to them.

A frozen dataclass with slots would do, except that equal values are one object here, and that a
dataclass compiles source text for each class: for the 50 classes of the graph that takes longer
than the rest of `import lazygrad`. Dataclasses that are loaded only to compile are interned by the
metaclass `Unique`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar
from weakref import ref


class _Reference(ref["Interned"]):
    """A weak reference that knows its object's key."""

    __slots__ = ("key",)
    key: tuple[Any, ...]


# In effect a WeakValueDictionary, whose look-ups would call Python functions.
_interned: dict[tuple[Any, ...], _Reference] = {}


def _forget(reference: _Reference) -> None:
    """Drop the entry of an object that is gone; unless there is a new one."""
    if _interned.get(reference.key) is reference:
        del _interned[reference.key]


set_derived = object.__setattr__  # for `_derive` alone: afterwards nothing can be set


class Unique(type):
    """Metaclass of classes whose call returns the one living object with the given fields.

    `__match_args__` are a class's fields, in order, as a dataclass has them; `_defaults` has the
    values of fields that may be left out.
    """

    __match_args__: tuple[str, ...]
    _defaults: dict[str, Any] = {}  # noqa: RUF012  never changed

    def __new__(
        metaclass: type[Any], name: str, bases: tuple[type, ...], namespace: dict[str, Any]
    ) -> Any:
        annotations: dict[str, str] = namespace.get("__annotations__", {})
        if "_defaults" not in namespace:  # a dataclass with slots is made twice
            own = (f for f, kind in annotations.items() if not kind.startswith("ClassVar"))
            namespace["_defaults"] = _inherited(bases) | {
                field: namespace[field] for field in own if field in namespace
            }
        return super().__new__(metaclass, name, bases, namespace)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != len(cls.__match_args__):
            args = cls._complete(args, kwargs)
        key = cls._key(args)
        reference = _interned.get(key)
        if reference is not None and (found := reference()) is not None:
            return found
        return _entered(key, cls._make(args))

    def _key(cls, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """What is equal for equal objects."""
        return (cls, *args)

    def _make(cls, args: tuple[Any, ...]) -> Any:
        """A new object with these fields."""
        return super().__call__(*args)

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


def _entered(key: tuple[Any, ...], made: Any) -> Any:
    """The living object of a key: `made`, unless another thread made one meanwhile."""
    new = _Reference(made, _forget)
    new.key = key
    while (reference := _interned.setdefault(key, new)) is not new:
        if (found := reference()) is not None:
            return found
        _forget(reference)
    return made


def _inherited(bases: tuple[type, ...]) -> dict[str, Any]:
    """The values that the fields of a base have where they are left out."""
    return next((base._defaults for base in bases if isinstance(base, Unique)), {})


class _Interning(Unique):
    """Also turns annotations into slots."""

    _fields: tuple[str, ...]

    def __new__(
        metaclass: type[_Interning],
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
    ) -> _Interning:
        inherited: tuple[str, ...] = next((base._fields for base in bases), ())  # type: ignore[attr-defined]
        own: tuple[str, ...] = ()
        if "__slots__" not in namespace:
            annotations: dict[str, str] = namespace.get("__annotations__", {})
            own = tuple(
                field
                for field, kind in annotations.items()
                if field not in inherited and not kind.startswith("ClassVar")
            )
            namespace["__slots__"] = own
            if own:
                namespace["_defaults"] = _inherited(bases) | {
                    field: namespace.pop(field) for field in own if field in namespace
                }
        namespace["_fields"] = namespace["__match_args__"] = inherited + own
        cls: _Interning = super().__new__(metaclass, name, bases, namespace)
        return cls

    def _make(cls, args: tuple[Any, ...]) -> Any:
        made: Any = object.__new__(cls)  # type: ignore[arg-type]
        for name, value in zip(cls._fields, args, strict=True):
            set_derived(made, name, value)
        made._derive()
        return made

    def again(cls, args: Sequence[Any], derived: Iterable[tuple[str, Any]]) -> Any:
        """The object with these fields, all given, of which `_derive` would find `derived`."""
        key = cls._key(args)  # type: ignore[arg-type]
        reference = _interned.get(key)
        if reference is not None and (found := reference()) is not None:
            return found
        made: Any = object.__new__(cls)  # type: ignore[arg-type]
        for name, value in zip(cls._fields, args, strict=True):
            set_derived(made, name, value)
        for name, value in derived:
            set_derived(made, name, value)
        return _entered(key, made)


class Interned(metaclass=_Interning):
    """Base of a family of immutable, interned objects. Subclasses fill `_derive`."""

    __slots__ = ("__weakref__",)
    _fields: ClassVar[tuple[str, ...]]

    @classmethod
    def _key(cls, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """What is equal for equal objects."""
        return (cls, *args)

    def _derive(self) -> None:
        """Set what follows from the fields; raises where the fields do not fit together."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be deleted")
