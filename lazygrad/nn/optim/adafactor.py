"""Adafactor: running means of squared gradients, kept as one row and one column a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from ...errors import ArgumentError
from ...tensor import Tensor
from .group import ParamGroup
from .optimizer import Optimizer, Params, Ways, buffer_of


class Adafactor(Optimizer):
    """p -= alpha * u: u is g over the root of the mean of g*g, which is, of matrices, the product
    of a row's and a column's means (Shazeer and Stern 2018).

    alpha = max(eps[1], rms(p)) * min(lr, 1 / sqrt(t)), over max(1, rms(u) / d).

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.Adafactor([w], lr=0.25).step()
        round(w.item(), 4) == 0.75
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **ways: Unpack[Ways],
    ) -> None:
        settings = {"lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d,
                    "weight_decay": weight_decay, "maximize": maximize}  # fmt: skip
        super().__init__(params, settings, ways)

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check({key: value for key, value in settings.items() if key != "eps"})
        if settings["beta2_decay"] > 0:
            raise ArgumentError(f"beta2_decay should be <= 0 but is: {settings['beta2_decay']}")
        if settings["d"] < 1:
            raise ArgumentError(f"Clipping threshold d should be >= 1 but is: {settings['d']}")

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        if p.ndim < 2:
            return {"variance": buffer_of(p)}
        shapes = {"row_var": (*p.shape[:-1], 1), "col_var": (*p.shape[:-2], 1, p.shape[-1])}
        return {
            name: Tensor.from_numpy(np.zeros(shape, p.dtype.numpy), device=p.device)
            for name, shape in shapes.items()
        }

    def _numbers(self, group: ParamGroup) -> dict[str, Tensor]:
        assert group.steps is not None
        steps, settings = group.steps, group.settings
        return {
            **group.tensors,
            "share": steps.pow(settings["beta2_decay"]),  # of the new squares in the mean
            "rho": group.tensors["lr"].minimum(steps.rsqrt()),
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
        first, second = settings["eps"]
        tiny = float(np.finfo(p.dtype.numpy).eps) if first is None else first
        alpha = numbers["rho"] * _rms(p).maximum(second)
        if settings["weight_decay"]:
            p = p * (1 - numbers["lr"] * settings["weight_decay"])
        share = numbers["share"]

        def moved(name: str, squares: Tensor) -> Tensor:
            return state[name] + (squares - state[name]) * share

        if p.ndim > 1:
            row = moved("row_var", grad.square().mean(-1, keepdim=True))
            column = moved("col_var", grad.square().mean(-2, keepdim=True))
            variance = row @ column / row.mean(-2, keepdim=True).maximum(tiny)
            kept = {"row_var": row, "col_var": column}
        else:
            variance = moved("variance", grad.square())
            kept = {"variance": variance}
        update = grad * variance.maximum(tiny * tiny).rsqrt()
        size = (_rms(update) / settings["d"]).maximum(1.0)
        return p - update * (alpha / size), kept


def _rms(x: Tensor) -> Tensor:
    """The root of the mean of the squares."""
    return x.square().mean().sqrt()
