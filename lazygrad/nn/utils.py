"""What is done to gradients between `backward()` and `step()`: clipping.

    clip_grad_norm_(get_parameters(model), 1.0)

Nothing is computed here: the gradients' expressions change, so clipping fuses into the step and can
be captured by `jit` with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """Scale all gradients by one factor so that their common norm is at most `max_norm`.

    Returns the norm before, of shape (). The factor is max_norm / (norm + 1e-6), at most 1.
    """
    moved = _with_gradient(parameters)
    if not moved:
        return Tensor(0.0)
    with Tensor.no_grad():
        norms = [Tensor.norm(grad, norm_type) for _, grad in moved]
        first = norms[0]
        total = Tensor.stack(*(norm.to(first.device) for norm in norms)).norm(norm_type)
        factor = (max_norm / (total + 1e-6)).clamp(max=1.0)
        for p, grad in moved:
            p.grad = grad * factor.to(grad.device).cast(grad.dtype)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring every element of every gradient into [-clip_value, clip_value]."""
    with Tensor.no_grad():
        for p, grad in _with_gradient(parameters):
            p.grad = grad.clamp(-clip_value, clip_value)


def _with_gradient(parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """The parameters that have a gradient, with it."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    distinct = {id(p): p for p in given}.values()
    return [(p, p.grad) for p in distinct if p.grad is not None]
