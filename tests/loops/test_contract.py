"""Contractions: what is recognised, every plan's values, the plan that is chosen."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.dtypes import float32
from lazygrad.expr import Array, Literal, Load, Var
from lazygrad.graph.merge_sums import crop_sums, merge_sums
from lazygrad.graph.simplify import simplify
from lazygrad.index import TRUE, substitute
from lazygrad.loops.contraction import Contraction, by_factor, operand_stride, recognise
from lazygrad.loops.cpu import contract as blocks
from lazygrad.loops.cpu import traffic
from lazygrad.loops.cpu.contract import contract as schedule_contraction
from lazygrad.loops.cpu.plan import Tiling, plan_contraction, ranked_plans
from lazygrad.loops.ir import Alloc, Body, For, If, show, statements
from lazygrad.loops.ir.rebuild import nest, variables
from lazygrad.loops.lower import lower
from lazygrad.loops.primitives import Schedule
from lazygrad.loops.split import split_divided
from lazygrad.schedule.fuse import fuse
from lazygrad.targets import Machine, Native, Target

from .conftest import Sample

SMALL = Machine(  # vectors of four
    name="small", target=Target.CPU, cores=2, vector_bytes=16, registers=16, l1_bytes=32 << 10,
    l2_bytes=256 << 10, native=Native(),
)  # fmt: skip
NAMES = ["matmul", "matmul transposed", "batched matmul", "convolution"]


def contract(c: Contraction, plan: Tiling, machine: Machine) -> Body:
    """The loops of a contraction by a plan."""
    s = Schedule(nest(c.outer, c.body))
    schedule_contraction(s, c, plan, machine)
    return s.done()


@pytest.mark.parametrize("name", NAMES)
def test_products_are_recognised(sample: Any, name: str) -> None:
    assert recognise(sample(name).function.body) is not None


def test_other_sums_are_not(sample: Any) -> None:
    for name in ("softmax", "column sum", "map", "pool"):
        assert recognise(sample(name).function.body) is None


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_the_plan_keeps_values(sample: Any, name: str, cores: int) -> None:
    found = recognise(sample(name).function.body)
    assert found is not None
    plan = plan_contraction(found, SMALL)
    assert plan is not None
    sample(name).agrees(sample(name).with_body(contract(found, plan, replace(SMALL, cores=cores))))


@pytest.mark.parametrize("pack_a", [False, True])
@pytest.mark.parametrize("pack_b", [False, True])
def test_packing_keeps_values(sample: Any, pack_a: bool, pack_b: bool) -> None:
    found = recognise(sample("matmul").function.body)
    assert found is not None
    plan = plan_contraction(found, SMALL)
    assert plan is not None
    plan = replace(plan, pack_a=pack_a, pack_b=pack_b)
    sample("matmul").agrees(sample("matmul").with_body(contract(found, plan, SMALL)))


@pytest.mark.parametrize("l2_bytes", [1 << 20, 64, 1])
@pytest.mark.parametrize("b_bytes", [1 << 20, 0])
def test_blocks_keep_values(
    sample: Any, monkeypatch: pytest.MonkeyPatch, l2_bytes: int, b_bytes: int
) -> None:
    monkeypatch.setattr(traffic, "SUM_BLOCK_BYTES", 0)
    monkeypatch.setattr(traffic, "SUM_BLOCK_TERMS", 2)
    monkeypatch.setattr(blocks, "B_BYTES", b_bytes)
    found = recognise(sample("matmul").function.body)
    assert found is not None
    plan = plan_contraction(found, replace(SMALL, l1_bytes=8))
    assert plan is not None
    assert plan.sum_block is not None
    for packed in (False, True):
        plan = replace(plan, pack_a=packed, pack_b=packed)
        body = contract(found, plan, replace(SMALL, l2_bytes=l2_bytes))
        sample("matmul").agrees(sample("matmul").with_body(body))


@pytest.mark.parametrize(("longest", "levels"), [(6, 1), (3, 2), (1, 3)])
def test_sums_of_many_blocks_are_added_up_in_groups(
    sample: Any, monkeypatch: pytest.MonkeyPatch, longest: int, levels: int
) -> None:
    monkeypatch.setattr(blocks, "LONGEST_SUM", longest)
    monkeypatch.setattr(blocks, "GROUP_OF_BLOCKS", 2)
    found = recognise(sample("matmul").function.body)
    assert found is not None
    plan = plan_contraction(found, SMALL)
    assert plan is not None
    count = next(n for n in (4, 5, 6) if found.inner[0].extent % n == 0)
    body = contract(found, replace(plan, sum_block=(found.inner[0], count)), SMALL)
    partial_sums = {s.array for s in statements(body) if isinstance(s, Alloc)}
    assert sum(array.scope == "local" for array in partial_sums) == levels
    sample("matmul").agrees(sample("matmul").with_body(body))


@pytest.mark.parametrize("packed", [False, True])
def test_rows_come_in_blocks_that_the_second_cache_holds(sample: Any, packed: bool) -> None:
    """All columns pass by one block before the next is read, whether it was packed or not."""
    found = recognise(sample("matmul").function.body)
    assert found is not None
    plan = next(p for p in ranked_plans(found, SMALL) if [t.size for t in p.tiles] == [1, 4])
    plan = replace(plan, pack_a=packed, shared=None)

    def loops(l2_bytes: int) -> int:
        body = contract(found, plan, replace(SMALL, l2_bytes=l2_bytes))
        sample("matmul").agrees(sample("matmul").with_body(body))
        return len([s for s in statements(body) if isinstance(s, For) and "_s" in s.var.name])

    assert loops(1 << 20) == 0
    assert loops(128) == 1


@pytest.mark.parametrize("sizes", [(512, 1024, 512), (517, 1030, 253)])
def test_blocks_that_overlap_add_their_sums_once(sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    random = np.random.default_rng(0)
    a = random.standard_normal((m, k)).astype("float32")
    b = random.standard_normal((k, n)).astype("float32")
    result = (Tensor(a) @ Tensor(b)).numpy()
    np.testing.assert_allclose(result, a @ b, rtol=1e-3, atol=1e-3)


def test_text(sample: Any, golden: Any) -> None:
    found = recognise(sample("matmul").function.body)
    assert found is not None
    plan = plan_contraction(found, SMALL)
    assert plan is not None
    golden("contract.txt", show(sample("matmul").with_body(contract(found, plan, SMALL))))


def test_rows_whose_windows_overlap_leave_registers_free() -> None:
    image, weight = (
        Tensor(np.ones(shape, np.float32)) for shape in ((1, 4, 16, 16), (16, 4, 3, 3))
    )
    node = simplify([image.conv2d(weight).node])
    found = recognise(lower(fuse(node, 2).kernels[-1], "convolution").body)
    assert found is not None
    inner = found.inner[-1]
    for plan in ranked_plans(found, SMALL):
        *beside, x = plan.tiles
        a = found.b if plan.swap else found.a
        overlap = any(t.size > 1 and operand_stride(a, t.var) == 1 for t in beside)
        if plan.lanes is None and overlap and operand_stride(a, inner) == 1:
            sums = prod(t.size for t in plan.tiles) // x.width
            assert sums + inner.extent - 1 < SMALL.registers - 1


@pytest.mark.parametrize("padding", [1, (2, 0), (0, 2)])
def test_terms_in_the_padding_are_left_out(padding: int | tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    image, weight = (
        Tensor(random.standard_normal(shape).astype("float32"))
        for shape in ((2, 2, 5, 5), (4, 2, 3, 3))
    )
    node = simplify([image.conv2d(weight, padding=padding).node])
    kernel = fuse(node, 2).kernels[-1]
    assert kernel.kind == "contraction"
    function = lower(kernel, "convolution", skips=True)
    padded = Sample(kernel, function)
    padded.agrees(function)
    found = recognise(function.body)
    assert found is not None
    plan = plan_contraction(found, SMALL)
    assert plan is not None
    body = contract(found, plan, SMALL)
    assert any(isinstance(s, If) for s in statements(body)) == (padding == 1)
    padded.agrees(padded.with_body(body))


def test_a_sum_whose_outputs_decide_whether_there_is_any_is_not_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A weight's gradient where a row of the kernel meets only the padding."""
    monkeypatch.setattr(traffic, "SUM_BLOCK_BYTES", 0)
    monkeypatch.setattr(traffic, "SUM_BLOCK_TERMS", 2)
    random = np.random.default_rng(0)
    image, weight, seed = (
        Tensor(random.standard_normal(shape).astype("float32"), requires_grad=True)
        for shape in ((2, 4, 3, 8), (4, 4, 5, 3), (2, 4, 1, 8))
    )
    image.conv2d(weight, padding=1).backward(seed)
    assert weight.grad is not None
    kernel = fuse(simplify([weight.grad.node]), 2).kernels[-1]
    function = lower(kernel, "gradient", skips=True)
    found = recognise(function.body)
    assert found is not None
    assert found.fixed
    assert found.fixed.isdisjoint(found.inner)
    tiny = replace(SMALL, l1_bytes=64)
    plan = plan_contraction(found, tiny)
    assert plan is not None
    padded = Sample(kernel, function)
    padded.agrees(padded.with_body(contract(found, plan, tiny)))


def test_loops_that_no_factor_knows_are_rows_alone() -> None:
    """The gradient of a mean is the same at every point: a loop to tile once."""
    i, j, n = (Var(name, 16) for name in "ijn")
    x, y = Array("x", float32, 16), Array("y", float32, 16)
    both, columns, rows = by_factor([i, j, n], Load(x, i), Load(y, j))
    assert (both, columns, rows) == ([], [j], [i, n])
    image = Tensor(np.ones((16, 1, 5, 5), np.float32), requires_grad=True)
    image.conv2d(Tensor(np.ones((1, 1, 3, 3), np.float32))).mean((2, 3)).sum().backward()
    assert image.grad is not None
    middle = np.array([1, 2, 3, 2, 1], np.float32)
    wanted = np.outer(middle, middle) / 9
    np.testing.assert_allclose(image.grad.numpy()[:, 0], np.tile(wanted, (16, 1, 1)), rtol=1e-6)


def test_terms_that_a_parity_of_a_stride_does_not_have_are_left_out() -> None:
    random = np.random.default_rng(0)
    image, weight, seed = (
        Tensor(random.standard_normal(shape).astype("float32"), requires_grad=True)
        for shape in ((1, 4, 8, 8), (4, 4, 3, 3), (1, 4, 4, 4))
    )
    image.conv2d(weight, stride=2, padding=1).backward(seed)
    assert image.grad is not None
    kernel = fuse(crop_sums(merge_sums(simplify([image.grad.node]))), 2).kernels[-1]
    function = lower(kernel, "gradient", skips=True)
    body = split_divided(function.body)
    padded = Sample(kernel, function)
    found = recognise(body)
    assert found is not None
    plan = plan_contraction(found, SMALL)
    assert plan is not None
    padded.agrees(padded.with_body(contract(found, plan, SMALL)))
    (guard,) = (s.condition for s in statements(found.body) if isinstance(s, If))
    decide = sorted(variables(guard), key=lambda v: v.extent)
    short = [v for v in decide if v.extent == 2]
    assert len(short) == 4  # two parities and two taps, down and across
    middle = {v: Literal(v.extent // 2) for v in decide if v not in short}
    answers = [
        substitute(guard, {**middle, **dict(zip(short, map(Literal, bits), strict=True))})
        for bits in product((0, 1), repeat=4)
    ]
    assert answers.count(TRUE) == 9  # of 16, as the kernel has 9 places


def test_what_fits_in_l1_with_the_rows_is_not_read_again(sample: Any) -> None:
    """A tile of 4 x 4 sums reads 16 bytes of each factor for a term."""
    found = recognise(sample("matmul").function.body)
    assert found is not None
    (row,) = [v for v in found.outer if operand_stride(found.a, v) not in (None, 0)]
    (column,) = [v for v in found.outer if v is not row]
    tiles = (traffic.Tile(row, 4), traffic.Tile(column, 4, 4))
    terms = prod(v.extent for v in found.inner)

    def read(l1_bytes: int) -> float:
        machine = replace(SMALL, l1_bytes=l1_bytes)
        return traffic.l2_traffic(found, (found.a, found.b), True, tiles, None, machine)

    assert read(32 * terms) == 16
    assert read(24 * terms) == 24  # half of the columns is missing
    assert read(0) == 32
