"""Immutable objects of which no two are equal: the graph's nodes and the loops' expressions.

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

This is a dataclass (frozen, slots) but for the one object a value, and for the time: dataclasses
write and compile source for each class, which for the graph's 50 takes longer than all the rest of
`import lazygrad`.
"""

from __future__ import annotations

from typing import Any, ClassVar
from weakref import WeakValueDictionary

_interned: WeakValueDictionary[tuple[Any, ...], Interned] = WeakValueDictionary()

set_derived = object.__setattr__  # for `_derive` alone: afterwards nothing can be set


class _Interning(type):
    """Turns annotations into slots, and a call into the one live object with those fields."""

    _fields: tuple[str, ...]
    _defaults: tuple[Any, ...]

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
                namespace["_defaults"] = tuple(namespace.pop(f) for f in own if f in namespace)
        namespace["_fields"] = namespace["__match_args__"] = inherited + own
        return super().__new__(metaclass, name, bases, namespace)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != len(cls._fields):
            args = cls._complete(args, kwargs)
        key = cls._key(args)  # type: ignore[attr-defined]
        found = _interned.get(key)
        if found is None:
            made: Any = object.__new__(cls)  # type: ignore[arg-type]
            for name, value in zip(cls._fields, args, strict=True):
                set_derived(made, name, value)
            made._derive()
            found = _interned.setdefault(key, made)
        return found

    def _complete(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Every field's value, in order: the key must not depend on how the fields were written."""
        names = cls._fields
        given = dict(zip(names, args, strict=False))
        defaults = dict(zip(names[len(names) - len(cls._defaults) :], cls._defaults, strict=True))
        values = {**defaults, **given, **kwargs}
        if len(args) > len(names) or given.keys() & kwargs.keys() or values.keys() != set(names):
            raise TypeError(
                f"{cls.__name__}({', '.join(names)}) cannot be made of {len(args)} values"
                + (f" and {', '.join(kwargs)}" if kwargs else "")
            )
        return tuple(values[name] for name in names)


class Interned(metaclass=_Interning):
    """Base of a family of immutable, interned objects. Subclasses fill `_derive`."""

    __slots__ = ("__weakref__",)
    _fields: ClassVar[tuple[str, ...]]
    _defaults: ClassVar[tuple[Any, ...]] = ()  # of the last fields, those that may be left out

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
