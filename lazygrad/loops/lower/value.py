"""The value of a graph node at an index, as a scalar expression: how nodes are inlined."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...dtypes import DType, bool_, int64, uint32
from ...expr import Bitcast, Cast, Expr, Literal, Load, Op, cast
from ...graph import ir
from ...graph.ir import Node
from ...graph.ir.random import RandomBits, threefry
from ...index import FALSE, TRUE, all_of, at_least, equal, flatten, less, normalize
from ...rewrite import bottom_up
from ...schedule.access import MultiIndex, iota_index, movement_index

Guards = tuple[Expr, ...]  # conditions, which all must hold
Request = tuple[Node, MultiIndex, Guards]  # node[index], where the guards hold


class Values:
    """Builds expressions; each node at each index once. Iterative, so depth is no limit.

    `read` gives the load of a node that is in memory or in a register already, and None for a node
    that must be computed.
    """

    def __init__(self, read: Callable[[Node, MultiIndex, Expr | None], Expr | None]) -> None:
        self.read = read

    def of(self, node: Node, index: MultiIndex, guards: Guards) -> Expr:
        """node[index]. Where the guards do not hold, it is any value, and no memory is read."""
        return self._build((node, index, guards), {})

    def inside(self, node: Node, index: MultiIndex) -> Expr:
        """node[index] computed from the node's inputs, even where the node itself is in memory."""
        request: Request = (node, index, ())
        memo: dict[Request, Expr] = {}
        return self._combine(request, [self._build(x, memo) for x in self._needs(request)])

    def gathered(
        self, indices: Sequence[Node], shape: Sequence[int], index: MultiIndex, guards: Guards = ()
    ) -> tuple[MultiIndex, Guards]:
        """The multi-index that index nodes hold at `index`, and the conditions under which it is
        inside `shape`."""
        result: list[Expr] = []
        inside: list[Expr] = []
        for node, n in zip(indices, shape, strict=True):
            walked = iota_index(node, index)
            i = walked if walked is not None else cast(self.of(node, index, guards), int64)
            result.append(i)
            inside += [at_least(i, 0), less(i, n)]
        return tuple(result), tuple(g for g in inside if g is not TRUE)

    def _build(self, request: Request, memo: dict[Request, Expr]) -> Expr:
        def needs(wanted: Request) -> list[Request]:
            node, index, guards = wanted
            ready = self.read(node, index, all_of(guards))
            if ready is None:
                return self._needs(wanted)
            memo[wanted] = ready
            return []

        def make(wanted: Request) -> Expr:
            return self._combine(wanted, [memo[x] for x in self._needs(wanted)])

        return bottom_up(request, memo, needs, make)

    def _needs(self, request: Request) -> list[Request]:
        """The values from which a node's value is built."""
        node, index, guards = request
        match node:
            case ir.Const() | ir.Iota():
                return []
            case ir.Within(x):
                return [(x, index, guards)]
            case ir.Elementwise() | ir.Contiguous():
                return [(x, index, guards) for x in node.inputs]
            case ir.Gather(x, indices):
                walked = [iota_index(i, index) for i in indices]
                needs = [
                    (i, index, guards) for i, w in zip(indices, walked, strict=True) if w is None
                ]
                at, inside = self.gathered(indices, x.shape, index, guards)
                return [*needs, (x, at, guards + inside)]
            case ir.RandomBits(state):
                return [(state, (Literal(word),), guards) for word in range(3)]
            case ir.Movement():
                at, more = movement_index(node, index)
                return [] if FALSE in more else [(node.inputs[0], at, guards + more)]
        raise TypeError(f"{node.name} cannot be inlined: it needs memory")

    def _combine(self, request: Request, values: Sequence[Expr]) -> Expr:
        """A node's value, from the values that `_needs` names."""
        node, index, guards = request
        match node:
            case ir.Const(constant, dtype):
                return Literal(constant, dtype)
            case ir.Iota(_, dtype):
                return cast(index[0], dtype)
            case ir.Cast(_, dtype):
                return cast(values[0], dtype)
            case ir.Bitcast(_, dtype):
                return Bitcast(values[0], dtype)
            case ir.Arithmetic(operation=operation):
                return _operation(operation, tuple(values))
            case ir.Gather(x, indices):
                _, inside = self.gathered(indices, x.shape, index, guards)
                return _guarded(values[-1], inside, 0, node.dtype)
            case ir.RandomBits():
                return random_word(node, index, values)
            case ir.Pad(value=fill):
                if not values:
                    return Literal(fill, node.dtype)
                _, inside = movement_index(node, index)
                return _guarded(values[0], inside, fill, node.dtype)
        return values[0]


def _operation(operation: ir.Operation, args: tuple[Expr, ...]) -> Expr:
    is_of_bools = operation.of_bools and args[-1].dtype == bool_
    return normalize(Op(operation.of_bools if is_of_bools else operation.name, args))


def _guarded(value: Expr, guards: Guards, fill: bool | int | float, dtype: DType) -> Expr:
    """value where the guards hold, else fill; a guarded load gives 0 by itself."""
    condition = all_of(guards)
    if condition is None:
        return value
    is_zero = fill == 0 and str(float(fill)) != "-0.0"
    if is_zero and isinstance(value, Load) and value.guard is condition:
        return value
    return Op("where", (condition, value, Literal(fill, dtype)))


def random_word(node: RandomBits, index: MultiIndex, state: Sequence[Expr]) -> Expr:
    """One of the words at an index; `state` are the three words of the state."""
    word, *at = index
    key, draws = (state[0], state[1]), state[2]
    number = Cast(flatten(at, node.shape_), uint32)
    x, y = threefry(key, (number, draws), _operate)
    match word:
        case Literal(value=0):
            return x
        case Literal():
            return y
    return Op("where", (equal(word, 0), x, y))


def _operate(op: str, x: Expr, y: Expr | int) -> Expr:
    return normalize(Op(op, (x, Literal(y, uint32) if isinstance(y, int) else y)))
