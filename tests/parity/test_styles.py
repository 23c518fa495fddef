"""One model in PyTorch, as a PyTorch script, and in tinygrad's way: the same losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import lazygrad
import lazygrad.nn.functional as F
from lazygrad import Tensor, nn
from lazygrad.utils.data import DataLoader, TensorDataset

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((48, 1, 8, 8)).astype(np.float32)
LABELS = RNG.integers(0, 4, 48)
EPOCHS = 3


def pytorch_script(library: Any, functional: Any, optim: Any, tensor: Any, loader: Any) -> Any:
    """A script as one writes it; `library` is torch.nn or lazygrad.nn, and so on."""

    class Net(library.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = library.Conv2d(1, 6, 3, padding=1, bias=False)
            self.norm = library.BatchNorm2d(6)
            self.body = library.Sequential(library.Linear(96, 16), library.GELU())
            self.out = library.Linear(16, 4)

        def forward(self, x: Any) -> Any:
            x = functional.max_pool2d(functional.relu(self.norm(self.conv(x))), 2)
            return self.out(self.body(x.flatten(1)))

    def train(state: Any) -> tuple[list[float], Any]:
        model = Net()
        model.load_state_dict(state)
        optimizer = optim.AdamW(model.parameters(), lr=1e-2)
        criterion = library.CrossEntropyLoss()
        losses = []
        for _ in range(EPOCHS):
            model.train()
            for x, y in loader(tensor(IMAGES), tensor(LABELS)):
                optimizer.zero_grad()
                loss = criterion(model(x), y)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            model.eval()
            losses.append(criterion(model(tensor(IMAGES)), tensor(LABELS)).item())
        return losses, model

    return Net, train


class Plain:
    """The same model as a plain class, as tinygrad has it."""

    def __init__(self) -> None:
        self.conv = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm(6)
        self.body = [nn.Linear(96, 16), Tensor.gelu]
        self.out = nn.Linear(16, 4)

    def __call__(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x)).relu().max_pool2d(2)
        return self.out(x.flatten(1).sequential(self.body))


def tinygrad_script(state: Any, capture: Callable[..., Any]) -> list[float]:
    model = Plain()
    nn.state.load_state_dict(model, state)
    optimizer = nn.optim.AdamW(nn.state.get_parameters(model), lr=1e-2)

    @capture
    @Tensor.train()
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = model(x).sparse_categorical_crossentropy(y).backward()
        optimizer.step()
        return loss

    losses = []
    for _ in range(EPOCHS):
        for start in range(0, 48, 16):
            rows = slice(start, start + 16)
            losses.append(step(Tensor(IMAGES[rows]), Tensor(LABELS[rows])).item())
        losses.append(model(Tensor(IMAGES)).cross_entropy(Tensor(LABELS)).item())
    return losses


@pytest.fixture(scope="module")
def reference() -> tuple[Any, list[float]]:
    def loader(x: Any, y: Any) -> Any:
        dataset = torch.utils.data.TensorDataset(x, y)
        return torch.utils.data.DataLoader(dataset, batch_size=16)

    torch.manual_seed(0)
    net, train = pytorch_script(
        torch.nn, torch.nn.functional, torch.optim, torch.from_numpy, loader
    )
    state = {name: value.numpy().copy() for name, value in net().state_dict().items()}
    losses, _ = train({name: torch.tensor(value) for name, value in state.items()})
    return state, losses


def test_a_pytorch_script_trains_as_in_pytorch(reference: Any) -> None:
    state, expected = reference

    def loader(x: Tensor, y: Tensor) -> Any:
        return DataLoader(TensorDataset(x, y), batch_size=16)

    _, train = pytorch_script(nn, F, nn.optim, Tensor, loader)
    losses, model = train(state)
    np.testing.assert_allclose(losses, expected, rtol=2e-4)
    assert isinstance(model, nn.Module)


@pytest.mark.parametrize("capture", [lambda f: f, lazygrad.jit], ids=["eager", "captured"])
def test_a_tinygrad_script_trains_as_in_pytorch(reference: Any, capture: Any) -> None:
    state, expected = reference
    np.testing.assert_allclose(tinygrad_script(state, capture), expected, rtol=2e-4)
