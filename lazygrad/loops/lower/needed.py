"""Which elements of a kernel's outputs are needed, where sizes vary (graph/sizes.py).

out0[i, j] = relu(within(sum(x * w), i < n))   ->   out0[i, j] is needed if i < n
"""

from __future__ import annotations

from collections.abc import Callable

from ...dtypes import int64
from ...expr import Expr, Literal, Var
from ...graph.ir import Node, Within
from ...index import add, all_of, floordiv, less, mod, mul, substitute
from ...schedule.access import MultiIndex
from ...schedule.ir import Blocked, Kernel
from ...schedule.limit_outputs import undefined_with
from ..end_loops import at_run_time, in_some_lane
from .value import Values


class Needed:
    """The conditions under which the elements of outputs are needed. `read`: as in `Values`, of the
    kernel's inputs alone."""

    def __init__(
        self, kernel: Kernel, read: Callable[[Node, MultiIndex, Expr | None], Expr | None]
    ) -> None:
        self.kernel, self.values = kernel, Values(read)
        self.has_sizes = any(x.size == 1 and x.dtype == int64 for x in kernel.inputs)

    def of(self, node: Node, index: MultiIndex) -> Expr | None:
        """The condition, known only at run time, under which an element is needed: it is defined,
        or another one in its block, in a layout of blocks. None if it always is."""
        if not self.has_sizes:
            return None
        layout = self.kernel.layouts.get(node)
        if not isinstance(layout, Blocked):
            return self._defined(node, index)
        block, lane = Var("needed_h", node.shape[0] // layout.size), Var("needed_l", layout.size)
        place = add(mul(block, layout.size), lane)
        some = in_some_lane(self._defined(node, (place, *index[1:])), lane)
        values: dict[Expr, Expr] = {block: floordiv(index[0], layout.size)}
        return None if some is None else substitute(some, values)

    def _defined(self, node: Node, index: MultiIndex) -> Expr | None:
        """The condition under which an element is defined."""
        inputs = self.kernel.inputs
        conditions = [
            self.values.of(x.inside, at, ())
            for x, at in undefined_with(node, index, inputs)
            if isinstance(x, Within) and x not in inputs
        ]
        for (axis, block), size in self.kernel.limits.get(node, {}).items():
            end = self.values.of(size, (Literal(0),) * len(size.shape), ())
            conditions.append(less(mod(index[axis], block), end))
        return at_run_time(all_of(conditions))
