"""Elementwise operations on C terms: what is written for one operation on one piece of lanes.

A Form takes the width of the piece and a Term for each operand, and gives the result's Term.
Integers wrap: signed arithmetic is done unsigned, since in C its overflow is undefined.
"""

from __future__ import annotations

from typing import Protocol

from ...errors import CompilerError
from .source import (
    ADD,
    ATOM,
    BIT_AND,
    BIT_OR,
    BIT_XOR,
    EQUALITY,
    LOGICAL_AND,
    LOGICAL_OR,
    MULTIPLY,
    RELATION,
    Source,
    Term,
    binary,
    call,
    cast,
    conditional,
    unary,
)
from .types import SIZES, is_integer, mask, unsigned, vector


class Form(Protocol):
    def __call__(self, width: int, *operands: Term) -> Term: ...


SIGNS = {"add": ("+", ADD), "sub": ("-", ADD), "mul": ("*", MULTIPLY), "div": ("/", MULTIPLY)}
_COMPARE = {"lt": ("<", RELATION), "le": ("<=", RELATION), "eq": ("==", EQUALITY),
            "ne": ("!=", EQUALITY)}  # fmt: skip
_BITS = {"and": ("&", BIT_AND), "or": ("|", BIT_OR), "xor": ("^", BIT_XOR)}
_BUILTINS = {
    **dict.fromkeys(("exp", "log", "sqrt", "sin", "cos", "tanh", "erf", "floor", "ceil", "trunc",
                     "pow", "fma"), ""),
    "round": "rint", "abs": "fabs",
}  # fmt: skip


def operator(sign: str, level: int) -> Form:
    """x sign y."""
    return lambda width, *operands: binary(sign, level, *operands)


def comparison(op: str, element: str) -> Form:
    """A bool, or char masks; C's comparisons of vectors give masks of the element's size."""
    sign, level = _COMPARE[op]

    def form(width: int, *operands: Term) -> Term:
        x, y = operands
        if width == 1:
            return binary(sign, level, x, y)
        if element == "bool":
            return _MASK_COMPARE[op](x, y)
        compared = binary(sign, level, x, y)
        return compared if SIZES[element] == 1 else call(f"convert_char{width}", compared)

    return form


_MASK_COMPARE = {
    "lt": lambda x, y: binary("&", BIT_AND, unary("~", x), y),
    "le": lambda x, y: binary("|", BIT_OR, unary("~", x), y),
    "eq": lambda x, y: unary("~", binary("^", BIT_XOR, x, y)),
    "ne": lambda x, y: binary("^", BIT_XOR, x, y),
}

# The operations on bool, by the logic that they come down to.
_LOGIC = {
    "and": "and", "mul": "and", "min": "and", "floordiv": "and",
    "or": "or", "add": "or", "max": "or",
    "xor": "xor", "sub": "xor",
    "shl": "without", "shr": "without",
    "neg": "same", "abs": "same", "not": "not", "mod": "never",
}  # fmt: skip


def logic(op: str) -> Form:
    """An operation on bools, or on char masks."""

    def form(width: int, *operands: Term) -> Term:
        x, y = operands[0], operands[-1]
        one = width == 1
        match _LOGIC.get(op):
            case "and":
                return binary(*(("&&", LOGICAL_AND) if one else ("&", BIT_AND)), x, y)
            case "or":
                return binary(*(("||", LOGICAL_OR) if one else ("|", BIT_OR)), x, y)
            case "xor":
                return binary(*(("!=", EQUALITY) if one else ("^", BIT_XOR)), x, y)
            case "without":
                absent = unary("!" if one else "~", y)
                return binary(*(("&&", LOGICAL_AND) if one else ("&", BIT_AND)), x, absent)
            case "not":
                return unary("!" if one else "~", x)
            case "same":
                return x
            case "never":
                return ("false" if one else f"(char{width})(0)"), ATOM
        raise CompilerError(f"opencl: no operation {op} of bool")

    return form


def conversion(element: str, source: str) -> Form:
    """A C conversion between element types; of char masks, to 0 and 1."""

    def form(width: int, *operands: Term) -> Term:
        (x,) = operands
        if width == 1:
            return cast(element, x)
        return call(f"convert_{element}{width}", unary("-", x) if source == "bool" else x)

    return form


def by_lanes(source: Source, function: str, element: str, result: str) -> Form:
    """A function of scalars of type `element`, called for each lane."""

    def form(width: int, *operands: Term) -> Term:
        if width == 1:
            return call(function, *operands)
        named = [source.named(x, vector(element, width)) for x in operands]
        calls = (call(function, *((f"{x}.s{k:x}", ATOM) for x in named))[0] for k in range(width))
        return f"({vector(result, width)})({', '.join(calls)})", ATOM

    return form


def truncation(source: Source, from_: str, element: str) -> Form:
    """Floats to integers, rounded towards 0. Small integers wrap from int, uint from long."""
    wide = element if element in ("long", "ulong") else "long" if element == "uint" else "int"
    truncated = by_lanes(source, source.functions.integer_of(wide, from_), from_, wide)
    if element == wide:
        return truncated

    def form(width: int, *operands: Term) -> Term:
        return conversion(element, wide)(width, truncated(width, *operands))

    return form


# --------------------------------------------------------------------------- arithmetic


def arithmetic(source: Source, op: str, element: str) -> Form:
    """An operation on floats or integers of a C type."""
    if op == "fma" and is_integer(element):
        multiply, add = arithmetic(source, "mul", element), arithmetic(source, "add", element)
        return lambda width, *xyz: add(width, multiply(width, *xyz[:2]), xyz[2])
    if op in ("floordiv", "mod"):
        return by_lanes(source, source.functions.division(op, element), element, element)
    found = _integer(source, op, element) if is_integer(element) else _float(source, op, element)
    if found is None:
        raise CompilerError(f"opencl: no operation {op} of {element}")
    return found


def _float(source: Source, op: str, element: str) -> Form | None:
    if op in SIGNS:
        return operator(*SIGNS[op])
    if op in ("sin", "cos") and element == "float":
        turns = source.functions.turns
        return lambda width, *operands: call(turns(op, width) if width > 1 else op, *operands)
    if op in _BUILTINS:
        return lambda width, *operands: call(_BUILTINS[op] or op, *operands)
    if op == "multiply_add":
        function = source.functions.multiply_add
        return lambda width, *operands: call(function(element, width), *operands)
    if op == "neg":
        return lambda width, *operands: unary("-", *operands)
    if op in ("max", "min"):
        extreme = source.functions.extreme
        return lambda width, *operands: call(extreme(op, element, width), *operands)
    return None


def _integer(source: Source, op: str, element: str) -> Form | None:
    if op in SIGNS and op != "div":
        return _wrapping(*SIGNS[op], element)
    if op in _BITS:
        return operator(*_BITS[op])
    if op in ("not", "neg"):
        return _unsigned_unary({"not": "~", "neg": "-"}[op], element)
    if op == "abs":
        return _absolute(element)
    if op in ("max", "min"):
        return _extreme(op, element)
    if op in ("shl", "shr"):
        shift = source.functions.shift
        return lambda width, *operands: call(shift(op, element, width), *operands)
    return None


def _wrapping(sign: str, level: int, element: str) -> Form:
    """x + y, x - y or x * y, modulo 2 ** bits."""

    def form(width: int, *operands: Term) -> Term:
        x, y = operands
        if width == 1:
            wide = "ulong" if SIZES[element] == 8 else "uint"
            result = binary(sign, level, x if element == wide else cast(wide, x), y)
            return result if element == wide else cast(element, result)
        if element.startswith("u"):
            return binary(sign, level, x, y)
        type_, bits = vector(element, width), vector(unsigned(element), width)
        return call(
            f"as_{type_}", binary(sign, level, call(f"as_{bits}", x), call(f"as_{bits}", y))
        )

    return form


def _unsigned_unary(sign: str, element: str) -> Form:
    """-x or ~x; the smallest integer is its own negative."""

    def form(width: int, *operands: Term) -> Term:
        (x,) = operands
        if element.startswith("u") and (width > 1 or SIZES[element] >= 4):
            return unary(sign, x)
        if width == 1:
            return cast(element, unary(sign, cast("ulong" if SIZES[element] == 8 else "uint", x)))
        type_, bits = vector(element, width), vector(unsigned(element), width)
        return call(f"as_{type_}", unary(sign, call(f"as_{bits}", x)))

    return form


def _absolute(element: str) -> Form:
    def form(width: int, *operands: Term) -> Term:
        if element.startswith("u"):
            return operands[0]
        magnitude = call("abs", *operands)  # unsigned
        if width == 1:
            return cast(element, magnitude)
        return call(f"as_{vector(element, width)}", magnitude)

    return form


def _extreme(op: str, element: str) -> Form:
    def form(width: int, *operands: Term) -> Term:
        if width == 1 and SIZES[element] < 4:  # C promotes these to int, and max is overloaded
            operands = tuple(cast(element, x) for x in operands)
        return call(op, *operands)

    return form


def selection(element: str) -> Form:
    """x where the condition (a bool, or char masks) holds, else y."""

    def form(width: int, *operands: Term) -> Term:
        condition, x, y = operands
        if width == 1:
            return conditional(condition, x, y)
        if mask(element) != "char":
            condition = call(f"convert_{mask(element)}{width}", condition)
        return call("select", y, x, condition)

    return form
