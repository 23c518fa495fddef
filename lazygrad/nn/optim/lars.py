"""Layer-wise adaptive rates for stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...tensor import Tensor
from .optimizer import Optimizer, Params, buffer_of, trust_ratio, with_momentum


class LARS(Optimizer):
    """SGD whose step of each parameter is scaled to that parameter's norm (You et al. 2017).

    The scale is r = tcoef |p| / (|g| + weight_decay |p|), or 1 where either norm is 0. Then
    v = momentum * v + lr * r * (g + weight_decay * p) and p -= v; with `classic` off, the rate
    multiplies the step after the momentum. Arguments are those of tinygrad.

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.LARS([w], lr=0.25, tcoef=1.0, weight_decay=0.0).step()
        round(w.item(), 4) == 0.75
    """

    _has_step = False

    def __init__(
        self,
        params: Params,
        lr: float = 0.001,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        nesterov: bool = False,
        classic: bool = True,
        pre_wd: bool = True,
        tcoef: float = 0.001,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay,
                    "nesterov": nesterov, "classic": classic, "pre_wd": pre_wd, "tcoef": tcoef,
                    "maximize": False}  # fmt: skip
        super().__init__(params, settings)

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        return {"momentum_buffer": buffer_of(p)} if settings["momentum"] else {}

    @classmethod
    def _updated(
        cls,
        p: Tensor,
        grad: Tensor,
        state: Mapping[str, Tensor],
        numbers: Mapping[str, Tensor],
        settings: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        rate: Any = numbers["lr"]
        decay = settings["weight_decay"]
        if settings["tcoef"]:
            rate = trust_ratio(p, grad, settings["tcoef"], decay) * rate
        if settings["pre_wd"] and decay:
            grad = grad + decay * p
        step = grad * rate if settings["classic"] else grad
        step, kept = with_momentum(step, state, numbers.get("momentum", 0), settings["nesterov"])
        if not settings["classic"]:
            step = step * rate
        if not settings["pre_wd"] and decay:
            step = step + decay * numbers["lr"] * p
        return p - step, kept
