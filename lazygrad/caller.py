"""Who called: the line of the program, the operation and the layers that are running.

The functions walk Python's frames, from the innermost outwards. They are called only where an
error is raised, a warning given, or the origin of a node noted (`origin.py`), so that other calls
cost nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from inspect import CO_OPTIMIZED
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple
from weakref import ref

MAX_WAYS = 10_000  # names of modules inside of others that are remembered

_PACKAGE = str(Path(__file__).parent) + os.sep
_LIBRARY = str(Path(os.__file__).parent) + os.sep
_TENSOR = os.path.join(_PACKAGE, "tensor", "")
_TRANSFORMS = os.path.join(_PACKAGE, "transforms", "")
_LAYERS = os.path.join(_PACKAGE, "nn", "")
_BETWEEN = (
    os.path.join(_PACKAGE, "jit", ""),
    os.path.join(_TENSOR, "naming.py"),
    os.path.join(_TENSOR, "recurrence.py"),
)
"""Files whose functions stand between an operation and what it is made of."""
_MODULE = os.path.join(_LAYERS, "module.py")


# --------------------------------------------------------------------------- files


@cache
def is_users(file: str) -> bool:
    """Whether a file is the user's: not of this package, of Python, or of another package."""
    return not _is_inside(file) and "-packages" not in file


@cache
def _is_inside(file: str) -> bool:
    """Whether a file belongs to this package, or to Python itself; "<lazygrad Add>" is code that
    the package writes."""
    if file.startswith((_PACKAGE, "<lazygrad", "<frozen")):
        return True
    return file.startswith(_LIBRARY) and "-packages" not in file


# --------------------------------------------------------------------------- frames


def to_program(frame: FrameType) -> list[FrameType]:
    """The frames from this one outwards to the first one of the program; all of them where none is
    the program's."""
    found = [frame]
    while _is_inside(frame.f_code.co_filename) and frame.f_back is not None:
        frame = frame.f_back
        found.append(frame)
    return found


def stack_level() -> int:
    """The `stacklevel` by which `warnings.warn` in the caller names the program's line."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and not is_users(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    return level


def variables(frame: FrameType) -> dict[str, Any]:
    """The variables of a frame. Nothing is kept alive: before Python 3.13, `f_locals` of a function
    is a copy that the frame keeps, and with it objects that the function may drop meanwhile."""
    kept = frame.f_locals
    found = dict(kept)
    is_copy = frame.f_code.co_flags & CO_OPTIMIZED and isinstance(kept, dict)
    if is_copy and sys.getrefcount(kept) <= _HELD_BY_FRAME:  # else the function called locals()
        kept.clear()
    return found


_HELD_BY_FRAME = 3  # the references to a dict that a frame, a variable and a call hold


# --------------------------------------------------------------------------- operations


class Called(NamedTuple):
    """The layer and operation of this package that are running, by the names that a user knows.

    `layer` is the class of the innermost layer that runs or is being made: "Conv2d"; "" for none.
    `operation` is the outermost public function or method called by that layer, or by the program:
    "softmax", "linalg.inv", "Adam.step", "__add__" for `+`, "Linear.init" for a new layer.
    """

    layer: str
    operation: str


def called(frames: Sequence[FrameType]) -> Called:
    """The layer and operation that frames run; the frames are in order of their calls."""
    layer = operation = around = ""
    for frame in frames:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            continue
        if code.co_name == "__init__" and not operation:
            operation = _class_of(frame)
            if code.co_filename.startswith(_LAYERS):
                return Called(operation, f"{operation}.init")
        elif code.co_name == "forward":
            layer, operation = _class_of(frame), ""
        elif transform := _transform(code.co_qualname, code.co_filename):
            around = around or transform
        elif not operation and _is_public(code.co_name, code.co_qualname, code.co_filename):
            operation = _qualified(frame)
    return Called(layer, operation or around)


def _class_of(frame: FrameType) -> str:
    return type(variables(frame).get("self")).__name__


def _qualified(frame: FrameType) -> str:
    """The name of a function or method; a method that is not a tensor's has its class before it."""
    code = frame.f_code
    if code.co_filename.startswith(_TENSOR):
        return code.co_name
    if code.co_varnames[:1] == ("self",):
        of = _class_of(frame)
        return of if code.co_name.startswith("__") else f"{of}.{code.co_name}"
    module = frame.f_globals["__name__"].split(".")[1]
    return f"{module}.{code.co_name}" if module in _SPACES else code.co_name


_SPACES = ("linalg", "fft")
"""Modules whose functions are named with the module, `linalg.inv`: other modules have functions of
the same names."""


@cache
def _transform(qualified: str, file: str) -> str:
    """The public name of a transform, a function that calls the user's functions: "grad" for the
    function that `grad` returns. It is named only where no operation is running. "" for other
    functions."""
    name = qualified.partition(".<locals>")[0]
    if qualified != "Tensor.sequential" and not file.startswith(_TRANSFORMS):
        return ""
    return "" if name.startswith("_") else name.rpartition(".")[2]


@cache
def _is_public(name: str, qualified: str, file: str) -> bool:
    """Whether a function is what a user calls: no helper, wrapper or part of `jit` or of a loop."""
    if "<" in qualified or file.startswith(_BETWEEN):
        return False
    if name.startswith("__"):
        return name.endswith("__") and name not in ("__call__", "__init__", "__get__")
    return not name.startswith("_")


# --------------------------------------------------------------------------- layers


def layers_of(frame: FrameType | None) -> tuple[str, ...]:
    """The modules whose calls are running, outermost first, each by its name in the module around
    it: "layers.0 (Linear)". The outermost has no name: its class stands for it if it runs alone."""
    calls = _calls(frame)
    named = [
        f"{way} ({type(module).__name__})"
        for parent, module in pairwise(calls)
        if (way := _way_to(parent, module))
    ]
    return tuple(named) or tuple(type(module).__name__ for module in calls[-1:])


def way_of(layers: Sequence[str]) -> str:
    """layers.0 (Sequential), 1 (ReLU)  ->  layers.0.1 (ReLU)"""
    return ".".join([*(layer.partition(" (")[0] for layer in layers[:-1]), layers[-1]])


def _calls(frame: FrameType | None) -> list[Any]:
    """The modules whose calls are running, outermost first."""
    calls: list[Any] = []
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__call__" and code.co_filename == _MODULE:
            calls.append(variables(frame)["self"])
        frame = frame.f_back
    return calls[::-1]


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
