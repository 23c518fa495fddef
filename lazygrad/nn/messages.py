"""What errors and warnings of modules say: names that users know, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from types import FunctionType
from typing import Any

from ..errors import warn
from ..tensor import Tensor
from .module import Module
from .parameter import Parameter


def say_own_names(classes: Iterable[Any]) -> None:
    """Let a TypeError of a call say `Conv2d.__init__()`, also where a class has its `__init__` or
    its `forward` from another one: a copy of that function has the name of the class.
    """
    for cls in classes:
        for name in ("__init__", "forward"):
            function = getattr(cls, name, None)
            if (
                isinstance(function, FunctionType)
                and name not in vars(cls)
                and function is not getattr(Module, name)
            ):
                setattr(cls, name, _named(function, cls))


def _named(function: FunctionType, cls: type) -> FunctionType:
    """The same function by the name of a class."""
    made = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    made.__kwdefaults__, made.__doc__ = function.__kwdefaults__, function.__doc__
    made.__annotations__, made.__module__ = function.__annotations__, cls.__module__
    made.__qualname__ = f"{cls.__name__}.{function.__name__}"
    return made


def refuse_argument(module: Module, error: AttributeError, given: Iterable[Any]) -> None:
    """Raise TypeError where `error` came of an argument that is no tensor, used as one."""
    value = error.obj
    if any(value is argument for argument in given) and hasattr(Tensor, str(error.name)):
        kind = "None" if value is None else f"a {type(value).__module__}.{type(value).__name__}"
        raise TypeError(
            f"{type(module).__name__}: an argument is {kind.replace('builtins.', '')}, not a "
            "tensor: write lazygrad.tensor(x)"
        ) from error


def warn_of_lists(module: Module) -> None:
    """Warn of modules and parameters in plain lists, tuples and dicts, which are no part of the
    module that has the list, and no part of it in another way."""
    parts = list(module.modules())
    known = {id(part) for part in parts}
    known.update(id(p) for part in parts for _, p in part._named_own(Parameter))
    for part in parts:
        for name, value in vars(part).items():
            if isinstance(value, (list, tuple, dict)):
                items = value.values() if isinstance(value, dict) else value
                own = [x for x in items if isinstance(x, (Module, Parameter))]
                if own and known.isdisjoint(map(id, own)):
                    _warn_of_list(f"{type(part).__name__}.{name}", value, own[0])


def _warn_of_list(where: str, value: Any, first: Module | Parameter) -> None:
    of, kind = ("modules", "Module") if isinstance(first, Module) else ("parameters", "Parameter")
    container = f"nn.{kind}{'Dict' if isinstance(value, dict) else 'List'}"
    warn(
        f"{where} is a {type(value).__name__} of {of}, which no parameters() finds, no "
        f"optimizer trains and no state_dict() has: write {container}"
    )
