"""Where nodes come from: the Python lines, operations and layers that asked for them.

An origin stands beside a node, in a slot that is no part of the node's key: two lines that make
the same node share it, and it has the origins of both. What passes on origins:

    a tensor's operation    its nodes get the line that called it (`record`)
    the rewrite driver      what replaces a node inherits the node's origins (`inherit`)
    gradient                derivatives get the origins of what they are derivatives of, marked so

Recording costs some microseconds an operation, as it walks Python's frames, and building a node
takes no longer than that. So it is on only where somebody looks: where `config.ORIGINS` is 1, which
it is by default under DEBUG, DUMP and inside of `lazygrad.dump`. Nothing is known of nodes that
were made while it was off.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from linecache import getline
from types import FrameType
from typing import Any, Protocol, TypeVar

from .caller import called, layers_of, to_program, way_of
from .interned import set_noted

MAX_ORIGINS = 8  # of one node; those that come later are dropped


@dataclass(frozen=True, slots=True)
class Origin:
    """A line of the user's program, and what it asked for there.

    `file`, `line` and `function` are of the innermost frame outside of this package. `operation` is
    the public function or method that was called: "matmul", "softmax", "Adam.step". `layers` is the
    path of modules, outermost first: ("encoder (Encoder)", "layers.0 (Linear)"). `gradient`: the
    derivative of what the line computed.
    """

    file: str
    line: int
    function: str
    operation: str
    layers: tuple[str, ...] = ()
    gradient: bool = False

    @property
    def source(self) -> str:
        """The text of the line; "" where it cannot be read."""
        return getline(self.file, self.line).strip()

    def __str__(self) -> str:
        """train.py:14  x @ w  in layers.0 (Linear)"""
        text = f"{os.path.basename(self.file)}:{self.line}  {self.source or self.operation}"
        if self.layers:
            text += f"  in {way_of(self.layers)}"
        return f"gradient of {text}" if self.gradient else text


class Node(Protocol):
    """What is needed of a node of the graph."""

    @property
    def inputs(self) -> tuple[Any, ...]: ...


N = TypeVar("N", bound=Node)


class Kernel(Protocol):
    """What is needed of a kernel of a schedule."""

    @property
    def inputs(self) -> tuple[Any, ...]: ...
    @property
    def members(self) -> tuple[Any, ...]: ...


# --------------------------------------------------------------------------- what is known


def origins(node: Node) -> tuple[Origin, ...]:
    """The origins of a graph node; () where nothing is known."""
    return getattr(node, "origins", ())


def kernel_origins(kernel: Kernel) -> tuple[Origin, ...]:
    """The origins of what a kernel computes, the most telling first: those of its outputs, then
    in the order of lines."""
    stored = [member.node for member in kernel.members if member.stored]
    first = dict.fromkeys(origin for node in stored for origin in origins(node))
    rest = {origin for node in _computed(kernel) for origin in origins(node)}
    in_order = sorted(rest, key=lambda o: (o.gradient, o.file, o.line, o.operation, o.layers))
    return tuple(dict.fromkeys([*first, *in_order]))


def name_of(node: Node) -> str | None:
    """The name of a value: a leaf's is its state-dict key, or that of an argument or a variable;
    the gradient of "w" is "w.grad". None where it has none."""
    return getattr(node, "label", None)


def _computed(kernel: Kernel) -> list[Node]:
    """The nodes between a kernel's inputs and its members."""
    seen = set(kernel.inputs)
    stack = [member.node for member in kernel.members]
    found: list[Node] = []
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            found.append(node)
            stack += node.inputs
    return found


# --------------------------------------------------------------------------- passing on


def add_origins(node: Node, new: Iterable[Origin]) -> None:
    """Give a node further origins."""
    known = origins(node)
    more = tuple(origin for origin in new if origin not in known)
    if more:
        set_noted(node, "origins", (known + more)[:MAX_ORIGINS])


def spread(node: N, new: Sequence[Origin]) -> list[N]:
    """Give origins to the node and to all below it, as far down as nothing is known of them.
    Returns the nodes that were met."""
    add_origins(node, new)
    met = [node]
    stack: list[N] = list(node.inputs)
    while stack:
        below = stack.pop()
        met.append(below)
        if not hasattr(below, "origins") and not hasattr(below, "storage"):
            add_origins(below, new)
            stack += below.inputs
    return met


def set_label(node: Node, label: str | None) -> None:
    """Name a node's value; None says that it was looked for and has no name."""
    if name_of(node) is None:
        set_noted(node, "label", label)


def inherit(new: Node, old: Node) -> None:
    """`new` replaces `old`, with the same value: it gets the name and the origins of `old`; so do
    the nodes below it that have no origins."""
    if new is old:
        return
    if known := origins(old):
        spread(new, known)
    if (label := name_of(old)) is not None:
        set_label(new, label)


def inherit_gradient(new: Node, old: Node) -> None:
    """`new` is part of the derivative of `old`."""
    if not hasattr(new, "origins") and (known := origins(old)):
        spread(new, [replace(origin, gradient=True) for origin in known])


# --------------------------------------------------------------------------- recording


def record(node: N, is_new: bool = True) -> list[N]:
    """Note the line of the program that asks for a node now. Without `is_new`, only if nothing is
    known of it. Returns the nodes that were met."""
    if is_new or not hasattr(node, "origins"):
        return spread(node, [here(sys._getframe(1))])
    return []


title: ContextVar[str | None] = ContextVar("title", default=None)
"""What the next compilations are called: the name of a function that is captured."""


def name_of_function(function: object) -> str:
    """What a captured function is called; a lambda by its line: "lambda (mnist.py:77)"."""
    name: str = getattr(function, "__name__", "function")
    code = getattr(function, "__code__", None)
    if name != "<lambda>" or code is None:
        return name
    return f"lambda ({os.path.basename(code.co_filename)}:{code.co_firstlineno})"


def asker() -> str:
    """The line of the program that is running, as what it asks for is called:
    "train (mnist.py:31)"."""
    *_, frame = to_program(sys._getframe(1))
    code = frame.f_code
    line = f"{os.path.basename(code.co_filename)}:{frame.f_lineno}"
    return line if code.co_name == "<module>" else f"{code.co_name} ({line})"


def here(frame: FrameType) -> Origin:
    """The innermost line outside of this package, from a frame outwards."""
    *inside, found = to_program(frame)
    code = found.f_code
    layer, operation = called(inside[::-1])
    operation = operation.strip("_") or layer
    return Origin(code.co_filename, found.f_lineno, code.co_name, operation, layers_of(frame))
