"""Docstrings of tensors and functions: everything public has one, and their examples hold."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy
import pytest

import lazygrad
from lazygrad import Tensor
from lazygrad.tensor.docs import examples as examples_of_methods
from tests.docstrings import examples, run

MODULES = ["functions.forms", "functions.numeric", "functions.types", "functions.special",
           "linalg", "transforms", "autograd", "func", "serialization"]  # fmt: skip
WITHOUT_EXAMPLE = ["Tensor.cuda"]  # which raises


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


PUBLIC = _public()
FORMS = {name for name in PUBLIC if name.endswith("_")}  # "`name`, in place."


def test_everything_public_is_told_of() -> None:
    assert len(PUBLIC) > 500
    assert [name for name, value in PUBLIC.items() if not inspect.getdoc(value)] == []


def test_everything_public_has_an_example() -> None:
    without = [
        name
        for name, value in PUBLIC.items()
        if name not in FORMS and not examples(inspect.getdoc(value) or "")
    ]
    assert without == WITHOUT_EXAMPLE


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_examples_hold(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"Tensor": Tensor, "lazygrad": lazygrad, "numpy": numpy}
    names |= {"linalg": lazygrad.linalg, "nn": lazygrad.nn}
    for path in MODULES[3:]:
        module = import_module(f"lazygrad.{path}")
        names |= {key: getattr(module, key) for key in module.__all__}
    for example in examples(inspect.getdoc(PUBLIC[name]) or ""):
        run(example, dict(names))


def test_an_example_is_of_its_method() -> None:
    for name, condition in examples_of_methods().items():
        assert f".{name}" in condition, condition
        assert condition in (inspect.getdoc(getattr(Tensor, name)) or "")
