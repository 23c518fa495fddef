"""Schedule primitives: the few ways in which a kernel's loops change. A plan is a list of them.

    split i1 overlap i1_o i1_i:2 i1_l:8     a loop in blocks, here of two vectors of eight
    sink i1_l vector                        a vector loop around each innermost statement,
    sink i1_i unroll                        and an unroll loop around that: a register tile
    bind i1_o parallel                      threads share the blocks

A plan is text: a primitive a line, its name and then its arguments. A loop is named by its
variable; new names come with their sizes. `Schedule` carries out primitives and writes the plan;
`replay` reads one. Every primitive takes legal loops and gives legal loops with the same values,
or raises ScheduleError. What cannot be seen in the loops (that iterations are independent) the plan
must ensure: the docstring requires it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from itertools import count, takewhile
from math import prod
from typing import Concatenate, ParamSpec, TypeVar

from ..errors import ScheduleError
from ..expr import Array, Expr, Literal, Op, Ramp, Var
from ..index import add, flatten, less, linear, minimum, mul, sub, substitute, unflatten
from ..targets import UNROLL_BY, UNROLL_WHOLE
from .end_loops import ends_in
from .ir import KINDS, Alloc, Body, For, If, Stmt, expressions, statements
from .ir.rebuild import (
    apart,
    body_loads,
    has_trait,
    map_bodies,
    nest,
    nest_all,
    peel,
    rename_arrays,
    replace_arrays,
    rewrite_body,
    substitute_body,
    variables,
)
from .mask import masked

P = ParamSpec("P")
TAILS = ("exact", "overlap", "guard", "peel", "short", "mask")


PRIMITIVES: dict[str, Callable[..., Body]] = {}
"""Every primitive, by the name that plans call it by."""

Primitive = TypeVar("Primitive", bound=Callable[..., Body])


def primitive(function: Primitive) -> Primitive:
    """Decorator: plans may have a line that calls this function."""
    PRIMITIVES[function.__name__] = function
    return function


class Schedule:
    """Loops, and the plan that made them so."""

    def __init__(self, body: Body) -> None:
        self.body = with_own_names(body)
        self.plan: list[str] = []

    def do(
        self, step: Callable[Concatenate[Body, P], Body], *args: P.args, **named: P.kwargs
    ) -> None:
        """Carry out a primitive, and add it to the plan."""
        assert PRIMITIVES.get(step.__name__) is step, f"{step.__name__}: a plan could not name it"
        self.body = step(self.body, *args, **named)
        self.plan.append(" ".join(map(str, (step.__name__, *args))))

    def begin(self, step: Callable[..., Body], made: Body) -> None:
        """Add a primitive to the plan that has been carried out already: it `made` the loops."""
        self.body = made
        self.plan.append(step.__name__)

    def merged(self) -> tuple[list[Var], Body]:
        """As `outer`, after merging the loops that no index needs apart."""
        loops, inside = self.outer()
        fewer, inside = merge(loops, inside)
        if len(fewer) < len(loops):
            self.body = nest(fewer, inside)
            self.plan.append(f"{merge_nest.__name__} {loops[0].name}")
        return fewer, inside

    def loop(self, name: str) -> Var:
        """The variable of a loop."""
        return loops_of(self.body)[name]

    def outer(self) -> tuple[list[Var], Body]:
        """The `serial_nest` of its loops."""
        return serial_nest(self.body)

    def unroll_sums(self, outside: AbstractSet[str] = frozenset()) -> None:
        """Unroll the innermost loops that sum: short ones as a whole, others by UNROLL_BY. Loops in
        `outside` stay."""
        for loop in [x for x in statements(self.body) if isinstance(x, For)]:
            name, is_outer = loop.var.name, loop.kind != "serial" or loop.var.name in outside
            if is_outer or has_trait(loop.body, "serial"):
                continue
            if not has_trait(loop.body, "sum"):
                continue  # no iteration waits for the one before
            if loop.var.extent <= UNROLL_WHOLE:
                self.do(bind, name, "unroll")
            elif loop.var.extent % UNROLL_BY == 0:
                self.do(split, name, "exact", f"{name}_u", f"{name}_b:{UNROLL_BY}")
                self.do(bind, f"{name}_b", "unroll")

    def done(self) -> Body:
        """The loops, without serial, unroll and vector loops of one iteration."""
        return rewrite_body(self.body, _inside_single)


def _inside_single(stmt: Stmt) -> Body | None:
    """The body of a loop of one iteration; None for other statements."""
    match stmt:
        case For(extent=1, kind="serial" | "unroll" | "vector"):
            return stmt.body
    return None


def serial_nest(body: Body) -> tuple[list[Var], Body]:
    """The serial loops of the outermost perfect nest, and what stands inside."""
    loops, inside = peel(body)
    serial = list(takewhile(lambda loop: loop.kind == "serial", loops))
    if len(serial) < len(loops):
        inside = (loops[len(serial)],)
    return [loop.var for loop in serial], inside


def loops_of(body: Body) -> dict[str, Var]:
    """The variables of all loops by name, outer before inner."""
    return {s.var.name: s.var for s in statements(body) if isinstance(s, For)}


def inside_of(body: Body, name: str) -> Body:
    """The body of a loop."""
    return next(s.body for s in statements(body) if isinstance(s, For) and s.var.name == name)


def at_loop(body: Body, name: str, change: Callable[[For], Body]) -> Body:
    """The body with `change` applied to each loop of this name."""

    def changed(stmt: Stmt) -> Body | None:
        return change(stmt) if isinstance(stmt, For) and stmt.var.name == name else None

    made = rewrite_body(body, changed)
    if made == body and name not in (names := loops_of(body)):
        raise ScheduleError(f"no loop {name}; there are {', '.join(names) or 'none'}")
    return made


def digits_of(words: Sequence[str]) -> list[tuple[str, int]]:
    """Names and sizes of new loops, written `name:size`."""
    pairs = [word.partition(":") for word in words]
    if not all(size.isdigit() for _, _, size in pairs):
        raise ScheduleError(f"sizes are written name:size, not {' '.join(words)}")
    return [(name, int(size)) for name, _, size in pairs]


# --------------------------------------------------------------------------- loops


@primitive
def split(body: Body, var: str, tail: str, outer: str, *digits: str) -> Body:
    """Split a loop into a loop over blocks, and loops of given sizes inside of a block: the digits
    of its variable.

        serial i in 10: S(i)    split i TAIL o d:4
        ->
        exact    the size divides the extent
        overlap  serial o in 3: serial d in 4: S(min(o*4, 6) + d)
        guard    serial o in 3: serial d in 4: if o*4 + d < 10: S(o*4 + d)
        peel     serial o in 3: if o < 2: serial d in 4: S(o*4 + d)  else: as guard
        short    serial o in 3: serial d in min(10 - o*4, 4): S(o*4 + d)
        mask     serial o in 3: serial d in 4: S(o*4 + d), where past the end a sum adds products
                 with 0, and nothing else is done (mask.py)

    Requires: a constant extent, but for short, which takes one digit; for overlap, an extent of at
    least a block, and iterations that may run twice. A loop of one iteration stays a loop.
    """
    pairs = digits_of(digits)
    sizes = [size for _, size in pairs]
    block = prod(sizes)

    def change(loop: For) -> Body:
        extent = loop.var.extent
        blocks, parts = Var(outer, -(-extent // block)), [Var(*pair) for pair in pairs]
        start = mul(blocks, block)
        varies = not isinstance(loop.extent, int)
        if tail not in TAILS or (varies and tail != "short") or (tail == "short" and parts[1:]):
            raise ScheduleError(f"split {var}: {tail}, an extent of {loop.extent}")
        if extent % block and (tail == "exact" or (tail == "overlap" and extent < block)):
            raise ScheduleError(f"split {var}: {extent} iterations in blocks of {block}: {tail}")
        if extent % block and tail == "overlap":
            start = minimum(start, Literal(extent - block))
        index = add(start, flatten(parts, sizes))
        if tail == "mask" and extent % block:
            far = Var(var, blocks.extent * block)
            inside = substitute_body(loop.body, {loop.var: far})
            inside = substitute_body(masked(inside, far, less(far, extent)), {far: index})
        else:
            inside = substitute_body(loop.body, {loop.var: index})
        whole = nest_all(parts, inside)
        if tail == "short" and (varies or extent % block):
            left = minimum(sub(add(loop.extent), start), Literal(block))
            whole = (For(parts[0], left, "serial", inside),)
        if (extent % block == 0 and not varies) or tail in ("overlap", "short", "mask"):
            return (For(blocks, blocks.extent, loop.kind, whole),)
        last = nest_all(parts, (If(less(index, extent), inside),))
        if tail == "peel" and extent > block:
            last = (If(less(blocks, extent // block), whole, last),)
        return (For(blocks, blocks.extent, loop.kind, last),)

    return at_loop(body, var, change)


@primitive
def merge_nest(body: Body, var: str) -> Body:
    """Merge the loops of the perfect nest that begins with `var`, where no index needs them apart:
    serial i in 4: serial j in 6: out[i*6 + j] = 1  ->  serial i in 24: out[i] = 1

    Requires: independent iterations, or sums over them.
    """

    def change(loop: For) -> Body:
        loops, inside = peel((loop,))
        return nest(*merge([x.var for x in loops], inside))

    return at_loop(body, var, change)


@primitive
def fuse(body: Body, name: str, *loops: str) -> Body:
    """One loop for neighbours of a perfect nest: serial i in 4: serial j in 6: S(i, j)
    ->  serial n in 24: S(n // 6, n % 6).  Without `loops`, one of one iteration around the body."""
    if not loops:
        return (For(Var(name, 1), 1, "serial", body),)

    def change(first: For) -> Body:
        fused, inside = [first.var], first.body
        for other in loops[1:]:
            match inside:
                case (For(var=var, kind=first.kind, body=inside),) if var.name == other:
                    fused.append(var)
                case _:
                    reason = f"{other} is not the next {first.kind} loop inside"
                    raise ScheduleError(f"fuse {' '.join(loops)}: {reason}")
        joined, inside = merge_all(fused, inside)
        new = Var(name, joined.extent)
        return (For(new, new.extent, first.kind, substitute_body(inside, {joined: new})),)

    return at_loop(body, loops[0], change)


@primitive
def reorder(body: Body, *order: str) -> Body:
    """The loops of a nest in this order, outermost first. An array that is allocated between them
    gets a part for each iteration of the loops that move inside of its allocation.

        serial i in 4: local p[2]; serial k: S(p, k)    reorder k i
        ->  local p[8]; serial k: serial i in 4: S(p[i*2 ..], k)

    Requires: iterations of the loops that change places are independent, but for sums.
    """

    def change(first: For) -> Body:
        loops, allocs, inside = [first], list[tuple[int, Array]](), first.body
        while len(loops) < len(order):
            *before, last = inside
            if not isinstance(last, For) or not all(isinstance(s, Alloc) for s in before):
                break
            allocs += [(len(loops), s.array) for s in before if isinstance(s, Alloc)]
            loops.append(last)
            inside = last.body
        by_name = {loop.var.name: loop for loop in loops}
        if set(by_name) != set(order):
            raise ScheduleError(f"reorder {' '.join(order)}: the nest has {' '.join(by_name)}")
        place = {name: n for n, name in enumerate(order)}
        made: dict[int, list[Stmt]] = {}
        for depth, old in allocs:
            at = min(place[loop.var.name] for loop in loops[depth:])
            over = sorted((x.var for x in loops[:depth]), key=lambda v: place[v.name])
            over = [v for v in over if place[v.name] > at]
            new, inside = grown(inside, old, over)
            made.setdefault(at, []).append(Alloc(new))
        for n in reversed(range(len(order))):
            inside = (*made.get(n, ()), replace(by_name[order[n]], body=inside))
        return inside

    outermost = next((name for name in loops_of(body) if name in order), order[0])
    return at_loop(body, outermost, change)


def grown(body: Body, old: Array, loops: Sequence[Var]) -> tuple[Array, Body]:
    """An array with a part of its own for each iteration of the loops, and the body with it."""
    sizes = [v.extent for v in loops]
    new = replace(old, size=old.size * prod(sizes))
    offset = mul(flatten(loops, sizes), old.size)
    return new, replace_arrays(body, {old: (new, partial(shift, offset=offset))})


def shift(index: Expr, offset: Expr) -> Expr:
    """index + offset, of a scalar index or a ramp."""
    if isinstance(index, Ramp):
        return Ramp(add(index.base, offset), index.stride, index.lanes)
    return add(index, offset)


@primitive
def partition(body: Body, var: str, *points: int) -> Body:
    """Split a loop into loops that follow one another, and begin at 0 and at the points; they are
    named var_0, var_1, ...

    serial i in 58: S(i)    partition i 1 57    ->    S(0); serial i_1 in 56: S(i_1 + 1); S(57)

    Ensures: the same iterations in the same order; each part has its own names of arrays and loops.
    """

    def change(loop: For) -> Body:
        parts: Body = ()
        starts, extent = (0, *points), loop.var.extent
        for n, (start, end) in enumerate(zip(starts, (*points, extent), strict=True)):
            name = f"{var}_{n}"
            part = Var(name, end - start)
            inside = apart(loop.body, parts)
            own = {v: Var(f"{v.name}_{n}", v.extent) for v in loops_of(inside).values()}
            inside = renamed_loops(inside, own)
            here: Expr = add(part, start) if part.extent > 1 else Literal(start)
            parts += nest([part], substitute_body(inside, {loop.var: here}))
        return parts

    return at_loop(body, var, change)


def with_own_names(body: Body) -> Body:
    """The body with loops renamed, so that no two have the same name."""
    names = [s.var.name for s in statements(body) if isinstance(s, For)]
    if len(set(names)) == len(names):
        return body
    taken = set(names)
    seen: set[str] = set()

    def visit(body: Body) -> Body:
        return tuple(map(one, body))

    def one(stmt: Stmt) -> Stmt:
        if isinstance(stmt, For) and (name := stmt.var.name) in seen:
            name = next(x for n in count(1) if (x := f"{name}_{n}") not in taken)
            taken.add(name)
            new = Var(name, stmt.var.extent)
            stmt = replace(stmt, var=new, body=substitute_body(stmt.body, {stmt.var: new}))
        if isinstance(stmt, For):
            seen.add(stmt.var.name)
        return map_bodies(stmt, visit)

    return visit(body)


def renamed_loops(body: Body, names: dict[Var, Var]) -> Body:
    """The body with other variables for its loops."""

    def renamed(stmt: Stmt) -> Body | None:
        if isinstance(stmt, For) and stmt.var in names:
            return (replace(stmt, var=names[stmt.var]),)
        return None

    return substitute_body(rewrite_body(body, renamed), dict(names.items()))


@primitive
def bind(body: Body, var: str, kind: str) -> Body:
    """Another kind for a loop: unroll, parallel, workgroup or workitem.

    Requires: independent iterations, but for unroll. Raises ScheduleError for another kind.
    """
    if kind not in KINDS:
        raise ScheduleError(f"bind: {kind} is no kind of loop: {', '.join(KINDS)}")
    return at_loop(body, var, lambda loop: (replace(loop, kind=kind),))


@primitive
def set_scope(body: Body, array: str, scope: str) -> Body:
    """Another scope for an array that the kernel allocates: register or local. Raises ScheduleError
    for another scope, or an array that is not there."""
    arrays = {s.array.name: s.array for s in statements(body) if isinstance(s, Alloc)}
    if array not in arrays or scope not in ("register", "local"):
        raise ScheduleError(f"set_scope: no array {array} can be in scope {scope}")
    old = arrays[array]
    return rename_arrays(body, {old: replace(old, scope=scope)})


# --------------------------------------------------------------------------- merging


def merge(loops: Sequence[Var], body: Body) -> tuple[list[Var], Body]:
    """Merge neighbouring loops of a nest, innermost first, where no index needs them apart. Returns
    the loops that are left, outermost first, and the body.

        serial i in 4: serial j in 6: out[i*6 + j] = x[i*6 + j]  ->  serial i in 24: out[i] = x[i]

    A loop that ends at a size known at run time is not merged into the one around it: tiles would
    reach from one of its iterations into the next, and could not be left out.

    Requires: the loops are perfectly nested, and their iterations are independent or in row-major
    order. Ensures: no index gets a division or remainder by a loop's extent.
    """
    merged = [v for v in loops if v.extent != 1]
    n = len(merged) - 1
    while n > 0:
        outer, inner, ends = merged[n - 1], merged[n], ends_in(body)
        n -= 1
        if any(_are_apart(x.index, outer, inner) for x in body_loads(body)):
            continue  # a cheap test first
        joined = Var(outer.name, outer.extent * inner.extent)
        # k*extent*outer + k*inner  ->  k*joined; an index that needs them apart keeps `outer`
        within: dict[Expr, Expr] = {inner: sub(joined, mul(outer, inner.extent))}
        if any(inner in variables(c) and outer in variables(substitute(c, within)) for c in ends):
            continue
        candidate = substitute_body(body, within)
        whole = (e for stmt in statements(candidate) for e in expressions(stmt))
        if not any(outer in e.mentions for e in whole):
            merged[n : n + 2] = [joined]
            number = Op("floordiv", (joined, Literal(inner.extent)))
            body = substitute_body(candidate, {outer: number})  # in `needed` conditions
    return merged, body


def merge_all(loops: Sequence[Var], body: Body) -> tuple[Var, Body]:
    """Merge all loops of a nest into one: its variable, and the body. An index that needs the loops
    apart gets quotients and remainders of the variable."""
    joined = Var(f"{loops[0].name}_all", prod(v.extent for v in loops))
    parts = unflatten(joined, [v.extent for v in loops])
    return joined, substitute_body(body, dict(zip(loops, parts, strict=True)))


def _are_apart(e: Expr, outer: Var, inner: Var) -> bool:
    """Whether an index's stride along `outer` differs from its stride along `inner` times the
    extent of `inner`."""
    steps = dict(linear(e)[1])
    return steps.get(outer, 0) != steps.get(inner, 0) * inner.extent
