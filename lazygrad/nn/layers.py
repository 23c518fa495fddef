"""Linear maps, embeddings, dropout, and layers that only change shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError, check_integers, check_numbers
from ..tensor import Tensor
from ..tensor.mode import note_evaluation
from . import functional as F
from . import weights
from .module import UnaryLayer
from .parameter import Parameter


class Identity(UnaryLayer):
    """x itself; any arguments are accepted, and mean nothing.

    Identity()(Tensor([1.0])).tolist() == [1.0]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


class Linear(UnaryLayer):
    """y = x @ weight.T + bias: (..., in_features) -> (..., out_features).

    Linear(3, 2)(Tensor.ones(5, 3)).shape == (5, 2)
    """

    _extra_repr = "in_features={in_features}, out_features={out_features}, bias={_has_bias}"

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_integers(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        shape = (out_features, in_features)
        self.weight, self.bias = weights.weight_and_bias(
            shape, in_features, out_features, bias, device, dtype
        )

    def forward(self, x: Tensor) -> Tensor:
        return x.linear(self.weight, self.bias)


class Embedding(UnaryLayer):
    """Rows of a weight (num_embeddings, embedding_dim) by their numbers, from 0 on.

    The row `padding_idx` starts as 0 and gets no gradient. With `max_norm`, the rows that are read
    are scaled down, in the weight, to that norm at most. With `scale_grad_by_freq`, the gradient
    of a row is divided by how often it is read.

        Embedding(10, 4)(Tensor([[1, 2, 3]])).shape == (1, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ArgumentError(
                f"Embedding: padding_idx {padding_idx} is none of {num_embeddings} rows"
            )
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        weight = Tensor.randn(num_embeddings, embedding_dim, device=device)
        if self.padding_idx is not None:
            weight = self._is_padding(num_embeddings).where(0, weight)
        self.weight = Parameter(weight if dtype is None else weight.cast(dtype))

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, **options: Any
    ) -> Embedding:
        """An embedding with this weight, which stays as it is if `freeze`."""
        if embeddings.ndim != 2:
            raise ArgumentError("Embeddings parameter is expected to be 2-dimensional")
        rows, size = embeddings.shape
        made = cls(rows, size, padding_idx, **options)
        made.weight = Parameter(embeddings, requires_grad=not freeze)
        return made

    def _is_padding(self, count: int) -> Tensor:
        return Tensor._positions(count).unsqueeze(1).eq(self.padding_idx or 0)

    def forward(self, indices: Tensor) -> Tensor:
        return F.embedding(
            indices,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
        )

    def extra_repr(self) -> str:
        shown = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            shown += f", padding_idx={self.padding_idx}"
        return shown if self.max_norm is None else f"{shown}, max_norm={self.max_norm}"


class _Dropout(UnaryLayer):
    """What the layers have in common that zero something at random in training."""

    _extra_repr = "p={p}, inplace={inplace}"

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        check_numbers(p=p)
        if not 0 <= p <= 1:
            raise ArgumentError(f"{type(self).__name__}: p is a probability, not {p}")
        self.p, self.inplace = p, inplace

    def _dropped(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            if self.p:
                note_evaluation(type(self).__name__)
            return x
        made = self._dropped(x)
        return x._update(made) if self.inplace else made


class Dropout(_Dropout):
    """In training, zeroes each element with probability p and scales the others by 1 / (1 - p).

    Dropout(0.5).eval()(Tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    """

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p)


class _ChannelDropout(_Dropout):
    """In training, zeroes whole channels with probability p, and scales the others."""

    _spatial: int

    def _dropped(self, x: Tensor) -> Tensor:
        return F.drop_channels(x, self.p, self._spatial)


class Dropout1d(_ChannelDropout):
    """In training, zeroes whole channels of (batch, channels, length), or without batch, with
    probability p, and scales the others.

        Dropout1d(0.5).eval()(Tensor.ones(1, 2, 3)).sum().item() == 6.0
    """

    _spatial = 1


class Dropout2d(_ChannelDropout):
    """In training, zeroes whole channels of (batch, channels, height, width), or without batch,
    with probability p, and scales the others.

        Dropout2d(0.5).eval()(Tensor.ones(1, 2, 3, 3)).sum().item() == 18.0
    """

    _spatial = 2


class Dropout3d(_ChannelDropout):
    """In training, zeroes whole channels of (batch, channels, depth, height, width), or without
    batch, with probability p, and scales the others.

        Dropout3d(0.5).eval()(Tensor.ones(1, 1, 2, 2, 2)).sum().item() == 8.0
    """

    _spatial = 3


class AlphaDropout(_Dropout):
    """In training, sets elements to the least value of `selu` with probability p, and scales and
    shifts all so that mean 0 and variance 1 stay (Klambauer et al. 2017).

        AlphaDropout(0.5).eval()(Tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    """

    def _dropped(self, x: Tensor) -> Tensor:
        return F.alpha_dropout(x, self.p, True)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels (axis 1).

    FeatureAlphaDropout(0.5).eval()(Tensor([[1.0, 2.0]])).tolist() == [[1.0, 2.0]]
    """

    def _dropped(self, x: Tensor) -> Tensor:
        return F.feature_alpha_dropout(x, self.p, True)


class Flatten(UnaryLayer):
    """The axes from start to end, both included, as one.

    Flatten()(Tensor.ones(2, 3, 4)).shape == (2, 12)
    """

    _extra_repr = "start_dim={start_dim}, end_dim={end_dim}"

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(self.start_dim, self.end_dim)


class Unflatten(UnaryLayer):
    """One axis as several, of `unflattened_size`.

    Unflatten(1, (2, 3))(Tensor.ones(4, 6)).shape == (4, 2, 3)
    """

    _extra_repr = "dim={dim}, unflattened_size={unflattened_size}"

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(self.dim, self.unflattened_size)
