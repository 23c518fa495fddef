"""States carried from step to step: backward() raises where PyTorch does, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import lazygrad

SECOND, CHANGED = "second time", "in place|inplace"


class Library:
    """What the programs use of a library."""

    def __init__(self, package: Any, tensor: Callable[..., Any]) -> None:
        self.package, self.tensor = package, tensor
        self._random = np.random.default_rng(0)

    def x(self) -> Any:
        """A batch."""
        return self.tensor(self._random.standard_normal((3, 4)).astype(np.float32))

    def linear(self) -> tuple[Any, Any, Callable[[], float]]:
        """A layer, its optimizer, and a function that reads a gradient."""
        layer = self.package.nn.Linear(4, 4)
        optimizer = self.package.optim.SGD(layer.parameters(), lr=0.1)
        return layer, optimizer, lambda: layer.weight.grad.sum().item()


def recurrent(cell: str, is_read: bool, keep: Callable[[Any], Any]) -> Callable[[Library], None]:
    def run(lib: Library) -> None:
        layer = getattr(lib.package.nn, cell)(4, 4)
        optimizer = lib.package.optim.SGD(layer.parameters(), lr=0.1)
        state = None
        for _ in range(3):
            optimizer.zero_grad()
            out, state = layer(lib.x().reshape(1, 3, 4), state)
            if is_read:
                out[0, 0, 0].item()
            loss = (out * out).sum()
            loss.backward()
            optimizer.step()
            loss.item()
            state = keep(state)

    return run


def accumulated(lib: Library) -> None:
    layer, _, read = lib.linear()
    state = lib.x()
    for _ in range(3):
        state = layer(state).tanh()
        state.square().sum().backward()
        read()


def retained(lib: Library) -> None:
    layer, optimizer, _ = lib.linear()
    state = lib.x()
    for _ in range(3):
        state = layer(state).tanh()
        loss = state.square().sum()
        loss.backward(retain_graph=True)
        optimizer.step()
        loss.item()


def retained_without_a_step(lib: Library) -> None:
    layer, _, read = lib.linear()
    state = lib.x()
    for _ in range(3):
        state = layer(state).tanh()
        state.square().sum().backward(retain_graph=True)
        read()


def two_losses(lib: Library) -> None:
    layer, _, read = lib.linear()
    h = layer(lib.x()).tanh()
    h.sum().backward()
    read()
    h.square().sum().backward()


def shared_exponentials(lib: Library) -> None:
    weight = lib.x().requires_grad_()
    shared = weight.exp()
    for _ in range(2):
        (shared * lib.x()).sum().backward()
        weight.grad.sum().item()


def shared_transpose(lib: Library) -> None:
    weight = lib.x().requires_grad_()
    shared = weight.T
    for _ in range(3):
        (lib.x() @ shared).square().sum().backward()
        weight.grad.sum().item()


def computed_anew(lib: Library) -> None:
    layer, _, read = lib.linear()
    x, outputs = lib.x(), []
    for _ in range(3):
        outputs.append(layer(x).tanh())
        outputs[-1].square().sum().backward()
        read()


def adversarial(lib: Library) -> None:
    maker, maker_optimizer, _ = lib.linear()
    critic, critic_optimizer, _ = lib.linear()
    for _ in range(3):
        made = maker(lib.x()).tanh()
        critic_optimizer.zero_grad()
        critic(made.detach()).square().sum().backward()
        critic_optimizer.step()
        maker_optimizer.zero_grad()
        loss = critic(made).sum().tanh()
        loss.backward()
        maker_optimizer.step()
        loss.item()


def compared_only(lib: Library) -> None:
    layer, _, read = lib.linear()
    h = layer(lib.x()).tanh()
    lib.package.where(h > 0, lib.x() @ layer.weight, lib.tensor(0.0)).sum().backward()
    read()
    h.sum().backward()
    read()


def read_afterwards(lib: Library) -> None:
    layer, optimizer, _ = lib.linear()
    for _ in range(3):
        h = layer(lib.x()).tanh()
        loss = h.square().sum()
        loss.backward()
        optimizer.step()
        loss.item(), h.argmax(1).tolist(), h.detach().sum().item(), (h * 2).sum().item()


def as_it_is(state: Any) -> Any:
    return state


def detached(state: Any) -> Any:
    return tuple(map(detached, state)) if isinstance(state, tuple) else state.detach()


PROGRAMS: dict[str, tuple[Callable[[Library], None], str]] = {
    "gru": (recurrent("GRU", False, as_it_is), SECOND),
    "lstm": (recurrent("LSTM", False, as_it_is), SECOND),
    "read before": (recurrent("GRU", True, as_it_is), SECOND),
    "detached gru": (recurrent("GRU", False, detached), ""),
    "detached lstm": (recurrent("LSTM", True, detached), ""),
    "accumulated": (accumulated, SECOND),
    "retained": (retained, CHANGED),
    "retained without a step": (retained_without_a_step, ""),
    "two losses": (two_losses, SECOND),
    "shared exponentials": (shared_exponentials, SECOND),
    "shared transpose": (shared_transpose, ""),
    "computed anew": (computed_anew, ""),
    "adversarial": (adversarial, ""),
    "compared only": (compared_only, ""),
    "read afterwards": (read_afterwards, ""),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("library", ["lazygrad", "torch"])
def test_a_backward_pass_through_an_earlier_one(name: str, library: str) -> None:
    program, message = PROGRAMS[name]
    if library == "torch":
        lib = Library(torch, torch.tensor)
    else:
        lib = Library(lazygrad, lazygrad.Tensor)
    if message:
        with pytest.raises(RuntimeError, match=message):
            program(lib)
    else:
        program(lib)


def test_the_message_says_what_to_write() -> None:
    with pytest.raises(RuntimeError, match=r"shape \(3, 4\).*detach\(\) after each"):
        accumulated(Library(lazygrad, lazygrad.Tensor))
