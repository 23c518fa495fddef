"""Layers of two inputs: distances, similarities, a bilinear map; and bags of embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, check_integers
from ..tensor import Tensor
from . import functional as F
from . import weights
from .module import Layer
from .parameter import Parameter


class CosineSimilarity(Layer):
    """The cosine of the angle of two vectors along an axis.

    CosineSimilarity()(Tensor([[1.0, 0.0]]), Tensor([[0.0, 2.0]])).tolist() == [0.0]
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)

    if TYPE_CHECKING:
        __call__ = forward


class PairwiseDistance(Layer):
    """The p-norm of x1 - x2 + eps along the last axis.

    PairwiseDistance(eps=0.0)(Tensor([[3.0, 4.0]]), Tensor([[0.0, 0.0]])).tolist() == [5.0]
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.p, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)

    if TYPE_CHECKING:
        __call__ = forward


class Bilinear(Layer):
    """y_o = sum over i, j of x1_i * weight_oij * x2_j + bias_o.

    Bilinear(3, 4, 2)(Tensor.ones(5, 3), Tensor.ones(5, 4)).shape == (5, 2)
    """

    _extra_repr = (
        "in1_features={in1_features}, in2_features={in2_features}, "
        "out_features={out_features}, bias={_has_bias}"
    )

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_integers(
            in1_features=in1_features, in2_features=in2_features, out_features=out_features
        )
        if in1_features < 1:
            raise ArgumentError(f"in1_features {in1_features} is not above 0")
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        shape = (out_features, in1_features, in2_features)
        self.weight, self.bias = weights.weight_and_bias(
            shape, in1_features, out_features, bias, device, dtype
        )

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    if TYPE_CHECKING:
        __call__ = forward


class EmbeddingBag(Layer):
    """`functional.embedding_bag`: the sum, mean or maximum of the embeddings in each bag.

    EmbeddingBag(10, 4)(Tensor([[1, 2, 3], [4, 5, 6]])).shape == (2, 4)
    """

    _extra_repr = "{num_embeddings}, {embedding_dim}, mode={mode!r}"

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim, self.mode = num_embeddings, embedding_dim, mode
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.include_last_offset = scale_grad_by_freq, include_last_offset
        weight = Tensor.randn(num_embeddings, embedding_dim, device=device)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ArgumentError(
                    f"EmbeddingBag: padding_idx {padding_idx} is none of {num_embeddings} rows"
                )
            padding_idx %= num_embeddings
            weight = Tensor._positions(num_embeddings).unsqueeze(1).eq(padding_idx).where(0, weight)
        self.padding_idx = padding_idx
        self.weight = Parameter(weight if dtype is None else weight.cast(dtype))

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            False,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    if TYPE_CHECKING:
        __call__ = forward
