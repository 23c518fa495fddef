"""Indices out of range raise, with real kernels: at the line where values are known, else when
values are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, TinyJit
from lazygrad.runtime.device import Device

DEVICES = ["CPU", "GPU"]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(Device, "DEFAULT", request.param)
    return str(request.param)


def table(*shape: int) -> Tensor:
    return Tensor(np.arange(np.prod(shape), dtype=np.float32).reshape(shape)).realize()


def lazy(values: Any, dtype: Any = np.int64) -> Tensor:
    """An index that is not computed yet."""
    return Tensor(np.array(values, dtype)) + 0


def lines_of(function: Callable[..., Any]) -> int:
    return function.__code__.co_firstlineno


def set_rows(x: Tensor, index: Tensor) -> Tensor:
    x[index] = 1
    return x


# name: the operation for x of shape (3, 4), an index of its own shape that is out of range, the
# value that is told, and the range
OUTSIDE: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Any, str]] = {
    "gather": (lambda x, i: x.gather(0, i), [[0, 3, 1]], "3 is outside 0 to 2"),
    "gather negative": (lambda x, i: x.gather(1, i), [[-1]], "-1 is outside 0 to 3"),
    "gather expanded": (
        lambda x, i: x.gather(0, i.expand(3, 4)), [[0], [1], [9]], "9 is outside 0 to 2",
    ),
    "index": (lambda x, i: x[i], [0, -4], "-4 is outside -3 to 2"),
    "index second": (lambda x, i: x[:, i], [3, 4], "4 is outside -4 to 3"),
    "index two": (lambda x, i: x[i, i], [2, 3], "3 is outside -3 to 2"),
    "index set": (lambda x, i: set_rows(x, i), [5], "5 is outside -3 to 2"),
    "take": (lambda x, i: x.take(i), [0, -13], "-13 is outside -12 to 11"),
    "take_along_dim": (lambda x, i: x.take_along_dim(i, 1), [[4]], "4 is outside -4 to 3"),
    "index_select": (lambda x, i: x.index_select(0, i), [0, -1], "-1 is outside 0 to 2"),
    "index_add": (lambda x, i: x.index_add(0, i, Tensor.ones(1, 4)), [3], "3 is outside 0 to 2"),
    "index_copy": (lambda x, i: x.index_copy(0, i, Tensor.ones(1, 4)), [3], "3 is outside 0 to 2"),
    "index_fill": (lambda x, i: x.index_fill(0, i, 5), [-4], "-4 is outside -3 to 2"),
    "scatter": (lambda x, i: x.scatter(0, i, 1.0), [[1 << 40]], f"{1 << 40} is outside 0 to 2"),
    "scatter_add": (
        lambda x, i: x.scatter_add(1, i, Tensor.ones(1, 2)), [[0, -(2**63)]],
        f"{-(2**63)} is outside 0 to 3",
    ),
    "embedding": (
        lambda x, i: x.relu()._embedding(i), [[0, 1], [2, 3]], "3 is outside 0 to 2",
    ),
    "one_hot": (lambda x, i: i.one_hot(3), [0, -1], "-1 is outside 0 to 2"),
    "cross_entropy": (
        lambda x, i: x.cross_entropy(i), [0, 4, -100], "4 is outside 0 to 3",
    ),
    "nll_loss": (lambda x, i: x.nll_loss(i, ignore_index=1), [0, 1, -1], "-1 is outside 0 to 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_index_out_of_range_raises_when_values_are_read(device: str, name: str) -> None:
    function, index, told = OUTSIDE[name]
    made = function(table(3, 4), lazy(index))
    operation, line = name.partition(" ")[0], lines_of(set_rows if "set" in name else function)
    place = rf"{operation} \(test_ranges.py:({line}|{line + 1})\): index {told}"
    with pytest.raises(IndexError, match=place):
        made.numpy()
    assert (table(3, 4) + 1).sum().item() == 78  # the program goes on


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_captured_function_raises_and_goes_on(device: str, name: str) -> None:
    function, index, told = OUTSIDE[name]
    if "set" in name:
        pytest.skip("it changes its argument")

    @TinyJit
    def captured(x: Tensor, i: Tensor) -> Tensor:
        return function(x, i) * 2

    x, good = table(3, 4), Tensor(np.zeros_like(np.array(index)))  # 0 is always inside
    expected = captured(x, good).numpy()
    assert captured(x, good).numpy().tolist() == expected.tolist()
    with pytest.raises(IndexError, match=told):
        captured(x, Tensor(np.array(index))).numpy()
    assert captured(x, good).numpy().tolist() == expected.tolist()


@pytest.mark.parametrize("name", OUTSIDE)
def test_known_values_raise_at_the_line(name: str) -> None:
    function, index, told = OUTSIDE[name]
    with pytest.raises(IndexError, match=f": {told.partition(' ')[0]} is outside"):
        function(table(3, 4), Tensor(np.array(index)))


@pytest.mark.parametrize(
    "dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
)
def test_the_value_is_told_in_every_dtype(device: str, dtype: Any) -> None:
    limits = np.iinfo(dtype)
    for value in {int(limits.max), int(limits.min)} - {0}:
        index = Tensor(np.array([1, value, 2], dtype)).realize()
        index = index.maximum(index)
        for made, low in ((table(100)[index], -100 if limits.min else 0), (_rows(index), 0)):
            with pytest.raises(IndexError, match=f"index {value} is outside {low} to 99"):
                made.numpy()
    assert table(100)[lazy([1, 99], dtype)].tolist() == [1, 99]


def _rows(index: Tensor) -> Tensor:
    return table(100).gather(0, index)


def test_an_index_from_nan_raises(device: str) -> None:
    places = (Tensor([0.0, 1.0]) / Tensor([0.0, 1.0])).long()
    for dtype in ("uint8", "float32"):
        x = Tensor(np.arange(10, 18)).cast(dtype)
        for made in (x.gather(0, places), x[places], x.scatter(0, places, x[:2])):
            with pytest.raises(IndexError, match="index -9223372036854775808 is outside"):
                made.numpy()


def test_what_is_ignored_counts_nowhere(device: str) -> None:
    x = table(3, 4)
    for ignored, labels in ((-100, [0, -100, 3]), (255, [0, 255, 3]), (2, [0, 2, 3])):
        for dtype in (np.int64, np.uint8)[: 2 if ignored >= 0 else 1]:
            given = lazy(labels, dtype)
            loss = x.cross_entropy(given, ignore_index=ignored).item()
            assert loss == pytest.approx((3.4401898 + 0.4401898) / 2)


def test_empty_indices_and_empty_axes(device: str) -> None:
    assert table(3, 4)[lazy([])[:0].long()].shape == (0, 4)
    with pytest.raises(IndexError, match=r"index: an index of shape \(1,\) into axis 0 of size 0"):
        Tensor.zeros(0, 3)[lazy([0])]


def test_state_of_a_failed_write_stops_no_other_computation(device: str) -> None:
    x, y = table(4), table(2)
    x[lazy([9])] = 1
    with pytest.raises(IndexError, match="index 9 is outside -4 to 3"):
        x.numpy()
    assert (y + 1).tolist() == [1, 2]
    x.assign(Tensor.zeros(4))
    assert x.tolist() == [0, 0, 0, 0]


def test_a_captured_step_that_fails_assigns_nothing_that_is_not_in_place() -> None:
    weights, count = table(3, 2), table(1)

    @TinyJit
    def step(i: Tensor) -> Tensor:
        count.assign(count + weights[i].sum())
        return (weights[i] * 2).sum()

    good = Tensor(np.array([1]))
    for _ in range(2):
        step(good)
    assert count.item() == 10
    held = count.numpy()  # somebody sees the old value, so it is not overwritten
    with pytest.raises(IndexError):
        step(Tensor(np.array([3])))
    assert count.item() == held.item() == 10
    step(good)
    assert count.item() == 15


def test_a_gpu_tells_when_values_are_read_and_not_before() -> None:
    x = Tensor(np.arange(4.0), device="GPU")
    index = Tensor(np.array([7, 1]), device="GPU")
    made = (x[index] + 1).realize()
    other = (x + 1).realize()
    with pytest.raises(IndexError, match="index 7 is outside -4 to 3"):
        other.numpy()
    assert other.tolist() == [1, 2, 3, 4]
    assert made.tolist() == [1, 2]  # told once


def test_values_that_come_from_a_gpu_are_checked() -> None:
    x, index = (Tensor(v, device="GPU") for v in (np.arange(4.0), np.array([7, 1])))
    with pytest.raises(IndexError, match="index 7 is outside"):
        x[index].to("CPU").numpy()


def test_a_captured_call_that_raises_has_set_all_of_its_state() -> None:
    table = Tensor(np.arange(4, dtype=np.float32)).realize()
    weights = (Tensor.zeros(6) + 1).realize()
    total = (Tensor.zeros(1) + 0).realize()

    @TinyJit
    def step(index: Tensor) -> Tensor:
        weights.assign(weights + 1)
        total.assign(weights.sum(0, keepdim=True))
        return table[index].sum()

    for _ in range(3):
        step(Tensor(np.array([1])))
    with pytest.raises(IndexError, match="index 9 is outside"):
        step(Tensor(np.array([9]))).item()
    assert weights.tolist() == [5.0] * 6
    assert total.tolist() == [30.0]
