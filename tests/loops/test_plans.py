"""Plans: what they say is what is done; their text carried out again gives equal loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.errors import ScheduleError
from lazygrad.graph.simplify import simplify
from lazygrad.loops.chain import chain
from lazygrad.loops.ir import Function, show
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower import lower
from lazygrad.loops.plans import replay, schedule, steps
from lazygrad.loops.split import split_divided
from lazygrad.schedule.fuse import fuse
from lazygrad.targets import THRESHOLDS, Machine, Target, Thresholds
from tests.loops.passes import transform

from .conftest import CPU, GPU, Sample


@pytest.mark.parametrize("machine", [CPU, GPU], ids=lambda m: m.name)
def test_a_plan_replayed_gives_equal_loops(any_sample: Any, machine: Machine) -> None:
    function = lower(any_sample.kernel, "kernel", 0 if machine.gpu else None, not machine.gpu)
    digits = replace(function, body=split_divided(function.body))
    made = schedule(digits, any_sample.kernel.kinds, machine)
    again = replay(function, "\n".join(made.plan))
    assert again.body == made.body
    assert again.plan == made.plan


def test_every_line_of_a_plan_keeps_values(sample: Any) -> None:
    matmul = sample("matmul")
    digits = replace(matmul.function, body=split_divided(matmul.function.body))
    made = schedule(digits, matmul.kernel.kinds, CPU)
    shown = list(steps(digits, made.plan))
    assert [line for line, _ in shown] == ["", *made.plan]
    assert shown[-1][1].body == made.body
    for _, function in shown:
        matmul.agrees(function)


def test_the_parts_of_a_chain_have_plans_of_their_own() -> None:
    q, k, v = (Tensor(np.ones((6, rows, 4), np.float32)) for rows in (8, 12, 12))
    nodes = simplify([q.scaled_dot_product_attention(k, v).node])
    tiny = replace(CPU, vector_bytes=16, l2_bytes=128)
    (kernel,) = chain(fuse(nodes, cores=2), tiny).kernels
    function = lower(kernel, "attention")
    made = schedule(replace(function, body=split_divided(function.body)), kernel.kinds, tiny)
    assert [step for step in made.plan if step.startswith("part ")] == [
        f"part {n}" for n in range(len(kernel.parts))
    ]
    assert replay(function, "\n".join(made.plan)).body == made.body


def test_a_plan_by_hand_keeps_values(sample: Any) -> None:
    matmul: Sample = sample("matmul")
    by_hand = replay(
        matmul.function,
        """
        product
        split i1 guard i1_o i1_i:2 i1_l:4
        sink i1_l vector
        sink i1_i unroll
        split i0 overlap i0_o i0_i:3
        sink i0_i unroll
        reorder i1_o i0_o
        stage b panel i1_o
        bind i1_o parallel
        """,
    )
    matmul.agrees(by_hand)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("tile i0 4", "tile is none of split"),
        ("split i9 guard o i:4", "no loop i9"),
        ("split i0 guard", "split i0 guard: .*argument"),
        ("split i0 some o i:4", "some"),
        ("reorder i0 k0", "the nest has"),
        ("product", "no sum of products"),
        ("skip i0 2 4", "its body is more than an If"),
        ("skip i0 64 4", "3 iterations in blocks of 64"),
        ("skip i9 2 4", "no loop i9"),
        ("bind i0 sideways", "sideways is no kind of loop"),
        ("set_scope nothing local", "no array nothing"),
        ("set_scope acc stack", "no array acc can be in scope stack"),
        ("stage c panel all", "c is none of a product's factors"),
    ],
)
def test_what_a_plan_may_not_do_is_told(sample: Any, line: str, error: str) -> None:
    with pytest.raises(ScheduleError, match=error):
        replay(sample("softmax").function, line)


def _stages(sample: Any, machine: Any) -> dict[str, Function]:
    """What every pass makes of a sample, by the pass's name."""
    seen: dict[str, Function] = {}
    scratch = 0 if machine.gpu else None
    function = lower(sample.kernel, "kernel", scratch, skips=not machine.gpu)
    result = transform(function, sample.kernel.kinds, machine, seen.__setitem__)
    seen["transform"] = result
    return seen


def test_every_pass_keeps_values(any_sample: Any, cpu: Any, monkeypatch: Any) -> None:
    always = Thresholds(serial_work=-1)  # share even what is small
    monkeypatch.setitem(THRESHOLDS, Target.CPU, always)
    stages = _stages(any_sample, cpu)
    for function in dict.fromkeys(stages.values()):
        any_sample.agrees(function)
    verify(stages["transform"], final=True, unrolled=True)


def test_a_gpu_gets_the_same_values(any_sample: Any, gpu: Any) -> None:
    function = _stages(any_sample, gpu)["transform"]
    any_sample.agrees(function)
    verify(function, final=True, unrolled=True)


def test_reasons_are_given(any_sample: Any, cpu: Any) -> None:
    assert all(_stages(any_sample, cpu)["transform"].reasons)


def test_small_work_is_not_shared(sample: Any, cpu: Any) -> None:
    assert "parallelize" not in _stages(sample("map"), cpu)


@pytest.mark.parametrize(
    "facts", [{"vector_bytes": 16, "cores": 3}, {"vector_bytes": 64, "registers": 32}]
)
def test_other_vectors_keep_values(any_sample: Any, cpu: Any, facts: dict[str, int]) -> None:
    function = _stages(any_sample, replace(cpu, **facts))["transform"]
    any_sample.agrees(function)
    verify(function, final=True, unrolled=True)


@pytest.mark.parametrize("machine", ["cpu", "gpu"])
def test_text(sample: Any, machine: str, request: pytest.FixtureRequest, golden: Any) -> None:
    stages = _stages(sample("softmax"), request.getfixturevalue(machine))
    golden(f"transform_{machine}.txt", show(stages["transform"]))
