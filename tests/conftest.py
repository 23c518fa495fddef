"""What many tests need: graph leaves that hold NumPy arrays, with no device behind them, and
random examples that are the same in every run.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from lazygrad import compile, config, looking, plans, stages
from lazygrad.dtypes import DType, to_dtype
from lazygrad.graph.ir import Buffer, Node, Sub
from lazygrad.tensor.realize import forget

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--refresh-golden", action="store_true", help="write the texts that tests compare with"
    )


def pytest_collection_finish() -> None:
    """What stays until the end, thousands of tests and all modules, is not searched for garbage:
    else each of the tests that call gc.collect(), and each capture, would take a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def what_stays_is_not_searched() -> Iterator[None]:
    """Nor are reports, compiled code and caches of the modules before this one."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)`: the text is that of the file `name` in the folder golden/ beside the
    test; `pytest --refresh-golden` writes it there instead."""

    def compare(name: str, text: str) -> None:
        path = request.path.parent / "golden" / name
        if request.config.getoption("--refresh-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert text == path.read_text(), f"{path} differs; --refresh-golden if this is meant"

    return compare


looking.checks = True  # what every pass of the compiler makes is verified
stages.strict = True  # and no fault of one is passed over


class ArrayStorage:
    """A storage that is a NumPy array."""

    def __init__(self, array: np.ndarray, device: str) -> None:
        self.array = array
        self.size = array.size
        self.dtype = to_dtype(array.dtype)
        self.device = device

    def numpy(self) -> np.ndarray:
        return self.array.reshape(-1)


Leaf = Callable[..., Buffer]


@pytest.fixture(scope="session")
def leaf() -> Leaf:
    """`leaf(values, dtype=None, device="CPU")`: a Buffer node with these elements."""

    def make(values: Any, dtype: DType | None = None, device: str = "CPU") -> Buffer:
        array = np.asarray(values, None if dtype is None else dtype.numpy)
        return Buffer(ArrayStorage(array, device), array.shape)

    return make


@pytest.fixture(scope="session")
def deep(leaf: Leaf) -> tuple[Node, Node]:
    """(x, x - 1 - 1 ...): a chain of 100,000 nodes, deeper than any stack of Python frames."""
    x = leaf([0.5])
    one = leaf([1.0])
    y: Node = x
    for _ in range(100_000):
        y = Sub(y, one)
    return x, y


@pytest.fixture(autouse=True)
def nothing_goes_along() -> None:
    """What earlier tests wrote and did not compute is not computed along with this one's."""
    forget()


@pytest.fixture
def own_plans() -> Iterator[None]:
    """Each size of an input is compiled by itself, for tests that look at plans."""
    with config.override(SIZES=0):
        yield


@pytest.fixture
def switching() -> Iterator[Callable[[Callable[[int], object], int], None]]:
    """`switching(work, count)`: run work(0), work(1), ... in threads that take turns as often as
    Python lets them; what one of them raises is raised."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def run(work: Callable[[int], object], count: int) -> None:
        with ThreadPoolExecutor(count) as pool:
            for done in [pool.submit(work, k) for k in range(count)]:
                done.result()

    yield run
    sys.setswitchinterval(before)


@pytest.fixture
def count_calls() -> Callable[[Callable[[], object]], int]:
    """`count_calls(work)`: how many functions `work()` calls, of Python's and of C's: a measure of
    time that a busy machine does not change. Garbage of earlier tests is not freed meanwhile: each
    node that goes calls functions, too."""

    def count(work: Callable[[], object]) -> int:
        calls = 0
        gc.collect()
        gc.disable()

        def called(frame: FrameType, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(called)
        try:
            work()
        finally:
            sys.setprofile(before)
            gc.enable()
        return calls

    return count


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One item a compilation; nothing was compiled before."""
    found: list[int] = []
    whole = compile.compile_graph
    monkeypatch.setattr(compile, "compile_graph", lambda *a: (found.append(1), whole(*a))[1])
    monkeypatch.setattr(plans.saved, "load", lambda key: None)
    plans._plans.clear()
    plans._varying.clear()
    plans._sizes.clear()
    return found
