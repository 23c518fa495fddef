"""tinygrad on its CPU device, each row captured by TinyJit."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

os.environ.setdefault("DEV", "CPU")  # before the import, which reads it

import tinygrad
from tinygrad import Context, Device, Tensor, TinyJit

from .base import Library, Work


def _wait() -> None:
    Device[Device.DEFAULT].synchronize()


def _realized(made: Any) -> Any:
    first, *rest = made if isinstance(made, tuple | list) else (made,)
    return Tensor.realize(first, *rest)


class _Layers:
    """tinygrad's, with the one that it has as a function."""

    def __getattr__(self, name: str) -> Any:
        return getattr(tinygrad.nn, name)

    def MaxPool2d(self, size: int) -> Any:  # a class elsewhere
        return lambda x: x.max_pool2d(size)


class Tinygrad(Library):
    nn = _Layers()

    def tensor(self, array: np.ndarray[Any, Any]) -> Any:
        return Tensor(array).realize()

    def work(self, function: Callable[..., Any], tensors: Sequence[Any]) -> Work:
        captured = TinyJit(lambda *xs: _realized(function(*xs)))

        def work() -> Any:
            made = captured(*tensors)
            _wait()
            return made

        return work

    def gradients(self, loss_of: Callable[..., Any], *xs: Any) -> Any:
        return loss_of(*xs).gradient(*xs)

    def training(
        self, model: Any, optimizer: str, loss_of: Callable[..., Any], data: Sequence[Any]
    ) -> Work:
        update = getattr(tinygrad.nn.optim, optimizer)(
            tinygrad.nn.state.get_parameters(model), lr=1e-3
        )

        @TinyJit
        def step(*xs: Any) -> Any:
            update.zero_grad()
            loss = loss_of(*xs).backward()
            return loss.realize(*update.schedule_step())

        def work() -> Any:
            with Context(TRAINING=1):
                loss = step(*data)
            _wait()
            return loss

        return work

    def inference(self, model: Any, x: Any) -> Work:
        return self.work(model, [x])
