"""A module as text: PyTorch's tree of modules, with the number of parameters of each."""

from __future__ import annotations

from .module import Module


def module_text(module: Module) -> str:
    """One line for each module, indented by depth; behind each, how many numbers it learns.

    Linear(in_features=2, out_features=3, bias=True)  # 9 parameters
    """
    settings = module.extra_repr()
    lines = [f"({name}): {_indented(_child(child))}" for name, child in _children(module)]
    name = type(module).__name__
    count = sum(parameter.numel() for parameter in module.parameters())
    note = f"  # {count:,} parameter{'s' * (count != 1)}" if count else ""
    if not lines:
        return f"{name}({settings}){note}"
    head = f"{name}({note}\n" if not settings else f"{name}({note}\n  {settings}\n"
    return head + "".join(f"  {line}\n" for line in lines) + ")"


def _children(module: Module) -> list[tuple[str, object]]:
    entries = getattr(module, "_entries", None)
    return list(module._own(Module)) if entries is None else list(entries().items())


def _child(value: object) -> str:
    return getattr(value, "__name__", None) or repr(value)


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
