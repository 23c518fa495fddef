"""Compiling once, in one thread or in several, and keeping the result."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial

import pytest
from llvmlite.binding import ffi

from lazygrad import config
from lazygrad.backends.llvm import build
from lazygrad.backends.llvm.build import Build, Source
from lazygrad.backends.llvm.build import _Task as Task
from lazygrad.backends.llvm.codegen import codegen
from lazygrad.backends.llvm.device import CPU
from lazygrad.backends.llvm.target import Target, host
from lazygrad.dtypes import float32
from lazygrad.expr import Array, Literal, Op, Var
from lazygrad.loops.ir import Accumulate, For, Function
from tests.loops.passes import legal


def texts(count: int, offset: int = 0) -> list[tuple[str, str]]:
    """`count` different functions, all named f."""
    x, i = Array("x", float32, 64), Var("i", 64)
    result = []
    for n in range(count):
        value = Op("add", (Literal(float(n + offset), float32), Literal(1.0, float32)))
        loop = For(i, 64, "parallel", (Accumulate(x, i, "sum", value),))
        result.append(("f", codegen(legal(Function("f", (x,), 1, (loop,)), CPU().machine), host())))
    return result


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that this process compiles."""
    seen: list[str] = []
    to_object = build._to_object

    def counting(text: str, target: object) -> bytes:
        seen.append(text)
        return to_object(text, target)  # type: ignore[arg-type]

    monkeypatch.setattr(build, "_to_object", counting)
    return seen


def make(functions: list[tuple[str, str]]) -> dict[str, build.Kernel]:
    one = Build(host())
    for name, text in functions:
        one.add(name, text, partial(Source, text))
    return one.finish()


def test_a_function_is_compiled_once(compiled: list[str]) -> None:
    functions = texts(3, offset=100)
    kernels = make(functions + functions)
    assert len(compiled) == 3
    assert len({kernel.address for kernel in kernels.values()}) == 3
    again = make(functions[:1])
    assert len(compiled) == 3
    assert again[functions[0][1]] is kernels[functions[0][1]]


def test_another_process_finds_it_on_disk(compiled: list[str]) -> None:
    functions = texts(2, offset=200)
    make(functions)
    assert all(text not in build._kernels for _, text in functions), "nobody holds the code"
    make(functions)
    assert len(compiled) == 2


def test_a_damaged_entry_is_compiled_again(compiled: list[str]) -> None:
    functions = texts(1, offset=300)
    make(functions)
    folder = build._cache().folder
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:-10])
    make(functions)
    assert len(compiled) == 2
    make(functions)
    assert len(compiled) == 2


def test_processors_do_not_share_code() -> None:
    assert build._fingerprint(host()) != build._fingerprint(replace(host(), cpu="generic"))


def test_helpers_compile_too(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = _compiling_threads(monkeypatch)
    with config.override(THREADS=3):
        kernels = make(texts(12, offset=400))
    assert len({kernel.address for kernel in kernels.values()}) == len(threads) == 12
    assert "lazygrad-build" in threads


def _compiling_threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of the thread that compiled, for each function. The main thread waits for the
    helpers, which may end before the last function is added, and compiles what they left."""
    threads: list[str] = []
    take, to_object = build._next, build._to_object

    def take_after_helpers(tasks: list[Task]) -> Task | None:
        if threading.current_thread() is threading.main_thread():
            for helper in threading.enumerate():
                if helper.name == "lazygrad-build":
                    helper.join()
        return take(tasks)

    def noting(text: str, target: Target) -> bytes:
        threads.append(threading.current_thread().name)
        return to_object(text, target)

    monkeypatch.setattr(build, "_next", take_after_helpers)
    monkeypatch.setattr(build, "_to_object", noting)
    return threads


def test_a_helpers_complaint_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = _compiling_threads(monkeypatch)
    bad = [(f"g{n}", f"define void @g{n}() {{ nonsense }}") for n in range(2)]
    with config.override(THREADS=2), pytest.raises(build.CompilerError, match="llvm: g0: "):
        make(bad)
    assert threads[0] == "lazygrad-build"


def test_a_helper_that_runs_out_of_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: str, target: Target) -> bytes:
        raise MemoryError("none left")

    _compiling_threads(monkeypatch)
    monkeypatch.setattr(build, "_to_object", fail)
    with config.override(THREADS=2), pytest.raises(MemoryError, match="none left"):
        make(texts(2, offset=500))


def test_llvmlite_has_the_function_without_its_lock() -> None:
    assert callable(ffi.lib.LLVMPY_TargetMachineEmitToMemory._cfn)
