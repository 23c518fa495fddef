"""What is done to gradients between `backward()` and `step()`: clipping.

    clip_grad_norm_(get_parameters(model), 1.0)

Nothing is computed here: the gradients' expressions change, so clipping fuses into the step and can
be captured by `jit` with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import check_numbers
from ...tensor import Tensor


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The common norm of all tensors, of shape (). With `error_if_nonfinite` it is computed now,
    and raises RuntimeError if it is inf or nan.

        get_total_norm([Tensor([3.0]), Tensor([4.0])]).item() == 5.0
    """
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not given:
        return Tensor(0.0)
    with Tensor.no_grad():
        norms = [Tensor.norm(tensor, norm_type) for tensor in given]
        device = norms[0].device
        total = Tensor.stack(*(norm.to(device) for norm in norms)).norm(norm_type)
    if error_if_nonfinite and not bool(total.isfinite().item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale all gradients by max_norm / (total_norm + 1e-6), at most 1.

    w = Tensor([3.0, 4.0], requires_grad=True)
    (w * w / 2).sum().backward()
    clip_grads_with_norm_([w], 1.0, Tensor(10.0))
    w.grad.numpy().round(3).tolist() == Tensor([0.3, 0.4]).numpy().round(3).tolist()
    """
    with Tensor.no_grad():
        factor = (max_norm / (total_norm + 1e-6)).clamp(max=1.0)
        for p, grad in _with_gradient(parameters):
            p.grad = grad * factor.to(grad.device).cast(grad.dtype)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by one factor so that their common norm is at most `max_norm`.

    Returns the norm before, of shape (). The factor is max_norm / (norm + 1e-6), at most 1.

        w = Tensor([3.0, 4.0], requires_grad=True)
        (w * w / 2).sum().backward()
        clip_grad_norm_([w], 1.0).item() == 5.0
    """
    moved = _with_gradient(parameters)
    total = get_total_norm([grad for _, grad in moved], norm_type, error_if_nonfinite)
    clip_grads_with_norm_([p for p, _ in moved], max_norm, total)
    return total


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Bring every element of every gradient into [-clip_value, clip_value].

    w = Tensor([3.0, 4.0], requires_grad=True)
    (w * w / 2).sum().backward()
    clip_grad_value_([w], 3.5)
    w.grad.tolist() == [3.0, 3.5]
    """
    check_numbers(clip_value=clip_value)
    with Tensor.no_grad():
        for p, grad in _with_gradient(parameters):
            p.grad = grad.clamp(-clip_value, clip_value)


def _with_gradient(parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """The parameters that have a gradient, with it."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    distinct = {id(p): p for p in given}.values()
    return [(p, p.grad) for p in distinct if p.grad is not None]
