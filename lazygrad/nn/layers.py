"""Layers: objects that are called with a tensor and hold their parameters as attributes.

Batch normalisation and dropout behave as in training inside `with Tensor.train():` (or where
`Tensor.training` is set), and as in use elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..tensor import Tensor
from . import init

Layer = Callable[[Tensor], Tensor]


class Linear:
    """y = x @ weight.T + bias: (..., in_features) -> (..., out_features)."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: str | None = None
    ) -> None:
        shape = (out_features, in_features)
        self.weight, self.bias = init.weight_and_bias(
            shape, in_features, out_features, bias, device
        )

    def __call__(self, x: Tensor) -> Tensor:
        return x.linear(self.weight, self.bias)


class Embedding:
    """Rows of a weight (num_embeddings, embedding_dim) by their numbers, from 0 on.

    The row `padding_idx` starts as 0 and gets no gradient.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        device: str | None = None,
    ) -> None:
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(
                f"Embedding: padding_idx {padding_idx} is none of {num_embeddings} rows"
            )
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        weight = Tensor.randn(num_embeddings, embedding_dim, device=device)
        if self.padding_idx is not None:
            weight = self._is_padding(num_embeddings).where(0, weight)
        self.weight = weight.detach().requires_grad_()

    def _is_padding(self, count: int) -> Tensor:
        return Tensor._positions(count).unsqueeze(1).eq(self.padding_idx or 0)

    def __call__(self, indices: Tensor) -> Tensor:
        weight = self.weight
        if self.padding_idx is not None:
            weight = self._is_padding(weight.shape[0]).where(weight.detach(), weight)
        return weight._embedding(indices)


class Dropout:
    """In training, zeroes each element with probability p and scales the others by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is a probability, not {p}")
        self.p = p

    def __call__(self, x: Tensor) -> Tensor:
        return x.dropout(self.p)


class Dropout1d:
    """In training, zeroes whole channels (axis 1) with probability p, and scales the others."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p is a probability, not {p}")
        self.p = p

    def __call__(self, x: Tensor) -> Tensor:
        channels = Tensor.ones(*x.shape[:2], *(1,) * (x.ndim - 2), dtype=x.dtype, device=x.device)
        return x * channels.dropout(self.p)


Dropout2d = Dropout3d = Dropout1d


class Flatten:
    """The axes from start to end, both included, as one."""

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis, self.end_axis = start_axis, end_axis

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(self.start_axis, self.end_axis)


class Unflatten:
    """One axis as several, of `sizes`."""

    def __init__(self, axis: int, sizes: Sequence[int]) -> None:
        self.axis, self.sizes = axis, tuple(sizes)

    def __call__(self, x: Tensor) -> Tensor:
        return x.unflatten(self.axis, self.sizes)


class Identity:
    """x itself."""

    def __call__(self, x: Tensor) -> Tensor:
        return x


class Sequential(list[Layer]):
    """Layers, or any functions of a tensor, one after the other: a list that can be called."""

    def __init__(self, *layers: Layer) -> None:
        super().__init__(layers)

    def __call__(self, x: Tensor) -> Tensor:
        return x.sequential(self)
