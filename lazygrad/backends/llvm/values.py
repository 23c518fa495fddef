"""Expressions as LLVM values: each written once, as far out of the loops as it can stand."""

from __future__ import annotations

from collections.abc import Iterable

from ...dtypes import int32
from ...expr import (
    COMBINE,
    Bitcast,
    Broadcast,
    Cast,
    Expr,
    Literal,
    Load,
    Local,
    Op,
    Ramp,
    ReduceLanes,
    Var,
    Zip,
)
from . import accesses, arithmetic, conversions, math
from .narrow import narrow
from .notation import constant, literal, splat, suffix, value_type, vector_of
from .target import Target
from .writer import Writer

_NONE: frozenset[str] = frozenset()


class Values(Writer):
    """A Writer that can write expressions. Arrays are known by their names.

    `written` are the arrays that the function writes to; loads from others may move out of loops.
    `shared` are global arrays that may lie in the same memory as another one.
    """

    def __init__(self, target: Target, written: Iterable[str], shared: Iterable[str]) -> None:
        super().__init__()
        self.target = target
        self.written = set(written)
        self.shared = set(shared)
        if self.shared & self.written:
            self.written |= self.shared
        self.bases: dict[str, str] = {}  # each array's pointer
        self._needs: dict[Expr, tuple[Expr, ...]] = {}
        self._reads: dict[Expr, frozenset[str]] = {}  # arrays that change, of those loaded
        self._expansions: dict[Expr, Expr] = {}

    def value(self, e: Expr) -> str:
        """The text of e's value, which is written first where it is not known yet."""
        known = self.known
        stack = [e]
        while stack:
            top = stack[-1]
            if top in known:
                stack.pop()
                continue
            needs = self._needs.get(top)
            if needs is None:
                needs = self._needs[top] = self._what_it_needs(top)
            missing = [x for x in needs if x not in known]
            if missing:
                stack.extend(missing)
                continue
            self._write_expression(top, needs)
            stack.pop()
        return known[e]

    def wide(self, e: Expr, lanes: int) -> Expr:
        """e in so many lanes."""
        return e if e.lanes == lanes else Broadcast(e, lanes)

    def wrote(self, array: str) -> None:
        """Note that an array was written to: what was loaded from it must be loaded again."""
        self.forget_readers(array)
        if array in self.shared:
            for other in self.shared:
                self.forget_readers(other)

    def _what_it_needs(self, e: Expr) -> tuple[Expr, ...]:
        """The expressions whose values must be known before e is written."""
        if isinstance(e, Load):
            guard = () if e.guard is None else (e.guard,)
            return (*accesses.index_parts(e.index), *guard)
        if not isinstance(e, (Op, Cast)):
            return e.operands
        expansion = narrow(e)
        if expansion is None and isinstance(e, Op) and not _has_limit(e):
            expansion = math.expand(e, self.target.fma)
        if expansion is not None:
            self._expansions[e] = expansion
            return (expansion,)
        return tuple(self.wide(x, e.lanes) for x in e.operands)

    def _write_expression(self, e: Expr, needs: tuple[Expr, ...]) -> None:
        if e in self._expansions:
            self.define(e, self.known[needs[0]], self.levels[needs[0]])
        else:
            stays = self.level > 0 and self._stays(e)
            level = self.level if stays else self.outermost(needs)
            self.at(level)
            text = self._text(e, needs)
            self.at(self.level)
            self.define(e, text, level)
        reads = self._reads.get(e)
        if reads is None:
            reads = self._reads[e] = self._what_it_reads(e, needs)
        for array in reads:
            self.readers.setdefault(array, []).append(e)

    def _stays(self, e: Expr) -> bool:
        """Whether an expression must be computed where it stands, not before the loop."""
        if isinstance(e, Load):
            return e.array.name in self.written or not accesses.is_inside(e.array, e.index)
        return _has_limit(e)

    def _what_it_reads(self, e: Expr, needs: tuple[Expr, ...]) -> frozenset[str]:
        reads = _NONE
        for x in needs:
            below = self._reads.get(x)
            if below:
                reads |= below
        if isinstance(e, Load) and e.array.name in self.written:
            reads |= {e.array.name}
        return reads

    def _text(self, e: Expr, needs: tuple[Expr, ...]) -> str:
        known = self.known
        match e:
            case Op():
                if _has_limit(e):
                    return self._within_limit(e, known[needs[0]])
                return arithmetic.operate(self, self.target, e, [known[x] for x in needs])
            case Load():
                return accesses.load(self, e)
            case Literal():
                return literal(e.value, e.dtype)
            case Broadcast():
                return self._splat(e)
            case Ramp():
                return self._ramp(e, "i64")
            case Cast(x=Ramp() as ramp) if e.dtype == int32:
                return self._ramp(ramp, "i32")
            case Cast():
                x = known[e.x]
                return conversions.cast(self, self.target, e.x.dtype, e.dtype, e.lanes, x)
            case Bitcast():
                x = known[e.x]
                return conversions.bitcast(self, self.target, e.x.dtype, e.dtype, e.lanes, x)
            case ReduceLanes():
                return self._reduce_lanes(e)
            case Zip():
                kind = value_type(e.dtype, e.lanes)
                return arithmetic.shuffle(self, kind, known[e.x], known[e.y], e.picks)
            case Var() | Local():
                raise KeyError(f"{e} is not defined here")
        raise TypeError(type(e).__name__)

    def _within_limit(self, e: Op, x: str) -> str:
        """sin or cos: the polynomial where all lanes are small enough, else the C library."""
        kind, lanes = value_type(e.dtype, e.lanes), e.lanes
        limit = constant(math.SIN_LIMIT[e.dtype], e.dtype, lanes)
        ending = suffix(e.dtype, lanes)
        size = self.call("size", kind, f"llvm.fabs.{ending}", (kind, x))
        large = self.write("large", f"fcmp ogt {kind} {size}, {limit}")
        if lanes > 1:
            name = f"llvm.vector.reduce.or.v{lanes}i1"
            large = self.call("large", "i1", name, (vector_of("i1", lanes), large))
        near, far, done = self.fresh("near"), self.fresh("far"), self.fresh("done")
        expansion = math.expand(e, self.target.fma)
        assert expansion is not None
        self.open(near, conditional=True)
        near_value = self.value(expansion)
        inner = self.close()
        self.line(f"br i1 {large}, label %{far}, label %{near}")
        self.label(near)
        self.sink.lines += inner.lines
        self.line(f"br label %{done}")
        self.label(far)
        far_value = self.call("exact", kind, f"llvm.{e.op}.{ending}", (kind, x))
        self.line(f"br label %{done}")
        self.label(done)
        return self.write(
            e.op, f"phi {kind} [ {near_value}, %{inner.block} ], [ {far_value}, %{far} ]"
        )

    def _splat(self, e: Broadcast) -> str:
        x, scalar = self.known[e.x], value_type(e.dtype)
        if isinstance(e.x, Literal):
            return splat(scalar, x, e.lanes)
        return self._every_lane(x, scalar, e)

    def _every_lane(self, x: str, scalar: str, e: Expr) -> str:
        """A scalar in as many lanes as e has."""
        kind = vector_of(scalar, e.lanes)
        first = self.write("one", f"insertelement {kind} poison, {scalar} {x}, i64 0")
        return arithmetic.shuffle(self, kind, first, "poison", [0] * e.lanes)

    def _ramp(self, e: Ramp, scalar: str) -> str:
        """base, base + stride, ... as 32-bit or 64-bit integers, which are known to hold them."""
        offsets = [lane * e.stride for lane in range(e.lanes)]
        if isinstance(e.base, Literal):
            offsets = [int(e.base.value) + offset for offset in offsets]
        steps = "<" + ", ".join(f"{scalar} {offset}" for offset in offsets) + ">"
        if isinstance(e.base, Literal):
            return steps
        base = self.known[e.base]
        if scalar == "i32":
            base = self.write("base", f"trunc i64 {base} to i32")
        return self.write(
            "ramp",
            f"add nsw {vector_of(scalar, e.lanes)} {self._every_lane(base, scalar, e)}, {steps}",
        )

    def _reduce_lanes(self, e: ReduceLanes) -> str:
        def combine(lanes: int, x: str, y: str) -> str:
            left, right = Local("x", e.dtype, lanes), Local("y", e.dtype, lanes)
            op = Op(COMBINE[e.op], (left, right))
            return arithmetic.operate(self, self.target, op, [x, y])

        return arithmetic.reduce_lanes(self, e.dtype, e.x.lanes, self.known[e.x], combine)


def _has_limit(e: Expr) -> bool:
    """Whether an operation's polynomial holds for some arguments only."""
    return isinstance(e, Op) and e.op in ("sin", "cos") and e.dtype in math.SIN_LIMIT
