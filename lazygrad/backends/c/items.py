"""Map workgroup and workitem loops to the groups and items of a launch.

A nest is a workgroup (workitem) loop with the loops of its kind that stand directly inside it; only
Lets and Allocs may stand between. The iterations of a workgroup nest are the launch's groups,
innermost loop in dimension 0. A group has a grid of items, and every workitem nest of the kernel
shares its iterations among them:

- The grid is that of a pinned nest, one that holds a barrier or uses private arrays that live
  outside it: each item must keep to its iteration. Without one it is the largest nest's, and at
  most group_limit items.
- A nest of the grid's extents has one iteration an item. Of any other nest an item runs every
  `items`-th iteration: item, item + items, item + 2 * items and so on.

So statements inside a workitem nest run once an iteration. Those outside run in every item, on its
private arrays; their stores to memory that items share are done by one item.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import CompilerError
from ...expr import Array
from ...loops.ir import (
    Alloc,
    Barrier,
    Body,
    For,
    Function,
    Let,
    Stmt,
    bodies,
    statements,
)
from ...loops.ir.rebuild import accesses

DEEPEST = 64  # items in dimension 2: the limit of CUDA hardware
HIGHEST = 65535  # groups in dimensions 1 and 2: its limit, too


@dataclass(frozen=True, slots=True)
class Nest:
    """Loops of one kind, outer to inner; in loop n, `prefixes[n]` stands before loop n + 1."""

    loops: tuple[For, ...]
    prefixes: tuple[Body, ...]
    body: Body

    @property
    def extents(self) -> tuple[int, ...]:
        return tuple(int(loop.extent) for loop in self.loops)  # type: ignore[arg-type]

    @property
    def size(self) -> int:
        return math.prod(self.extents)


def nest_of(loop: For) -> Nest:
    """The nest that starts at a loop."""
    loops: list[For] = [loop]
    prefixes: list[Body] = []
    while body := loops[-1].body:
        prefix, last = body[:-1], body[-1]
        if not (isinstance(last, For) and last.kind == loop.kind):
            break
        if not all(isinstance(stmt, Let | Alloc) for stmt in prefix):
            break
        prefixes.append(prefix)
        loops.append(last)
    return Nest(tuple(loops), tuple(prefixes), loops[-1].body)


@dataclass(frozen=True, slots=True)
class Grid:
    """The items of a group: `shape` is dimension 0 first."""

    shape: tuple[int, ...]

    @property
    def items(self) -> int:
        return math.prod(self.shape)

    def matches(self, nest: Nest) -> bool:
        """Whether each item has exactly one iteration of the nest, by its ids."""
        return nest.extents[::-1] == self.shape


@dataclass(frozen=True, slots=True)
class Plan:
    """The groups and items of a function's launch.

    `prefix` are the Lets and Allocs before the workgroup nest, or before the body of a function
    that has none: its launch has one group.
    """

    prefix: Body
    groups: Nest | None
    grid: Grid
    body: Body

    @property
    def group_shape(self) -> tuple[int, ...]:
        """Group counts, dimension 0 first."""
        return (1,) if self.groups is None else _group_shape(self.groups.extents)


def launch(function: Function, group_limit: int = 256) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The global and local work sizes of a kernel, dimension 0 first.

    The global size is 0 where a workgroup loop has no iterations: then there is nothing to run.
    """
    plan = plan_launch(function, group_limit)
    groups, items = plan.group_shape, plan.grid.shape
    rank = max(len(groups), len(items))
    groups += (1,) * (rank - len(groups))
    items += (1,) * (rank - len(items))
    return tuple(g * i for g, i in zip(groups, items, strict=True)), items


def plan_launch(function: Function, group_limit: int) -> Plan:
    """The groups and items of a function. Raises CompilerError where it cannot be one launch."""
    prefix, rest = _split(function.body)
    grid = plan_items(function, group_limit)
    loops = [loop for loop in rest if isinstance(loop, For) and loop.kind == "workgroup"]
    if not loops:
        return Plan(prefix, None, grid, rest)
    if len(rest) > 1:
        raise CompilerError(
            f"opencl: {function.name}: a statement beside a workgroup loop would run in every "
            "group; make it a kernel of its own"
        )
    return Plan(prefix, nest_of(loops[0]), grid, ())


def _split(body: Body) -> tuple[Body, Body]:
    """The Lets and Allocs that a body starts with, and the rest."""
    count = 0
    while count < len(body) and isinstance(body[count], Let | Alloc):
        count += 1
    return body[:count], body[count:]


def _group_shape(extents: tuple[int, ...]) -> tuple[int, ...]:
    """Group counts by dimension; outer loops beyond the third share dimension 2."""
    inner = extents[::-1]
    shape = (*inner[:2], math.prod(inner[2:])) if len(inner) > 2 else inner
    if any(count > HIGHEST for count in shape[1:]):
        return (math.prod(extents),)
    return shape


def plan_items(function: Function, group_limit: int) -> Grid:
    """The grid of items that the module's rules give."""
    largest = pinned = None
    for nest, outside in _workitem_nests(function.body, frozenset()):
        if largest is None or nest.size > largest.size:
            largest = nest
        if _is_pinned(nest, outside) and (pinned is None or nest.size > pinned.size):
            pinned = nest
    chosen = pinned or largest
    if chosen is None:
        return Grid((1,))
    shape = chosen.extents[::-1]
    if len(shape) > 3 or (len(shape) == 3 and shape[2] > DEEPEST):
        shape = (chosen.size,)
    if chosen.size <= group_limit:
        return Grid(shape if chosen.size else (1,))
    if pinned:
        raise CompilerError(
            f"opencl: {function.name}: {chosen.size} items that meet at barriers or keep private "
            f"arrays are more than a group can have ({group_limit})"
        )
    return Grid((group_limit,))


def _workitem_nests(
    body: Body, outside: frozenset[Array]
) -> Iterable[tuple[Nest, frozenset[Array]]]:
    """The outermost workitem nests of a body, each with the private arrays that live around it."""
    for stmt in body:
        if isinstance(stmt, Alloc) and stmt.array.scope == "register":
            outside |= {stmt.array}
        elif isinstance(stmt, For) and stmt.kind == "workitem":
            yield nest_of(stmt), outside
        else:
            for inner in bodies(stmt):
                yield from _workitem_nests(inner, outside)


def _is_pinned(nest: Nest, outside: frozenset[Array]) -> bool:
    inside = list(statements(nest.body))
    if any(isinstance(stmt, Barrier) for stmt in inside):
        return True
    return any(not outside.isdisjoint(arrays_of(stmt)) for stmt in inside)


def arrays_of(stmt: Stmt) -> set[Array]:
    """The arrays that a statement itself reads or writes."""
    return {array for array, _ in accesses(stmt)}
