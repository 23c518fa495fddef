"""The docstrings of nn and utils.data: everything public has one, and their equations hold."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import lazygrad
from lazygrad import Tensor, nn
from lazygrad.utils import data
from tests.docstrings import computed_by_the_oracle, examples, run

MODULES = [nn, nn.functional, nn.init, nn.optim, nn.lr_scheduler, nn.state, nn.utils, nn.utils.rnn,
           nn.utils.parametrize, nn.utils.parametrizations, data]  # fmt: skip
OURS = ("lazygrad.nn", "lazygrad.utils")


def _public(module: Any) -> dict[str, Any]:
    """The classes and functions that a module gives, by name."""
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    held = {name: getattr(module, name) for name in names}
    return {
        f"{module.__name__.removeprefix('lazygrad.')}.{name}": value
        for name, value in held.items()
        if callable(value) and value.__module__.startswith(OURS)
    }


PUBLIC = {name: value for module in MODULES for name, value in _public(module).items()}


EQUATIONS = {
    (name, line) for name, value in PUBLIC.items() for line in examples(inspect.getdoc(value) or "")
}


WITHOUT_EXAMPLE = {  # bases, what others make, parts of others, and a reader of PyTorch's files
    "LRScheduler", "Module", "RNNBase", "RNNCellBase", "Sampler",
    "PackedSequence", "ParametrizationList", "WorkerInfo",
    "drop_channels", "pack", "reduction_of", "registered", "torch_load",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    computed_by_the_oracle(monkeypatch)


def test_everything_public_is_told_of() -> None:
    assert len(PUBLIC) > 300
    assert [name for name, value in PUBLIC.items() if not inspect.getdoc(value)] == []


def test_everything_public_has_an_example() -> None:
    told = {name for name, _ in EQUATIONS}
    without = {name.rpartition(".")[2] for name in PUBLIC if name not in told}
    in_place = {name for name in without if name.endswith("_")}
    assert without - in_place == WITHOUT_EXAMPLE


@pytest.mark.parametrize(("name", "line"), sorted(EQUATIONS))
def test_equations_hold(
    name: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"Tensor": Tensor, "lazygrad": lazygrad, "nn": nn}
    for module in (nn, nn.functional, nn.init, nn.utils, nn.utils.rnn, data):
        names |= {key: value for key, value in vars(module).items() if not key.startswith("_")}
    run(line, names)


def test_there_are_equations() -> None:
    assert len(EQUATIONS) >= 120
