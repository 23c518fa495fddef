"""The loop IR: how one kernel computes.

Grammar (expressions are in expr.py):

    function ::= name, arguments: Array(scope="global") ..., body
    body     ::= stmt ...
    stmt     ::= For(var, extent, kind, body)
               | Alloc(array)                          scope: register | local
               | Let(local, e)                         names a value for what follows in this body
               | Store(array, index, e, guard, needed) array[index] = e
               | Accumulate(array, index, op, e, guard, needed)
                                                       array[index] = op(array[index], e)
               | If(condition, body, otherwise)
               | Barrier()
               | Prefetch(array, index)

Semantics:

- For runs its body with var = 0 .. extent - 1. Only the extent of a serial loop may be an
  expression. The kind of a loop says how its iterations run:
    serial    one after another
    unroll    as serial, to be written out by the unroll pass
    vector    all at once, to be widened by the vectorize pass
    parallel  shared among the CPU's threads; iterations are independent
    workgroup, workitem   an axis of an OpenCL launch; workgroup loops are outermost, and the
              iterations of a workitem loop are shared among the items of the group
- Memory is flat: an index counts elements of its array. A vector index gives each lane its
  element: `Load(array, Ramp(base, 1, n))` loads n consecutive ones. A store of a vector of n lanes
  at a scalar index writes elements index .. index + n - 1. A guard (bool, scalar or vector)
  switches lanes off.
- An Alloc lives to the end of the body it stands in; its contents start undefined.
- Accumulate "sum" of a product of floats is a fused multiply-add, rounded once.
- Barrier: all items of the work-group wait for each other, and see each other's stores to local
  memory. A CPU ignores it.
- Prefetch asks for array[index] to be brought into a cache; the index may lie outside of the array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from itertools import count
from typing import Any

from ...expr import Array, Expr, Literal, Local, Var, show_lines, walk
from ...interned import Unique

KINDS = ("serial", "unroll", "vector", "parallel", "workgroup", "workitem")


class Stmt(metaclass=Unique):
    """One statement. Equal ones are one object, as expressions are."""

    __slots__ = ("__weakref__",)


Body = tuple[Stmt, ...]


@dataclass(frozen=True, slots=True, eq=False)
class For(Stmt):
    """Runs body with var = 0 .. extent - 1; `extent` may be an expression in serial loops."""

    var: Var
    extent: int | Expr
    kind: str
    body: Body


@dataclass(frozen=True, slots=True, eq=False)
class Alloc(Stmt):
    """Makes room for an array of scope register or local, until the enclosing body ends."""

    array: Array


@dataclass(frozen=True, slots=True, eq=False)
class Let(Stmt):
    """Computes a value once, for the statements after it in the same body."""

    local: Local
    value: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Store(Stmt):
    """array[index] = value, in the lanes where the guard holds.

    Where `needed` is given and does not hold, no result depends on the value: the statement may be
    left out, or not.
    """

    array: Array
    index: Expr
    value: Expr
    guard: Expr | None = None
    needed: Expr | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Accumulate(Stmt):
    """array[index] = op(array[index], value); op is "sum", "prod", "max" or "min".

    Where `needed` is given and does not hold, the value changes nothing: the statement may be left
    out, or not.
    """

    array: Array
    index: Expr
    op: str
    value: Expr
    guard: Expr | None = None
    needed: Expr | None = None


@dataclass(frozen=True, slots=True, eq=False)
class If(Stmt):
    """Runs one of two bodies; the condition is a scalar bool."""

    condition: Expr
    body: Body
    otherwise: Body = ()


@dataclass(frozen=True, slots=True, eq=False)
class Barrier(Stmt):
    """All work-items of the group arrive before any goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefetch(Stmt):
    """Asks for the cache line of array[index], which will soon be read or written."""

    array: Array
    index: Expr


@dataclass(frozen=True, slots=True)
class Function:
    """A kernel: `arguments` are its global arrays, the first `outputs` of them written.

    `comment` says what it computes, for people. `plan` lists the schedule primitives that
    transformed it (primitives.py), `reasons` why these were chosen. `flops` and `bytes` count what
    one run computes and must move, for reports.
    """

    name: str
    arguments: tuple[Array, ...]
    outputs: int
    body: Body
    comment: str = field(default="", compare=False)
    reasons: tuple[str, ...] = field(default=(), compare=False)
    plan: tuple[str, ...] = field(default=(), compare=False)
    flops: int = field(default=0, compare=False)
    bytes: int = field(default=0, compare=False)


def bodies(stmt: Stmt) -> tuple[Body, ...]:
    """The bodies that a statement holds."""
    match stmt:
        case For():
            return (stmt.body,)
        case If():
            return (stmt.body, stmt.otherwise)
    return ()


def expressions(stmt: Stmt) -> tuple[Expr, ...]:
    """The expressions that stand in a statement itself, not in its bodies."""
    match stmt:
        case For(extent=Expr() as extent):
            return (extent,)
        case Let():
            return (stmt.value,)
        case Store() | Accumulate():
            guard = () if stmt.guard is None else (stmt.guard,)
            return (stmt.index, stmt.value, *guard)
        case If():
            return (stmt.condition,)
        case Prefetch():
            return (stmt.index,)
    return ()


def statements(body: Sequence[Stmt]) -> list[Stmt]:
    """Every statement of a body, outer before inner."""
    found: list[Stmt] = []
    for stmt in body:
        found.append(stmt)
        if isinstance(stmt, (For, If)):
            for inner in bodies(stmt):
                found += statements(inner)
    return found


def show(function: Function) -> str:
    """The function as indented text."""
    lines = [f"# {line}" for line in function.comment.splitlines()]
    arguments = ", ".join(
        f"{'out ' if n < function.outputs else ''}{a.name}: {a.dtype}[{a.size}]"
        for n, a in enumerate(function.arguments)
    )
    lines.append(f"{function.name}({arguments}):")
    _Text(lines).body(function.body, "    ")
    return "\n".join(lines) + "\n"


def digest(function: Function) -> str:
    """A hash of what a function computes, in 64 characters, the same in every process. Functions
    that differ only in name and comments have one digest."""
    content = _content(function.arguments, function.outputs, function.body)
    return sha256(content.encode()).hexdigest()


@lru_cache(maxsize=1 << 9)
def _content(arguments: tuple[Array, ...], outputs: int, body: Body) -> str:
    """The text that `digest` hashes: the fields of all statements and expressions. Each expression
    is written once, and then referred to by its number."""
    lines = [f"{arguments} {outputs}"]
    numbers: dict[Expr, int] = {}

    def described(thing: Expr | Stmt) -> str:
        values = [getattr(thing, name) for name in type(thing).__match_args__]
        return f"{type(thing).__name__} " + " ".join(map(referred, values))

    def referred(value: Any) -> str:
        if isinstance(value, Expr):
            return f"%{numbers[value]}"
        if isinstance(value, tuple):
            return f"({' '.join(map(referred, value))})"
        return repr(value) if not isinstance(value, Stmt) else described(value)

    def number(e: Expr, _: tuple[int, ...]) -> int:
        lines.append(described(e))
        return len(numbers)

    for stmt in statements(body):
        for value in (getattr(stmt, name) for name in type(stmt).__match_args__):
            if isinstance(value, Expr):
                walk(value, number, numbers)
    lines += map(described, body)
    return "\n".join(lines)


_ACCUMULATE = {"sum": "+=", "prod": "*=", "max": "max=", "min": "min="}


class _Text:
    """Appends the text of statements to `lines`."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.numbers = count()

    def body(self, body: Body, indent: str) -> None:
        for stmt in body:
            before, (head, *texts) = show_lines(expressions(stmt) or (_NOTHING,), self.numbers)
            self.lines += [indent + line for line in before]
            self.statement(stmt, head, texts, indent)

    def statement(self, stmt: Stmt, head: str, texts: list[str], indent: str) -> None:
        """A statement whose first expression is `head`, and whose other ones are `texts`."""
        match stmt:
            case For():
                self.lines.append(f"{indent}{stmt.kind} {stmt.var} in {stmt.extent}:")
                self.body(stmt.body, indent + "    ")
            case Alloc(array):
                self.lines.append(
                    f"{indent}{array.scope} {array.name}: {array.dtype}[{array.size}]"
                )
            case Let():
                self.lines.append(f"{indent}{stmt.local} = {head}")
            case Store() | Accumulate():
                sign = _ACCUMULATE[stmt.op] if isinstance(stmt, Accumulate) else "="
                width = f":{stmt.value.lanes}" if stmt.value.lanes > stmt.index.lanes else ""
                guard = f" if {texts[1]}" if len(texts) > 1 else ""
                why = "" if stmt.needed is None else f" needed if {stmt.needed}"
                place = f"{stmt.array.name}[{head}{width}]"
                self.lines.append(f"{indent}{place} {sign} {texts[0]}{guard}{why}")
            case If():
                self.lines.append(f"{indent}if {head}:")
                self.body(stmt.body, indent + "    ")
                if stmt.otherwise:
                    self.lines.append(f"{indent}else:")
                    self.body(stmt.otherwise, indent + "    ")
            case Barrier():
                self.lines.append(f"{indent}barrier")
            case Prefetch():
                self.lines.append(f"{indent}prefetch {stmt.array.name}[{head}]")


_NOTHING = Literal(0)  # stands for the expressions of a statement that has none
