"""Plans on disk: what one process has compiled, the next one only loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lazygrad.compile
import lazygrad.launches
import lazygrad.plans
from lazygrad import Tensor, TinyJit, config, looking, pipeline, scan, stages
from lazygrad.backends.llvm import build
from lazygrad.errors import CompilerWarning
from lazygrad.runtime import saved

VALUES = np.random.default_rng(0).standard_normal((7, 33)).astype(np.float32)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], int]:
    """How many graphs have been compiled since it was last asked, in a process that each time
    forgets all but what is on disk."""
    count = 0
    compile_graph = lazygrad.compile.compile_graph

    def counting(*args):
        nonlocal count
        count += 1
        return compile_graph(*args)

    def ask() -> int:
        nonlocal count
        for cache in (
            lazygrad.plans._plans,
            lazygrad.launches._launches,
            lazygrad.launches._functions,
            build._kernels,
        ):
            cache.clear()
        before, count = count, 0
        return before

    monkeypatch.setattr(lazygrad.compile, "compile_graph", counting)
    monkeypatch.setattr(looking, "checks", False)
    monkeypatch.setattr(config, "LAZYGRAD_CACHE", tmp_path)
    monkeypatch.setattr(config, "DEBUG", 0)
    ask()
    return ask


def softmax_sum() -> np.ndarray:
    x = Tensor(VALUES)
    return ((x * 1.7).softmax(1) @ x.T).numpy()


def files(folder: str = "plans") -> list[Path]:
    return sorted((config.LAZYGRAD_CACHE / folder).iterdir())


def test_a_plan_made_without_a_pass_is_not_saved(compiled, monkeypatch) -> None:
    """A pass that fails is left out; the next process tries again."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    whole = pipeline.PASSES
    left_out = tuple(replace(p, function=broken) if p.name == "fuse" else p for p in whole)
    monkeypatch.setattr(stages, "strict", False)
    monkeypatch.setattr(pipeline, "PASSES", left_out)
    pipeline.passes.cache_clear()
    with pytest.warns(CompilerWarning, match="pass fuse"):
        values = softmax_sum()
    assert compiled() == 1
    assert not (config.LAZYGRAD_CACHE / "plans").exists()
    monkeypatch.setattr(pipeline, "PASSES", whole)
    pipeline.passes.cache_clear()
    np.testing.assert_allclose(softmax_sum(), values, rtol=1e-5, atol=1e-6)
    assert (compiled(), len(files())) == (1, 1)


def test_what_was_compiled_is_loaded(compiled):
    first = softmax_sum()
    assert compiled() > 0
    np.testing.assert_array_equal(softmax_sum(), first)
    assert compiled() == 0


@pytest.mark.skipif(not config.OPT, reason="each size is compiled")
def test_a_loop_of_any_number_of_steps_is_loaded(compiled):
    def values() -> list[list[float]]:
        w, found = Tensor(VALUES[:, :7]), []
        lazygrad.plans._sizes.clear()
        for n in (5, 9, 7, 12):
            rows = Tensor(np.ones((n, 7), np.float32), requires_grad=True)
            end, _ = scan(lambda h, x: ((h @ w + x).tanh(), None), Tensor.zeros(7), rows)
            found.append(end.sum().gradient(rows)[0].flatten().tolist())
        return found

    first = values()
    assert compiled() > 0
    assert values() == first
    assert compiled() == 0


def test_a_captured_step_is_loaded_too(compiled):
    def losses() -> list[float]:
        w = Tensor(VALUES, requires_grad=True).realize()

        @TinyJit
        def step() -> Tensor:
            loss = (w * w).mean()
            (gradient,) = loss.gradient(w)
            w.assign(w.detach() - gradient * 3)
            return loss

        return [step().item() for _ in range(4)]

    first = losses()
    assert compiled() > 0
    assert losses() == first
    assert compiled() == 0


def test_checks_of_indices_are_loaded_too(compiled):
    """The message is that of the graph that runs, not of the one that was saved."""

    def picked(*places: int) -> None:
        @TinyJit
        def captured(places: Tensor) -> Tensor:
            return Tensor(VALUES)[places] * 5

        for place in places:
            captured(Tensor([1, place]))

    def computed(place: int) -> None:
        (Tensor(VALUES)[Tensor([0, place]) + 0] * 3).numpy()

    picked(1, 2)
    computed(6)
    assert compiled() > 0
    with pytest.raises(
        IndexError, match=r"index \(test_saved.py:\d+\): index -8 is outside -7 to 6"
    ):
        picked(1, 2, -8)
    with pytest.raises(IndexError, match="index 7 is outside -7 to 6"):
        computed(7)
    assert compiled() == 0


@pytest.mark.parametrize("folder", ["plans", "llvm"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_damaged_files_are_as_if_not_there(compiled, folder, damage):
    first = softmax_sum()
    count = compiled()
    for path in files(folder):
        data = path.read_bytes()
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(data[:-9] if damage == "cut" else data[:-3] + b"???")
    np.testing.assert_array_equal(softmax_sum(), first)
    assert compiled() == count


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("outputs"),
        lambda record: record["outputs"].append(["x"]),
        lambda record: record.update(steps=[{"device": "CPU"}]),
        lambda record: record["allocations"].append(3),
        lambda record: record["steps"][0].update(machine="another"),
        lambda record: record["steps"][0]["launches"][0].__setitem__(0, 99),
    ],
)
def test_a_record_that_does_not_fit_is_as_if_not_there(compiled, monkeypatch, change):
    first = softmax_sum()
    count = compiled()
    load = json.loads

    def changed(data):
        record = load(data)
        change(record)
        return record

    monkeypatch.setattr(saved.json, "loads", changed)
    np.testing.assert_array_equal(softmax_sum(), first)
    assert compiled() == count


def test_other_source_and_other_settings_compile_anew(compiled, monkeypatch):
    softmax_sum()
    count = compiled()
    monkeypatch.setattr(config, "THREADS", config.THREADS + 1)
    softmax_sum()
    assert compiled() == count
    monkeypatch.setattr(saved, "source_digest", lambda: "other source")
    softmax_sum()
    assert compiled() == count


def test_what_is_to_be_seen_or_checked_is_compiled(compiled, monkeypatch):
    softmax_sum()
    count = compiled()
    monkeypatch.setattr(looking, "checks", True)
    softmax_sum()
    assert compiled() == count


def test_the_key_is_the_same_in_every_process(tmp_path):
    script = (
        "from lazygrad import Tensor, compile\n"
        "work, ran = compile.compile_graph, []\n"
        "compile.compile_graph = lambda *args: ran.append(1) or work(*args)\n"
        "x = Tensor([[1.0, float('nan')], [-0.0, 3.0]])\n"
        "y = (x.pad(((1, 0), (0, 2)), value=-0.0) / 3).sum(1).exp()\n"
        "print(y.numpy().tolist(), len(ran))\n"
    )
    texts = []
    for seed in ("1", "2"):
        environment = {**os.environ, "LAZYGRAD_CACHE": str(tmp_path), "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        texts.append(done.stdout.rsplit(maxsplit=1))
    assert texts[0][0] == texts[1][0]
    assert [int(count) for _, count in texts] == [1, 0]
