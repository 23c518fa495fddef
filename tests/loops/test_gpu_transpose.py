"""Squares turned in local memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.expr import Var
from lazygrad.graph.simplify import simplify
from lazygrad.loops.gpu.transpose import across_loop, schedule_squares
from lazygrad.loops.ir import Body, For, Function, show, statements
from lazygrad.loops.ir.rebuild import nest, peel
from lazygrad.loops.lower import lower
from lazygrad.loops.primitives import Schedule, merge
from lazygrad.loops.unroll import unroll
from lazygrad.loops.vectorize import vectorize
from lazygrad.schedule.fuse import fuse


def values(*shape: int) -> Tensor:
    return Tensor((np.random.default_rng(shape).integers(-24, 25, shape) / 8).astype(np.float32))


def kernel_of(x: Tensor) -> Any:
    (kernel,) = fuse(simplify([x._node]), cores=1).kernels
    function = lower(kernel, "kernel")
    loops, inside = peel(function.body)
    return kernel, function, *merge([loop.var for loop in loops], inside)


def in_squares(loops: list[Var], inside: Body, y: Var, items: int) -> Body:
    s = Schedule(nest(loops, inside))
    schedule_squares(s, y, items)
    return s.done()


TRANSPOSED = {
    "whole squares": lambda: values(32, 32).T.contiguous(),
    "borders": lambda: values(37, 41).T * 2,
    "borders of vectors": lambda: values(40, 36).T + values(36, 40),
    "a batch": lambda: values(2, 20, 16).transpose(1, 2).contiguous(),
    "two of them": lambda: (values(33, 20).T + values(33, 20).T.exp()).relu(),
    "read both ways": lambda: (x := values(36, 36)) + x.T,
    "padded": lambda: values(20, 24).T.pad((1, 1, 0, 0)) + 1,
}


@pytest.mark.parametrize("items", [32, 256])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_values_stay(name: str, items: int, sample: Any) -> None:
    kernel, function, loops, inside = kernel_of(TRANSPOSED[name]())
    y = across_loop(loops, inside, items)
    assert y is not None
    body = in_squares(loops, inside, y, items)
    made = type(sample("map"))(kernel, function)
    made.agrees(made.with_body(unroll(vectorize(body))))


def test_memory_is_read_and_written_along_items() -> None:
    _, _, loops, inside = kernel_of(values(64, 64).T.contiguous())
    y = across_loop(loops, inside, 256)
    assert y is not None
    body = in_squares(loops, inside, y, 256)
    text = show(Function("f", (), 0, body))
    (read,) = (line for line in text.splitlines() if "in0[" in line)
    assert "= (tile_0_filler % 8)" in text
    assert read.endswith("* 4)) + tile_0_near)]")
    assert "+ i1_i)]" in text
    groups = [s for s in statements(body) if isinstance(s, For) and s.kind == "workgroup"]
    assert [g.extent for g in groups] == [2, 2]


@pytest.mark.parametrize(
    "x",
    [
        lambda: values(64, 64) + 1,
        lambda: values(64, 64) + values(64, 1),
        lambda: values(64, 8).T.contiguous(),
        lambda: values(8, 64).T.contiguous(),
        lambda: values(64),
    ],
)
def test_what_is_read_as_it_is_written_is_not_transposed(x: Any) -> None:
    _, _, loops, inside = kernel_of(x() * 2)
    assert across_loop(loops, inside, 256) is None
