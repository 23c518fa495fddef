"""Attention of several heads, with PyTorch's names of parameters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..dtypes import bool_
from ..errors import ShapeError, check_integers
from ..tensor import Tensor
from ..tensor.mode import note_evaluation
from . import weights
from .layers import Linear
from .module import Layer
from .parameter import Parameter


class MultiheadAttention(Layer):
    """Attention of several heads (Vaswani et al. 2017), each over embed_dim / num_heads values.

    The weights of query, key and value stand above one another in `in_proj_weight`, where keys and
    values have the query's size. Inputs are (length, batch, size), or (batch, length, size) if
    `batch_first`, or (length, size). `add_bias_kv` appends a learned key and value to each
    sequence, `add_zero_attn` a key and a value of zeros.

        MultiheadAttention(8, 2)(Tensor.ones(3, 1, 8))[0].shape == (3, 1, 8)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_integers(embed_dim=embed_dim, num_heads=num_heads)
        if num_heads < 1 or embed_dim % num_heads:
            raise ShapeError(f"MultiheadAttention: {num_heads} heads do not divide {embed_dim}")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn

        def glorot(rows: int, columns: int) -> Parameter:
            return weights.uniform((rows, columns), math.sqrt(6 / (rows + columns)), device, dtype)

        def normal(size: int) -> Parameter:
            drawn = Tensor.randn(1, 1, size, device=device) * math.sqrt(1 / size)
            return Parameter(drawn if dtype is None else drawn.cast(dtype))

        is_joint = self.kdim == self.vdim == embed_dim
        self.in_proj_weight = glorot(3 * embed_dim, embed_dim) if is_joint else None
        self.q_proj_weight = None if is_joint else glorot(embed_dim, embed_dim)
        self.k_proj_weight = None if is_joint else glorot(embed_dim, self.kdim)
        self.v_proj_weight = None if is_joint else glorot(embed_dim, self.vdim)
        placed: dict[str, Any] = {"device": device, "dtype": dtype}
        self.in_proj_bias = weights.filled(0, 3 * embed_dim, **placed) if bias else None
        self.bias_k = normal(embed_dim) if add_bias_kv else None
        self.bias_v = normal(embed_dim) if add_bias_kv else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, **placed)
        if bias:
            self.out_proj.bias = weights.filled(0, embed_dim, **placed)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(outputs, weights: of each head, or averaged over them; None without `need_weights`).

        The key is the query, and the value the key, where not given. A bool `attn_mask` (queries,
        keys), or one a batch and head, and a bool `key_padding_mask` (batch, keys) hold where one
        may **not** attend, as in PyTorch; float masks are added to the scores.
        """
        key = query if key is None else key
        value = key if value is None else value
        is_single = query.ndim == 2
        if is_single:
            query, key, value = (t.unsqueeze(0) for t in (query, key, value))
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = (t.transpose(0, 1) for t in (query, key, value))
        q, k, v = self._projected(query, key, value)
        more = k.shape[2] - key.shape[1]  # keys of no place in the sequence
        if more:
            key_padding_mask, attn_mask = (
                _widened(key_padding_mask, more),
                _widened(attn_mask, more),
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
            dropout = self.dropout if self.training else 0.0
            out = q.scaled_dot_product_attention(k, v, mask, dropout, causal_alone)
        out = self.out_proj(out.transpose(1, 2).flatten(2))
        if shares is not None and average_attn_weights:
            shares = shares.mean(1)
        if is_single:
            return out.squeeze(0), None if shares is None else shares.squeeze(0)
        return (out if self.batch_first else out.transpose(0, 1)), shares

    if TYPE_CHECKING:
        __call__ = forward

    def _projected(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value in heads: (batch, length, size) -> (batch, heads, length, size)."""
        matrices: Any = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        if self.in_proj_weight is not None:
            matrices = self.in_proj_weight.chunk(3)
        biases: Any = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        made: list[Tensor] = []
        for x, matrix, bias, more in zip(
            inputs, matrices, biases, (None, self.bias_k, self.bias_v), strict=True
        ):
            rows = x.linear(matrix, bias)
            if more is not None:
                rows = rows.cat(more.expand(rows.shape[0], 1, self.embed_dim), axis=1)
            heads = rows.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            if self.add_zero_attn and made:
                heads = heads.pad((0, 0, 0, 1))
            made.append(heads)
        return tuple(made)

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


def _widened(mask: Tensor | None, more: int) -> Tensor | None:
    """A mask that lets everybody attend to `more` keys at the end."""
    return None if mask is None else mask.pad((0, more), value=0)


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """A mask as numbers to add: -inf where a bool one holds."""
    if mask.dtype != bool_:
        return mask
    return mask.where(float("-inf"), 0.0).cast(like.dtype)
