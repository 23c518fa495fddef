"""exp, log, sin, cos, tanh, erf and pow as expressions of simple operations, any number of lanes.

Each function reduces its argument to a small interval, where a polynomial is close to it, and puts
the result together again. The polynomials are minimax fits (Remez exchange in 200-bit arithmetic)
of the relative error. Largest errors found in tests over all exponents, in units in the last place
(ULP); subnormal numbers, infinities, nan and -0.0 are as in C:

              exp   log   sin   cos   tanh   erf   pow
    float32   1.0   0.9   2.5   2.5   2.4    1.2   0.5
    float64   1.0   0.9   2.2   2.2   2.5    1.5   the C library's

sin and cos hold up to SIN_LIMIT; beyond, the C library is called.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

from ...dtypes import DType, float32, float64, uint32, uint64
from ...expr import Bitcast, Cast, Choose, Expr, Lanes, Literal, Op, Pack, ReduceLanes
from ...targets import Native
from .rules import Rules, scalar_of


@dataclass(frozen=True)
class Format:
    """The numbers of a float format: its exponent's bias, the bits of its fraction, and an unsigned
    integer of the same size."""

    dtype: DType
    bits: DType
    bias: int
    fraction: int

    @property
    def shifter(self) -> float:
        """Adding it moves an integer (or rounds a number) into the last bits of the fraction."""
        return 1.5 * 2.0**self.fraction


FORMATS = {
    float32: Format(float32, uint32, 127, 23),
    float64: Format(float64, uint64, 1023, 52),
}

# (e**r - 1 - r) / r**2 for |r| <= log(2) / 2
_EXPM1 = {
    float32: (
        0.50000000441615371822, 0.16666666370332692117, 0.041666360920808642644,
        0.0083333893991492757322, 0.0013940626905189123947, 0.00019845861962600366866,
    ),
    float64: (
        0.50000000000000000085, 0.16666666666666676507, 0.041666666666666508782,
        0.0083333333333216919287, 0.0013888888888962388654, 0.00019841269885964968401,
        0.000024801587172501818555, 2.7557244375138989112e-6, 2.7557402667266355892e-7,
        2.5108978554959511529e-8, 2.0875325066347778967e-9,
    ),
}  # fmt: skip
# float32: (log(1 + f) - f + f**2 / 2) / f**3 for sqrt(1/2) <= 1 + f <= sqrt(2)
# float64: (log((1 + s) / (1 - s)) - 2*s) / s**3 in z = s**2, for the same f with s = f / (2 + f)
_LOG = {
    float32: (
        0.33333312604886633848, -0.25000009589110477728, 0.2000211858626306905,
        -0.16667996047017649359, 0.14219554017250519991, -0.12405589838637770453,
        0.11888153171824041681, -0.11675631588125610893, 0.06746625544215295428,
    ),
    float64: (
        0.66666666666667344178, 0.39999999999414655098, 0.28571428742391598331,
        0.22222198572840464877, 0.18183564342221893442, 0.15314050162244671276,
        0.14795953525208240409,
    ),
}  # fmt: skip
# (sin(r) - r) / r**3 in z = r**2, for |r| <= pi / 2
_SIN = {
    float32: (
        -0.16666666626110800817, 0.0083333311068560761765, -0.00019840867970749257425,
        2.7525371696117540504e-6, -2.3888678085788061603e-8,
    ),
    float64: (
        -0.16666666666666666665, 0.0083333333333333330199, -0.00019841269841269670632,
        2.7557319223940153475e-6, -2.5052108378482895385e-8, 1.6059043195547690748e-10,
        -7.6471272345204694226e-13, 2.8102023873329370098e-15, -7.981338486517629796e-18,
    ),
}  # fmt: skip
# erf(x) / x - 1 in z = x**2, for |x| <= 1
_ERF = {
    float32: (
        0.12837916572682327203, -0.37612625824920030884, 0.11283585154976807156,
        -0.026853812190997363004, 0.0051883281864188620242, -0.00080101982624365479315,
        0.000078538775316191323862,
    ),
    float64: (
        0.12837916709551256566, -0.3761263890318351954, 0.11283791670944184751,
        -0.026866170643111479871, 0.0052239776061185980535, -0.00085483259293199410198,
        0.00012055293577027264417, -0.000014924712303625600555, 1.6447131581436621327e-6,
        -1.6206313769690032775e-7, 1.371098020264571568e-8, -7.7794677510917091322e-10,
    ),
}  # fmt: skip
# -log(1 - erf(a)) for 1 <= a, until erf(a) is 1
_ERFC = {
    float32: (
        0.00034158062573483420612, 1.1270889516398107664, 0.63814523607877857909,
        0.10310639835356094635, -0.021837890683115325718, 0.0029476142682312890317,
        -0.00018637466063331428007,
    ),
    float64: (
        5.0283926079424298742e-7, 1.1283740895834457227, 0.63664362758352151368,
        0.1027034409683494604, -0.018990181699366793742, -0.00041062388507149934745,
        0.0019159391426969256543, -0.00077063991189283960543, 0.00013504839203691209627,
        0.000020267575931671084445, -0.000022822832259858994015, 8.6672560282840042885e-6,
        -2.1356967614537199676e-6, 3.7330580543872165936e-7, -4.6423186711993609067e-8,
        3.9342790376810742017e-9, -2.0449694881091131544e-10, 4.9286310139826271852e-12,
    ),
}  # fmt: skip
_ERF_IS_ONE = {float32: 4.0, float64: 6.0}
_TANH_IS_ONE = {float32: 10.0, float64: 22.0}

# e**x is 0 below the range of x, and infinite above. At its low end the two halves of 2**n are 0:
# their product is an exact 0. A product that rounds to 0 takes a processor ten times as long.
_EXP_RANGE = {
    float32: (-254 * math.log(2), 89.0),
    float64: (-2046 * math.log(2), 710.0),
}

# The largest |x| for which sin and cos are computed here.
SIN_LIMIT = {float32: 2.0**40, float64: 1e6}

# log(2) and pi as sums: the first parts are the nearest floats, or short enough for exact products.
_LN2 = {
    float32: (float.fromhex("0x1.62e43p-1"), float.fromhex("-0x1.05c610ca86c39p-29")),
    float64: (float.fromhex("0x1.62e42fefa39efp-1"), float.fromhex("0x1.abc9e3b39803fp-56")),
}
_PI = (float.fromhex("0x1.921fb54442d18p+1"), float.fromhex("0x1.1a62633145c07p-53"))
_PI_SHORT = (
    float.fromhex("0x1.921fb544p+1"),
    float.fromhex("0x1.0b4611a6p-33"),
    float.fromhex("0x1.3198a2e037073p-68"),
)


class Real:
    """Makes expressions in one float dtype; numbers stand for themselves."""

    def __init__(self, dtype: DType, fma: bool) -> None:
        self.dtype = dtype
        self.format = FORMATS[dtype]
        self.has_fma = fma

    def lit(self, x: Expr | float) -> Expr:
        return x if isinstance(x, Expr) else Literal(x, self.dtype)

    def op(self, name: str, *args: Expr | float) -> Expr:
        return Op(name, tuple(map(self.lit, args)))

    def add(self, x: Expr | float, y: Expr | float) -> Expr:
        return self.op("add", x, y)

    def sub(self, x: Expr | float, y: Expr | float) -> Expr:
        return self.op("sub", x, y)

    def mul(self, x: Expr | float, y: Expr | float) -> Expr:
        return self.op("mul", x, y)

    def fma(self, x: Expr | float, y: Expr | float, z: Expr | float) -> Expr:
        """x * y + z in one rounding, whatever it costs."""
        return self.op("fma", x, y, z)

    def mad(self, x: Expr | float, y: Expr | float, z: Expr | float) -> Expr:
        """x * y + z in the fastest way."""
        return self.fma(x, y, z) if self.has_fma else self.add(self.mul(x, y), z)

    def where(self, condition: Expr, x: Expr | float, y: Expr | float) -> Expr:
        return Op("where", (condition, self.lit(x), self.lit(y)))

    def polynomial(self, x: Expr, coefficients: tuple[float, ...]) -> Expr:
        """c0 + c1*x + c2*x**2 + ..., from the last inwards (Horner)."""
        result = self.lit(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            result = self.mad(result, x, c)
        return result

    # ------------------------------------------------------------------ bits

    def bits(self, x: Expr) -> Expr:
        return Bitcast(x, self.format.bits)

    def from_bits(self, x: Expr) -> Expr:
        return Bitcast(x, self.dtype)

    def bit_op(self, name: str, x: Expr, y: Expr | int) -> Expr:
        return Op(name, (x, Literal(y, self.format.bits) if isinstance(y, int) else y))

    def pattern(self, x: float) -> int:
        """The bits of a number."""
        if self.dtype == float32:
            return int(struct.unpack("<I", struct.pack("<f", x))[0])
        return int(struct.unpack("<Q", struct.pack("<d", x))[0])

    def power_of_two(self, n: Expr) -> Expr:
        """2**n for an integral float n in the range of normal numbers; 0 for the n below it.

        n + bias lands in the last bits of the fraction, and is shifted to where exponents are.
        """
        shifted = self.bits(self.add(n, self.format.shifter + self.format.bias))
        return self.from_bits(self.bit_op("shl", shifted, self.format.fraction))

    def copy_sign(self, x: Expr, sign: Expr) -> Expr:
        """x >= 0 with the sign of another number."""
        top = 1 << (8 * self.dtype.itemsize - 1)
        return self.from_bits(
            self.bit_op("or", self.bits(x), self.bit_op("and", self.bits(sign), top))
        )


def _exp_reduced(m: Real, x: Expr) -> tuple[Expr, Expr]:
    """(n, e**r - 1) for x = n * log(2) + r with the n nearest; r from two parts of log(2)."""
    n = m.op("round", m.mul(x, 1 / math.log(2)))
    high, low = _LN2[m.dtype]
    r = m.fma(n, -low, m.fma(n, -high, x))
    return n, m.mad(m.mul(r, r), m.polynomial(r, _EXPM1[m.dtype]), r)


def exp(m: Real, x: Expr) -> Expr:
    """2**n * e**r. 2**n is multiplied in as two halves, which are normal numbers even where the
    result is subnormal or too large, and 0 at the low end of the range."""
    low, high = _EXP_RANGE[m.dtype]
    n, expm1 = _exp_reduced(m, m.op("max", m.op("min", x, high), low))
    half = m.op("floor", m.mul(n, 0.5))
    scaled = m.mul(m.add(expm1, 1.0), m.power_of_two(half))
    return m.mul(scaled, m.power_of_two(m.sub(n, half)))


def log(m: Real, x: Expr) -> Expr:
    """e * log(2) + log(1 + f) for x = 2**e * (1 + f) with 1 + f between sqrt(1/2) and sqrt(2)."""
    form, tiny_shift = m.format, m.format.fraction + 1
    tiny = m.op("lt", x, 2.0 ** (1 - form.bias))
    normal = m.where(tiny, m.mul(x, 2.0**tiny_shift), x)
    # Shifted so that the exponent field counts from sqrt(1/2) on instead of from 1.
    base = m.pattern(math.sqrt(0.5))
    counted = m.bit_op("add", m.bits(normal), m.pattern(1.0) - base)
    exponent = m.bit_op("shr", counted, form.fraction)
    fraction = m.bit_op("and", counted, (1 << form.fraction) - 1)
    f = m.sub(m.from_bits(m.bit_op("add", fraction, base)), 1.0)
    # An integer below 2**fraction as a float: put into the fraction of 2**fraction.
    large = 2.0**form.fraction
    biased = m.sub(m.from_bits(m.bit_op("or", exponent, m.pattern(large))), large)
    e = m.sub(biased, m.where(tiny, form.bias + tiny_shift, form.bias))
    high, low = _LN2[m.dtype]
    square = m.mul(f, f)
    if m.dtype == float32:
        rest = m.mul(square, m.mad(m.polynomial(f, _LOG[float32]), f, -0.5))
    else:
        s = m.op("div", f, m.add(f, 2.0))
        z, half = m.mul(s, s), m.mul(square, 0.5)
        rest = m.sub(m.mul(s, m.mad(m.polynomial(z, _LOG[float64]), z, half)), half)
    result = m.mad(e, high, m.add(f, m.mad(e, low, rest)))
    finite = m.where(m.op("lt", x, math.inf), result, math.inf)
    at_most_zero = m.where(m.op("eq", x, 0.0), -math.inf, math.nan)
    return m.where(m.op("lt", 0.0, x), finite, at_most_zero)


def sin(m: Real, x: Expr) -> Expr:
    """(-1)**k * sin(r) for x = k * pi + r, for |x| <= SIN_LIMIT."""
    return _sin_of_remainder(m, x, 0.0)


def cos(m: Real, x: Expr) -> Expr:
    """(-1)**k * sin(r) for x = (k + 1/2) * pi - r, for |x| <= SIN_LIMIT."""
    return _sin_of_remainder(m, x, 0.5)


def _sin_of_remainder(m: Real, x: Expr, offset: float) -> Expr:
    wide = Real(float64, m.has_fma)
    x64 = Cast(x, float64) if m.dtype == float32 else x
    shifter = wide.format.shifter
    turns = wide.fma(x64, 1 / math.pi, -offset) if offset else wide.mul(x64, 1 / math.pi)
    shifted = wide.add(turns, shifter)  # rounds to an integer, k, in the last bits
    k = wide.sub(shifted, shifter)
    odd = wide.bit_op("shl", wide.bits(shifted), 63)
    if offset:  # the remainder's sign is changed: (k + 1/2) * pi - x
        h = wide.add(k, offset)
        k, x64 = m.op("neg", h), m.op("neg", x64)

    def with_sign(value: Expr) -> Expr:
        return wide.from_bits(wide.bit_op("xor", wide.bits(value), odd))

    if m.dtype == float32:
        exact = wide.fma(k, -_PI[1], wide.fma(k, -_PI[0], x64))
        return _short_sine(m, Cast(with_sign(exact), float32))
    result = with_sign(_long_sine(m, k, x64))
    # So small a number is its own sine; and -0.0 keeps its sign.
    return result if offset else m.where(m.op("lt", m.op("abs", x), 2.0**-30), x, result)


def _short_sine(m: Real, r: Expr) -> Expr:
    """float32: sin(r) for |r| <= pi / 2."""
    z = m.mul(r, r)
    return m.mul(r, m.mad(m.polynomial(z, _SIN[float32]), z, 1.0))


def _long_sine(m: Real, k: Expr, x: Expr) -> Expr:
    """float64: sin(x - k * pi) where that is between -pi / 2 and pi / 2.

    k * pi is taken off in three parts. The first two products are exact; what the second difference
    loses is kept (two-sum), since near a multiple of pi it is all that is left.
    """
    first = m.fma(k, -_PI_SHORT[0], x)
    second = m.mul(k, _PI_SHORT[1])
    high = m.sub(first, second)
    moved = m.sub(high, first)
    lost = m.sub(m.sub(first, m.sub(high, moved)), m.add(second, moved))
    low = m.fma(k, -_PI_SHORT[2], lost)
    r = m.add(high, low)
    rest = m.sub(low, m.sub(r, high))
    z = m.mul(r, r)
    slope = m.mul(rest, m.mad(z, -0.5, 1.0))  # sin(r + rest) = sin(r) + rest * cos(r)
    return m.add(r, m.mad(m.mul(r, z), m.polynomial(z, _SIN[float64]), slope))


def tanh(m: Real, x: Expr) -> Expr:
    """u / (u + 2) with u = e**(2*|x|) - 1 and the sign of x; u is exact where x is small."""
    size = m.op("min", m.op("abs", x), _TANH_IS_ONE[m.dtype])
    n, expm1 = _exp_reduced(m, m.mul(size, 2.0))
    scale = m.power_of_two(n)
    u = m.mad(scale, expm1, m.sub(scale, 1.0))
    return m.copy_sign(m.op("div", u, m.add(u, 2.0)), x)


def erf(m: Real, x: Expr) -> Expr:
    """A polynomial for |x| < 1; beyond, 1 - e**-p(|x|) with the sign of x."""
    size = m.op("min", m.op("abs", x), _ERF_IS_ONE[m.dtype])
    near = m.mad(m.polynomial(m.mul(x, x), _ERF[m.dtype]), x, x)
    n, expm1 = _exp_reduced(m, m.op("neg", m.polynomial(size, _ERFC[m.dtype])))
    scale = m.power_of_two(n)
    far = m.sub(1.0, m.mad(scale, expm1, scale))
    return m.where(m.op("lt", size, 1.0), near, m.copy_sign(far, x))


def pow(m: Real, x: Expr, y: Expr) -> Expr:
    """float32: e**(y * log(|x|)) in float64, and C's rules for signs and the special numbers."""
    wide = Real(float64, m.has_fma)
    size, infinite = m.op("abs", x), m.op("eq", m.op("abs", y), math.inf)
    power: Expr = exp(wide, wide.mul(Cast(y, float64), log(wide, Cast(size, float64))))
    result: Expr = Cast(power, float32)
    whole = m.op("eq", m.op("trunc", y), y)
    half = m.mul(y, 0.5)
    odd: Expr = Op("and", (whole, m.op("ne", m.op("trunc", half), half)))
    odd = Op("and", (odd, Op("not", (infinite,))))
    result = m.where(odd, m.copy_sign(result, x), result)
    below: Expr = Op("and", (m.op("lt", x, 0.0), m.op("ne", size, math.inf)))
    result = m.where(Op("and", (below, Op("not", (whole,)))), math.nan, result)
    at_one = Op("and", (m.op("eq", size, 1.0), infinite))
    is_one = Op("or", (at_one, Op("or", (m.op("eq", x, 1.0), m.op("eq", y, 0.0)))))
    return m.where(is_one, 1.0, result)


# --------------------------------------------------------------------------- rules

FUNCTIONS, ERF, ANGLES = Rules(), Rules(), Rules()
_EVERYWHERE: dict[str, Callable[..., Expr]] = {
    "exp": exp, "log": log, "tanh": tanh, "erf": erf,
}  # fmt: skip
_UP_TO_A_LIMIT: dict[str, Callable[..., Expr]] = {"sin": sin, "cos": cos}


@ERF.rule("erf", kinds="f")
@FUNCTIONS.rule(*_EVERYWHERE, kinds="f")
def expand_function(e: Op, native: Native) -> Expr | None:
    """exp(x)  ->  its polynomial, and so on for log, tanh and erf"""
    return _EVERYWHERE[e.op](Real(e.dtype, native.fma), *e.args)


@FUNCTIONS.rule(*_UP_TO_A_LIMIT, kinds="f")
def expand_within_limit(e: Op, native: Native) -> Expr | None:
    """sin(x)  ->  sin(x) if abs(x) > SIN_LIMIT in any lane else its polynomial;  cos likewise"""
    is_large: Expr = Op("lt", (Literal(SIN_LIMIT[e.dtype], e.dtype), Op("abs", e.args)))
    if e.lanes > 1:
        is_large = ReduceLanes("max", is_large)
    return Choose(is_large, e, _UP_TO_A_LIMIT[e.op](Real(e.dtype, native.fma), *e.args))


@FUNCTIONS.rule("pow", kinds="f")
def expand_power(e: Op, native: Native) -> Expr | None:
    """x ** 2  ->  x * x;   x ** y  ->  e ** (y * log(x))  of float32"""
    x, y = e.args
    exponent = scalar_of(y)
    if isinstance(exponent, Literal) and exponent.value == 2:
        return Op("mul", (x, x))
    return pow(Real(e.dtype, native.fma), x, y) if e.dtype == float32 else None


@ANGLES.rule("sin", "cos", kinds="f")
def part_large_lanes(e: Op, native: Native) -> Expr | None:
    """sin(x)  ->  sin(x) if abs(x) <= 2**20 in all lanes else the sine of each lane: some drivers
    lose a small lane's digits beside a large one"""
    if e.lanes == 1 or e.dtype != float32:
        return None
    (x,) = e.args
    are_small = ReduceLanes("min", Op("le", (Op("abs", (x,)), Literal(2.0**20, float32))))
    apart = Pack(tuple(Op(e.op, (Lanes(x, n, 1),)) for n in range(e.lanes)))
    return Choose(are_small, e, apart)
