"""Merge an output, and the input whose memory it takes over, into one argument.

f(out out0, in0): out0[i] = in0[i] + 1   ->   f(out out0): out0[i] = out0[i] + 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...expr import Array, Load
from ..ir import Body, For, Function, Stmt, Store
from ..ir.rebuild import replace_arrays, rewrite_body, same_index


def overwrite(
    function: Function, pairs: Sequence[tuple[int, int]]
) -> tuple[Function, tuple[Array, ...]]:
    """Merge pairs of arguments: an output and an input, by their numbers. Returns the new function,
    and the array in it of each old argument.

    Backends promise their compilers that no two arguments share memory. An element is not stored
    where it was loaded from: a scatter into the memory of its base only touches what it changes.

    Requires: an element of the input is read only before the output's element at the same index is
    written. Ensures: the inputs of the pairs are no arguments any more; the others keep their
    order, and are numbered anew: `in0`, `in1`, ...
    """
    taken = {source: function.arguments[output] for output, source in pairs}
    kept = [n for n in range(len(function.arguments)) if n not in taken]
    inputs = {n: f"in{k}" for k, n in enumerate(kept[function.outputs :])}
    new = tuple(
        taken[n] if n in taken else replace(array, name=inputs.get(n, array.name))
        for n, array in enumerate(function.arguments)
    )
    changes = {a: (b, same_index) for a, b in zip(function.arguments, new, strict=True) if a != b}
    body = without_idle_stores(replace_arrays(function.body, changes))
    arguments = tuple(new[n] for n in kept)
    return replace(function, arguments=arguments, body=body), new


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
