"""Modules, and parameters, in lists and by name."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Generic, Self, TypeVar, overload

from ..errors import KindError, RangeError
from ..tensor import Tensor
from .module import Module
from .parameter import Parameter, registered

V = TypeVar("V")


class _Entries(Module, Generic[V]):
    """A module whose attributes are entries, in order."""

    def _is_entry(self, name: str, value: Any) -> bool:
        return isinstance(value, Module)

    def _module_entries(self) -> dict[str, V]:
        return {name: value for name, value in vars(self).items() if self._is_entry(name, value)}

    def _refill(self, entries: Mapping[str, V]) -> None:
        """Hold other entries, in this order."""
        for name in self._module_entries():
            object.__delattr__(self, name)
        for name, value in entries.items():
            setattr(self, name, self._accepted(value))

    def _accepted(self, value: Any) -> V:
        """The value, if it can be an entry. Raises TypeError."""
        if not isinstance(value, Module):
            raise KindError(f"{type(value).__name__} is not a Module subclass")
        return value  # type: ignore[return-value]

    def __len__(self) -> int:
        return len(self._module_entries())


class _List(_Entries[V]):
    """Entries with the names "0", "1", ...: what a list can do."""

    def _refill_list(self, values: Iterable[V]) -> None:
        self._refill({str(n): value for n, value in enumerate(values)})

    def _like(self, entries: Mapping[str, V]) -> Self:
        """Another list, with a part of the entries."""
        made = type(self)()
        made._refill({str(n): value for n, value in enumerate(entries.values())})
        return made

    def _name(self, index: int) -> str:
        names = list(self._module_entries())
        n = operator.index(index)
        if not -len(names) <= n < len(names):
            raise RangeError(f"index {n} is out of range")
        return names[n]

    @overload
    def __getitem__(self, index: int) -> V: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> V | Self:
        """An entry, or another list of some. Raises IndexError."""
        if isinstance(index, slice):
            return self._like(dict(list(self._module_entries().items())[index]))
        return self._module_entries()[self._name(index)]

    def __setitem__(self, index: int, value: V) -> None:
        setattr(self, self._name(index), self._accepted(value))

    def __delitem__(self, index: int | slice) -> None:
        values = list(self._module_entries().values())
        del values[index]
        self._refill_list(values)

    def __iter__(self) -> Iterator[V]:
        return iter(self._module_entries().values())

    def __add__(self, other: Iterable[V]) -> Self:
        made = type(self)()
        made._refill_list([*self, *other])
        return made

    def __iadd__(self, other: Iterable[V]) -> Self:
        return self.extend(other)

    def append(self, value: V) -> Self:
        """Add an entry at the end. Returns itself."""
        setattr(self, str(len(self)), self._accepted(value))
        return self

    def extend(self, values: Iterable[V]) -> Self:
        """Add entries at the end. Returns itself."""
        for value in list(values):
            self.append(value)
        return self

    def insert(self, index: int, value: V) -> Self:
        """Put an entry before the one at `index`. Returns itself."""
        values = list(self._module_entries().values())
        values.insert(index, self._accepted(value))
        self._refill_list(values)
        return self

    def pop(self, index: int = -1) -> V:
        """Take an entry away, and give it."""
        value = self[index]
        del self[index]
        return value


class _Dict(_Entries[V]):
    """Entries by name: what a dict can do."""

    def __getitem__(self, key: str) -> V:
        return self._module_entries()[key]

    def __setitem__(self, key: str, value: V) -> None:
        value = self._accepted(value)
        if key not in self._module_entries():
            self._check_module_name(key, "module")
        setattr(self, key, value)

    def __delitem__(self, key: str) -> None:
        if key not in self._module_entries():
            raise KeyError(key)
        delattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._module_entries())

    def __contains__(self, key: object) -> bool:
        return key in self._module_entries()

    def clear(self) -> None:
        """Take all entries away."""
        self._refill({})

    def pop(self, key: str) -> V:
        """Take an entry away, and give it. Raises KeyError."""
        value = self[key]
        del self[key]
        return value

    def get(self, key: str, default: V | None = None) -> V | None:
        """The entry by a name, or the default."""
        return self._module_entries().get(key, default)

    def keys(self) -> Iterable[str]:
        """The names, in order."""
        return self._module_entries().keys()

    def items(self) -> Iterable[tuple[str, V]]:
        """Names and entries, in order."""
        return self._module_entries().items()

    def values(self) -> Iterable[V]:
        """The entries, in order."""
        return self._module_entries().values()

    def update(self, entries: Mapping[str, V] | Iterable[tuple[str, V]]) -> None:
        """Set several entries."""
        for key, value in dict(entries).items():
            self[key] = value


class Sequential(_List[Callable[[Tensor], Tensor]]):
    """Modules, or any functions of a tensor, one after the other.

    model = Sequential(nn.Linear(4, 8), Tensor.relu, nn.Linear(8, 2))
    model = Sequential(OrderedDict(hidden=nn.Linear(4, 8), out=nn.Linear(8, 2)))

        Sequential(nn.Linear(3, 4), nn.ReLU())(Tensor.ones(2, 3)).shape == (2, 4)
    """

    def __init__(
        self,
        *layers: Callable[[Tensor], Tensor] | Mapping[str, Callable[[Tensor], Tensor]],
    ) -> None:
        super().__init__()
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            self._refill(layers[0])
        else:
            self._refill_list(layers)  # type: ignore[arg-type]

    _named: Collection[str] = ()  # the entries by name; a function may be another attribute, too

    def _is_entry(self, name: str, value: Any) -> bool:
        is_function = callable(value) and not isinstance(value, Tensor)
        is_given = name.isdigit() or name in self._named
        return isinstance(value, Module) or (is_function and is_given)

    def _refill(self, entries: Mapping[str, Callable[[Tensor], Tensor]]) -> None:
        self._named = {*self._named, *entries}  # until the old ones are taken away
        super()._refill(entries)
        self._named = set(entries)

    def _accepted(self, value: Any) -> Callable[[Tensor], Tensor]:
        if not callable(value):
            raise KindError(f"Sequential: {type(value).__name__} is no layer: it cannot be called")
        return value  # type: ignore[no-any-return]

    def _like(self, entries: Mapping[str, Callable[[Tensor], Tensor]]) -> Self:
        made = type(self)()
        made._refill(entries)
        return made

    def forward(self, x: Any) -> Any:
        """The layers applied one after the other."""
        for layer in self._module_entries().values():
            x = layer(x)
        return x


class ModuleList(_List[Module]):
    """Modules in a list, which are registered; it is not called.

    [layer(Tensor.ones(1, 2)).shape for layer in ModuleList([nn.Linear(2, 3)])] == [(1, 3)]
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self._refill_list(() if modules is None else modules)


class ModuleDict(_Dict[Module]):
    """Modules by name, which are registered; it is not called.

    ModuleDict({"act": nn.ReLU()})["act"](Tensor([-1.0])).tolist() == [0.0]
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update({} if modules is None else modules)


class _Parameters(_Entries[Any]):
    """Entries that may be anything; tensors become parameters."""

    def _is_entry(self, name: str, value: Any) -> bool:
        return not name.startswith("_")

    def _accepted(self, value: Any) -> Any:
        is_plain = type(value) is Tensor
        return registered(value, Parameter).requires_grad_() if is_plain else value

    def extra_repr(self) -> str:
        return "\n  ".join(
            f"({name}): {type(value).__name__} of {value.dtype}, shape {value.shape}"
            if isinstance(value, Tensor)
            else f"({name}): {value!r}"
            for name, value in self._module_entries().items()
        )


class ParameterList(_Parameters, _List[Any]):
    """Parameters in a list, which are registered; plain tensors become parameters.

    [p.shape for p in ParameterList([nn.Parameter(Tensor.ones(2))])] == [(2,)]
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._refill_list(() if values is None else values)


class ParameterDict(_Parameters, _Dict[Any]):
    """Parameters by name, which are registered; plain tensors become parameters.

    ParameterDict({"w": nn.Parameter(Tensor.ones(2))})["w"].requires_grad is True
    """

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.update({} if parameters is None else parameters)
