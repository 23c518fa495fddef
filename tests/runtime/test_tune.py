"""Which of a kernel's plans is chosen by measured time, and that the choice is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, config
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
    monkeypatch.setattr(tune, "SECONDS", 1e-4)
    with config.override(LAZYGRAD_CACHE=str(tmp_path)):
        yield


FUNCTION = Function("f", (Array("out0", float32, 4), Array("in0", float32, 8)), 1, ())


def fastest(device: Any, *keys: str) -> str:
    """The key of the launch that is chosen among those with these keys."""
    return tune.fastest(keys, lambda n: Launch(FUNCTION, (), key=keys[n]), device).key


def test_the_fastest_is_chosen_and_remembered() -> None:
    device = Stopwatch()
    assert fastest(device, "3", "1", "2") == "1"
    assert device.compiled == ["3", "1", "2"]
    again = Stopwatch()
    assert fastest(again, "3", "1", "2") == "1"
    assert not again.compiled


def test_other_candidates_are_measured() -> None:
    device = Stopwatch()
    fastest(device, "3", "1")
    assert fastest(device, "3", "1", "0.5") == "0.5"


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
    assert "tuned dot" in capsys.readouterr().err


def test_only_the_plan_that_was_chosen_is_shown(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = (Tensor(rng.random((64, 64), np.float32), device="CPU").realize() for _ in range(2))
    with config.override(TUNE=1, DUMP=tmp_path / "dump"):
        (a @ b).relu().realize()
    assert len(list((tmp_path / "dump").rglob("*-vectorize.txt"))) == 1
