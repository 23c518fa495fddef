"""Memory, programs of many launches, threads, forks, interrupts and exits."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lazygrad import config
from lazygrad.backends.base import Launch, joined
from lazygrad.backends.llvm import program as module
from lazygrad.backends.llvm.device import CPU
from lazygrad.backends.llvm.program import barriers_before, who_runs
from lazygrad.backends.memory import ALIGNMENT, LARGE, allocate, total_bytes
from lazygrad.dtypes import float64, int64
from lazygrad.errors import CompilerError, OutOfMemoryError
from lazygrad.expr import Array, Literal, Load, Op, Var
from lazygrad.index import add
from lazygrad.loops.ir import Accumulate, Alloc, Body, For, Function, Store
from tests.loops.passes import legal

N = 64


def plus(amount: int, kind: str = "parallel", name: str = "plus") -> Function:
    """out = x + amount, element by element."""
    out, x, i = Array("out", int64, N), Array("x", int64, N), Var("i", N)
    store = Store(out, i, add(Load(x, i), amount))
    return Function(name, (out, x), 1, (For(i, N, kind, (store,)),))


def shifted(kind: str = "parallel") -> Function:
    """out[i] = x[i - 1] + 1, around the end: every thread reads what another wrote."""
    out, x, i = Array("out", int64, N), Array("x", int64, N), Var("i", N)
    before = Op("mod", (add(i, N - 1), Literal(N)))
    store = Store(out, i, add(Load(x, before), 1))
    return legal(Function("shifted", (out, x), 1, (For(i, N, kind, (store,)),)), CPU().machine)


def contents(cpu: CPU, memory: object) -> np.ndarray:
    result = np.empty(N, np.int64)
    cpu.download(memory, result)  # type: ignore[arg-type]
    return result


# --------------------------------------------------------------------------- memory


def test_memory_is_aligned_and_reused(cpu: CPU) -> None:
    for nbytes in (0, 1, 100, 5000, LARGE + 1):
        memory = cpu.allocate(nbytes)
        assert memory.address % 64 == 0
        assert memory.nbytes >= nbytes
        address = memory.address
        del memory
        assert cpu.allocate(nbytes).address == address


@pytest.mark.parametrize("nbytes", [1000, 100_000, 2 << 20, LARGE])
def test_new_blocks_hold_zeros(nbytes: int) -> None:
    for _ in range(3):
        garbage = np.full(nbytes + ALIGNMENT, 255, np.uint8)
        del garbage  # the next block may have its memory
        address, owner = allocate(nbytes)
        assert not any(ctypes.string_at(address, nbytes))
        del owner


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("nbytes", [1000, LARGE])
def test_blocks_are_private_to_a_process(nbytes: int) -> None:
    """Linux gives huge pages to private memory only, unless it is told otherwise."""
    address, owner = allocate(nbytes)
    if not (child := os.fork()):
        ctypes.memset(address, 1, nbytes)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert not any(ctypes.string_at(address, nbytes))
    del owner


def test_blocks_in_use_are_distinct(cpu: CPU) -> None:
    blocks = sorted((cpu.allocate(1000) for _ in range(50)), key=lambda block: block.address)
    for first, second in pairwise(blocks):
        assert first.address + first.nbytes <= second.address


def test_too_much_is_refused_at_once_with_the_sizes(cpu: CPU) -> None:
    kept = cpu.allocate(1 << 20)
    with pytest.raises(
        OutOfMemoryError, match=r"CPU: .* GiB asked for, .* held by tensors; one piece has at most"
    ):
        cpu.allocate(2 * total_bytes())
    assert kept.nbytes == 1 << 20


def test_upload_shares_aligned_memory_and_copies_the_rest(cpu: CPU) -> None:
    room = np.zeros(3 << 20, np.uint8)
    start = -room.ctypes.data % 64
    small, large = room[start : start + 4096], room[start + 16 : start + 16 + (2 << 20)]
    assert cpu.upload(small).address == small.ctypes.data
    assert cpu.upload(large).address == large.ctypes.data
    assert cpu.upload(room[start + 16 : start + 80]).address != room.ctypes.data + start + 16
    odd = room[start + 1 : start + 1 + (2 << 20)]
    assert cpu.upload(odd).address % 64 == 0
    strided = np.arange(100, dtype=np.float32)[::3]
    result = np.empty_like(strided)
    cpu.download(cpu.upload(strided), result)
    np.testing.assert_array_equal(result, strided)


def test_shared_memory_lives_as_long_as_its_handle(cpu: CPU) -> None:
    memory = cpu.upload(np.arange(1 << 20, dtype=np.float64))
    result = np.empty(1 << 20, np.float64)
    cpu.download(memory, result)
    assert result[-1] == (1 << 20) - 1


# --------------------------------------------------------------------------- programs


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("kinds", [("parallel",), ("serial",), ("parallel", "serial", "serial")])
def test_launches_wait_for_those_before(cpu: CPU, threads: int, kinds: tuple[str, ...]) -> None:
    count = 60
    launches = [Launch(shifted(kinds[n % len(kinds)]), ((n + 1) % 2, n % 2)) for n in range(count)]
    program = cpu.compile(launches)
    with config.override(THREADS=threads):
        for _ in range(20):
            a, b = cpu.upload(np.zeros(N, np.int64)), cpu.allocate(8 * N)
            program.run([a, b])
            np.testing.assert_array_equal(contents(cpu, a), np.full(N, count))


def test_an_output_may_lie_over_an_input(cpu: CPU) -> None:
    memory = cpu.upload(np.arange(N))
    program = cpu.compile([Launch(plus(5), (0, 0)), Launch(plus(7), (0, 0))])
    program.run([memory])
    np.testing.assert_array_equal(contents(cpu, memory), np.arange(N) + 12)


def test_functions_of_one_name_may_differ(cpu: CPU) -> None:
    program = cpu.compile([Launch(plus(1), (1, 0)), Launch(plus(2), (2, 1))])
    memories = [cpu.upload(np.arange(N)), cpu.allocate(8 * N), cpu.allocate(8 * N)]
    program.run(memories)
    np.testing.assert_array_equal(contents(cpu, memories[2]), np.arange(N) + 3)


def test_an_argument_may_begin_inside_of_a_memory(cpu: CPU) -> None:
    memories = [cpu.upload(np.arange(3 * N)), cpu.allocate(8 * 2 * N), cpu.allocate(8 * N)]
    inside = Launch(plus(1), (1, 0), offsets=(8 * N, 8 * 2 * N))
    back = Launch(plus(5), (2, 1), offsets=(0, 8 * N))
    cpu.compile([inside, back]).run(memories)
    np.testing.assert_array_equal(contents(cpu, memories[2]), np.arange(2 * N, 3 * N) + 6)


def test_more_memories_than_slots_may_be_given(cpu: CPU) -> None:
    memories = [cpu.allocate(8 * N), cpu.upload(np.arange(N)), cpu.allocate(8)]
    cpu.compile([Launch(plus(1), (0, 1))]).run(memories)
    np.testing.assert_array_equal(contents(cpu, memories[0]), np.arange(N) + 1)


def test_no_launches(cpu: CPU) -> None:
    cpu.compile([]).run([])


def test_times_of_each_launch(cpu: CPU) -> None:
    big, i = Array("x", float64, 1 << 16), Var("i", 1 << 16)
    body: Body = (
        For(i, i.extent, "parallel", (Accumulate(big, i, "sum", Op("exp", (Load(big, i),))),)),
    )
    slow = legal(Function("slow", (big,), 1, body), cpu.machine)
    memories = [cpu.upload(np.zeros(N, np.int64)), cpu.upload(np.zeros(1 << 16))]
    for threads in (1, 2):
        with config.override(THREADS=threads):
            program = cpu.compile([Launch(plus(0), (0, 0)), Launch(slow, (1,))], timing=True)
            program.run(memories)
            quick, long = program.times()
            assert 0 < quick < long < 1


def test_texts(cpu: CPU) -> None:
    program = cpu.compile(
        [Launch(plus(1), (1, 0)), Launch(plus(1), (0, 1)), Launch(plus(2), (1, 0))]
    )
    texts = joined(program.codes())
    assert texts["llvm"].count("define void @plus(") == 2
    assert "plus:" in texts["asm"]


def test_scratch_is_each_threads_own(cpu: CPU) -> None:
    """Every iteration fills its thread's panel, then reads it back."""
    size = 5000
    out, panel = Array("out", int64, N), Array("panel", int64, size, "local")
    i, j, k = Var("i", N), Var("j", size), Var("k", size)
    body: Body = (
        Alloc(panel),
        For(j, size, "serial", (Store(panel, j, i),)),
        Store(out, i, Literal(0)),
        For(k, size, "serial", (Accumulate(out, i, "sum", Load(panel, k)),)),
    )
    function = Function("panels", (out,), 1, (For(i, N, "parallel", body),))
    memory = cpu.allocate(8 * N)
    for threads in (1, 2, 4, 3):
        with config.override(THREADS=threads):
            cpu.compile([Launch(legal(function, cpu.machine), (0,))]).run([memory])
        np.testing.assert_array_equal(contents(cpu, memory), size * np.arange(N))


def test_what_llvm_refuses_names_the_function_and_its_text(
    cpu: CPU, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "codegen", lambda *_: "define void @broken() { nonsense }")
    with pytest.raises(CompilerError, match=r"llvm: broken: .*its LLVM IR is in .*\.ll") as caught:
        cpu.compile([Launch(replace(plus(99), name="broken"), (0, 1))])
    path = str(caught.value).rpartition(" ")[2]
    with open(path) as file:
        assert "nonsense" in file.read()
    os.unlink(path)


# --------------------------------------------------------------------------- who runs what


@pytest.mark.parametrize(
    ("barriers", "shared", "expected"),
    [
        ([1, 1, 1], [1, 1, 1], [0, 1, 1]),  # nothing is to be waited for at the start
        ([1, 1, 1], [0, 0, 0], [0, 0, 0]),  # one thread is in order by itself
        ([1, 1, 1], [0, 0, 1], [0, 0, 1]),
        ([1, 1, 1], [1, 0, 1], [0, 1, 1]),
        ([1, 0, 1], [1, 1, 1], [0, 0, 1]),
        ([1, 1, 0], [0, 0, 1], [0, 0, 1]),  # the wait left out at 1 holds for 2
        ([1, 1, 0], [1, 0, 0], [0, 1, 0]),
        ([1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]),
    ],
)
def test_barriers(barriers: list[int], shared: list[int], expected: list[int]) -> None:
    assert barriers_before([*map(bool, barriers)], [*map(bool, shared)]) == [*map(bool, expected)]


def test_small_work_is_not_shared() -> None:
    small, large = replace(plus(1), flops=64, bytes=1024), replace(plus(1), flops=10**8)
    serial = replace(plus(1, "serial"), flops=10**8)

    def shared(*functions: Function) -> list[bool]:
        parallel = [function.body[0].kind == "parallel" for function in functions]
        return who_runs(functions, parallel)

    assert shared(small) == [False]
    assert shared(large, small, serial) == [True, False, False]
    assert shared(plus(1)) == [True]  # nothing is known of it
    assert shared(replace(plus(1), flops=10**5)) == [False]  # not worth waking the others


def test_a_small_share_of_the_work_wakes_no_other_thread(cpu: CPU) -> None:
    program = cpu.compile([Launch(replace(plus(1), flops=10**8), (1, 0))])
    source, result = cpu.upload(np.arange(N)), cpu.allocate(8 * N)
    with config.override(THREADS=2):
        for share, threads in ((1.0, 2), (1e-4, 1), (0.5, 2)):
            program.run([source, result], share)
            assert program.threads() == [threads]
            np.testing.assert_array_equal(contents(cpu, result), np.arange(N) + 1)


# --------------------------------------------------------------------------- threads and processes


def test_python_threads_may_run_programs_at_once(cpu: CPU) -> None:
    failures: list[int] = []
    program = cpu.compile([Launch(shifted(), ((n + 1) % 2, n % 2)) for n in range(10)])

    def work(start: int) -> None:
        for _ in range(50):
            a, b = cpu.upload(np.full(N, start)), cpu.allocate(8 * N)
            program.run([a, b])
            if (contents(cpu, a) != start + 10).any():
                failures.append(start)

    with config.override(THREADS=2):
        threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures


PROGRAM = """
import os, signal, sys, threading, time
import numpy as np
from lazygrad.backends.base import Launch
from lazygrad.backends.llvm.device import CPU
from lazygrad.dtypes import int64
from lazygrad.expr import Array, Load, Var
from lazygrad.index import add
from lazygrad.loops.ir import For, Function, Store

N = 1000
out, x, i = Array("out", int64, N), Array("x", int64, N), Var("i", N)
loop = For(i, N, "parallel", (Store(out, i, add(Load(x, i), 1)),))
function = Function("plus", (out, x), 1, (loop,))
cpu = CPU()
program = cpu.compile([Launch(function, (0, 0))] * 200)

def check():
    memory, result = cpu.upload(np.zeros(N, np.int64)), np.empty(N, np.int64)
    program.run([memory])
    cpu.download(memory, result)
    assert (result == 200).all(), result

check()
"""


def run_program(text: str, tmp_path: object, threads: int = 2) -> str:
    environment = {**os.environ, "THREADS": str(threads), "LAZYGRAD_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + text],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_a_process_ends_while_workers_wait(tmp_path: object) -> None:
    assert run_program("print('end')", tmp_path) == "end\n"


def test_one_thread_starts_no_others(tmp_path: object) -> None:
    assert run_program("print(threading.active_count())", tmp_path, threads=1) == "1\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_starts_workers_of_its_own(tmp_path: object) -> None:
    text = """
child = os.fork()
if child == 0:
    check()
    os._exit(0 if threading.active_count() == 2 else 1)
check()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("both")
"""
    assert run_program(text, tmp_path) == "both\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise")
def test_an_interrupt_leaves_the_threads_in_order(tmp_path: object) -> None:
    text = """
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored: in the background

def interrupt():
    for sent in range(20):
        while count < sent:  # two that are under way at once would be one
            time.sleep(0.001)
        time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

count = 0
threading.Thread(target=interrupt).start()
while count < 20:
    try:
        while True:
            check()
    except KeyboardInterrupt:
        count += 1
check()
print(count)
"""
    assert run_program(text, tmp_path) == "20\n"


def test_loops_that_were_left_out_are_not_taken_for_none(cpu: CPU) -> None:
    """Where the code under a key has been removed meanwhile."""
    function = plus(3)
    without = Launch(replace(function, body=()), (0, 1), key="gone", plain=function)
    assert not cpu.cached("gone")
    with pytest.raises(CompilerError, match="plus: its code is not in the cache any more"):
        cpu.compile([without])
    memories = [cpu.upload(np.arange(N)) for _ in range(2)]
    cpu.compile([replace(without, function=function, key="")]).run(memories)
