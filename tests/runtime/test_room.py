"""Tensors that grow: cat onto a cache writes the new rows alone, and older values stay."""

from __future__ import annotations

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, plans
from lazygrad.errors import DeviceError, OutOfMemoryError
from lazygrad.jit.capture import Capture
from lazygrad.runtime.device import Device
from lazygrad.runtime.room import Resized, Room, Roomy

START = 5


def part(n: int, axis: int, value: float) -> np.ndarray:
    shape = [2, 3, 4]
    shape[axis] = n
    return np.full(shape, value, np.float32) + np.arange(shape[-1], dtype=np.float32)


def grow(cache: Tensor, value: float, axis: int, device: str = "CPU") -> Tensor:
    new = Tensor(part(1, axis, value), device=device).realize()
    return cache.cat(new * 2, dim=axis).realize()


def expected(values: list[float], axis: int) -> np.ndarray:
    return np.concatenate([part(START, axis, 0), *(2 * part(1, axis, v) for v in values)], axis)


def held(x: Tensor) -> Roomy:
    assert isinstance(x.storage.held, Roomy)
    return x.storage.held


@pytest.fixture(autouse=True)
def _forget_sizes():
    plans._plans.clear()
    plans._sizes.clear()


@pytest.mark.parametrize("device", ["CPU", "GPU"])
@pytest.mark.parametrize("axis", [0, 1])
def test_what_grows_keeps_its_memory_and_older_values_stay(axis, device):
    try:
        cache = Tensor(part(START, axis, 0), device=device).realize()
    except DeviceError:
        pytest.skip("no OpenCL device")
    values = [float(k) for k in range(20)]
    caches = [cache := grow(cache, value, axis, device) for value in values]
    rooms = {id(held(each).room) for each in caches[1:]}
    assert len(rooms) == 1
    for count, each in enumerate(caches, 1):
        assert np.array_equal(each.numpy(), expected(values[:count], axis))


def test_a_captured_function_writes_the_new_elements_alone():
    step = lazygrad.jit(lambda cache, new: cache.cat(new * 2, dim=1))
    cache = Tensor(part(START, 1, 0)).realize()
    values = [float(k) for k in range(12)]
    caches = [cache := step(cache, Tensor(part(1, 1, value))) for value in values]
    assert held(caches[3]).room is held(caches[-1]).room
    assert np.array_equal(cache.numpy(), expected(values, 1))
    assert np.array_equal(caches[5].numpy(), expected(values[:6], 1))


@pytest.mark.parametrize("axis", [0, 1])
def test_two_values_that_grow_from_one_share_nothing_behind_it(axis):
    cache = Tensor(part(START, axis, 0)).realize()
    for value in (1.0, 2.0, 3.0):
        cache = grow(cache, value, axis)
    one, two = grow(cache, 4.0, axis), grow(cache, 5.0, axis)
    assert held(one).room is held(cache).room
    assert held(two).room is not held(cache).room
    assert np.array_equal(grow(one, 6.0, axis).numpy(), expected([1, 2, 3, 4, 6], axis))
    assert np.array_equal(two.numpy(), expected([1, 2, 3, 5], axis))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_write_to_an_older_value_is_not_seen_in_a_newer_one(axis):
    cache = Tensor(part(START, axis, 0)).realize()
    for value in (1.0, 2.0, 3.0):
        cache = grow(cache, value, axis)
    newer = grow(cache, 4.0, axis)
    cache[0] = -1
    assert cache.numpy()[0].max() == -1
    assert np.array_equal(newer.numpy(), expected([1, 2, 3, 4], axis))
    newer += 1
    assert np.array_equal(newer.numpy(), expected([1, 2, 3, 4], axis) + 1)
    assert np.array_equal(cache.numpy()[1:], expected([1, 2, 3], axis)[1:])


def test_a_step_that_reads_the_old_value_too():
    cache = Tensor(part(START, 1, 0)).realize()
    for k in range(12):
        old = cache.numpy()
        view = cache[:, 1:]
        cache = cache.cat(Tensor(part(1, 1, float(k))), dim=1)
        total = cache.sum() + view.sum()
        Tensor.realize(cache, total)
        wanted = np.concatenate([old, part(1, 1, float(k))], 1)
        assert np.array_equal(cache.numpy(), wanted)
        np.testing.assert_allclose(total.item(), wanted.sum() + old[:, 1:].sum(), rtol=1e-5)


def test_gradients_through_what_has_grown():
    w = Tensor([2.0], requires_grad=True)
    cache = Tensor([[1.0]]) * w
    for _ in range(6):
        cache = cache.cat(cache[-1:] * w)
        cache.realize()
    cache.sum().backward()
    assert w.grad.item() == sum((k + 1) * 2.0**k for k in range(7))


def test_a_cache_beyond_a_bound_moves_once():
    cache = Tensor(part(120, 1, 0)).realize()
    rooms = []
    for k in range(20):
        cache = grow(cache, float(k), 1)
        if k:  # the first size has code of its own
            rooms.append(held(cache).room)
    assert len(dict.fromkeys(map(id, rooms))) == 2
    assert np.array_equal(cache.numpy()[:, -1], 2 * part(1, 1, 19.0)[:, 0])


def test_one_claim_on_what_lies_behind_a_value():
    memory = Room(None, 4)
    assert memory.claim(4, 6)
    assert not memory.claim(4, 5)
    assert memory.claim(6, 7)
    memory.leave(6, 4)  # somebody has gone on from there
    assert not memory.claim(4, 6)
    memory.leave(7, 6)
    assert memory.claim(6, 8)


@pytest.fixture
def refused(monkeypatch):
    """`refused(nbytes)`: how much memory from now on is too much to be given."""
    cpu, limit = Device.get("CPU"), [float("inf")]
    allocate = cpu.allocate

    def limited(nbytes):
        if nbytes > limit[0]:
            raise OutOfMemoryError(f"{nbytes} bytes are refused")
        return allocate(nbytes)

    monkeypatch.setattr(cpu, "allocate", limited)
    return lambda nbytes: limit.__setitem__(0, nbytes)


def test_what_cannot_grow_for_want_of_memory_may_try_again_in_its_place(refused):
    """A step that needs other memory fails; when there is some, the cache grows where it is."""

    def step(cache, value):
        grown = cache.cat(Tensor(part(1, 1, value)) * 2, dim=1)
        wide = (grown.sum((0, 2), keepdim=True) + Tensor(wider)).contiguous()
        return grown.realize(wide), wide

    wider = np.ones((2000, 1, 1), np.float32)
    cache = Tensor(part(START, 1, 0)).realize()
    values = [float(k) for k in range(8)]
    for value in values:
        cache, _ = step(cache, value)
    room = held(cache).room
    for _ in range(3):
        refused(4 * 2000)
        with pytest.raises(OutOfMemoryError):
            step(cache, 100.0)
        refused(float("inf"))
        values.append(8.0)
        cache, wide = step(cache, 8.0)
        assert held(cache).room is room
        np.testing.assert_allclose(wide.numpy()[7, :, 0], expected(values, 1).sum((0, 2)) + 1)
    assert np.array_equal(cache.numpy(), expected(values, 1))


def test_where_memory_at_the_next_bound_is_refused_the_old_value_stays(refused):
    cache = Tensor(part(START, 1, 0)).realize()
    values: list[float] = []
    while cache.shape[1] < 128:
        values.append(float(len(values)))
        cache = grow(cache, values[-1], 1)
    refused(4 * 2 * 4 * 128)
    for _ in range(2):
        with pytest.raises(OutOfMemoryError):
            grow(cache, 0.0, 1)
        assert np.array_equal(cache.numpy(), expected(values, 1))
    refused(float("inf"))
    for _ in range(3):
        values.append(float(len(values)))
        cache = grow(cache, values[-1], 1)
    assert np.array_equal(cache.numpy(), expected(values, 1))


@pytest.mark.parametrize("axis", [0, 1])
def test_threads_that_grow_one_cache_do_not_meet(axis, switching):
    """Of several that go on from one value, one has the memory behind it."""
    cache = Tensor(part(START, axis, 0)).realize()
    before = [1.0, 2.0, 3.0]
    for value in before:
        cache = grow(cache, value, axis)

    def work(k: int) -> None:
        mine, values = cache, [*before]
        for turn in range(30):
            values.append(float(100 * k + turn))
            mine = grow(mine, values[-1], axis)
            assert np.array_equal(mine.numpy(), expected(values, axis))
            assert np.array_equal(cache.numpy(), expected(before, axis))
            if turn % 10 == 9:
                mine, values = cache, [*before]

    switching(work, 4)


def test_memory_much_larger_than_its_elements_is_not_kept():
    from lazygrad.dtypes import float32

    memory = Device.get("CPU").allocate(4 * 2 * 128)
    assert isinstance(Resized((2, 100), (2, 128), float32, "CPU").kept(memory), Roomy)
    assert not isinstance(Resized((2, 8), (2, 128), float32, "CPU").kept(memory), Roomy)


def test_a_captured_function_keeps_its_captures_of_a_hundred_sizes(monkeypatch):
    captured: list[int] = []
    run = Capture.run
    monkeypatch.setattr(Capture, "run", lambda *given: (captured.append(1), run(*given))[1])
    # what it asks has another answer at the next size: no capture tells of others
    step = lazygrad.jit(lambda cache, new: cache.cat(new, dim=1 if cache.shape[1] % 2 else -2))
    new = Tensor(part(1, 1, 1.0)).realize()
    for _ in range(2):
        cache = Tensor(part(START, 1, 0)).realize()
        for _ in range(100):
            cache = step(cache, new)
    assert len(captured) == 100
    assert cache.shape == (2, START + 100, 4)


def test_an_older_value_at_a_bound_leaves_what_grew_from_it_alone():
    device = Device.get("CPU")
    memory = device.allocate(64)
    np.asarray(memory)[:] = 7
    older = Roomy(Room(memory, 5), Resized((5,), (16,), lazygrad.float32, "CPU"))
    Resized((5,), (8,), lazygrad.float32, "CPU").enlarged(older)
    assert (np.asarray(memory)[:64] == 7).all()


@pytest.mark.parametrize("name", ["CPU", "GPU"])
def test_beyond_a_copy_at_a_bound_is_nothing_but_zeros(name):
    try:
        device = Device.get(name)
    except DeviceError:
        pytest.skip("no OpenCL device")
    memory, found = device.upload(np.full(5, 7, np.float32)), np.empty(1024, np.float32)
    larger = Resized((5,), (1024,), lazygrad.float32, name).enlarged(memory)
    device.download(larger, found)
    assert found.tolist() == [7.0] * 5 + [0.0] * 1019
