"""Lower a kernel that sorts: the indices that would sort each row, in one of three ways.

Keys become integers whose order is the sort's. A key of 32 bits or less and its index are packed
into one integer.

Counting, short rows: the place of an element is the number of elements that come before it. That
takes n * n comparisons, but in vectors, and places are independent: on a GPU a work-item finds one.

    serial i: serial j: rank += x[j] < x[i]
              out[rank] = i

By digits (radix sort), long rows: a pass over the row for each digit of 8 or 11 bits, the lowest
first, moves each element to behind those with smaller digits. Digits that are the same in the whole
row cost nothing.

    differ = bits in which the keys are not all alike
    serial pair of digits: if differ has bits there:
        count how often each digit comes; sum up: where the first element of each goes
        move the elements from out to spare by the lower digit, and back by the upper one

Selecting, where only the first few are wanted: they are kept in order while the row is walked;
most elements are behind the last of them and cost one comparison.

    best = none
    serial i: if x[i] comes before the last of best: insert it, and i into out

Why this is no graph of ordinary nodes: what a radix sort does next depends on the keys. What a
bitonic sort does next does not: for rows of 1024 it is 55 steps of minima and maxima, each through
memory. 256 such rows take it 5.4 ms on one core, for the values alone; it is not stable, and would
have to carry the indices, too. These loops take 2.6 ms, with indices. Merging sorted runs takes
30 ns an element in rows of 32 to 64, and counting 4 to 9 ns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...dtypes import DType, bool_, float32, int32, int64
from ...expr import Array, Bitcast, Cast, Expr, Literal, Load, Local, Op, Var
from ...graph.ir import Node, Sort
from ...index import add, all_of, less, minimum, mod, mul, sub
from ...schedule.access import MultiIndex
from ...schedule.ir import Kernel
from ..ir import Accumulate, Alloc, Body, For, Function, If, Let, Stmt, Store
from ..ir.rebuild import begin, nest
from .nodes import Lowering

INDEX_MASK = (1 << 32) - 1  # the lower half of a packed element
# (bits of a digit, length of a row from which on radix sort is faster than counting), measured.
# Two pairs of digits cover the 32 bits of a packed key; three pairs, the 64 bits of any other.
PACKED_DIGITS, WIDE_DIGITS = (8, 96), (11, 112)

Place = tuple[Array, Callable[[Expr], Expr]]  # an array, and where a row's element lies in it


def lower_sort(kernel: Kernel, name: str, scratch: int | None, ends: bool = False) -> Function:
    """Loops for a kernel of kind sort: selecting, where only the first few are wanted; radix sort
    for long rows; counting for short rows, and wherever the arrays for one row would take more
    than `scratch` bytes (None: no limit). `ends`: as in `lower`; rows of which the first n elements
    are needed are sorted by digits as rows of n elements, or counted if n is small.

    Ensures: the loops over rows, and when counting also over elements, are outermost and
    independent; equal elements keep their order, ascending and descending; nan is the largest.
    """
    sorting = _Sorting(kernel, ends)
    selects = sorting.node.count is not None
    needed = sorting.wanted if selects else sorting.size_by_digits
    has_room = scratch is None or needed * int64.itemsize <= scratch
    is_short = not selects and sorting.length < sorting.digits_from
    way = sorting.select if selects else sorting.radix
    if is_short or not has_room:
        way = sorting.count
    return Function(name, sorting.lowering.arguments(), 1, way())


class _Sorting:
    def __init__(self, kernel: Kernel, ends: bool) -> None:
        (member,) = kernel.members
        assert isinstance(member.node, Sort)
        self.node = member.node
        self.lowering = Lowering(kernel)
        self.length = self.node.x.shape[self.node.axis]
        self.wanted = self.node.shape[self.node.axis]
        self.out = self.lowering.arrays[self.node]
        self.packs = self.node.x.dtype.itemsize <= 4 and self.length <= INDEX_MASK
        self.digit, self.digits_from = PACKED_DIGITS if self.packs else WIDE_DIGITS
        self.rows = [Var(f"i{axis}", n) for axis, n in enumerate(self.node.shape)]
        del self.rows[self.node.axis]
        self.end: Expr | None = None  # how many elements of a row are needed
        self.needed: Expr | None = None  # the condition for a row
        if ends:
            self._set_ends(kernel.limits.get(self.node, {}))

    def _set_ends(self, limits: Mapping[tuple[int, int], Node]) -> None:
        index, conditions = self.index(Literal(0)), []
        for (axis, block), size in limits.items():
            end = self.lowering.values.of(size, (Literal(0),) * len(size.shape), ())
            if axis != self.node.axis:
                conditions.append(less(mod(index[axis], block), end))
            elif block == self.length == self.wanted:
                self.end = end
        self.needed = all_of(conditions)

    def store(self, i: Expr, value: Expr, guard: Expr | None = None) -> Store:
        """Store a number in the output, in the row's place i."""
        return Store(self.out, self.place(i), value, guard, needed=self.needed)

    def elements(self, var: Var, *body: Stmt) -> Body:
        """A loop over a row's elements, as far as they are needed."""
        if self.end is None:
            return nest([var], body)
        return (For(var, minimum(self.end, var.extent), "serial", body),)

    @property
    def size_by_digits(self) -> int:
        """The elements of a row's arrays when it is sorted by digits."""
        return (1 if self.packs else 3) * self.length + (2 << self.digit)

    def index(self, i: Expr) -> MultiIndex:
        """The multi-index of the row's element i."""
        axis = self.node.axis
        return (*self.rows[:axis], i, *self.rows[axis:])

    def key(self, i: Expr) -> Expr:
        return self.lowering.values.of(self.node.x, self.index(i), ())

    def place(self, i: Expr) -> Expr:
        """Where the row's element i lies in the output."""
        return self.lowering.place(self.node, self.index(i))

    def ordered(self, i: Expr) -> Expr:
        """The key of element i as an integer in the sort's order; with its index, if both fit."""
        to_integer = _packed if self.packs else _wide
        return to_integer(self.key(i), add(i), self.node.descending)  # add(i): 0 in a row of one

    def precedes(self, x: Expr, y: Expr) -> Expr:
        """Whether a key must come before another, whatever their order in the input."""
        return _less(y, x) if self.node.descending else _less(x, y)

    # ------------------------------------------------------------------ counting

    def count(self) -> Body:
        """out[the number of elements before x[i]] = i, where that place is wanted"""
        i, j = Var("i", self.length), Var("j", self.length)
        rank = Array("rank", int64, 1, "register")
        everything = self.wanted == self.length
        guard = None if everything else less(Load(rank, Literal(0)), self.wanted)
        term = Accumulate(
            rank, Literal(0), "sum", Cast(self.comes_before(i, j, self.ordered), int64)
        )
        body: Body = (
            *begin(rank, "sum"),
            *nest([j], (term,)),
            self.store(Load(rank, Literal(0)), add(i), guard),
        )
        return nest([*self.rows, i], body)

    def comes_before(self, i: Expr, j: Expr, ordered: Callable[[Expr], Expr]) -> Expr:
        """Whether element j comes before element i."""
        x, other = ordered(i), ordered(j)
        comes_before: Expr = Op("lt", (other, x))
        if not self.packs:
            is_tie_before = Op("and", (Op("eq", (other, x)), less(j, i)))
            comes_before = Op("or", (comes_before, is_tie_before))
        return comes_before

    def count_few(self, keys: Array) -> Body:
        """As `count`, of a row that may be short; its keys are first put into an array."""
        k, i, j = (Var(name, self.length) for name in ("few", "few_i", "few_j"))
        rank = Array("few_rank", int64, 1, "register")
        comes_before = self.comes_before(i, j, lambda at: Load(keys, add(at)))
        term = Accumulate(rank, Literal(0), "sum", Cast(comes_before, int64))
        return (
            *self.elements(k, Store(keys, add(k), self.ordered(k))),
            *self.elements(
                i,
                *begin(rank, "sum"),
                *self.elements(j, term),
                self.store(Load(rank, Literal(0)), add(i)),
            ),
        )

    # ------------------------------------------------------------------ selecting

    def select(self) -> Body:
        """Walk the row, with the first elements so far in order: their keys in `best`, their
        indices in the output."""
        best = Array("best", self.node.x.dtype, self.wanted, "local")
        first, rest = Var("first", self.wanted), Var("rest", self.length - self.wanted)
        x, y = Local("x", best.dtype), Local("y", best.dtype)
        start, i = add(first), add(rest, self.wanted)  # 0, where a loop has one iteration
        enters = self._may_precede(y, Load(best, Literal(self.wanted - 1)))
        fill = (Let(x, self.key(start)), *self._insert(best, x, start, start, "first"))
        replace_last = self._insert(best, y, i, Literal(self.wanted), "rest")
        body: Body = (Alloc(best), *nest([first], fill))
        if rest.extent:
            walk = (Let(y, self.key(i)), If(enters, replace_last))
            body = (*body, *nest([rest], walk))
        return nest(self.rows, body)

    def _may_precede(self, x: Expr, y: Expr) -> Expr:
        """True where `precedes` is, and where y is nan: in one comparison."""
        if x.dtype == bool_:
            return self.precedes(x, y)
        return Op("not", (Op("le", (x, y) if self.node.descending else (y, x)),))

    def _insert(self, best: Array, x: Local, i: Expr, kept: Expr, suffix: str) -> Body:
        """Insert x, which has index i, among the `kept` elements that are in order: behind those
        that it does not precede. The others move one place on; the last is dropped if there is no
        room."""
        j, back = Var(f"j_{suffix}", self.wanted), Var(f"back_{suffix}", self.wanted)
        rank, zero = Array(f"rank_{suffix}", int64, 1, "register"), Literal(0)
        place, at = Local(f"place_{suffix}", int64), Local(f"at_{suffix}", int64)
        end = minimum(kept, Literal(self.wanted - 1))
        stays = Op("not", (self.precedes(x, Load(best, add(j))),))
        count = Accumulate(rank, zero, "sum", Cast(stays, int64))
        move = (
            Let(at, sub(end, back)),
            Store(best, at, Load(best, sub(at, 1))),
            self.store(at, Load(self.out, self.place(sub(at, 1)))),
        )
        put = (Store(best, place, x), self.store(place, i))
        return (
            *begin(rank, "sum"),
            For(j, kept, "serial", (count,)),
            Let(place, Load(rank, zero)),
            For(back, minimum(sub(end, place), Literal(self.wanted)), "serial", move),
            If(less(place, add(end, 1)), put),
        )

    # ------------------------------------------------------------------ by digits

    def radix(self) -> Body:
        """Passes over the row in pairs, a digit each: from the output to spare arrays, and back, so
        that the result ends in the output. A packed element moves as one, else a key and its
        index."""
        n = self.length
        i, last, pair = Var("i", n), Var("last", n), Var("pair", 2 if self.packs else 3)
        there: list[Place] = [(self.out, self.place)]
        back: list[Place] = [(Array("spare", int64, n, "local"), lambda p: p)]
        if not self.packs:  # the keys first: their digits are looked at
            there.insert(0, (Array("keys", int64, n, "local"), lambda p: p))
            back.insert(0, (Array("spare_keys", int64, n, "local"), lambda p: p))
        differ = Array("differ", int64, 1, "register")
        first, element, shift = (Local(name, int64) for name in ("first", "element", "shift"))
        count = Array("count", int64, 2 << self.digit, "local")
        seen = Op("or", (Load(differ, Literal(0)), Op("xor", (element, first))))
        kept = [element, i] if len(there) == 2 else [element]
        fill = (
            Let(element, self.digits_of(i)),
            Store(differ, Literal(0), seen),
            *(self._kept(array, at(i), x) for (array, at), x in zip(there, kept, strict=True)),
        )
        differs = Op("shr", (Load(differ, Literal(0)), shift))
        some = Op("and", (differs, Literal((1 << 2 * self.digit) - 1)))
        lowest = add(mul(pair, 2 * self.digit), 32 if self.packs else 0)
        passes: Body = (
            *self.count_digits(count, shift, there[0]),
            *self.move(count, shift, there, back, 0),
            *self.move(count, add(shift, self.digit), back, there, 1),
        )
        body: Body = (
            Alloc(count),
            Alloc(differ),
            Let(first, self.digits_of(Literal(0))),
            Store(differ, Literal(0), Literal(0)),
            *self.elements(i, *fill),
            *nest([pair], (Let(shift, lowest), If(Op("ne", (some, Literal(0))), passes))),
        )
        if self.packs:
            index = Op("and", (Load(self.out, self.place(last)), Literal(INDEX_MASK)))
            body = (*body, *self.elements(last, self.store(last, index)))
        if self.end is not None:
            (keys, _), *_ = back
            body = (If(less(self.end, self.digits_from), self.count_few(keys), body),)
        arrays = [Alloc(array) for array, _ in (*there, *back) if array is not self.out]
        return nest(self.rows, (*arrays, *body))

    def _kept(self, array: Array, at: Expr, value: Expr) -> Store:
        """Store an element in one of a row's arrays, or in the output."""
        return Store(array, at, value, needed=self.needed if array is self.out else None)

    def digits_of(self, i: Expr) -> Expr:
        """Element i as an integer whose unsigned digits have the sort's order."""
        return Op("xor", (self.ordered(i), Literal(-(1 << 63))))

    def count_digits(self, count: Array, shift: Expr, source: Place) -> Body:
        """Count the elements with a smaller digit, for each value of each of two digits."""
        zero, digit = Var("zero", count.size), Var("digit", 1 << self.digit)
        j = Var("j", self.length)
        total = Array("total", int64, 2, "register")
        element = Local("counted", int64)
        array, at = source
        counting: list[Stmt] = [Let(element, Load(array, at(j)))]
        summing: list[Stmt] = []
        for n in range(2):
            slot, sofar = Local(f"slot{n}", int64), Local(f"sofar{n}", int64)
            place = add(digit, n << self.digit)
            counting += [
                Let(slot, self._slot(element, add(shift, n * self.digit), n)),
                Store(count, slot, add(Load(count, slot), 1)),
            ]
            summing += [
                Let(sofar, Load(total, Literal(n))),
                Store(total, Literal(n), add(sofar, Load(count, place))),
                Store(count, place, sofar),
            ]
        return (
            *nest([zero], (Store(count, zero, Literal(0)),)),
            *self.elements(j, *counting),
            Alloc(total),
            *(Store(total, Literal(n), Literal(0)) for n in range(2)),
            *nest([digit], tuple(summing)),
        )

    def move(
        self, count: Array, shift: Expr, sources: list[Place], targets: list[Place], n: int
    ) -> Body:
        """Move each element to the next free place of its digit."""
        j = Var(f"move{n}", self.length)
        element, slot, to = (Local(f"{name}{n}", int64) for name in ("moved", "in", "to"))
        pairs = list(zip(sources, targets, strict=True))
        values = [element, *(Load(array, at(j)) for (array, at), _ in pairs[1:])]
        array, at = sources[0]
        body: Body = (
            Let(element, Load(array, at(j))),
            Let(slot, self._slot(element, shift, n)),
            Let(to, Load(count, slot)),
            Store(count, slot, add(to, 1)),
            *(
                self._kept(array, at(to), value)
                for (_, (array, at)), value in zip(pairs, values, strict=True)
            ),
        )
        return self.elements(j, *body)

    def _slot(self, element: Expr, shift: Expr, n: int) -> Expr:
        """Where an element's digit is counted: the first (n is 0) or second digit of a pair."""
        digit = Op("and", (Op("shr", (element, shift)), Literal((1 << self.digit) - 1)))
        return add(digit, n << self.digit)


def _less(x: Expr, y: Expr) -> Expr:
    """x < y, where nan is the largest and no less than itself."""
    if x.dtype == bool_:
        return Op("and", (Op("not", (x,)), y))
    smaller = Op("lt", (x, y))
    if not x.dtype.is_float:
        return smaller
    return Op("or", (smaller, Op("and", (Op("eq", (x, x)), Op("ne", (y, y))))))


def _packed(x: Expr, i: Expr, descending: bool) -> Expr:
    """A key and its index as one integer: no two are equal, and their order is the sort's."""
    if x.dtype.is_float:
        high: Expr = Cast(_ordered(Cast(x, float32), int32), int64)  # exact from 16 bits
    else:
        high = Cast(x, int64)
        if x.dtype.kind == "uint":  # into the range of signed numbers
            high = Op("sub", (high, Literal(1 << 31)))
    if descending:
        high = Op("xor", (high, Literal(-1)))
    return Op("or", (Op("shl", (high, Literal(32))), i))


def _wide(x: Expr, i: Expr, descending: bool) -> Expr:
    """A key of 64 bits as an integer in the sort's order."""
    if x.dtype.is_float:
        x = _ordered(x, int64)
    elif x.dtype.kind == "uint":
        x = Op("xor", (Bitcast(x, int64), Literal(-(1 << 63))))
    return Op("xor", (x, Literal(-1))) if descending else x


def _ordered(x: Expr, whole: DType) -> Expr:
    """A float as an integer of as many bits, in the same order: nan the largest, -0.0 as 0.0."""
    most = Literal(int(whole.max), whole)
    x = Op("add", (x, Literal(0.0, x.dtype)))  # -0.0 is 0.0
    bits = Bitcast(x, whole)  # in order, but for what is negative, which runs backwards
    backwards = Op("xor", (bits, most))
    ordered = Op("where", (Op("lt", (bits, Literal(0, whole))), backwards, bits))
    return Op("where", (Op("eq", (x, x)), ordered, most))
