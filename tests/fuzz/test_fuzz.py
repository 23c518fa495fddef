"""Random programs agree with the oracle; and the fuzzer finds faults that are there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lazygrad import config
from lazygrad.loops.legal import functions

from .__main__ import modes_of
from .generate import generate
from .program import Input, Line, Program
from .run import GROUPS, MODES, Mode, check, computed, oracle
from .shrink import shrink

ROOT = Path(__file__).parents[2]
SEEDS = 60  # about a minute on two cores


@pytest.mark.parametrize("seed", range(8))
def test_programs_agree_with_the_oracle(seed: int) -> None:
    assert not check(generate(seed), MODES[:2])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 100 + SEEDS))
def test_more_programs_agree_with_the_oracle(seed: int) -> None:
    assert not check(generate(seed), modes_of(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(300, 324))
def test_no_program_accesses_memory_outside_of_its_arrays(seed: int) -> None:
    """Every access of every kernel is tested: an access outside raises AccessError."""
    with config.override(CHECK="bounds"):
        assert not check(generate(seed), modes_of(seed))


def test_a_seed_is_a_program() -> None:
    assert generate(3) == generate(3)
    assert len({generate(seed).source() for seed in range(20)}) == 20


def test_programs_use_all_kinds_of_lines() -> None:
    text = "\n".join(generate(seed).source() for seed in range(300))
    for part in (".gradient(", ".assign(", "Tensor.cat(", "Tensor.stack(", "::-1", " @ ", ".sort(",
                 "scatter", ".clone()", "+= ", "conv2d", "bfloat16", "] = "):  # fmt: skip
        assert part in text, part


JOINED = Program(
    inputs=(Input("a0", (10, 3), "float32"), Input("a1", (4,), "float32")),
    lines=(
        Line("t0 = a0[:, :2]", ("t0",)),
        Line("t1 = t0.sin() * t0", ("t1",)),
        Line("t2 = t0.sin().stack(t1)", ("t2",)),
        Line("t3 = t1.exp()", ("t3",)),
        Line("t4 = t3 + a1.sum()", ("t4",)),
        Line("t5 = t4.clone()", ("t5",)),
        Line("t5 += 1"),
    ),
    results=("t2", "t5", "t3"),
)


def test_a_fault_is_found_and_its_program_made_small(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Legalisation takes exp(x) for x."""
    monkeypatch.setitem(functions._EVERYWHERE, "exp", lambda machine, x: x)
    together = MODES[:1]

    def fails(program: Program) -> bool:
        return bool(check(program, together))

    with config.override(LAZYGRAD_CACHE=tmp_path):
        (first, *_) = check(JOINED, together)
        assert first.startswith("together: result")
        small = shrink(JOINED, fails)
    assert [line.text for line in small.lines if "exp" in line.text]
    assert len(small.lines) <= 2
    assert [x.name for x in small.inputs] == ["a0"]


def test_state_goes_from_call_to_call() -> None:
    given = (Input("a0", (3,), "float32"), Input("s1", (3,), "float32", state=True))
    program = Program(given, (Line("s1.assign(s1 * 0.5 + a0)"),), ("s1",))
    first, second, state = oracle(program.function(), given)
    a, b, s = given[0].array(0), given[0].array(1), given[1].array(0)
    np.testing.assert_allclose(first, s * 0.5 + a, 1e-6)
    np.testing.assert_allclose(second, first * 0.5 + b, 1e-6)
    np.testing.assert_array_equal(state, second)
    for mode in (Mode("captured", captured=True), Mode("groups", GROUPS)):
        found = computed(program.function(), given, mode)
        np.testing.assert_allclose(found, [first, second, state], 1e-6)


def test_a_script_runs(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(JOINED.script("Joined"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LAZYGRAD_CACHE": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, path], env=environment, capture_output=True, text=True, check=False
    )
    assert run.stdout == "no difference\n", run.stderr
