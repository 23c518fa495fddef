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
from functools import cache
from inspect import CO_OPTIMIZED
from itertools import pairwise
from linecache import getline
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeVar
from weakref import ref

from .interned import set_noted

MAX_ORIGINS = 8  # of one node; those that come later are dropped
MAX_WAYS = 10_000  # from a module to one in it, that are remembered

_PACKAGE = str(Path(__file__).parent) + os.sep
_LIBRARY = str(Path(os.__file__).parent) + os.sep


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
            text += f"  in {'.'.join([*map(_way, self.layers[:-1]), self.layers[-1]])}"
        return f"gradient of {text}" if self.gradient else text


def _way(layer: str) -> str:
    """layers.0 (Linear)  ->  layers.0"""
    return layer.partition(" (")[0]


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
    def all_members(self) -> tuple[Any, ...]: ...


# --------------------------------------------------------------------------- what is known


def origins(node: Node) -> tuple[Origin, ...]:
    """The origins of a graph node; () where nothing is known."""
    return getattr(node, "origins", ())


def kernel_origins(kernel: Kernel) -> tuple[Origin, ...]:
    """The origins of what a kernel computes, the most telling first: those of its outputs, then
    in the order of lines."""
    stored = [member.node for member in kernel.all_members if member.stored]
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
    stack = [member.node for member in kernel.all_members]
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
    *_, frame = _to_program(sys._getframe(1))
    code = frame.f_code
    line = f"{os.path.basename(code.co_filename)}:{frame.f_lineno}"
    return line if code.co_name == "<module>" else f"{code.co_name} ({line})"


def here(frame: FrameType) -> Origin:
    """The innermost line outside of this package, from a frame outwards."""
    *inside, found = _to_program(frame)
    code = found.f_code
    operation = _operation(inside[::-1])
    return Origin(code.co_filename, found.f_lineno, code.co_name, operation, _layers(frame))


def _to_program(frame: FrameType) -> list[FrameType]:
    """The frames from this one outwards to the innermost that is of the program; to the outermost
    of all where none is."""
    found = [frame]
    while _is_inside(frame.f_code.co_filename) and frame.f_back is not None:
        frame = frame.f_back
        found.append(frame)
    return found


def variables(frame: FrameType) -> dict[str, Any]:
    """The variables of a frame. Leaves nothing behind: `f_locals` of a function is a copy that,
    before Python 3.13, the frame keeps, and with it all that the function may drop meanwhile."""
    kept = frame.f_locals
    found = dict(kept)
    is_copy = frame.f_code.co_flags & CO_OPTIMIZED and isinstance(kept, dict)
    if is_copy and sys.getrefcount(kept) <= _HELD_BY_FRAME:  # else the function called locals()
        kept.clear()
    return found


_HELD_BY_FRAME = 3  # the references to a dict that a frame, a variable and a call hold


@cache
def is_users(file: str) -> bool:
    """Whether a file is part of the program: not of this package, of Python or another package."""
    return not _is_inside(file) and "-packages" not in file


def stack_level() -> int:
    """The `stacklevel` by which `warnings.warn` in the caller names the program's line."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and not is_users(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    return level


@cache
def _is_inside(file: str) -> bool:
    """Whether a file belongs to this package, or to Python itself."""
    if file.startswith((_PACKAGE, "<frozen")):
        return True
    return file.startswith(_LIBRARY) and "-packages" not in file


def _operation(frames: Sequence[FrameType]) -> str:
    """The outermost public function among the frames, which are in order of their calls; of a layer
    what its `forward` calls, and "Linear.init" where it is made."""
    layer = ""
    found = ""
    for frame in frames:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            continue
        if code.co_name == "__init__" and code.co_filename.startswith(_LAYERS):
            return f"{type(variables(frame).get('self')).__name__}.init"
        if code.co_name == "forward":
            layer, found = type(variables(frame).get("self")).__name__, ""
        elif not found and _is_public(code.co_name, code.co_qualname, code.co_filename):
            found = code.co_name.strip("_")
            if found == "step":
                found = f"{type(variables(frame).get('self')).__name__}.step"
    return found or layer


@cache
def _is_public(name: str, qualified: str, file: str) -> bool:
    """Whether a function is what a user calls: no helper, wrapper, part of `jit`, or function that
    only calls others that a user gives it."""
    if qualified == "Tensor.sequential":
        return False
    if "<" in qualified or file.startswith(f"{_PACKAGE}jit{os.sep}"):
        return False
    if name.startswith("__"):
        return name.endswith("__") and name not in ("__call__", "__init__", "__get__")
    return not name.startswith("_")


def _layers(frame: FrameType | None) -> tuple[str, ...]:
    """The modules whose call is running, outermost first, each by its name in the one around it;
    the outermost has none, and is told by its class where no other runs."""
    calls: list[Any] = []
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__call__" and code.co_filename == _MODULE:
            calls.append(variables(frame)["self"])
        frame = frame.f_back
    calls.reverse()
    named = [
        f"{way} ({type(module).__name__})"
        for parent, module in pairwise(calls)
        if (way := _way_to(parent, module))
    ]
    return tuple(named) or tuple(type(module).__name__ for module in calls[-1:])


_LAYERS = os.path.join(_PACKAGE, "nn", "")
_MODULE = os.path.join(_LAYERS, "module.py")
_ways: dict[tuple[int, int], tuple[ref[Any], ref[Any], str]] = {}  # by the ids of two modules


def _way_to(parent: Any, module: Any) -> str:
    """The name of a module in another: "layers.0"."""
    key = id(parent), id(module)
    known = _ways.get(key)
    if known is None or known[0]() is not parent or known[1]() is not module:
        way = next((way for way, inner in parent.named_modules() if inner is module), "")
        if len(_ways) >= MAX_WAYS:
            _ways.clear()
        known = _ways[key] = ref(parent), ref(module), way
    return known[2]
