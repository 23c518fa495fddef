"""How arrays stand in C, and the text of loads and stores.

    scope       in C
    global      a pointer argument
    local       a __local array
    stack       a private array
    register    variables of their own, where every index is a constant, so that they surely live
                in registers; else a private array

A vector is loaded as one where its index is known to be a multiple of its lanes (the hardware's
wide loads need alignment), else by vload, which asks no more than an element's alignment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...dtypes import DType, bfloat16, bool_, float16
from ...expr import Array, Expr, Load, Ramp
from ...index import linear
from ...loops.ir import Accumulate, Body, Store, expressions, statements
from .source import ADD, ATOM, EQUALITY, UNARY, Source, Term, call, paren
from .types import SIZES, Facts, is_rounded, memory_type, pieces, register_type, vector

ALIGNMENT = 64  # bytes; of buffers by the device, of other arrays by attribute


@dataclass(frozen=True, slots=True)
class Place:
    """An array in C. `element` is the type of its elements there; `space` its address space.

    `unit` is 0, or for arrays that are variables the number of elements in each.
    """

    array: Array
    name: str
    element: str
    space: str
    unit: int = 0

    @property
    def dtype(self) -> DType:
        return self.array.dtype

    def variables(self) -> Iterable[tuple[str, str]]:
        """The (type, name) of each variable."""
        count = self.array.size // self.unit
        for n in range(count):
            yield vector(self.element, self.unit), self.variable(n * self.unit)

    def variable(self, index: int) -> str:
        """The variable that holds the element at `index`."""
        return self.name if self.array.size == self.unit else f"{self.name}_{index // self.unit}"


def place_of(array: Array, name: str, facts: Facts, unit: int = 0, scratch: bool = False) -> Place:
    """An array of any scope; memory that others see has the layout of lazygrad's dtypes.

    `scratch`: it is a local array that stands in global memory.
    """
    if array.scope in ("global", "local"):
        element = memory_type(array.dtype)
        if element == "half" and array.scope == "local" and is_rounded(array.dtype, facts):
            element = "ushort"  # only pointers to half may be declared without half arithmetic
        return Place(array, name, element, f"__{'global' if scratch else array.scope} ")
    element = register_type(array.dtype, facts)
    if element == "bool" and not unit:
        element = "uchar"
    return Place(array, name, element, "", unit)


# --------------------------------------------------------------------------- which are variables


def constant_place(index: Expr, lanes: int) -> int | None:
    """The first index of an access to constant, consecutive places; None for any other."""
    if isinstance(index, Ramp):
        if index.stride != 1:
            return None
        index = index.base
    elif index.lanes > 1:
        return None
    constant, terms = linear(index)
    return None if terms else constant


def variable_units(body: Body) -> dict[Array, int]:
    """For the register arrays that can be variables, how many elements each variable holds.

    That is the lanes of the pieces they are accessed by, where all are alike and aligned; else 1.
    """
    units: dict[Array, int] = {}
    for array, index, lanes in _register_accesses(body):
        start = constant_place(index, lanes)
        if start is None or start < 0 or start + lanes > array.size:
            units[array] = 0
            continue
        width, *others = set(pieces(lanes))
        whole = not others and start % width == 0 == array.size % width
        unit = width if whole else 1
        units[array] = unit if units.get(array, unit) == unit else min(units[array], 1)
    return units


def _register_accesses(body: Body) -> Iterable[tuple[Array, Expr, int]]:
    seen: set[Expr] = set()
    for stmt in statements(body):
        if isinstance(stmt, Store | Accumulate) and stmt.array.scope == "register":
            yield stmt.array, stmt.index, max(stmt.index.lanes, stmt.value.lanes)
        stack = list(expressions(stmt))
        while stack:
            e = stack.pop()
            if e in seen:
                continue
            seen.add(e)
            stack.extend(e.operands)
            if isinstance(e, Load) and e.array.scope == "register":
                yield e.array, e.index, e.index.lanes


# --------------------------------------------------------------------------- loads and stores


def load(source: Source, place: Place, index: Term, width: int, aligned: bool) -> Term:
    """`width` consecutive elements from `index`, as they are in registers."""
    at = pointer(place, index)
    if place.element == "half" and is_rounded(float16, source.facts):
        return _load_half(source, place, index, width, aligned)
    if width == 1:
        found: Term = (f"{place.name}[{index[0]}]", ATOM)
    elif aligned and width * SIZES[place.element] <= ALIGNMENT:
        type_ = f"{place.space}const {vector(place.element, width)} *"
        found = f"*({type_})({at})", UNARY
    else:
        found = call(f"vload{width}", ("0", ATOM), (at, ATOM))
    if place.dtype == bool_ and width > 1:
        return f"{paren(found, UNARY)} != (uchar{width})(0)", EQUALITY
    if place.element == "ushort" and place.dtype in (float16, bfloat16):
        kind = "bfloat" if place.dtype == bfloat16 else "half"
        return call(source.functions.value16(kind, width), found)
    return found


def _load_half(source: Source, place: Place, index: Term, width: int, aligned: bool) -> Term:
    """Halves as floats. Where they are not aligned, by way of their bits: PoCL 3.1 reads eight as
    if they were, whatever they are read with."""
    if width == 1:
        return f"vload_half({index[0]}, {place.name})", ATOM
    if aligned:
        return f"vloada_half{width}(0, {pointer(place, index)})", ATOM
    value = source.functions.value16("half", width)
    return call(value, (f"vload{width}(0, {_bits(place, index, 'const ')})", ATOM))


def _store_half(
    source: Source, place: Place, index: Term, width: int, aligned: bool, value: Term
) -> str:
    if width == 1:
        return f"vstore_half_rte({value[0]}, {index[0]}, {place.name});"
    if aligned:
        return f"vstorea_half{width}_rte({value[0]}, 0, {pointer(place, index)});"
    bits = source.functions.bits16("half", width)
    return f"vstore{width}({bits}({value[0]}), 0, {_bits(place, index)});"


def _bits(place: Place, index: Term, const: str = "") -> str:
    return f"({place.space}{const}ushort *)({pointer(place, index)})"


def pointer(place: Place, index: Term) -> str:
    """A pointer to an element of an array that is no variable."""
    return place.name if index[0] == "0" else f"{place.name} + {paren(index, ADD)}"


def store(source: Source, place: Place, index: Term, width: int, aligned: bool, value: Term) -> str:
    """The statement that writes `width` consecutive elements, `value` being as in registers."""
    at = pointer(place, index)
    if place.element == "half" and is_rounded(float16, source.facts):
        return _store_half(source, place, index, width, aligned, value)
    if place.element == "ushort" and place.dtype in (float16, bfloat16):
        kind = "bfloat" if place.dtype == bfloat16 else "half"
        value = call(source.functions.bits16(kind, width), value)
    if place.dtype == bool_ and width > 1:
        value = call(f"as_uchar{width}", (f"-{paren(value, ATOM)}", UNARY))
    if width == 1:
        return f"{place.name}[{index[0]}] = {value[0]};"
    if aligned and width * SIZES[place.element] <= ALIGNMENT:
        return f"*({place.space}{vector(place.element, width)} *)({at}) = {value[0]};"
    return f"vstore{width}({value[0]}, 0, {at});"


def load_variables(place: Place, start: int, lanes: int) -> list[Term]:
    """The pieces of consecutive elements of an array that is variables."""
    if {place.unit} == set(pieces(lanes)):
        return [(place.variable(at), ATOM) for at in range(start, start + lanes, place.unit)]
    result: list[Term] = []
    for width in pieces(lanes):
        names = [place.variable(start + k) for k in range(width)]
        start += width
        if width == 1:
            result.append((names[0], ATOM))
        elif place.dtype == bool_:
            result.append((f"(char{width})({', '.join(f'-{n}' for n in names)})", ATOM))
        else:
            result.append((f"({vector(place.element, width)})({', '.join(names)})", ATOM))
    return result
