"""Helper functions that generated kernels call, each written into the source only where used.

They give operations the graph's meaning where OpenCL C's own differs or is undefined: nan in
maxima, sines of small numbers beside large ones, division that rounds down, shifts beyond the
width, and storage of 16-bit floats.
"""

from __future__ import annotations

from .types import SIZES, is_integer, mask, unsigned, vector

# {T} the type, {E} its element, {n} its lanes ("" for 1), {U} and {I} unsigned and signed integers
# of its size, {bits} the element's width, {u} the element's unsigned type, {bytes} one that may
# alias anything, of {n} times 16 bits.

_FLOAT_MODULO = """\
{T} mod_{T}({T} x, {T} y) {{  // has the sign of y
    {T} r = fmod(x, y);
    if (r == 0)
        return copysign(r, y);
    return (r < 0) != (y < 0) ? r + y : r;
}}"""

_FLOAT_FLOOR_DIVISION = """\
{T} floordiv_{T}({T} x, {T} y) {{  // rounds down; consistent with mod
    if (y == 0)
        return x / y;
    {T} r = fmod(x, y);
    {T} q = (x - r) / y;
    if (r != 0 && (r < 0) != (y < 0))
        q -= 1;
    if (q == 0)
        return copysign(({T})0, x / y);
    {T} whole = floor(q);
    return q - whole > ({T})0.5f ? whole + 1 : whole;
}}"""

_MULTIPLY_ADD = """\
{T} multiply_add_{T}({T} x, {T} y, {T} z) {{  // rounded once where the device does so quickly
    #pragma OPENCL FP_CONTRACT ON
    return x * y + z;
}}"""

_TURNS = """\
{T} turns_{op}_{T}({T} x) {{  // drivers lose small lanes' digits beside a large lane
    return all(fabs(x) <= {LARGE}) ? {op}(x) : ({T})({lanes});
}}"""
_LARGE = "1048576.0f"

_SIGNED_MODULO = """\
{T} mod_{T}({T} x, {T} y) {{  // has the sign of y; 0 where y is 0
    if (y == 0 || y == -1)
        return 0;
    {T} r = x % y;
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}}"""

_SIGNED_FLOOR_DIVISION = """\
{T} floordiv_{T}({T} x, {T} y) {{  // rounds down; 0 where y is 0
    if (y == 0)
        return 0;
    if (y == -1)
        return ({T})(0 - ({u})x);
    return x / y - (x % y != 0 && (x < 0) != (y < 0));
}}"""

_UNSIGNED_MODULO = """\
{T} mod_{T}({T} x, {T} y) {{ return y == 0 ? 0 : x % y; }}  // 0 where y is 0"""

_UNSIGNED_FLOOR_DIVISION = """\
{T} floordiv_{T}({T} x, {T} y) {{ return y == 0 ? 0 : x / y; }}  // 0 where y is 0"""

_INT_OF = """\
int int_of_{T}({T} x) {{  // the smallest int beyond all of them, and for nan
    return fabs(x) < ({T})0x1p31f ? (int)x : INT_MIN;
}}"""

_LONG_OF = """\
long long_of_{T}({T} x) {{  // the smallest long beyond all of them, and for nan
    return fabs(x) < ({T})0x1p63f ? (long)x : LONG_MIN;
}}"""

_ULONG_OF = """\
ulong ulong_of_{T}({T} x) {{  // negative numbers wrap
    if (!(x >= ({T})0x1p63f))
        return fabs(x) < ({T})0x1p63f ? (ulong)(long)x : 1ul << 63;
    return x < ({T})0x1p64f ? (ulong)x : 0;
}}"""

_SHIFT_LEFT = """\
{T} shl_{T}({T} x, {T} y) {{  // 0 where y is {bits} or more
    return ({u})y < {bits} ? ({T})(({u})x << y) : 0;
}}"""

_SHIFT_LEFT_VECTOR = """\
{T} shl_{T}({T} x, {T} y) {{  // 0 where y is {bits} or more
    return select(({T})(0), as_{T}(as_{U}(x) << as_{U}(y)), as_{U}(y) < ({U})({bits}));
}}"""

_SHIFT_RIGHT_SIGNED = """\
{T} shr_{T}({T} x, {T} y) {{  // all sign bits where y is {bits} or more
    return x >> ({u})min(({u})y, ({u})({bits} - 1));
}}"""

_SHIFT_RIGHT_SIGNED_VECTOR = """\
{T} shr_{T}({T} x, {T} y) {{  // all sign bits where y is {bits} or more
    return x >> as_{T}(min(as_{U}(y), ({U})({bits} - 1)));
}}"""

_SHIFT_RIGHT_UNSIGNED = """\
{T} shr_{T}({T} x, {T} y) {{  // 0 where y is {bits} or more
    return y < {bits} ? x >> y : 0;
}}"""

_SHIFT_RIGHT_UNSIGNED_VECTOR = """\
{T} shr_{T}({T} x, {T} y) {{  // 0 where y is {bits} or more
    return select(({T})(0), x >> y, y < ({T})({bits}));
}}"""

# Through vectors of bytes, since C lets compilers assume that a half and a ushort never are the
# same memory.
_HALF_VALUE = """\
float{n} half_value{n}(ushort{n} bits) {{
    {bytes} bytes = as_{bytes}(bits);
    return vload_half{n}(0, (const half *)&bytes);
}}"""

_HALF_BITS = """\
ushort{n} half_bits{n}(float{n} x) {{  // to nearest even
    {bytes} bytes;
    vstore_half{n}_rte(x, 0, (half *)&bytes);
    return as_ushort{n}(bytes);
}}"""

_HALF_BITS_DOUBLE = """\
ushort{n} half_bits_double{n}(double{n} x) {{  // rounded once, to nearest even
    {bytes} bytes;
    vstore_half{n}_rte(x, 0, (half *)&bytes);
    return as_ushort{n}(bytes);
}}"""

_BFLOAT_VALUE = """\
float{n} bfloat_value{n}(ushort{n} bits) {{
    return as_float{n}({uint}(bits) << 16);
}}"""

_BFLOAT_BITS = """\
ushort bfloat_bits(float x) {{  // to nearest even; nan stays nan
    uint bits = as_uint(x);
    return (ushort)(x != x ? (bits >> 16) | 0x40u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}}"""

_BFLOAT_BITS_VECTOR = """\
ushort{n} bfloat_bits{n}(float{n} x) {{  // to nearest even; nan stays nan
    uint{n} bits = as_uint{n}(x);
    uint{n} rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return convert_ushort{n}(select(rounded, (bits >> 16) | 0x40u, x != x));
}}"""


class Functions:
    """The helper functions that one kernel uses, in an order in which each finds those it calls."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def text(self) -> str:
        """All of them, to stand before the kernel."""
        return "".join(f"{text}\n\n" for text in self._texts.values())

    def _add(self, name: str, template: str, element: str, width: int) -> str:
        if name not in self._texts:
            integer = mask(element)
            self._texts[name] = template.format(
                T=vector(element, width), E=element, n="" if width == 1 else width,
                U=vector(unsigned(integer), width), I=vector(integer, width),
                u=unsigned(integer), bits=8 * SIZES[element],
                bytes="uchar2" if width == 1 else f"ushort{width}",
                uint="(uint)" if width == 1 else f"convert_uint{width}",
            )  # fmt: skip
        return name

    def extreme(self, op: str, element: str, width: int) -> str:
        """max or min of floats, nan where either is nan."""
        sign = {"max": ">", "min": "<"}[op]
        body = (
            f"x {sign} y || x != x ? x : y"
            if width == 1
            else f"select(y, x, (x {sign} y) | (x != x))"
        )
        template = (
            f"{{T}} {op}_{{T}}({{T}} x, {{T}} y) {{{{ return {body}; }}}}"
            "  // nan where either is nan"
        )
        return self._add(f"{op}_{vector(element, width)}", template, element, width)

    def multiply_add(self, element: str, width: int) -> str:
        """x * y + z of floats, for devices whose fma is a function call."""
        return self._add(f"multiply_add_{vector(element, width)}", _MULTIPLY_ADD, element, width)

    def turns(self, op: str, width: int) -> str:
        """sin or cos of a vector of floats: lane by lane where one of them is large."""
        lanes = ", ".join(f"{op}(x.s{lane:x})" for lane in range(width))
        template = _TURNS.replace("{op}", op).replace("{lanes}", lanes).replace("{LARGE}", _LARGE)
        return self._add(f"turns_{op}_{vector('float', width)}", template, "float", width)

    def division(self, op: str, element: str) -> str:
        """floordiv or mod of scalars."""
        templates = {
            "floordiv": (_FLOAT_FLOOR_DIVISION, _SIGNED_FLOOR_DIVISION, _UNSIGNED_FLOOR_DIVISION),
            "mod": (_FLOAT_MODULO, _SIGNED_MODULO, _UNSIGNED_MODULO),
        }[op]
        kind = 0 if not is_integer(element) else 2 if element.startswith("u") else 1
        return self._add(f"{op}_{element}", templates[kind], element, 1)

    def integer_of(self, integer: str, element: str) -> str:
        """A float truncated to int, long or ulong."""
        template = {"int": _INT_OF, "long": _LONG_OF, "ulong": _ULONG_OF}[integer]
        return self._add(f"{integer}_of_{element}", template, element, 1)

    def shift(self, op: str, element: str, width: int) -> str:
        """shl or shr of integers."""
        if op == "shl":
            templates = (_SHIFT_LEFT, _SHIFT_LEFT_VECTOR)
        elif element.startswith("u"):
            templates = (_SHIFT_RIGHT_UNSIGNED, _SHIFT_RIGHT_UNSIGNED_VECTOR)
        else:
            templates = (_SHIFT_RIGHT_SIGNED, _SHIFT_RIGHT_SIGNED_VECTOR)
        return self._add(f"{op}_{vector(element, width)}", templates[width > 1], element, width)

    def value16(self, kind: str, width: int) -> str:
        """From the bits of a "half" or "bfloat" to a float."""
        template = _HALF_VALUE if kind == "half" else _BFLOAT_VALUE
        return self._add(f"{kind}_value{_n(width)}", template, "float", width)

    def bits16(self, kind: str, width: int, source: str = "float") -> str:
        """From a float (or double) to the bits of a "half" or "bfloat"."""
        if kind == "half" and source == "double":
            return self._add(f"half_bits_double{_n(width)}", _HALF_BITS_DOUBLE, "double", width)
        vectorized = _BFLOAT_BITS if width == 1 else _BFLOAT_BITS_VECTOR
        template = _HALF_BITS if kind == "half" else vectorized
        return self._add(f"{kind}_bits{_n(width)}", template, "float", width)

    def round16(self, kind: str, width: int, source: str = "float") -> str:
        """A float (or double) rounded to what a "half" or "bfloat" can hold, as a float."""
        bits = self.bits16(kind, width, source)
        value = self.value16(kind, width)
        name = f"round_{kind}{'_double' if source == 'double' else ''}{_n(width)}"
        result, argument = vector("float", width), vector(source, width)
        text = f"{result} {name}({argument} x) {{{{ return {value}({bits}(x)); }}}}"
        return self._add(name, text, source, width)


def _n(width: int) -> str:
    return "" if width == 1 else str(width)
