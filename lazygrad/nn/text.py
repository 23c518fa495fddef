"""A module as text: PyTorch's tree of modules, with the number of parameters of each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from .containers import ModuleList
from .module import Module


class _Attributes(dict[str, Any]):
    """The attributes of a module, its class's among them, by name."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        self._module = module

    def __missing__(self, name: str) -> Any:
        return getattr(self._module, name)


def settings_text(module: Module, template: str) -> str:
    """A template such as "p={p}", filled in with the module's attributes."""
    return template.format_map(_Attributes(module))


def module_text(module: Module) -> str:
    """One line for each module, indented by depth; behind each, how many numbers it learns.

    Linear(in_features=2, out_features=3, bias=True)  # 9 parameters
    """
    settings = module.extra_repr()
    lines = [f"({name}): {_indented(text)}" for name, text in _together(_children(module), module)]
    name = type(module).__name__
    count = sum(parameter.numel() for parameter in module.parameters())
    note = f"  # {count:,} parameter{'s' * (count != 1)}" if count else ""
    if not lines:
        return f"{name}({settings}){note}"
    head = f"{name}({note}\n" if not settings else f"{name}({note}\n  {settings}\n"
    return head + "".join(f"  {line}\n" for line in lines) + ")"


def _children(module: Module) -> list[tuple[str, object]]:
    entries = getattr(module, "_module_entries", None)
    return list(module._named_own(Module)) if entries is None else list(entries().items())


def _together(children: list[tuple[str, object]], module: Module) -> Iterator[tuple[str, str]]:
    """Names and texts of children; equal ones behind one another in a list of modules are told as
    one, with how many there are."""
    texts = [(name, getattr(child, "__name__", None) or repr(child)) for name, child in children]
    if not isinstance(module, ModuleList):
        yield from texts
        return
    for text, group in groupby(texts, key=lambda pair: pair[1]):
        names = [name for name, _ in group]
        if len(names) == 1:
            yield names[0], text
        else:
            yield f"{names[0]}-{names[-1]}", f"{len(names)} x {text}"


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
