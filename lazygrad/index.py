"""Arithmetic on index expressions: int64, in normal form, simplified by the variables' bounds.

    floordiv(i * 4 + j, 4)              ->  i       where 0 <= j < 4
    add(mul(floordiv(p, 6), 6), mod(p, 6))  ->  p
    less(i + 1, 8)                      ->  True    where 0 <= i < 7

The normal form is a constant plus a sum of multiples of atoms (variables, divisions, remainders,
loaded values), in a fixed order, so that equal sums are one object. Division rounds down and a
remainder has the divisor's sign, so the identities hold for negative numbers too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from .dtypes import bool_, int64
from .expr import Broadcast, Cast, Expr, Literal, Load, Local, Op, Ramp, Var, rewrite, show
from .rewrite import bottom_up

Index = Expr | int
Bounds = tuple[int, int]
Linear = tuple[int, tuple[tuple[Expr, int], ...]]  # constant, ((atom, coefficient), ...)

UNBOUNDED = 1 << 62  # two numbers below it can be added in an int64
ANYTHING = -(1 << 65), 1 << 65  # beyond every dtype
TRUE, FALSE = Literal(True, bool_), Literal(False, bool_)


def as_expr(i: Index) -> Expr:
    """An int as a Literal; an expression as it is."""
    return Literal(i) if isinstance(i, int) else i


@lru_cache(maxsize=1 << 17)
def bounds(e: Expr) -> Bounds:
    """The smallest and the largest value that e can take, as far as its variables tell."""
    match e:
        case Literal():
            return int(e.value), int(e.value)
        case Var():
            return 0, max(e.extent - 1, 0)
        case Ramp():
            low, high = bounds(e.base)
            reach = e.stride * (e.lanes - 1)
            return low + min(reach, 0), high + max(reach, 0)
        case Broadcast():
            return bounds(e.x)
        case Cast() if e.x.dtype.is_int or e.x.dtype == bool_:
            low, high = bounds(e.x)
            fits = e.dtype.is_int and e.dtype.min <= low and high <= e.dtype.max
            return (low, high) if fits else _dtype_bounds(e)
        case Op(op=op, args=(x, y)) if op in _BOUNDS and e.dtype.is_int:
            return _dtype_bounds(e) if may_wrap(e) else _BOUNDS[op](bounds(x), bounds(y))
        case Op(op="where", args=(_, x, y)):
            (a, b), (c, d) = bounds(x), bounds(y)
            return min(a, c), max(b, d)
    return _dtype_bounds(e)


def _dtype_bounds(e: Expr) -> Bounds:
    if e.dtype == bool_:
        return 0, 1
    if e.dtype.is_int:
        return int(e.dtype.min), int(e.dtype.max)
    return -UNBOUNDED, UNBOUNDED


def may_wrap(e: Op) -> bool:
    """Whether an operation on integers may leave the range of its dtype."""
    if e.op not in _BOUNDS:
        return True
    x, y = e.args
    low, high = _BOUNDS[e.op](bounds(x), bounds(y))
    return low < e.dtype.min or high > e.dtype.max


def _bounds_mul(x: Bounds, y: Bounds) -> Bounds:
    products = [a * b for a in x for b in y]
    return min(products), max(products)


def _bounds_floordiv(x: Bounds, y: Bounds) -> Bounds:
    if y[0] <= 0:
        return ANYTHING
    quotients = [a // b for a in x for b in y]
    return min(quotients), max(quotients)


def _bounds_mod(x: Bounds, y: Bounds) -> Bounds:
    if y[0] <= 0:
        return ANYTHING
    return (x[0], x[1]) if 0 <= x[0] and x[1] < y[0] else (0, y[1] - 1)


def _bounds_quotient(x: Bounds, y: Bounds) -> Bounds:
    return _bounds_floordiv(x, y) if x[0] >= 0 else ANYTHING


def _bounds_remainder(x: Bounds, y: Bounds) -> Bounds:
    return _bounds_mod(x, y) if x[0] >= 0 else ANYTHING


def _bounds_shr(x: Bounds, y: Bounds) -> Bounds:
    return (x[0] >> y[0], x[1] >> y[0]) if 0 <= y[0] == y[1] < 64 else ANYTHING


def _bounds_and(x: Bounds, y: Bounds) -> Bounds:
    highest = [high for low, high in (x, y) if low >= 0]
    return (0, min(highest)) if highest else ANYTHING


_BOUNDS: dict[str, Callable[[Bounds, Bounds], Bounds]] = {
    "add": lambda x, y: (x[0] + y[0], x[1] + y[1]),
    "sub": lambda x, y: (x[0] - y[1], x[1] - y[0]),
    "mul": _bounds_mul,
    "floordiv": _bounds_floordiv,
    "mod": _bounds_mod,
    "min": lambda x, y: (min(x[0], y[0]), min(x[1], y[1])),
    "max": lambda x, y: (max(x[0], y[0]), max(x[1], y[1])),
    "quotient": _bounds_quotient,
    "remainder": _bounds_remainder,
    "shr": _bounds_shr,
    "and": _bounds_and,
}


# --------------------------------------------------------------------------- sums


@lru_cache(maxsize=1 << 17)
def linear(e: Expr) -> Linear:
    """e as a constant and a sum of multiples of atoms, each atom once."""
    match e:
        case Literal():
            return int(e.value), ()
        case Var(extent=1):
            return 0, ()  # a loop of one iteration has no index
        case Op(op="add", args=(x, y)) if e.dtype.is_int:
            return _combine(linear(x), linear(y), 1)
        case Op(op="sub", args=(x, y)) if e.dtype.is_int:
            return _combine(linear(x), linear(y), -1)
        case Op(op="mul", args=(x, Literal() as c)) if e.dtype.is_int:
            return _scale(linear(x), int(c.value))
        case Op(op="mul", args=(Literal() as c, x)) if e.dtype.is_int:
            return _scale(linear(x), int(c.value))
    return 0, ((e, 1),)


def _scale(x: Linear, c: int) -> Linear:
    if c == 0:
        return 0, ()
    return x[0] * c, tuple((atom, k * c) for atom, k in x[1])


def _combine(x: Linear, y: Linear, sign: int) -> Linear:
    terms = dict(x[1])
    for atom, k in y[1]:
        terms[atom] = terms.get(atom, 0) + sign * k
    return x[0] + sign * y[0], tuple((atom, k) for atom, k in terms.items() if k)


def _rejoin(terms: dict[Expr, int]) -> Linear | None:
    """k*c * (x // c) + k * (x % c)  ->  k * x;  None where no pair is left."""
    for atom, k in terms.items():
        if not (isinstance(atom, Op) and atom.op == "mod" and isinstance(atom.args[1], Literal)):
            continue
        x, c = atom.args[0], int(atom.args[1].value)
        if c <= 0:  # a size whose load is guarded is 0 where it is not read
            continue
        quotient = floordiv(x, c)
        if terms.get(quotient) == k * c:
            left = {a: n for a, n in terms.items() if a is not atom and a is not quotient}
            return _combine((0, tuple(left.items())), _scale(linear(x), k), 1)
    return None


@lru_cache(maxsize=1 << 15)
def _text(e: Expr) -> str:
    return e.name if isinstance(e, Var) else show(e)


@lru_cache(maxsize=1 << 17)
def _from_linear(constant: int, terms: tuple[tuple[Expr, int], ...]) -> Expr:
    """The expression in normal form, from a constant and multiples of atoms, each atom once."""
    if any(isinstance(atom, Op) and atom.op == "mod" for atom, _ in terms):
        current = dict(terms)
        while (rejoined := _rejoin(current)) is not None:
            constant, current = constant + rejoined[0], dict(rejoined[1])
        terms = tuple(current.items())
    total = _sum_of_multiples(terms)
    if total is None:
        return Literal(constant)
    return total if constant == 0 else Op("add", (total, Literal(constant)))


@lru_cache(maxsize=1 << 16)
def _sum_of_multiples(terms: tuple[tuple[Expr, int], ...]) -> Expr | None:
    """The sum of multiples of atoms. Sums that differ in their constants share this object."""
    # Largest steps first, as an address is written by hand; the text breaks ties reproducibly.
    ordered = sorted(terms, key=lambda t: (-abs(t[1]), _text(t[0]))) if len(terms) > 1 else terms
    result: Expr | None = None
    for atom, k in ordered:
        term = atom if k == 1 else _multiple(atom, k)
        result = term if result is None else Op("add", (result, term))
    return result


@lru_cache(maxsize=1 << 15)
def _multiple(atom: Expr, k: int) -> Expr:
    return Op("mul", (atom, Literal(k)))


def add(*terms: Index) -> Expr:
    """The sum, in normal form."""
    total: Linear = (0, ())
    for term in terms:
        total = _combine(total, linear(as_expr(term)), 1)
    return _from_linear(*total)


def sub(x: Index, y: Index) -> Expr:
    """x - y, in normal form."""
    return _from_linear(*_combine(linear(as_expr(x)), linear(as_expr(y)), -1))


def mul(x: Index, c: int) -> Expr:
    """x * c, in normal form."""
    return _from_linear(*_scale(linear(as_expr(x)), c))


# --------------------------------------------------------------------------- division


@lru_cache(maxsize=1 << 17)
def _divide(e: Expr, c: int) -> tuple[Expr, Expr]:
    """(e // c, e % c) for c > 0.

    Split e = c * q + r: q has the terms that c divides, r the others. Then e // c = q + r // c and
    e % c = r % c for any r, and the bounds of r often decide both.
    """
    if c == 1:
        return e, Literal(0)
    constant, terms = linear(e)
    whole = tuple((atom, k // c) for atom, k in terms if k % c == 0)
    rest = tuple((atom, k) for atom, k in terms if k % c)
    quotient = _from_linear(constant // c, whole)
    r = _from_linear(constant % c, rest)
    low, high = bounds(r)
    if low // c == high // c:
        return add(quotient, low // c), sub(r, c * (low // c))
    # where c and all coefficients have a common divisor g: (g*x + k) // (g*d) = x // d for k < g
    g = math.gcd(c, *(k for _, k in rest))
    if g > 1:
        inner = _from_linear((constant % c) // g, tuple((atom, k // g) for atom, k in rest))
        q, m = _divide(inner, c // g)
        return add(quotient, q), add(mul(m, g), (constant % c) % g)
    return add(quotient, _floordiv_atom(r, c)), _mod_atom(r, c)


def _floordiv_atom(e: Expr, c: int) -> Expr:
    match e:
        case Op(op="floordiv", args=(x, Literal() as d)) if d.value > 0:
            return floordiv(x, c * int(d.value))  # (x // d) // c  ->  x // (d * c)
    return Op("floordiv", (e, Literal(c)))


def _mod_atom(e: Expr, c: int) -> Expr:
    match e:
        case Op(op="mod", args=(x, Literal() as d)) if d.value > 0 and d.value % c == 0:
            return mod(x, c)  # (x % (c * k)) % c  ->  x % c
    return Op("mod", (e, Literal(c)))


def floordiv(x: Index, c: int) -> Expr:
    """x // c, rounded down, for an int c > 0."""
    return _divide(as_expr(x), c)[0]


def mod(x: Index, c: int) -> Expr:
    """x % c in [0, c), for an int c > 0."""
    return _divide(as_expr(x), c)[1]


def minimum(x: Index, y: Index) -> Expr:
    """The smaller of the two."""
    a, b = as_expr(x), as_expr(y)
    low, high = bounds(sub(a, b))
    if high <= 0:
        return a
    return b if low >= 0 else Op("min", (a, b))


def maximum(x: Index, y: Index) -> Expr:
    """The larger of the two."""
    a, b = as_expr(x), as_expr(y)
    low, high = bounds(sub(a, b))
    if low >= 0:
        return a
    return b if high <= 0 else Op("max", (a, b))


# --------------------------------------------------------------------------- conditions


def _may_difference_wrap(difference: Linear) -> bool:
    """Whether a sum of multiples, with its constant or without, may leave the range of int64. Sums
    of loaded values may."""
    constant, terms = difference
    low = high = 0
    for atom, k in terms:
        ends = [k * end for end in bounds(atom)]
        low, high = low + min(ends), high + max(ends)
    return low + min(constant, 0) < int64.min or high + max(constant, 0) > int64.max


def less(x: Index, y: Index) -> Expr:
    """x < y; a literal where the bounds decide."""
    x, y = as_expr(x), as_expr(y)
    if _may_difference_wrap(_combine(linear(x), linear(y), -1)):
        (x_low, x_high), (y_low, y_high) = bounds(x), bounds(y)
        if x_high < y_low:
            return TRUE
        return FALSE if x_low >= y_high else Op("lt", (x, y))
    difference = sub(x, y)
    low, high = bounds(difference)
    if high < 0:
        return TRUE
    if low >= 0:
        return FALSE
    constant, terms = linear(difference)
    for step in sorted({abs(k) for _, k in terms} - {1}, reverse=True):
        # step * w + r < limit  ->  w < w0, where no value of r matters: i * 4 + j < 8  ->  i < 2
        whole = tuple((atom, k // step) for atom, k in terms if k % step == 0)
        low, high = bounds(_from_linear(constant, tuple(t for t in terms if t[1] % step)))
        if (-1 - low) // step == (-1 - high) // step:
            return less(_from_linear(0, whole), (-1 - low) // step + 1)
    return Op("lt", (_from_linear(0, terms), Literal(-constant)))


def at_least(x: Index, y: Index) -> Expr:
    """x >= y; a literal where the bounds decide. y is above the least int64."""
    return less(sub(y, 1), x)


def equal(x: Index, y: Index) -> Expr:
    """x == y; a literal where the bounds decide."""
    difference = sub(x, y)
    low, high = bounds(difference)
    if low == high == 0:
        return TRUE
    if low > 0 or high < 0:
        return FALSE
    constant, terms = linear(difference)
    return Op("eq", (_from_linear(0, terms), Literal(-constant)))


def all_of(conditions: Iterable[Expr | None]) -> Expr | None:
    """The conjunction of conditions, where None is the condition that always holds. FALSE if the
    conjunction cannot hold."""
    distinct = list(dict.fromkeys(c for c in conditions if c is not None and c is not TRUE))
    if FALSE in distinct:
        return FALSE
    result: Expr | None = None
    for condition in distinct:
        result = condition if result is None else Op("and", (result, condition))
    return result


def conjuncts(condition: Expr | None) -> list[Expr]:
    """The conditions that `all_of` has joined."""
    if condition is None:
        return []
    if isinstance(condition, Op) and condition.op == "and":
        return [c for x in condition.args for c in conjuncts(x)]
    return [condition]


# --------------------------------------------------------------------------- shapes


def strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides, in elements."""
    result = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        result[axis] = result[axis + 1] * shape[axis + 1]
    return tuple(result)


def round_up(n: int, multiple: int) -> int:
    """The least multiple that is no less than n."""
    return -(-n // multiple) * multiple


@lru_cache(maxsize=1 << 10)
def divisors(n: int) -> tuple[int, ...]:
    """All divisors of a size, the least first."""
    return tuple(d for d in range(1, n + 1) if n % d == 0)


def flatten(indices: Sequence[Index], shape: Sequence[int]) -> Expr:
    """The row-major position of a multi-index."""
    return _flatten(tuple(indices), tuple(shape))


@lru_cache(maxsize=1 << 14)
def _flatten(indices: tuple[Index, ...], shape: tuple[int, ...]) -> Expr:
    return add(*(mul(i, s) for i, s in zip(indices, strides(shape), strict=True)))


def unflatten(position: Index, shape: Sequence[int]) -> tuple[Expr, ...]:
    """The multi-index of a row-major position in [0, prod(shape))."""
    rest = as_expr(position)
    result: list[Expr] = []
    for n in reversed(shape[1:]):
        n = max(n, 1)  # an axis without elements has no index: any will do
        result.append(mod(rest, n))
        rest = floordiv(rest, n)
    if shape:
        result.append(Literal(0) if shape[0] == 1 else rest)
    return tuple(reversed(result))


# --------------------------------------------------------------------------- rebuilding


@lru_cache(maxsize=1 << 17)
def is_data(e: Expr) -> bool:
    """Whether e is data rather than an index: it depends on loaded values, which may be any int64,
    or its arithmetic may wrap. An index stays within its bounds."""
    if isinstance(e, Op) and e.op in ("add", "sub", "mul") and e.dtype == int64 and may_wrap(e):
        return True
    return isinstance(e, (Load, Local)) or any(map(is_data, e.operands))


def _normal_index(e: Op) -> Expr:
    match e.op, e.args:
        case "add", args:
            return add(*args)
        case "sub", (x, y):
            return sub(x, y)
        case "mul", (x, Literal(value=c)):
            return mul(x, int(c))
        case "floordiv", (x, Literal(value=c)) if c > 0:
            return floordiv(x, int(c))
        case "mod", (x, Literal(value=c)) if c > 0:
            return mod(x, int(c))
        case "min", (x, y):
            return minimum(x, y)
        case "max", (x, y):
            return maximum(x, y)
    return e


def normalize(e: Expr) -> Expr:
    """An expression on normal operands (after a substitution, say) in normal form. Data stays as
    it is."""
    if e.dtype == int64 and e.lanes == 1 and isinstance(e, Op) and not is_data(e):
        e = _normal_index(e)
    match e:
        case Op(op="lt" | "eq" as op, args=(x, y)) if e.lanes == 1 and x.dtype == int64:
            if not is_data(e):
                return less(x, y) if op == "lt" else equal(x, y)
        case Op(op="and", args=args) if e.lanes == 1 and e.dtype == bool_:
            return all_of(args) or TRUE
        case Op(op="where", args=(Literal(value=holds), x, y)):
            return x if holds else y
        case Load(array, index, guard) if guard is TRUE:
            return Load(array, index)
        case Load(index=index, guard=guard) if guard is FALSE and index.lanes == 1:
            return Literal(0, e.dtype)
    return e


def substitute(e: Expr, values: Mapping[Expr, Expr], memo: dict[Expr, Expr] | None = None) -> Expr:
    """e with variables (or any sub-expressions) replaced, and indices in normal form again.

    `memo` maps sub-expressions to their results in earlier calls with the same `values`.
    """
    if not all(isinstance(x, (Var, Local)) for x in values):
        return rewrite(e, lambda x: values.get(x) or normalize(x), memo)
    return Substitution(values, memo).of(e)


class Substitution:
    """A substitution for variables and locals, to apply to many expressions: each sub-expression
    is visited once."""

    def __init__(self, values: Mapping[Expr, Expr], memo: dict[Expr, Expr] | None = None) -> None:
        self.replaced = frozenset(values)
        self.memo = {} if memo is None else memo
        self.memo.update(values)

    def of(self, e: Expr) -> Expr:
        """The expression after the substitution, with indices in normal form."""
        if e.mentions.isdisjoint(self.replaced):
            return e
        return bottom_up(e, self.memo, self._needs, self._make)

    def _needs(self, e: Expr) -> list[Expr]:
        """The operands of an expression, or the atoms of a sum, that change."""
        total = _sum(e)
        parts = e.operands if total is None else [atom for atom, _ in total[1]]
        return [x for x in parts if not x.mentions.isdisjoint(self.replaced)]

    def _make(self, e: Expr) -> Expr:
        """e with its new operands, or as a sum of its new terms."""
        memo, total = self.memo, _sum(e)
        if total is None:
            return normalize(e.with_operands(tuple([memo.get(x, x) for x in e.operands])))
        constant, terms = total
        found: dict[Expr, int] = {}
        for old, k in terms:
            more, atoms = linear(memo.get(old, old))
            constant += k * more
            for atom, n in atoms:
                found[atom] = found.get(atom, 0) + k * n
        return _from_linear(constant, tuple([(atom, k) for atom, k in found.items() if k]))


@lru_cache(maxsize=1 << 16)
def _sum(e: Expr) -> Linear | None:
    """The terms of a sum of indices; None for other expressions."""
    is_sum = type(e) is Op and e.op in ("add", "sub", "mul") and e.dtype is int64
    if not is_sum or e.lanes != 1 or is_data(e):
        return None
    terms = linear(e)
    return None if terms[1] == ((e, 1),) else terms
