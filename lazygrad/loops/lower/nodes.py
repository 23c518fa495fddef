"""Lower a kernel of one node to plain loops: maps, sums, scatters and scans.

    sum over c of a (r, c) tensor
    ->
    serial r:
        s[0] = 0;     serial c:  s[0] += x[r*C + c]
        out[r] = s[0]

Movement becomes index arithmetic (value.py). Kernels of several nodes, and OPT=1: rows.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from ...dtypes import DType, bfloat16, bool_, float16, float32, float64
from ...expr import Array, Cast, Expr, Literal, Load, Op, Var, cast
from ...graph.ir import Fold, Node, Reduce, Scan, Scatter
from ...index import all_of, flatten
from ...schedule.access import (
    MultiIndex,
    fold_index,
    reduce_index,
    reduced_variables,
    walked_axes,
)
from ...schedule.ir import Kernel, Region
from ..ir import Accumulate, Body, Function, Stmt, Store
from ..ir.rebuild import Names, begin, nest
from .value import Values


class Lowering:
    """Builds the loops of a kernel of one node, each element of which has its own position."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.names = names = Names()
        self.arrays: dict[Node, Array] = {}
        for n, node in enumerate(kernel.outputs):
            layout = kernel.layouts.get(node)
            size = layout.span(node.shape) if isinstance(layout, Region) else node.size
            self.arrays[node] = Array(names.new(f"out{n}"), node.dtype, size)
        for n, node in enumerate(kernel.inputs):
            self.arrays[node] = Array(names.new(f"in{n}"), node.dtype, node.size)
        self.values = Values(self.read)

    def function(self, name: str) -> Function:
        """The kernel's loops."""
        ways = {"scatter": self.scatter, "scan": self.scan}
        body = ways.get(self.kernel.kind, self.elements)()
        return Function(name, self.arguments(), len(self.kernel.outputs), body)

    def arguments(self) -> tuple[Array, ...]:
        nodes = (*self.kernel.outputs, *self.kernel.inputs)
        return tuple(self.arrays[node] for node in nodes)

    def read(self, node: Node, index: MultiIndex, guard: Expr | None) -> Expr | None:
        """Load a node that is in memory already; None if it must be computed."""
        if node in self.arrays:
            return Load(self.arrays[node], self.place(node, index), guard)
        return None

    def store(self, node: Node, index: MultiIndex, value: Expr) -> Store:
        """Store an element of an output."""
        return Store(self.arrays[node], self.place(node, index), value)

    def place(self, node: Node, index: MultiIndex) -> Expr:
        """Where an element of a stored node lies in its memory."""
        layout = self.kernel.layouts.get(node)
        return flatten(index, node.shape) if layout is None else layout.offset(index, node.shape)

    # ------------------------------------------------------------------ map, sum

    def elements(self) -> Body:
        """Loops over the elements of the node. A sum has the loops over its terms inside."""
        (member,) = self.kernel.members
        node, number = member.node, count()
        index = tuple(
            Literal(0) if n == 1 else Var(self.names.new(f"i{next(number)}"), n) for n in node.shape
        )
        loops = [i for i in index if isinstance(i, Var)]
        if not isinstance(node, (Reduce, Fold)):
            return nest(loops, (self.store(node, index, self.values.inside(node, index)),))
        extents = [v.extent for v in reduced_variables(node)]
        inner = [Var(self.names.new(f"k{n}"), extent) for n, extent in enumerate(extents)]
        total, first, term = self.reduce(node, index, inner)
        value = cast(Load(total, Literal(0)), node.dtype)
        return nest(loops, (*first, *nest(inner, (term,)), self.store(node, index, value)))

    def reduce(
        self, node: Reduce | Fold, index: MultiIndex, inner: Sequence[Expr]
    ) -> tuple[Array, Body, Accumulate]:
        """The accumulator of a sum at an index; the statements that begin the sum; and the one that
        adds a term, in the `inner` loops."""
        op = _bool_op(node.op if isinstance(node, Reduce) else "sum", node.dtype)
        dtype = accumulator_dtype(node.dtype)
        total = Array(self.names.new("acc"), dtype, 1, "register")
        guards: tuple[Expr, ...] = ()
        if isinstance(node, Reduce):
            at = reduce_index(node, index, tuple(inner))
        else:
            at, guards = fold_index(node, index, inner[0])
        value = self.values.of(node.x, at, guards)
        if dtype != node.dtype:
            value = _widened(value, dtype)
        term = Accumulate(total, Literal(0), op, value, all_of(guards))
        return total, begin(total, op), term

    # ------------------------------------------------------------------ scatter

    def scatter(self) -> Body:
        """Copy the base, then combine the values one after another, in row-major order.

        The loops of axes that are merely walked (x[rows[i], j] += v[i, j] walks j) are outermost:
        their iterations write different elements, so threads can share them.
        """
        (member,) = self.kernel.members
        node = member.node
        assert isinstance(node, Scatter)
        out = self.arrays[node]
        loops = [Var(self.names.new(f"k{n}"), e) for n, e in enumerate(node.values.shape)]
        walked = walked_axes(node, loops)
        base_loops = [
            walked.get(axis) or Var(self.names.new(f"b{axis}"), n)
            for axis, n in enumerate(node.shape)
        ]
        base = Store(
            out, flatten(base_loops, node.shape), self.values.of(node.x, tuple(base_loops), ())
        )
        target, guards = self.values.gathered(node.indices, node.shape, tuple(loops))
        value = self.values.of(node.values, tuple(loops), ())
        place = flatten(target, node.shape)
        guard = all_of(guards)
        combine: Stmt = (
            Store(out, place, value, guard)
            if node.op == "set"
            else Accumulate(out, place, _bool_op(node.op, node.dtype), value, guard)
        )
        shared = [v for v in base_loops if v in walked.values()]
        init = nest([v for v in base_loops if v not in shared], (base,))
        update = nest([v for v in loops if v not in shared], (combine,))
        return nest(shared, (*init, *update))

    # ------------------------------------------------------------------ scan

    def scan(self) -> Body:
        """The sum (or product) so far, stored at each step of a row. float32 is summed in float64
        and rounded once an element, as PyTorch does it.

        cumsum(x, 1)  ->  serial i0: acc[0] = 0
                                     serial i1: acc[0] += x[i0, i1]; out[i0, i1] = acc[0]
        """
        (member,) = self.kernel.members
        node = member.node
        assert isinstance(node, Scan)
        index = tuple(Var(f"i{axis}", n) for axis, n in enumerate(node.shape))
        rows = [v for axis, v in enumerate(index) if axis != node.axis]
        dtype = float64 if node.dtype == float32 else accumulator_dtype(node.dtype)
        total, first = Array("acc", dtype, 1, "register"), Literal(0)
        term = cast(self.values.of(node.x, index, ()), dtype)
        step = (
            Accumulate(total, first, node.op, term),
            self.store(node, index, cast(Load(total, first), node.dtype)),
        )
        return nest(rows, (*begin(total, node.op), *nest([index[node.axis]], step)))


def accumulator_dtype(dtype: DType) -> DType:
    """The dtype in which values of a dtype are summed: float32 for 16-bit floats, else its own."""
    return float32 if dtype in (float16, bfloat16) else dtype


def _widened(value: Expr, dtype: DType) -> Expr:
    """A 16-bit term of a sum in the sum's dtype; a product of two is exact there."""
    if isinstance(value, Op) and value.op == "mul":
        return Op("mul", tuple(Cast(factor, dtype) for factor in value.args))
    return Cast(value, dtype)


def _bool_op(op: str, dtype: DType) -> str:
    """The reduction by its name among loops: of bools a sum is "any", a product "all"."""
    if dtype == bool_ and op in ("sum", "prod"):
        return "max" if op == "sum" else "min"
    return op
