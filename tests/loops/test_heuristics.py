"""All loop passes in order, on both kinds of machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lazygrad.loops.ir import Function, show
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower import lower
from lazygrad.targets import THRESHOLDS, Target, Thresholds
from tests.loops.passes import transform


def _stages(sample: Any, machine: Any) -> dict[str, Function]:
    """What every pass makes of a sample, by the pass's name."""
    seen: dict[str, Function] = {}
    scratch = 0 if machine.gpu else None
    function = lower(sample.kernel, "kernel", scratch, skip_padding=not machine.gpu)
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
