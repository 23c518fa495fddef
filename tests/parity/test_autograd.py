"""backward and its bookkeeping, gradients of gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor


def test_gradients_add_up_over_calls_and_uses() -> None:
    for make, to_list in ((Tensor, lambda t: t.tolist()), (torch.tensor, lambda t: t.tolist())):
        x: Any = make([1.0, 2.0], requires_grad=True)
        (x * x).sum().backward()
        (x * 3 + x).sum().backward()
        assert to_list(x.grad) == [6.0, 8.0]


def test_requires_grad_and_is_leaf_agree() -> None:
    for lib in (Tensor, torch.tensor):
        x: Any = lib([1.0, -2.0], requires_grad=True)
        y: Any = lib([1.0, 2.0])
        flags = [
            (t.requires_grad, t.is_leaf)
            for t in (x, y, x + y, y * 2, x.detach(), x > 0, (x * 2).argmax(0), x.reshape(2), x[0])
        ]
        assert flags == [
            (True, True), (False, True), (True, False), (False, True), (False, True),
            (False, True), (False, True), (True, False), (True, False),
        ]  # fmt: skip


def test_second_and_third_derivatives_agree() -> None:
    values = np.array([0.3, -0.7, 1.2], np.float64)
    for name in ("exp", "sigmoid", "tanh", "sin", "log1p", "expm1", "softplus", "gelu", "erf",
                 "silu", "logsigmoid", "asinh", "atan", "sinh"):  # fmt: skip
        x = Tensor(np.abs(values))
        first = getattr(x, name)().sum().gradient(x)[0]
        second = first.sum().gradient(x)[0]
        third = second.sum().gradient(x)[0]
        u = torch.tensor(np.abs(values), requires_grad=True)
        function = getattr(torch.nn.functional, name, None) or getattr(torch, name)
        expected = [function(u).sum()]
        for _ in range(3):
            expected.append(torch.autograd.grad(expected[-1].sum(), u, create_graph=True)[0])
        Tensor.realize(first, second, third)
        for ours, theirs in zip((first, second, third), expected[1:], strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-6, atol=1e-8)


def test_gradient_penalty_agrees() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    x, w = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    inner = (x @ w).tanh().sum().gradient(x)[0]
    (inner * inner).sum().backward()
    u, v = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    (grad,) = torch.autograd.grad((u @ v).tanh().sum(), u, create_graph=True)
    (grad * grad).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), v.grad.numpy(), rtol=1e-8)
    np.testing.assert_allclose(x.grad.numpy(), u.grad.numpy(), rtol=1e-8)


def test_changes_in_place_carry_gradient_as_in_pytorch(agree: Any) -> None:
    def run(x: Any, y: Any) -> Any:
        total = x * 0
        for i in range(3):
            total += x * i
            total *= y
        return total

    agree(run, None, np.array([1.0, 2.0], np.float32), np.array([0.5, -1.0], np.float32))


def test_methods_in_place_agree(agree: Any) -> None:
    def run(x: Any, y: Any) -> Any:
        total = x * 1
        total.add_(y, alpha=2).mul_(x).sub_(1).div_(y).clamp_(-5, 5)
        copied = x * 0
        copied.copy_(y)
        zeros, threes = x * 1, x * 1
        return [total, copied * x, zeros.zero_() + x, threes.fill_(3) * y]

    agree(run, None, np.array([1.0, 2.0], np.float32), np.array([0.5, -1.0], np.float32))


def test_gradients_are_zeroed_in_place() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.zero_().tolist() == [0.0, 0.0]
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("is_retained", [False, True])
@pytest.mark.parametrize("shares", ["loss", "what the loss is used in"])
def test_a_second_backward_pass_needs_a_retained_graph(is_retained: bool, shares: str) -> None:
    values = np.array([1.0, -2.0, 3.0], np.float32)
    ours, theirs = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    for w in (ours, theirs):
        loss = (w * w).exp().sum()
        loss.backward(retain_graph=is_retained)
        loss.item(), w.grad.tolist()
        again = loss if shares == "loss" else loss * 2
        assert again.requires_grad
        if is_retained:
            again.backward()
        else:
            with pytest.raises(RuntimeError, match="retain_graph=True"):
                again.backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-5)
