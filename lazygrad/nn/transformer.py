"""Transformers: layers of attention and linear maps, stacks of them, and the whole model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..dtypes import bool_, to_dtype
from ..errors import ArgumentError, check_integers
from ..tensor import Tensor
from .attention import MultiheadAttention
from .containers import ModuleList
from .layers import Dropout, Linear
from .module import Layer
from .normalization import LayerNorm

Activation = Callable[[Tensor], Tensor] | str

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": Tensor.relu, "gelu": Tensor.gelu}


class _Block(Layer):
    """What the layers of encoder and decoder share: attention, two linear maps, normalisations."""

    def __init__(
        self,
        attentions: int,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: Activation,
        layer_norm_eps: float,
        batch_first: bool,
        norm_first: bool,
        bias: bool,
        device: str | None,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if isinstance(activation, str) and activation not in ACTIVATIONS:
            raise ArgumentError(f"{name}: activation {activation!r} is neither 'relu' nor 'gelu'")
        placed: dict[str, Any] = {"device": device, "dtype": dtype}
        for attention in ("self_attn", "multihead_attn")[:attentions]:
            made = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, **placed
            )
            setattr(self, attention, made)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **placed)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **placed)
        self.norm_first = norm_first
        for n in range(1, attentions + 2):
            setattr(self, f"norm{n}", LayerNorm(d_model, layer_norm_eps, bias=bias, **placed))
        for n in range(1, attentions + 2):
            setattr(self, f"dropout{n}", Dropout(dropout))
        self.activation = ACTIVATIONS[activation] if isinstance(activation, str) else activation

    def _fed(self, x: Tensor, last: Dropout) -> Tensor:
        """The two linear maps."""
        inner = self.dropout(self.activation(self.linear1(x)))
        return last(self.linear2(inner))

    def _attended(
        self,
        attention: MultiheadAttention,
        x: Tensor,
        memory: Tensor,
        mask: Tensor | None,
        key_padding_mask: Tensor | None,
        is_causal: bool,
    ) -> Tensor:
        out, _ = attention(
            x,
            memory,
            memory,
            key_padding_mask,
            False,
            mask,
            is_causal=is_causal and mask is None,
        )
        return out

    def _joined(
        self, x: Tensor, parts: Sequence[tuple[LayerNorm, Callable[[Tensor], Tensor]]]
    ) -> Tensor:
        """x through parts, each added to its input, and normalised before or after."""
        for norm, part in parts:
            x = x + part(norm(x)) if self.norm_first else norm(x + part(x))
        return x


class TransformerEncoderLayer(_Block):
    """Attention and a network of two linear layers, each added to its input and normalised
    (Vaswani et al. 2017); `norm_first` normalises the inputs of the two instead.

        TransformerEncoderLayer(8, 2, 16)(Tensor.ones(5, 2, 8)).shape == (5, 2, 8)
    """

    self_attn: MultiheadAttention
    norm1: LayerNorm
    norm2: LayerNorm
    dropout1: Dropout
    dropout2: Dropout

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            1, d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias, device, dtype,
        )  # fmt: skip

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The masks are `MultiheadAttention`'s: a bool one holds where one may not attend."""

        def attend(x: Tensor) -> Tensor:
            return self.dropout1(
                self._attended(self.self_attn, x, x, src_mask, src_key_padding_mask, is_causal)
            )

        def feed(x: Tensor) -> Tensor:
            return self._fed(x, self.dropout2)

        return self._joined(src, [(self.norm1, attend), (self.norm2, feed)])

    if TYPE_CHECKING:
        __call__ = forward


class TransformerDecoderLayer(_Block):
    """`TransformerEncoderLayer` with a second attention, to an encoder's outputs, in between.

    x = Tensor.ones(5, 2, 8)
    TransformerDecoderLayer(8, 2, 16)(x, x).shape == (5, 2, 8)
    """

    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention
    norm1: LayerNorm
    norm2: LayerNorm
    norm3: LayerNorm
    dropout1: Dropout
    dropout2: Dropout
    dropout3: Dropout

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            2, d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias, device, dtype,
        )  # fmt: skip

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The masks are `MultiheadAttention`'s: a bool one holds where one may not attend."""

        def attend(x: Tensor) -> Tensor:
            return self.dropout1(
                self._attended(self.self_attn, x, x, tgt_mask, tgt_key_padding_mask, tgt_is_causal)
            )

        def look(x: Tensor) -> Tensor:
            masks = memory_mask, memory_key_padding_mask, memory_is_causal
            return self.dropout2(self._attended(self.multihead_attn, x, memory, *masks))

        def feed(x: Tensor) -> Tensor:
            return self._fed(x, self.dropout3)

        parts = [(self.norm1, attend), (self.norm2, look), (self.norm3, feed)]
        return self._joined(tgt, parts)

    if TYPE_CHECKING:
        __call__ = forward


class TransformerEncoder(Layer):
    """`num_layers` copies of an encoder layer, one after the other, and a normalisation.

    x = Tensor.ones(5, 2, 8)
    TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2)(x).shape == (5, 2, 8)
    """

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Layer | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        check_integers(num_layers=num_layers)
        self.layers = ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """(length, batch, size) -> the same, with the masks of `TransformerEncoderLayer`."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)

    if TYPE_CHECKING:
        __call__ = forward


class TransformerDecoder(Layer):
    """`num_layers` copies of a decoder layer, one after the other, and a normalisation.

    x = Tensor.ones(5, 2, 8)
    TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2)(x, x).shape == (5, 2, 8)
    """

    def __init__(
        self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: Layer | None = None
    ) -> None:
        super().__init__()
        check_integers(num_layers=num_layers)
        self.layers = ModuleList(copy.deepcopy(decoder_layer) for _ in range(num_layers))
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """(length, batch, size) -> the same, with the masks of `TransformerDecoderLayer`."""
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                bool(tgt_is_causal),
                memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)

    if TYPE_CHECKING:
        __call__ = forward


class Transformer(Layer):
    """An encoder and a decoder that looks at it (Vaswani et al. 2017).

    Transformer(8, 2, 1, 1, 16)(Tensor.ones(5, 2, 8), Tensor.ones(5, 2, 8)).shape == (5, 2, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        from .init import xavier_uniform_

        check_integers(num_encoder_layers=num_encoder_layers, num_decoder_layers=num_decoder_layers)
        settings: Any = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias, device, dtype,
        )  # fmt: skip

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*settings), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*settings), num_decoder_layers, norm()
        )
        for parameter in self.parameters():
            if parameter.ndim > 1:
                xavier_uniform_(parameter)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """(source length, batch, size), (target length, batch, size) -> the target's shape."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )

    if TYPE_CHECKING:
        __call__ = forward

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: str | None = None, dtype: Any = None
    ) -> Tensor:
        """0 where a place may attend, to itself and those before, and -inf elsewhere: (sz, sz)."""
        later = Tensor.ones(sz, sz, dtype=bool_, device=device).triu(1)
        return later.where(float("-inf"), 0.0).cast(to_dtype(dtype or "float32"))
