"""Let an input begin with what a function reads of it, so that functions which differ only in where
that lies are one.

    f(in0: float32[1000]): serial i in 10:  ... in0[i + 640]
    ->  f(in0: float32[10]): serial i in 10:  ... in0[i],  and in0 begins 640 elements further on

Each step of a recurrent network reads its own part of what was computed for the whole sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from ...expr import Array, Expr
from ...index import bounds, is_data, sub
from ...targets import LINE
from ..ir import Function
from ..ir.rebuild import body_loads, replace_arrays


def rebase(function: Function) -> tuple[Function, tuple[int, ...]]:
    """The function, and how many bytes further on each of its arguments begins.

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
