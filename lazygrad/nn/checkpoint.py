"""Loading a module's state by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..tensor import Tensor
from .module import Module
from .parameter import registered


class IncompatibleKeys(NamedTuple):
    """The names that a state lacked, and those that no tensor of the model has."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )


def load_into(
    module: Module, state: Mapping[str, Any], strict: bool, assign: bool
) -> IncompatibleKeys:
    """Give the tensors of `module` the values in `state`: tensors, arrays, or PyTorch's tensors.

    Values are cast and moved to what the module's tensors are; with `assign` the tensors of the
    state take their places. Nothing is changed if anything does not fit. Raises RuntimeError, in
    PyTorch's words, for shapes that differ and, if `strict`, for names that only one side has.
    """
    own = module.state_dict(keep_vars=True)
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    faults = []
    if strict and unexpected:
        faults.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
    if strict and missing:
        faults.append(f"Missing key(s) in state_dict: {_quoted(missing)}. ")
    values = {name: state[name] for name in own if name in state}
    for name, value in values.items():
        if tuple(value.shape) != own[name].shape:
            faults.append(
                f"size mismatch for {name}: copying a param with shape {tuple(value.shape)} from "
                f"checkpoint, the shape in current model is {own[name].shape}."
            )
    if faults:
        told = "\n\t".join(faults)
        raise RuntimeError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t{told}")
    for name, value in values.items():
        tensor = value if isinstance(value, Tensor) else Tensor(np.asarray(value))
        if assign:
            way, _, last = name.rpartition(".")
            tensor = tensor.detach().requires_grad_(own[name].requires_grad)
            setattr(module.get_submodule(way), last, registered(tensor, type(own[name])))
        else:
            own[name].assign(tensor.detach())
    if values and not assign:
        Tensor.realize(*(own[name] for name in values))
    return IncompatibleKeys(missing, unexpected)


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
