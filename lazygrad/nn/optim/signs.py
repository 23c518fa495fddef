"""Steps by signs, by ratios of running means, and averages of all steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from ...errors import ArgumentError
from ...tensor import Tensor
from .group import ParamGroup
from .optimizer import Optimizer, Params, Ways, buffer_of, number_of


class Adadelta(Optimizer):
    """p -= lr * d, with d = g * sqrt(u + eps) / sqrt(v + eps): v and u are running means of g*g and
    of d*d (Zeiler 2012).

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.Adadelta([w], lr=0.25).step()
        (w < 1).item() is True
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        settings = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay,
                    "maximize": maximize}  # fmt: skip
        super().__init__(params, settings, ways)

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        if not 0 <= settings["rho"] <= 1:
            raise ArgumentError(f"Adadelta: rho is in [0, 1], not {settings['rho']}")

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        return {"square_avg": buffer_of(p), "acc_delta": buffer_of(p)}

    @classmethod
    def _updated(
        cls,
        p: Tensor,
        grad: Tensor,
        state: Mapping[str, Tensor],
        numbers: Mapping[str, Tensor],
        settings: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        rho, eps = settings["rho"], settings["eps"]
        if settings["weight_decay"]:
            grad = grad + p * settings["weight_decay"]
        square = state["square_avg"] * rho + grad * grad * (1 - rho)
        delta = (state["acc_delta"] + eps).sqrt() / (square + eps).sqrt() * grad
        kept = {
            "square_avg": square,
            "acc_delta": state["acc_delta"] * rho + delta * delta * (1 - rho),
        }
        return p - delta * numbers["lr"], kept


class Rprop(Optimizer):
    """p -= size * sign(g), where each element's size grows by etas[1] while its gradient keeps its
    sign, and shrinks by etas[0] where it changes (Riedmiller and Braun 1993).

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.Rprop([w], lr=0.25).step()
        w.tolist() == [0.75]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        settings = {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}
        super().__init__(params, settings, ways)

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        low, high = settings["etas"]
        if not 0 < low < 1 < high:
            raise ArgumentError(f"Rprop: Invalid eta values: {low}, {high}")

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        return {"prev": buffer_of(p), "step_size": buffer_of(p, settings["lr"])}

    @classmethod
    def _updated(
        cls,
        p: Tensor,
        grad: Tensor,
        state: Mapping[str, Tensor],
        numbers: Mapping[str, Tensor],
        settings: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        (shrink, grow), (least, most) = settings["etas"], settings["step_sizes"]
        agreement = grad * state["prev"]
        turned = agreement < 0
        factor = (agreement > 0).where(grow, turned.where(shrink, 1.0))
        size = (state["step_size"] * factor).clamp(least, most)
        grad = turned.where(0, grad)
        return p - grad.sign() * size, {"prev": grad, "step_size": size}


class ASGD(Optimizer):
    """SGD with a falling rate, and in `state` the average `ax` of all parameters since step t0
    (Polyak and Juditsky 1992).

    p = p * (1 - lambd * eta) - eta * g, with eta = lr / (1 + lambd * lr * t)**alpha.

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.ASGD([w], lr=0.25, lambd=0.0).step()
        w.tolist() == [0.5]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        settings = {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0,
                    "weight_decay": weight_decay, "maximize": maximize}  # fmt: skip
        super().__init__(params, settings, ways)

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        return {
            "eta": number_of(p, settings["lr"]),
            "mu": number_of(p, 1.0),
            "ax": buffer_of(p),
        }

    def _numbers(self, group: ParamGroup) -> dict[str, Tensor]:
        assert group.steps is not None
        lr, settings = group.tensors["lr"], group.settings
        falling = (group.steps * lr * settings["lambd"] + 1).pow(settings["alpha"])
        share = 1 / (group.steps - settings["t0"]).maximum(1)
        return {**group.tensors, "eta": lr / falling, "mu": share}

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
        eta, mu = state["eta"], state["mu"]
        p = p * (1 - eta * settings["lambd"]) - grad * eta
        average = mu.eq(1).where(p, state["ax"] + (p - state["ax"]) * mu)
        return p, {"eta": numbers["eta"], "mu": numbers["mu"], "ax": average}
