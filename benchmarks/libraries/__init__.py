"""The libraries that are compared, each behind the same names (base.py)."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from .base import Library

MODULES = {  # a column of the table: the module here, its class, and the package that it needs
    "lazygrad": ("lazygrad", "Lazygrad", "lazygrad"),
    "PyTorch": ("pytorch", "Torch", "torch"),
    "torch.compile": ("pytorch", "Compiled", "torch"),
    "JAX": ("jax", "Jax", "jax"),
    "tinygrad": ("tinygrad", "Tinygrad", "tinygrad"),
}


def installed() -> list[str]:
    """The names of those that can be imported here."""
    return [name for name, (_, _, package) in MODULES.items() if find_spec(package)]


def library(name: str) -> Library:
    """The library of this name. Raises ImportError where it is not installed."""
    module, cls, _ = MODULES[name]
    made: Library = getattr(import_module(f".{module}", __package__), cls)()
    return made
