"""Expressions of loops: what a statement computes, and the indices that it reads and writes at.

Grammar:

    e ::= Literal(value, dtype) | Var(name, extent) | Local(name, dtype, lanes)
        | Op(op, (e, ...))           op: a key of OPERATIONS
        | Cast(e, dtype) | Bitcast(e, dtype)
        | Load(array, index, guard)
        | Ramp(base, stride, lanes) | Broadcast(e, lanes) | ReduceLanes(op, e)
        | Zip(e, e, grain, block, upper) | Lanes(e, start, count)
        | Pack((e, ...)) | Choose(e, e, e)

Every expression has a `dtype` and a number of `lanes` (1: a scalar; more: a vector). Operands of
an Op have one dtype (but for `where`, whose condition is bool); scalars beside vectors are
broadcast. Expressions are immutable and interned, so equal ones are one object.

Index expressions are int64; `index.py` builds and simplifies them.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np

from .dtypes import DType, bool_, int64
from .graph.ir import REDUCTIONS, elementwise
from .graph.ir.elementwise import Operation
from .interned import Interned, Unique, set_noted
from .rewrite import bottom_up


def _multiply_add(x: Any, y: Any, z: Any) -> Any:
    """x * y + z, rounded once; of float64 in the widest type there is."""
    wide = np.float64 if x.dtype == np.float32 else np.longdouble
    return x.astype(wide) * y.astype(wide) + z.astype(wide)


OPERATIONS: dict[str, Operation] = {  # the graph's, and the one that loops alone have
    **elementwise.OPERATIONS,
    "fma": Operation("fma", _multiply_add, 3, takes="float", flops=2),
}
MACHINE_OPERATIONS: dict[str, Operation] = {  # only in legalised loops: those of machines
    # of integers, rounded towards 0; neither x / 0 nor the smallest x / -1
    "quotient": Operation("quotient", lambda x, y: (x - np.fmod(x, y)) // np.where(y == 0, 1, y)),
    # x - quotient * y, with the sign of x; of floats, C's fmod
    "remainder": Operation("remainder", np.fmod),
}
EVERY_OPERATION = {**OPERATIONS, **MACHINE_OPERATIONS}
COMBINE = {op: cls.operation.name for op, cls in REDUCTIONS.items()}  # reduction -> operation
COMPARISONS = frozenset(name for name, known in OPERATIONS.items() if known.is_comparison)


_NOTHING: frozenset[Any] = frozenset()
Derived = tuple["DType", int, "tuple[Expr, ...]", "frozenset[Expr | Array]", bool]
_BITS = struct.Struct("<d").pack
_KINDS: dict[str, type[bool | int | float]] = {"bool": bool, "float": float}


@dataclass_transform(frozen_default=True, eq_default=False)
class Expr(Interned):
    """A scalar or vector value. See the module's grammar.

    `mentions` has the variables, locals and arrays that occur in it; `has_loads` says whether any
    of these is an array. `brief` is its text, once that was asked for; None where it is long.
    """

    __slots__ = ("brief", "dtype", "has_loads", "lanes", "mentions", "operands")
    _derived = ("dtype", "lanes", "operands", "mentions", "has_loads")
    dtype: DType
    lanes: int
    operands: tuple[Expr, ...]
    mentions: frozenset[Expr | Array]
    has_loads: bool
    brief: str | None

    def _with(
        self,
        dtype: DType,
        lanes: int,
        operands: tuple[Expr, ...] = (),
        own: Expr | Array | None = None,
    ) -> Derived:
        """The derived attributes. `own` is the variable, local or array that this node mentions
        itself, beside those of its operands."""
        mentions = _NOTHING if own is None else frozenset((own,))
        has_loads = type(own) is Array
        for operand in operands:
            if not mentions:
                mentions = operand.mentions
            elif not mentions >= operand.mentions:
                mentions = mentions | operand.mentions
            has_loads = has_loads or operand.has_loads
        return dtype, lanes, operands, mentions, has_loads

    def with_operands(self, operands: tuple[Expr, ...]) -> Expr:
        """The same expression on other operands."""
        if operands == self.operands:
            return self
        if type(self) is Op:
            return Op(self.op, operands)
        if type(self) is Load:
            return Load(self.array, *operands)
        return self.with_parts(Expr, operands)

    def __repr__(self) -> str:
        return show(self)


T = TypeVar("T")

_operands = attrgetter("operands")


def _most_lanes(operands: tuple[Expr, ...]) -> int:
    """The lanes of an operation on these operands: scalars are broadcast."""
    lanes = 1
    for operand in operands:
        if operand.lanes > lanes:
            lanes = operand.lanes
    return lanes


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Array(metaclass=Unique):
    """A named piece of memory of `size` elements; names are unique within a kernel.

    scope "global": an argument of the kernel; "local": shared by a work-group on a GPU, private
    to a thread on a CPU (a packed panel); "register": private, and every index is a constant once
    loops are unrolled.
    """

    name: str
    dtype: DType
    size: int
    scope: str = "global"

    SCOPES: ClassVar[tuple[str, ...]] = ("global", "local", "register")


class Literal(Expr):
    """A constant."""

    value: bool | int | float
    dtype_: DType = int64

    @classmethod
    def _keyed(cls, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        value, dtype = args
        if dtype is int64 and type(value) is int:
            return (cls, value, dtype), args
        # 0 and 0.0 of one dtype are one literal: its text must not depend on which came first
        value = _KINDS.get(dtype.kind, int)(value)
        return (cls, _BITS(value) if dtype.is_float else int(value), dtype), (value, dtype)

    def _derive(self) -> Derived:
        return self._with(self.dtype_, 1)


class Var(Expr):
    """A loop's index: 0 <= var < extent."""

    name: str
    extent: int

    def _derive(self) -> Derived:
        return self._with(int64, 1, own=self)


class Local(Expr):
    """A value that a Let statement has named."""

    name: str
    dtype_: DType
    lanes_: int = 1

    def _derive(self) -> Derived:
        return self._with(self.dtype_, self.lanes_, own=self)


class Op(Expr):
    """An elementwise operation, `op` a key of OPERATIONS."""

    op: str
    args: tuple[Expr, ...]

    def _derive(self) -> Derived:
        lanes = _most_lanes(self.args)
        dtype = bool_ if self.op in COMPARISONS else self.args[-1].dtype
        return self._with(dtype, lanes, self.args)


class Cast(Expr):
    """x converted to another dtype, as the graph's Cast."""

    x: Expr
    dtype_: DType

    def _derive(self) -> Derived:
        return self._with(self.dtype_, self.x.lanes, (self.x,))


class Bitcast(Expr):
    """x's bits as another dtype of the same size."""

    x: Expr
    dtype_: DType

    def _derive(self) -> Derived:
        return self._with(self.dtype_, self.x.lanes, (self.x,))


class Load(Expr):
    """array[index]; 0 without touching memory in lanes where `guard` (a bool) is false."""

    array: Array
    index: Expr
    guard: Expr | None = None

    def _derive(self) -> Derived:
        operands = (self.index,) if self.guard is None else (self.index, self.guard)
        lanes = _most_lanes(operands)
        return self._with(self.array.dtype, lanes, operands, self.array)


class Ramp(Expr):
    """base, base + stride, ..., base + (lanes - 1) * stride: a vector of base's integers."""

    base: Expr
    stride: int
    lanes_: int

    def _derive(self) -> Derived:
        return self._with(self.base.dtype, self.lanes_, (self.base,))


class Broadcast(Expr):
    """A scalar in every lane."""

    x: Expr
    lanes_: int

    def _derive(self) -> Derived:
        return self._with(self.x.dtype, self.lanes_, (self.x,))


class ReduceLanes(Expr):
    """The lanes of a vector combined ("sum", "prod", "max", "min") into a scalar, as a tree."""

    op: str
    x: Expr

    def _derive(self) -> Derived:
        return self._with(self.x.dtype, 1, (self.x,))


class Zip(Expr):
    """Interleave x and y: runs of `grain` lanes from each in turn, taken from the lower half of
    each block of `block` lanes, or with `upper` from the upper half. x and y have as many lanes as
    the result, a multiple of `block`.

    Zip(x, y, 1, 4, False)  is  x[0], y[0], x[1], y[1], x[4], y[4], x[5], y[5]
    """

    x: Expr
    y: Expr
    grain: int
    block: int
    upper: bool

    def _derive(self) -> Derived:
        return self._with(self.x.dtype, self.x.lanes, (self.x, self.y))

    @property
    def picks(self) -> list[int]:
        """For each lane the lane it comes from, y's counted after x's."""
        half, lanes, grain = self.block // 2, self.lanes, self.grain
        starts = range(half * self.upper, lanes, self.block)
        runs = (range(n, n + grain) for start in starts for n in range(start, start + half, grain))
        return [lane + side for run in runs for side in (0, lanes) for lane in run]


class Lanes(Expr):
    """Lanes start .. start + count - 1 of a vector."""

    x: Expr
    start: int
    count: int

    def _derive(self) -> Derived:
        return self._with(self.x.dtype, self.count, (self.x,))


class Pack(Expr):
    """Scalars as the lanes of a vector."""

    parts: tuple[Expr, ...]

    def _derive(self) -> Derived:
        return self._with(self.parts[0].dtype, len(self.parts), self.parts)


class Choose(Expr):
    """x where the condition (one bool) holds, else y. Only that one is computed, as by C's `?:`."""

    condition: Expr
    x: Expr
    y: Expr

    def _derive(self) -> Derived:
        return self._with(self.x.dtype, self.x.lanes, (self.condition, self.x, self.y))


def cast(x: Expr, dtype: DType) -> Expr:
    """x in another dtype; x itself where it has that dtype."""
    return x if x.dtype == dtype else Cast(x, dtype)


# --------------------------------------------------------------------------- text

LINE = 100  # characters; a longer text is split into several lines


def show(e: Expr) -> str:
    """The expression as one line of text; very long parts become "..."."""
    return walk(e, lambda x, texts: text if len(text := _show(x, texts)) < 20 * LINE else "...")


def show_lines(roots: Sequence[Expr], numbers: Iterator[int]) -> tuple[list[str], list[str]]:
    """Lines that name parts of the expressions, as `%0 = x + y`, and the texts with these names.

    Parts that occur more than once, or are longer than a line, get names. Nothing is named where
    all texts together fit a line.
    """
    short = [text for root in roots if (text := _brief(root)) is not None]
    if len(short) == len(roots) and sum(map(len, short)) <= LINE:
        return [], short
    uses = Counter(x for e in parts(*roots) for x in e.operands)
    lines: list[str] = []

    def visit(e: Expr, texts: tuple[str, ...]) -> str:
        text = _show(e, texts)
        if e in roots or not e.operands or (len(text) <= LINE and uses[e] < 2):
            return text
        name = f"%{next(numbers)}"
        lines.append(f"{name} = {text}")
        return name

    memo: dict[Expr, str] = {}
    return lines, [walk(root, visit, memo) for root in roots]


def _brief(e: Expr) -> str | None:
    """The text of an expression if it fits a line, else None. It is kept: passes share
    expressions."""
    stack = [e]
    while stack:
        top = stack[-1]
        missing = [x for x in top.operands if not hasattr(x, "brief")]
        if missing and not hasattr(top, "brief"):
            stack += missing
            continue
        stack.pop()
        if not hasattr(top, "brief"):
            texts = [x.brief for x in top.operands if x.brief is not None]
            text = _show(top, tuple(texts)) if len(texts) == len(top.operands) else None
            set_noted(top, "brief", text if text is not None and len(text) <= LINE else None)
    return e.brief


def _show(e: Expr, texts: tuple[str, ...]) -> str:
    match e:
        case Literal():
            return str(e.value) if e.dtype in (int64, bool_) else f"{e.value}:{e.dtype}"
        case Var() | Local():
            return e.name
        case Op():
            return EVERY_OPERATION[e.op].text(texts)
        case Cast() | Bitcast():
            return f"{'bits_' if isinstance(e, Bitcast) else ''}{e.dtype}({texts[0]})"
        case Load():
            return f"{e.array.name}[{' if '.join(texts)}]"
        case Ramp():
            return f"ramp({texts[0]}, {e.stride}, {e.lanes})"
        case Broadcast():
            return f"x{e.lanes}({texts[0]})"
        case ReduceLanes():
            return f"lanes_{e.op}({texts[0]})"
        case Zip():
            half = "upper" if e.upper else "lower"
            return f"zip_{half}({texts[0]}, {texts[1]}, {e.grain}, {e.block})"
        case Lanes():
            return f"{texts[0]}.lanes({e.start}, {e.count})"
        case Pack():
            return f"pack({', '.join(texts)})"
        case Choose():
            return f"({texts[1]} if {texts[0]} else {texts[2]})"
    raise TypeError(type(e).__name__)


def walk(
    e: Expr, visit: Callable[[Expr, tuple[T, ...]], T], memo: dict[Expr, T] | None = None
) -> T:
    """Fold an expression bottom-up, each distinct sub-expression once, without recursion."""
    memo = {} if memo is None else memo
    found = memo.__getitem__
    return bottom_up(e, memo, _operands, lambda x: visit(x, tuple(map(found, x.operands))))


def rewrite(
    e: Expr,
    change: Callable[[Expr], Expr | None],
    memo: dict[Expr, Expr] | None = None,
    known: Callable[[Expr], Expr | None] | None = None,
) -> Expr:
    """Rebuild bottom-up; `change` gives a replacement for a rebuilt node, or None to keep it.

    `memo` maps sub-expressions to their results, from this call and earlier ones. `known` is asked
    before the operands of a sub-expression are visited: its result, or None to visit them.
    """
    memo = {} if memo is None else memo
    found = memo.__getitem__

    def needs(x: Expr) -> tuple[Expr, ...]:
        new = None if known is None else known(x)
        if new is None:
            return x.operands
        memo[x] = new
        return ()

    def make(x: Expr) -> Expr:
        new = x.with_operands(tuple(map(found, x.operands)))
        changed = change(new)
        return new if changed is None else changed

    return bottom_up(e, memo, needs, make)


def parts(
    *roots: Expr, closed: tuple[type[Expr], ...] = (), mentioning: Expr | None = None
) -> Iterator[Expr]:
    """Every distinct sub-expression of the roots, the roots included.

    Classes in `closed` are left out, and so are their operands. With `mentioning`, a variable or
    local, only sub-expressions in which it occurs.
    """
    stack, seen = list(roots), set(roots)
    while stack:
        top = stack.pop()
        if isinstance(top, closed) or (mentioning and mentioning not in top.mentions):
            continue
        yield top
        new = [x for x in top.operands if x not in seen]
        seen.update(new)
        stack += new


def leaves(e: Expr) -> set[Expr]:
    """The distinct sub-expressions without operands (variables, locals, literals)."""
    return {x for x in parts(e) if not x.operands}
