"""Random programs over tensors of a size that varies give what they give for each size alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, config

SIZES = (6, 7, 9, 13, 4, 31)


@dataclass(frozen=True)
class Varying:
    """An axis of outer * n * inner elements."""

    outer: int = 1
    inner: int = 1


Dims = tuple[int | Varying, ...]
Apply = Callable[[list[Tensor], int], Tensor]  # from the tensors so far, and n
Made = tuple[Dims, Apply] | None


def is_merged(size: int | Varying) -> bool:
    return isinstance(size, Varying) and size.outer > 1


def with_axis(dims: Dims, axis: int, *sizes: int | Varying) -> Dims:
    """The dims with other sizes in the place of one axis."""
    return (*dims[:axis], *sizes, *dims[axis + 1 :])


def shape_of(dims: Dims, n: int) -> list[int]:
    return [d if isinstance(d, int) else d.outer * n * d.inner for d in dims]


class Generator:
    """Draws one program: its inputs, and steps that each make a tensor of earlier ones."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.inputs = [self.dims_of_input() for _ in range(self.draw.randint(1, 3))]
        self.dims = list(self.inputs)  # of all tensors
        self.steps: list[Apply] = []
        kinds = [*[self.merge] * 5, *[self.move] * 3, self.elementwise, self.binary, self.reduce,
                 self.softmax, self.split, self.permute, self.cut, self.join, self.multiply,
                 self.count, self.normalize, self.drop, self.take]  # fmt: skip
        while len(self.steps) < 8:
            x = self.draw.choice([number for number, dims in enumerate(self.dims) if dims])
            axis = self.draw.randrange(len(self.dims[x]))
            if self.draw.random() < 0.7:  # most is to be seen where axes were merged
                axis = next((a for a, size in enumerate(self.dims[x]) if is_merged(size)), axis)
            made = self.draw.choice(kinds)(self.dims[x], x, axis)
            if made is not None:
                self.dims.append(made[0])
                self.steps.append(made[1])

    def dims_of_input(self) -> Dims:
        b, d, h = self.draw.choice((2, 3, 5)), self.draw.choice((1, 4, 6, 9, 16)), 2
        n = Varying()
        return self.draw.choice([(b, n, d), (b, n), (b, n, h, d), (n, d)])

    # What can follow tensor number x, along an axis of its dims; None for nothing.

    def elementwise(self, dims: Dims, x: int, axis: int) -> Made:
        name = self.draw.choice(["tanh", "relu", "abs", "sigmoid", "sin"])
        return dims, lambda t, n: getattr(t[x], name)() * 2 + 1

    def binary(self, dims: Dims, x: int, axis: int) -> Made:
        y = self.draw.choice([number for number, other in enumerate(self.dims) if other == dims])
        return dims, lambda t, n: t[x] * t[y].tanh() + t[y]

    def reduce(self, dims: Dims, x: int, axis: int) -> Made:
        name = self.draw.choice(["mean", "amax", "amin", "std"])
        return with_axis(dims, axis), lambda t, n: getattr(t[x], name)(axis)

    def softmax(self, dims: Dims, x: int, axis: int) -> Made:
        return dims, lambda t, n: t[x].softmax(axis)

    def merge(self, dims: Dims, x: int, axis: int) -> Made:
        axis = next((a - 1 for a, d in enumerate(dims) if a and isinstance(d, Varying)), axis)
        match dims[axis : axis + 2]:
            case (int() as a, int() as b):
                merged: int | Varying = a * b
            case (int() as a, Varying(outer, inner)):
                merged = Varying(a * outer, inner)
            case (Varying(outer, inner), int() as b):
                merged = Varying(outer, inner * b)
            case _:
                return None
        new = (*dims[:axis], merged, *dims[axis + 2 :])
        return new, lambda t, n: t[x].reshape(shape_of(new, n))

    def split(self, dims: Dims, x: int, axis: int) -> Made:
        size = dims[axis]
        if isinstance(size, int) or size.outer == 1:
            return None
        new = with_axis(dims, axis, size.outer, Varying(1, size.inner))
        return new, lambda t, n: t[x].reshape(shape_of(new, n))

    def permute(self, dims: Dims, x: int, axis: int) -> Made:
        order = self.draw.sample(range(len(dims)), len(dims))
        return tuple(dims[old] for old in order), lambda t, n: t[x].permute(order)

    def move(self, dims: Dims, x: int, axis: int) -> Made:
        if self.draw.random() < 0.25:
            return dims, lambda t, n: t[x].sort(axis)[0]
        name, *others = self.draw.choice([("flip",), ("roll", 1), ("cumsum",)])
        return dims, lambda t, n: getattr(t[x], name)(*others, axis)

    def cut(self, dims: Dims, x: int, axis: int) -> Made:
        return with_axis(dims, axis, 1), lambda t, n: t[x].narrow(axis, 0, 1)

    def join(self, dims: Dims, x: int, axis: int) -> Made:
        size = dims[axis]
        if isinstance(size, Varying):
            return None
        return with_axis(dims, axis, 2 * size), lambda t, n: Tensor.cat(t[x], t[x] * 2, dim=axis)

    def multiply(self, dims: Dims, x: int, axis: int) -> Made:
        if isinstance(dims[-1], int) and len(dims) > 1:
            weight = np.arange(dims[-1] * 5, dtype=np.float32).reshape(-1, 5) % 7 / 8
            return (*dims[:-1], 5), lambda t, n: t[x] @ Tensor(weight)
        return None if len(dims) != 2 else ((dims[0], dims[0]), lambda t, n: t[x] @ t[x].T / n)

    def count(self, dims: Dims, x: int, axis: int) -> Made:
        ones = [-1 if other == axis else 1 for other in range(len(dims))]
        return dims, lambda t, n: t[x] * Tensor.arange(t[x].shape[axis]).reshape(ones) / n

    def normalize(self, dims: Dims, x: int, axis: int) -> Made:
        return dims, lambda t, n: t[x] - t[x].mean(axis, keepdim=True)

    def drop(self, dims: Dims, x: int, axis: int) -> Made:
        return dims, lambda t, n: t[x].dropout(0.3)

    def take(self, dims: Dims, x: int, axis: int) -> Made:
        def ends(t: list[Tensor], n: int) -> Tensor:
            return t[x].index_select(axis, Tensor([0, t[x].shape[axis] - 1]))

        return with_axis(dims, axis, 2), ends

    def run(self, n: int) -> list[np.ndarray]:
        """The last tensors, and the gradients of the inputs, for a size."""
        lazygrad.manual_seed(n)
        draw = np.random.default_rng(n)
        inputs = [Tensor(draw.standard_normal(shape_of(d, n), np.float32)) for d in self.inputs]
        for x in inputs:
            x.requires_grad = True
        tensors = list(inputs)
        with Tensor.train():
            for step in self.steps:
                tensors.append(step(tensors, n))
        results = tensors[-3:]
        sum((x * x).mean() for x in results).backward()
        results += [x.grad for x in inputs if x.grad is not None]
        Tensor.realize(*results)
        return [x.numpy() for x in results]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(16))
def test_programs_of_a_size_that_varies(seed: int) -> None:
    program = Generator(seed)
    for n in SIZES:
        with config.override(SIZES=0):
            alone = program.run(n)
        for found, wanted in zip(program.run(n), alone, strict=True):
            size = max(1.0, float(np.abs(wanted).max()))
            np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-4 * size)
