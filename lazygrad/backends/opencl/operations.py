"""Elementwise operations and casts of Values, with the exact meaning of the graph's nodes.

Indices are int64; where their bounds are known they are computed without wrapping, and in 32 bits
where they fit, which on GPUs is several times faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...dtypes import DType, bfloat16, bool_, float16, int64
from ...expr import COMPARISONS, OPERATIONS, Expr, Literal, Op
from ...index import UNBOUNDED, bounds
from . import forms
from .forms import SIGNS, Form, conversion
from .source import (
    ATOM,
    BIT_AND,
    EQUALITY,
    MULTIPLY,
    SHIFT,
    Source,
    Term,
    binary,
    call,
    conditional,
)
from .types import INT_HIGH, INT_LOW, is_rounded, literal, pieces, register_type, vector
from .values import Value, plus, scalar


def fits_int(plain: Expr) -> bool:
    """Whether 32 bits hold every value of an integer expression."""
    low, high = bounds(plain)
    return low >= INT_LOW and high <= INT_HIGH


class Operations:
    """Applies operations to Values. Helper functions that they need go into the source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.facts = source.facts

    def apply(
        self, op: str, dtype: DType, values: Sequence[Value], plain: Expr, wraps: bool = True
    ) -> Value:
        """op of values of `dtype`; of where, dtype is that of its choices.

        `wraps`: whether overflow of an int64 has to be as defined (it need not for an address).
        """
        if op == "where":
            return self._where(values, plain)
        if dtype == int64 and op not in COMPARISONS:
            return self._int64(op, values, plain, wraps)
        values = self._one_type(values)
        element = values[0].element
        if op in COMPARISONS:
            return self._map(forms.comparison(op, element), "bool", values, plain)
        if dtype == bool_:
            if op == "and" and (true := [value.is_true for value in values])[0] + true[1]:
                return values[1] if true[0] else values[0]
            return self._map(forms.logic(op), "bool", values, plain)
        result = self._map(forms.arithmetic(self.source, op, element), element, values, plain)
        is_exact = op in OPERATIONS and OPERATIONS[op].is_exact
        return result if is_exact else self.rounded(result, dtype)

    def rounded(self, value: Value, dtype: DType) -> Value:
        """A 16-bit float held in a wider register, rounded to what memory can hold."""
        if not is_rounded(dtype, self.facts):
            return value
        kind, source = _kind16(dtype), value.element

        def form(width: int, *operands: Term) -> Term:
            return call(self.source.functions.round16(kind, width, source), *operands)

        return self._map(form, "float", [value], value.plain)

    def widened(self, value: Value) -> Value:
        """An int64 that is held in an int, as a long."""
        if value.element != "int":
            return value
        if isinstance(value.plain, Literal):
            return scalar(literal(value.plain.value, int64, "long"), "long", value.plain)
        return self._map(conversion("long", "int"), "long", [value], value.plain)

    def cast(self, value: Value, source: DType, target: DType, plain: Expr) -> Value:
        """The graph's Cast: to bool is x != 0, floats truncate, integers wrap."""
        if source == target:
            return value
        if target == bool_:
            zero = scalar("0", value.element, Literal(0))
            return self._map(forms.comparison("ne", value.element), "bool", [value, zero], plain)
        element = register_type(target, self.facts)
        if source.is_float and target.is_int:
            truncation = forms.truncation(self.source, value.element, element)
            return self._map(truncation, element, [value], plain)
        if target == int64 and fits_int(plain):
            element = "int"
        once = target == float16 and value.element == "double"  # not rounded by way of float
        if value.element != element and not (once and is_rounded(target, self.facts)):
            value = self._map(conversion(element, value.element), element, [value], plain)
        if value.step:  # a sequence no more, for its operations may wrap
            value = Value(tuple(value.spread(value.lanes)), element, value.lanes, plain)
        value = replace(value, plain=plain, first=None)
        return value if source == bool_ else self.rounded(value, target)

    def bitcast(self, value: Value, source: DType, target: DType, plain: Expr) -> Value:
        """The bits of `source` read as `target`; both as they are in memory."""
        functions, facts = self.source.functions, self.facts
        value = self.widened(value) if source == int64 else value
        element = register_type(target, facts)

        def form(width: int, *operands: Term) -> Term:
            (x,) = operands
            if is_rounded(source, facts):
                x = call(functions.bits16(_kind16(source), width), x)
            elif source == bool_:
                x = conversion("uchar", "bool")(width, x)
            if target == bool_:
                zero = "0" if width == 1 else f"({vector('uchar', width)})(0)"
                return binary("!=", EQUALITY, call(f"as_{vector('uchar', width)}", x), (zero, ATOM))
            if is_rounded(target, facts):
                bits = call(f"as_{vector('ushort', width)}", x)
                return call(functions.value16(_kind16(target), width), bits)
            return call(f"as_{vector(element, width)}", x)

        return self._map(form, element, [value], plain)

    def _map(self, form: Form, element: str, values: Sequence[Value], plain: Expr) -> Value:
        """The form, applied piece by piece; only once where all lanes are alike."""
        lanes = max(value.lanes for value in values)
        if all(value.is_uniform for value in values):
            term = form(1, *(value.terms[0] for value in values))
            return Value((term,), element, lanes, plain, 0)
        columns = [value.spread(lanes) for value in values]
        return Value(tuple(map(form, pieces(lanes), *columns)), element, lanes, plain)

    def _one_type(self, values: Sequence[Value]) -> Sequence[Value]:
        """int64s, some held in an int and some in a long: all as longs."""
        if {value.element for value in values} == {"int", "long"}:
            return [self.widened(value) for value in values]
        return values

    def _where(self, values: Sequence[Value], plain: Expr) -> Value:
        condition, *choices = values[0], *self._one_type(values[1:])
        element = choices[0].element
        if condition.is_true and choices[0].lanes == plain.lanes:
            return choices[0]
        if condition.is_uniform and not all(value.is_uniform for value in choices):
            # A scalar condition chooses between whole vectors.
            lanes = max(value.lanes for value in choices)
            columns = zip(*(value.spread(lanes) for value in choices), strict=True)
            terms = tuple(conditional(condition.terms[0], x, y) for x, y in columns)
            return Value(terms, element, lanes, plain)
        return self._map(forms.selection(element), element, [condition, *choices], plain)

    # ------------------------------------------------------------------------- indices

    def _int64(self, op: str, values: Sequence[Value], plain: Expr, wraps: bool) -> Value:
        """An operation on int64: in int, and without wrapping, where bounds allow."""
        if op in ("add", "sub", "mul"):
            return self._sequence(op, values, plain, wraps) or self._sum(op, values, plain, wraps)
        if op in ("floordiv", "mod") and (form := _division(op, *values)):
            return self._narrowed(self._map(form, values[0].element, values[:1], plain))
        stays = op in ("max", "min", "and", "or", "xor")
        if op in ("floordiv", "mod"):  # by a divisor that cannot make INT_MIN // -1
            stays = bounds(values[1].plain)[0] > 0
        if stays and all(value.element == "int" for value in values):
            return self._map(forms.arithmetic(self.source, op, "int"), "int", values, plain)
        wide = [self.widened(value) for value in values]
        return self._map(forms.arithmetic(self.source, op, "long"), "long", wide, plain)

    def _sequence(self, op: str, values: Sequence[Value], plain: Expr, wraps: bool) -> Value | None:
        """Sums and multiples of sequences are sequences: only their first lane is computed."""
        x, y = values
        if x.step is None or y.step is None or x.step == y.step == 0:
            return None
        first, second = x.lowest(), y.lowest()
        match op:
            case "add":
                step = x.step + y.step
            case "sub":
                step = x.step - y.step
            case _ if isinstance(second.plain, Literal) and y.step == 0:
                step = x.step * int(second.plain.value)
            case _:
                return None
        base = self._sum(op, [first, second], Op(op, (first.plain, second.plain)), wraps)
        return self.sequence(base, step, max(x.lanes, y.lanes), plain)

    def sequence(self, base: Value, step: int, lanes: int, plain: Expr) -> Value:
        """base, base + step, ...: `lanes` of them."""
        base = base if fits_int(plain) else self.widened(base)
        return Value(base.terms, base.element, lanes, plain, step, base.plain)

    def _sum(self, op: str, values: Sequence[Value], plain: Expr, wraps: bool) -> Value:
        """x + y, x - y or x * y."""
        low, high = bounds(plain)
        sign, level = SIGNS[op]
        if fits_int(plain) and all(value.element == "int" for value in values):
            return self._map(_index_sum(op, values), "int", values, plain)
        wide = [self.widened(value) for value in values]
        if wraps and max(-low, high) >= UNBOUNDED:
            return self._map(forms.arithmetic(self.source, op, "long"), "long", wide, plain)
        if all(value.is_uniform for value in values):  # one long operand makes the sum long
            wide = [wide[0], *values[1:]] if values[1].element == "int" else [values[0], wide[1]]
        return self._narrowed(self._map(forms.operator(sign, level), "long", wide, plain))

    def _narrowed(self, value: Value) -> Value:
        """A long whose bounds say that an int holds it, as an int."""
        if value.element == "long" and fits_int(value.plain):
            return self._map(conversion("int", "long"), "int", [value], value.plain)
        return value


def _kind16(dtype: DType) -> str:
    return "bfloat" if dtype == bfloat16 else "half"


def _index_sum(op: str, values: Sequence[Value]) -> Form:
    """x + y and the like of ints that cannot overflow; x + -1 is written x - 1."""
    constant = values[1].plain
    if op == "add" and isinstance(constant, Literal) and values[0].lanes == 1:
        return lambda width, *operands: plus(operands[0], int(constant.value))
    return forms.operator(*SIGNS[op])


def _division(op: str, x: Value, divisor: Value) -> Form | None:
    """x // c or x % c for a literal c > 0, by C's operators; None where they round otherwise."""
    c = int(divisor.plain.value) if isinstance(divisor.plain, Literal) else 0
    if c <= 0 or divisor.element != "int":
        return None
    if c & (c - 1) == 0:  # an arithmetic shift rounds down, and a masked number is not negative
        number = c.bit_length() - 1 if op == "floordiv" else c - 1
        sign, level = (">>", SHIFT) if op == "floordiv" else ("&", BIT_AND)
    elif bounds(x.plain)[0] >= 0:
        number, (sign, level) = c, ("/" if op == "floordiv" else "%", MULTIPLY)
    else:
        return None
    constant = scalar(str(number), x.element, divisor.plain)
    return lambda width, *operands: binary(sign, level, operands[0], constant.spread(width)[0])
