"""Docstrings of tensors and functions: everything public has one, and their examples hold."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from typing import Any

import numpy
import pytest

import lazygrad
from lazygrad import Tensor
from lazygrad.tensor.docs import examples

MODULES = ["functions.forms", "functions.numeric", "functions.special", "linalg", "transforms",
           "autograd", "func", "serialization"]  # fmt: skip
WITHOUT_EXAMPLE = 42
"""How many public names have no example yet. Lower it with each that gets one."""


def _public() -> dict[str, Any]:
    """The methods of Tensor and the functions of the modules, by name; each once."""
    found: dict[int, tuple[str, Any]] = {}
    for name, value in inspect.getmembers(Tensor):
        if not name.startswith("_") and (callable(value) or isinstance(value, property)):
            function = getattr(value, "__func__", value)
            found.setdefault(id(inspect.unwrap(function)), (f"Tensor.{name}", value))
    for path in MODULES:
        module = import_module(f"lazygrad.{path}")
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and value.__module__.startswith("lazygrad"):
                function = getattr(value, "__func__", value)
                found.setdefault(id(inspect.unwrap(function)), (f"{path}.{name}", value))
    return dict(found.values())


def _conditions(text: str) -> list[str]:
    """The lines of a docstring that are comparisons in Python."""
    found = []
    for line in text.splitlines():
        if any(f" {sign} " in line for sign in ("==", "is")):
            try:
                tree = ast.parse(line.strip(), mode="eval")
            except SyntaxError:
                continue
            if isinstance(tree.body, ast.Compare):
                found.append(line.strip())
    return found


PUBLIC = _public()
FORMS = {name for name in PUBLIC if name.endswith("_")}  # "`name`, in place."


def test_everything_public_is_told_of() -> None:
    assert len(PUBLIC) > 500
    assert [name for name, value in PUBLIC.items() if not inspect.getdoc(value)] == []


def test_most_of_it_has_an_example() -> None:
    without = [
        name
        for name, value in PUBLIC.items()
        if name not in FORMS and not _conditions(inspect.getdoc(value) or "")
    ]
    assert len(without) <= WITHOUT_EXAMPLE, without


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_examples_hold(name: str) -> None:
    names: dict[str, Any] = {"Tensor": Tensor, "lazygrad": lazygrad, "numpy": numpy}
    names["linalg"] = lazygrad.linalg
    for path in MODULES[3:]:
        module = import_module(f"lazygrad.{path}")
        names |= {key: getattr(module, key) for key in module.__all__}
    for condition in _conditions(inspect.getdoc(PUBLIC[name]) or ""):
        if not condition.startswith(("x.grad", "pull(", "g.grad")):  # the end of a longer example
            assert eval(condition, names), condition


def test_an_example_is_of_its_method() -> None:
    for name, condition in examples().items():
        assert f".{name}" in condition, condition
        assert condition in (inspect.getdoc(getattr(Tensor, name)) or "")
