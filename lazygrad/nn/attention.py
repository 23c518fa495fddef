"""Attention and the blocks of transformers, with PyTorch's names of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..dtypes import bool_
from ..errors import ShapeError
from ..tensor import Tensor
from ..tensor.mode import note_evaluation
from . import weights
from .layers import Linear
from .module import Layer
from .normalization import LayerNorm


class MultiheadAttention(Layer):
    """Attention of several heads (Vaswani et al. 2017), each over embed_dim / num_heads values.

    The weights of query, key and value stand above one another in `in_proj_weight`. Inputs are
    (length, batch, embed_dim), or (batch, length, embed_dim) if `batch_first`.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        batch_first: bool = False,
        device: str | None = None,
    ) -> None:
        if num_heads < 1 or embed_dim % num_heads:
            raise ShapeError(f"MultiheadAttention: {num_heads} heads do not divide {embed_dim}")
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.dropout, self.batch_first = dropout, batch_first
        bound = math.sqrt(6 / (4 * embed_dim))  # Glorot's, of a weight (3 embed_dim, embed_dim)
        self.in_proj_weight = weights.uniform((3 * embed_dim, embed_dim), bound, device)
        self.in_proj_bias = weights.filled(0, 3 * embed_dim, device=device) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, device)
        if bias:
            self.out_proj.bias = weights.filled(0, embed_dim, device=device)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(outputs, weights averaged over the heads, or None without `need_weights`).

        The key is the query, and the value the key, where not given. A bool `attn_mask` (queries,
        keys), or one a batch and head, and a bool `key_padding_mask` (batch, keys) hold where one
        may **not** attend, as in PyTorch; float masks are added to the scores.
        """
        key = query if key is None else key
        value = key if value is None else value
        if not self.batch_first:
            query, key, value = (t.transpose(0, 1) for t in (query, key, value))
        weights, biases = self.in_proj_weight.chunk(3), (None, None, None)
        if self.in_proj_bias is not None:
            biases = self.in_proj_bias.chunk(3)  # type: ignore[assignment]
        q, k, v = (
            self._heads(t.linear(weight, bias))
            for t, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        causal_alone = is_causal and not need_weights and key_padding_mask is attn_mask is None
        mask = self._mask(q, k, key_padding_mask, attn_mask, is_causal and not causal_alone)
        shares: Tensor | None = None
        if need_weights:
            scores = (q * q.shape[-1] ** -0.5) @ k.mT
            shares = (scores if mask is None else scores + mask).softmax(-1)
            out = shares.dropout(self.dropout) @ v
        else:
            if self.dropout and not self.training:
                note_evaluation("dropout")
            out = q.scaled_dot_product_attention(
                k, v, mask, self.dropout if self.training else 0.0, causal_alone
            )
        out = self.out_proj(out.transpose(1, 2).flatten(2))
        out = out if self.batch_first else out.transpose(0, 1)
        return out, None if shares is None else shares.mean(1)

    if TYPE_CHECKING:
        __call__ = forward

    def _heads(self, x: Tensor) -> Tensor:
        """(batch, length, embed_dim) -> (batch, heads, length, size)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _mask(
        self,
        q: Tensor,
        k: Tensor,
        key_padding_mask: Tensor | None,
        attn_mask: Tensor | None,
        is_causal: bool,
    ) -> Tensor | None:
        """What is added to the scores (batch, heads, queries, keys), or None."""
        parts = []
        if key_padding_mask is not None:
            parts.append(_added(key_padding_mask, q).unsqueeze(1).unsqueeze(1))
        if attn_mask is not None:
            mask = _added(attn_mask, q)
            parts.append(mask.unflatten(0, (-1, self.num_heads)) if mask.ndim == 3 else mask)
        elif is_causal:
            later = Tensor.ones(q.shape[-2], k.shape[-2], dtype=bool_, device=q.device).triu(1)
            parts.append(_added(later, q))
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """A mask as numbers to add: -inf where a bool one holds."""
    if mask.dtype != bool_:
        return mask
    return mask.where(float("-inf"), 0.0).cast(like.dtype)


class TransformerEncoderLayer(Layer):
    """Attention and a network of two linear layers, each added to its input and normalised
    (Vaswani et al. 2017); `norm_first` normalises the inputs of the two instead."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Callable[[Tensor], Tensor] | str = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
    ) -> None:
        known: dict[str, Callable[[Tensor], Tensor]] = {"relu": Tensor.relu, "gelu": Tensor.gelu}
        if isinstance(activation, str) and activation not in known:
            raise ValueError(
                f"TransformerEncoderLayer: activation {activation!r} is neither 'relu' nor 'gelu'"
            )
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first, device)
        self.linear1 = Linear(d_model, dim_feedforward, bias, device)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device)
        self.activation = known[activation] if isinstance(activation, str) else activation
        self.dropout, self.norm_first = dropout, norm_first

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The masks are `MultiheadAttention`'s: a bool one holds where one may not attend."""

        def attend(x: Tensor) -> Tensor:
            out, _ = self.self_attn(
                x, None, None, src_key_padding_mask, False, src_mask, is_causal and src_mask is None
            )
            return out.dropout(self.dropout)

        def feed(x: Tensor) -> Tensor:
            inner = self.activation(self.linear1(x)).dropout(self.dropout)
            return self.linear2(inner).dropout(self.dropout)

        if self.norm_first:
            x = src + attend(self.norm1(src))
            return x + feed(self.norm2(x))
        x = self.norm1(src + attend(src))
        return self.norm2(x + feed(x))

    if TYPE_CHECKING:
        __call__ = forward
