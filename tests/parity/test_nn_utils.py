"""Parametrizations, vectors of parameters, padded sequences and PyTorch's files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor, jit, nn
from lazygrad.nn import utils
from lazygrad.nn.state import torch_load

PARAMETRIZED: dict[str, Any] = {
    "weight_norm": lambda library: library.utils.parametrizations.weight_norm(library.Linear(4, 3)),
    "weight_norm of all axes": lambda library: library.utils.parametrizations.weight_norm(
        library.Conv1d(2, 3, 2), dim=None
    ),
    "spectral_norm": lambda library: library.utils.parametrizations.spectral_norm(
        library.Linear(4, 3), n_power_iterations=2
    ),
}


@pytest.mark.parametrize("name", list(PARAMETRIZED))
def test_parametrized_weights(name: str) -> None:
    torch.manual_seed(0)
    mine, theirs = PARAMETRIZED[name](nn), PARAMETRIZED[name](torch.nn)
    state = {k: v.detach().numpy().copy() for k, v in theirs.state_dict().items()}
    assert set(mine.state_dict()) == set(state)
    mine.load_state_dict(state)
    mine.train()
    x = np.random.default_rng(0).standard_normal((2, 2, 4)).astype(np.float32)
    for _ in range(2):  # in training, the state moves
        ours, expected = mine(Tensor(x)), theirs(torch.tensor(x))
        (ours**2).sum().backward()
        (expected**2).sum().backward()
        np.testing.assert_allclose(ours.numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-6)
    gradients = {k: p.grad.numpy() for k, p in theirs.named_parameters()}
    for key, p in mine.named_parameters():
        assert p.grad is not None
        np.testing.assert_allclose(p.grad.numpy(), gradients[key], rtol=1e-3, atol=1e-5)
    mine.eval()
    theirs.eval()
    np.testing.assert_allclose(
        jit(mine)(Tensor(x)).numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-6
    )


def test_parametrizations_can_be_set_and_removed() -> None:
    class Symmetric(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.triu() + x.triu(1).T

    layer: Any = nn.Linear(3, 3)
    utils.parametrize.register_parametrization(layer, "weight", Symmetric())
    assert utils.parametrize.is_parametrized(layer, "weight")
    assert isinstance(layer, nn.Linear)
    np.testing.assert_array_equal(layer.weight.numpy(), layer.weight.T.numpy())
    assert {name for name, _ in layer.named_parameters()} == {
        "bias", "parametrizations.weight.original",
    }  # fmt: skip
    layer.weight = Tensor.ones(3, 3)
    assert layer.weight.tolist() == [[1.0] * 3] * 3
    utils.parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
    assert {name for name, _ in layer.named_parameters()} == {"weight", "bias"}
    with pytest.raises(ValueError, match="does not have a parameter"):
        utils.parametrize.register_parametrization(layer, "absent", Symmetric())
    with pytest.raises(ValueError, match="may not change the shape"):
        utils.parametrize.register_parametrization(nn.Linear(3, 2), "weight", nn.Flatten(0))


def test_parameters_are_a_vector_and_back() -> None:
    layer = nn.Linear(3, 2)
    vector = utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (8,)
    utils.vector_to_parameters(vector * 2, layer.parameters())
    np.testing.assert_allclose(
        utils.parameters_to_vector(layer.parameters()).numpy(), 2 * vector.numpy()
    )
    with pytest.raises(ValueError, match="too few"):
        utils.vector_to_parameters(vector[:3], layer.parameters())


def test_sequences_are_padded() -> None:
    values = [np.ones((n, 2), np.float32) * n for n in (1, 3, 2)]
    for options in ({}, {"batch_first": True, "padding_value": -1.0}, {"padding_side": "left"}):
        ours = utils.rnn.pad_sequence([Tensor(v) for v in values], **options)  # type: ignore
        expected = torch.nn.utils.rnn.pad_sequence([torch.tensor(v) for v in values], **options)
        np.testing.assert_array_equal(ours.numpy(), expected.numpy())
    back = utils.rnn.unpad_sequence(utils.rnn.pad_sequence([Tensor(v) for v in values]), [1, 3, 2])
    assert [t.shape[0] for t in back] == [1, 3, 2]


def test_gradients_that_are_not_finite_are_told() -> None:
    p = Tensor([1.0], requires_grad=True)
    (p * float("inf")).sum().backward()
    with pytest.raises(RuntimeError, match="non-finite"):
        utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)


def test_files_of_torch_save_are_read(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    torch.save(model.state_dict(), tmp_path / "state.pt")
    mine = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    mine.load_state_dict(torch_load(tmp_path / "state.pt"))
    np.testing.assert_array_equal(mine[0].weight.numpy(), model[0].weight.detach().numpy())  # type: ignore[attr-defined]
    whole = torch.arange(12.0).reshape(3, 4)
    many = {"view": whole.T[1:], "list": [whole.half(), whole.bfloat16(), 3, "x"],
            "p": torch.nn.Parameter(whole)}  # fmt: skip
    torch.save(many, tmp_path / "many.pt")
    found = torch_load(tmp_path / "many.pt")
    np.testing.assert_array_equal(found["view"].numpy(), many["view"].numpy())  # type: ignore[attr-defined]
    assert [t.dtype.name for t in found["list"][:2]] == ["float16", "bfloat16"]
    assert found["list"][2:] == [3, "x"]
    assert found["p"].requires_grad
    torch.save(model, tmp_path / "model.pt")
    with pytest.raises(pickle.UnpicklingError, match="no tensor or container"):
        torch_load(tmp_path / "model.pt")
    (tmp_path / "other").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="not in the zip format"):
        torch_load(tmp_path / "other")
