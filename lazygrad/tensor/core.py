"""What every tensor is: a graph node, perhaps computed already, and its place in autograd.

- `node` is the expression that new operations build on. Nothing is computed before `realize()`,
  `numpy()`, `item()`, `tolist()`, `bool()`, `print` or NumPy's `asarray` ask for values.
- A realized tensor that requires no gradient enters new operations as a leaf, so
  `x = step(x).realize()` in a loop never grows a chain. One that requires gradient keeps its
  expression for `backward()`; its storage is found again through `runtime.buffer.realized`.
- Which tensors share memory, and what gradients are taken of, stands in `sharing.py`.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar, Self, TypeVar, Union
from weakref import WeakSet, ref

import numpy as np

from ..dtypes import DType, bfloat16, bool_, to_dtype
from ..errors import ArgumentError, DeviceError, DTypeError, KindError, ShapeError
from ..graph import build
from ..graph.ir import Buffer, Cast, Contiguous, Copy, Custom, Detach, Node, Shape
from ..runtime.buffer import DeviceBuffer, interceptor, realized
from ..runtime.device import Device, DeviceName, named
from .arguments import normalized_axis
from .examples import examples
from .mode import HasMode
from .past import carries_gradient, note_past
from .realize import realize_all
from .sharing import Sharing, fresh, grad_enabled, owners
from .template import need_values
from .views import Path, contiguous_strides, follow, is_detached

PRINTED = {"threshold": 64}  # values that are printed in full

print_options: dict[str, Any] = dict(PRINTED)
"""How tensors are printed: arguments of `numpy.array2string`; `set_printoptions` sets them."""

Array = np.ndarray[Any, Any]
Number = bool | int | float

released: WeakSet[Node] = WeakSet()
"""What stands for values whose expressions were let go, when a backward pass was computed."""

_T = TypeVar("_T", bound="TensorCore")
Operand = Union["TensorCore", Number, np.generic, Array]
"""What stands beside a tensor in an operation: Python and NumPy numbers adapt to its dtype."""


class TensorCore(Sharing, metaclass=HasMode):
    """Values, placement and realization; the themes build upon it."""

    __slots__ = ()

    __array_priority__: ClassVar[float] = 1000.0

    # ------------------------------------------------------------------- what it is

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return self._node.dtype

    @property
    def device(self) -> DeviceName:
        """Where the values are, or will be; `Device.DEFAULT` for what fits any device."""
        return named(self._node.device or Device.DEFAULT)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._node.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.numel() * self.itemsize

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return self._node.dtype.itemsize

    def dim(self) -> int:
        """The number of axes."""
        return len(self._node.shape)

    def numel(self) -> int:
        """The number of elements."""
        return self.shape.numel()

    nelement, ndimension = numel, dim

    def is_complex(self) -> bool:
        """False: there are no complex numbers."""
        return False

    def is_signed(self) -> bool:
        """Whether the dtype has negative numbers."""
        return self._node.dtype.kind in ("int", "float")

    def is_nonzero(self) -> bool:
        """Whether the one value is not 0."""
        return bool(self)

    def stride(self, axis: int | None = None) -> tuple[int, ...] | int:
        """The distances of elements along the axes, in elements of the base's memory."""
        found = self._strides() or contiguous_strides(self.shape)
        return found if axis is None else found[normalized_axis("stride", axis, self.ndim)]

    def element_size(self) -> int:
        """Bytes an element."""
        return self._node.dtype.itemsize

    def size(self, axis: int | None = None) -> Shape | int:
        """The shape, or the size of one axis."""
        if axis is None:
            return self.shape
        return self.shape[normalized_axis("size", axis, self.ndim)]

    def is_floating_point(self) -> bool:
        """Whether the elements are floats."""
        return self._node.dtype.is_float

    @property
    def is_realized(self) -> bool:
        """Whether the values are computed."""
        return isinstance(self._node, Buffer) or self._node in realized

    # ------------------------------------------------------------------- values

    def realize(self, *others: TensorCore) -> Self:
        """Compute this tensor and `others` together, and keep their values."""
        need_values()
        realize_all((self, *others))
        return self

    def _settle(self, storage: DeviceBuffer) -> None:
        """Enter new operations as a leaf, unless backward() needs the expression."""
        former = self._node
        # not isinstance: looking at x would build a deferred Detach
        if isinstance(former, Buffer) or (type(former) is Detach and isinstance(former.x, Buffer)):
            return  # the second shares another variable's storage, and must not become its node
        if not self.is_leaf:
            return
        value = Buffer.of(former, storage)
        owner = None if (other := owners.get(value)) is None else other()
        if owner is not None and owner is not self:
            return  # another variable, of which this is a copy, has it as its node
        is_view = self._base is not None and not self._is_variable()
        self._own = value
        if is_view:
            self._settle_view(storage, former)
            return
        owners[self._own] = ref(self)
        # Nothing flows through a Detach, so only its identity matters, and only to those who
        # still use it: a strong reference would keep a whole chain of assignments alive.
        if isinstance(former, Detach):
            self._variable = ref(former)
        elif grad_enabled.get() and note_past(value, former):
            self._history = former

    def _release(self) -> None:
        """Keep the value, which is computed, and let go of its expression."""
        self._own = fresh(self._node)
        self._history = None
        released.add(self._own)

    def _settle_view(self, storage: DeviceBuffer, former: Node) -> None:
        """A view stays one as long as anybody else can write to its base, or read it."""
        if is_detached(self._path):
            self._own = Detach(self._own)
            realized[self._own] = storage
        elif grad_enabled.get() and carries_gradient(former):
            self._history = former
        self._part_later()

    def numpy(self) -> Array:
        """The values as a NumPy array; on the CPU a view of them, so it cannot be written to.

        Writing to it is NumPy's ValueError "assignment destination is read-only", where PyTorch
        writes through: `numpy.array(tensor)` gives a copy of its own. bfloat16 comes as
        `ml_dtypes.bfloat16`.
        """
        view = self._computed().numpy().reshape(self.shape)
        view.flags.writeable = False
        return view

    def _computed(self) -> DeviceBuffer:
        """The memory that holds the values, which are computed."""
        need_values()
        if (storage := self.storage) is None:
            realize_all((self,))
            storage = self.storage
        return storage  # type: ignore[return-value]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        values = self.numpy()
        if dtype is not None and np.dtype(dtype) != values.dtype:
            if copy is False:
                raise ArgumentError(f"{self.dtype} cannot become {np.dtype(dtype)} without a copy")
            return values.astype(dtype)
        return values.copy() if copy else values

    def item(self) -> Any:
        """The one value as a Python number. Raises ShapeError unless there is exactly one."""
        if self._node.size != 1:
            raise ShapeError(f"item: shape {self.shape} has {self.numel()} values, not one")
        return self._computed().item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers (a number, for shape ())."""
        values = self.numpy()
        return (values.astype(np.float32) if self.dtype == bfloat16 else values).tolist()

    def __bool__(self) -> bool:
        if self.numel() != 1:
            raise ShapeError(
                f"bool: the truth of {self.numel()} values is ambiguous; use any()/all()"
            )
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __index__(self) -> int:
        if self.dtype.is_float or self.numel() != 1:
            raise KindError(f"an index is one integer, not {self.dtype} of shape {self.shape}")
        return int(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise KindError("len: a tensor of shape () has no length")
        return self.shape[0]

    def __format__(self, spec: str) -> str:
        if self.numel() == 1 and (spec or not (self.shape or _without_values())):
            return format(self.item(), spec)
        try:
            return format(repr(self), spec)
        except ValueError:
            raise KindError(
                f"format: {spec!r} is for one value, not for a tensor of shape {self.shape}; "
                "reduce it first, as by mean(), or format each value of tolist()"
            ) from None

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        """The values, which are computed for it, with shape, dtype and device.

        Inside of a function that `jit` captures or `vmap` maps there are none yet: then "lazy"
        stands in their place, and nothing is computed.
        """
        notes = f"shape={self.shape}, dtype={self.dtype}, device={self.device}"
        if self._requires_grad:
            notes += ", requires_grad=True"
        if _without_values():
            return f"Tensor(lazy, {notes})"
        lines = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", **print_options)
        return f"Tensor({lines}, {notes})"

    @classmethod
    def _from_data(cls, data: Any, dtype: Any, device: str | None) -> Self:
        raise NotImplementedError  # creation.py has it

    # ------------------------------------------------------------------- assignment

    def assign(self, value: Operand) -> Self:
        """Give this tensor another value, of its own shape; it is cast to this dtype and moved to
        this device. Returns the tensor. No gradient flows from the new value to the old.

        Expressions that were built from the old value keep the old value. One value of any shape
        may go into a tensor of shape (). Raises ShapeError where `value` does not broadcast to
        this shape.
        """
        if not isinstance(value, TensorCore):
            value = type(self)._from_data(value, self.dtype, self.device)
        node: Node = value._node
        shape = self.shape
        if not shape and node.size == 1:
            node = build.reshape(node, ())
        if node.shape != shape:
            from .operands import broadcast_node

            node = broadcast_node("assign", node, shape)
        if node.dtype != self.dtype:
            node = Cast(node, self.dtype)
        if node.device is not None and node.device != self.device:
            node = Copy(node, self.device)
        if self._part():
            self.node = fresh(node)
            self._await_realization()
        else:
            self._write(node, requires_grad=False, records=False)
        return self

    def _update(self, result: TensorCore) -> Self:
        """What `x += y` and its like do: this tensor becomes `result`, gradient and all.

        Raises DTypeError where the result's dtype needs more than this tensor's, ShapeError where
        it has another shape, RuntimeError for a variable that requires gradient (inside
        `no_grad()` it may be updated).
        """
        if result.shape != self.shape:
            raise ShapeError(f"in place: a result of shape {result.shape} into {self.shape}")
        if result.dtype != self.dtype:
            if self.dtype == bool_ or (result.dtype.is_float and not self.dtype.is_float):
                raise DTypeError(
                    f"in place: a result of {result.dtype} cannot go into {self.dtype}"
                )
            result = self._derived(Cast(result._node, self.dtype), result)
        self._write(result._node, result._requires_grad, grad_enabled.get())
        return self

    # ------------------------------------------------------------------- placement and dtype

    def cast(self, dtype: Any) -> Self:
        """The values in another dtype: float to integer truncates, anything to bool is x != 0."""
        target = to_dtype(dtype)
        if target == self._node.dtype:
            return self
        return self._derived(Cast(self._node, target))

    def type(self, dtype: Any) -> Self:
        """The values in another dtype, as `cast`."""
        return self.cast(dtype)

    def type_as(self, other: TensorCore) -> Self:
        """The values in the dtype of `other`."""
        return self.cast(other.dtype)

    def to(
        self, target: Any = None, dtype: Any = None, non_blocking: bool = False, copy: bool = False
    ) -> Self:
        """On another device (a name), or in another dtype, or both: `x.to("GPU", float16)`. With
        `copy` never this tensor itself; `non_blocking` says nothing here, where all is lazy."""
        if isinstance(dtype, bool):  # `to(dtype, non_blocking, copy)`
            dtype, non_blocking, copy = None, dtype, non_blocking or copy
        moved = self.clone() if copy else self
        if isinstance(target, TensorCore):
            target, dtype = target.device, target.dtype
        if isinstance(target, str) and not names_dtype(target):
            device = Device.present(target)
            if device != self.device:
                moved = self._derived(Copy(self._node, device))
        elif target is not None:
            moved = self.cast(target)
        return moved if dtype is None else moved.cast(dtype)

    def cpu(self) -> Self:
        """On the CPU."""
        return self.to("CPU")

    def cuda(self, device: Any = None) -> Self:
        """There is no CUDA here. Raises DeviceError, which says what to write."""
        raise DeviceError('cuda: lazygrad reaches GPUs by OpenCL; write x.to("GPU")')

    def contiguous(self) -> Self:
        """These values in row-major order, in memory: what comes before and after shares no
        kernel. Where they lie so already this is a view, else a copy."""
        node = Contiguous(self._node)
        return self._viewed(node) if self.is_contiguous() else self._derived(node)

    def contiguous_backward(self) -> Self:
        """These values, whose gradient is brought into memory of its own."""
        node = self._node
        return self._derived(Custom(node, (node,), lambda g, node: (Contiguous(g),)))

    def replace(self, value: TensorCore) -> Self:
        """`assign`, of a tensor of this shape and dtype. Raises ShapeError or DTypeError."""
        if value.shape != self.shape:
            raise ShapeError(f"replace: a value of shape {value.shape} for {self.shape}")
        if value.dtype != self.dtype:
            raise DTypeError(f"replace: a value of {value.dtype} for {self.dtype}")
        return self.assign(value)

    def clone(self) -> Self:
        """Another tensor with these values; gradient flows through it."""
        return self._derived(self._node)

    @property
    def data(self) -> Self:
        """The values without gradient, as `detach()`. Setting it gives the tensor other values, as
        `assign`; a tensor of another shape or dtype also gives it that shape or dtype, and
        takes a gradient of the former shape away."""
        return self.detach()

    @data.setter
    def data(self, value: Operand) -> None:
        if isinstance(value, TensorCore) and value._base is self and value.shape == self.shape:
            return  # `x.data += y` has written to x already
        if isinstance(value, TensorCore) and (value.shape, value.dtype) != (self.shape, self.dtype):
            self._become(value)
        else:
            self.assign(value)

    def _become(self, value: TensorCore) -> None:
        """Take over the shape, dtype and values of another tensor. Raises RuntimeError for a view,
        which has its shape and dtype from its base, and in a captured function."""
        if not self._part() or interceptor.get() is not None:
            raise RuntimeError(
                f"data: {value.dtype} of shape {value.shape} for a tensor of {self.dtype} of shape "
                f"{self.shape}: a view, or a tensor in a captured function, keeps both"
            )
        grad, self._grad = self._grad, None
        self.node = fresh(value._node)
        if grad is not None and grad.shape == self.shape:
            self._grad = grad.detach().cast(self.dtype)

    def __copy__(self) -> Self:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if self._base is not None and not self._is_variable():
            return view_of(deepcopy(self._base, memo), self._path)
        made = self._variable_of(self._node, self._requires_grad)
        made._grad = deepcopy(self._grad, memo)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        if self._base is not None and not self._is_variable():
            return view_of, (self._base, self._path)
        device = None if self.device == Device.DEFAULT else self.device
        values = np.array(self.numpy())
        return _unpickled, (type(self), values, self._requires_grad, device, self._grad)


def view_of(base: _T, path: Path) -> _T:
    """A view of a base, by a path from the order of its memory."""
    made = base._derived(follow(path, base._in_memory(base._node)))
    made._base, made._path, made._seen = base, path, base._version
    return made


def _unpickled(
    cls: type[_T], values: Array, requires_grad: bool, device: str | None, grad: _T | None
) -> _T:
    made = cls._from_data(values, values.dtype, device).requires_grad_(requires_grad)
    made._grad = grad
    return made


def _without_values() -> bool:
    """Whether this is inside of a function that is captured or mapped: tensors have no values."""
    return interceptor.get() is not None or examples.get() is not None


def names_dtype(name: str) -> bool:
    try:
        to_dtype(name)
    except DTypeError:
        return False
    return True


__all__ = [
    "Array",
    "Number",
    "Operand",
    "TensorCore",
    "fresh",
    "grad_enabled",
    "owners",
    "realize_all",
]
