"""Print legalised expressions in C. A value that is used twice, or is long as text, has a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ...dtypes import DType, bool_, int32, int64, uint32
from ...errors import CompilerError
from ...expr import (
    COMPARISONS,
    Array,
    Bitcast,
    Broadcast,
    Cast,
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
)
from ...index import linear
from ...loops.legal import OUTLINED
from ...rewrite import bottom_up
from ...targets import Target
from .dialect import Types
from .functions import Functions
from .text import (
    ADD,
    ATOM,
    BIT_AND,
    BIT_OR,
    BIT_XOR,
    EQUALITY,
    LOGICAL_AND,
    LOGICAL_OR,
    MULTIPLY,
    RELATION,
    SHIFT,
    UNARY,
    Term,
    Text,
    binary,
    call,
    cast,
    conditional,
    paren,
    unary,
)

LONGEST = 72  # characters of an expression's text before it gets a name
WORTH_A_NAME = 16  # characters of a text that is used twice, before it gets a name;
SHORT = 8  # of one that loads or calls

_COMPARE = {"lt": ("<", RELATION), "le": ("<=", RELATION), "eq": ("==", EQUALITY),
            "ne": ("!=", EQUALITY)}  # fmt: skip
_SIGNS = {"add": ("+", ADD), "sub": ("-", ADD), "mul": ("*", MULTIPLY), "div": ("/", MULTIPLY),
          "quotient": ("/", MULTIPLY), "remainder": ("%", MULTIPLY), "and": ("&", BIT_AND),
          "or": ("|", BIT_OR), "xor": ("^", BIT_XOR), "shl": ("<<", SHIFT), "shr": (">>", SHIFT),
          **_COMPARE}  # fmt: skip
_LOGIC = {"and": ("&&", LOGICAL_AND), "or": ("||", LOGICAL_OR), "xor": ("!=", EQUALITY)}
_PREFIX = {"neg": "-", "not": "~"}
_SIGNED = {1: "char", 2: "short", 4: "int", 8: "long"}  # by size in bytes


@dataclass(frozen=True, slots=True)
class Place:
    """An array in C: a pointer or an array called `name`, to elements in address space `space`; or,
    where `unit` is not 0, variables of `unit` elements each."""

    array: Array
    name: str
    space: str
    unit: int = 0

    def variable(self, index: int) -> str:
        """The variable that holds the element at `index`."""
        return self.name if self.array.size == self.unit else f"{self.name}_{index // self.unit}"


class Printer:
    """Prints expressions; declares temporaries in the text as it goes.

    `is_native`: conversions and operations mean what C means by them, as within helper functions.
    """

    def __init__(
        self, types: Types, text: Text, functions: Functions, is_native: bool = False
    ) -> None:
        self.types = types
        self.dialect = types.dialect
        self.text = text
        self.functions = functions
        self.is_native = is_native
        self.places: dict[Array, Place] = {}
        self.named: dict[Expr, str] = {}  # loop variables and Lets
        self._memo: dict[Expr, Term] = {}
        self._uses: dict[Expr, int] = {}
        self._roots: tuple[Expr, ...] = ()

    def begin(self, *roots: Expr) -> None:
        """Forget the last statement's expressions, and count the uses of the next one's.

        Named values serve one statement: it may store to an array that they were loaded from.
        """
        self._memo, self._uses, self._roots = {}, {}, roots
        stack = list(roots)
        while stack:
            e = stack.pop()
            self._uses[e] = self._uses.get(e, 0) + 1
            if self._uses[e] == 1:
                stack.extend(self._parts(e))

    def print(self, e: Expr) -> Term:
        """The C expression."""
        memo = self._memo

        def translated(x: Expr) -> Term:
            return self._named(x, self._translate(x, [memo[part] for part in self._parts(x)]))

        return bottom_up(e, memo, self._parts, translated)

    def _parts(self, e: Expr) -> tuple[Expr, ...]:
        """The operands to print before e. A vector access needs its index's first lane alone; an
        access to variables needs no index."""
        if not isinstance(e, Load):
            return e.operands
        guard = () if e.guard is None else (e.guard,)
        if self.places[e.array].unit:
            return guard
        return (first_lane(e.index), *guard)

    def _named(self, e: Expr, term: Term) -> Term:
        """The term, or the name of a constant that holds it."""
        text = term[0]
        costly = isinstance(e, Load) or "(" in text
        repeated = self._uses.get(e, 0) > 1 and len(text) > (SHORT if costly else WORTH_A_NAME)
        if not repeated and (len(text) <= LONGEST or e in self._roots):
            return term
        return self.text.named(term, self._type(e)), ATOM

    def _type(self, e: Expr) -> str:
        """The type of an expression's text."""
        if e.dtype == bool_ and e.lanes > 1 and self.dialect.mask != "bool":
            return f"{_SIGNED[mask_bytes(e)]}{e.lanes}"
        return self.types.type(e.dtype, e.lanes)

    def print_as(self, e: Expr) -> str:
        """The text of a value that is assigned or returned. A mask has lanes of 1 byte there."""
        return self._resized(self.print(e), e, 1)[0]

    def _resized(self, term: Term, e: Expr, nbytes: int, lanes: int = 0) -> Term:
        """A vector of bools, or one bool for all of `lanes`, as a mask with lanes of `nbytes`."""
        lanes = lanes or e.lanes
        if e.dtype != bool_ or lanes == 1:
            return term
        if self.dialect.mask == "bool":
            return self._wide(term, e, lanes)
        if e.lanes == 1:
            type_ = f"{_SIGNED[nbytes]}{lanes}"
            return self._format(self.dialect.vector, type=type_, x=self._mask(term))
        if mask_bytes(e) == nbytes:
            return term
        return self._format(self.dialect.convert, type=f"{_SIGNED[nbytes]}{e.lanes}", x=term[0])

    def _translate(self, e: Expr, operands: Sequence[Term]) -> Term:
        type_ = self.types.type(e.dtype, e.lanes)
        match e:
            case Literal():
                text = self.types.literal(e)
                return text, UNARY if text[0] in "-(" else ATOM
            case Var() if e in self.named:
                # a variable is an int where its extent allows; arithmetic on it is of 64 bits
                long = self.types.element(int64)
                return cast(long, (self.named[e], ATOM)) if is_int(e) else (self.named[e], ATOM)
            case Local() if e in self.named:
                return self.named[e], ATOM
            case Op():
                return self.operation(e, operands)
            case Cast():
                return self.conversion(e, operands[0])
            case Bitcast():
                return self.bitcast(e, operands[0])
            case Load():
                return self.load(e, operands)
            case Broadcast():
                return self.spread(operands[0], e.dtype, e.lanes)
            case Pack():
                texts = [self._mask(x) if e.dtype == bool_ else x[0] for x in operands]
                return self._format(self.dialect.vector, type=type_, x=", ".join(texts))
            case Ramp():
                steps = ", ".join(str(n * e.stride) for n in range(e.lanes))
                offsets = self._format(self.dialect.vector, type=type_, x=steps)
                return binary("+", ADD, operands[0], offsets)
            case Lanes():
                picked = f"{paren(operands[0], ATOM)}.{'xyzw'[e.start : e.start + e.count]}"
                if e.dtype == bool_ and e.count == 1 and self.dialect.mask != "bool":
                    return f"{picked} != 0", EQUALITY
                return picked, ATOM
            case ReduceLanes():
                return call("any" if e.op == "max" else "all", operands[0])
            case Choose():
                return conditional(*operands)
        raise CompilerError(f"{self.dialect.name}: there is no code for {e}")

    def _format(self, template: str, **parts: object) -> Term:
        text = template.format(**parts)
        return text, UNARY if text[0] in "(*" else ATOM

    def spread(self, x: Term, dtype: DType, lanes: int) -> Term:
        """A scalar in every lane."""
        text = self._mask(x) if dtype == bool_ else x[0]
        type_ = self.types.type(dtype, lanes)
        return self._format(self.dialect.vector, type=type_, x=text)

    def _mask(self, x: Term) -> str:
        """A scalar bool as a lane of a mask."""
        if self.dialect.mask == "bool":
            return x[0]
        known = {"true": "-1", "false": "0"}.get(x[0])
        return known or conditional(x, ("-1", ATOM), ("0", ATOM))[0]

    # ------------------------------------------------------------------ operations

    def operation(self, e: Op, operands: Sequence[Term]) -> Term:
        dtype, op = e.args[-1].dtype, e.op
        if op == "where":
            return self.where(e, operands)
        if not self.is_native and self._is_function(e):
            name = self.functions.of(self, e)
            return call(name, *self._widened(e, operands))
        if dtype == bool_:
            return self.logic(e, operands)
        if (dtype.is_float and op not in _SIGNS) or (op == "remainder" and dtype.is_float):
            if op == "neg":
                return unary("-", *operands)
            return call(self.dialect.functions[op], *self._widened(e, operands))
        if op in _PREFIX:
            return self._promoted(e, unary(_PREFIX[op], *operands))
        if op in ("max", "min"):
            if e.lanes == 1 and dtype.itemsize < 4:  # C promotes these to int
                operands = tuple(cast(self.types.element(dtype), x) for x in operands)
            return call(op, *self._widened(e, operands))
        last = e.args[-1]
        if op == "add" and isinstance(last, Literal) and dtype.min < last.value < 0:
            positive = Literal(-last.value, dtype)
            self._memo[positive] = self._translate(positive, ())
            difference = Op("sub", (e.args[0], positive))
            return self.operation(difference, [operands[0], self._memo[positive]])
        first = operands[0]
        if e.lanes == 1 and dtype.itemsize < 4 and op == "mul":
            first = cast(self.types.element(uint32), first)  # promoted to int, it may overflow
        result = binary(*_SIGNS[op], *self._plain(e, (first, operands[1])))
        return result if op in COMPARISONS else self._promoted(e, result)

    def _is_function(self, e: Op) -> bool:
        """Whether an operation is a helper function."""
        if e.op == "fma":
            return self.types.machine.target is Target.OPENCL_CPU  # fma() is slow there
        if e.args[-1].dtype.is_float and e.op not in _SIGNS and e.op not in self.dialect.functions:
            return e.op not in ("neg", "where")
        return OUTLINED.rule_for(e, self.types.machine.native) is not None

    def _promoted(self, e: Op, term: Term) -> Term:
        """A small integer's result, cast back from C's int."""
        is_small = e.lanes == 1 and e.dtype.is_int and e.dtype.itemsize < 4
        return cast(self.types.element(e.dtype), term) if is_small else term

    def _plain(self, e: Op, operands: Sequence[Term]) -> list[Term]:
        """Operands of an operator, without the casts and vectors that C adds by itself: a scalar
        beside a vector, a small number, an int beside a long."""
        result = []
        for x, other, term in zip(e.args, reversed(e.args), operands, strict=True):
            scalar = x.x if isinstance(x, Broadcast) else x
            has_vector = other.lanes > 1 and not isinstance(other, Broadcast)
            if x.dtype.is_int and x.dtype.itemsize < 4:
                term = self._wide(term, x, max(y.lanes for y in e.args))  # a number is an int
            elif scalar.lanes == 1 and has_vector:
                term = self._memo[scalar]
            if e.lanes == 1 and _widens(x) and not (_widens(other) or isinstance(other, Literal)):
                term = self._memo[x.operands[0]]
            elif e.lanes == 1 and isinstance(x, Literal) and not isinstance(other, Literal):
                term = _short_number(x) or term
            result.append(term)
        return result

    def _widened(self, e: Op, operands: Sequence[Term]) -> list[Term]:
        """The operands of a function, each with as many lanes as e."""
        return [self._wide(term, x, e.lanes) for x, term in zip(e.args, operands, strict=True)]

    def _wide(self, term: Term, x: Expr, lanes: int) -> Term:
        return self.spread(term, x.dtype, lanes) if x.lanes < lanes else term

    def logic(self, e: Op, operands: Sequence[Term]) -> Term:
        """An operation on bools, or on masks."""
        as_bools = e.lanes == 1 or self.dialect.mask == "bool"
        if e.op == "not":
            return unary("!" if as_bools else "~", *operands)
        masks = [
            self._resized(term, x, mask_bytes(e), e.lanes)
            for term, x in zip(operands, e.args, strict=True)
        ]
        return binary(*(_LOGIC if as_bools else _SIGNS)[e.op], *masks)

    def where(self, e: Op, operands: Sequence[Term]) -> Term:
        condition, x, y = operands
        size = e.dtype.itemsize
        if e.dtype == bool_:
            size = mask_bytes(e)
            x, y = (
                self._resized(t, a, size, e.lanes) for t, a in zip((x, y), e.args[1:], strict=True)
            )
        else:
            x, y = (self._wide(t, a, e.lanes) for t, a in zip((x, y), e.args[1:], strict=True))
        if e.args[0].lanes == 1:
            return conditional(condition, x, y)
        return call("select", y, x, self._resized(condition, e.args[0], size))

    # ------------------------------------------------------------------ conversions

    def conversion(self, e: Cast, x: Term) -> Term:
        if isinstance(e.x, Var) and e.dtype == int32 and is_int(e.x):
            return self.named[e.x], ATOM
        if not self.is_native and OUTLINED.rule_for(e, self.types.machine.native) is not None:
            return call(self.functions.of(self, e), x)
        if e.x.dtype != bool_ and self.types.element(e.x.dtype) == self.types.element(e.dtype):
            return x
        if isinstance(e.x, Literal) and e.dtype.is_int and e.x.dtype.is_int:
            bits = 8 * e.dtype.itemsize
            number = (int(e.x.value) - int(e.dtype.min)) % (1 << bits) + int(e.dtype.min)
            return self._translate(Literal(number, e.dtype), ())
        type_ = self.types.type(e.dtype, e.lanes)
        if e.lanes == 1:
            return cast(type_, x)
        if e.x.dtype == bool_ and self.dialect.mask != "bool":
            x = unary("-", x)
        return self._format(self.dialect.convert, type=type_, x=x[0])

    def bitcast(self, e: Bitcast, x: Term) -> Term:
        before, after = (self.types.type(d, e.lanes) for d in (e.x.dtype, e.dtype))
        if before == after:
            return x
        if e.lanes == 1 and e.x.dtype.is_int and e.dtype.is_int:
            return cast(after, x)
        template = self.dialect.bitcasts.get((before, after), self.dialect.bitcast)
        return self._format(template, type=after, x=x[0])

    # ------------------------------------------------------------------ memory

    def load(self, e: Load, operands: Sequence[Term]) -> Term:
        found = self.access(self.places[e.array], e.index, operands[0] if operands else None)
        if e.guard is None:
            return found
        zero = self._translate(Literal(0, e.dtype), ())
        if e.lanes > 1:
            zero = self.spread(zero, e.dtype, e.lanes)
        return conditional(operands[-1], found, zero)

    def store(self, array: Array, index: Expr, value: Expr) -> str:
        """The statement that writes a scalar, or a vector of consecutive elements."""
        x = self.print(value)
        if value.lanes == 1 and (_widens(value) or _is_byte(value)):
            x = self._memo[value.operands[0]]
        place = self.places[array]
        return self.access(place, index, None if place.unit else self.print(first_lane(index)), x)[
            0
        ]

    def access(self, place: Place, index: Expr, at: Term | None, value: Term | None = None) -> Term:
        """The element or vector at an index, or the statement that stores `value` there. `at` is
        the text of the index's first lane."""
        dtype, lanes = place.array.dtype, index.lanes
        assign = "" if value is None else f" = {value[0]};"
        if place.unit:
            start = constant_place(index)
            assert start is not None
            return f"{place.variable(start)}{assign}", ATOM
        assert at is not None
        if lanes == 1:
            return f"{place.name}[{at[0]}]{assign}", ATOM
        constant, terms = linear(first_lane(index))
        aligned = all(k % lanes == 0 for k in (constant, *(k for _, k in terms)))
        kind = "load" if value is None else "store"
        template = getattr(self.dialect, kind if aligned else f"{kind}_unaligned")
        pointer = place.name if at[0] == "0" else f"{place.name} + {paren(at, ADD)}"
        return self._format(
            template, n=lanes, at=pointer, space=place.space, x="" if value is None else value[0],
            element=self.types.element(dtype), type=self.types.type(dtype, lanes),
        )  # fmt: skip


def first_lane(index: Expr) -> Expr:
    """The index of the first of consecutive elements."""
    return index.base if isinstance(index, Ramp) else index


@lru_cache(maxsize=1 << 12)
def mask_bytes(e: Expr) -> int:
    """The bytes of each lane of a vector of bools: as many as the compared values have; 1 where the
    vector has a name."""
    if isinstance(e, Op) and e.op in COMPARISONS:
        return e.args[0].dtype.itemsize
    if isinstance(e, Op):
        return max((mask_bytes(x) for x in e.args if x.lanes > 1), default=1)
    return 1


def constant_place(index: Expr) -> int | None:
    """The first index of an access whose index is constant; None for any other."""
    constant, terms = linear(first_lane(index))
    return None if terms else constant


def _widens(e: Expr) -> bool:
    """Whether e converts an int32 to int64, which C does by itself beside an int64."""
    return isinstance(e, Cast) and (e.dtype, e.x.dtype) == (int64, int32)


def _is_byte(e: Expr) -> bool:
    """Whether e converts a bool to a number, which C does by itself."""
    return isinstance(e, Cast) and e.x.dtype == bool_


def _short_number(e: Literal) -> Term | None:
    """An integer without a suffix, an int in C: beside another type C converts it."""
    number = int(e.value) if e.dtype.is_int else -1
    return (str(number), ATOM) if 0 <= number < 1 << 31 else None


def is_int(var: Var) -> bool:
    """Whether a loop's variable is an int in C, and not a long."""
    return var.extent <= 1 << 31
