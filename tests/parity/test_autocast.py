"""Inside of `autocast` dtypes are PyTorch's on a CPU, and a training step agrees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import lazygrad
from lazygrad import Tensor, nn

X = np.random.default_rng(1).standard_normal((4, 6)).astype(np.float32)
IMAGE = X.reshape(1, 2, 3, 4)
LABELS = np.array([0, 1, 2, 3])

CASES: dict[str, Callable[[Any, Any], Any]] = {
    "matmul": lambda m, x: x @ x.T,
    "mm": lambda m, x: x.mm(x.T),
    "bmm": lambda m, x: m.bmm(x[None], x.T[None]),
    "addmm": lambda m, x: m.addmm(x[:, :4], x, x.T),
    "linear": lambda m, x: m.nn.functional.linear(x, x),
    "Linear": lambda m, x: m.nn.Linear(6, 3)(x),
    "conv2d": lambda m, x: m.nn.Conv2d(2, 3, 2)(x.reshape(1, 2, 3, 4)),
    "conv1d": lambda m, x: m.nn.functional.conv1d(x[None], x[None, :, :2].reshape(2, 4, 1)),
    "conv_transpose2d": lambda m, x: m.nn.ConvTranspose2d(2, 3, 2)(x.reshape(1, 2, 3, 4)),
    "attention": lambda m, x: m.nn.functional.scaled_dot_product_attention(x[None], x[None],
                                                                          x[None]),
    "einsum": lambda m, x: m.einsum("ij,kj->ik", x, x),
    "relu": lambda m, x: x.relu(),
    "softmax": lambda m, x: (x @ x.T).softmax(-1),
    "layer norm": lambda m, x: m.nn.LayerNorm(4)(x @ x.T),
    "batch norm": lambda m, x: m.nn.BatchNorm1d(4).train()(x @ x.T),
    "sum": lambda m, x: x @ x.T + x[:, :4],
    "float64": lambda m, x: x.double() @ x.double().T,
    "integers": lambda m, x: x.long() @ x.long().T,
    "cross entropy": lambda m, x: m.nn.functional.cross_entropy(x @ x.T, m.tensor(LABELS)),
    "mse_loss": lambda m, x: m.nn.functional.mse_loss(x @ x.T, x[:, :4]),
    "bce": lambda m, x: m.nn.functional.binary_cross_entropy_with_logits(x @ x.T, x[:, :4] * 0),
    "off inside": lambda m, x: off_inside(m, x),
}  # fmt: skip


def off_inside(library: Any, x: Any) -> Any:
    with library.autocast("cpu", enabled=False):
        return x @ x.T


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_dtypes_are_pytorchs(name: str, dtype: str) -> None:
    found = []
    for library in (lazygrad, torch):
        with library.autocast("cpu", dtype=getattr(library, dtype)):
            assert library.is_autocast_enabled() if library is lazygrad else True
            found.append(CASES[name](library, library.tensor(X)))
    assert str(found[0].dtype) == str(found[1].dtype)[6:]
    assert not lazygrad.is_autocast_enabled()
    if name not in ("Linear", "conv2d", "conv_transpose2d"):
        ours, theirs = (np.asarray(x.detach().float().numpy()) for x in found)
        np.testing.assert_allclose(ours, theirs, rtol=0.04, atol=0.04)


def test_a_step_trains_float32_parameters() -> None:
    """Losses and gradients are those of PyTorch, as far as 16 bits tell."""
    first = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    second = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4))
    state = {name: torch.tensor(p.numpy()) for name, p in first.state_dict().items()}
    second.load_state_dict(state)
    losses, gradients = [], []
    for library, model in ((lazygrad, first), (torch, second)):
        with library.autocast("cpu", dtype=library.bfloat16):
            loss = library.nn.functional.cross_entropy(
                model(library.tensor(X)), library.tensor(LABELS)
            )
        loss.backward()
        losses.append(loss.item())
        gradients.append([p.grad for p in model.parameters()])
        assert all(p.grad.dtype == library.float32 for p in model.parameters())
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=0.03)


def test_a_captured_function_knows_where_it_is_called() -> None:
    @lazygrad.jit
    def square(x: Tensor) -> Tensor:
        return x @ x.T

    x = Tensor(X)
    for _ in range(3):
        assert square(x).dtype == lazygrad.float32
        with lazygrad.autocast("cpu"):
            assert square(x).dtype == lazygrad.bfloat16


def test_recurrent_layers_run() -> None:
    for kind in (nn.RNN, nn.GRU, nn.LSTM):
        with lazygrad.autocast("cpu"):
            out, _ = kind(6, 3)(Tensor(X))
        assert out.isfinite().all().item()


def test_as_a_decorator() -> None:
    @lazygrad.autocast("cpu")
    def product(x: Tensor, depth: int = 1) -> Tensor:
        return product(x, depth - 1) if depth else x @ x.T

    assert product(Tensor(X)).dtype == lazygrad.bfloat16
    assert (Tensor(X) @ Tensor(X).T).dtype == lazygrad.float32
