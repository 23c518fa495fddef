"""A Function of the loop IR to LLVM IR text: arguments, loops and statements.

    def add(out: float32[8], x: float32[8])   ->   define void @add(ptr %arguments, i64 %thread,
                                                                    i64 %threads, ptr %scratch)

Every kernel has that one signature. `arguments` points to a pointer for each of the function's
arrays; each of `threads` threads calls the kernel with its own number and does its share of the
iterations of parallel loops, a contiguous range; `scratch` is that thread's own block, aligned to
64 bytes, of the size that `scratch_bytes` tells.

The text is pure: it depends on the function and the target only. Loop passes have done the work by
now; what remains is to write values before the loops that do not change them (hoisting.py), and for
LLVM to keep register arrays in registers, to pick instructions, to schedule them and to allocate
registers.
"""

from __future__ import annotations

from functools import partial

from ...errors import CompilerError
from ...expr import Array, Literal
from ...index import bounds, round_up
from ...loops.ir import (
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
    statements,
)
from ...loops.ir.rebuild import written
from . import accesses
from .hoisting import HoistingValues
from .target import Target
from .values import Values
from .writer import value_type

ALIGNMENT = 64  # of private arrays: a cache line, and the widest vector


def codegen(function: Function, target: Target, opt: int = 1) -> str:
    """LLVM IR for a function. With opt=0 each value stands where it is used.

    Requires: a legalised function with serial and parallel loops only, whose arguments do not
    overlap in memory. Raises CompilerError for what it cannot express.
    """
    changed = written(function.body)
    values = HoistingValues(changed, target.has_masks) if opt else Values(changed)
    return _Kernel(function, target, values).text()


def scratch_bytes(function: Function) -> int:
    """The bytes of each thread's scratch block that the function uses."""
    return _layout(function)[1]


def _layout(function: Function) -> tuple[dict[Array, int], int]:
    """The offset of each array in the scratch block, and the bytes of all."""
    offsets: dict[Array, int] = {}
    total = 0
    for stmt in statements(function.body):
        if isinstance(stmt, Alloc) and stmt.array.scope == "local" and stmt.array not in offsets:
            offsets[stmt.array] = total
            nbytes = stmt.array.size * stmt.array.dtype.itemsize
            # One line more than needed: arrays of a power of two in size would conflict in the
            # same sets of the cache.
            total += round_up(nbytes, ALIGNMENT) + ALIGNMENT
    return offsets, total


class _Kernel:
    """Writes one function."""

    def __init__(self, function: Function, target: Target, values: Values) -> None:
        self.function = function
        self.target = target
        self.values = values
        self.entry: list[str] = []

    def text(self) -> str:
        """The whole module."""
        function, v = self.function, self.values
        for name in ("arguments", "thread", "threads", "scratch", "entry", "zeros"):
            v.fresh(name)
        for n, array in enumerate(function.arguments):
            v.bases[array] = pointer = "%" + v.fresh(array.name)
            self.entry.append(f"  {pointer}.slot = getelementptr ptr, ptr %arguments, i64 {n}")
            self.entry.append(f"  {pointer} = load ptr, ptr {pointer}.slot, align 8{v.unchanged}")
        offsets, _ = _layout(function)
        for array, offset in offsets.items():
            v.bases[array] = pointer = "%" + v.fresh(array.name)
            self.entry.append(f"  {pointer} = getelementptr i8, ptr %scratch, i64 {offset}")
        self.body(function.body)
        lines = [f"; {line}" for line in (*function.comment.splitlines(), *function.reasons)]
        lines.append(f"; for {self.target.name}")
        if v.zeros:
            lines.append(
                f"@zeros = private constant [{v.zeros} x i8] zeroinitializer, align {ALIGNMENT}"
            )
        parameters = "ptr %arguments, i64 %thread, i64 %threads, ptr noalias nocapture"
        lines += [
            f"define void @{function.name}({parameters} align {ALIGNMENT} %scratch) {{",
            "entry:", *self.entry, *v.scopes[0].lines, "  ret void", "}",
            "", *sorted(v.declarations), "", *(["!0 = !{}"] if v.unchanged else []),
        ]  # fmt: skip
        return "\n".join(lines) + "\n"

    # ------------------------------------------------------------------ statements

    def body(self, body: Body) -> None:
        for stmt in body:
            self.statement(stmt)

    def statement(self, stmt: Stmt) -> None:
        v = self.values
        match stmt:
            case For():
                self.loop(stmt)
            case Alloc(array):
                self.alloc(array)
            case Let(local, value):
                v.define(local, v.value(value))
            case Store():
                accesses.store(v, stmt.array, stmt.index, stmt.value, stmt.guard)
            case If(condition, then, otherwise):
                sides = (then, otherwise) if otherwise else (then,)
                v.fork(v.value(condition), *(partial(self.body, side) for side in sides))
            case Barrier():
                pass
            case Prefetch():
                accesses.prefetch(v, stmt.array, stmt.index)
            case _:
                raise CompilerError(f"{self.function.name}: codegen: {type(stmt).__name__}")

    def alloc(self, array: Array) -> None:
        v = self.values
        if array in v.bases:
            v.wrote(array)
            return
        v.bases[array] = name = "%" + v.fresh(array.name)
        kind = f"[{array.size} x {value_type(array.dtype)}]"
        self.entry.append(f"  {name} = alloca {kind}, align {ALIGNMENT}")

    def loop(self, stmt: For) -> None:
        """A loop that tests at its end; one that may have no iterations stands behind a test."""
        v = self.values
        if stmt.kind not in ("serial", "parallel"):
            raise CompilerError(
                f"{self.function.name}: codegen: a {stmt.kind} loop over {stmt.var} is left"
            )
        first, last, may_be_empty = self.range(stmt)
        for array in written(stmt.body):
            v.wrote(array)  # the second iteration sees what the first has written
        name = v.fresh(stmt.var.name)
        label, done = v.fresh(f"{stmt.var.name}.loop"), v.fresh(f"{stmt.var.name}.done")
        v.open(label)
        v.define(stmt.var, f"%{name}")
        self.body(stmt.body)
        inner = v.close()
        before = v.sink.block
        if may_be_empty:
            some = v.write(f"{name}.some", f"icmp slt i64 {first}, {last}")
            v.line(f"br i1 {some}, label %{label}, label %{done}")
        else:
            v.line(f"br label %{label}")
        v.label(label)
        v.line(f"%{name} = phi i64 [ {first}, %{before} ], [ %{name}.next, %{inner.block} ]")
        v.sink.lines += inner.lines
        v.line(f"%{name}.next = add nuw nsw i64 %{name}, 1")
        v.line(f"%{name}.more = icmp slt i64 %{name}.next, {last}")
        v.line(f"br i1 %{name}.more, label %{label}, label %{done}")
        v.label(done)

    def range(self, stmt: For) -> tuple[str, str, bool]:
        """The first index, the one after the last, and whether there may be none between."""
        v = self.values
        extent = Literal(stmt.extent) if isinstance(stmt.extent, int) else stmt.extent
        last, may_be_empty = v.value(extent), bounds(extent)[0] < 1
        if stmt.kind == "serial":
            return "0", last, may_be_empty
        start = v.write("start", f"mul i64 %thread, {last}")
        first = v.write("first", f"udiv i64 {start}, %threads")
        stop = v.write("stop", f"add i64 {start}, {last}")
        return first, v.write("last", f"udiv i64 {stop}, %threads"), True
