"""Tensors from Python and NumPy data, and tensors of constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from ctypes import string_at
from pathlib import Path
from typing import Any, Self
from weakref import ref

import numpy as np

from .. import dtypes
from ..dtypes import DType, convert, int64, to_dtype
from ..errors import ArgumentError, DTypeError, ShapeError, check_integers, check_numbers, told
from ..graph import build
from ..graph.ir import Add, Cast, Const, Copy, Equal, Iota, Mul, Node
from ..runtime.buffer import DeviceBuffer
from ..runtime.device import Device
from .arguments import shape_of
from .core import Array, Number, TensorCore, owners
from .operands import broadcast_node, cast_node, check_fits, number, number_dtype


class Creation(TensorCore):
    """Constructors. `device` is a name ("CPU", "GPU"); None means `Device.DEFAULT`."""

    __slots__ = ()

    def __init__(
        self,
        data: Any,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> None:
        """A tensor of `data`: a number, nested lists or tuples of numbers, a NumPy array.

        Python floats become float32, ints int64, bools bool; NumPy arrays and scalars keep their
        dtype; `dtype` overrides. A bytes object, and the file of a `pathlib.Path`, which is mapped
        into memory, are uint8, or elements of `dtype`. An array is copied unless it is read-only,
        so that writing to it later cannot change the tensor; `Tensor.from_numpy` shares the memory.

        Raises DTypeError for values that no dtype holds, ShapeError for lists of unequal lengths.
        """
        if isinstance(dtype, int):
            raise DTypeError(
                f"Tensor({data!r}, {dtype!r}): the second argument is a dtype. A tensor of that "
                f"shape is Tensor.zeros({data!r}, {dtype!r}), of these numbers "
                f"Tensor([{data!r}, {dtype!r}])"
            )
        node = self._from_data(data, dtype, device)._node
        self._begin(node, False)
        owners[node] = ref(self)
        if requires_grad:
            self.requires_grad_()

    @classmethod
    def _from_data(cls, data: Any, dtype: Any = None, device: str | None = None) -> Self:
        target = None if dtype is None else to_dtype(dtype)
        place = Device.DEFAULT if device is None else Device.present(device)
        if isinstance(data, (bytes, bytearray, memoryview)):
            data = np.frombuffer(data, np.uint8 if target is None else target.numpy)
        elif isinstance(data, Path):
            data = np.memmap(data, np.uint8 if target is None else target.numpy, mode="r")
        if isinstance(data, TensorCore):
            made = cls._from_node(data._node).to(place, target)
            return made.detach()
        if isinstance(data, np.ndarray):
            array = supported(data, target)
            shared = array is not data and not np.may_share_memory(array, data)
            if not shared and data.flags.writeable:
                array = array.copy()
        else:
            array = from_python(data, target)
        return cls._from_storage(DeviceBuffer.from_numpy(array, place), array.shape)

    @classmethod
    def from_numpy(cls, array: Array, device: str | None = None) -> Self:
        """A tensor of the array's values and dtype.

        On the CPU it reads the array's own memory where that is contiguous and aligned; else it
        is a copy. So do not write to the array afterwards: the tensor may see it or not. Writing to
        the tensor never changes the array, unlike PyTorch's `from_numpy`.
        """
        place = Device.DEFAULT if device is None else Device.present(device)
        array = supported(array, None)
        return cls._from_storage(DeviceBuffer.from_numpy(array, place), array.shape)

    # ------------------------------------------------------------------- constants

    @classmethod
    def _constant(cls, node: Node, device: str | None, requires_grad: bool) -> Self:
        if device is not None and (place := Device.present(device)) != Device.DEFAULT:
            node = Copy(node, place)
        return cls._variable_of(node, requires_grad)

    @classmethod
    def full(
        cls,
        shape: int | Sequence[int],
        fill_value: Number,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """`fill_value` in every element; its dtype is the value's unless given."""
        value = number(fill_value)
        if value is None:
            raise DTypeError(f"full: the fill value is a number, not {told(fill_value)}")
        kind = number_dtype(value) if dtype is None else to_dtype(dtype)
        if not kind.is_float:
            check_fits("full", value, kind)
        sizes = shape_of("full", shape)
        return cls._constant(Const(value, kind, sizes), device, requires_grad)

    @classmethod
    def zeros(
        cls,
        *shape: int | Sequence[int],
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """0 in every element: `zeros(2, 3)` or `zeros((2, 3))`."""
        return cls.full(
            shape_of("zeros", *shape), 0, dtype or dtypes.default_float, device, requires_grad
        )

    @classmethod
    def ones(
        cls,
        *shape: int | Sequence[int],
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """1 in every element: `ones(2, 3)` or `ones((2, 3))`."""
        return cls.full(
            shape_of("ones", *shape), 1, dtype or dtypes.default_float, device, requires_grad
        )

    @classmethod
    def empty(
        cls,
        *shape: int | Sequence[int],
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """Values that do not matter (they are 0, so that no run depends on old memory). With a
        device of "disk:PATH", the values in that file, mapped into memory."""
        if isinstance(device, str) and device.lower().startswith("disk:"):
            sizes, kind = shape_of("empty", *shape), to_dtype(dtype or float)
            return cls.from_numpy(np.memmap(device[5:], kind.numpy, mode="r", shape=sizes))
        return cls.full(
            shape_of("empty", *shape), 0, dtype or dtypes.default_float, device, requires_grad
        )

    @classmethod
    def from_blob(
        cls, ptr: int, shape: int | Sequence[int], dtype: Any = None, device: str | None = None
    ) -> Self:
        """A copy of the values at an address in this process's memory, of a shape and dtype. The
        address is not checked: one that holds no such values ends the process."""
        sizes, kind = shape_of("from_blob", shape), to_dtype(dtype or float)
        count = math.prod(sizes) * kind.itemsize
        values = np.frombuffer(string_at(ptr, count), kind.numpy).reshape(sizes)
        return cls._from_data(values, None, device)

    @classmethod
    def from_url(cls, url: str, device: str | None = None) -> Self:
        """The bytes at a URL, downloaded now, as uint8."""
        from urllib.request import urlopen  # which takes 20 ms to import

        with urlopen(url, timeout=30) as response:
            return cls(response.read(), device=device)

    @classmethod
    def _positions(cls, n: int, dtype: DType = int64) -> Self:
        """0 to n - 1, on no device in particular: a part of expressions, not a variable."""
        return cls._from_node(Iota(n, dtype))

    def full_like(
        self,
        fill_value: Number,
        dtype: Any = None,
        requires_grad: bool = False,
        device: str | None = None,
    ) -> Self:
        """`fill_value` in this tensor's shape, and its dtype and device unless given."""
        return self.new_full(self.shape, fill_value, dtype, requires_grad, device)

    def zeros_like(
        self, dtype: Any = None, requires_grad: bool = False, device: str | None = None
    ) -> Self:
        """0 in this tensor's shape, and its dtype and device unless given."""
        return self.full_like(0, dtype, requires_grad, device)

    def empty_like(
        self, dtype: Any = None, requires_grad: bool = False, device: str | None = None
    ) -> Self:
        """`Tensor.empty` in this tensor's shape, and its dtype and device unless given."""
        return self.full_like(0, dtype, requires_grad, device)

    def ones_like(
        self, dtype: Any = None, requires_grad: bool = False, device: str | None = None
    ) -> Self:
        """1 in this tensor's shape, and its dtype and device unless given."""
        return self.full_like(1, dtype, requires_grad, device)

    def new_full(
        self,
        size: int | Sequence[int],
        fill_value: Number,
        dtype: Any = None,
        requires_grad: bool = False,
        device: str | None = None,
    ) -> Self:
        """`fill_value` in a shape of its own, and this tensor's dtype and device unless given."""
        place = device or self._node.device
        return self.full(size, fill_value, dtype or self.dtype, place, requires_grad)

    def new_zeros(self, *size: int | Sequence[int], **options: Any) -> Self:
        """0 in a shape of its own, and this tensor's dtype and device unless given."""
        return self.new_full(shape_of("new_zeros", *size), 0, **options)

    def new_ones(self, *size: int | Sequence[int], **options: Any) -> Self:
        """1 in a shape of its own, and this tensor's dtype and device unless given."""
        return self.new_full(shape_of("new_ones", *size), 1, **options)

    def new_empty(self, *size: int | Sequence[int], **options: Any) -> Self:
        """`Tensor.empty` in a shape of its own, and this tensor's dtype and device unless given."""
        return self.new_full(shape_of("new_empty", *size), 0, **options)

    def new_tensor(
        self,
        data: Any,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """A tensor of `data`, of this tensor's dtype and device unless given."""
        place = device or self._node.device
        made = self._from_data(data, dtype or self.dtype, place)
        return made.requires_grad_(requires_grad)

    @classmethod
    def arange(
        cls,
        start: Number = 0,
        stop: Number | None = None,
        step: Number = 1,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """start, start + step, ... before stop; `arange(n)` is 0 to n - 1.

        int64 if all three are integers, else float32. Values are start + i * step, computed in
        float64 for floats. Raises ValueError for a step of 0.
        """
        if stop is None:
            start, stop = 0, start
        check_numbers(start=start, stop=stop, step=step)
        if step == 0:
            raise ArgumentError("arange: the step is 0")
        whole = all(isinstance(value, (int, np.integer)) for value in (start, stop, step))
        target = to_dtype(dtype or (int if whole else float))
        count = max(0, math.ceil((stop - start) / step))
        if target.is_int or (start == int(start) and step == int(step)):
            node = _progression(count, start, step, target)
            return cls._constant(node, device, requires_grad)
        values = (start + np.arange(count) * float(step)).astype(target.numpy)
        made = cls._from_data(values, None, device)
        return made.requires_grad_(requires_grad)

    @classmethod
    def linspace(
        cls,
        start: float,
        stop: float,
        steps: int,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """`steps` values from start to stop, both included, equally far apart."""
        for end in (start, stop):
            if getattr(end, "shape", ()):
                raise ShapeError(f"linspace: an end is one number, not {told(end)}")
        check_numbers(start=start, stop=stop)
        check_integers(steps=steps)
        start, stop = float(start), float(stop)
        if steps < 0:
            raise ShapeError(f"linspace: steps {steps} is negative")
        array = np.linspace(start, stop, steps).astype(to_dtype(dtype or float).numpy)
        made = cls._from_data(array, None, device)
        return made.requires_grad_(requires_grad)

    @classmethod
    def eye(
        cls,
        n: int,
        m: int | None = None,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """1 on the diagonal of n rows and m columns (n if not given), 0 elsewhere."""
        shape = shape_of("eye", n, n if m is None else m)
        rows = broadcast_node("eye", build.reshape(Iota(shape[0]), (shape[0], 1)), shape)
        columns = broadcast_node("eye", Iota(shape[1]), shape)
        node = Cast(Equal(rows, columns), to_dtype(dtype or float))
        return cls._constant(node, device, requires_grad)


def _progression(count: int, start: Number, step: Number, dtype: DType) -> Node:
    """start + i * step for i < count, of whole start and step."""
    node: Node = Iota(count, dtype if dtype.is_int else int64)
    if step != 1:
        node = Mul(node, Const(int(step), node.dtype, (count,)))
    if start != 0:
        node = Add(node, Const(int(start), node.dtype, (count,)))
    return cast_node(node, dtype)


# --------------------------------------------------------------------------- reading data


def supported(array: Array, dtype: DType | None) -> Array:
    """The array in a supported dtype, native byte order and row-major order; unchanged if it is.

    Raises DTypeError for objects, strings, complex numbers and the like.
    """
    try:
        own = to_dtype(array.dtype.newbyteorder("="))
    except DTypeError:
        raise DTypeError(
            f"tensor: arrays of dtype {array.dtype} are not supported; "
            "use bool, integers up to 64 bits, or floats"
        ) from None
    wanted = (dtype or own).numpy
    if array.dtype != wanted:
        with np.errstate(invalid="ignore", over="ignore"):
            array = convert(array, dtype or own)
    return array if array.flags.c_contiguous else np.array(array, order="C")


def from_python(data: Any, dtype: DType | None) -> Array:
    """A number or nested sequences of numbers as an array, by PyTorch's default dtypes."""
    first: Any = data
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    if isinstance(first, TensorCore):
        raise DTypeError("tensor: a list of tensors is joined by Tensor.stack or Tensor.cat")
    try:
        array = np.array(data)
    except ValueError:
        raise ShapeError(f"tensor: the lists have unequal lengths: {told(data)}") from None
    except OverflowError:
        raise DTypeError(f"tensor: {told(data)} does not fit 64 bits") from None
    if dtype is None:
        if array.size == 0 or (
            array.dtype == np.float64 and not isinstance(first, np.generic | np.ndarray)
        ):
            dtype = dtypes.default_float
        elif array.dtype.kind == "O" or (array.dtype == np.uint64 and type(first) is int):
            raise DTypeError(f"tensor: {told(data)} is no number that fits int64 or float32")
        elif array.dtype == np.int64 and not isinstance(first, np.generic | np.ndarray):
            dtype = dtypes.default_int
    elif array.dtype.kind in "biu" and dtype.is_int and array.size:
        least, most = int(array.min()), int(array.max())
        if not dtype.min <= least <= most <= dtype.max:
            raise DTypeError(f"tensor: {told(data)} does not fit {dtype}")
    return supported(array, dtype)
