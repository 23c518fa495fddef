"""Contractions in blocks and tiles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.graph.simplify import simplify
from lazygrad.loops.contraction import recognise
from lazygrad.loops.gpu.contract import choose_block, fills_blocks, schedule_product
from lazygrad.loops.ir import Alloc, Body, For, show, statements
from lazygrad.loops.ir.rebuild import nest
from lazygrad.loops.lower import lower
from lazygrad.loops.primitives import Schedule
from lazygrad.loops.unroll import unroll
from lazygrad.loops.vectorize import vectorize
from lazygrad.schedule.fuse import fuse
from lazygrad.targets import Machine


@pytest.fixture
def large(gpu: Machine) -> Machine:
    """A GPU of many cores."""
    return replace(gpu, cores=132, group_limit=1024)


def spread(function: Any, machine: Machine) -> Body:
    found = recognise(function.body)
    assert found is not None
    assert fills_blocks(found)
    s = Schedule(nest(found.outer, found.body))
    schedule_product(s, found, machine)
    return s.done()


def values(*shape: int) -> Tensor:
    return Tensor((np.random.default_rng(shape).integers(-24, 25, shape) / 8).astype(np.float32))


CONTRACTIONS = {
    "whole blocks": lambda: values(16, 32) @ values(32, 32),
    "borders and an epilogue": lambda: (values(9, 35) @ values(35, 22) + values(22)).relu(),
    "odd columns": lambda: values(9, 40) @ values(40, 7),
    "both transposed": lambda: values(40, 12).T @ values(8, 40).T,
    "a batch": lambda: values(3, 4, 12) @ values(3, 12, 8),
    "factors that are not 0 beyond the end": lambda: values(4, 33).exp() @ values(33, 4).exp(),
    "a convolution": lambda: values(1, 2, 4, 9).conv2d(values(5, 2, 3, 3), padding=1),
    "a copy beyond the end": lambda: values(4, 8) @ values(8, 90),
}


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_values_stay(name: str, sample: Any, gpu: Machine) -> None:
    kernel = fuse(simplify([CONTRACTIONS[name]()._node]), cores=1).kernels[-1]
    function = lower(kernel, "kernel")
    contraction = type(sample("matmul"))(kernel, function, 1e-5)
    contraction.agrees(contraction.with_body(unroll(vectorize(spread(function, gpu)))))


def test_text(sample: Any, gpu: Machine, golden: Any) -> None:
    matmul = sample("matmul transposed")
    golden("gpu_matmul.txt", show(matmul.with_body(spread(matmul.function, gpu))))


def test_few_rows_or_columns_are_no_blocks(sample: Any) -> None:
    kernel = fuse(simplify([(values(3, 64) @ values(64, 64))._node]), cores=1).kernels[-1]
    found = recognise(lower(kernel, "kernel").body)
    assert found is not None
    assert not fills_blocks(found)


@pytest.mark.parametrize(
    ("size", "shape"), [(4096, (128, 128)), (1024, (64, 128)), (512, (32, 64)), (16, (16, 64))]
)
def test_blocks_are_large_where_there_are_enough(
    size: int, shape: tuple[int, int], large: Machine
) -> None:
    assert choose_block(1, size, size // 4, 4, 1 << 16, large).shape == shape


def test_local_memory_bounds_blocks(large: Machine) -> None:
    assert sum(choose_block(1, 4096, 1024, 4, 200, large).shape) + 8 <= 200


def test_tiles_fit_local_memory_whatever_the_type(gpu: Machine) -> None:
    a = values(256, 256).cast("float64").realize()
    kernel = fuse(simplify([(a @ a)._node]), cores=1).kernels[-1]
    body = spread(lower(kernel, "kernel"), replace(gpu, local_bytes=16 << 10))
    tiles = [s.array for s in statements(body) if isinstance(s, Alloc)]
    held = sum(t.size * t.dtype.itemsize for t in tiles if t.scope == "local")
    assert 0 < held <= 16 << 10


def test_groups_and_items_of_a_large_product(large: Machine) -> None:
    kernel = fuse(simplify([(values(512, 64) @ values(64, 512))._node]), cores=1).kernels[-1]
    body = spread(lower(kernel, "kernel"), large)
    kinds = {s.kind for s in statements(body) if isinstance(s, For)}
    assert kinds == {"workgroup", "workitem", "serial", "unroll", "vector"}
