"""Lower a kernel that sorts: the indices that would sort each row, in four ways.

By digits (radix sort), long rows on a CPU's thread: a pass over the row for each digit of 8 or 11
bits, the lowest first, moves each element to behind those with smaller digits. Keys become integers
whose unsigned order is theirs. Digits that are the same in the whole row cost nothing.

    differ = bits in which the keys are not all alike
    serial pair of digits: if differ has bits there:
        count how often each digit comes; sum up: where the first element of each goes
        move the elements from out to spare by the lower digit, and back by the upper one

Merging, shorter rows: runs of 1, 2, 4, ... elements, n log n steps one after another. Keys
of 32 bits and less are merged together with their indices, as one integer each, whose order is
theirs; of larger ones the indices alone, and each comparison looks the keys up.

    out = 0 .. n - 1, below the keys
    serial level: merge the runs of 4**level from out to spare, those of 2 * 4**level back to out
    out = the indices

Selecting, where only the first few are wanted: they are kept in order while the row is walked;
most elements are behind the last of them and cost one comparison.

    best = none
    serial i: if x[i] comes before the last of best: insert it, and i into out

Counting: the place of an element is how many come before it. That is n * n steps, but each place
is found by itself, and without memory: thousands of work-items do it at once.

Why this is no graph of ordinary nodes: what these loops do next depends on the keys. A network of
minima and maxima (bitonic sort) does not; it was tried: 55 steps for rows of 1024, each through
memory. On one core the values of 256 such rows take 5.4 ms so, and with their indices 2.6 ms by
these loops; the network would have to carry the indices too, and it is not stable.
"""

from __future__ import annotations

from collections.abc import Callable

from ...dtypes import DType, bool_, float32, int32, int64
from ...expr import Array, Bitcast, Cast, Expr, Literal, Load, Local, Op, Var
from ...graph.ir import Sort
from ...index import add, equal, less, minimum, mul, sub
from ...schedule.access import MultiIndex
from ...schedule.ir import Kernel
from ..ir import Accumulate, Alloc, Body, For, Function, If, Let, Stmt, Store
from ..ir.rebuild import nest
from .rows import Lowering

INDEX_MASK = (1 << 32) - 1  # the lower half of a packed element
# (bits of a digit, elements of a row from which on digits are faster than merging), measured:
# two pairs of digits have all bits of a packed element's key; three, those of another.
PACKED_DIGITS, WIDE_DIGITS = (8, 64), (11, 256)

Place = tuple[Array, Callable[[Expr], Expr]]  # an array, and where a row's element lies in it


def lower_sort(kernel: Kernel, name: str, scratch: int | None) -> Function:
    """Loops for a kernel of kind sort: by selecting, merging or digits, if `scratch` bytes (None:
    any number) are enough for a row's best elements or its indices, else by counting.

    Ensures: loops over rows, by counting over elements, are outermost and independent; equal
    elements keep their order, ascending and descending; nan is the largest.
    """
    sorting = _Sorting(kernel)
    selects = sorting.node.count is not None
    needed = sorting.wanted if selects else sorting.length
    if scratch is not None and needed * int64.itemsize > scratch:
        body = sorting.count()
    else:
        by_digits = sorting.length >= sorting.digits_from and scratch is None
        body = sorting.select() if selects else sorting.radix() if by_digits else sorting.merge()
    return Function(name, sorting.lowering.arguments(), 1, body)


class _Sorting:
    def __init__(self, kernel: Kernel) -> None:
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

    def index(self, i: Expr) -> MultiIndex:
        """Element i of the row."""
        axis = self.node.axis
        return (*self.rows[:axis], i, *self.rows[axis:])

    def key(self, i: Expr) -> Expr:
        return self.lowering.values.of(self.node.x, self.index(i), ())

    def place(self, i: Expr) -> Expr:
        """Where the row's element i lies in the output."""
        return self.lowering.place(self.node, self.index(i))

    def precedes(self, x: Expr, y: Expr) -> Expr:
        """Whether a key must come before another, whatever their order in the input."""
        return _less(y, x) if self.node.descending else _less(x, y)

    # ------------------------------------------------------------------ counting

    def count(self) -> Body:
        """out[how many come before x[i]] = i, where that is one of those wanted"""
        i, j = Var("i", self.length), Var("j", self.length)
        rank = Array("rank", int64, 1, "register")
        x, other = self.key(i), self.key(j)
        is_tie_before = Op("and", (less(j, i), Op("not", (self.precedes(x, other),))))
        comes_before = Op("or", (self.precedes(other, x), is_tie_before))
        everything = self.wanted == self.length
        guard = None if everything else less(Load(rank, Literal(0)), self.wanted)
        body: Body = (
            Alloc(rank),
            Store(rank, Literal(0), Literal(0)),
            *nest([j], (Accumulate(rank, Literal(0), "sum", Cast(comes_before, int64)),)),
            Store(self.out, self.place(Load(rank, Literal(0))), add(i), guard),
        )
        return nest([*self.rows, i], body)

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
        replace_last = self._insert(best, y, i, Literal(self.wanted - 1), "rest")
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

    def _insert(self, best: Array, x: Local, i: Expr, end: Expr, suffix: str) -> Body:
        """Move what comes after x one place on, from place `end`, free or the last, and put x
        there."""
        back = Var(f"back_{suffix}", self.wanted)
        at = Local(f"at_{suffix}", int64)
        before = Op("max", (sub(at, 1), Literal(0)))
        moves = Op("and", (less(0, at), self.precedes(x, Load(best, before))))
        fits = Op("or", (equal(at, i), self.precedes(x, Load(best, at))))
        move = (
            Store(best, at, Load(best, before)),
            Store(self.out, self.place(at), Load(self.out, self.place(before))),
        )
        put = (Store(best, at, x), Store(self.out, self.place(at), i))
        step = (Let(at, sub(end, back)), If(moves, move, (If(fits, put),)))
        return (For(back, add(end, 1), "serial", step),)

    # ------------------------------------------------------------------ merging

    def merge(self) -> Body:
        """Two levels at a time, there and back, so that the result ends in the output."""
        n = self.length
        i, last = Var("i", n), Var("last", n)
        packs = self.packs and n > 1
        first = _packed(self.key(i), i, self.node.descending) if packs else add(i)
        body: Body = nest([i], (Store(self.out, self.place(i), first),))
        if n > 1:
            spare = Array("spare", int64, n, "local")
            level = Var("level", ((n - 1).bit_length() + 1) // 2)
            size = Local("size", int64)
            there, back = (self.out, self.place), (spare, lambda p: p)
            levels: Body = (
                Let(size, Op("shl", (Literal(1), mul(level, 2)))),
                *self.merge_runs(size, there, back, "there"),
                *self.merge_runs(mul(size, 2), back, there, "back"),
            )
            body = (Alloc(spare), *body, *nest([level], levels))
        if packs:
            index = Op("and", (Load(self.out, self.place(last)), Literal(INDEX_MASK)))
            body = (*body, *nest([last], (Store(self.out, self.place(last), index),)))
        return nest(self.rows, body)

    def merge_runs(self, size: Expr, source: Place, target: Place, suffix: str) -> Body:
        """Merge neighbouring runs of `size` elements, a power of two, from source to target.

        `next` holds the first elements of the two runs that are not placed yet.
        """
        n = self.length
        p = Var(f"p_{suffix}", n)
        following = Array(f"next_{suffix}", int64, 2, "register")
        left, right, a, b = (
            Local(f"{name}_{suffix}", int64) for name in ("left", "right", "a", "b")
        )
        takes_left = Local(f"takes_left_{suffix}", bool_)
        inside = Op("and", (p, sub(mul(size, 2), 1)))  # p's position in its pair of runs
        start = sub(p, inside)
        middle, end = minimum(add(start, size), n), minimum(add(start, mul(size, 2)), n)

        def candidate(at: Expr) -> Expr:
            """What to place; any other of the row where its run is done."""
            array, place = source
            return Load(array, place(minimum(at, n - 1)))

        is_less = Op("lt", (b, a)) if self.packs else self.precedes(self.key(b), self.key(a))
        wins = Op("not", (is_less,))
        is_last = Op("le", (end, right))
        array, place = target
        body: Body = (
            If(
                Op("eq", (inside, Literal(0))),
                (
                    Store(following, Literal(0), p),
                    Store(following, Literal(1), minimum(add(p, size), n)),
                ),
            ),
            Let(left, Load(following, Literal(0))),
            Let(right, Load(following, Literal(1))),
            Let(a, candidate(left)),
            Let(b, candidate(right)),
            Let(takes_left, Op("and", (Op("lt", (left, middle)), Op("or", (is_last, wins))))),
            Store(array, place(p), Op("where", (takes_left, a, b))),
            Store(following, Literal(0), add(left, Cast(takes_left, int64))),
            Store(following, Literal(1), add(right, Cast(Op("not", (takes_left,)), int64))),
        )
        return (Alloc(following), For(p, n, "serial", body))

    # ------------------------------------------------------------------ by digits

    def radix(self) -> Body:
        """A pass for each digit, two at a time, there and back, so that the result ends in the
        output. A packed element is moved as one, else a key and its index."""
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
            *(Store(array, at(i), x) for (array, at), x in zip(there, kept, strict=True)),
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
            *(Alloc(array) for array, _ in (*there, *back) if array is not self.out),
            Alloc(count),
            Alloc(differ),
            Let(first, self.digits_of(Literal(0))),
            Store(differ, Literal(0), Literal(0)),
            *nest([i], fill),
            *nest([pair], (Let(shift, lowest), If(Op("ne", (some, Literal(0))), passes))),
        )
        if self.packs:
            index = Op("and", (Load(self.out, self.place(last)), Literal(INDEX_MASK)))
            body = (*body, *nest([last], (Store(self.out, self.place(last), index),)))
        return nest(self.rows, body)

    def digits_of(self, i: Expr) -> Expr:
        """Element i as an integer whose unsigned digits have the sort's order."""
        if self.packs:
            ordered = _packed(self.key(i), i, self.node.descending)
        else:
            ordered = _wide(self.key(i), self.node.descending)
        return Op("xor", (ordered, Literal(-(1 << 63))))

    def count_digits(self, count: Array, shift: Expr, source: Place) -> Body:
        """How many elements have a smaller digit, for each of two digits."""
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
            *nest([j], tuple(counting)),
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
                Store(array, at(to), value)
                for (_, (array, at)), value in zip(pairs, values, strict=True)
            ),
        )
        return nest([j], body)

    def _slot(self, element: Expr, shift: Expr, n: int) -> Expr:
        """Where the digit of an element is counted, of two digits the first or second."""
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
        if x.dtype.kind == "uint":  # so that it has a sign's room
            high = Op("sub", (high, Literal(1 << 31)))
    if descending:
        high = Op("xor", (high, Literal(-1)))
    return Op("or", (Op("shl", (high, Literal(32))), i))


def _wide(x: Expr, descending: bool) -> Expr:
    """A key of 64 bits as an integer of the sort's order."""
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
