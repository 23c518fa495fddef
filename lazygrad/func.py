"""Function transforms under the name that PyTorch has for them: `lazygrad.transforms`.

    from lazygrad.func import functional_call, grad, vmap

`functional_call` calls a module with other tensors in the place of its parameters, so that the
transforms see these as arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import ShapeError
from .nn.module import Module
from .tensor import Tensor
from .transforms import (
    checkpoint,
    custom_vjp,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    stop_gradient,
    value_and_grad,
    vjp,
    vmap,
)


def functional_call(
    module: Module,
    parameters: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """What `module(*args, **kwargs)` gives with other parameters and buffers, by their names in
    `state_dict()`. The module is as before afterwards. One argument need not stand in a tuple.

        layer = nn.Linear(2, 1)
        loss = lambda weights, x: functional_call(layer, weights, x).sum()
        gradients = grad(loss)(dict(layer.named_parameters()), Tensor.ones(3, 2))
        gradients["weight"].tolist() == [[3.0, 3.0]]

    Raises KeyError for a name that the module does not have, ShapeError for another shape.
    """
    given: dict[str, Tensor] = {}
    for part in [parameters] if isinstance(parameters, Mapping) else parameters:
        given |= part
    places = [(way.rpartition("."), value) for way, value in given.items()]
    former: list[tuple[Module, str, Any]] = []
    try:
        for (way, _, name), value in places:
            owner = module.get_submodule(way)
            held = vars(owner).get(name)
            if not isinstance(held, Tensor):
                raise KeyError(f"functional_call: {type(owner).__name__} has no tensor {name!r}")
            if held.shape != value.shape:
                raise ShapeError(
                    f"functional_call: {name} is {held.shape}, the value given {value.shape}"
                )
            former.append((owner, name, held))
            vars(owner)[name] = value
        values = args if isinstance(args, tuple) else () if args is None else (args,)
        return module(*values, **(kwargs or {}))
    finally:
        for owner, name, held in reversed(former):
            vars(owner)[name] = held


__all__ = [
    "checkpoint", "custom_vjp", "functional_call", "grad", "grad_and_value", "hessian", "jacfwd",
    "jacrev", "jvp", "linearize", "stop_gradient", "value_and_grad", "vjp", "vmap",
]  # fmt: skip
