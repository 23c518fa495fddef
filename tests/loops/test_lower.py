"""Lowering: plain loops with the oracle's values."""

from __future__ import annotations

from typing import Any

import pytest

from lazygrad.loops.ir import For, show, statements
from lazygrad.loops.lower import lower
from lazygrad.loops.lower.nodes import Lowering
from lazygrad.loops.lower.rows import RowLowering
from lazygrad.schedule.separate import separate


def test_lowered_loops_agree_with_the_oracle(any_sample: Any) -> None:
    any_sample.agrees(any_sample.function)


def test_lowered_loops_are_serial(any_sample: Any) -> None:
    loops = [s for s in statements(any_sample.function.body) if isinstance(s, For)]
    assert {loop.kind for loop in loops} == {"serial"}


@pytest.mark.parametrize(
    "name", ["map", "pad", "half sum", "bool any", "matmul", "strided gradient"]
)
def test_a_kernel_of_one_node_is_lowered_as_one_of_several(sample: Any, name: str) -> None:
    for kernel in separate(sample(name).kernel.outputs).kernels:
        assert RowLowering(kernel).elements() == Lowering(kernel).elements()


@pytest.mark.parametrize("scratch", [None, 0], ids=["by digits or selecting", "counting"])
def test_sorting(sample: Any, scratch: int | None) -> None:
    sort = sample("sort")
    sort.agrees(lower(sort.kernel, "sort", scratch))
    few = sample("first of a sort")
    few.agrees(lower(few.kernel, "sort", scratch))


@pytest.mark.parametrize("name", ["softmax", "matmul", "scatter", "sort", "scan"])
def test_text(sample: Any, golden: Any, name: str) -> None:
    golden(f"lower_{name}.txt", show(sample(name).function))
