"""How intermediates lie in memory."""

from __future__ import annotations

from typing import Any

from lazygrad.graph.ir import Buffer
from lazygrad.graph.simplify import simplify
from lazygrad.schedule.fuse import fuse
from lazygrad.schedule.ir import Blocked, axis_variables
from lazygrad.schedule.layout import choose_layouts


def _network(values: Any, batch: int) -> Any:
    x = values(batch, 3, 10, 10)
    y = x.conv2d(values(8, 3, 3, 3)).relu().conv2d(values(8, 8, 3, 3)).relu()
    y = y.conv2d(values(8, 8, 3, 3)).relu()
    return choose_layouts(fuse(simplify([y._node]), cores=1), 8)


def test_layouts_never_touch_outputs_nor_buffers(values: Any) -> None:
    schedule = _network(values, 16)
    laid = {n for kernel in schedule.kernels for n in kernel.layouts}
    assert laid
    assert laid.isdisjoint(schedule.outputs)
    assert not any(isinstance(n, Buffer) for n in laid)


def test_writer_and_readers_agree(values: Any) -> None:
    schedule = _network(values, 16)
    laid = {n for kernel in schedule.kernels for n in kernel.layouts}
    for kernel in schedule.kernels:
        for node in {*kernel.outputs, *kernel.inputs} & laid:
            assert kernel.layouts[node] == Blocked(8)


def test_batches_that_fill_no_vectors_stay(values: Any) -> None:
    assert not any(kernel.layouts for kernel in _network(values, 5).kernels)


def test_what_the_user_reads_of_a_lone_convolution_is_stored_in_order(values: Any) -> None:
    convolution = simplify([values(16, 3, 10, 10).conv2d(values(8, 3, 3, 3)).relu()._node])
    schedule = choose_layouts(fuse(convolution, cores=1), 8)
    assert not any(kernel.layouts for kernel in schedule.kernels)


def test_a_block_s_elements_are_neighbours() -> None:
    n, c, h = axis_variables((16, 3, 5))
    offset = Blocked(8).offset((n, c, h), (16, 3, 5))
    assert str(offset) == "(((((a0 // 8) * 120) + (a1 * 40)) + (a2 * 8)) + (a0 % 8))"
