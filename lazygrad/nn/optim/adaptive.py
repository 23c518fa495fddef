"""Steps over the root of the gradient's squares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from ...errors import ArgumentError, check_numbers
from ...tensor import Tensor
from .group import ParamGroup
from .optimizer import Optimizer, Params, Ways, buffer_of, with_momentum


class RMSprop(Optimizer):
    """p -= lr * g / (sqrt(v) + eps), where v is a running mean of g*g; with momentum, that step
    is accumulated first. `centered` subtracts the running mean of g, squared, from v.

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.RMSprop([w], lr=0.25, alpha=0.75).step()
        round(w.item(), 4) == 0.5
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps,
                    "centered": centered, "weight_decay": weight_decay,
                    "maximize": maximize}  # fmt: skip
        super().__init__(params, settings, ways)

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        check_numbers(alpha=settings["alpha"])
        if not settings["alpha"] >= 0:
            raise ArgumentError(f"RMSprop: alpha is not negative, as {settings['alpha']} is")

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        wanted = {"square_avg": True, "momentum_buffer": settings["momentum"],
                  "grad_avg": settings["centered"]}  # fmt: skip
        return {name: buffer_of(p) for name, is_wanted in wanted.items() if is_wanted}

    @classmethod
    def _updated(
        cls,
        p: Tensor,
        grad: Tensor,
        state: Mapping[str, Tensor],
        numbers: Mapping[str, Tensor],
        settings: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        alpha = settings["alpha"]
        if settings["weight_decay"]:
            grad = grad + p * settings["weight_decay"]
        spread = state["square_avg"] * alpha + grad * grad * (1 - alpha)
        kept = {"square_avg": spread}
        if settings["centered"]:
            mean = kept["grad_avg"] = state["grad_avg"] * alpha + grad * (1 - alpha)
            spread = spread - mean * mean
        move = grad / (spread.sqrt() + settings["eps"])
        move, velocity = with_momentum(move, state, numbers.get("momentum"))
        return p - move * numbers["lr"], {**kept, **velocity}


class Adagrad(Optimizer):
    """p -= lr * g / (sqrt(v) + eps), where v is the sum of all g*g (Duchi et al. 2011).

    `lr_decay` divides lr by 1 + lr_decay * (steps - 1).

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.Adagrad([w], lr=0.25).step()
        round(w.item(), 4) == 0.75
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        settings = {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
                    "initial_accumulator_value": initial_accumulator_value,
                    "maximize": maximize}  # fmt: skip
        super().__init__(params, settings, ways)

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        for key in ("lr_decay", "initial_accumulator_value"):
            if not settings[key] >= 0:
                raise ArgumentError(f"Adagrad: {key} is not negative, as {settings[key]} is")

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        return {"sum": buffer_of(p, settings["initial_accumulator_value"])}

    def _numbers(self, group: ParamGroup) -> dict[str, Tensor]:
        assert group.steps is not None
        numbers = super()._numbers(group)
        if decay := group.settings["lr_decay"]:
            numbers["lr"] = numbers["lr"] / ((group.steps - 1) * decay + 1)
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
        total = state["sum"] + grad * grad
        move = numbers["lr"] * grad / (total.sqrt() + settings["eps"])
        return p - move, {"sum": total}
