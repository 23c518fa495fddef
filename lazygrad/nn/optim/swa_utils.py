"""Averages of a model's weights over its training, as in `torch.optim.swa_utils`.

average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
for batch in batches:
    train(model, batch)
    average.update_parameters(model)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

from ...errors import ArgumentError
from ...tensor import Tensor
from ..module import Module
from ..parameter import Buffer

Average = Callable[[Tensor, Tensor, Tensor], Tensor]
Averages = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor], None]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """decay * average + (1 - decay) * value."""
    _check_decay(decay)

    def average(old: Tensor, value: Tensor, count: Tensor) -> Tensor:
        return old * decay + value * (1 - decay)

    return average


def get_swa_avg_fn() -> Average:
    """The mean of all values."""

    def average(old: Tensor, value: Tensor, count: Tensor) -> Tensor:
        return old + (value - old) / (count + 1).cast(old.dtype)

    return average


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """`get_ema_avg_fn` of many tensors at once."""
    return _of_many(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Averages:
    """`get_swa_avg_fn` of many tensors at once."""
    return _of_many(get_swa_avg_fn())


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ArgumentError(f"Invalid decay value {decay}. Please provide a value in [0,1] range.")


def _of_many(average: Average) -> Averages:
    def averages(old: Sequence[Tensor], values: Sequence[Tensor], count: Tensor) -> None:
        for tensor, value in zip(old, values, strict=True):
            tensor.assign(average(tensor.detach(), value, count))

    return averages


class AveragedModel(Module):
    """A copy of a model, whose parameters are averages of the model's; called as the model is.

    The first `update_parameters` copies. The mean of all values is taken unless `avg_fn`, or
    `multi_avg_fn` of all tensors at once, says another. `use_buffers` averages buffers, too; else
    they are copied.
    """

    def __init__(
        self,
        model: Module,
        device: str | None = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.n_averaged: Tensor = Buffer(Tensor(0, device=device))
        self.avg_fn, self.multi_avg_fn = avg_fn, multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's parameters, as they are now, into the averages."""
        own, others = self._averaged(self.module), self._averaged(model)
        values = [
            other.detach().to(tensor.device) for tensor, other in zip(own, others, strict=True)
        ]
        with Tensor.no_grad():
            if int(self.n_averaged.item()) == 0:
                for tensor, value in zip(own, values, strict=True):
                    tensor.assign(value)
            elif self.multi_avg_fn is None and self.avg_fn is not None:
                _of_many(self.avg_fn)(own, values, self.n_averaged)
            else:
                (self.multi_avg_fn or get_swa_multi_avg_fn())(own, values, self.n_averaged)
            changed = [*own]
            if not self.use_buffers:
                buffers = zip(self.module.buffers(), model.buffers(), strict=True)
                changed += [mine.assign(theirs.detach()) for mine, theirs in buffers]
            changed.append(self.n_averaged.assign(self.n_averaged + 1))
            Tensor.realize(*changed)

    def _averaged(self, model: Module) -> list[Tensor]:
        buffers = list(model.buffers()) if self.use_buffers else []
        return [*model.parameters(), *(b for b in buffers if b.is_floating_point())]


def update_bn(loader: Iterable[Any], model: Module, device: str | None = None) -> None:
    """Compute the running statistics of batch normalisations anew, from the inputs in `loader`."""
    layers: list[Any] = [m for m in model.modules() if hasattr(m, "reset_running_stats")]
    if not layers:
        return
    before = {id(layer): layer.momentum for layer in layers}
    modes = {id(module): module._told_training for module in model.modules()}
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    model.train()
    for batch in loader:
        x = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(x if device is None else x.to(device))
        Tensor.realize(*(buffer for layer in layers for buffer in layer.buffers()))
    for layer in layers:
        layer.momentum = before[id(layer)]
    for module in model.modules():
        module._told_training = modes[id(module)]
