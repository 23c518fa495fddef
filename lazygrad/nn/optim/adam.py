"""Adam and what was made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Unpack

from ...errors import ArgumentError
from ...tensor import Tensor
from .group import ParamGroup
from .optimizer import Optimizer, Params, Ways, buffer_of, trust_ratio


class Adam(Optimizer):
    """p -= lr * m' / (sqrt(v') + eps): m and v are running means of g and g*g, m' and v' those
    corrected for their start at 0 (Kingma and Ba 2015).

    `weight_decay` adds to the gradient, or, `decoupled_weight_decay`, shrinks the parameter by
    lr * weight_decay (Loshchilov and Hutter 2019). `amsgrad` divides by the largest v so far.

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.Adam([w], lr=0.25).step()
        round(w.item(), 4) == 0.75
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                    "amsgrad": amsgrad, "maximize": maximize,
                    "decoupled_weight_decay": decoupled_weight_decay}  # fmt: skip
        super().__init__(params, settings, ways)

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        if not all(0 <= beta < 1 for beta in settings["betas"]):
            name = type(self).__name__
            raise ArgumentError(f"{name}: betas are in [0, 1), not {settings['betas']}")

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        names = ["exp_avg", "exp_avg_sq", *["max_exp_avg_sq"] * settings["amsgrad"]]
        return {name: buffer_of(p) for name in names}

    def _corrections(self, group: ParamGroup) -> tuple[Tensor, Tensor]:
        """What m and v are divided by: 1 - beta**steps, for each parameter.

        It is computed as -expm1(steps * log(beta)), which keeps its digits in the first steps.
        """
        assert group.steps is not None
        beta2 = group.settings["betas"][1]
        log1, log2 = group.tensors["beta1"].log(), math.log(beta2) if beta2 else -math.inf
        return -(group.steps * log1).expm1(), -(group.steps * log2).expm1()

    def _numbers(self, group: ParamGroup) -> dict[str, Tensor]:
        first, second = self._corrections(group)
        numbers = super()._numbers(group)
        return {**numbers, "rate": numbers["lr"] / first, "root": second.sqrt()}

    @classmethod
    def _means(
        cls,
        grad: Tensor,
        state: Mapping[str, Tensor],
        numbers: Mapping[str, Tensor],
        settings: Mapping[str, Any],
    ) -> tuple[Tensor, Tensor]:
        """The next m and v."""
        beta1, beta2 = numbers["beta1"], settings["betas"][1]
        mean = state["exp_avg"] * beta1 + grad * (1 - beta1)
        return mean, state["exp_avg_sq"] * beta2 + grad * grad * (1 - beta2)

    @classmethod
    def _decayed(
        cls, p: Tensor, grad: Tensor, lr: Tensor, settings: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor]:
        """A parameter and its gradient, of which one has the weight decay."""
        decay = settings["weight_decay"]
        if not decay:
            return p, grad
        if settings["decoupled_weight_decay"]:
            return p * (1 - lr * decay), grad
        return p, grad + p * decay

    @classmethod
    def _updated(
        cls,
        p: Tensor,
        grad: Tensor,
        state: Mapping[str, Tensor],
        numbers: Mapping[str, Tensor],
        settings: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        p, grad = cls._decayed(p, grad, numbers["lr"], settings)
        mean, square = cls._means(grad, state, numbers, settings)
        kept = {"exp_avg": mean, "exp_avg_sq": square}
        if settings["amsgrad"]:
            square = kept["max_exp_avg_sq"] = state["max_exp_avg_sq"].maximum(square)
        size = square.sqrt() / numbers["root"] + settings["eps"]
        return p - numbers["rate"] * (mean / size), kept


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    w = Tensor([1.0], requires_grad=True)
    (w * w).sum().backward()
    nn.optim.AdamW([w], lr=0.25, weight_decay=0.0).step()
    round(w.item(), 4) == 0.75
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad,
                         maximize=maximize, decoupled_weight_decay=True, **ways)  # fmt: skip


class LAMB(Adam):
    """AdamW whose step of each parameter is scaled to that parameter's norm (You et al. 2020).

    The step is r = m' / (sqrt(v') + eps) + weight_decay * p, times |p| / |r|, or 1 where either
    norm is 0; p -= lr * step.

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.LAMB([w], lr=0.25).step()
        round(w.item(), 4) == 0.75
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def _numbers(self, group: ParamGroup) -> dict[str, Tensor]:
        first, second = self._corrections(group)
        return {**group.tensors, "rate": 1 / first, "root": second.sqrt()}

    @classmethod
    def _updated(
        cls,
        p: Tensor,
        grad: Tensor,
        state: Mapping[str, Tensor],
        numbers: Mapping[str, Tensor],
        settings: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        mean, square = cls._means(grad, state, numbers, settings)
        step = mean * numbers["rate"] / (square.sqrt() / numbers["root"] + settings["eps"])
        step = step + p * settings["weight_decay"]
        step = step * trust_ratio(p, step)
        return p - step * numbers["lr"], {"exp_avg": mean, "exp_avg_sq": square}
