"""The meaning of every node, in NumPy: the oracle that all passes and backends are tested against.

Arithmetic on float16 and bfloat16 is done in float32 and rounded after each node, as backends
without such arithmetic do it. Sums and products of float32 are accumulated in float64, so that the
oracle's own error is small beside a backend's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from ..dtypes import Array, DType, convert, float32
from ..errors import CompilerError
from . import ir
from .ir import Node, Operation, winograd

Case = Callable[..., Array]  # (node, *values of its inputs) -> its value
C = TypeVar("C", bound=Case)


class Readable(Protocol):
    """A storage whose elements can be read."""

    def numpy(self) -> Array:
        """The elements, in order."""
        ...


def evaluate(
    outputs: Sequence[Node], buffers: Callable[[ir.Buffer], Array] | None = None
) -> list[Array]:
    """The values of the outputs, each a C-contiguous array of its node's shape and dtype.

    `buffers` gives a Buffer's elements, in any shape; by default they are `storage.numpy()`. A
    value is freed after its last use.
    """
    return evaluate_from({}, outputs, buffers)


def evaluate_from(
    known: Mapping[Node, Array],
    outputs: Sequence[Node],
    buffers: Callable[[ir.Buffer], Array] | None = None,
) -> list[Array]:
    """As `evaluate`, from values that are `known`."""
    order = ir.topological(outputs, lambda node: () if node in known else node.inputs)
    uses = ir.use_counts(outputs, order)
    values: dict[Node, Array] = {}
    with np.errstate(all="ignore"):
        for node in order:
            if node in known:
                values[node] = known[node]
                continue
            if isinstance(node, ir.Buffer):
                elements = buffers(node) if buffers else cast(Readable, node.storage).numpy()
                values[node] = elements.reshape(node.shape)
            else:
                values[node] = evaluate_node(node, [values[x] for x in node.inputs])
            for x in node.inputs:
                uses[x] -= 1
                if not uses[x]:
                    values.pop(x, None)
    return [np.asarray(values[output], order="C") for output in outputs]


def evaluate_node(node: Node, inputs: Sequence[Array]) -> Array:
    """One node's value from its inputs' values.

    NumPy's warnings are the caller's to silence, with np.errstate(all="ignore").
    """
    case = CASES.get(type(node))
    if case is None:
        raise CompilerError(f"evaluate: no case for {node.name}")
    value: Array = case(node, *inputs)
    if value.shape != node.shape or value.dtype != node.dtype.numpy:
        raise CompilerError(f"evaluate: {node} gave {value.dtype}{value.shape}")
    return value


CASES: dict[type[Node], Case] = {}


def case(cls: type[Node]) -> Callable[[C], C]:
    """Decorator: the function is the meaning of nodes of this class."""

    def register(function: C) -> C:
        CASES[cls] = function
        return function

    return register


# --------------------------------------------------------------------------- dtypes


def _wide(x: Array) -> Array:
    """float16 and bfloat16 as float32; all else as it is."""
    low = x.dtype.kind in "fV" and x.dtype.itemsize < 4
    return x.astype(np.float32) if low else x


def _accumulated(x: Array, dtype: DType) -> Array:
    """x in the dtype in which its elements are accumulated."""
    return x.astype(np.float64) if dtype == float32 else _wide(x)


# --------------------------------------------------------------------------- leaves


@case(ir.Const)
def _const(node: ir.Const) -> Array:
    return np.broadcast_to(np.array(node.value, node.dtype.numpy), node.shape)


@case(ir.Iota)
def _iota(node: ir.Iota) -> Array:
    return convert(np.arange(node.size_), node.dtype)


# --------------------------------------------------------------------------- elementwise


def operate(operation: Operation, *operands: Array) -> Array:
    """The value of an operation on operands of one dtype (but for the condition of `where`).

    16-bit floats are computed in float32 and rounded once. Arithmetic on bools is done in integers;
    the result is true where the integer is not 0.
    """
    dtype = operands[-1].dtype
    if operation.takes != "bits" and dtype.kind == "b":
        operands = tuple(x.astype(np.int8) for x in operands)
    wide = [_wide(x) for x in operands]
    value = np.asarray(operation.numpy(*wide))
    if operation.is_comparison:
        return value
    return value.astype(wide[-1].dtype).astype(dtype)


def _elementwise(node: ir.Arithmetic, *inputs: Array) -> Array:
    return operate(node.operation, *inputs)


CASES.update({cls: _elementwise for cls in ir.NODE_CLASSES if issubclass(cls, ir.Arithmetic)})


@case(ir.Pow)
def _pow(node: ir.Pow, x: Array, y: Array) -> Array:
    if isinstance(node.y, ir.Const) and abs(node.y.value) == 0.5:
        root = np.sqrt(_wide(x))
        return convert(root if node.y.value > 0 else 1 / root, node.dtype)
    return operate(node.operation, x, y)


@case(ir.Within)
def _within(node: ir.Within, x: Array, inside: Array) -> Array:
    return x


@case(ir.Cast)
def _cast(node: ir.Cast, x: Array) -> Array:
    return convert(x, node.dtype)


@case(ir.Bitcast)
def _bitcast(node: ir.Bitcast, x: Array) -> Array:
    return np.ascontiguousarray(x).view(node.dtype.numpy).reshape(x.shape)


# --------------------------------------------------------------------------- reduce and movement


@case(ir.Reduce)
def _reduce(node: ir.Reduce, x: Array) -> Array:
    if x.size == 0:
        return np.full(node.shape, ir.identity(node.op, node.dtype), x.dtype)
    wide = _accumulated(x, node.dtype)
    ufunc: Any = ir.REDUCTIONS[node.op].operation.numpy
    combined = ufunc.reduce(wide, axis=node.axes, dtype=wide.dtype)
    return convert(np.asarray(combined), node.dtype)


@case(ir.Recurrence)
def _recurrence(node: ir.Recurrence, *inputs: Array) -> Array:
    first, last = len(node.starts), len(node.starts) + len(node.series)
    arguments, rows = node.arguments, []
    states, constants = list(inputs[:first]), inputs[last : last + len(node.constants)]
    slope, start = node.line
    steps = slope * int(inputs[-1]) + start if node.count else node.steps
    for t in range(steps)[::-1] if node.reverse else range(steps):
        read = (*states, *(x[t] for x in inputs[first:last]), *constants)
        known: dict[Node, Array] = dict(zip(arguments, read, strict=True))
        *states, value = evaluate_from(known, node.step.roots)
        rows.append(value)
    result = np.zeros(node.shape, node.dtype.numpy)
    result[:steps] = rows[::-1] if node.reverse else rows
    return result


@case(ir.Scan)
def _scan(node: ir.Scan, x: Array) -> Array:
    wide = _accumulated(x, node.dtype)
    ufunc: Any = ir.REDUCTIONS[node.op].operation.numpy
    return convert(ufunc.accumulate(wide, node.axis, dtype=wide.dtype), node.dtype)


@case(ir.Reshape)
def _reshape(node: ir.Reshape, x: Array) -> Array:
    return x.reshape(node.shape)


@case(ir.Permute)
def _permute(node: ir.Permute, x: Array) -> Array:
    return x.transpose(node.order)


@case(ir.Expand)
def _expand(node: ir.Expand, x: Array) -> Array:
    return np.broadcast_to(x, node.shape)


@case(ir.Pad)
def _pad(node: ir.Pad, x: Array) -> Array:
    out = np.full(node.shape, node.value, x.dtype)
    inside = zip(node.padding, x.shape, strict=True)
    out[tuple(slice(before, before + n) for (before, _), n in inside)] = x
    return out


@case(ir.Slice)
def _slice(node: ir.Slice, x: Array) -> Array:
    for axis, (start, size, step) in enumerate(
        zip(node.starts, node.sizes, node.steps, strict=True)
    ):
        x = x.take(start + step * np.arange(size), axis)
    return x


@case(ir.Join)
def _join(node: ir.Join, *parts: Array) -> Array:
    return np.concatenate(parts, node.axis)


@case(ir.Window)
def _window(node: ir.Window, x: Array) -> Array:
    starts = node.stride * np.arange(node.shape[node.axis])
    windows = x.take(starts[:, None] + node.dilation * np.arange(node.size_), node.axis)
    return np.moveaxis(windows, node.axis + 1, -1)


@case(ir.Fold)
def _fold(node: ir.Fold, x: Array) -> Array:
    wide = np.moveaxis(_accumulated(x, node.dtype), node.axis, 0)  # (o, ..., k)
    size = (node.size_, *wide.shape[1:-1])
    out = np.zeros(size, wide.dtype)
    for k in range(wide.shape[-1]):
        start = k * node.dilation
        out[start : start + len(wide) * node.stride : node.stride][: len(wide)] += wide[..., k]
    return convert(np.moveaxis(out, 0, node.axis), node.dtype)


# --------------------------------------------------------------------------- indexed and order


def _places(shape: ir.Shape, indices: Sequence[Array]) -> tuple[tuple[Array, ...], Array]:
    """The indices, with 0 for those outside their axis; and where all of them are inside."""
    inside = np.ones(indices[0].shape, bool)
    for n, index in zip(shape, indices, strict=True):
        inside &= (index >= 0) & (index < n)
    return tuple(np.where(inside, index, 0).astype(np.int64) for index in indices), inside


@case(ir.InRange)
def _in_range(node: ir.InRange, x: Array) -> Array:
    for value in x[(x < node.low) | (x >= node.high)]:
        if value != node.ignored:
            raise node.source.outside(int(value), node.low, node.high)
    return x


@case(ir.Gather)
def _gather(node: ir.Gather, x: Array, *indices: Array) -> Array:
    places, inside = _places(x.shape, indices)
    if x.size == 0:
        return np.zeros(node.shape, x.dtype)
    return np.where(inside, x[places], np.zeros((), x.dtype))


@case(ir.Scatter)
def _scatter(node: ir.Scatter, x: Array, *rest: Array) -> Array:
    *indices, values = rest
    places, inside = _places(x.shape, indices)
    kept = tuple(place[inside] for place in places)  # flat, in row-major order
    out = np.array(_accumulated(x, node.dtype), order="C")  # a copy that can be flattened
    new = _accumulated(values[inside], node.dtype)
    if node.op == "set":
        where = np.ravel_multi_index(kept, x.shape) if len(new) else np.zeros(0, np.int64)
        last = np.full(x.size, -1)
        np.maximum.at(last, where, np.arange(len(new)))
        written = last >= 0
        out.reshape(-1)[written] = new[last[written]]
    else:
        ufunc: Any = ir.REDUCTIONS[node.op].operation.numpy
        ufunc.at(out, kept, new)
    return convert(out, node.dtype)


@case(ir.Sort)
def _sort(node: ir.Sort, x: Array) -> Array:
    x = _wide(x)  # NumPy sorts nan last, which is largest
    if node.descending:
        # reversed twice, so that equal elements keep their order
        backwards = np.argsort(np.flip(x, node.axis), axis=node.axis, kind="stable")
        order = np.asarray(x.shape[node.axis] - 1 - np.flip(backwards, node.axis))
    else:
        order = np.argsort(x, axis=node.axis, kind="stable")
    return np.take(order, range(node.shape[node.axis]), node.axis).astype(np.int64)


# --------------------------------------------------------------------------- random


@case(ir.RandomBits)
def _random_bits(node: ir.RandomBits, state: Array) -> Array:
    first, second, draws = state
    count = math.prod(node.shape_)

    def apply(op: str, x: Array, y: Array | int) -> Array:
        return operate(ir.OPERATIONS[op], x, np.asarray(y, np.uint32))

    words = ir.threefry((first, second), (np.arange(count, dtype=np.uint32), draws), apply)
    return np.stack([np.broadcast_to(word, count) for word in words]).reshape(node.shape)


# --------------------------------------------------------------------------- winograd


@case(ir.WinogradFilter)
def _winograd_filter(node: ir.WinogradFilter, w: Array) -> Array:
    g = np.array(winograd.FILTER)
    return convert(np.einsum("ki,lj,ocij->klco", g, g, _accumulated(w, node.dtype)), node.dtype)


@case(ir.Winograd)
def _winograd(node: ir.Winograd, x: Array, u: Array, w: Array) -> Array:
    taps = (winograd.TAPS, winograd.TAPS)
    windows = np.lib.stride_tricks.sliding_window_view(
        _accumulated(x, node.dtype), taps, axis=(2, 3)
    )
    y = np.einsum("ncyxij,ocij->noyx", windows, _accumulated(w, node.dtype))
    return convert(y, node.dtype)


# --------------------------------------------------------------------------- placement


def _same(node: Node, x: Array) -> Array:
    return x


CASES.update(dict.fromkeys((ir.Copy, ir.Contiguous, ir.Detach), _same))


@case(ir.Overwritten)
def _overwritten(node: Node, x: Array, value: Array) -> Array:
    return value


@case(ir.Custom)
def _custom(node: Node, value: Array, *primals: Array) -> Array:
    return value
