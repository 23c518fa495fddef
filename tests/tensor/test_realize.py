"""What is computed along with what is asked for, counted: compilations, kernels, arithmetic."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import Any
from weakref import ref

import numpy as np
import pytest

from lazygrad import Tensor, nn
from lazygrad.runtime.execute import Plan
from lazygrad.tensor import realize as realization


@dataclass
class Counts:
    """What was compiled and run since the last `take`."""

    compiled: int = 0
    kernels: int = 0
    flops: int = 0

    def take(self) -> Counts:
        taken = Counts(self.compiled, self.kernels, self.flops)
        self.compiled = self.kernels = self.flops = 0
        return taken


@pytest.fixture
def computed() -> None:
    """The compiler itself, in place of the oracle that the other files of this folder use."""


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counts]:
    """Counts what is compiled and run."""
    compiler, counted = import_module("lazygrad.compile"), Counts()
    compile_graph, execute = compiler.compile_graph, Plan.execute

    def compiling(*args: Any) -> Plan:
        counted.compiled += 1
        return compile_graph(*args)

    def running(plan: Plan, memories: list[Any], *rest: Any) -> list[Any]:
        for run in plan.programs():
            counted.kernels += len(run.launches)
            counted.flops += sum(launch.function.flops for launch in run.launches)
        return execute(plan, memories, *rest)

    monkeypatch.setattr(compiler, "compile_graph", compiling)
    monkeypatch.setattr(Plan, "execute", running)
    realization.live.clear()  # what other tests hold is theirs
    realization.differentiated.clear()
    return counted


def floats(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(len(shape)).random(shape, np.float32))


def network(*sizes: int) -> list[Callable[[Tensor], Tensor]]:
    """Linear layers with ReLU between them, their weights computed."""
    layers: list[Any] = []
    for n, m in pairwise(sizes):
        layers += [nn.Linear(n, m), Tensor.relu]
    Tensor.realize(*nn.state.get_parameters(layers))
    return layers[:-1]


# --------------------------------------------------------------------------- losses


@pytest.mark.parametrize(
    "order",
    ["backward step", "backward step loss", "backward step accuracy loss", "loss backward step",
     "backward loss step", "accuracy backward step loss", "loss accuracy backward step"],
)  # fmt: skip
@pytest.mark.parametrize("holds_logits", [True, False])
def test_a_forward_pass_is_computed_once_in_any_order(
    counts: Counts, order: str, holds_logits: bool
) -> None:
    layers = network(64, 128, 10)
    optimizer = nn.optim.SGD(nn.state.get_parameters(layers), lr=0.1)
    x, y = floats(32, 64), Tensor(np.arange(32) % 10)
    forward = 2 * 32 * 128 * (64 + 10)  # operations of the matrix products
    backward = 2 * 32 * 128 * (64 + 10) + 2 * 32 * 10 * 128
    for step in range(3):
        optimizer.zero_grad()
        logits = x.sequential(layers)
        loss, accuracy = logits.cross_entropy(y), (logits.argmax(1) == y).sum()
        if not holds_logits:
            del logits
        counts.take()
        for action in order.split():
            if action == "backward":
                loss.backward()
            elif action == "step":
                optimizer.step()
            else:
                (loss if action == "loss" else accuracy).item()
        taken = counts.take()
        assert forward + backward <= taken.flops < 1.12 * (forward + backward)
        assert taken.compiled == 0 or step == 0 or (step == 1 and not holds_logits)


def test_losses_that_share_a_trunk_share_its_computation(counts: Counts) -> None:
    trunk, left, right = network(64, 256), network(256, 4), network(256, 4)
    product = 2 * 32 * 64 * 256

    def losses() -> tuple[Tensor, Tensor]:
        h = floats(32, 64).sequential(trunk).relu()
        return h.sequential(left).square().mean(), h.sequential(right).abs().mean()

    for first in (0, 1):
        pair = losses()
        counts.take()
        pair[first].item()
        pair[1 - first].item()
        assert product <= counts.take().flops < 1.3 * product
    one, other = losses()
    counts.take()
    (one + other).backward()
    one.item()
    weights = nn.state.get_parameters([trunk, left, right])
    Tensor.realize(*(w.grad for w in weights if w.grad is not None))
    other.item()
    assert 2 * product <= counts.take().flops < 2 * 1.3 * product


def test_a_gradient_is_the_same_whether_the_loss_was_asked_for_or_not() -> None:
    layers = network(20, 30, 10)
    weights = nn.state.get_parameters(layers)
    x, y = floats(16, 20), Tensor(np.arange(16) % 10)
    found = []
    for asks in (False, True):
        for weight in weights:
            weight.grad = None
        loss = x.sequential(layers).cross_entropy(y)
        if asks:
            loss.item()
        loss.backward()
        found.append([w.grad.numpy() for w in weights if w.grad is not None])
    for plain, asked in zip(*found, strict=True):
        np.testing.assert_allclose(plain, asked, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kept", ["detached before", "detached after", "no_grad", "as it is"])
@pytest.mark.parametrize("asks", [True, False])
def test_losses_that_are_kept_keep_no_weights(kept: str, asks: bool) -> None:
    layers = network(16, 32, 4)
    weights = nn.state.get_parameters(layers)
    optimizer = nn.optim.Adam(weights, lr=0.1)
    x, y = floats(8, 16), Tensor(np.arange(8) % 4)
    losses, storages = [], []
    asks = asks or kept == "no_grad"  # another forward pass: nothing computes it unasked
    for _ in range(5):
        optimizer.zero_grad()
        loss = x.sequential(layers).cross_entropy(y)
        if kept == "detached before":
            losses.append(loss.detach())
        if kept == "no_grad":
            with Tensor.no_grad():
                losses.append(x.sequential(layers).cross_entropy(y))
        loss.backward()
        optimizer.step()
        if kept == "detached after":
            losses.append(loss.detach())
        if kept == "as it is":
            losses.append(loss)
        if asks:
            losses[-1].item()
        storages += [ref(weight.storage) for weight in weights]
    optimizer.zero_grad()
    del loss
    gc.collect()
    alive = sum(storage() is not None for storage in storages)
    assert alive == len(weights)  # those of the last step
    assert losses[0].item() > losses[-1].item() > 0


def test_a_second_backward_pass_needs_the_graph() -> None:
    w = Tensor([1.0, 2.0], requires_grad=True).realize()
    loss = (w * w).sum()
    loss.backward()
    Tensor.realize(loss, w.grad)
    for again in (loss, loss * 2):
        assert again.requires_grad
        assert not again.is_leaf
        with pytest.raises(RuntimeError, match="retain_graph=True"):
            again.backward()
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    Tensor.realize(loss, w.grad)
    (loss * 2).backward()
    assert w.grad is not None
    assert w.grad.tolist() == [8.0, 16.0]
