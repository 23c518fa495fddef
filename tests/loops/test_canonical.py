"""Kernels that are equal but for their memory are lowered once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import lazygrad.compile
import lazygrad.launches
import lazygrad.pipeline
import lazygrad.plans
from lazygrad import Tensor
from lazygrad.compile import realize
from lazygrad.dtypes import float32
from lazygrad.expr import Array
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Add, Buffer, Contiguous, Expand, Mul, Neg, Node, Slice
from lazygrad.loops.ir import Function
from lazygrad.loops.lower.canonical import canonical
from lazygrad.runtime.buffer import DeviceBuffer
from lazygrad.schedule.fuse import fuse

RNG = np.random.default_rng(0)


def buffer(*shape: int) -> Buffer:
    array = RNG.standard_normal(shape).astype(np.float32)
    return Buffer(DeviceBuffer.from_numpy(array, "CPU"), shape)


def rows(x: Node, start: int, size: int = 1, step: int = 1) -> Slice:
    rest = x.shape[1:]
    return Slice(x, (start, *[0] * len(rest)), (size, *rest), (step, *[1] * len(rest)))


def form(node: Node):
    (kernel,) = fuse([node], 2).kernels
    return canonical(kernel, ())


def offset(node: Node) -> int:
    """Where the only input of a kernel begins, in bytes; 0 where nothing is said."""
    x, out = Array("in0", float32, 1), Array("out0", float32, 1)
    offsets = form(node).offsets(Function("f", (out, x), 1, ()), ())
    return offsets[1] if offsets else 0


@pytest.fixture
def lowered(monkeypatch) -> Callable[[], int]:
    """How many kernels have been lowered since it was last asked."""
    count = 0
    lower = lazygrad.pipeline.lower

    def counting(*args, **named):
        nonlocal count
        count += 1
        return lower(*args, **named)

    def ask() -> int:
        nonlocal count
        lazygrad.plans._plans.clear()
        lazygrad.launches._launches.clear()
        before, count = count, 0
        return before

    monkeypatch.setattr(lazygrad.pipeline, "lower", counting)
    ask()
    return ask


def test_equal_but_for_buffers():
    a, b, c = buffer(8, 16), buffer(8, 16), buffer(8, 16)
    assert form(Add(a, Neg(b))).key == form(Add(c, Neg(a))).key
    assert form(Add(a, Neg(b))).key != form(Add(Neg(a), b)).key
    assert form(Add(a, Neg(b))).key != form(Add(a, Neg(a))).key
    assert form(Neg(a)).key != form(Neg(buffer(16, 8))).key


def test_slices_begin_with_their_input():
    x = buffer(8, 16)
    first, second = form(Neg(rows(x, 2))), form(Neg(rows(x, 5)))
    assert first.key == second.key
    assert offset(Neg(rows(x, 5))) == 5 * 16 * 4
    assert form(Neg(rows(x, 2, 2))).key != first.key
    ends = Add(rows(x, 1, 2), rows(x, 5, 2))
    assert offset(ends) == 1 * 16 * 4
    assert form(ends).key == form(Add(rows(x, 2, 2), rows(x, 6, 2))).key
    assert form(ends).key != form(Add(rows(x, 1, 2), rows(x, 6, 2))).key


def test_what_is_read_whole_too_or_is_fixed_stays():
    x = buffer(4, 16)
    whole = Add(Slice(x, (2, 0), (1, 16), (1, 1)), Slice(Neg(x), (0, 0), (1, 16), (1, 1)))
    assert not form(whole).shifts
    (kernel,) = fuse([Neg(rows(x, 2))], 2).kernels
    assert not canonical(kernel, {x}).shifts
    assert not canonical(kernel).shifts


def test_whole_lines_stay_whole():
    x = buffer(64, 3)
    moved = [offset(Neg(rows(x, n))) for n in (1, 15, 16, 40)]
    assert moved == [0, 0, 16 * 3 * 4, 32 * 3 * 4]


def test_single_elements_begin_with_their_input():
    x, y = buffer(19), buffer(16)
    scaled = [Mul(y, Expand(rows(x, n), y.shape)) for n in (3, 6)]
    assert form(scaled[0]).key == form(scaled[1]).key
    pairs = [Add(rows(x, n), rows(x, n + 2)) for n in (2, 5)]
    assert form(pairs[0]).key == form(pairs[1]).key
    assert offset(pairs[1]) == 5 * 4
    assert offset(Neg(rows(x, 5, 2))) == 0  # a vector keeps its place in the cache line


@pytest.mark.parametrize("columns", [16, 3])
@pytest.mark.parametrize("step", [1, 3, -2])
def test_values_of_any_slices(columns, step):
    x = buffer(40, columns)
    start = 4 if step < 0 else 0
    parts: list[Node] = [Contiguous(Neg(rows(x, n + start, 3, step))) for n in range(20)]
    first = Contiguous(rows(x, 0, 3))  # in memory, and what another slice is when it is shifted
    parts += [Add(rows(x, 17, 3), first), Add(rows(x, 33, 3), first)]
    for found, wanted in zip(realize(parts), evaluate(parts), strict=True):
        np.testing.assert_array_equal(found.numpy().reshape(wanted.shape), wanted)


def recurrent(x: Tensor, w: Tensor) -> Tensor:
    h = Tensor.zeros(4, 16)
    for n in range(x.shape[0]):
        h = (x[n] + h @ w).tanh()
    return h.sum()


def test_steps_of_a_recurrent_network_are_lowered_once(lowered):
    counts = []
    for steps in (8, 24):
        values = RNG.standard_normal((steps, 4, 16)).astype(np.float32)
        w = Tensor(RNG.standard_normal((16, 16)).astype(np.float32) / 4, requires_grad=True)
        x = Tensor(values).realize()
        w.realize()
        loss = recurrent(x, w)
        (gradient,) = loss.gradient(w)
        lowered()
        wanted = evaluate([loss.node, gradient.node])
        Tensor.realize(loss, gradient)
        counts.append(lowered())
        np.testing.assert_allclose(loss.numpy(), wanted[0], 1e-4)
        np.testing.assert_allclose(gradient.numpy(), wanted[1], 1e-3, 1e-4)
    assert counts[1] <= counts[0] + 8


def test_dtype_and_constants_tell_kernels_apart(lowered):
    x = Tensor(VALUES).realize()
    results = [(x * factor).numpy() for factor in (2.5, 3.5)]
    for found, factor in zip(results, (2.5, 3.5), strict=True):
        np.testing.assert_array_equal(found, VALUES * np.float32(factor))
    assert x.dtype == float32


VALUES = RNG.standard_normal((5, 7)).astype(np.float32)


@pytest.mark.parametrize("shape", [(10, 3), (16, 8)])
def test_a_product_of_a_padded_factor_is_another_function(shape):
    """It leaves out the terms of the padding, also where the factor is in memory."""
    a, w = (RNG.standard_normal(s).astype(np.float32) for s in (shape, (shape[1], shape[1])))
    weight = Tensor(w).realize()
    padded = Tensor(a).realize().pad((1, 0))[:, :-1]
    product = padded @ weight
    Tensor.realize(padded, product)
    np.testing.assert_allclose(product.numpy(), padded.numpy() @ w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose((Tensor(a).realize() @ weight).numpy(), a @ w, rtol=1e-4, atol=1e-5)
