"""Rows and columns that items share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.expr import Var
from lazygrad.graph.evaluate import evaluate as evaluate_graph
from lazygrad.graph.simplify import simplify
from lazygrad.loops.gpu.rows import longest_sum
from lazygrad.loops.gpu.rows import share_columns as schedule_columns
from lazygrad.loops.gpu.rows import share_rows as schedule_rows
from lazygrad.loops.ir import Alloc, Body, For, show, statements
from lazygrad.loops.ir.rebuild import nest, peel
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower import lower
from lazygrad.loops.lower.arguments import overwrite
from lazygrad.loops.primitives import Schedule, merge
from lazygrad.loops.unroll import unroll
from lazygrad.loops.vectorize import vectorize
from lazygrad.schedule.fuse import fuse
from tests.loops.evaluate import evaluate


def values(*shape: int) -> Tensor:
    return Tensor((np.random.default_rng(shape).integers(-24, 25, shape) / 8).astype(np.float32))


def loops_of(x: Tensor) -> tuple[Any, Any, Any, Body]:
    """(kernel, function, its outer loops, what stands inside)."""
    (kernel,) = fuse(simplify([x._node]), cores=1).kernels
    function = lower(kernel, "kernel")
    loops, inside = peel(function.body)
    return kernel, function, *merge([loop.var for loop in loops], inside)


def share_rows(loops: list[Var], body: Body, items: int) -> tuple[Body, str]:
    s = Schedule(nest(loops, body))
    reason = schedule_rows(s, items)
    return s.done(), reason


def share_columns(loops: list[Var], body: Body, items: int, cores: int) -> tuple[Body, str]:
    s = Schedule(nest(loops, body))
    reason = schedule_columns(s, items, cores)
    return s.done(), reason


ROWS: dict[str, Callable[[], Tensor]] = {
    "vectors": lambda: values(3, 64).sum(1),
    "vectors of several loops": lambda: values(4, 3, 5, 8).sum((0, 2, 3)),
    "no vectors": lambda: values(5, 67).max(axis=1),
    "rows that share a group": lambda: values(7, 12).softmax(1),
    "a row of one vector": lambda: values(3, 4).softmax(1),
    "one row": lambda: values(200).logsumexp(0),
    "rows written whole": lambda: values(3, 40).layernorm() * 2,
    "a mean and a variance": lambda: values(2, 3, 4, 8).var((0, 2, 3)),
}


@pytest.mark.parametrize("items", [16, 64])
@pytest.mark.parametrize("name", ROWS)
def test_shared_rows_keep_values(name: str, items: int, sample: Any) -> None:
    kernel, function, loops, inside = loops_of(ROWS[name]())
    body, _ = share_rows(loops, inside, items)
    made = type(sample("map"))(kernel, function)
    made.agrees(made.with_body(unroll(vectorize(body))))


@pytest.mark.parametrize("shape", [(40,), (3, 67), (7, 12)])
def test_what_helpers_read_none_overwrites_before(shape: tuple[int, ...]) -> None:
    """mean[r] = mean[r] * 0.9 + the row's mean, in place, which the whole row then needs."""
    x, mean = values(*shape), values(*shape[:-1])
    new = mean * 0.9 + x.mean(-1) * 0.1
    nodes = simplify([new._node, (x - new.unsqueeze(-1))._node])
    (kernel,) = fuse(nodes, cores=1).kernels
    function = lower(kernel, "kernel")
    old = kernel.inputs.index(mean._node) + len(kernel.outputs)
    written = kernel.outputs.index(nodes[0])
    function, _ = overwrite(function, [(written, old)])
    loops, inside = peel(function.body)
    body, _ = share_rows(*merge([loop.var for loop in loops], inside), 64)
    spread = replace(function, body=unroll(vectorize(body)))
    verify(spread)
    wanted, rest = evaluate_graph(nodes)
    outputs = {
        kernel.outputs.index(node): value for node, value in zip(nodes, (wanted, rest), strict=True)
    }
    arrays = {
        f"out{written}": evaluate_graph([mean._node])[0].ravel().copy(),
        f"out{1 - written}": np.zeros(x.numel(), np.float32),
        "in0": evaluate_graph([x._node])[0].ravel(),
    }
    evaluate(spread, arrays)
    for n, value in outputs.items():
        np.testing.assert_allclose(arrays[f"out{n}"], value.ravel(), 1e-5, 1e-5)


@pytest.mark.parametrize(("cores", "width"), [(1, 32), (2, 16), (9, 8)])
@pytest.mark.parametrize("count", [40, 37])
def test_shared_columns_keep_values(cores: int, width: int, count: int, sample: Any) -> None:
    kernel, function, loops, inside = loops_of(values(50, count).sum(0) * 2)
    body, reason = share_columns(loops, inside, 64, cores)
    assert reason.startswith(f"{width} columns a group")
    made = type(sample("map"))(kernel, function)
    made.agrees(made.with_body(body))


def test_few_sums_are_added_up_in_one_step() -> None:
    def barriers(length: int) -> int:
        _, _, loops, inside = loops_of(values(2, length).sum(1))
        text = show_body(share_rows(loops, inside, 256)[0])
        return text.count("barrier")

    assert [barriers(n) for n in (7, 67, 1000)] == [1, 2, 2]


def show_body(body: Body) -> str:
    from lazygrad.loops.ir import Function

    return show(Function("f", (), 0, body))


def test_local_memory_holds_a_sum_for_each_item() -> None:
    _, _, loops, inside = loops_of(values(9, 12).sum(1))
    body, _ = share_rows(loops, inside, 64)
    (local,) = (
        s.array for s in statements(body) if isinstance(s, Alloc) and s.array.scope == "local"
    )
    items = [s.extent for s in statements(body) if isinstance(s, For) and s.kind == "workitem"]
    assert local.size == items[0] * items[1]


def test_the_longest_sum_counts_whole_nests() -> None:
    _, _, _, inside = loops_of(values(3, 40, 5).transpose(0, 1).sum((0, 2)) + 1)
    assert longest_sum(inside) == 200
    assert longest_sum(()) == 1
