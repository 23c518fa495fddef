"""The docstrings of nn and utils.data: everything public has one, and their equations hold."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest

import lazygrad
from lazygrad import Tensor, nn
from lazygrad.utils import data

MODULES = [nn, nn.functional, nn.init, nn.optim, nn.lr_scheduler, nn.utils, nn.utils.rnn, data]
OURS = ("lazygrad.nn", "lazygrad.utils")


def _public(module: Any) -> dict[str, Any]:
    """The classes and functions that a module gives, by name."""
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    held = {name: getattr(module, name) for name in names}
    return {
        f"{module.__name__.removeprefix('lazygrad.')}.{name}": value
        for name, value in held.items()
        if callable(value) and value.__module__.startswith(OURS)
    }


PUBLIC = {name: value for module in MODULES for name, value in _public(module).items()}


def _equations(text: str) -> list[str]:
    """The lines of a docstring that are comparisons in Python."""
    found = []
    for line in text.splitlines():
        if " == " in line:
            try:
                tree = ast.parse(line.strip(), mode="eval")
            except SyntaxError:
                continue
            if isinstance(tree.body, ast.Compare):
                found.append(line.strip())
    return found


EQUATIONS = {
    (name, line)
    for name, value in PUBLIC.items()
    for line in _equations(inspect.getdoc(value) or "")
}


def test_everything_public_is_told_of() -> None:
    assert len(PUBLIC) > 300
    assert [name for name, value in PUBLIC.items() if not inspect.getdoc(value)] == []


@pytest.mark.parametrize(("name", "line"), sorted(EQUATIONS))
def test_equations_hold(name: str, line: str) -> None:
    names: dict[str, Any] = {"Tensor": Tensor, "lazygrad": lazygrad, "nn": nn}
    for module in (nn, nn.functional, nn.init, nn.utils, nn.utils.rnn, data):
        names |= {key: value for key, value in vars(module).items() if not key.startswith("_")}
    assert eval(line, names), f"{name}: {line}"


def test_there_are_equations() -> None:
    assert len(EQUATIONS) >= 30
