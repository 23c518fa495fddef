"""Passes over the arguments of a lowered kernel.

`overwrite` makes one argument of an output and the input whose memory it takes:

    f(out out0, in0): out0[i] = in0[i] + 1   ->   f(out out0): out0[i] = out0[i] + 1

`rebase` lets an input begin at the first element that is read, so that functions which differ only
in an offset are one:

    f(in0: float32[1000]): serial i in 10:  ... in0[i + 640]
    ->  f(in0: float32[10]): serial i in 10:  ... in0[i],  and in0 begins 640 elements further on
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from ...expr import Array, Expr, Load
from ...index import bounds, is_data, sub
from ...targets import LINE
from ..ir import Body, For, Function, Stmt, Store
from ..ir.rebuild import body_loads, replace_arrays, rewrite_body


def overwrite(
    function: Function, pairs: Sequence[tuple[int, int]]
) -> tuple[Function, tuple[Array, ...]]:
    """Merge each pair of arguments, an output's and an input's number, into the output; the new
    function, and what each old argument is in it.

    Two arguments with the same memory would break a promise that backends give their compilers. An
    element that would be stored where it was loaded from is not stored: a scatter into the memory
    of its base touches only the elements that it changes.

    Requires: the input is read only before the output's element at the same index is written.
    Ensures: the inputs of the pairs are no arguments any more; the others keep their order, and are
    numbered anew: `in0`, `in1`, ...
    """
    if not pairs:
        return function, function.arguments
    taken = {source: function.arguments[output] for output, source in pairs}
    kept = [n for n in range(len(function.arguments)) if n not in taken]
    inputs = {n: f"in{k}" for k, n in enumerate(kept[function.outputs :])}
    new = tuple(
        taken[n] if n in taken else replace(array, name=inputs.get(n, array.name))
        for n, array in enumerate(function.arguments)
    )
    changes = {a: (b, _same) for a, b in zip(function.arguments, new, strict=True) if a != b}
    body = without_idle_stores(replace_arrays(function.body, changes))
    return replace(function, arguments=tuple(new[n] for n in kept), body=body), new


def without_idle_stores(body: Body) -> Body:
    """The body without stores of elements where they were loaded from, and loops of such alone.

    for i: out0[i] = out0[i]   ->   (nothing)
    """

    def without_idle(stmt: Stmt) -> Body | None:
        match stmt:
            case Store(array, index, Load(guard=None) as load) if (
                load.array is array and load.index is index
            ):
                return ()
            case For(body=()):
                return ()
        return None

    return rewrite_body(body, without_idle)


def _same(index: Expr) -> Expr:
    return index


def rebase(function: Function) -> tuple[Function, tuple[int, ...]]:
    """The function, and how many bytes further on each of its arguments begins.

    Each step of a recurrent network reads its own part of what was computed for the whole sequence:
    the steps' functions become one.

    Requires: plain loops, as `lower` makes them. Ensures: inputs end with the last element that
    is read; outputs, and what is read at computed places, stay as they are.
    """
    reads = _reads(function)
    changes: dict[Array, tuple[Array, Callable[[Expr], Expr]]] = {}
    offsets = [0] * len(function.arguments)
    for n, array in enumerate(function.arguments[function.outputs :], function.outputs):
        indices = reads.get(array)
        if not indices or any(map(is_data, indices)):
            continue
        start, end = _extent(indices, array)
        if (start, end) != (0, array.size):
            offsets[n] = start * array.dtype.itemsize
            changes[array] = replace(array, size=end - start), partial(sub, y=start)
    arguments = tuple(changes[a][0] if a in changes else a for a in function.arguments)
    body = replace_arrays(function.body, changes) if changes else function.body
    return replace(function, arguments=arguments, body=body), tuple(offsets)


def _reads(function: Function) -> dict[Array, set[Expr]]:
    """Where each array is read."""
    found: dict[Array, set[Expr]] = {}
    for load in body_loads(function.body):
        found.setdefault(load.array, set()).add(load.index)
    return found


def _extent(indices: Iterable[Expr], array: Array) -> tuple[int, int]:
    """Where what is read of an array begins, on a whole line, and ends. (What a guard keeps from
    being read may lie outside.)"""
    low = min(bounds(i)[0] for i in indices)
    high = max(bounds(i)[1] for i in indices)
    start = min(max(low, 0), array.size - 1)
    # vectors that began with a cache line still do
    start -= start % (LINE // array.dtype.itemsize)
    return start, min(max(high, start) + 1, array.size)
