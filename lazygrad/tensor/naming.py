"""Names for leaves: state-dict keys, arguments, variables.

A name is looked for when an operation is recorded (`origin.py`) that reads a leaf: in the objects
whose methods are running ("layers.0.weight" in the outermost model), then in the variables of the
functions that are running. So nothing is to be registered, and nothing is done where nobody looks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary, ref

from ..caller import is_users, variables
from ..graph.ir import Buffer, Node
from ..origin import record, set_label
from ..runtime.buffer import realized
from .sharing import Sharing, owners, slot

MAX_WALKS = 4  # of one object: it may get tensors later
MAX_PARTS = 5000  # that are looked at in one walk
MAX_ITEMS = 1000  # of a list that is looked into

_names: dict[int, tuple[ref[Any], str]] = {}  # by the tensor's id
_held: WeakKeyDictionary[Node, ref[Any]] = WeakKeyDictionary()  # tensors with names, by value
_walks: dict[int, tuple[ref[Any], int]] = {}  # how often an object was walked, by id


def recorded(node: Node, is_new: bool = True) -> None:
    """Note which line asks for a node, and give names to the leaves that it reads."""
    for met in record(node, is_new):
        if hasattr(met, "label"):
            continue
        tensor = _tensor_of(met)
        is_read = is_new and (isinstance(met, Buffer) or met in realized)
        if tensor is not None or is_read:  # else it is being made, and nothing can hold it yet
            _label(met, tensor)


def name_results(tensors: Iterable[Sharing]) -> None:
    """Give names to the values of tensors that are to be computed: "y" of `y.numpy()`."""
    for tensor in tensors:
        if not hasattr(tensor._node, "label"):
            _label(tensor._node, tensor)


def _label(leaf: Node, tensor: Sharing | None) -> None:
    """Name a leaf by the tensor that it stands for. Where objects are being made, they are not yet
    where they will be: nothing has a name then."""
    if tensor is None or _known(tensor) is None:
        frames = list(_users_frames(sys._getframe(1)))
        if any(frame.f_code.co_name == "__init__" for frame in frames):
            return
        tensor = _search(leaf, tensor, frames)
    set_label(leaf, None if tensor is None else _known(tensor))


def _search(leaf: Node, tensor: Sharing | None, frames: list[FrameType]) -> Sharing | None:
    """Note the name of a tensor in the program that is running, if it has one: first that in the
    outermost object of which a method is running. Returns the tensor; where none is given, the one
    whose value the leaf is."""
    for holder, name in _places(leaf, tensor, frames):
        if isinstance(holder, Sharing):
            _note(holder, name)
        else:
            _walk(holder, name)
        found = tensor if tensor is not None else _held[leaf]() if leaf in _held else None
        if found is not None and _known(found) is not None:
            return found
    return tensor


def _places(
    leaf: Node, tensor: Sharing | None, frames: list[FrameType]
) -> Iterator[tuple[Any, str]]:
    """Where a tensor's name is looked for, in order: objects, with what the names of their parts
    begin with, and the innermost variable that is the tensor."""
    inner = [frame for frame in frames if is_users(frame.f_code.co_filename)]
    scopes = [*map(variables, inner), *(frame.f_globals for frame in inner[:1])]
    objects = [own for f in reversed(frames) if (own := variables(f).get("self")) is not None]
    if objects and _is_layer(objects[0]):
        yield from _held_by(objects[0], scopes)
    for own in objects:
        yield own, ""
    for scope in scopes:
        for name, value in list(scope.items()):
            is_it = value is tensor or (isinstance(value, Sharing) and _own(value) is leaf)
            if value is not None and is_it and name.isidentifier() and name.strip("_"):
                yield value, name
    for scope in scopes:
        for name, value in list(scope.items()):
            if not isinstance(value, Sharing):
                is_told = isinstance(value, (list, tuple, dict)) or _has_tensors(value)
                yield value, name if is_told else ""


def _is_layer(value: Any) -> bool:
    """Whether an object is one of the package's layers, and no optimizer."""
    kind = type(value)
    return kind.__module__.startswith(_LAYERS) and not hasattr(kind, "_named_state")


def _has_tensors(value: Any) -> bool:
    """Whether a value is a layer that has tensors itself, not only in other layers."""
    return _is_layer(value) and any(isinstance(part, Sharing) for _, part in _parts(value))


def _held_by(layer: Any, scopes: Sequence[dict[str, Any]]) -> Iterator[tuple[Any, str]]:
    """A layer that no object of the program holds, by the variable that it is, or whose list or
    dict has it. A module that only holds others gives the names of its state dict."""
    for scope in scopes:
        for name, value in list(scope.items()):
            if value is layer and name != "self" and _has_tensors(value):
                yield layer, name
            elif isinstance(value, (list, tuple, dict)) and len(value) <= MAX_ITEMS:
                items = value.values() if isinstance(value, dict) else value
                if any(item is layer for item in items):
                    yield value, name


def _own(tensor: Sharing) -> Node | None:
    """The node of a tensor, if it has one by now. A function that is captured did not ask."""
    try:
        node: Node = slot["_own"].__get__(tensor)
    except AttributeError:
        return None
    return node


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
        if (node := _own(tensor)) is not None:
            _held[node] = ref(tensor)
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
