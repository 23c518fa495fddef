"""Legalisation: loops in the operations of their target, so that code generators only print.

rules       what a rule is, and the driver
memory      sums in place as stores; bools as bytes
vectors     vectors as pieces of the widths that a target has
indices     index vectors, or all indices, in 32 bits
integers    division, shifts, bools, overflow
floats      16 bits, division, conversions, nan in maxima
functions   exp, log, sin, ... as polynomials
lanes       reductions of lanes as trees
final       what is left, for each target
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ...expr import Expr
from ..ir import Function, Store, statements
from ..ir.rebuild import loads, map_expressions
from . import floats, functions, indices, integers, lanes, memory, vectors
from .rules import Native, Rules

_ALL = Rules(floats.NARROW, memory.BOOLS, indices.INDICES, integers.BOOLS, integers.CONSTANTS)

CPU = Rules(
    _ALL, floats.HALVES, integers.DIVISION, integers.SHIFTS, integers.SIGNS, floats.DIVISION,
    floats.CONVERSIONS, floats.TRUNCATION, functions.FUNCTIONS, lanes.REDUCTIONS,
)  # fmt: skip
"""The rules for LLVM IR, which has maxima that pass nan on and integers that wrap."""

C_ADDRESSES = Rules(_ALL, floats.CONVERSIONS)
"""The rules for what memory is addressed by in C: what its overflow means does not matter."""

C = Rules(C_ADDRESSES, integers.OVERFLOW)
"""The rules for C, whose signed integers must not overflow."""

OUTLINED = Rules(
    floats.HALVES, integers.DIVISION, integers.SHIFTS, floats.DIVISION, floats.MAXIMA,
    floats.TRUNCATION, functions.TURNS,
)  # fmt: skip
"""The rules that C has as functions: people read `max(x, y)` more easily than what it comes to."""

INSIDE = Rules(C, OUTLINED, functions.ERF)
"""The rules for the inside of those functions."""

Pass = tuple[str, Callable[[Function], Function]]


def cpu_passes(native: Native) -> list[Pass]:
    """The passes for a CPU in order, by name.

    Requires: no vector or unrolled loop is left. Ensures: the operations that code is printed from.
    """
    return [
        ("stores", partial(memory.legalise_memory, native=native)),
        ("operations", partial(legalise_operations, rules=CPU, native=native)),
    ]


def c_passes(native: Native) -> list[Pass]:
    """The passes for a C dialect in order, by name."""
    return [
        ("stores", partial(memory.legalise_memory, native=native)),
        ("vectors", partial(vectors.split_vectors, native=native)),
        # after vectors: lanes have indices of their own; before operations: division has bounds
        ("indices", partial(indices.narrow_indices, native=native)),
        ("operations", partial(legalise_c_operations, native=native)),
    ]


def legalise(function: Function, passes: list[Pass]) -> Function:
    """The function after the passes."""
    for _, run in passes:
        function = run(function)
    return function


def legalise_operations(function: Function, rules: Rules, native: Native) -> Function:
    """Rewrite every expression by the rules.

    Requires: what a rule's left side says. Ensures: only operations that the target has.
    """
    memo: dict[Expr, Expr] = {}
    body = map_expressions(function.body, lambda e: rules.legalise(e, native, memo))
    return replace(function, body=body)


def legalise_c_operations(function: Function, native: Native) -> Function:
    """As `legalise_operations`, for C; addresses by rules of their own."""
    memo: dict[Expr, Expr] = {}
    of_addresses: dict[Expr, Expr] = {}
    written = {stmt.index for stmt in statements(function.body) if isinstance(stmt, Store)}

    def address(e: Expr) -> Expr:
        return C_ADDRESSES.legalise(e, native, of_addresses)

    def change(e: Expr) -> Expr:
        if e in written:
            return address(e)
        memo.update({load.index: address(load.index) for load in loads(e)})
        return C.legalise(e, native, memo)

    return replace(function, body=map_expressions(function.body, change))
