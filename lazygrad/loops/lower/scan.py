"""Lower a kernel that scans: the sum (or product) so far is written at each step.

    cumsum(x, 1):    serial i0: acc[0] = 0
                     serial i0: serial i1: acc[0] += x[i0, i1]; out[i0, i1] = acc[0]

float32 is summed in float64 and rounded once an element, as PyTorch does it.
"""

from __future__ import annotations

from ...dtypes import DType, float32, float64
from ...expr import Array, Cast, Expr, Literal, Load, Var
from ...graph.ir import Scan, identity
from ...schedule.ir import Kernel
from ..ir import Accumulate, Alloc, Body, Function, Store
from ..ir.rebuild import nest
from .rows import Lowering, accumulator_dtype


def lower_scan(kernel: Kernel, name: str) -> Function:
    """Loops for a kernel of kind scan.

    Ensures: loops over rows are outermost and independent; in each row is one loop.
    """
    (member,) = kernel.members
    node = member.node
    assert isinstance(node, Scan)
    lowering = Lowering(kernel)
    index = tuple(Var(f"i{axis}", n) for axis, n in enumerate(node.shape))
    rows = [v for axis, v in enumerate(index) if axis != node.axis and v.extent > 1]
    total = Array("acc", _total_dtype(node.dtype), 1, "register")
    out = lowering.arrays[node]
    term, first = lowering.values.of(node.x, index, ()), Literal(0)
    step: Body = (
        Accumulate(total, first, node.op, _converted(term, total.dtype)),
        Store(out, lowering.place(node, index), _converted(Load(total, first), node.dtype)),
    )
    body: Body = (
        Alloc(total),
        Store(total, first, Literal(identity(node.op, total.dtype), total.dtype)),
    )
    body = (*body, *nest([index[node.axis]], step))
    return Function(name, lowering.arguments(), 1, nest(rows, body))


def _total_dtype(dtype: DType) -> DType:
    return float64 if dtype == float32 else accumulator_dtype(dtype)


def _converted(x: Expr, dtype: DType) -> Expr:
    return x if x.dtype == dtype else Cast(x, dtype)
