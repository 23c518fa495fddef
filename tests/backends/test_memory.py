"""The pool of device memory, on an allocator that only counts."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from itertools import pairwise
from types import CodeType, FrameType

import pytest

from lazygrad.backends.base import show_bytes
from lazygrad.backends.memory import Memory, Pool, size_class
from lazygrad.errors import OutOfMemoryError

MIB = 1 << 20


class Counter:
    """Allocates buffers that are their size; refuses while more than `room` bytes are allocated."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.room = room
        self.calls = 0

    def __call__(self, nbytes: int) -> object:
        self.calls += 1
        if nbytes > self.room:
            raise MemoryError
        return object()


def make_pool(allocate: Counter, capacity: int = 100 * MIB, kept: int = 10 * MIB) -> Pool[Memory]:
    return Pool(
        "GPU", allocate, largest=50 * MIB, capacity=capacity, kept_limit=kept, memory=Memory
    )


def test_size_classes_hold_the_request_and_waste_an_eighth_at_most() -> None:
    sizes = [0, 1, 511, 512, 513, 5000, 8192, 8193, 100_000, MIB, MIB + 1, 3 * MIB + 7]
    for nbytes in sizes:
        size = size_class(nbytes)
        assert size % 512 == 0
        assert nbytes <= size <= max(512 + nbytes, nbytes * 9 // 8)
    assert size_class(MIB) == MIB


def test_freed_memory_is_used_again() -> None:
    allocate = Counter()
    pool = make_pool(allocate)
    first = pool.take(1000).block
    again = pool.take(1001)
    assert again.block is first
    assert allocate.calls == 1
    assert (pool.used, pool.kept) == (1024, 0)


def test_live_memory_is_not_used_again() -> None:
    pool = make_pool(Counter())
    one, other = pool.take(1000), pool.take(1000)
    assert one.block is not other.block
    assert pool.used == 2048


def test_serial_numbers_are_never_repeated() -> None:
    pool = make_pool(Counter(), kept=0)
    serials = [pool.take(1000).block.serial for _ in range(5)]
    assert len(set(serials)) == 5


def test_what_was_freed_longest_ago_goes_first() -> None:
    pool = make_pool(Counter(), kept=2 * MIB)
    memories = [pool.take(n * MIB) for n in (1, 1, 1)]
    blocks = [memory.block for memory in memories]
    while memories:
        memories.pop(0)
    assert pool.kept == 2 * MIB
    assert {pool.take(MIB).block for _ in range(1)} <= set(blocks[1:])
    del blocks
    assert pool.kept <= 2 * MIB


def test_bookkeeping_does_not_grow_with_use() -> None:
    pool = make_pool(Counter())
    for _ in range(1000):
        pool.take(1000)
    assert pool.kept == 1024
    assert [len(blocks) for blocks in pool._free.values()] == [1]
    assert not pool._given


@pytest.mark.parametrize("nbytes", [1, 1000, MIB])
def test_few_small_blocks_wait_and_no_large_one(nbytes: int) -> None:
    pool = make_pool(Counter())
    held = [pool.take(nbytes) for _ in range(200)] if nbytes < MIB else [pool.take(nbytes)]
    held.clear()
    assert len(pool._given) <= (64 if nbytes < MIB else 0)


def test_a_request_above_the_largest_piece_is_refused_at_once() -> None:
    allocate = Counter()
    with pytest.raises(OutOfMemoryError, match=r"60\.0 MiB asked for, .*; one piece .* 50\.0"):
        make_pool(allocate).take(60 * MIB)
    assert allocate.calls == 0


def test_freed_memory_makes_room_before_a_refusal() -> None:
    allocate = Counter()
    pool = make_pool(allocate, capacity=40 * MIB, kept=40 * MIB)
    pool.take(30 * MIB)
    assert pool.kept == 30 * MIB
    kept = pool.take(20 * MIB)
    assert (pool.used, pool.kept) == (20 * MIB, 0)
    with pytest.raises(
        OutOfMemoryError,
        match=r"out of memory: 30\.0 MiB asked for, 20\.0 MiB of 40\.0 MiB held by tensors",
    ):
        pool.take(30 * MIB)
    del kept
    pool.take(30 * MIB)


def test_a_refusal_of_the_device_is_tried_again_with_all_freed_memory_gone() -> None:
    allocate = Counter(room=MIB)
    pool = make_pool(allocate)
    pool.take(MIB)
    with pytest.raises(OutOfMemoryError):
        pool.take(2 * MIB)
    assert allocate.calls == 3
    assert pool.kept == 0
    allocate.room = 2 * MIB
    pool.take(2 * MIB)


def test_clear_lets_go_of_what_is_kept() -> None:
    pool = make_pool(Counter())
    pool.take(1000)
    pool.clear()
    assert pool.kept == 0


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")],
)
def test_sizes_are_told_in_units_that_fit(nbytes: int, text: str) -> None:
    assert show_bytes(nbytes) == text


def test_a_block_above_the_limit_is_not_kept() -> None:
    pool = make_pool(Counter(), kept=MIB)
    pool.take(2 * MIB)
    assert (pool.used, pool.kept) == (0, 0)


def test_wherever_giving_is_interrupted_memory_can_be_taken_afterwards() -> None:
    """Python may raise KeyboardInterrupt after any call, and where a function begins."""
    points = {
        (code, after.offset)
        for code in (Pool.give.__code__, Pool._settle.__code__)
        for before, after in pairwise(dis.get_instructions(code))
        if before.opname in ("CALL", "RESUME")
    }

    def is_interrupted(point: tuple[CodeType, int]) -> bool:
        def trace(frame: FrameType, event: str, _: object) -> Callable[..., object]:
            frame.f_trace_opcodes = True
            if event == "opcode" and (frame.f_code, frame.f_lasti) == point:
                raise KeyboardInterrupt
            return trace

        pool = make_pool(Counter())
        block = pool.take(MIB).block
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            pool.give(block)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
            assert not pool._lock.locked()
            pool.clear()
            assert pool.take(MIB).nbytes == MIB
        return False

    assert sum(map(is_interrupted, points)) > 5
