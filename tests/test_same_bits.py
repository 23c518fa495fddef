"""A value is the same, bit for bit, whether it was folded, computed, or converted with the data."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, dtypes
from lazygrad.compile import realize
from lazygrad.dtypes import ALL, DType, bool_
from lazygrad.errors import DTypeError
from lazygrad.graph import ir
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Buffer, Const
from lazygrad.graph.simplify import simplify
from lazygrad.runtime.buffer import DeviceBuffer
from lazygrad.runtime.device import Device

INF, NAN = float("inf"), float("nan")
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.7, 1e-3, 100.7, -1e5, 6e4, 1e30, INF, -INF, NAN, 0.1]
BEYOND = [1e10, -1e10, INF, -INF, NAN, 300.7, -300.7, -1.5, 3e9, -3e9, 1e19, -1e19, 1.8e19, 1e20,
          2.0**63, 2.0**31, -(2.0**31), -(2.0**31) - 1, 65535.9, 70000.0, 255.9, -0.0]  # fmt: skip
INTEGERS = [dtype for dtype in ALL if dtype.is_int]
FLOAT_DTYPES = [dtype for dtype in ALL if dtype.is_float]


def elements(values: list[Any], dtype: DType) -> np.ndarray:
    kind = np.float64 if dtype.is_float else dtype.numpy
    with np.errstate(all="ignore"):
        return np.array(values, kind).astype(dtype.numpy)


def leaf(array: np.ndarray) -> Buffer:
    return Buffer(DeviceBuffer.from_numpy(array, Device.DEFAULT), array.shape)


def bits(value: Any) -> object:
    value = np.asarray(value)
    return "nan" if value.dtype.kind in "fV" and value != value else value.tobytes()


def samples(dtype: DType) -> list[Any]:
    if dtype.is_float:
        return FLOATS
    if dtype == bool_:
        return [False, True]
    width, low, high = 8 * dtype.itemsize, int(dtype.min), int(dtype.max)
    return sorted({0, 1, 2, 7, 100, width - 1, width, low, low + 1, high - 1, high, -(low < 0)})


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_folded_and_computed_operations_are_the_same_bits(dtype: DType) -> None:
    for cls in ir.NODE_CLASSES:
        if not issubclass(cls, (ir.Unary, ir.Binary)):
            continue
        count = 2 if issubclass(cls, ir.Binary) else 1
        points = list(itertools.product(samples(dtype), repeat=count))
        arrays = [elements([point[i] for point in points], dtype) for i in range(count)]
        try:
            node = cls(*map(leaf, arrays))
        except DTypeError:
            continue
        computed = realize([node])[0].numpy()
        constants = [cls(*(Const(x, dtype) for x in point)) for point in points]
        for point, folded, value in zip(points, simplify(constants), computed, strict=True):
            if isinstance(folded, Const) and not isinstance(constants[0], ir.Pow):
                found = np.array(folded.value).astype(folded.dtype.numpy)
                assert bits(found) == bits(value), (cls.__name__, point)


@pytest.mark.parametrize("target", INTEGERS, ids=str)
@pytest.mark.parametrize("source", FLOAT_DTYPES, ids=str)
def test_floats_become_the_same_integers_on_every_path(source: DType, target: DType) -> None:
    array = elements(BEYOND, source)
    x = Tensor(array)
    paths = {
        "oracle": evaluate([x.cast(target).node])[0],
        "folded": np.array(
            [Tensor.full((1,), float(v), dtype=source).cast(target).item() for v in array],
            target.numpy,
        ),
        "with the data": Tensor(array, dtype=target).numpy(),
        "with other work": ((x + 0).cast(target) | 0).numpy(),
    }
    computed = x.cast(target).numpy()
    for name, values in paths.items():
        np.testing.assert_array_equal(computed, values, err_msg=name)


def test_what_is_beyond_an_integer_is_its_smallest_value() -> None:
    x = Tensor([1e10, INF, -INF, NAN, -2.5])
    assert x.int().tolist() == [-(2**31)] * 4 + [-2]
    assert x.long().tolist() == [10**10, *[-(2**63)] * 3, -2]
    assert x.char().tolist() == [0, 0, 0, 0, -2]
    assert x.cast("uint8").tolist() == [0, 0, 0, 0, 254]
    assert Tensor.full((1,), 1e10).cast("int32").tolist() == [-(2**31)]


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (300, "uint8"),
        (1e10, "int32"),
        (NAN, "int64"),
        (-129, "int8"),
        (-256, "uint8"),
        (INF, "int8"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(value: float, dtype: str) -> None:
    with pytest.raises(DTypeError, match=f"full: .* does not fit {dtype}"):
        Tensor.full((2,), value, dtype=dtype)
    with pytest.raises(DTypeError, match=f"masked_fill: .* does not fit {dtype}"):
        Tensor.zeros(2, dtype=dtype).masked_fill(Tensor([True, False]), value)


def test_numbers_that_wrap_in_pytorch_wrap() -> None:
    assert Tensor.full((1,), -1, dtype="uint8").item() == 255
    assert Tensor.full((1,), 1.9, dtype="int64").item() == 1
    assert Tensor.full((1,), 1e10, dtype="float16").item() == INF
    with pytest.raises(DTypeError, match=r"masked_fill: -1000000000\.0 does not fit float16"):
        Tensor.zeros(2).half().masked_fill(Tensor([True, False]), -1e9)


@pytest.mark.parametrize("dtype", FLOAT_DTYPES, ids=str)
def test_functions_of_a_constant_and_of_its_value_in_memory_are_the_same(dtype: DType) -> None:
    for number in (1.0, -3.7, 0.5, 2.25):
        memory = Tensor([number], dtype=dtype)
        folded = Tensor.full((1,), number, dtype=dtype)
        for name in ("exp", "sin", "cos", "tanh", "erf", "sigmoid", "gelu", "softplus"):
            one, other = getattr(folded, name)(), getattr(memory, name)()
            assert bits(one.numpy()) == bits(other.numpy()), (name, number)
        power = (folded.abs() ** folded, memory.abs() ** memory)
        assert bits(power[0].numpy()) == bits(power[1].numpy()), number


def test_every_dtype_is_tested() -> None:
    assert {dtype.name for dtype in (*INTEGERS, *FLOAT_DTYPES, dtypes.bool_)} == {
        dtype.name for dtype in ALL
    }
