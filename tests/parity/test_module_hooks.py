"""Hooks on the gradients of modules: what they see, and what they change."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor, jit, nn
from lazygrad.tensor.autograd import node_hooks

X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


def _run(library: Any, tensor: Any, change: bool) -> tuple[list[Any], Any]:
    """Gradients that hooks saw, and those that arrived, of two layers."""

    class Twice(library.Module):  # type: ignore[misc]
        def forward(self, x: Any, y: Any) -> Any:
            return x * 2 + y * y, x - y

    layer, twice = library.Linear(3, 3), Twice()
    seen: list[Any] = []

    def hook(module: Any, grad_input: Any, grad_output: Any) -> Any:
        seen.extend([*grad_input, *grad_output])
        return tuple(None if g is None else g * 3 for g in grad_input) if change else None

    layer.register_full_backward_hook(hook)
    twice.register_full_backward_hook(hook)
    weight = np.linspace(-1, 1, 9, dtype=np.float32).reshape(3, 3)
    if library is nn:
        layer.weight.assign(weight)
        layer.bias.assign(0.0)
    else:
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.zeros(3)
    x = tensor(X, requires_grad=True)
    for _ in range(2):
        a, b = twice(layer(x), x)
        (a.sum() + (b * b).sum()).backward()
    return [*seen, x.grad, layer.weight.grad], layer


@pytest.mark.parametrize("change", [False, True])
def test_hooks_see_and_change_gradients(change: bool) -> None:
    ours, _ = _run(nn, Tensor, change)
    expected, _ = _run(torch.nn, torch.tensor, change)
    assert len(ours) == len(expected)
    for mine, theirs in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_hooks_without_gradients_of_inputs_and_before() -> None:
    layer = nn.Linear(3, 2)
    seen: list[Any] = []
    layer.register_full_backward_hook(lambda m, inputs, outputs: seen.append((inputs, outputs)))
    layer.register_full_backward_pre_hook(lambda m, outputs: (outputs[0] * 2,))
    layer(Tensor(X)).sum().backward()
    ((inputs, outputs),) = seen
    assert inputs == (None,)
    assert outputs[0].tolist() == [[2.0, 2.0]] * 4
    np.testing.assert_allclose(layer.bias.grad.tolist(), [8.0, 8.0])  # type: ignore[union-attr]
    with Tensor.no_grad():
        layer(Tensor(X)).realize()
    assert len(seen) == 1


def test_hooks_are_part_of_a_captured_step_and_leave_nothing_behind() -> None:
    gc.collect()
    before = len(node_hooks)
    layer = nn.Linear(3, 1)

    @jit
    def step(x: Tensor) -> Tensor:
        layer.zero_grad()
        layer(x).sum().backward()
        assert layer.bias is not None
        assert layer.bias.grad is not None
        return layer.bias.grad

    x = Tensor(X)
    assert step(x).tolist() == [4.0]
    handle = layer.register_full_backward_pre_hook(lambda m, outputs: (outputs[0] * 5,))
    assert [step(x).tolist() for _ in range(2)] == [[20.0]] * 2
    handle.remove()
    assert step(x).tolist() == [4.0]
    del step
    gc.collect()
    assert len(node_hooks) <= before
