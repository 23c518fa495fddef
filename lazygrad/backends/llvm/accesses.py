"""Loads and stores of single elements: addresses split by loop, guards that keep memory safe.
(Of vectors: vectors.py.)

The address of an access is computed from the outermost loop inwards: each loop adds the terms of
the index that vary there to the pointer of the loop around it. What is left for the innermost loop
is one pointer, a step and constants, which fit the processor's addressing modes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...expr import Array, Expr, Load
from ...index import add, linear, mul
from ...loops.legal.memory import as_ramp, is_private, over_lanes
from . import vectors
from .writer import value_type

if TYPE_CHECKING:
    from .values import Values


def index_parts(index: Expr) -> tuple[Expr, ...]:
    """The expressions that an address is computed from: the atoms of the index's base, or the
    index vector."""
    ramp = (index, 0) if index.lanes == 1 else as_ramp(index)
    return (index,) if ramp is None else tuple(atom for atom, _ in linear(ramp[0])[1])


def address(v: Values, array: Array, index: Expr) -> str:
    """A pointer to array[index], index a scalar whose atoms' values are known."""
    constant, terms = linear(index)
    pointer, level = v.bases[array], v.sink_level
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
            found = beyond(v, array, pointer, offset)
            found = _hidden(v, array, found) if place > 1 else found
            v.define(key, found, place)
        pointer = found
    v.at(level)
    if constant == 0:
        return pointer
    # Written anew in each scope, next to its use, where it becomes part of the instruction; but
    # once for a register array, whose pointers LLVM removes.
    whole = (array.name, so_far, constant)
    found, anywhere = v.known.get(whole), array.scope == "register"
    if found is None or not (anywhere or v.levels[whole] == level):
        found = beyond(v, array, pointer, constant)
        v.define(whole, found, level)
    return found


def _hidden(v: Values, array: Array, pointer: str) -> str:
    """The pointer, for LLVM's loop passes one of unknown origin. (They would study each access of
    an inner loop once for every loop that its address depends on, a tenth of LLVM's time.) LLVM
    removes the call before it selects instructions."""
    name = f"{array.name}.at"
    return v.call(name, "ptr", "llvm.launder.invariant.group.p0", ("ptr", pointer))


def beyond(v: Values, array: Array, pointer: str, offset: int | str) -> str:
    """The pointer, `offset` elements on."""
    if offset == 0:
        return pointer
    kind = value_type(array.dtype)
    return v.write(f"{array.name}.at", f"getelementptr {kind}, ptr {pointer}, i64 {offset}")


def load(v: Values, e: Load) -> str:
    """Write a load; the parts of its index and its guard are known."""
    return vectors.load(v, e) if e.lanes > 1 else load_block(v, e.array, e.index, 1, e.guard)


def load_block(v: Values, array: Array, start: Expr, lanes: int, guard: Expr | None) -> str:
    """Elements start .. start + lanes - 1; zeros where the scalar guard is false."""
    pointer = address(v, array, start)
    condition = None if guard is None else v.known[guard]
    return read(v, array, safe(v, pointer, condition, lanes * array.dtype.itemsize), lanes)


def safe(v: Values, pointer: str, guard: str | None, nbytes: int) -> str:
    """The pointer, or one to zeros where the guard is false."""
    if guard is None:
        return pointer
    v.zeros = max(v.zeros, nbytes)
    return v.write("safe", f"select i1 {guard}, ptr {pointer}, ptr @zeros")


def read(v: Values, array: Array, pointer: str, lanes: int) -> str:
    kind, note = value_type(array.dtype, lanes), v.notes.get(array, "")
    return v.write(array.name, f"load {kind}, ptr {pointer}, align {array.dtype.itemsize}{note}")


def write(v: Values, array: Array, kind: str, text: str, pointer: str) -> None:
    note = v.notes.get(array, "")
    v.line(f"store {kind} {text}, ptr {pointer}, align {array.dtype.itemsize}{note}")


def store(v: Values, array: Array, index: Expr, value: Expr, guard: Expr | None) -> None:
    """array[index] = value where the guard holds."""
    lanes = max(index.lanes, value.lanes, 1 if guard is None else guard.lanes)
    if lanes > 1:
        index, value = over_lanes(index, lanes), v.wide(value, lanes)
    text = v.value(value)
    for part in index_parts(index):
        v.value(part)

    def put(guard: Expr | None) -> None:
        if lanes > 1:
            vectors.store(v, array, index, lanes, text, guard)
        else:
            _store_one(v, array, index, text, guard)

    if guard is not None:
        v.value(guard)
    if guard is not None and guard.lanes == 1 and not is_private(array, index):
        v.fork(v.known[guard], lambda: put(None))
    else:
        put(guard)
    v.wrote(array)


def _store_one(v: Values, array: Array, index: Expr, text: str, guard: Expr | None) -> None:
    """Store to one element. Requires: where there is a guard, the array is private."""
    kind, pointer = value_type(array.dtype), address(v, array, index)
    if guard is not None:
        # Reading and writing back lets LLVM keep a private array in registers.
        before = read(v, array, pointer, 1)
        text = v.write(array.name, f"select i1 {v.known[guard]}, {kind} {text}, {kind} {before}")
    write(v, array, kind, text, pointer)


def prefetch(v: Values, array: Array, index: Expr) -> None:
    """Ask for the line of array[index] to be read, or to be written where the function does."""
    for part in index_parts(index):
        v.value(part)
    write = "1" if array in v.written else "0"
    place = ("ptr", address(v, array, index))
    v.run("llvm.prefetch.p0", place, ("i32", write), ("i32", "3"), ("i32", "1"))
