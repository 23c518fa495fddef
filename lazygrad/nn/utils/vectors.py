"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import KindError, ShapeError
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters in one tensor of one axis.

    parameters_to_vector([Tensor([1.0]), Tensor([[2.0]])]).tolist() == [1.0, 2.0]
    """
    return Tensor.cat(*(p.reshape(-1) for p in parameters))


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give parameters the elements of a vector, in order. Raises ShapeError if it is too short.

    w = Tensor([1.0, 2.0])
    vector_to_parameters(Tensor([3.0, 4.0]), [w])
    w.tolist() == [3.0, 4.0]
    """
    if not isinstance(vec, Tensor):
        raise KindError(f"expected Tensor, but got: {type(vec).__name__}")
    start = 0
    for p in parameters:
        end = start + p.numel()
        if end > vec.numel():
            raise ShapeError(f"vector_to_parameters: {vec.numel()} elements are too few")
        p.assign(vec.detach()[start:end].reshape(p.shape))
        start = end
