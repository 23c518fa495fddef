"""What every tensor is: a graph node, perhaps computed already, and its place in autograd.

- `node` is the expression that new operations build on. Nothing is computed before `realize()`,
  `numpy()`, `item()`, `tolist()`, `bool()` or NumPy's `asarray` ask for values.
- A realized tensor that requires no gradient enters new operations as a leaf, so
  `x = step(x).realize()` in a loop never grows a chain. One that requires gradient keeps its
  expression for `backward()`; its storage is found again through `runtime.buffer.realized`.
- A *variable* is a tensor that gradients are taken of: created by the user, not by an operation.
  Interned nodes make equal expressions one object, so variables get a `Detach` with a token of
  their own.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, ClassVar, Self, TypeVar, Union
from weakref import WeakKeyDictionary, WeakSet, ref

import numpy as np

from ..dtypes import DType, bfloat16, to_dtype
from ..errors import DTypeError, ShapeError
from ..graph.ir import Buffer, Cast, Contiguous, Copy, Detach, Node, Shape, Token
from ..runtime.buffer import DeviceBuffer, realized
from ..runtime.device import Device
from .arguments import normalized_axis
from .realize import live, realize_all, written

MAX_LOOKED_AT = 256  # nodes of a past, for whether it carries gradient

Array = np.ndarray[Any, Any]
Number = bool | int | float

grad_enabled: ContextVar[bool] = ContextVar("grad_enabled", default=True)
"""False inside `no_grad()`: results of operations then require no gradient."""

owners: WeakKeyDictionary[Node, ref[TensorCore]] = WeakKeyDictionary()
"""The tensor that each leaf node stands for, or stood for before it was realized or assigned."""

released: WeakSet[Node] = WeakSet()
"""What stands for values whose expressions were let go, when a backward pass was computed."""

_T = TypeVar("_T", bound="TensorCore")
Operand = Union["TensorCore", Number, np.generic, Array]
"""What stands beside a tensor in an operation: Python and NumPy numbers adapt to its dtype."""


class TensorCore:
    """Values, placement, realization and assignment; the themes build upon it."""

    __slots__ = ("__weakref__", "_history", "_node", "_requires_grad", "_variable", "grad")

    _node: Node
    _requires_grad: bool
    grad: Self | None
    _history: Node | None  # what the node was before the tensor was realized
    _variable: ref[Node] | None  # the Detach that stood for this variable before it was realized

    training: ClassVar[bool] = False
    """Whether dropout and batch normalisation behave as in training; see `Tensor.train()`."""

    __array_priority__: ClassVar[float] = 1000.0
    __array_ufunc__: ClassVar[None] = None  # numpy_array + tensor is left to the tensor

    # ------------------------------------------------------------------- making tensors

    @classmethod
    def _from_node(cls, node: Node, requires_grad: bool = False) -> Self:
        """A tensor for `node`; `requires_grad` says that autograd reaches a variable through it."""
        made = object.__new__(cls)
        made._node = node
        made._requires_grad = requires_grad
        made.grad = None
        made._history = None
        made._variable = None
        live.append(ref(made))
        return made

    @classmethod
    def _leaf(cls, node: Node, requires_grad: bool = False) -> Self:
        """A tensor that `node`, which stands for nothing else, is the value of."""
        made = cls._from_node(node)
        owners[node] = ref(made)
        if requires_grad:
            made.requires_grad_()
        return made

    @classmethod
    def _from_storage(cls, storage: DeviceBuffer, shape: Shape) -> Self:
        """A realized tensor of the elements in `storage`."""
        return cls._leaf(Buffer(storage, shape))

    @classmethod
    def _variable_of(cls, node: Node, requires_grad: bool = False) -> Self:
        """A fresh variable with the value of `node`, equal to no other."""
        return cls._leaf(fresh(node), requires_grad)

    def _derived(self, node: Node, *others: TensorCore) -> Self:
        """The result `node` of an operation on this tensor and `others`."""
        requires = self._requires_grad
        for other in others:
            requires = requires or other._requires_grad
        if requires:
            requires = node.dtype.is_float and grad_enabled.get()
            if not requires and node.dtype.is_float:
                node = Detach(node)
        made: Self = object.__new__(type(self))
        made._node = node
        made._requires_grad = requires
        made.grad = None
        made._history = None
        made._variable = None
        live.append(ref(made))
        return made

    # ------------------------------------------------------------------- what it is

    @property
    def node(self) -> Node:
        """The expression that new operations build on. Setting it makes the tensor a leaf."""
        return self._node

    @node.setter
    def node(self, node: Node) -> None:
        self._node = node
        self._history = None
        self._variable = None
        owners[node] = ref(self)

    @property
    def shape(self) -> Shape:
        return self._node.shape

    @property
    def dtype(self) -> DType:
        return self._node.dtype

    @property
    def device(self) -> str:
        """Where the values are, or will be; `Device.DEFAULT` for what fits any device."""
        return self._node.device or Device.DEFAULT

    @property
    def ndim(self) -> int:
        return len(self._node.shape)

    @property
    def nbytes(self) -> int:
        return self._node.nbytes

    @property
    def itemsize(self) -> int:
        return self._node.dtype.itemsize

    def dim(self) -> int:
        """The number of axes."""
        return len(self._node.shape)

    def numel(self) -> int:
        """The number of elements."""
        return self._node.size

    nelement, ndimension = numel, dim

    def element_size(self) -> int:
        """Bytes an element."""
        return self._node.dtype.itemsize

    def size(self, axis: int | None = None) -> Shape | int:
        """The shape, or the size of one axis."""
        if axis is None:
            return self.shape
        return self.shape[normalized_axis("size", axis, self.ndim)]

    def is_floating_point(self) -> bool:
        return self._node.dtype.is_float

    @property
    def requires_grad(self) -> bool:
        """Whether `backward()` goes through this tensor."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, value: bool = True) -> Self:
        """Make this tensor a variable of autograd (floats only), or no longer one."""
        if value and not self._requires_grad:
            node = self._node
            if not node.dtype.is_float:
                raise DTypeError(f"requires_grad: only floats can, this is {node.dtype}")
            owner = owners.get(node)
            if owner is None or owner() is not self:  # an expression, or another's leaf
                self.node = fresh(node)
                self._history = node
            self._requires_grad = True
        elif not value and self._requires_grad:
            if not self.is_leaf:
                raise RuntimeError(
                    "requires_grad: this tensor is the result of an operation; "
                    "use detach() for one without gradient"
                )
            self._requires_grad = False
        return self

    @property
    def is_leaf(self) -> bool:
        """True where no operation that requires gradient made this tensor."""
        if not self._requires_grad:
            return True
        owner = owners.get(self._node)
        return owner is not None and owner() is self

    @property
    def storage(self) -> DeviceBuffer | None:
        """The memory that holds the values, or None while they are not computed."""
        node = self._node
        return node.storage if isinstance(node, Buffer) else realized.get(node)  # type: ignore[return-value]

    @property
    def is_realized(self) -> bool:
        return isinstance(self._node, Buffer) or self._node in realized

    def _nodes(self) -> list[Node]:
        """Every node that stands for this tensor in expressions built so far."""
        nodes = [self._node]
        if self._history is not None:
            nodes.append(self._history)
        if self._variable is not None and (former := self._variable()) is not None:
            nodes.append(former)
        return nodes

    # ------------------------------------------------------------------- values

    def realize(self, *others: TensorCore) -> Self:
        """Compute this tensor and `others` together, and keep their values."""
        realize_all((self, *others))
        return self

    def _settle(self, storage: DeviceBuffer) -> None:
        """Enter new operations as a leaf, unless backward() needs the expression."""
        former = self._node
        if isinstance(former, Buffer) or (
            isinstance(former, Detach) and isinstance(former.x, Buffer)
        ):
            return  # the second shares another variable's storage, and must not become its node
        if not self.is_leaf:
            return
        self._node = Buffer(storage, former.shape)
        owners[self._node] = ref(self)
        # Nothing flows through a Detach, so only its identity matters, and only to those who
        # still use it: a strong reference would keep a whole chain of assignments alive.
        if isinstance(former, Detach):
            self._variable = ref(former)
        elif grad_enabled.get() and carries_gradient(former):
            self._history = former

    def _release(self) -> None:
        """Keep the value, which is computed, and let go of its expression."""
        self._node = fresh(self._node)
        self._history = None
        released.add(self._node)

    def numpy(self) -> Array:
        """The values as a NumPy array; on the CPU a view of them, so it cannot be written to.

        `numpy.array(tensor)` gives a copy of its own. bfloat16 comes as `ml_dtypes.bfloat16`.
        """
        storage = self.storage
        if storage is None:
            realize_all((self,))
            storage = self.storage
            assert storage is not None
        view = storage.numpy().reshape(self.shape)
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        values = self.numpy()
        if dtype is not None and np.dtype(dtype) != values.dtype:
            if copy is False:
                raise ValueError(f"{self.dtype} cannot become {np.dtype(dtype)} without a copy")
            return values.astype(dtype)
        return values.copy() if copy else values

    def item(self) -> Any:
        """The one value as a Python number. Raises ShapeError unless there is exactly one."""
        if self.numel() != 1:
            raise ShapeError(f"item: shape {self.shape} has {self.numel()} values, not one")
        values = self.numpy()
        return float(values.reshape(())) if self.dtype.is_float else values.item()

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
            raise TypeError(f"an index is one integer, not {self.dtype} of shape {self.shape}")
        return int(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: a tensor of shape () has no length")
        return self.shape[0]

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.numel() == 1 and spec else format(repr(self), spec)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        notes = f"shape={self.shape}, dtype={self.dtype}, device={self.device}"
        if self._requires_grad:
            notes += ", requires_grad=True"
        storage = self.storage
        if storage is None:
            return f"Tensor(lazy, {notes})"
        if self.numel() > 64:
            return f"Tensor(realized, {notes})"
        lines = np.array2string(self.numpy(), separator=", ", prefix="Tensor(")
        return f"Tensor({lines}, realized, {notes})"

    # ------------------------------------------------------------------- assignment

    def assign(self, value: Operand) -> Self:
        """Give this tensor another value, of its own shape; it is cast to this dtype and moved to
        this device. Returns the tensor. No gradient flows from the new value to the old.

        Expressions that were built from the old value keep the old value.
        Raises ShapeError where `value` does not broadcast to this shape.
        """
        if not isinstance(value, TensorCore):
            value = type(self)._from_data(value, self.dtype, self.device)
        node: Node = value._node
        shape = self._node.shape
        if node.shape != shape:
            from .operands import broadcast_node

            node = broadcast_node("assign", node, shape)
        if node.dtype != self._node.dtype:
            node = Cast(node, self._node.dtype)
        if node.device is not None and node.device != self.device:
            node = Copy(node, self.device)
        self.node = fresh(node)
        if self._node not in realized:
            written[id(self)] = ref(self)
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
            if result.dtype.is_float and not self.dtype.is_float:
                raise DTypeError(
                    f"in place: a result of {result.dtype} cannot go into {self.dtype}"
                )
            result = self._derived(Cast(result._node, self.dtype), result)
        if not result._requires_grad:
            if self._requires_grad:
                return self.assign(result)
        elif self._requires_grad and self.is_leaf:
            raise RuntimeError(
                "a variable that requires gradient cannot be changed in place "
                "where gradients are recorded; do it inside no_grad()"
            )
        self._node = result._node
        self._history = None
        self._variable = None
        self._requires_grad = result._requires_grad
        if not self._requires_grad and self._node not in realized:
            written[id(self)] = ref(self)
        return self

    @classmethod
    def _from_data(cls, data: Any, dtype: Any, device: str | None) -> Self:
        raise NotImplementedError  # creation.py has it

    # ------------------------------------------------------------------- placement and dtype

    def cast(self, dtype: Any) -> Self:
        """The values in another dtype: float to integer truncates, anything to bool is x != 0."""
        target = to_dtype(dtype)
        if target == self._node.dtype:
            return self
        return self._derived(Cast(self._node, target))

    def type_as(self, other: TensorCore) -> Self:
        """The values in the dtype of `other`."""
        return self.cast(other.dtype)

    def to(self, target: Any, dtype: Any = None) -> Self:
        """On another device (a name), or in another dtype, or both: `x.to("GPU", float16)`."""
        moved = self
        if isinstance(target, TensorCore):
            target, dtype = target.device, target.dtype
        if isinstance(target, str) and not _names_dtype(target):
            device = Device.canonical(target)
            if device != self.device:
                moved = self._derived(Copy(self._node, device))
        elif target is not None:
            moved = self.cast(target)
        return moved if dtype is None else moved.cast(dtype)

    def contiguous(self) -> Self:
        """These values in memory of their own: what comes before and after shares no kernel."""
        return self._derived(Contiguous(self._node))

    def clone(self) -> Self:
        """Another tensor with these values; gradient flows through it."""
        return self._derived(self._node)

    def detach(self) -> Self:
        """These values as a constant: no gradient flows through the result."""
        return self._variable_of(self._node)

    def __copy__(self) -> Self:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self._variable_of(self._node, self._requires_grad)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), np.array(self.numpy()), self._requires_grad)


def _unpickled(cls: type[_T], values: Array, requires_grad: bool) -> _T:
    return cls._from_data(values, None, None).requires_grad_(requires_grad)


def _names_dtype(name: str) -> bool:
    try:
        to_dtype(name)
    except DTypeError:
        return False
    return True


def fresh(node: Node) -> Node:
    """`node` as a variable that is equal to no other; computed already if `node` is."""
    storage = node.storage if isinstance(node, Buffer) else realized.get(node)
    if storage is None:
        return Detach(node, Token())
    made = Detach(Buffer(storage, node.shape), Token())
    realized[made] = storage  # type: ignore[assignment]
    return made


def carries_gradient(node: Node) -> bool:
    """Whether some float that may be a variable is reached from a node without passing a Detach
    of `no_grad`; a past through which no gradient flows is not worth its memory."""
    stack = [node] if node.dtype.is_float else []
    seen = set(stack)
    while stack and len(seen) < MAX_LOOKED_AT:
        node = stack.pop()
        if isinstance(node, Detach):
            if node.token is not None:
                return True
            continue
        for x in node.inputs:
            if x.dtype.is_float and x not in seen:
                if isinstance(x, Buffer):
                    return True
                seen.add(x)
                stack.append(x)
    return bool(stack)


def in_float32(dtype: DType) -> bool:
    """Whether composed operations compute this dtype in float32, to round only once."""
    return dtype.is_float and dtype.itemsize < 4
