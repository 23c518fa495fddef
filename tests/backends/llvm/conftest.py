"""The CPU device, and running a hand-written function on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from lazygrad import config
from lazygrad.backends.base import Launch
from lazygrad.backends.llvm.device import CPU
from lazygrad.loops.ir import Function
from lazygrad.loops.ir.verify import verify
from tests.loops.passes import legal

Arrays = dict[str, np.ndarray]
Runner = Callable[..., Arrays]


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with config.override(LAZYGRAD_CACHE=tmp_path_factory.mktemp("cache")):
        yield


@pytest.fixture(scope="session")
def cpu() -> CPU:
    return CPU()


@pytest.fixture(scope="session")
def run(cpu: CPU) -> Runner:
    """`run(function, arrays)`: the arrays by name as they are after the function has run."""

    def run_on_copies(function: Function, arrays: Arrays) -> Arrays:
        verify(function, final=True)
        copies = {name: array.copy() for name, array in arrays.items()}
        memories = [cpu.upload(copies[argument.name]) for argument in function.arguments]
        program = cpu.compile([Launch(legal(function, cpu.machine), tuple(range(len(memories))))])
        program.run(memories)
        for argument, memory in zip(function.arguments, memories, strict=True):
            cpu.download(memory, copies[argument.name])
        return copies

    return run_on_copies
