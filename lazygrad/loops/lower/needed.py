"""Which elements of a kernel's outputs are needed, where sizes vary (graph/sizes.py), and which
terms of its sums.

out0[i, j] = relu(within(sum(x * w), i < n))   ->   out0[i, j] is needed if i < n
sum over k of where(k < n, x[k], 0)            ->   a term is needed if k < n
sum over k of pad(x)[i + k] * w[k]             ->   a term is needed if i + k is inside of x
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence

from ...dtypes import int64
from ...expr import Cast, Expr, Literal, Local, Op, Var, parts
from ...graph.ir import Fold, Movement, Node, Pad, Reduce, Within
from ...index import Substitution, add, all_of, at_least, floordiv, less, mod, mul, substitute
from ...schedule.access import MultiIndex, accesses, movement_index, reduced_variables
from ...schedule.ir import Blocked, Kernel, axis_variables
from ...schedule.limit_outputs import undefined_with
from ..end_loops import at_run_time, end_of, in_some_lane
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


def moved_zeros(x: Node) -> Iterator[Movement]:
    """The movements that a node comes from, behind each other, as far as padding is with zeros."""
    while isinstance(x, Movement) and not (isinstance(x, Pad) and x.value != 0):
        yield x
        x = x.inputs[0]


def outside_padding(
    node: Reduce | Fold, index: MultiIndex, inner: Sequence[Expr], stored: Container[Node]
) -> tuple[tuple[Expr, ...], Expr | None]:
    """The conditions under which a term of a sum lies outside of its factors' padding with zeros:
    guards of the term, and a condition under which it is needed. `stored`: the nodes in memory.

    Guards are for a padded factor in memory, along its padded axes but the last. That axis, which
    is for vectors or a tile, and views of a padded tensor only say what is needed. An index that is
    read from a tensor says neither: loops cannot end by it."""
    axes = (*axis_variables(node.shape), *reduced_variables(node))
    values: dict[Expr, Expr] = dict(zip(axes, (*index, *inner), strict=True))
    guards: list[Expr] = []
    needed: list[Expr] = []
    for access in accesses(node, stored.__contains__):
        at: MultiIndex = tuple(map(Substitution(values).of, access.index))
        for x in moved_zeros(access.node):
            if isinstance(x, Pad):
                padded = [axis for axis, amounts in enumerate(x.padding) if any(amounts)]
                for axis in padded:
                    if _is_gathered(at[axis]):
                        continue
                    before, after = x.padding[axis]
                    decides = x is access.node and axis != padded[-1]
                    (guards if decides else needed).extend(
                        (at_least(at[axis], before), less(at[axis], x.shape[axis] - after))
                    )
            at, _ = movement_index(x, at)
    return tuple(guards), all_of(needed)


def _is_gathered(index: Expr) -> bool:
    """Whether a symbol stands in an index for one that a Gather reads (`gather_axis`)."""
    return any(isinstance(part, Local) for part in parts(index))


def masked_once(value: Expr) -> Expr:
    """A term with the ends (end_loops.py) of its two factors merged, and outermost.

    where(c, x, 0) * where(c, y, 0)  ->  where(c, x * y, 0);  cast(where(c, x, 0))  likewise
    """
    match value:
        case Cast(x, dtype):
            x = masked_once(x)
            if end_of(x) is not None and isinstance(x, Op):
                condition, inside, neutral = x.operands
                assert isinstance(neutral, Literal)
                return Op("where", (condition, Cast(inside, dtype), Literal(neutral.value, dtype)))
        case Op(op="mul", args=(Op() as a, Op() as b)):
            if end_of(a) is not None and a.operands[::2] == b.operands[::2]:
                condition, x, zero = a.operands
                if zero == Literal(0, zero.dtype):
                    return Op("where", (condition, Op("mul", (x, b.operands[1])), zero))
    return value


def below_size(value: Expr, neutral: bool | int | float) -> Expr | None:
    """The condition below which a term is not neutral, where it ends at a size that is known only
    at run time."""
    match value:
        case Op(op="where", args=(_, _, Literal(value=other))) if other == neutral:
            return end_of(value)
    return None
