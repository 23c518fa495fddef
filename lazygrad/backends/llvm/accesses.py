"""Loads and stores: addresses split by loop, vectors of any stride, guards that keep memory safe.

An address is built outwards in: the terms of the index that belong to an outer loop are added to
the array's pointer there, so that what is left in the innermost loop is one pointer, a step and
constants, which the processor's addressing modes take.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ...expr import Array, Expr, Load
from ...index import add, linear, mul
from ...loops.legal.memory import as_ramp, is_inside, is_private, over_lanes
from .writer import value_type, vector_of

if TYPE_CHECKING:
    from .values import Values


def index_parts(index: Expr) -> tuple[Expr, ...]:
    """The expressions that an address is computed from: the atoms of the index's base, or the
    index vector."""
    ramp = as_ramp(index)
    return (index,) if ramp is None else tuple(atom for atom, _ in linear(ramp[0])[1])


def address(v: Values, array: Array, index: Expr) -> str:
    """A pointer to array[index], index a scalar whose atoms' values are known."""
    constant, terms = linear(index)
    pointer, level = v.bases[array.name], v.sink_level
    by_level: dict[int, list[tuple[Expr, int]]] = {}
    for term in terms:
        by_level.setdefault(v.outermost(term[:1]), []).append(term)
    so_far: tuple[tuple[Expr, int], ...] = ()
    for place in sorted(by_level):
        so_far += tuple(by_level[place])
        key = (array.name, so_far)
        if (found := v.known.get(key)) is None:
            offset = v.value(add(*(mul(atom, k) for atom, k in by_level[place])))
            v.at(place)
            found = _beyond(v, array, pointer, offset)
            v.define(key, found, place)
        pointer = found
    v.at(level)
    if constant == 0:
        return pointer
    # Written anew in each scope, next to its use, where it becomes part of the instruction.
    whole = (array.name, so_far, constant)
    if (found := v.known.get(whole)) is None or v.levels[whole] != level:
        found = _beyond(v, array, pointer, constant)
        v.define(whole, found, level)
    return found


# --------------------------------------------------------------------------- loads


def load(v: Values, e: Load) -> str:
    """Write a load; the parts of its index and its guard are known."""
    array, lanes, guard = e.array, e.lanes, e.guard
    ramp = as_ramp(e.index)
    uniform = guard is None or guard.lanes == 1
    if lanes == 1:
        raw = _load_block(v, array, e.index, 1, guard)
    elif ramp is None:
        raw = _load_elements(v, e)
    elif ramp[1] == 0:
        raw = _load_one(v, array, ramp[0], lanes, guard)
    elif abs(ramp[1]) == 1:
        raw = _load_contiguous(v, array, ramp[0], ramp[1], lanes, guard)
    elif abs(ramp[1]) <= 4 and uniform:
        raw = _load_strided(v, array, ramp[0], ramp[1], lanes, guard)
    else:
        raw = _load_elements(v, e)
    return raw


def _safe(v: Values, pointer: str, guard: str | None, nbytes: int) -> str:
    """The pointer, or one to zeros where the guard is false."""
    if guard is None:
        return pointer
    v.zeros = max(v.zeros, nbytes)
    return v.write("safe", f"select i1 {guard}, ptr {pointer}, ptr @zeros")


def _read(v: Values, array: Array, pointer: str, lanes: int) -> str:
    kind = value_type(array.dtype, lanes)
    # Memory that the function never writes does not change: LLVM may move such a load.
    unchanged = array.scope == "global" and array.name not in v.written
    note = ", !invariant.load !0" if unchanged else ""
    return v.write(array.name, f"load {kind}, ptr {pointer}, align {array.dtype.itemsize}{note}")


def _load_block(v: Values, array: Array, start: Expr, lanes: int, guard: Expr | None) -> str:
    """Elements start .. start + lanes - 1; all or none, as a scalar guard says."""
    pointer = address(v, array, start)
    condition = None if guard is None else v.known[guard]
    return _read(v, array, _safe(v, pointer, condition, lanes * array.dtype.itemsize), lanes)


def _load_one(v: Values, array: Array, index: Expr, lanes: int, guard: Expr | None) -> str:
    """One element in every lane where the guard holds."""
    kind, scalar = value_type(array.dtype, lanes), value_type(array.dtype)
    if guard is None or guard.lanes == 1:
        return v.spread(scalar, _load_block(v, array, index, 1, guard), lanes)
    bits, mask = vector_of("i1", lanes), v.known[guard]
    some = v.call("some", "i1", f"llvm.vector.reduce.or.v{lanes}i1", (bits, mask))
    pointer = _safe(v, address(v, array, index), some, array.dtype.itemsize)
    every = v.spread(scalar, _read(v, array, pointer, 1), lanes)
    return v.write(array.name, f"select {bits} {mask}, {kind} {every}, {kind} zeroinitializer")


def _reversed(v: Values, kind: str, x: str, lanes: int) -> str:
    return v.shuffle(kind, x, "poison", range(lanes - 1, -1, -1))


def _load_contiguous(
    v: Values, array: Array, base: Expr, stride: int, lanes: int, guard: Expr | None
) -> str:
    """Stride 1 or -1, under a scalar or a vector guard."""
    start = base if stride == 1 else add(base, 1 - lanes)
    kind, bits = value_type(array.dtype, lanes), vector_of("i1", lanes)
    if guard is None or guard.lanes == 1:
        raw = _load_block(v, array, start, lanes, guard)
    else:
        mask = v.known[guard] if stride == 1 else _reversed(v, bits, v.known[guard], lanes)
        if array.scope != "global" and is_inside(array, start, lanes):
            raw = _load_block(v, array, start, lanes, None)
            zero = f"{kind} zeroinitializer"
            raw = v.write(array.name, f"select {bits} {mask}, {kind} {raw}, {zero}")
        else:
            raw = _masked_load(v, array, address(v, array, start), lanes, mask)
    return raw if stride == 1 else _reversed(v, kind, raw, lanes)


def _masked_load(v: Values, array: Array, pointer: str, lanes: int, mask: str) -> str:
    kind = value_type(array.dtype, lanes)
    return v.call(
        array.name, kind, f"llvm.masked.load.{_memory_suffix(array, lanes)}.p0",
        ("ptr", pointer), ("i32", str(array.dtype.itemsize)), (vector_of("i1", lanes), mask),
        (kind, "zeroinitializer"),
    )  # fmt: skip


def _memory_suffix(array: Array, lanes: int) -> str:
    scalar = value_type(array.dtype)
    return f"v{lanes}" + {"half": "f16", "float": "f32", "double": "f64"}.get(scalar, scalar)


def _load_strided(
    v: Values, array: Array, base: Expr, stride: int, lanes: int, guard: Expr | None
) -> str:
    """Strides 2 to 4 either way: whole vectors from the first element to the last, then shuffles.

    The vectors overlap where the last would pass the end, so no other memory is touched.
    """
    step = abs(stride)
    start = base if stride > 0 else add(base, stride * (lanes - 1))
    kind, size = value_type(array.dtype, lanes), array.dtype.itemsize
    span = (lanes - 1) * step + 1
    condition = None if guard is None else v.known[guard]
    pointer = _safe(v, address(v, array, start), condition, span * size)
    wanted = [lane * step for lane in range(lanes)]
    raw, done = "poison", 0  # `raw` has the wanted elements before `done`
    for n in range(step):
        offset = min(n * lanes, span - lanes)
        if not any(done <= element < offset + lanes for element in wanted):
            continue
        chunk = _read(v, array, _beyond(v, array, pointer, offset), lanes)
        picks = [
            lane if element < done else lanes + min(element - offset, lanes - 1)
            for lane, element in enumerate(wanted)
        ]
        raw, done = v.shuffle(kind, raw, chunk, picks), offset + lanes
    return raw if stride > 0 else _reversed(v, kind, raw, lanes)


def _beyond(v: Values, array: Array, pointer: str, offset: int | str) -> str:
    """A pointer so many elements on."""
    if offset == 0:
        return pointer
    kind = value_type(array.dtype)
    return v.write(f"{array.name}.at", f"getelementptr {kind}, ptr {pointer}, i64 {offset}")


def _elements(v: Values, array: Array, index: Expr, lanes: int) -> Iterator[str]:
    """A pointer to each lane's element."""
    ramp = as_ramp(index)
    if ramp is not None:
        base = address(v, array, ramp[0])
        for lane in range(lanes):
            yield _beyond(v, array, base, lane * ramp[1])
        return
    indices, base = v.known[index], v.bases[array.name]
    for lane in range(lanes):
        offset = v.write("lane", f"extractelement <{lanes} x i64> {indices}, i64 {lane}")
        yield _beyond(v, array, base, offset)


def _lane_guards(v: Values, guard: Expr | None, lanes: int) -> Iterator[str | None]:
    """Whether each lane's element is accessed; None for a lane that surely is.

    The lanes are bits of a number: where single lanes are extracted from a mask that vectors are
    selected by, too, LLVM 22 selects by another mask on AVX-512.
    """
    if guard is None or guard.lanes == 1:
        yield from [None if guard is None else v.known[guard]] * lanes
        return
    kind = f"i{lanes}"
    bits = v.write("bits", f"bitcast <{lanes} x i1> {v.known[guard]} to {kind}")
    for lane in range(lanes):
        bit = 1 << lane if lane < lanes - 1 else -(1 << lane)
        one = v.write("bit", f"and {kind} {bits}, {bit}")
        yield v.write("on", f"icmp ne {kind} {one}, 0")


def _load_elements(v: Values, e: Load) -> str:
    """One load a lane: measured, it is no slower than the gather instructions."""
    array, raw = e.array, "poison"
    kind, scalar = value_type(array.dtype, e.lanes), value_type(array.dtype)
    guards = _lane_guards(v, e.guard, e.lanes)
    pairs = zip(_elements(v, array, e.index, e.lanes), guards, strict=True)
    for lane, (pointer, guard) in enumerate(pairs):
        x = _read(v, array, _safe(v, pointer, guard, array.dtype.itemsize), 1)
        raw = v.write("lanes", f"insertelement {kind} {raw}, {scalar} {x}, i64 {lane}")
    return raw


# --------------------------------------------------------------------------- stores


def store(v: Values, array: Array, index: Expr, value: Expr, guard: Expr | None) -> None:
    """array[index] = value where the guard holds."""
    lanes = max(index.lanes, value.lanes, 1 if guard is None else guard.lanes)
    index = over_lanes(index, lanes)
    text = v.value(v.wide(value, lanes))
    for part in index_parts(index):
        v.value(part)
    if guard is not None:
        v.value(guard)
    ramp = as_ramp(index)
    if guard is not None and guard.lanes == 1 and not is_private(array, index):
        v.fork(v.known[guard], lambda: _store_lanes(v, array, index, ramp, text, lanes, None))
    else:
        _store_lanes(v, array, index, ramp, text, lanes, guard)
    v.wrote(array.name)


def _store_lanes(
    v: Values, array: Array, index: Expr, ramp: tuple[Expr, int] | None, text: str, lanes: int,
    guard: Expr | None,
) -> None:  # fmt: skip
    kind = value_type(array.dtype, lanes)
    if lanes == 1:
        _store_block(v, array, index, 1, text, guard)
    elif ramp is not None and abs(ramp[1]) == 1:
        start = ramp[0]
        if ramp[1] == -1:
            start, text = add(ramp[0], 1 - lanes), _reversed(v, kind, text, lanes)
        _store_block(v, array, start, lanes, text, guard, backwards=ramp[1] == -1)
    else:
        _store_elements(v, array, index, text, lanes, guard)


def _store_block(
    v: Values, array: Array, start: Expr, lanes: int, text: str, guard: Expr | None,
    backwards: bool = False,
) -> None:  # fmt: skip
    kind, size = value_type(array.dtype, lanes), array.dtype.itemsize
    pointer = address(v, array, start)
    if guard is not None:
        mask, bits = v.known[guard], vector_of("i1", guard.lanes)
        if backwards and guard.lanes > 1:
            mask = _reversed(v, bits, mask, lanes)
        if not is_private(array, start, lanes):
            name = f"llvm.masked.store.{_memory_suffix(array, lanes)}.p0"
            v.run(name, (kind, text), ("ptr", pointer), ("i32", str(size)), (bits, mask))
            return
        # Reading and writing back lets LLVM keep a private array in registers.
        before = _read(v, array, pointer, lanes)
        text = v.write(array.name, f"select {bits} {mask}, {kind} {text}, {kind} {before}")
    v.line(f"store {kind} {text}, ptr {pointer}, align {size}")


def _store_elements(
    v: Values, array: Array, index: Expr, text: str, lanes: int, guard: Expr | None
) -> None:
    """One store a lane, in the lanes' order."""
    kind, scalar = value_type(array.dtype, lanes), value_type(array.dtype)
    guards = _lane_guards(v, guard, lanes)
    pairs = zip(_elements(v, array, index, lanes), guards, strict=True)
    for lane, (pointer, on) in enumerate(pairs):
        x = v.write("lane", f"extractelement {kind} {text}, i64 {lane}")
        line = f"store {scalar} {x}, ptr {pointer}, align {array.dtype.itemsize}"
        if on is None:
            v.line(line)
        else:
            v.fork(on, partial(v.line, line))


def prefetch(v: Values, array: Array, index: Expr) -> None:
    """Ask for the line of array[index] to be read, or to be written where the function does."""
    for part in index_parts(index):
        v.value(part)
    write = "1" if array.name in v.written else "0"
    place = ("ptr", address(v, array, index))
    v.run("llvm.prefetch.p0", place, ("i32", write), ("i32", "3"), ("i32", "1"))
