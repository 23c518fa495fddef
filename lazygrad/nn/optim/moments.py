"""Adam's relatives: other corrections of the running means, other sizes of a step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Unpack

from ...errors import ArgumentError
from ...tensor import Tensor
from .adam import Adam
from .group import ParamGroup
from .optimizer import Optimizer, Params, Ways, buffer_of, number_of, with_momentum


class NAdam(Adam):
    """Adam with Nesterov's momentum (Dozat 2016): the step has a share of the gradient itself.

    The momentum of step t is beta1 * (1 - 0.96**(t * momentum_decay) / 2).

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.NAdam([w], lr=0.25).step()
        round(w.item(), 4) == 0.7359
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                    "momentum_decay": momentum_decay, "maximize": maximize,
                    "decoupled_weight_decay": decoupled_weight_decay}  # fmt: skip
        Optimizer.__init__(self, params, settings, ways)

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        if settings["momentum_decay"] < 0:
            raise ArgumentError(
                f"NAdam: momentum_decay is not negative, as {settings['momentum_decay']} is"
            )

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        return {
            "mu_product": number_of(p, 1.0),
            "exp_avg": buffer_of(p),
            "exp_avg_sq": buffer_of(p),
        }

    def _numbers(self, group: ParamGroup) -> dict[str, Tensor]:
        assert group.steps is not None
        decay, (now, after) = group.settings["momentum_decay"], (group.steps, group.steps + 1)
        rate = math.log(0.96) * decay
        mu, mu_next = (group.tensors["beta1"] * (1 - (t * rate).exp() * 0.5) for t in (now, after))
        _, second = self._corrections(group)
        return {**group.tensors, "mu": mu, "mu_next": mu_next, "second": second}

    @classmethod
    def _updated(
        cls,
        p: Tensor,
        grad: Tensor,
        state: Mapping[str, Tensor],
        numbers: Mapping[str, Tensor],
        settings: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        lr, mu, mu_next = numbers["lr"], numbers["mu"], numbers["mu_next"]
        p, grad = cls._decayed(p, grad, lr, settings)
        product = state["mu_product"] * mu
        mean, square = cls._means(grad, state, numbers, settings)
        size = (square / numbers["second"]).sqrt() + settings["eps"]
        p = p - grad / size * (lr * (1 - mu) / (1 - product))
        p = p - mean / size * (lr * mu_next / (1 - product * mu_next))
        return p, {"mu_product": product, "exp_avg": mean, "exp_avg_sq": square}


class RAdam(Adam):
    """Adam whose rate is rectified: without the second mean as long as its variance is large (Liu
    et al. 2020).

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.RAdam([w], lr=0.25).step()
        round(w.item(), 4) == 0.5
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, False, maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay, **ways,
        )  # fmt: skip

    def _numbers(self, group: ParamGroup) -> dict[str, Tensor]:
        assert group.steps is not None
        first, second = self._corrections(group)
        beta2 = group.settings["betas"][1]
        limit = 2 / (1 - beta2) - 1
        length = limit - group.steps * 2 * (1 - second) / second  # of the approximated mean
        is_long = length > 5
        safe = is_long.where(length, 6.0)
        rectified = (safe - 4) * (safe - 2) * limit / ((limit - 4) * (limit - 2) * safe)
        return {
            **group.tensors,
            "rate": group.tensors["lr"] / first,
            "root": second.sqrt() * rectified.sqrt(),
            "is_long": is_long.cast(group.number_dtype),
        }

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
        adapted = numbers["root"] / (square.sqrt() + settings["eps"])
        factor = (numbers["is_long"] > 0).where(adapted, 1.0)
        return p - mean * numbers["rate"] * factor, {"exp_avg": mean, "exp_avg_sq": square}


class Adamax(Adam):
    """Adam over the infinity norm: v is the largest of beta2 * v and |g| (Kingma and Ba 2015).

    w = Tensor([1.0], requires_grad=True)
    (w * w).sum().backward()
    nn.optim.Adamax([w], lr=0.25).step()
    round(w.item(), 4) == 0.75
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, maximize=maximize, **ways)

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        return {"exp_avg": buffer_of(p), "exp_inf": buffer_of(p)}

    def _numbers(self, group: ParamGroup) -> dict[str, Tensor]:
        first, _ = self._corrections(group)
        return {**group.tensors, "rate": group.tensors["lr"] / first}

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
        beta1, beta2 = numbers["beta1"], settings["betas"][1]
        mean = state["exp_avg"] * beta1 + grad * (1 - beta1)
        largest = (state["exp_inf"] * beta2).maximum(grad.abs() + settings["eps"])
        return p - numbers["rate"] * mean / largest, {"exp_avg": mean, "exp_inf": largest}


class Lion(Optimizer):
    """p -= lr * sign(beta1 * m + (1 - beta1) * g): all steps have one size (Chen et al. 2023).

    m is a running mean of g, with beta2; weight decay shrinks the parameter by lr * weight_decay.

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.Lion([w], lr=0.25, weight_decay=0.0).step()
        w.tolist() == [0.75]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        settings = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, settings, ways)

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        if not all(0 <= beta < 1 for beta in settings["betas"]):
            raise ArgumentError(f"Lion: betas are in [0, 1), not {settings['betas']}")

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        return {"exp_avg": buffer_of(p)}

    @classmethod
    def _updated(
        cls,
        p: Tensor,
        grad: Tensor,
        state: Mapping[str, Tensor],
        numbers: Mapping[str, Tensor],
        settings: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        mean, beta1, beta2 = state["exp_avg"], numbers["beta1"], settings["betas"][1]
        p = p * (1 - numbers["lr"] * settings["weight_decay"])
        step = (mean * beta1 + grad * (1 - beta1)).sign()
        return p - step * numbers["lr"], {"exp_avg": mean * beta2 + grad * (1 - beta2)}


class Muon(Optimizer):
    """p -= lr * orthogonalized(v), for matrices: v is SGD's velocity, brought near to an orthogonal
    matrix by Newton and Schulz's iteration (Jordan et al. 2024).

    `adjust_lr_fn` "original" (or None) scales the rate by sqrt(max(1, rows / columns)),
    "match_rms_adamw" by 0.2 * sqrt(max(rows, columns)). The iteration is in bfloat16, as PyTorch's.

        w = Tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.Muon([w], lr=0.25).step()
        w.shape == (2, 2)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        settings = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum,
                    "nesterov": nesterov, "ns_coefficients": ns_coefficients, "eps": eps,
                    "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
                    "maximize": False}  # fmt: skip
        super().__init__(params, settings)

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        if settings["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ArgumentError(
                f"Muon: Adjust learning rate function {settings['adjust_lr_fn']} is not supported"
            )

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        if p.ndim != 2:
            raise ArgumentError(
                f"Muon only supports 2D parameters; this parameter is of shape {p.shape}"
            )
        return {"momentum_buffer": buffer_of(p)}

    @classmethod
    def _updated(
        cls,
        p: Tensor,
        grad: Tensor,
        state: Mapping[str, Tensor],
        numbers: Mapping[str, Tensor],
        settings: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        momentum, lr = numbers["momentum"], numbers["lr"]
        step, kept = with_momentum(grad * (1 - momentum), state, momentum, settings["nesterov"])
        rows, columns = p.shape
        scale = math.sqrt(max(1, rows / columns))
        if settings["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        p = p * (1 - lr * settings["weight_decay"])
        step = _orthogonalized(step, settings).cast(p.dtype)
        return p - step * (lr * scale), kept


def _orthogonalized(x: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """A matrix with the singular vectors of x and singular values near 1."""
    a, b, c = settings["ns_coefficients"]
    is_tall = x.shape[0] > x.shape[1]
    x = (x.T if is_tall else x).bfloat16()
    x = x / x.norm().maximum(settings["eps"])
    for _ in range(settings["ns_steps"]):
        gram = x @ x.T
        x = x * a + (gram * b + (gram @ gram) * c) @ x
    return x.T if is_tall else x
