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
                 Join((n, n, ...), axis)
    indexed      Gather(n, indices) | Scatter(n, indices, values, op)
                 InRange(n, low, high, ignored, source)
    order        Sort(n, axis, descending, count)
    winograd     WinogradFilter(n) | Winograd(n, n, n)
    placement    Copy(n, device) | Contiguous(n) | Detach(n, token) | Overwritten(n, value)

Semantics:

- Every node has a `shape`, a `dtype` and a `device` (None where any device would do: constants).
  They are derived, and checked, when the node is made.
- Nodes are immutable and interned: two nodes of one class with the same fields are one object, so
  they are compared with `is`. Interning is weak; a node lives as long as something refers to it.
- Elementwise operands already have one shape and dtype; broadcasting and promotion are Tensor's.
- `evaluate.py` gives each node's value in NumPy, and is the reference for every pass.
"""

from __future__ import annotations

from .elementwise import (
    Abs,
    Add,
    And,
    Binary,
    Bitcast,
    Bitwise,
    Cast,
    Ceil,
    Comparison,
    Cos,
    Div,
    Elementwise,
    Equal,
    Erf,
    Exp,
    FloatUnary,
    Floor,
    FloorDiv,
    Less,
    LessEqual,
    Log,
    Maximum,
    Minimum,
    Mod,
    Mul,
    Neg,
    Not,
    NotEqual,
    Or,
    Pow,
    Round,
    Shl,
    Shr,
    Sin,
    Sqrt,
    Sub,
    Tanh,
    Trunc,
    Unary,
    Where,
    Xor,
)
from .indexed import Gather, InRange, Scatter, Sort, Source
from .leaves import Buffer, Const, Iota, Storage
from .movement import Expand, Join, Movement, Pad, Permute, Reshape, Slice, Window, window_count
from .node import Node, Shape, holds_nodes, topological
from .placement import Contiguous, Copy, Detach, Overwritten, Token
from .reduce import REDUCE_OPS, Fold, Reduce
from .winograd import Winograd, WinogradFilter

__all__ = [
    "Abs", "Add", "And", "Binary", "Bitcast", "Bitwise", "Buffer", "Cast", "Ceil", "Comparison",
    "Const", "Contiguous", "Copy", "Cos", "Detach", "Div", "Elementwise", "Equal", "Erf", "Exp",
    "Expand", "FloatUnary", "Floor", "FloorDiv", "Fold", "Gather", "InRange", "Iota", "Join",
    "Less", "LessEqual", "Log", "Maximum", "Minimum", "Mod", "Movement", "Mul", "NODE_CLASSES",
    "Neg", "Node", "Not", "NotEqual", "Or", "Overwritten", "Pad", "Permute", "Pow", "REDUCE_OPS",
    "Reduce", "Reshape", "Round", "Scatter", "Shape", "Shl", "Shr", "Sin", "Slice", "Sort",
    "Source", "Sqrt", "Storage", "Sub", "Tanh", "Token", "Trunc", "Unary", "Where", "Window",
    "Winograd", "WinogradFilter", "Xor", "holds_nodes", "topological", "window_count",
]  # fmt: skip

NODE_CLASSES: list[type[Node]] = [  # every operation, for tests that must cover them all
    cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Node) and not cls.__subclasses__()
]
