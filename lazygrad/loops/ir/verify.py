"""What is legal in the loop IR; run after every pass in tests, and with DEBUG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...dtypes import bool_, int32, int64
from ...errors import CompilerError
from ...expr import (
    COMBINE,
    EVERY_OPERATION,
    Array,
    Bitcast,
    Broadcast,
    Choose,
    Expr,
    Lanes,
    Literal,
    Load,
    Local,
    Op,
    Pack,
    Ramp,
    ReduceLanes,
    Var,
    Zip,
    walk,
)
from ...index import bounds
from . import (
    KINDS,
    Accumulate,
    Alloc,
    Barrier,
    Body,
    For,
    Function,
    If,
    Let,
    Prefetch,
    Stmt,
    Store,
    bodies,
    expressions,
    statements,
)
from .rebuild import written

Name = Var | Local | Array


def verify(function: Function, final: bool = False, unrolled: bool = False) -> None:
    """Check a function:

    - variables, locals and arrays are used only in their scope;
    - dtypes and lanes fit, and loops nest as their kinds allow;
    - of the global arrays only outputs are written, and in a parallel loop if there is one;
    - no parallel loop reads what an earlier one writes: threads do not wait between them.

    `final`: no vector or unroll loop is left, and no `needed` condition.
    `unrolled`: register arrays are indexed by constants.

    Raises CompilerError, naming the function and the fault.
    """
    checker = _Checker(function, final, unrolled)
    try:
        checker.check()
    except _Fault as fault:
        raise CompilerError(f"verify: {function.name}: {fault}") from None


class _Fault(Exception):
    """What is wrong, in words."""


class _Checker:
    def __init__(self, function: Function, final: bool, unrolled: bool) -> None:
        self.function = function
        self.final = final
        self.unrolled = unrolled
        self.free: dict[Expr, frozenset[Name]] = {}  # what an expression refers to
        self.outputs = set(function.arguments[: function.outputs])

    def check(self) -> None:
        function = self.function
        arrays = [*function.arguments]
        for array in function.arguments:
            if array.scope != "global":
                raise _Fault(f"its argument {array.name} is {array.scope}, not global")
        arrays += [s.array for s in statements(function.body) if isinstance(s, Alloc)]
        names: dict[str, Array] = {}
        for array in arrays:
            if names.setdefault(array.name, array) != array:
                raise _Fault(f"two arrays are named {array.name}")
        self.body(function.body, set(function.arguments), ())
        self.parallel_loops()

    def parallel_loops(self) -> None:
        """Threads do not wait for each other: nothing passes from one parallel loop to the next."""
        every = statements(self.function.body)
        loops = [s for s in every if isinstance(s, For) and s.kind == "parallel"]
        if not loops:
            return
        for array in _written_outside(self.function.body):
            if array.scope == "global":
                raise _Fault(f"every thread would write {array.name}: it is in no parallel loop")
        earlier: set[Array] = set()
        for loop in loops:
            for array in earlier:
                if any(array in self.reads(s) for s in statements(loop.body)):
                    raise _Fault(
                        f"{array.name} is read in a parallel loop after the one writing it"
                    )
            earlier |= written(loop.body)

    def reads(self, stmt: Stmt) -> frozenset[Name]:
        return frozenset[Name]().union(*(self.free[e] for e in expressions(stmt)))

    # ------------------------------------------------------------------ statements

    def body(self, body: Body, scope: set[Name], loops: tuple[str, ...]) -> None:
        """Check statements that know the names in `scope`, inside loops of these kinds."""
        scope = set(scope)
        for stmt in body:
            for e in expressions(stmt):
                self.expression(e, scope)
            match stmt:
                case For():
                    self.loop(stmt, loops, scope)
                    self.body(stmt.body, scope | {stmt.var}, (*loops, stmt.kind))
                case Alloc(array):
                    if array.scope not in Array.SCOPES[1:]:
                        raise _Fault(f"{array.name} is allocated with scope {array.scope}")
                    if "vector" in loops:
                        raise _Fault(f"{array.name} is made inside a vector loop, for one lane")
                    scope.add(array)
                case Let(local, value):
                    if local in scope:
                        raise _Fault(f"{local} is defined twice")
                    if (local.dtype, local.lanes) != (value.dtype, value.lanes):
                        raise _Fault(f"{local} is {_kind(local)}, its value {_kind(value)}")
                    scope.add(local)
                case Store() | Accumulate():
                    self.access(stmt, scope)
                case If(condition, then, otherwise):
                    if _kind(condition) != "bool":
                        raise _Fault(f"an if has the condition {condition}, {_kind(condition)}")
                    self.body(then, scope, loops)
                    self.body(otherwise, scope, loops)
                case Prefetch(array, index):
                    if array not in scope or _kind(index) != "int64":
                        raise _Fault(f"{array.name}[{index}] is asked for where it is not known")
                case Barrier():
                    if "workitem" in loops:
                        raise _Fault("a barrier stands inside a workitem loop")

    def loop(self, loop: For, loops: tuple[str, ...], scope: set[Name]) -> None:
        """Check a loop inside loops of these kinds, which knows the names in `scope`."""
        kind, var = loop.kind, loop.var
        if var in scope:
            raise _Fault(f"the loop over {var} is inside another one over {var}")
        if kind not in KINDS:
            raise _Fault(f"the loop over {var} is {kind}, none of {KINDS}")
        if isinstance(loop.extent, Expr):
            if kind != "serial":
                raise _Fault(
                    f"the {kind} loop over {var} has the extent {loop.extent}: no constant"
                )
            if _kind(loop.extent) != "int64":
                raise _Fault(f"the loop over {var} has the extent {loop.extent}")
        last = loop.extent if isinstance(loop.extent, int) else bounds(loop.extent)[1]
        if last > var.extent:
            raise _Fault(f"{var} is said to be below {var.extent}, its loop goes to {loop.extent}")
        if self.final and kind in ("vector", "unroll"):
            raise _Fault(f"the {kind} loop over {var} is left")
        if kind == "parallel" and loops and set(loops) & {"parallel", "workgroup", "workitem"}:
            raise _Fault(f"the parallel loop over {var} is inside a {loops[0]} loop")
        if kind == "workgroup" and any(outer != "workgroup" for outer in loops):
            raise _Fault(f"the workgroup loop over {var} is not outermost")
        if kind == "workitem" and "parallel" in loops:
            raise _Fault(f"the workitem loop over {var} is inside a parallel loop")

    def access(self, stmt: Store | Accumulate, scope: set[Name]) -> None:
        array, index, value, guard = stmt.array, stmt.index, stmt.value, stmt.guard
        if array not in scope:
            raise _Fault(f"{array.name} is written where it is not known")
        if array.scope == "global" and array not in self.outputs:
            raise _Fault(f"{array.name} is written, and no output")
        if value.dtype != array.dtype:
            raise _Fault(f"{value.dtype} is stored in {array.name}, which holds {array.dtype}")
        self.place(array, index, guard, value.lanes)
        lanes = {index.lanes, value.lanes, 1 if guard is None else guard.lanes} - {1}
        if len(lanes) > 1:
            raise _Fault(f"{array.name}[{index}] is written in {sorted(lanes)} lanes at once")
        if isinstance(stmt, Accumulate) and stmt.op not in COMBINE:
            raise _Fault(f"{array.name} accumulates by {stmt.op}, none of {tuple(COMBINE)}")
        if stmt.needed is not None:
            self.expression(stmt.needed, scope)
            if _kind(stmt.needed) != "bool":
                raise _Fault(f"{array.name} is needed if {stmt.needed}, {_kind(stmt.needed)}")
            if self.final:
                raise _Fault(f"{array.name} is still needed only if {stmt.needed}")

    def place(self, array: Array, index: Expr, guard: Expr | None, lanes: int = 1) -> None:
        """Check an index into an array and its guard. A scalar index is that of the first lane."""
        if index.dtype not in (int64, int32):
            raise _Fault(f"{array.name} is indexed by {index}, {_kind(index)}")
        if guard is not None and guard.dtype != bool_:
            raise _Fault(f"{array.name}[{index}] has the guard {guard}, {_kind(guard)}")
        low, high = bounds(index)
        if guard is None and (low >= array.size or high < 0):
            raise _Fault(f"{array.name}[{index}] is outside its {array.size} elements")
        if array.scope == "register" and isinstance(index, Literal) and low + lanes > array.size:
            raise _Fault(f"{array.name}[{index}] holds {array.size} elements, not {lanes} more")
        start = index.base if isinstance(index, Ramp) else index
        if self.unrolled and array.scope == "register" and not isinstance(start, Literal):
            raise _Fault(f"the register array {array.name} is indexed by {index}: no constant")

    # ------------------------------------------------------------------ expressions

    def expression(self, e: Expr, scope: set[Name]) -> None:
        unknown = walk(e, self.visit, self.free) - scope
        if unknown:
            name = sorted(getattr(x, "name", "") for x in unknown)[0]
            raise _Fault(f"{name} is used in {e} where it is not known")

    def visit(self, e: Expr, below: tuple[frozenset[Name], ...]) -> frozenset[Name]:
        """Check one expression; what it refers to."""
        names = frozenset[Name]().union(*below)
        match e:
            case Var() | Local():
                return names | {e}
            case Op():
                _check_operation(e)
            case Load(array=array, index=index, guard=guard):
                self.place(array, index, guard)
                _check_lanes(e, e.operands)
                return names | {array}
            case Bitcast(x=x):
                if x.dtype.itemsize != e.dtype.itemsize:
                    raise _Fault(f"{e} reads the bits of {x.dtype} as {e.dtype}")
            case Ramp(base=base):
                if _kind(base) not in ("int64", "int32"):
                    raise _Fault(f"{e} begins with {_kind(base)}")
            case Broadcast(x=x):
                if x.lanes != 1:
                    raise _Fault(f"{e} spreads {_kind(x)}")
            case ReduceLanes(op=op):
                if op not in COMBINE:
                    raise _Fault(f"{e} reduces by {op}, none of {tuple(COMBINE)}")
            case Zip(x=x, y=y):
                if _kind(x) != _kind(y) or x.lanes % e.block or e.block % (2 * e.grain):
                    raise _Fault(f"{e} zips {_kind(x)} and {_kind(y)}")
            case Lanes(x=x):
                if not 0 <= e.start < e.start + e.count <= x.lanes:
                    raise _Fault(f"{e} takes lanes that {_kind(x)} has not")
            case Pack(parts=parts):
                if any(_kind(x) != str(e.dtype) for x in parts):
                    raise _Fault(f"{e} packs {' and '.join(map(_kind, parts))}")
            case Choose(condition=condition, x=x, y=y):
                if _kind(condition) != "bool" or _kind(x) != _kind(y):
                    raise _Fault(f"{e} chooses by {_kind(condition)} of {_kind(x)} and {_kind(y)}")
        return names


def _check_operation(e: Op) -> None:
    operation = EVERY_OPERATION.get(e.op)
    if operation is None or operation.arity != len(e.args):
        raise _Fault(f"{e.op} has {len(e.args)} operands")
    values = e.args[1:] if e.op == "where" else e.args
    if e.op == "where" and e.args[0].dtype != bool_:
        raise _Fault(f"{e} chooses by {e.args[0].dtype}")
    dtype = values[0].dtype
    if any(x.dtype != dtype for x in values):
        raise _Fault(f"{e} mixes {' and '.join(str(x.dtype) for x in values)}")
    if not operation.accepts(dtype):
        raise _Fault(f"{e.op} of {dtype}")
    if e.dtype != (bool_ if operation.is_comparison else dtype):
        raise _Fault(f"{e} is said to be {e.dtype}")
    _check_lanes(e, e.args)


def _check_lanes(e: Expr, operands: Sequence[Expr]) -> None:
    if any(x.lanes not in (1, e.lanes) for x in operands):
        raise _Fault(f"{e} mixes vectors of {' and '.join(str(x.lanes) for x in operands)} lanes")


def _kind(e: Expr) -> str:
    """An expression's type in words: "float32", "8 x int64"."""
    return str(e.dtype) if e.lanes == 1 else f"{e.lanes} x {e.dtype}"


def _written_outside(body: Body) -> Iterator[Array]:
    """The arrays that are written in no parallel loop."""
    for stmt in body:
        if isinstance(stmt, (Store, Accumulate)):
            yield stmt.array
        elif not (isinstance(stmt, For) and stmt.kind == "parallel"):
            for inner in bodies(stmt):
                yield from _written_outside(inner)
