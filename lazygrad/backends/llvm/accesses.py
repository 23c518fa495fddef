"""Loads and stores: guards that keep memory safe, vectors of any stride."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ...expr import Array, Expr, Load
from ...index import add, linear
from ...loops.legal.memory import as_ramp, is_inside, is_private, over_lanes, wide
from .writer import value_type, vector_of

if TYPE_CHECKING:
    from .values import Values


def index_parts(index: Expr) -> tuple[Expr, ...]:
    """The expressions that an address is computed from: the atoms of the index's base, or the
    index vector."""
    ramp = (index, 0) if index.lanes == 1 else as_ramp(index)
    return (index,) if ramp is None else tuple(atom for atom, _ in linear(ramp[0])[1])


def beyond(v: Values, array: Array, pointer: str, offset: int | str) -> str:
    """The pointer, `offset` elements on."""
    if offset == 0:
        return pointer
    kind = value_type(array.dtype)
    return v.write(f"{array.name}.at", f"getelementptr {kind}, ptr {pointer}, i64 {offset}")


def load(v: Values, e: Load) -> str:
    """Write a load; the parts of its index and its guard are known."""
    return _load_vector(v, e) if e.lanes > 1 else load_block(v, e.array, e.index, 1, e.guard)


def load_block(v: Values, array: Array, start: Expr, lanes: int, guard: Expr | None) -> str:
    """Elements start .. start + lanes - 1; zeros where the scalar guard is false."""
    pointer = v.address(array, start)
    condition = None if guard is None else v.known[guard]
    return read(v, array, safe(v, pointer, condition, lanes * array.dtype.itemsize), lanes)


def safe(v: Values, pointer: str, guard: str | None, nbytes: int) -> str:
    """The pointer, or one to zeros where the guard is false."""
    if guard is None:
        return pointer
    v.zeros = max(v.zeros, nbytes)
    return v.write("safe", f"select i1 {guard}, ptr {pointer}, ptr @zeros")


def read(v: Values, array: Array, pointer: str, lanes: int) -> str:
    kind, note = value_type(array.dtype, lanes), "" if array in v.written else v.unchanged
    return v.write(array.name, f"load {kind}, ptr {pointer}, align {array.dtype.itemsize}{note}")


def write(v: Values, array: Array, kind: str, text: str, pointer: str) -> None:
    v.line(f"store {kind} {text}, ptr {pointer}, align {array.dtype.itemsize}")


def store(v: Values, array: Array, index: Expr, value: Expr, guard: Expr | None) -> None:
    """array[index] = value where the guard holds."""
    lanes = max(index.lanes, value.lanes, 1 if guard is None else guard.lanes)
    if lanes > 1:
        index, value = over_lanes(index, lanes), wide(value, lanes)
    text = v.value(value)
    for part in index_parts(index):
        v.value(part)
    put = partial(_store_vector if lanes > 1 else _store_block, v, array, index, lanes, text)
    if guard is not None:
        v.value(guard)
    if guard is not None and guard.lanes == 1 and not is_private(array, index):
        v.fork(v.known[guard], partial(put, None))
    else:
        put(guard)
    v.wrote(array)


def prefetch(v: Values, array: Array, index: Expr) -> None:
    """Ask for the line of array[index] to be read, or to be written where the function does."""
    for part in index_parts(index):
        v.value(part)
    write = "1" if array in v.written else "0"
    place = ("ptr", v.address(array, index))
    v.run("llvm.prefetch.p0", place, ("i32", write), ("i32", "3"), ("i32", "1"))


# --------------------------------------------------------------------------- vectors


def _load_vector(v: Values, e: Load) -> str:
    """Write a load of several elements; the parts of its index and its guard are known."""
    array, lanes, guard = e.array, e.lanes, e.guard
    ramp = as_ramp(e.index)
    if ramp is None:
        return _load_elements(v, e)
    base, stride = ramp
    if stride == 0:
        return _load_one(v, array, base, lanes, guard)
    if abs(stride) == 1:
        return _load_contiguous(v, array, base, stride, lanes, guard)
    if abs(stride) <= 4 and (guard is None or guard.lanes == 1):
        return _load_strided(v, array, base, stride, lanes, guard)
    return _load_elements(v, e)


def _load_one(v: Values, array: Array, index: Expr, lanes: int, guard: Expr | None) -> str:
    """One element in every lane where the guard holds."""
    kind, scalar = value_type(array.dtype, lanes), value_type(array.dtype)
    if guard is None or guard.lanes == 1:
        return v.spread(scalar, load_block(v, array, index, 1, guard), lanes)
    bits, mask = vector_of("i1", lanes), v.known[guard]
    some = v.call("some", "i1", f"llvm.vector.reduce.or.v{lanes}i1", (bits, mask))
    pointer = safe(v, v.address(array, index), some, array.dtype.itemsize)
    every = v.spread(scalar, read(v, array, pointer, 1), lanes)
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
        raw = load_block(v, array, start, lanes, guard)
    else:
        mask = v.known[guard] if stride == 1 else _reversed(v, bits, v.known[guard], lanes)
        if array.scope != "global" and is_inside(array, start, lanes):
            raw = load_block(v, array, start, lanes, None)
            zero = f"{kind} zeroinitializer"
            raw = v.write(array.name, f"select {bits} {mask}, {kind} {raw}, {zero}")
        else:
            raw = _masked_load(v, array, v.address(array, start), lanes, mask)
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
    """Strides of 2 to 4 and -4 to -2: load all elements from the first lane's to the last lane's as
    whole vectors, then shuffle.

    The last vector overlaps the one before it, so that it does not pass the last lane's element.
    """
    step = abs(stride)
    start = base if stride > 0 else add(base, stride * (lanes - 1))
    kind, size = value_type(array.dtype, lanes), array.dtype.itemsize
    span = (lanes - 1) * step + 1
    condition = None if guard is None else v.known[guard]
    pointer = safe(v, v.address(array, start), condition, span * size)
    wanted = [lane * step for lane in range(lanes)]
    raw, done = "poison", 0  # `raw` has the wanted elements before `done`
    for n in range(step):
        offset = min(n * lanes, span - lanes)
        if not any(done <= element < offset + lanes for element in wanted):
            continue
        chunk = read(v, array, beyond(v, array, pointer, offset), lanes)
        picks = [
            lane if element < done else lanes + min(element - offset, lanes - 1)
            for lane, element in enumerate(wanted)
        ]
        raw, done = v.shuffle(kind, raw, chunk, picks), offset + lanes
    return raw if stride > 0 else _reversed(v, kind, raw, lanes)


def _elements(v: Values, array: Array, index: Expr, lanes: int) -> Iterator[str]:
    """A pointer to each lane's element."""
    ramp = as_ramp(index)
    if ramp is not None:
        base = v.address(array, ramp[0])
        for lane in range(lanes):
            yield beyond(v, array, base, lane * ramp[1])
        return
    indices, base = v.known[index], v.bases[array]
    for lane in range(lanes):
        offset = v.write("lane", f"extractelement <{lanes} x i64> {indices}, i64 {lane}")
        yield beyond(v, array, base, offset)


def _lane_guards(v: Values, guard: Expr | None, lanes: int) -> Iterator[str | None]:
    """The condition under which each lane's element is accessed; None for always.

    The mask's lanes are read as bits of a number. (LLVM 22 miscompiles, for AVX-512, a mask that
    both selects vectors and has its lanes extracted.)
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
        x = read(v, array, safe(v, pointer, guard, array.dtype.itemsize), 1)
        raw = v.write("lanes", f"insertelement {kind} {raw}, {scalar} {x}, i64 {lane}")
    return raw


def _store_vector(
    v: Values, array: Array, index: Expr, lanes: int, text: str, guard: Expr | None
) -> None:
    """Write a store of several elements; the parts of its index and its guard are known."""
    ramp = as_ramp(index)
    if v.has_masks and ramp is not None and 2 <= ramp[1] <= 4 and not is_private(array, index):
        _store_strided(v, array, *ramp, lanes, text, guard)
    elif ramp is None or abs(ramp[1]) != 1:
        _store_elements(v, array, index, text, lanes, guard)
    elif ramp[1] == 1:
        _store_block(v, array, ramp[0], lanes, text, guard)
    else:
        text = _reversed(v, value_type(array.dtype, lanes), text, lanes)
        _store_block(v, array, add(ramp[0], 1 - lanes), lanes, text, guard, backwards=True)


def _store_block(
    v: Values, array: Array, start: Expr, lanes: int, text: str, guard: Expr | None,
    backwards: bool = False,
) -> None:  # fmt: skip
    """Store to neighbours, or to one element. A scalar guard is of a private array."""
    kind, size = value_type(array.dtype, lanes), array.dtype.itemsize
    pointer = v.address(array, start)
    if guard is not None:
        mask, bits = v.known[guard], vector_of("i1", guard.lanes)
        if backwards and guard.lanes > 1:
            mask = _reversed(v, bits, mask, lanes)
        if not is_private(array, start, lanes):
            name = f"llvm.masked.store.{_memory_suffix(array, lanes)}.p0"
            v.run(name, (kind, text), ("ptr", pointer), ("i32", str(size)), (bits, mask))
            return
        # Reading and writing back lets LLVM keep a private array in registers.
        before = read(v, array, pointer, lanes)
        text = v.write(array.name, f"select {bits} {mask}, {kind} {text}, {kind} {before}")
    write(v, array, kind, text, pointer)


def _store_strided(
    v: Values, array: Array, base: Expr, stride: int, lanes: int, text: str, guard: Expr | None
) -> None:
    """Small strides: spread the lanes over whole vectors, of which the elements between are not
    stored."""
    kind, bits = value_type(array.dtype, lanes), vector_of("i1", lanes)
    pointer, size = v.address(array, base), array.dtype.itemsize
    name = f"llvm.masked.store.{_memory_suffix(array, lanes)}.p0"
    for n in range(stride):
        picks, gaps = zip(*(divmod(n * lanes + at, stride) for at in range(lanes)), strict=True)
        if all(gaps):
            continue
        chunk = v.shuffle(kind, text, "poison", picks)
        mask = "<" + ", ".join("i1 " + ("0" if gap else "1") for gap in gaps) + ">"
        if guard is not None:
            on = v.shuffle(bits, v.known[guard], "poison", picks)
            mask = v.write("mask", f"and {bits} {on}, {mask}")
        place = beyond(v, array, pointer, n * lanes)
        v.run(name, (kind, chunk), ("ptr", place), ("i32", str(size)), (bits, mask))


def _store_elements(
    v: Values, array: Array, index: Expr, text: str, lanes: int, guard: Expr | None
) -> None:
    """One store a lane, in the lanes' order."""
    kind, scalar = value_type(array.dtype, lanes), value_type(array.dtype)
    guards = _lane_guards(v, guard, lanes)
    pairs = zip(_elements(v, array, index, lanes), guards, strict=True)
    for lane, (pointer, on) in enumerate(pairs):
        x = v.write("lane", f"extractelement {kind} {text}, i64 {lane}")
        put = partial(write, v, array, scalar, x, pointer)
        if on is None:
            put()
        else:
            v.fork(on, put)
