"""Let an output of a function take the memory of an input: one argument instead of two.

    f(out out0, in0): out0[i] = in0[i] + 1   ->   f(out out0): out0[i] = out0[i] + 1

Two arguments with the same memory would break what backends promise their compilers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .ir import Function
from .rebuild import rename_array


def overwrite(function: Function, pairs: Sequence[tuple[int, int]]) -> Function:
    """Merge each pair of arguments, an output's and an input's number, into the output.

    Requires: the input is read only before the output's element at the same index is written.
    Ensures: the inputs of the pairs are no arguments any more; the others keep their order.
    """
    body = function.body
    for output, source in pairs:
        old, new = function.arguments[source], function.arguments[output]
        body = rename_array(body, old, new, lambda index: index)
    merged = {source for _, source in pairs}
    kept = tuple(a for n, a in enumerate(function.arguments) if n not in merged)
    return replace(function, arguments=kept, body=body)
