"""A model's tensors by name, and checkpoints of them in the safetensors format.

    safe_save(get_state_dict(model), "model.safetensors")
    load_state_dict(model, safe_load("model.safetensors"))

A model is any object: its tensors are those in its attributes, and in the attributes of these, and
in lists, tuples and dicts on the way. A name is that way: "layers.0.weight".
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..jit import jit
from ..tensor import Tensor

_NO_PART = (type, ModuleType, FunctionType, MethodType, jit)
"""What a model may refer to that is no part of it; nor is what a captured function holds."""


def get_state_dict(model: object, prefix: str = "") -> dict[str, Tensor]:
    """Every tensor in `model` by its name, in the order of attributes and items.

    A tensor that is held in two places has two names. `prefix` begins every name, as in "encoder.".

        model = {"layers": [nn.Linear(2, 3)]}
        list(nn.state.get_state_dict(model)) == ["layers.0.weight", "layers.0.bias"]
    """
    found: dict[str, Tensor] = {}
    # Each entry: a name and the object there, and the ids of the objects that it is part of: one
    # of these again is a way back (a child that knows its parent), not another part.
    stack: list[tuple[str, object, frozenset[int]]] = [
        (prefix.removesuffix("."), model, frozenset())
    ]
    while stack:
        name, value, around = stack.pop()
        if isinstance(value, Tensor):
            found[name] = value
        elif id(value) not in around:
            around |= {id(value)}
            parts = [
                (f"{name}.{key}" if name else key, part, around) for key, part in _parts(value)
            ]
            stack += reversed(parts)
    return found


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """What `value` holds that may be or hold tensors, with the names that lead there."""
    if isinstance(value, Mapping):
        yield from ((str(key), part) for key, part in value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=True)
    elif isinstance(value, list | tuple):
        yield from ((str(index), part) for index, part in enumerate(value))
    elif not isinstance(value, _NO_PART):
        for owner in type(value).__mro__:
            slots = owner.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, slot) and not slot.startswith("__"):
                    yield slot, getattr(value, slot)
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, dict):
            yield from attributes.items()


def get_parameters(model: object) -> list[Tensor]:
    """Every tensor in `model`, each once; running statistics and other constants among them.

    [p.shape for p in nn.state.get_parameters(nn.Linear(2, 3))] == [(3, 2), (3,)]
    """
    return list({id(tensor): tensor for tensor in get_state_dict(model).values()}.values())


def load_state_dict(
    model: object, state: Mapping[str, Tensor | np.ndarray[Any, Any]], strict: bool = True
) -> None:
    """Give the tensors in `model` the values in `state`, cast to their dtypes, on their devices.

    Nothing is changed if anything does not fit. Raises ValueError, listing the names, for tensors
    that `state` lacks or that `model` has no place for (unless `strict` is False, which passes
    them over); ShapeError for shapes that differ.

        model = {"w": Tensor([1.0])}
        nn.state.load_state_dict(model, {"w": Tensor([2.0])})
        model["w"].tolist() == [2.0]
    """
    own = get_state_dict(model)
    faults = [("missing", sorted(own.keys() - state)), ("unexpected", sorted(state.keys() - own))]
    if strict and any(names for _, names in faults):
        told = "; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults if names)
        raise ArgumentError(f"load_state_dict: the names differ; {told}")
    shared = [name for name in own if name in state]
    misfits = [
        f"{name} is {own[name].shape} in the model and {state[name].shape} in the state"
        for name in shared
        if own[name].shape != state[name].shape
    ]
    if misfits:
        raise ShapeError(f"load_state_dict: {'; '.join(misfits)}")
    for name in shared:
        own[name].assign(state[name])
    if shared:
        Tensor.realize(*(own[name] for name in shared))


def safe_save(
    tensors: Mapping[str, Tensor],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors, by name, to a safetensors file.

    The file that was at `path` stays whole until the new one is: it is written beside it, forced
    to disk and put in its place in one step. Raises OSError, naming the file, where that fails.

        nn.state.safe_save({"w": Tensor([1.0])}, "model.safetensors")
        nn.state.safe_load("model.safetensors")["w"].tolist() == [1.0]
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    if tensors:
        Tensor.realize(*tensors.values())
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    target = Path(path).resolve()  # a link stays a link, to the new file
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as new:
            like = target if target.exists() else new.fileno()
            mode = os.stat(like).st_mode & 0o777
        save_file(arrays, part, dict(metadata) if metadata is not None else None)
        part.chmod(mode)
        _force_to_disk(part)
        os.replace(part, target)
    except SafetensorError as error:
        raise OSError(f"{target} could not be written: {error}") from None
    finally:
        part.unlink(missing_ok=True)
    _force_to_disk(target.parent)  # the new name, too


def safe_load(path: str | os.PathLike[str], device: str | None = None) -> dict[str, Tensor]:
    """The tensors in a safetensors file, by name.

    Raises FileNotFoundError; ValueError, naming the file, where it is damaged; DTypeError for an
    element type that tensors do not have.

        nn.state.safe_save({"w": Tensor([1.0])}, "model.safetensors")
        nn.state.safe_load("model.safetensors")["w"].shape == (1,)
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            types = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
            for name, type_ in types.items():
                if type_ not in _ELEMENT_TYPES:
                    raise DTypeError(f"{os.fspath(path)}: {name} is of type {type_}, unsupported")
            return {name: Tensor.from_numpy(file.get_tensor(name), device=device) for name in types}
    except SafetensorError as error:
        raise ArgumentError(f"{os.fspath(path)} is no whole safetensors file: {error}") from None


def torch_load(path: str | os.PathLike[str], device: str | None = None) -> Any:
    """What `torch.save` wrote, as tensors of ours; see `nn/torch_load.py`."""
    from .torch_load import torch_load as load

    return load(path, device)


_ELEMENT_TYPES = frozenset(
    ("BOOL", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "F16", "BF16", "F32", "F64")
)
"""The names that safetensors has for what tensors can hold."""


def _force_to_disk(path: str | os.PathLike[str]) -> None:
    """Return once what was written to a file, or to a folder's list of files, is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
