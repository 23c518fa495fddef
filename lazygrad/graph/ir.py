"""The graph IR: what to compute.

Grammar (a node is one line; `n` stands for any node):

    leaf         Buffer(storage) | Const(value, dtype, shape) | Iota(size, dtype)
    elementwise  Neg Abs Exp Log Sqrt Sin Cos Tanh Erf Floor Ceil Trunc Round Not   (n)
                 Add Sub Mul Div FloorDiv Mod Pow Maximum Minimum
                 Less LessEqual Equal NotEqual And Or Xor Shl Shr                   (n, n)
                 Where(n, n, n) | Cast(n, dtype) | Bitcast(n, dtype)
    reduce       Reduce(n, op, axes)                       op: "sum" "prod" "max" "min"
    movement     Reshape(n, shape) | Permute(n, order) | Expand(n, shape)
                 Pad(n, padding, value) | Slice(n, starts, sizes, steps)
                 Window(n, axis, size, stride, dilation) | Fold(n, axis, size, stride, dilation)
    indexed      Gather(n, indices) | Scatter(n, indices, values, op)
    order        Sort(n, axis, descending, count)
    placement    Copy(n, device) | Contiguous(n) | Detach(n, token)

Semantics:

- Every node has a `shape`, a `dtype` and a `device` (None where any device would do: constants).
  They are derived, and checked, when the node is made.
- Nodes are immutable and interned: two nodes of one class with the same fields are one object, so
  they are compared with `is`. Interning is weak; a node lives as long as something refers to it.
- Elementwise operands already have one shape and dtype; broadcasting and promotion are Tensor's.
- `evaluate.py` gives each node's value in NumPy, and is the reference for every pass.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, dataclass_transform

from ..dtypes import DType, bool_, int64
from ..errors import DeviceError, DTypeError, ShapeError
from ..interned import Interned, set_derived

Shape = tuple[int, ...]

# --------------------------------------------------------------------------- the base class


@dataclass_transform(frozen_default=True, eq_default=False)
class Node(Interned):
    """One operation of the graph. Subclasses add fields and `_infer`, their shape and dtype."""

    __slots__ = ("device", "dtype", "inputs", "shape")
    shape: Shape
    dtype: DType
    device: str | None
    inputs: tuple[Node, ...]

    def _derive(self) -> None:
        inputs: list[Node] = []
        for name in self._fields:
            value = getattr(self, name)
            if isinstance(value, Node):
                inputs.append(value)
            elif isinstance(value, tuple):
                inputs.extend(item for item in value if isinstance(item, Node))
        set_derived(self, "inputs", tuple(inputs))
        shape, dtype = self._infer()
        set_derived(self, "shape", shape)
        set_derived(self, "dtype", dtype)
        set_derived(self, "device", self._infer_device())

    def _infer(self) -> tuple[Shape, DType]:
        raise NotImplementedError

    def _infer_device(self) -> str | None:
        device: str | None = None
        for node in self.inputs:
            if node.device is None or node.device == device:
                continue
            if device is not None:
                raise DeviceError(
                    f"{self.name}: inputs are on {device} and {node.device}; "
                    f'move one with .to("{device}") or .to("{node.device}")'
                )
            device = node.device
        return device

    @property
    def name(self) -> str:
        """The operation's name in lower case, as messages and pictures show it."""
        return type(self).__name__.lower()

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def attributes(self) -> dict[str, Any]:
        """The fields that are not nodes, by name: what a printed node shows in brackets."""
        return {
            name: value for name in self._fields if not holds_nodes(value := getattr(self, name))
        }

    def with_inputs(self, inputs: Sequence[Node]) -> Node:
        """The same operation on other inputs (as many as `self.inputs`)."""
        if len(inputs) != len(self.inputs):
            raise ValueError(f"{self.name}: {len(inputs)} inputs for {len(self.inputs)}")
        return type(self)(*inputs, *[getattr(self, name) for name in self._fields[len(inputs) :]])

    def __repr__(self) -> str:
        notes = ", ".join(f"{name}={value}" for name, value in self.attributes.items())
        shape = ", ".join(map(str, self.shape))
        return f"{self.name}[{notes}] {self.dtype}({shape})"


def holds_nodes(value: Any) -> bool:
    return isinstance(value, Node) or (
        isinstance(value, tuple) and any(isinstance(item, Node) for item in value)
    )


# --------------------------------------------------------------------------- leaves


class Storage(Protocol):
    """What a Buffer node refers to: a piece of a device's memory (runtime.buffer.Buffer)."""

    size: int
    dtype: DType
    device: str


class Buffer(Node):
    """The elements of a realized storage, in row-major order. Identity is the storage's."""

    storage: Storage
    shape_: Shape

    @classmethod
    def _key(cls, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (cls, id(args[0]), args[1])  # the node keeps the storage alive, so ids stay unique

    def _infer(self) -> tuple[Shape, DType]:
        if math.prod(self.shape_) != self.storage.size:
            raise ShapeError(
                f"buffer: {self.storage.size} elements cannot have shape {self.shape_}"
            )
        return self.shape_, self.storage.dtype

    def _infer_device(self) -> str | None:
        return self.storage.device

    @property
    def attributes(self) -> dict[str, Any]:
        return {}


def _as_element(value: bool | int | float, dtype: DType) -> bool | int | float:
    """A number as Python's kind for a dtype; integers wrap, as NumPy's and C's casts do."""
    if dtype.is_float:
        return float(value)
    if not dtype.is_int:
        return bool(value)
    bits = 8 * dtype.itemsize
    wrapped = int(value) & ((1 << bits) - 1)
    return wrapped - (1 << bits) if dtype.kind == "int" and wrapped >> (bits - 1) else wrapped


class Const(Node):
    """One value in every element. Keyed by bits: 0.0 is not -0.0, nan is itself, 1 is not True."""

    value: bool | int | float
    dtype_: DType
    shape_: Shape = ()

    @classmethod
    def _key(cls, args: tuple[Any, ...]) -> tuple[Any, ...]:
        value, dtype, shape = args
        value = _as_element(value, dtype)
        return (cls, struct.pack("<d", value) if dtype.is_float else value, dtype, shape)

    def _derive(self) -> None:
        set_derived(self, "value", _as_element(self.value, self.dtype_))
        Node._derive(self)

    def _infer(self) -> tuple[Shape, DType]:
        return self.shape_, self.dtype_

    @property
    def attributes(self) -> dict[str, Any]:
        return {"value": self.value}


class Iota(Node):
    """0, 1, ..., size - 1."""

    size_: int
    dtype_: DType = int64

    def _infer(self) -> tuple[Shape, DType]:
        return (self.size_,), self.dtype_

    @property
    def attributes(self) -> dict[str, Any]:
        return {}


# --------------------------------------------------------------------------- elementwise


class Elementwise(Node):
    """Element i of the output depends on element i of each input; all have one shape."""

    def _check(self) -> None:
        first = self.inputs[0]
        for other in self.inputs[1:]:
            if other.shape != first.shape:
                raise ShapeError(f"{self.name}: shapes {first.shape} and {other.shape} differ")


class Unary(Elementwise):
    """One input, and its dtype."""

    x: Node

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype


class FloatUnary(Unary):
    """A function of real numbers: floats only."""

    def _infer(self) -> tuple[Shape, DType]:
        if not self.x.dtype.is_float:
            raise DTypeError(f"{self.name}: needs a float input, got {self.x.dtype}")
        return self.x.shape, self.x.dtype


class Neg(Unary):
    """-x (wraps for unsigned)."""


class Abs(Unary):
    """|x|."""


class Exp(FloatUnary):
    """e**x."""


class Log(FloatUnary):
    """The natural logarithm; nan below 0, -inf at 0."""


class Sqrt(FloatUnary):
    """The square root, correctly rounded."""


class Sin(FloatUnary):
    """sin(x), x in radians."""


class Cos(FloatUnary):
    """cos(x), x in radians."""


class Tanh(FloatUnary):
    """The hyperbolic tangent."""


class Erf(FloatUnary):
    """2/sqrt(pi) times the integral of exp(-t*t) from 0 to x."""


class Floor(FloatUnary):
    """The largest integer <= x."""


class Ceil(FloatUnary):
    """The smallest integer >= x."""


class Trunc(FloatUnary):
    """x without its fraction."""


class Round(FloatUnary):
    """The nearest integer, halves to even."""


class Not(Unary):
    """Logical not of a bool; every bit flipped of an integer."""

    def _infer(self) -> tuple[Shape, DType]:
        if self.x.dtype.is_float:
            raise DTypeError(f"not: needs a bool or integer input, got {self.x.dtype}")
        return self.x.shape, self.x.dtype


class Binary(Elementwise):
    """Two inputs of one shape and dtype, and that dtype."""

    x: Node
    y: Node

    def _infer(self) -> tuple[Shape, DType]:
        self._check()
        if self.x.dtype != self.y.dtype:
            raise DTypeError(f"{self.name}: dtypes {self.x.dtype} and {self.y.dtype} differ")
        return self.x.shape, self.x.dtype


class Add(Binary):
    """x + y; logical or for bool."""


class Sub(Binary):
    """x - y."""


class Mul(Binary):
    """x * y; logical and for bool."""


class Div(Binary):
    """x / y of floats."""

    def _infer(self) -> tuple[Shape, DType]:
        if not self.x.dtype.is_float:
            raise DTypeError(f"div: needs float inputs, got {self.x.dtype}")
        return Binary._infer(self)


class FloorDiv(Binary):
    """floor(x / y); 0 for an integer division by 0."""


class Mod(Binary):
    """x - y * floor(x / y), with the sign of y; 0 for an integer y of 0."""


class Pow(Binary):
    """x ** y of floats, as C's pow."""

    def _infer(self) -> tuple[Shape, DType]:
        if not self.x.dtype.is_float:
            raise DTypeError(f"pow: needs float inputs, got {self.x.dtype}")
        return Binary._infer(self)


class Maximum(Binary):
    """The larger; nan where either is nan."""


class Minimum(Binary):
    """The smaller; nan where either is nan."""


class Comparison(Binary):
    """Two inputs of one shape and dtype; a bool."""

    def _infer(self) -> tuple[Shape, DType]:
        return Binary._infer(self)[0], bool_


class Less(Comparison):
    """x < y; false where either is nan."""


class LessEqual(Comparison):
    """x <= y; false where either is nan."""


class Equal(Comparison):
    """x == y; false where either is nan."""


class NotEqual(Comparison):
    """x != y; true where either is nan."""


class Bitwise(Binary):
    """Bit by bit on integers, logical on bool."""

    def _infer(self) -> tuple[Shape, DType]:
        if self.x.dtype.is_float:
            raise DTypeError(f"{self.name}: needs bool or integer inputs, got {self.x.dtype}")
        return Binary._infer(self)


class And(Bitwise):
    """x & y."""


class Or(Bitwise):
    """x | y."""


class Xor(Bitwise):
    """x ^ y."""


class Shl(Bitwise):
    """x << y; 0 where y is the width or more."""


class Shr(Bitwise):
    """x >> y, arithmetic for signed x; all sign bits where y is the width or more."""


class Where(Elementwise):
    """x where condition, else y."""

    condition: Node
    x: Node
    y: Node

    def _infer(self) -> tuple[Shape, DType]:
        self._check()
        if self.condition.dtype != bool_ or self.x.dtype != self.y.dtype:
            raise DTypeError(
                f"where: needs (bool, T, T), got "
                f"({self.condition.dtype}, {self.x.dtype}, {self.y.dtype})"
            )
        return self.x.shape, self.x.dtype


class Cast(Elementwise):
    """x in another dtype: to bool is x != 0, float to integer truncates, integers wrap."""

    x: Node
    dtype_: DType

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.dtype_

    @property
    def attributes(self) -> dict[str, Any]:
        return {}


class Bitcast(Elementwise):
    """The same bits read as another dtype of the same size."""

    x: Node
    dtype_: DType

    def _infer(self) -> tuple[Shape, DType]:
        if self.x.dtype.itemsize != self.dtype_.itemsize:
            raise DTypeError(f"bitcast: {self.x.dtype} and {self.dtype_} differ in size")
        return self.x.shape, self.dtype_

    @property
    def attributes(self) -> dict[str, Any]:
        return {}


# --------------------------------------------------------------------------- reduce

REDUCE_OPS = ("sum", "prod", "max", "min")


class Reduce(Node):
    """The axes (sorted, distinct) combined with op and removed; an empty one gives its identity.

    float16 and bfloat16 are accumulated in float32 and rounded once; max and min give nan where
    an element is nan; sum and prod of bool are or and and. Which of several equal elements a
    maximum or minimum was taken from matters to its gradient alone: `ties` is "all" of them, in
    equal parts, or the "first" in row-major order.
    """

    x: Node
    op: str
    axes: tuple[int, ...]
    ties: str = "all"

    @property
    def attributes(self) -> dict[str, Any]:
        notes = {"op": self.op, "axes": self.axes}
        return notes if self.ties == "all" else {**notes, "ties": self.ties}

    def _infer(self) -> tuple[Shape, DType]:
        if self.op not in REDUCE_OPS:
            raise ValueError(f"reduce: op {self.op!r} is none of {REDUCE_OPS}")
        if self.ties not in ("all", "first"):
            raise ValueError(f"reduce: ties {self.ties!r} is neither 'all' nor 'first'")
        rank = len(self.x.shape)
        if list(self.axes) != sorted(set(self.axes)) or any(not 0 <= a < rank for a in self.axes):
            raise ShapeError(f"reduce: axes {self.axes} do not fit shape {self.x.shape}")
        kept = tuple(n for axis, n in enumerate(self.x.shape) if axis not in self.axes)
        return kept, self.x.dtype


# --------------------------------------------------------------------------- movement


class Movement(Node):
    """Each element of the output is an element of x, or a padding value."""

    x: Node


class Reshape(Movement):
    """The same elements in row-major order, in another shape."""

    shape_: Shape

    def _infer(self) -> tuple[Shape, DType]:
        if math.prod(self.shape_) != self.x.size:
            raise ShapeError(
                f"reshape: {self.x.shape} has {self.x.size} elements, "
                f"{self.shape_} has {math.prod(self.shape_)}"
            )
        return self.shape_, self.x.dtype

    @property
    def attributes(self) -> dict[str, Any]:
        return {}


class Permute(Movement):
    """out.shape[i] = x.shape[order[i]]."""

    order: tuple[int, ...]

    def _infer(self) -> tuple[Shape, DType]:
        if sorted(self.order) != list(range(len(self.x.shape))):
            raise ShapeError(f"permute: {self.order} is no order of the axes of {self.x.shape}")
        return tuple(self.x.shape[axis] for axis in self.order), self.x.dtype


class Expand(Movement):
    """Axes of size 1 repeated to the size in `shape_`; same rank."""

    shape_: Shape

    def _infer(self) -> tuple[Shape, DType]:
        if len(self.shape_) != len(self.x.shape) or any(
            old not in (1, new) for old, new in zip(self.x.shape, self.shape_, strict=True)
        ):
            raise ShapeError(f"expand: {self.x.shape} cannot be expanded to {self.shape_}")
        return self.shape_, self.x.dtype

    @property
    def attributes(self) -> dict[str, Any]:
        return {}


class Pad(Movement):
    """`padding[axis] = (before, after)`, each >= 0, filled with value (of x's dtype)."""

    padding: tuple[tuple[int, int], ...]
    value: bool | int | float = 0

    @classmethod
    def _key(cls, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x, padding, *rest = args
        value = rest[0] if rest else 0
        return (cls, x, padding, struct.pack("<d", value) if x.dtype.is_float else value)

    def _infer(self) -> tuple[Shape, DType]:
        if len(self.padding) != len(self.x.shape) or any(min(p) < 0 for p in self.padding):
            raise ShapeError(f"pad: padding {self.padding} does not fit shape {self.x.shape}")
        sizes = zip(self.x.shape, self.padding, strict=True)
        return tuple(n + before + after for n, (before, after) in sizes), self.x.dtype


class Slice(Movement):
    """out[i] = x[start + i * step] along each axis, for i < size; step may be negative, not 0."""

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    steps: tuple[int, ...]

    def _infer(self) -> tuple[Shape, DType]:
        rank = len(self.x.shape)
        fits = len(self.starts) == len(self.sizes) == len(self.steps) == rank
        if fits:
            for n, start, size, step in zip(
                self.x.shape, self.starts, self.sizes, self.steps, strict=True
            ):
                last = start + (size - 1) * step
                fits = fits and step != 0 and size >= 0
                fits = fits and (size == 0 or (0 <= start < n and 0 <= last < n))
        if not fits:
            raise ShapeError(
                f"slice: starts {self.starts}, sizes {self.sizes}, steps {self.steps} "
                f"do not fit shape {self.x.shape}"
            )
        return self.sizes, self.x.dtype


def window_count(n: int, size: int, stride: int, dilation: int) -> int:
    """How many windows of `size` elements, `dilation` apart, start in n at steps of `stride`."""
    return max(0, (n - (size - 1) * dilation - 1) // stride + 1)


class Window(Movement):
    """Sliding windows: out[..., o, ..., k] = x[..., o * stride + k * dilation, ...].

    `axis` becomes the windows' axis; the position inside a window is a new last axis.
    """

    axis: int
    size_: int
    stride: int = 1
    dilation: int = 1

    def _infer(self) -> tuple[Shape, DType]:
        if not 0 <= self.axis < len(self.x.shape):
            raise ShapeError(f"window: axis {self.axis} is outside shape {self.x.shape}")
        if min(self.size_, self.stride, self.dilation) < 1:
            raise ShapeError("window: size, stride and dilation must be at least 1")
        shape = list(self.x.shape)
        count = window_count(shape[self.axis], self.size_, self.stride, self.dilation)
        if count < 1:
            raise ShapeError(
                f"window: {self.size_} elements {self.dilation} apart do not fit axis {self.axis} "
                f"of shape {self.x.shape}"
            )
        shape[self.axis] = count
        return (*shape, self.size_), self.x.dtype


class Fold(Node):
    """The adjoint of Window: out[..., i, ...] = sum of x[..., o, ..., k] with
    o * stride + k * dilation = i.  x's last axis is k; `axis` becomes one of `size_` elements.
    """

    x: Node
    axis: int
    size_: int
    stride: int = 1
    dilation: int = 1

    def _infer(self) -> tuple[Shape, DType]:
        *kept, window = self.x.shape
        if not 0 <= self.axis < len(kept):
            raise ShapeError(f"fold: axis {self.axis} is outside shape {self.x.shape}")
        if kept[self.axis] != window_count(self.size_, window, self.stride, self.dilation):
            raise ShapeError(
                f"fold: {kept[self.axis]} windows of {window} do not tile {self.size_} elements"
            )
        kept[self.axis] = self.size_
        return tuple(kept), self.x.dtype


# --------------------------------------------------------------------------- indexed


def _check_indices(name: str, x: Node, indices: tuple[Node, ...]) -> Shape:
    if len(indices) != len(x.shape) or not indices:
        raise ShapeError(f"{name}: {len(indices)} indices for shape {x.shape}")
    for index in indices:
        if not index.dtype.is_int:
            raise DTypeError(f"{name}: indices must be integers, got {index.dtype}")
        if index.shape != indices[0].shape:
            raise ShapeError(f"{name}: index shapes {indices[0].shape} and {index.shape} differ")
    return indices[0].shape


class Gather(Node):
    """out[i] = x[indices[0][i], indices[1][i], ...]: one index node an axis of x, all of the
    output's shape. An axis that is merely walked has an Iota (expanded) for its index, which the
    lowering turns back into a plain loop. An index outside its axis gives 0.
    """

    x: Node
    indices: tuple[Node, ...]

    def _infer(self) -> tuple[Shape, DType]:
        return _check_indices(self.name, self.x, self.indices), self.x.dtype

    def with_inputs(self, inputs: Sequence[Node]) -> Gather:
        x, *indices = inputs
        return Gather(x, tuple(indices))


class Scatter(Node):
    """x, with x[indices[0][i], ...] combined with values[i] for every i, in row-major order of i.

    op "set" overwrites (the last one stays), "sum" "prod" "max" "min" combine.
    An index outside its axis is passed over.
    """

    x: Node
    indices: tuple[Node, ...]
    values: Node
    op: str = "sum"

    def _infer(self) -> tuple[Shape, DType]:
        shape = _check_indices(self.name, self.x, self.indices)
        if self.op not in ("set", *REDUCE_OPS):
            raise ValueError(f"scatter: op {self.op!r} is none of {('set', *REDUCE_OPS)}")
        if self.values.shape != shape:
            raise ShapeError(f"scatter: values {self.values.shape} for indices {shape}")
        if self.values.dtype != self.x.dtype:
            raise DTypeError(f"scatter: values {self.values.dtype} into {self.x.dtype}")
        return self.x.shape, self.x.dtype

    def with_inputs(self, inputs: Sequence[Node]) -> Scatter:
        x, *indices, values = inputs
        return Scatter(x, tuple(indices), values, self.op)


class Sort(Node):
    """The indices (int64) that sort x along axis, stable; nan counts as the largest.

    `count`: only so many of them, the first; None is all.
    """

    x: Node
    axis: int
    descending: bool = False
    count: int | None = None

    def _infer(self) -> tuple[Shape, DType]:
        if not 0 <= self.axis < len(self.x.shape):
            raise ShapeError(f"sort: axis {self.axis} is outside shape {self.x.shape}")
        n = self.x.shape[self.axis]
        if self.count is None:
            return self.x.shape, int64
        if not 0 <= self.count <= n:
            raise ShapeError(f"sort: {self.count} of the {n} elements along axis {self.axis}")
        return (*self.x.shape[: self.axis], self.count, *self.x.shape[self.axis + 1 :]), int64


# --------------------------------------------------------------------------- placement


class Copy(Node):
    """x on another device."""

    x: Node
    device_: str

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype

    def _infer_device(self) -> str | None:
        return self.device_


class Contiguous(Node):
    """x, computed into memory of its own: a kernel boundary that the user asked for."""

    x: Node

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype


class Token:
    """Something that is only equal to itself."""

    __slots__ = ("__weakref__",)

    def __repr__(self) -> str:
        return "·"


class Detach(Node):
    """x as a fresh variable: no gradient flows through it, and a token of its own makes two
    equal expressions two variables. Simplify removes it."""

    x: Node
    token: Token | None = None

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype

    @property
    def attributes(self) -> dict[str, Any]:
        return {}


# --------------------------------------------------------------------------- walking


def topological(
    outputs: Iterable[Node], inputs: Callable[[Node], Sequence[Node]] | None = None
) -> list[Node]:
    """Every node that the outputs need, each after its inputs. Iterative: depth is no limit.

    `inputs` may cut the walk: where it returns (), a node counts as a leaf.
    """
    order: list[Node] = []
    done: set[Node] = set()
    stack: list[tuple[Node, Iterator[Node]]] = []
    for output in outputs:
        if output in done:
            continue
        done.add(output)
        stack.append((output, iter(inputs(output) if inputs else output.inputs)))
        while stack:
            current, remaining = stack[-1]
            for child in remaining:
                if child not in done:
                    done.add(child)
                    stack.append((child, iter(inputs(child) if inputs else child.inputs)))
                    break
            else:
                order.append(current)
                stack.pop()
    return order


NODE_CLASSES: list[type[Node]] = [  # every operation, for tests that must cover them all
    cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Node) and not cls.__subclasses__()
]
