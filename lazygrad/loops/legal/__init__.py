"""Legalisation: loops in the operations of their target, so that code generators only print.

rules       what a rule is, and the driver
memory      sums in place as stores; bools as bytes
indices     index vectors in 32 bits
integers    division, shifts, bools
floats      16 bits, division, conversions, nan in maxima
functions   exp, log, sin, ... as polynomials
lanes       vectors: reductions as trees
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ...expr import Expr
from ..ir import Function
from ..ir.rebuild import map_expressions
from . import floats, functions, indices, integers, lanes, memory
from .rules import Native, Rules

CPU = Rules(
    floats.NARROW, memory.BOOLS, indices.INDICES, integers.BOOLS, integers.DIVISION,
    integers.SHIFTS, integers.SIGNS, floats.DIVISION, floats.CONVERSIONS, functions.FUNCTIONS,
    lanes.REDUCTIONS,
)  # fmt: skip
"""The rules for LLVM IR, which has maxima that pass nan on and integers that wrap."""

Pass = tuple[str, Callable[[Function], Function]]


def passes(rules: Rules, native: Native) -> list[Pass]:
    """The passes in order, by name.

    Requires: no vector or unrolled loop is left. Ensures: the operations that code is printed from.
    """
    return [
        ("stores", partial(memory.legalise_memory, native=native)),
        ("operations", partial(legalise_operations, rules=rules, native=native)),
    ]


def legalise(function: Function, rules: Rules, native: Native) -> Function:
    """The function after all passes."""
    for _, run in passes(rules, native):
        function = run(function)
    return function


def legalise_operations(function: Function, rules: Rules, native: Native) -> Function:
    """Rewrite every expression by the rules.

    Requires: what a rule's left side says. Ensures: only operations that the target has.
    """
    memo: dict[Expr, Expr] = {}
    body = map_expressions(function.body, lambda e: rules.legalise(e, native, memo))
    return replace(function, body=body)
