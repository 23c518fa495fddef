"""Which of a kernel's plans is chosen by measured time, and that the choice is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, config, launches
from lazygrad.backends.base import Launch
from lazygrad.dtypes import float32
from lazygrad.expr import Array
from lazygrad.loops.ir import Function
from lazygrad.runtime import tune


class Stopwatch:
    """A device whose programs take the times that their keys name."""

    def __init__(self) -> None:
        self.compiled: list[str] = []

    def upload(self, array: np.ndarray) -> np.ndarray:
        return array

    def synchronize(self) -> None:
        pass

    def compile(self, launches: Sequence[Launch], timing: bool) -> Stopwatch.Program:
        (launch,) = launches
        assert timing
        self.compiled.append(launch.key)
        return self.Program(float(launch.key))

    class Program:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def run(self, memories: Sequence[np.ndarray]) -> None:
            assert [m.size for m in memories] == [4, 8]

        def times(self) -> list[float]:
            return [self.seconds]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tune, "TUNE_SECONDS", 1e-4)
    with config.override(LAZYGRAD_CACHE=str(tmp_path)):
        yield


FUNCTION = Function("f", (Array("out0", float32, 4), Array("in0", float32, 8)), 1, ())


def fastest(device: Any, *plans: str) -> str:
    """The plan that is chosen among these."""
    return tune.fastest("f", plans, lambda plan: Launch(FUNCTION, (), key=plan), device)


def test_the_fastest_is_chosen_and_remembered() -> None:
    device = Stopwatch()
    assert tune.remembered("f") is None
    assert fastest(device, "3", "1", "2") == "1"
    assert device.compiled == ["3", "1", "2"]
    assert tune.remembered("f") == "1"


@pytest.mark.parametrize(
    ("size", "plan", "measured"),
    [
        (64, "merge_nest i0\nsplit i0 exact i0_o i0_i:4", False),
        (60, "split i9 exact o i:4", True),
    ],
    ids=["of another list of candidates", "for other loops"],
)
def test_a_plan_on_disk_is_carried_out_if_it_can_be(
    size: int, plan: str, measured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = []

    def first(key: str, plans: Sequence[str], *_: Any) -> str:
        chosen.append(plans[0])
        return plans[0]

    monkeypatch.setattr(launches, "remembered", lambda key: plan)
    monkeypatch.setattr(launches, "fastest", first)
    a, b = (Tensor(np.ones((size, size), np.float32), device="CPU").realize() for _ in range(2))
    with config.override(TUNE=1):
        np.testing.assert_array_equal((a @ b).numpy(), np.full((size, size), size))
    assert bool(chosen) is measured


@pytest.mark.parametrize("shape", [(96, 64, 80), (33, 129, 17)])
def test_tuned_products_have_the_same_values(
    shape: tuple[int, int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    m, k, n = shape
    random = np.random.default_rng(0)
    a = random.standard_normal((m, k)).astype(np.float32)
    b = random.standard_normal((k, n)).astype(np.float32)
    with config.override(TUNE=1, DEBUG=1):
        result = (Tensor(a, device="CPU") @ Tensor(b, device="CPU")).numpy()
    np.testing.assert_allclose(result, a @ b, rtol=1e-4, atol=1e-4)
    assert "tuned matmul" in capsys.readouterr().err


def test_only_the_plan_that_was_chosen_is_shown(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = (Tensor(rng.random((64, 64), np.float32), device="CPU").realize() for _ in range(2))
    with config.override(TUNE=1, DUMP=tmp_path / "dump"):
        (a @ b).relu().realize()
    assert len(list((tmp_path / "dump").rglob("*-vectorize.txt"))) == 1
