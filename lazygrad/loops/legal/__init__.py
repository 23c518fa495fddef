"""Legalisation: loops in the operations of their target, so that code generators only print.
Its passes are the last rows of level "loops" in pipeline.py.

rules       what a rule is, and the driver
memory      sums in place as stores; bools as bytes
vectors     vectors as pieces of the widths that a target has; reductions of lanes as trees
indices     index vectors, or all indices, in 32 bits
integers    division, shifts, bools, overflow
floats      16 bits, division, conversions, nan in maxima
functions   exp, log, sin, ... as polynomials
final       the operations that are left, for each target
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ...expr import Expr
from ...targets import Machine, Native, Target
from ..ir import Function, Store, statements
from ..ir.rebuild import loads, map_expressions
from . import floats, functions, indices, integers, memory, vectors
from .rules import Rules

_ALL = Rules(floats.NARROW, memory.BOOLS, indices.INDICES, integers.BOOLS, integers.CONSTANTS)

CPU = Rules(
    _ALL, floats.HALVES, integers.DIVISION, integers.SHIFTS, integers.SIGNS, floats.DIVISION,
    floats.CONVERSIONS, floats.TRUNCATION, functions.FUNCTIONS, vectors.REDUCTIONS,
)  # fmt: skip
"""The rules for LLVM IR, which has maxima that pass nan on and integers that wrap."""

C_ADDRESSES = Rules(_ALL, integers.SIDES, floats.CONVERSIONS)
"""The rules for indices in C, which need not wrap: an index that overflows is outside of its array,
and its guard is false."""

C = Rules(C_ADDRESSES, integers.OVERFLOW)
"""The rules for C, whose signed integers must not overflow."""

OUTLINED = Rules(
    floats.HALVES, integers.DIVISION, integers.SHIFTS, floats.DIVISION, floats.MAXIMA,
    floats.TRUNCATION, functions.ANGLES,
)  # fmt: skip
"""The rules that C has as helper functions: `max(x, y)` is easier to read than its expansion."""

INSIDE = Rules(C, OUTLINED, functions.ERF)
"""The rules for the bodies of these helper functions."""


def legalise(function: Function, machine: Machine) -> Function:
    """Every pass of this folder in the pipeline's order, for loops that are written by hand."""
    function = memory.legalise_memory(function, machine.native)
    if machine.target is not Target.CPU:
        body = vectors.split_vectors(function.body, machine.native.lanes)
        function = replace(function, body=indices.narrow_indices(body))
    return legalise_operations(function, machine)


def legalise_operations(function: Function, machine: Machine) -> Function:
    """Rewrite every expression to operations that the machine has.

    Requires: stores instead of sums in place; for C, vectors of the machine's widths. Ensures: what
    `verify_legal` allows.

        out[i] = exp(x[i]) // 2   ->   the same by multiplications, additions and shifts
    """
    if machine.target is not Target.CPU:
        return _legalise_for_c(function, machine.native)
    change = partial(CPU.legalise, native=machine.native, memo={})
    return replace(function, body=map_expressions(function.body, change))


def _legalise_for_c(function: Function, native: Native) -> Function:
    """Rewrite every expression to operations that C has; addresses by rules of their own."""
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
