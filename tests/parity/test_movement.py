"""Shapes, padding, joining, and where they raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lazygrad import Tensor

Function = Callable[[Any], Any]

SAME: dict[str, Function] = {
    "reshape": lambda a: a.reshape(4, -1),
    "reshape tuple": lambda a: a.reshape((2, 30)),
    "flatten": lambda a: a.flatten(1),
    "flatten part": lambda a: a.flatten(0, 1),
    "unflatten": lambda a: a.unflatten(1, (2, -1)),
    "squeeze": lambda a: a.reshape(3, 1, 4, 1, 5).squeeze(),
    "squeeze one": lambda a: a.reshape(3, 1, 4, 1, 5).squeeze(1),
    "squeeze none": lambda a: a.squeeze(1),
    "unsqueeze": lambda a: a.unsqueeze(-1),
    "expand": lambda a: a.unsqueeze(1).expand(2, 3, 6, -1, 5),
    "permute": lambda a: a.permute(2, 0, 1),
    "transpose": lambda a: a.transpose(0, -1),
    "mT": lambda a: a.mT,
    "flip": lambda a: a.flip((0, 2)),
    "roll": lambda a: a.roll(2, 1),
    "roll flat": lambda a: a.roll(-7),
    "roll many": lambda a: a.roll((1, -2), (0, 2)),
    "narrow": lambda a: a.narrow(1, 1, 2),
    "unfold": lambda a: a.unfold(2, 3, 2),
    "repeat": lambda a: a.repeat(2, 1, 3),
    "repeat more": lambda a: a.repeat(2, 1, 3, 1),
    "repeat_interleave": lambda a: a.repeat_interleave(2, 1),
    "repeat_interleave flat": lambda a: a.repeat_interleave(3),
    "tril": lambda a: a.tril(),
    "tril diagonal": lambda a: a.tril(-1),
    "triu": lambda a: a.triu(1),
    "triangles of bools": lambda a: [(a > 9).tril(), (a > 9).triu(1), (a[0, 0] > 1).diag()],
    "diagonal": lambda a: a.diagonal(),
    "diagonal axes": lambda a: a.diagonal(1, 2, 0),
    "diagonal below": lambda a: a.diagonal(-1, 1, 2),
    "movedim": lambda a: a.movedim(0, 2),
}


@pytest.mark.parametrize("name", SAME)
def test_movement_agrees(agree: Any, name: str) -> None:
    agree(SAME[name], None, np.arange(60, dtype=np.float32).reshape(3, 4, 5))


@pytest.mark.parametrize("diagonal", [0, 2, -1])
def test_diag_agrees(agree: Any, diagonal: int) -> None:
    agree(lambda a: a.diag(diagonal), None, np.arange(3, dtype=np.float32))
    agree(lambda a: a.diag(diagonal), None, np.arange(12, dtype=np.float32).reshape(3, 4))


def test_parts_agree(agree: Any) -> None:
    x = np.arange(70, dtype=np.float32).reshape(7, 10)
    agree(lambda a: list(a.split(3)), None, x)
    agree(lambda a: list(a.split([2, 8], 1)), None, x)
    agree(lambda a: list(a.chunk(3, 1)), None, x)
    agree(lambda a: list(a.unbind(0)), None, x)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_joining_agrees(agree: Any, rng: np.random.Generator, count: int) -> None:
    parts = [rng.standard_normal((2, 1 + i % 3, 4)).astype(np.float32) for i in range(count)]
    agree(lambda *p: Tensor.cat(p, axis=1), lambda *p: torch.cat(p, 1), *parts)
    equal = [rng.standard_normal((2, 3)).astype(np.float32) for _ in range(count)]
    for axis in (0, 1, -1):
        agree(
            lambda *p, i=axis: Tensor.stack(p, axis=i), lambda *p, i=axis: torch.stack(p, i), *equal
        )


def test_joining_promotes_and_keeps_signs_of_zeros(agree: Any) -> None:
    x, y = np.array([1, 2]), np.array([0.5, -0.0], np.float32)
    agree(lambda a, b: Tensor.cat(a, b), lambda a, b: torch.cat([a, b]), x, y)
    joined = Tensor.cat(Tensor([-0.0]), Tensor([-0.0])).numpy()
    assert np.signbit(joined).all()


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("widths", [(1, 2, 2, 1), (0, 3, 1, 0), (2, 0, 0, 2)])
def test_padding_agrees(agree: Any, mode: str, widths: Any) -> None:
    x = np.arange(40, dtype=np.float32).reshape(1, 2, 4, 5)
    agree(lambda a: a.pad(widths, mode=mode), lambda a: F.pad(a, widths, mode=mode), x)


def test_padding_by_a_value_and_negative_widths_agree(agree: Any) -> None:
    x = np.arange(20, dtype=np.float32).reshape(4, 5)
    agree(
        lambda a: a.pad((1, -2, -1, 3), value=7.5), lambda a: F.pad(a, (1, -2, -1, 3), value=7.5), x
    )
    agree(lambda a: a.pad(((0, 1), None)), lambda a: F.pad(a, (0, 0, 0, 1)), x)


@pytest.mark.parametrize("indexing", ["ij", "xy"])
def test_grids_agree(agree: Any, indexing: str) -> None:
    x, y = np.arange(3, dtype=np.float32), np.arange(4, dtype=np.float32)
    agree(
        lambda a, b: Tensor.meshgrid(a, b, indexing=indexing),
        lambda a, b: torch.meshgrid(a, b, indexing=indexing),
        x,
        y,
    )


def test_creation_agrees(agree: Any) -> None:
    agree(
        lambda _: [Tensor.arange(2, 11, 3), Tensor.arange(0, 1, 0.3), Tensor.arange(5, 0, -2),
                   Tensor.linspace(-1, 1, 5), Tensor.eye(3), Tensor.eye(2, 4), Tensor.full(2, 3)],
        lambda _: [torch.arange(2, 11, 3), torch.arange(0, 1, 0.3), torch.arange(5, 0, -2),
                   torch.linspace(-1, 1, 5), torch.eye(3), torch.eye(2, 4), torch.full((2,), 3)],
        np.zeros(1, np.float32),
    )  # fmt: skip


SHAPES = [(), (1,), (3,), (1, 3), (2, 1), (2, 3), (3, 2), (2, 1, 3), (0,), (2, 0), (1, 0)]


@pytest.mark.parametrize("a", SHAPES)
@pytest.mark.parametrize("b", SHAPES)
def test_broadcasting_gives_or_refuses_the_same(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    try:
        expected: Any = tuple((torch.ones(a) + torch.ones(b)).shape)
    except RuntimeError:
        with pytest.raises(ValueError, match=r"add: shapes \(.*\) and \(.*\) do not broadcast"):
            Tensor.ones(a) + Tensor.ones(b)
    else:
        assert (Tensor.ones(a) + Tensor.ones(b)).shape == expected
