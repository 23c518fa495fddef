"""The operations of legalised loops, which a code generator prints one to one."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import CompilerError
from ...expr import Expr, Load, Op, ReduceLanes, walk
from ...targets import Target
from ..ir import Accumulate, Function, expressions, statements
from .rules import kind_of

Subset = Mapping[str, str]
"""For each operation the kinds of its operands: b (bool), i and u (signed and unsigned integers),
f (float32, float64), h (16-bit floats)."""


def _of(kinds: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), kinds)


LLVM: Subset = {
    **_of("iuf", "add sub mul lt le eq ne max min remainder"),
    **_of("iu", "shl shr quotient"),
    **_of("biu", "and or xor"),
    **_of("f", "div neg floor ceil trunc round sqrt fma sin cos pow"),
    "abs": "if", "where": "biufh", "any": "b",
}  # fmt: skip

C: Subset = {  # operators, built-in functions, and the functions that are printed from rules
    **_of("iufh", "add sub mul lt le eq ne max min floordiv mod"),
    **_of("iuf", "remainder"),
    **_of("iu", "shl shr quotient"),
    **_of("biu", "and or xor not"),
    **_of("fh", "div abs floor ceil trunc round sqrt fma exp log sin cos tanh erf pow"),
    "neg": "ufh", "where": "biufh", "any": "b",
}  # fmt: skip


def verify_legal(function: Function, target: Target) -> None:
    """Check that a function has no sums in place, no loads of bools, and only operations that the
    target's code generator prints. Raises CompilerError, naming the function and the fault."""
    subset = LLVM if target is Target.CPU else C
    memo: dict[Expr, None] = {}

    def visit(e: Expr, _: object) -> None:
        name = e.op if isinstance(e, Op) else "any" if isinstance(e, ReduceLanes) else ""
        kind = kind_of(e.operands[-1].dtype) if name else ""
        if kind not in subset.get(name, "") or (isinstance(e, Load) and e.dtype.kind == "bool"):
            raise CompilerError(
                f"verify: {function.name}: {e} is left, which no code is written for"
            )

    for stmt in statements(function.body):
        if isinstance(stmt, Accumulate):
            raise CompilerError(f"verify: {function.name}: {stmt.array.name} still accumulates")
        for e in expressions(stmt):
            walk(e, visit, memo)
