"""Vectors as LLVM values: loads and stores of any stride, and expressions that pick lanes.
(Single elements: accesses.py, values.py.)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ...expr import Array, Broadcast, Expr, Lanes, Literal, Load, Local, Ramp, ReduceLanes, Var, Zip
from ...index import add
from ...loops.legal.memory import as_ramp, is_inside, is_private
from . import accesses
from .writer import Writer, splat, value_type, vector_of

if TYPE_CHECKING:
    from .values import Values

# --------------------------------------------------------------------------- expressions


def value(v: Values, e: Expr) -> str:
    """Write an expression that makes vectors or takes them apart; its operands are known."""
    known = v.known
    match e:
        case Broadcast(x=Literal()):
            return splat(value_type(e.dtype), known[e.x], e.lanes)
        case Broadcast():
            return v.spread(value_type(e.dtype), known[e.x], e.lanes)
        case Ramp():
            return ramp(v, e, "i64")
        case ReduceLanes():  # of bools: any, or all
            kind, op = value_type(e.x.dtype, e.x.lanes), "or" if e.op == "max" else "and"
            name = f"llvm.vector.reduce.{op}.v{e.x.lanes}i1"
            return v.call(op, "i1", name, (kind, known[e.x]))
        case Lanes(count=1):
            kind = value_type(e.dtype, e.x.lanes)
            return v.write("lane", f"extractelement {kind} {known[e.x]}, i64 {e.start}")
        case Lanes():
            kind, picks = value_type(e.dtype, e.x.lanes), range(e.start, e.start + e.count)
            return v.shuffle(kind, known[e.x], "poison", picks)
        case Zip():
            kind = value_type(e.dtype, e.lanes)
            return v.shuffle(kind, known[e.x], known[e.y], e.picks)
        case Var() | Local():
            raise KeyError(f"{e} is not defined here")
    raise TypeError(type(e).__name__)


def ramp(v: Writer, e: Ramp, scalar: str) -> str:
    """base, base + stride, ... as integers of the type `scalar`. Requires: they fit that type."""
    offsets = [lane * e.stride for lane in range(e.lanes)]
    if isinstance(e.base, Literal):
        offsets = [int(e.base.value) + offset for offset in offsets]
    steps = "<" + ", ".join(f"{scalar} {offset}" for offset in offsets) + ">"
    if isinstance(e.base, Literal):
        return steps
    base = v.known[e.base]
    if scalar == "i32":
        base = v.write("base", f"trunc i64 {base} to i32")
    every, kind = v.spread(scalar, base, e.lanes), vector_of(scalar, e.lanes)
    return v.write("ramp", f"add nsw {kind} {every}, {steps}")


# --------------------------------------------------------------------------- loads


def load(v: Values, e: Load) -> str:
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
        return v.spread(scalar, accesses.load_block(v, array, index, 1, guard), lanes)
    bits, mask = vector_of("i1", lanes), v.known[guard]
    some = v.call("some", "i1", f"llvm.vector.reduce.or.v{lanes}i1", (bits, mask))
    pointer = accesses.safe(v, accesses.address(v, array, index), some, array.dtype.itemsize)
    every = v.spread(scalar, accesses.read(v, array, pointer, 1), lanes)
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
        raw = accesses.load_block(v, array, start, lanes, guard)
    else:
        mask = v.known[guard] if stride == 1 else _reversed(v, bits, v.known[guard], lanes)
        if array.scope != "global" and is_inside(array, start, lanes):
            raw = accesses.load_block(v, array, start, lanes, None)
            zero = f"{kind} zeroinitializer"
            raw = v.write(array.name, f"select {bits} {mask}, {kind} {raw}, {zero}")
        else:
            raw = _masked_load(v, array, accesses.address(v, array, start), lanes, mask)
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
    pointer = accesses.safe(v, accesses.address(v, array, start), condition, span * size)
    wanted = [lane * step for lane in range(lanes)]
    raw, done = "poison", 0  # `raw` has the wanted elements before `done`
    for n in range(step):
        offset = min(n * lanes, span - lanes)
        if not any(done <= element < offset + lanes for element in wanted):
            continue
        chunk = accesses.read(v, array, accesses.beyond(v, array, pointer, offset), lanes)
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
        base = accesses.address(v, array, ramp[0])
        for lane in range(lanes):
            yield accesses.beyond(v, array, base, lane * ramp[1])
        return
    indices, base = v.known[index], v.bases[array]
    for lane in range(lanes):
        offset = v.write("lane", f"extractelement <{lanes} x i64> {indices}, i64 {lane}")
        yield accesses.beyond(v, array, base, offset)


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
        x = accesses.read(v, array, accesses.safe(v, pointer, guard, array.dtype.itemsize), 1)
        raw = v.write("lanes", f"insertelement {kind} {raw}, {scalar} {x}, i64 {lane}")
    return raw


# --------------------------------------------------------------------------- stores


def store(v: Values, array: Array, index: Expr, lanes: int, text: str, guard: Expr | None) -> None:
    """Write a store of several elements; the parts of its index and its guard are known."""
    ramp = as_ramp(index)
    if ramp is None or abs(ramp[1]) != 1:
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
    kind, size = value_type(array.dtype, lanes), array.dtype.itemsize
    pointer = accesses.address(v, array, start)
    if guard is not None:
        mask, bits = v.known[guard], vector_of("i1", guard.lanes)
        if backwards and guard.lanes > 1:
            mask = _reversed(v, bits, mask, lanes)
        if not is_private(array, start, lanes):
            name = f"llvm.masked.store.{_memory_suffix(array, lanes)}.p0"
            v.run(name, (kind, text), ("ptr", pointer), ("i32", str(size)), (bits, mask))
            return
        # Reading and writing back lets LLVM keep a private array in registers.
        before = accesses.read(v, array, pointer, lanes)
        text = v.write(array.name, f"select {bits} {mask}, {kind} {text}, {kind} {before}")
    accesses.write(v, array, kind, text, pointer)


def _store_elements(
    v: Values, array: Array, index: Expr, text: str, lanes: int, guard: Expr | None
) -> None:
    """One store a lane, in the lanes' order."""
    kind, scalar = value_type(array.dtype, lanes), value_type(array.dtype)
    guards = _lane_guards(v, guard, lanes)
    pairs = zip(_elements(v, array, index, lanes), guards, strict=True)
    for lane, (pointer, on) in enumerate(pairs):
        x = v.write("lane", f"extractelement {kind} {text}, i64 {lane}")
        put = partial(accesses.write, v, array, scalar, x, pointer)
        if on is None:
            put()
        else:
            v.fork(on, put)
