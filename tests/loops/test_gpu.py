"""Which kernels get which loops on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.graph.simplify import simplify
from lazygrad.loops.gpu import schedule_elements, schedule_rows
from lazygrad.loops.ir import Body, For, show, statements
from lazygrad.loops.lower import lower
from lazygrad.loops.primitives import Schedule
from lazygrad.schedule.fuse import fuse
from lazygrad.targets import Machine


def scheduled(body: Body, machine: Machine) -> tuple[Body, str]:
    s = Schedule(body)
    s.merged()
    reason = schedule_rows(s, machine)
    return s.done(), reason


def reason(x: Tensor, machine: Machine) -> str:
    (kernel,) = fuse(simplify([x._node]), cores=1).kernels
    return scheduled(lower(kernel, "kernel").body, machine)[1]


def of(*shape: int) -> Tensor:
    return Tensor(np.zeros(shape, np.float32))


@pytest.fixture
def large(gpu: Machine) -> Machine:
    return replace(gpu, cores=132, group_limit=1024)


def test_values_stay(any_sample: Any, gpu: Machine) -> None:
    if any_sample.kernel.kind not in ("sort", "scan"):
        body, _ = scheduled(any_sample.function.body, gpu)
        any_sample.agrees(any_sample.with_body(body))


def test_each_item_finds_the_place_of_one_element(sample: Any, gpu: Machine) -> None:
    sort = sample("sort")
    s = Schedule(lower(sort.kernel, "sort", 0).body)
    schedule_elements(s, gpu)
    sort.agrees(sort.with_body(s.done()))


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (lambda: of(64, 64) + 1, "a work-item 4 neighbours, 256 items a group"),
        (lambda: of(7, 9) + 1, "a work-item 1 neighbours, 256 items a group"),
        (lambda: of(64, 64).half().realize() * 2, "a work-item 8 neighbours, 256 items a group"),
        (lambda: of(64, 64).T.contiguous(), "squares of 32 x 32, transposed in local memory"),
        (lambda: of(64, 1024).softmax(), "256 items a row"),
        (lambda: of(64, 100).sum(1), "32 items a row"),
        (lambda: of(1024, 1024).sum(0), "8 columns a group, 32 items each"),
        (lambda: of(64, 64, 64).max_pool2d(2), "a work-item each position, 256 a group"),
    ],
)
def test_reasons(x: Callable[[], Tensor], text: str, large: Machine) -> None:
    assert reason(x(), large) == text


def test_the_items_of_a_map_take_whole_vectors(large: Machine) -> None:
    (kernel,) = fuse(simplify([(of(64, 64) + 1)._node]), cores=1).kernels
    body, _ = scheduled(lower(kernel, "kernel").body, large)
    kinds = [(s.kind, s.extent) for s in statements(body) if isinstance(s, For)]
    assert kinds == [("workgroup", 4), ("workitem", 256), ("vector", 4)]


@pytest.mark.parametrize("name", ["softmax", "map"])
def test_text(sample: Any, golden: Any, gpu: Machine, name: str) -> None:
    body, _ = scheduled(sample(name).function.body, gpu)
    golden(f"gpu_{name}.txt", show(sample(name).with_body(body)))
