"""Loop IR expressions as C expressions; what is used twice or is long gets a name first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...dtypes import bool_, int64
from ...errors import CompilerError
from ...expr import (
    COMBINE,
    Array,
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
    walk,
)
from ...index import linear
from .accesses import Place, constant_place, load, load_variables
from .operations import Operations, fits_int
from .source import ATOM, CONDITIONAL, UNARY, Source, Term, conditional
from .types import literal, pieces, register_type, vector
from .values import Value, plus, scalar

LONGEST = 72  # characters of an expression's text before it gets a name
WORTH_A_NAME = 16  # characters of a text that is used twice,
SHORT = 8  # or, where it loads or calls

Position = tuple[Term, int, bool]  # an index, a number of lanes, whether it is a multiple of them


class Expressions:
    """Turns expressions into Values; declares temporaries in the source as it goes."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.operations = Operations(source)
        self.places: dict[Array, Place] = {}
        self.named: dict[Expr, Value] = {}  # loop variables and Lets
        self._memo: dict[Expr, Value] = {}
        self._known: dict[Expr, Value] = {}
        self._uses: dict[Expr, int] = {}
        self._data: set[Expr] = set()

    def begin(self, data: Sequence[Expr], addresses: Sequence[Expr] = ()) -> None:
        """Forget the last statement's expressions, and look at the next one's.

        Its `data` and its `addresses` (indices) are told apart since overflow of the latter has no
        meaning to keep. A statement is as far as values are kept: the next may have stored to what
        they were loaded from.
        """
        self._memo = dict(self._known)
        self._uses = {}
        self._data = set()
        self._count(data, is_data=True)
        self._count(addresses, is_data=False)

    def _count(self, roots: Sequence[Expr], is_data: bool) -> None:
        """Counts the uses of each expression, and finds those whose value is data."""
        stack = [(root, is_data) for root in roots]
        while stack:
            e, here = stack.pop()
            first = e not in self._uses
            self._uses[e] = self._uses.get(e, 0) + 1
            if here and e not in self._data:
                self._data.add(e)
                self._uses[e] -= 0 if first else 1
                first = True
            if first:
                stack.extend((x, here and not isinstance(e, Load)) for x in e.operands)

    @contextmanager
    def knowing(self, condition: Expr) -> Iterator[None]:
        """Within, a condition holds: what depends on it is written without the test."""
        known = self._known
        true = self._literal(Literal(True, bool_))
        parts, stack = [], [condition]
        while stack:
            part = stack.pop()
            parts.append(part)
            if isinstance(part, Op) and part.op == "and":
                stack.extend(part.args)
        self._known = {**known, **dict.fromkeys(parts, true)}
        self._memo.update(self._known)
        yield
        self._known = known

    def value(self, e: Expr) -> Value:
        """The Value of an expression."""
        return walk(e, self._visit, self._memo)

    def _visit(self, e: Expr, operands: tuple[Value, ...]) -> Value:
        value = self._translate(e, operands)
        return self.name(value) if self._deserves_name(e, value) else value

    def _deserves_name(self, e: Expr, value: Value) -> bool:
        longest = max((text for text, _ in value.terms), key=len)
        if len(longest) > LONGEST:
            return True
        repeated = self._uses.get(e, 0) > 1 or len(value.terms) > 1
        costly = isinstance(e, Load) or "(" in longest
        return repeated and len(longest) > (SHORT if costly else WORTH_A_NAME)

    def name(self, value: Value, hint: str | None = None) -> Value:
        """The same value under names: `hint`, or t0, t1 and so on."""
        widths = (1,) if value.step is not None else pieces(value.lanes)
        terms: list[Term] = []
        for n, (width, term) in enumerate(zip(widths, value.terms, strict=True)):
            type_ = vector(value.element, width)
            if hint is None:
                terms.append((self.source.named(term, type_), ATOM))
            else:
                name = self.source.declare(hint if len(widths) == 1 else f"{hint}_{n}")
                self.source.line(f"const {type_} {name} = {term[0]};")
                terms.append((name, ATOM))
        return Value(tuple(terms), value.element, value.lanes, value.plain, value.step, value.first)

    def _translate(self, e: Expr, operands: tuple[Value, ...]) -> Value:
        plain = e
        if e.dtype.is_int and operands:
            plain = e.with_operands(tuple(x.plain for x in operands))
        match e:
            case Literal():
                return self._literal(e)
            case Var() | Local():
                if e not in self.named:
                    raise CompilerError(f"opencl: {e} is used before it is defined")
                return self.named[e]
            case Op():
                wraps = e in self._data
                return self.operations.apply(e.op, e.args[-1].dtype, operands, plain, wraps)
            case Cast():
                return self.operations.cast(operands[0], e.x.dtype, e.dtype, plain)
            case Bitcast():
                return self.operations.bitcast(operands[0], e.x.dtype, e.dtype, plain)
            case Load():
                return self._load(e, operands, plain)
            case Ramp():
                return self.operations.sequence(operands[0], e.stride, e.lanes, plain)
            case Broadcast():
                (x,) = operands
                return Value(x.terms, x.element, e.lanes, plain, 0, x.plain)
            case ReduceLanes():
                return self._reduce_lanes(e, operands[0], plain)
            case Zip():
                x, y = map(self.name, operands)
                lanes = [side.lane(k)[0] for side in (x, y) for k in range(e.lanes)]
                return Value(_pack([lanes[n] for n in e.picks], x.element), x.element, e.lanes, e)
        raise CompilerError(f"opencl: no translation of {type(e).__name__}")

    def _literal(self, e: Literal) -> Value:
        element = "int" if e.dtype == int64 and fits_int(e) else None
        element = element or register_type(e.dtype, self.source.facts)
        text = literal(e.value, e.dtype, element)
        level = UNARY if text[0] in "-(" else ATOM
        return Value(((text, level),), element, 1, e, 0)

    # ------------------------------------------------------------------------- loads

    def _load(self, e: Load, operands: Sequence[Value], plain: Expr) -> Value:
        place = self.places[e.array]
        index, guard = operands[0], operands[1] if e.guard is not None else None
        if place.unit:
            start = constant_place(e.index, e.index.lanes)
            assert start is not None
            terms = load_variables(place, start, e.index.lanes)
        elif (guard is not None and not guard.is_uniform) or index.step not in (0, 1):
            return self._gather(place, index, guard, e.lanes, plain)
        else:
            positions = self.positions(index, 1 if index.is_uniform else index.lanes)
            terms = self.load_at(place, positions)
        element = register_type(place.dtype, self.source.facts)
        step = 0 if index.is_uniform else None
        loaded = Value(tuple(terms), element, index.lanes, plain, step)
        return (
            loaded
            if guard is None or guard.is_true
            else self._guarded(loaded, guard, e.lanes, plain)
        )

    def _guarded(self, loaded: Value, guard: Value, lanes: int, plain: Expr) -> Value:
        zero = self._zero(loaded)
        if guard.is_uniform:
            (condition,) = guard.terms
            zeros = zero.terms if loaded.is_uniform else zero.spread(loaded.lanes)
            pairs = zip(loaded.terms, zeros, strict=True)
            terms = tuple(conditional(condition, x, z) for x, z in pairs)
            return Value(terms, loaded.element, lanes, plain, loaded.step)
        return self.operations.apply("where", plain.dtype, [guard, loaded, zero], plain)

    def _zero(self, like: Value) -> Value:
        text = "false" if like.element == "bool" else "0"
        return scalar(text, like.element, Literal(0))

    def load_at(self, place: Place, positions: Sequence[Position]) -> list[Term]:
        """The pieces of consecutive elements."""
        return [load(self.source, place, at, width, ok) for at, width, ok in positions]

    def positions(self, index: Value, lanes: int) -> list[Position]:
        """For each piece of `lanes` elements from the index's first lane: where that is."""
        first = index.lowest()
        if len(pieces(lanes)) > 1:
            first = self.name(first)
        constant, terms = linear(first.plain)
        result: list[Position] = []
        start = 0
        for width in pieces(lanes):
            multiples = (constant + start, *(k for _, k in terms))
            result.append(
                (plus(first.terms[0], start), width, all(k % width == 0 for k in multiples))
            )
            start += width
        return result

    def _gather(
        self, place: Place, index: Value, guard: Value | None, lanes: int, plain: Expr
    ) -> Value:
        """Loads lane by lane."""
        index = self.name(index)
        guard = self.name(guard) if guard is not None else None
        singles: list[str] = []
        for k in range(lanes):
            single = load(self.source, place, index.lane(k), 1, False)
            if guard is not None:
                single = conditional(guard.lane(k), single, ("0", ATOM))
            singles.append(single[0])
        element = register_type(place.dtype, self.source.facts)
        return Value(_pack(singles, element), element, lanes, plain)

    # ------------------------------------------------------------------------- across lanes

    def _reduce_lanes(self, e: ReduceLanes, x: Value, plain: Expr) -> Value:
        """The upper half with the lower until one is left; an odd lane waits till then."""
        op = COMBINE[e.op]

        def combine(*pair: Value) -> Value:
            return self.operations.apply(op, e.dtype, pair, e.x)

        left: list[Value] = []
        while x.lanes > 1:
            x, half = self.name(x), x.lanes // 2
            if x.lanes % 2:
                left.append(_lanes(x, x.lanes - 1, 1, e.x))
            x = combine(_lanes(x, 0, half, e.x), _lanes(x, half, half, e.x))
        for lane in left:
            x = combine(x, lane)
        return Value(x.terms, x.element, 1, plain, 0)


def _lanes(x: Value, start: int, count: int, plain: Expr) -> Value:
    """`count` lanes of a named vector: one, or the first or second half."""
    if count == 1:
        return Value((x.lane(start),), x.element, 1, plain, 0)
    if len(x.terms) == 1 and x.lanes == 2 * count:
        side = "hi" if start else "lo"
        return Value(((f"{x.terms[0][0]}.{side}", ATOM),), x.element, count, plain)
    lanes = [x.lane(k) for k in range(start, start + count)]
    even = count - count % 2
    terms = (*_pack([text for text, _ in lanes[:even]], x.element), *lanes[even:])
    return Value(terms, x.element, count, plain)


def _pack(singles: list[str], element: str) -> tuple[Term, ...]:
    """Scalars as the pieces of a vector."""
    terms: list[Term] = []
    start = 0
    for width in pieces(len(singles)):
        lanes = singles[start : start + width]
        start += width
        if width == 1:
            terms.append((lanes[0], CONDITIONAL))
            continue
        if element == "bool":
            lanes = [f"-(({lane}) != 0)" for lane in lanes]
        terms.append((f"({vector(element, width)})({', '.join(lanes)})", ATOM))
    return tuple(terms)
