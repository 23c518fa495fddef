"""Optimizers: they move parameters against their gradients. Numerics are PyTorch's.

    optimizer = Adam(get_parameters(model), lr=1e-3)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

`step` computes every new parameter and all state in one go, so the compiler sees the forward pass,
the backward pass and the updates together, and it can be captured by `jit` with them. The learning
rate is a tensor, so changing it (`optimizer.lr = 1e-4`) compiles nothing anew.

A run goes on bit for bit from `optimizer.state_dict()`, and from the flat tensors of
`get_state_dict(optimizer)`, which `safe_save` writes.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ...absent import absent_from
from ..messages import say_own_names
from . import swa_utils
from .adafactor import Adafactor
from .adam import LAMB, Adam, AdamW
from .adaptive import Adagrad, RMSprop
from .group import ParamGroup
from .lars import LARS
from .lbfgs import LBFGS
from .moments import Adamax, Lion, Muon, NAdam, RAdam
from .optimizer import Optimizer, OptimizerGroup
from .sgd import SGD
from .signs import ASGD, Adadelta, Rprop

__all__ = [
    "ASGD", "LAMB", "LARS", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW",
    "Adamax", "Lion", "Muon", "NAdam", "Optimizer", "OptimizerGroup", "ParamGroup", "RAdam",
    "RMSprop", "Rprop", "swa_utils",
]  # fmt: skip


say_own_names(globals()[name] for name in __all__ if isinstance(globals()[name], type))


def __getattr__(name: str) -> Any:
    """`optim.lr_scheduler`, where PyTorch has it, is `nn.lr_scheduler`."""
    if name == "lr_scheduler":
        return import_module("..lr_scheduler", __name__)
    return absent_from(__name__)(name)
