"""Which of a kernel's plans is chosen by measured time, and that the choice is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, config
from lazygrad.backends.base import Launch, Passes
from lazygrad.dtypes import float32
from lazygrad.expr import Array
from lazygrad.loops.ir import Function
from lazygrad.runtime import tune


class Stopwatch:
    """A device whose programs take the times that their passes' keys name."""

    def __init__(self) -> None:
        self.compiled: list[str] = []

    def upload(self, array: np.ndarray) -> np.ndarray:
        return array

    def synchronize(self) -> None:
        pass

    def compile(self, launches: Sequence[Launch], timing: bool) -> Stopwatch.Program:
        (launch,) = launches
        assert timing
        assert launch.passes is not None
        self.compiled.append(launch.passes.key)
        return self.Program(float(launch.passes.key))

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


def candidates(*keys: str) -> list[Passes]:
    return [Passes(key, lambda function: function) for key in keys]


FUNCTION = Function("f", (Array("out0", float32, 4), Array("in0", float32, 8)), 1, ())


def test_the_fastest_is_chosen_and_remembered() -> None:
    device: Any = Stopwatch()
    ways = candidates("3", "1", "2")
    assert tune.fastest(FUNCTION, ways, device) is ways[1]
    assert device.compiled == ["3", "1", "2"]
    again: Any = Stopwatch()
    assert tune.fastest(FUNCTION, ways, again) is ways[1]
    assert not again.compiled


def test_other_candidates_are_measured() -> None:
    device: Any = Stopwatch()
    tune.fastest(FUNCTION, candidates("3", "1"), device)
    ways = candidates("3", "1", "0.5")
    assert tune.fastest(FUNCTION, ways, device) is ways[2]


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
