"""Values that are computed again in the backward pass, where PyTorch has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import transforms


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, **named: Any
) -> Any:
    """`function(*args)`, computed a second time in the backward pass instead of kept; see
    `transforms.checkpoint`. `use_reentrant` says nothing here.

    y = checkpoint(layer, x)

        x = Tensor([2.0], requires_grad=True)
        lazygrad.utils.checkpoint.checkpoint(lambda x: x * x, x).sum().backward()
        x.grad.item() == 4.0
    """
    return transforms.checkpoint(function)(*args, **named)


__all__ = ["checkpoint"]
