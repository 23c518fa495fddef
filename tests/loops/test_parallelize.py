"""Sharing the outermost loops."""

from __future__ import annotations

from typing import Any

import pytest

from lazygrad.loops.cpu.parallelize import bind_groups, parallelize
from lazygrad.loops.ir import For, show, statements


@pytest.mark.parametrize("tasks", [1, 5, 100])
def test_sharing_keeps_values(any_sample: Any, tasks: int) -> None:
    any_sample.agrees(any_sample.with_body(parallelize(any_sample.function.body, tasks)))


def test_as_many_loops_as_tasks_need(sample: Any) -> None:
    for tasks, extent in ((3, 5), (7, 5 * 13)):
        (loop,) = parallelize(sample("matmul").function.body, tasks)
        assert isinstance(loop, For)
        assert (loop.kind, loop.extent) == ("parallel", extent)


def test_rows_of_a_sort_are_shared(sample: Any) -> None:
    (loop,) = parallelize(sample("sort").function.body, 2)
    assert isinstance(loop, For)
    assert (loop.kind, loop.extent) == ("parallel", 7)


def test_text(sample: Any, golden: Any) -> None:
    body = parallelize(sample("pool").function.body, 8)
    golden("parallelize.txt", show(sample("pool").with_body(body)))


def test_work_groups_are_the_iterations_of_the_parallel_loop(sample: Any) -> None:
    (loop,) = bind_groups(parallelize(sample("matmul").function.body, 8))
    assert isinstance(loop, For)
    assert loop.kind == "workgroup"
    assert not [s for s in statements(loop.body) if getattr(s, "kind", "serial") != "serial"]
