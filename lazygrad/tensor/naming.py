"""Names for leaves: state-dict keys, arguments, variables.

A name is looked for when an operation is recorded (`origin.py`) that reads a leaf: in the objects
whose methods are running ("layers.0.weight" in the outermost model), then in the variables of the
functions that are running. So nothing is to be registered, and nothing is done where nobody looks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ref

from ..graph.ir import Node
from ..origin import is_users, record, set_label, variables
from .sharing import Sharing, owners

MAX_WALKS = 4  # of one object: it may get tensors later
MAX_PARTS = 5000  # that are looked at in one walk
MAX_ITEMS = 1000  # of a list that is looked into

_names: dict[int, tuple[ref[Any], str]] = {}  # by the tensor's id
_walks: dict[int, tuple[ref[Any], int]] = {}  # how often an object was walked, by id


def recorded(node: Node, is_new: bool = True) -> None:
    """Note which line asks for a node, and give names to the leaves that it reads."""
    for met in record(node, is_new):
        if not hasattr(met, "label") and (tensor := _tensor_of(met)) is not None:
            _label(met, tensor)


def _label(leaf: Node, tensor: Sharing) -> None:
    """Name a leaf by the tensor that it stands for. Where objects are being made, they are not yet
    where they will be: nothing has a name then."""
    if _known(tensor) is None:
        frames = list(_users_frames(sys._getframe(1)))
        if any(frame.f_code.co_name == "__init__" for frame in frames):
            return
        _search(tensor, frames)
    set_label(leaf, _known(tensor))


def _search(tensor: Sharing, frames: list[FrameType]) -> None:
    """Note the name of a tensor in the program that is running, if it has one: first that in the
    outermost object of which a method is running."""
    for frame in reversed(frames):
        if (own := variables(frame).get("self")) is not None:
            _walk(own, "")
    if _known(tensor) is None:
        _search_variables(tensor, frames)


def _tensor_of(leaf: Node) -> Sharing | None:
    """The tensor that a leaf stands for."""
    owner = owners.get(leaf)
    if owner is not None:
        return owner()
    return getattr(getattr(leaf, "storage", None), "tensor", None)  # an argument of `jit`


def _known(tensor: Sharing) -> str | None:
    found = _names.get(id(tensor))
    return found[1] if found is not None and found[0]() is tensor else None


def _note(tensor: Sharing, name: str) -> None:
    if _known(tensor) is None:
        key = id(tensor)
        _names[key] = ref(tensor, lambda _: _names.pop(key, None)), name


def _users_frames(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames of the program, and of layers and optimizers, from the innermost on."""
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            yield frame
            if frame.f_code.co_name == "<module>":
                return
        elif frame.f_globals.get("__name__", "").startswith(_LAYERS):
            yield frame
        frame = frame.f_back


_LAYERS = f"{__name__.partition('.')[0]}.nn."


def _search_variables(tensor: Sharing, frames: list[FrameType]) -> None:
    """Note the name of the innermost variable that is the tensor, or holds it."""
    own = [frame for frame in frames if is_users(frame.f_code.co_filename)]
    scopes = [*map(variables, own), *(frame.f_globals for frame in own[:1])]
    for scope in scopes:
        for name, value in scope.items():
            if value is tensor and name.isidentifier() and name.strip("_"):
                _note(tensor, name)
                return
    for scope in scopes:
        for name, value in list(scope.items()):
            _walk(value, name if isinstance(value, (list, tuple, dict)) else "")
            if _known(tensor) is not None:
                return


def _walk(holder: Any, prefix: str) -> None:
    """Note the names of the tensors that an object holds, as `get_state_dict` has them."""
    if not _is_looked_into(holder):
        return
    try:
        known, count = _walks.get(id(holder), (None, 0))
        if known is None or known() is not holder:
            count = 0
        if count >= MAX_WALKS:
            return
        _walks[id(holder)] = ref(holder), count + 1
    except TypeError:  # a list, or an object that weak references cannot refer to
        pass
    stack: list[tuple[str, Any]] = [(prefix, holder)]
    seen: set[int] = set()
    while stack and len(seen) < MAX_PARTS:
        name, value = stack.pop()
        if isinstance(value, Sharing):
            _note(value, name)
        elif id(value) not in seen and _is_looked_into(value):
            seen.add(id(value))
            parts = [(f"{name}.{key}" if name else key, part) for key, part in _parts(value)]
            stack += reversed(parts)


def _is_looked_into(value: Any) -> bool:
    """Whether an object may be, or be part of, a model: a container, or of a class of the
    program's own or of layers."""
    if isinstance(value, (list, tuple, dict)):
        return len(value) <= MAX_ITEMS
    if isinstance(value, (type, ModuleType, FunctionType, MethodType, Sharing)):
        return False
    module = type(value).__module__
    if module.startswith(_LAYERS):
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return bool(file) and is_users(file)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds, with the names that lead there. None of the program's code is run."""
    if isinstance(value, dict):
        yield from ((str(key), part) for key, part in dict.items(value) if isinstance(key, _KEYS))
    elif isinstance(value, (list, tuple)):
        yield from ((str(index), part) for index, part in enumerate(value))
    elif hasattr(type(value), "_named_state"):  # an optimizer
        for parameter, key, part in value._named_state():
            of = None if parameter is None else _known(parameter)
            yield key if of is None else f"{of}.{key}", part
    else:
        yield from _attributes(value).items()


_KEYS = (str, int)


def _attributes(value: Any) -> dict[str, Any]:
    try:
        return object.__getattribute__(value, "__dict__")  # type: ignore[no-any-return]
    except AttributeError:  # it has slots only
        return {}
