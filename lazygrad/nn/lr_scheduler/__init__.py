"""Learning rates that change as training goes on. Numerics are PyTorch's.

    scheduler = CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        ...                  # steps of the optimizer
        scheduler.step()

A rate is given to the optimizer's tensors, so a step that `jit` captured follows it, and nothing is
compiled anew. Several schedulers of one optimizer compose: each multiplies the rate that it finds.

Training goes on where it stopped in either of two ways: a scheduler made anew takes over
`state_dict()` of the earlier one; or it is made with `last_epoch`, and the optimizer knows from
where its rate began. Make it before the optimizer's state is loaded, or else give it `last_epoch`.
"""

from __future__ import annotations

from .base import LRScheduler
from .compose import ChainedScheduler, SequentialLR
from .cycles import CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from .factors import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from .plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts",
    "CyclicLR", "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR",
    "MultiplicativeLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip
