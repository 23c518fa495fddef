"""Tensors from data: what is taken, in which dtype, whose memory, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, dtypes
from lazygrad.errors import DeviceError, DTypeError, ShapeError


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_every_dtype_goes_in_and_comes_out(dtype: dtypes.DType) -> None:
    array = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype.numpy)
    x = Tensor(array)
    assert x.dtype == dtype
    assert x.shape == (2, 3)
    assert x.numpy().dtype == array.dtype
    np.testing.assert_array_equal(x.numpy(), array)
    assert x.tolist() == array.astype(np.float64).tolist()
    assert Tensor(x.tolist(), dtype=dtype).tolist() == x.tolist()


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1, "int64", ()),
        (1.5, "float32", ()),
        (True, "bool", ()),
        ([], "float32", (0,)),
        ([[], []], "float32", (2, 0)),
        ([1, 2.5], "float32", (2,)),
        ([True, 2], "int64", (2,)),
        (((1, 2), (3, 4)), "int64", (2, 2)),
        (np.float64(3), "float64", ()),
        (np.int8(3), "int8", ()),
        ([np.float16(1), np.float16(2)], "float16", (2,)),
        (range(3), "int64", (3,)),
    ],
)
def test_python_data_has_pytorchs_dtypes(data: Any, dtype: str, shape: Any) -> None:
    x = Tensor(data)
    assert (x.dtype.name, x.shape) == (dtype, shape)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([[1, 2], [3]], ShapeError, "unequal lengths"),
        (np.array(["a", "b"]), DTypeError, "not supported"),
        (np.array([{}, None]), DTypeError, "dtype object are not supported"),
        (np.array([1j]), DTypeError, "complex128"),
        (np.array(["2020-01-01"], "M8[D]"), DTypeError, "datetime64"),
        ("text", DTypeError, "not supported"),
        (None, DTypeError, "None"),
        ([1, None], DTypeError, "None"),
        (2**63, DTypeError, "int64"),
        (2**70, DTypeError, "fit"),
        ({1: 2}, DTypeError, "1: 2"),
        ([Tensor(1)], DTypeError, "stack"),
    ],
)
def test_what_no_dtype_holds_is_refused_in_one_line(data: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        Tensor(data)
    assert "\n" not in str(caught.value)


def test_a_dtype_that_does_not_hold_the_numbers_is_refused() -> None:
    for data, dtype in ((300, "uint8"), ([-1], "uint16"), ([2**40], "int32")):
        with pytest.raises(DTypeError, match="does not fit"):
            Tensor(data, dtype=dtype)
    assert Tensor(2**63, dtype="uint64").item() == 2**63
    assert Tensor([1.9, -1.9], dtype="int32").tolist() == [1, -1]


def test_writing_to_an_array_does_not_change_the_tensor_made_of_it() -> None:
    array = np.arange(4.0)
    x = Tensor(array)
    array[0] = 9
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_from_numpy_shares_memory_where_it_can() -> None:
    page = np.zeros(4096 + 64, np.uint8)
    start = -page.ctypes.data % 64
    array = page[start : start + 64].view(np.float32)
    assert np.shares_memory(Tensor.from_numpy(array, device="CPU").numpy(), array)
    strided = np.arange(10.0)[::2]
    assert Tensor.from_numpy(strided).tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_odd_layouts_are_read_right() -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3)
    assert Tensor(array).tolist() == array.tolist()
    assert Tensor(array.T).tolist() == array.T.tolist()
    assert Tensor(array[::-1, ::-1]).tolist() == array[::-1, ::-1].tolist()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Tensor.zeros(2, -1),
        lambda: Tensor.zeros(2.0),
        lambda: Tensor.ones((2, "3")),
        lambda: Tensor.ones(True),
        lambda: Tensor.eye(-1),
    ],
)
def test_what_is_no_shape_is_refused(make: Any) -> None:
    with pytest.raises(ShapeError):
        make()


def test_constants() -> None:
    assert Tensor.zeros(2, 3).shape == Tensor.zeros((2, 3)).shape == (2, 3)
    assert Tensor.ones(()).shape == Tensor.ones().shape == ()
    assert Tensor.full((2,), True).tolist() == [True, True]
    assert Tensor.full(2, 1.5, dtype="int32").tolist() == [1, 1]
    assert Tensor.arange(10, 4, -2).tolist() == [10, 8, 6]
    assert Tensor.arange(5, 3).tolist() == []
    x = Tensor.ones(2, dtype="float16")
    assert x.zeros_like().dtype == dtypes.float16
    assert x.full_like(3, dtype="int8").tolist() == [3, 3]
    with pytest.raises(ValueError, match="step"):
        Tensor.arange(1, 5, 0)
    with pytest.raises(DTypeError, match="full"):
        Tensor.full((2,), "x")  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="TPU"):
        Tensor.zeros(2, device="TPU")
    with pytest.raises(DTypeError, match="only floats have a gradient"):
        Tensor([1, 2], requires_grad=True)
