"""Recurrent networks and attention with PyTorch's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor, nn
from lazygrad.nn.state import get_state_dict


def pair(ours: Callable[..., Any], theirs: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """A layer of each, with the same random parameters, which have the same names."""
    torch.manual_seed(0)
    layer, reference = ours(*args, **options), theirs(*args, **options).eval()
    own = get_state_dict(layer)
    assert set(own) == set(reference.state_dict())
    for name, value in reference.state_dict().items():
        value.add_(torch.randn_like(value) * 0.2)
        own[name].assign(value.numpy().copy())
    return layer, reference


def flat(value: Any) -> list[Any]:
    if not isinstance(value, tuple):
        return [] if value is None else [value]
    return [part for item in value for part in flat(item)]


def compare(layer: Any, reference: Any, ours: list[Any], theirs: list[Any]) -> None:
    """Results, and the gradients of every parameter."""
    assert len(ours) == len(theirs)
    for y, v in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(y.numpy(), v.detach().numpy(), rtol=1e-4, atol=1e-5)
    sum((y * y).sum() for y in ours).backward()  # type: ignore[union-attr]
    sum((v * v).sum() for v in theirs).backward()
    own = get_state_dict(layer)
    for name, parameter in reference.named_parameters():
        np.testing.assert_allclose(
            own[name].grad.numpy(), parameter.grad.numpy(), rtol=1e-3, atol=1e-4, err_msg=name
        )


# (options, whether the first state is given)
OPTIONS: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    ({"num_layers": 2, "batch_first": True}, True),
    ({"num_layers": 2, "bidirectional": True, "bias": False}, True),
]


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize(("options", "given"), OPTIONS, ids=str)
def test_recurrent_layers_agree(kind: str, options: dict[str, Any], given: bool) -> None:
    rng = np.random.default_rng(0)
    layer, reference = pair(getattr(nn, kind), getattr(torch.nn, kind), 3, 4, **options)
    x = rng.standard_normal((2, 5, 3)).astype(np.float32)
    ours: list[Any] = [Tensor(x)]
    theirs: list[Any] = [torch.tensor(x)]
    if given:
        batch = 2 if options.get("batch_first") else 5
        count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
        start = [rng.standard_normal((count, batch, 4)).astype(np.float32) for _ in range(2)]
        if kind == "LSTM":
            ours.append(tuple(map(Tensor, start)))
            theirs.append(tuple(map(torch.tensor, start)))
        else:
            ours.append(Tensor(start[0]))
            theirs.append(torch.tensor(start[0]))
    compare(layer, reference, flat(layer(*ours)), flat(reference(*theirs)))


def test_a_single_sequence_and_relu_agree() -> None:
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    layer, reference = pair(nn.RNN, torch.nn.RNN, 3, 4, nonlinearity="relu")
    compare(layer, reference, flat(layer(Tensor(x))), flat(reference(torch.tensor(x))))


def test_recurrent_layers_refuse_what_does_not_fit() -> None:
    layer = nn.GRU(3, 4)
    with pytest.raises(ValueError, match=r"GRU: input \(2, 5, 2\) is no sequence of 3 values"):
        layer(Tensor.zeros(2, 5, 2))
    with pytest.raises(ValueError, match=r"first state is \(2, 5, 4\), not \(1, 5, 4\)"):
        layer(Tensor.zeros(2, 5, 3), Tensor.zeros(2, 5, 4))
    with pytest.raises(ValueError, match="neither 'tanh' nor 'relu'"):
        nn.RNN(3, 4, nonlinearity="gelu")


MASKS: dict[str, dict[str, np.ndarray]] = {
    "none": {},
    "padding": {"key_padding_mask": np.array([[False, False, True], [False, True, True]])},
    "bool": {"attn_mask": np.triu(np.ones((3, 3), bool), 1)},
    "float": {"attn_mask": np.linspace(-1, 1, 9).reshape(3, 3).astype(np.float32)},
    "by head": {"attn_mask": np.random.default_rng(0).random((4, 3, 3)) > 0.8},
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("weights", [True, False])
def test_attention_agrees(mask: str, weights: bool) -> None:
    layer, reference = pair(
        nn.MultiheadAttention, torch.nn.MultiheadAttention, 4, 2, batch_first=True
    )
    x = np.random.default_rng(1).standard_normal((3, 2, 3, 4)).astype(np.float32)
    ours = layer(
        *map(Tensor, x), need_weights=weights, **{k: Tensor(v) for k, v in MASKS[mask].items()}
    )
    theirs = reference(
        *map(torch.tensor, x),
        need_weights=weights,
        **{k: torch.tensor(v) for k, v in MASKS[mask].items()},
    )
    compare(layer, reference, flat(ours), flat(theirs))


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_transformer_blocks_agree(first: bool, causal: bool) -> None:
    layer, reference = pair(
        nn.TransformerEncoderLayer, torch.nn.TransformerEncoderLayer, 4, 2, 6,
        norm_first=first, activation="gelu",
    )  # fmt: skip
    x = np.random.default_rng(1).standard_normal((5, 2, 4)).astype(np.float32)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(5) if causal else None
    ours = layer(Tensor(x), is_causal=causal)
    theirs = reference(torch.tensor(x), src_mask=mask)
    compare(layer, reference, [ours], [theirs])
