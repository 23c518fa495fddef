"""The graph IR: what to compute.

Grammar (a node is one line; `n` stands for any node):

    leaf         Buffer(storage) | Const(value, dtype, shape) | Iota(size, dtype)
    elementwise  Neg(n) | Exp(n) | Add(n, n) | ...         each operation of `elementwise.py`
                 Where(n, n, n) | Cast(n, dtype) | Bitcast(n, dtype) | Within(n, n)
    reduce       Reduce(n, op, axes)                       op: "sum" "prod" "max" "min"
                 Scan(n, axis, op)
    movement     Reshape(n, shape) | Permute(n, order) | Expand(n, shape)
                 Pad(n, padding, value) | Slice(n, starts, sizes, steps)
                 Window(n, axis, size, stride, dilation) | Fold(n, axis, size, stride, dilation)
                 Join((n, n, ...), axis)
    indexed      Gather(n, (n, ...)) | Scatter(n, (n, ...), n, op)
                 InRange(n, low, high, ignored, source)
    order        Sort(n, axis, descending, count)
    random       RandomBits(n, shape)
    recurrence   Recurrence((n, ...), (n, ...), (n, ...), step, steps, reverse)
                 StepInput(number, shape, dtype, device)
    winograd     WinogradFilter(n) | Winograd(n, n, n)
    placement    Copy(n, device) | Contiguous(n) | Detach(n, token) | Overwritten(n, n)
                 Custom(n, (n, ...), rule)

Semantics:

- Every node has a `shape`, a `dtype` and a `device` (None where any device would do: constants).
  They are derived, and checked, when the node is made.
- Nodes are immutable and interned: two nodes of one class with the same fields are one object, so
  they are compared with `is`. Interning is weak; a node lives as long as something refers to it.
- Elementwise operands already have one shape and dtype; Tensor has done broadcasting and promotion.
- `evaluate.py` gives each node's value in NumPy, and is the reference for every pass.
"""

# ruff: noqa: F403, F405  a node is defined in one of these files, and imported from here

from __future__ import annotations

from .deferred import *
from .elementwise import *
from .movement import *
from .node import *
from .nodes import *
from .random import *
from .recurrence import *
from .winograd import *

NODE_CLASSES: list[type[Node]] = [  # every operation, for tests that must cover them all
    cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Node) and not cls.__subclasses__()
]
