"""`save` and `load`: nested lists, tuples and dictionaries of tensors and numbers in one file.

    save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, "run.pt")
    state = load("run.pt")

The file is in the safetensors format: tensors as they lie in memory, and the nest around them as
JSON in the header. So a file holds no code, and any reader of safetensors finds the tensors, named
by the way that leads to them ("model.0.weight").
"""

from __future__ import annotations

import json
import os
import zipfile
from typing import Any

import numpy as np

from .errors import KindError
from .nn.state import safe_load, safe_save, torch_load
from .tensor import Tensor

_STRUCTURE = "lazygrad.structure"  # the key of the nest in the file's metadata


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write tensors, NumPy arrays, numbers, texts and None, in nested lists, tuples and
    dictionaries, to a file. What is there stays whole until the new file is.

        lazygrad.save({"step": 3}, "run.safetensors")
        lazygrad.load("run.safetensors") == {"step": 3}

    Raises TypeError for anything else: of a module or an optimizer, save its `state_dict()`.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_described(obj, "", tensors))
    safe_save(tensors, path, {_STRUCTURE: structure})


def load(path: str | os.PathLike[str], map_location: Any = None, weights_only: bool = True) -> Any:
    """What `save` wrote, with the tensors on the device `map_location`. Also reads files that
    `torch.save` wrote, and any other safetensors file, as a dictionary.

        lazygrad.save([Tensor([1.0])], "run.safetensors")
        lazygrad.load("run.safetensors")[0].tolist() == [1.0]

    No code in a file is run, whatever `weights_only` says. Raises FileNotFoundError; ValueError,
    naming the file, where it is damaged.
    """
    device = None if map_location is None else str(map_location)
    if zipfile.is_zipfile(path):
        return torch_load(path, device)
    tensors = safe_load(path, device)
    structure = _metadata(path).get(_STRUCTURE)
    return tensors if structure is None else _made(json.loads(structure), tensors)


def _metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(os.fspath(path), framework="numpy") as file:
        return dict(file.metadata() or {})


def _described(value: Any, way: str, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON: what is no text, number or None is a list of its kind and its parts. The
    tensors in it are appended to `tensors`."""
    if isinstance(value, (Tensor, np.ndarray)):
        name = way or "value"
        while name in tensors:
            name += "'"
        tensors[name] = value if isinstance(value, Tensor) else Tensor(value)
        return ["tensor", name]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        pairs = [
            [_described(key, way, tensors), _described(part, _joined(way, key), tensors)]
            for key, part in value.items()
        ]
        return ["dict", pairs]
    if isinstance(value, (list, tuple)):
        parts = [_described(part, _joined(way, at), tensors) for at, part in enumerate(value)]
        return ["list" if isinstance(value, list) else "tuple", parts]
    hint = "; save its state_dict()" if hasattr(value, "state_dict") else ""
    raise KindError(f"save: a {type(value).__name__} at {way or 'the top'} cannot be saved{hint}")


def _joined(way: str, key: object) -> str:
    return f"{way}.{key}" if way else str(key)


def _made(described: Any, tensors: dict[str, Tensor]) -> Any:
    """The value that `_described` told of."""
    if not isinstance(described, list):
        return described
    kind, parts = described
    if kind == "tensor":
        return tensors[parts]
    if kind == "dict":
        return {_made(key, tensors): _made(part, tensors) for key, part in parts}
    values = [_made(part, tensors) for part in parts]
    return values if kind == "list" else tuple(values)


__all__ = ["load", "save"]
