"""The examples in docstrings: programs in which every comparison has to hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from importlib import import_module
from textwrap import dedent
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def _is_comparison(statement: ast.stmt) -> bool:
    """Whether a statement says that two values are equal, or are one object."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Compare)
        and all(isinstance(op, (ast.Eq, ast.Is)) for op in statement.value.ops)
    )


def is_example(code: str) -> bool:
    """Whether code is an example: it has a comparison that a test can check."""
    try:
        return any(map(_is_comparison, ast.parse(code).body))
    except SyntaxError:
        return False


def examples(text: str) -> list[str]:
    """The programs in a docstring: a paragraph that is Python with a comparison, or else the lines
    of a paragraph that are."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        block = dedent(paragraph)
        if is_example(block):
            found.append(block.strip())
        else:
            found += [line.strip() for line in block.splitlines() if is_example(line.strip())]
    return found


def run(example: str, names: dict[str, Any]) -> None:
    """Run an example. Raises AssertionError where a comparison does not hold."""
    for statement in ast.parse(example).body:
        code = ast.unparse(statement)
        if _is_comparison(statement):
            assert eval(code, names), code
        else:
            exec(code, names)


def computed_by_the_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let NumPy compute what tensors are read for: examples are small, and compiling takes time."""
    from lazygrad.graph.evaluate import evaluate
    from lazygrad.graph.ir import Node
    from lazygrad.runtime.buffer import DeviceBuffer
    from lazygrad.runtime.device import Device

    def realize(nodes: Sequence[Node], *_: object) -> list[DeviceBuffer]:
        return [
            DeviceBuffer.from_numpy(value, node.device or Device.DEFAULT)
            for node, value in zip(nodes, evaluate(nodes), strict=True)
        ]

    monkeypatch.setattr(import_module("lazygrad.realize"), "realize", realize)
