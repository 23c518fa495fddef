"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from ...errors import ArgumentError
from ...tensor import Tensor
from .group import ParamGroup
from .optimizer import Optimizer, Params, Ways, buffer_of, with_momentum


class SGD(Optimizer):
    """p -= lr * v, where v = momentum * v + (1 - dampening) * g, and g includes weight_decay * p.

    The first v is g. Nesterov's form steps by g + momentum * v instead.

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.SGD([w], lr=0.25).step()
        w.tolist() == [0.5]
    """

    _has_step = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "dampening": dampening,
                    "weight_decay": weight_decay, "nesterov": nesterov,
                    "maximize": maximize}  # fmt: skip
        super().__init__(params, settings, ways)

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        if settings["nesterov"] and (settings["momentum"] <= 0 or settings["dampening"] != 0):
            raise ArgumentError("SGD: nesterov needs a momentum, and no dampening")

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        return {"momentum_buffer": buffer_of(p)} if settings["momentum"] else {}

    def _numbers(self, group: ParamGroup) -> dict[str, Tensor]:
        numbers = super()._numbers(group)
        if group.steps is not None and (dampening := group.settings["dampening"]):
            numbers["share"] = (group.steps == 1).where(1, 1 - dampening).cast(group.number_dtype)
        return numbers

    @classmethod
    def _updated(
        cls,
        p: Tensor,
        grad: Tensor,
        state: Mapping[str, Tensor],
        numbers: Mapping[str, Tensor],
        settings: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if settings["weight_decay"]:
            grad = grad + p * settings["weight_decay"]
        if state and "share" in numbers:
            grad = grad * numbers["share"]
        step, kept = with_momentum(grad, state, numbers.get("momentum"), settings["nesterov"])
        return p - step * numbers["lr"], kept
