"""Packed sequences and lazy layers, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor, nn
from lazygrad.nn.utils import rnn

theirs_of = torch.nn.utils.rnn
LENGTHS = [3, 5, 1, 4]


@pytest.mark.parametrize("batch_first", [False, True])
def test_packing(batch_first: bool, rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 5, 2) if batch_first else (5, 4, 2)).astype(np.float32)
    ours = rnn.pack_padded_sequence(Tensor(x), LENGTHS, batch_first, enforce_sorted=False)
    theirs = theirs_of.pack_padded_sequence(
        torch.tensor(x), torch.tensor(LENGTHS), batch_first, enforce_sorted=False
    )
    for name in ("data", "batch_sizes", "sorted_indices", "unsorted_indices"):
        np.testing.assert_array_equal(getattr(ours, name).numpy(), getattr(theirs, name).numpy())
    padded, lengths = rnn.pad_packed_sequence(ours, batch_first, -1.0, 6)
    expected, sizes = theirs_of.pad_packed_sequence(theirs, batch_first, -1.0, 6)
    np.testing.assert_array_equal(padded.numpy(), expected.numpy())
    assert lengths.tolist() == sizes.tolist() == LENGTHS


def test_sequences_that_are_sorted_and_wrong_lengths() -> None:
    parts = [Tensor([1.0, 2.0, 3.0]), Tensor([4.0, 5.0]), Tensor([6.0])]
    packed = rnn.pack_sequence(parts)
    assert packed.data.tolist() == [1.0, 4.0, 6.0, 2.0, 5.0, 3.0]
    assert packed.sorted_indices is None
    assert [x.tolist() for x in rnn.unpack_sequence(packed)] == [x.tolist() for x in parts]
    with pytest.raises(ValueError, match="decreasing order, or enforce_sorted=False"):
        rnn.pack_sequence(parts[::-1])
    with pytest.raises(ValueError, match="lengths are from 1 to 3"):
        rnn.pack_padded_sequence(Tensor.ones(3, 2), [4, 1])


@pytest.mark.parametrize(
    "kind",
    [
        "RNN",
        pytest.param("GRU", marks=pytest.mark.slow),
        pytest.param("LSTM", marks=pytest.mark.slow),
    ],
)
def test_recurrent_layers_of_packed_sequences(kind: str, rng: np.random.Generator) -> None:
    theirs = getattr(torch.nn, kind)(2, 3, bidirectional=True)
    ours = getattr(nn, kind)(2, 3, bidirectional=True)
    ours.load_state_dict(theirs.state_dict())
    values, lengths = rng.standard_normal((3, 3, 2)).astype(np.float32), [2, 3, 1]
    x, u = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    output, last = ours(rnn.pack_padded_sequence(x, lengths, enforce_sorted=False))
    expected, end = theirs(
        theirs_of.pack_padded_sequence(u, torch.tensor(lengths), enforce_sorted=False)
    )
    ends: list[tuple[Any, Any]] = (
        list(zip(last, end, strict=True)) if kind == "LSTM" else [(last, end)]
    )
    loss, other = output.data.square().sum(), expected.data.square().sum()
    for a, b in ends:
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)
        loss, other = loss + a.sum(), other + b.sum()
    np.testing.assert_allclose(output.data.numpy(), expected.data.detach().numpy(), 1e-4, 1e-5)
    loss.backward()
    other.backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), u.grad.numpy(), rtol=1e-4, atol=1e-5)


LAZY = {
    "Linear": ((3,), (2, 5)), "Conv1d": ((3, 2), (2, 4, 6)), "Conv2d": ((3, 2), (2, 4, 6, 6)),
    "ConvTranspose2d": ((3, 2), (2, 4, 6, 6)), "BatchNorm1d": ((), (3, 4)),
    "BatchNorm2d": ((), (3, 4, 2, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAZY)
def test_lazy_layers_become_ordinary_ones(name: str) -> None:
    given, shape = LAZY[name]
    layer = getattr(nn, f"Lazy{name}")(*given)
    theirs = getattr(torch.nn, f"Lazy{name}")(*given)
    assert layer.has_uninitialized_params()
    assert list(layer.parameters()) == []
    model = nn.Sequential(layer, nn.ReLU())
    made = model(Tensor.ones(*shape))
    assert made.shape == tuple(theirs(torch.ones(shape)).shape)
    assert type(model[0]) is getattr(nn, name)
    sizes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in layer.state_dict().items()} == sizes
    assert layer.training


def test_weights_are_normalised() -> None:
    layer = nn.utils.weight_norm(nn.Linear(3, 2))
    assert {"bias", "parametrizations.weight.original0"} <= set(layer.state_dict())
