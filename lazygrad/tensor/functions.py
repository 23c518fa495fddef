"""Functions of real numbers, element by element.

Integers and bools become float32, as in PyTorch. Where the textbook formula loses digits or
overflows, the one used here does not; a comment or the docstring says what it is.
"""

from __future__ import annotations

import math
from typing import Self, TypeVar

from ..dtypes import float64
from ..graph import ir
from ..graph.ir import Node
from .core import Operand
from .elementwise import UnaryMaker
from .operators import Operators
from .precision import rounded_once
from .recall import recalled

LOG2 = math.log(2.0)
_F = TypeVar("_F", bound="Functions")


class Functions(Operators):
    """Exponentials, logarithms, roots, trigonometry, rounding."""

    __slots__ = ()

    def _function(self, name: str, make: UnaryMaker) -> Self:
        return self._real(name)._unary(make)

    def _with_value(self, value: Self) -> Self:
        """`value`, with the gradient of this tensor: the same function, computed in a form whose
        values are less accurate but whose derivatives are right, to every order."""
        f, v = self._node, ir.Detach(value._node)
        # where both are infinite their difference is nan, so it is only added where they differ
        gap = ir.Where(ir.Equal(f, v), ir.Const(0, f.dtype, f.shape), ir.Sub(v, ir.Detach(f)))
        return self._derived(ir.Add(f, ir.Detach(gap)), value)

    # ------------------------------------------------------------------- exponentials, logarithms

    def exp(self) -> Self:
        """e ** x."""
        return self._function("exp", ir.Exp)

    def exp2(self) -> Self:
        """2 ** x."""
        return self._real("exp2").pow(2, reverse=True)

    @rounded_once()
    def expm1(self) -> Self:
        """e**x - 1, accurate near 0: it is tanh(x / 2) * (e**x + 1)."""
        x = self._real("expm1")
        exp = x.exp()
        return (exp - 1)._with_value((x * 0.5).tanh() * (exp + 1))

    def log(self) -> Self:
        """The natural logarithm; nan below 0."""
        return self._function("log", ir.Log)

    @rounded_once()
    def log2(self) -> Self:
        """The logarithm to base 2."""
        x = self._real("log2")
        return x.log() * (1 / LOG2)

    @rounded_once()
    def log10(self) -> Self:
        """The logarithm to base 10."""
        x = self._real("log10")
        return x.log() * (1 / math.log(10.0))

    @rounded_once()
    def log1p(self) -> Self:
        """log(1 + x), accurate near 0: log(u) + (x - (u - 1)) / u, with u = 1 + x rounded.

        The second term is what the rounding of u lost.
        """
        x = self._real("log1p")
        u = x + 1
        log = u.log()
        lost = (x - (u - 1)) / u
        return log._with_value(lost.isfinite().where(log + lost, log))

    @rounded_once(2)
    def logaddexp(self, y: Operand) -> Self:
        """log(e**x + e**y) without overflow."""
        a, b = self._real("logaddexp"), self._as_tensor("logaddexp", y)._real("logaddexp")
        larger = a >= b
        high, low = larger.where(a, b), larger.where(b, a)
        # of two equal infinities it is nan; other ties have a gradient
        gap = (low - high).masked_fill(low.eq(high) & high.isinf(), 0)
        result = high + gap.exp().log1p()
        return result

    def sqrt(self) -> Self:
        """The square root; nan below 0."""
        return self._function("sqrt", ir.Sqrt)

    @rounded_once()
    def rsqrt(self) -> Self:
        """1 / sqrt(x)."""
        x = self._real("rsqrt")
        return 1 / x.sqrt()

    def reciprocal(self) -> Self:
        """1 / x."""
        return 1 / self

    def square(self) -> Self:
        """x * x."""
        return self * self

    @recalled
    def sign(self) -> Self:
        """-1, 0 or 1 with x's dtype; its gradient is 0."""
        node = self._node
        if node.dtype.kind == "bool":
            return self.clone()
        above = self._from_node((self > 0)._node).cast(self.dtype)
        if node.dtype.kind == "uint":
            return above
        return self.isnan().where(self, above - (self < 0).cast(self.dtype))

    def copysign(self, y: Operand) -> Self:
        """|x| with the sign of y (of its sign bit, so -0.0 counts)."""
        x = self._real("copysign")
        other = self._as_tensor("copysign", y).cast(x.dtype)
        size = x.abs()
        return other._has_sign().where(-size, size)

    def erf(self) -> Self:
        """2/sqrt(pi) times the integral of exp(-t*t) from 0 to x."""
        return self._function("erf", ir.Erf)

    @rounded_once()
    def erfc(self) -> Self:
        """1 - erf(x), whose digits that difference would lose where it is small.

        Beyond 1 it is e**(-x*x) and a rational approximation (Cephes, S. Moshier: `ndtr.c`).
        """
        x = self._real("erfc")
        size = x.abs()
        tail = size > 1
        t = tail.where(size, 1.0).clamp(max=40.0)  # e**-1600 is 0 in any dtype
        head = (t * 16).floor() / 16  # its square is exact
        bell = (-head * head).exp() * ((head - t) * (head + t)).exp()
        near = _polynomial(t, _ERFC_P) / _polynomial(t, _ERFC_Q)
        far = _polynomial(t, _ERFC_R) / _polynomial(t, _ERFC_S)
        value = bell * (t < 8).where(near, far)
        return tail.where((x < 0).where(2 - value, value), 1 - x.erf())

    @rounded_once()
    def erfinv(self) -> Self:
        """The x that erf maps to this; infinite at -1 and 1, nan beyond them.

        A rational approximation (Giles 2012, "Approximating the erfinv function": single
        precision) made exact, derivatives and all, by two steps of Newton's method.
        """
        y = self._real("erfinv")
        inside = y.abs() < 1
        known = inside.where(y, 0)
        w = -((1 - known) * (1 + known)).log()
        near = _polynomial(w - 2.5, _ERFINV_NEAR)
        far = _polynomial(w.clamp(min=5).sqrt() - 3, _ERFINV_FAR)
        x = (w < 5).where(near, far) * known
        for _ in range(2):
            x = x - (x.erf() - known) * (x * x).exp() * (math.sqrt(math.pi) / 2)
        ends = y.sign().masked_fill(y.abs() > 1, math.nan) * math.inf
        return inside.where(x, ends)

    @rounded_once()
    def logit(self, eps: float | None = None) -> Self:
        """log(x / (1 - x)), of x brought into [eps, 1 - eps] if eps is given."""
        x = self._real("logit")
        x = x if eps is None else x.clamp(eps, 1 - eps)
        # not the logarithm of a quotient, whose gradient at 0 and 1 would be nan
        return x.log() - (-x).log1p()

    @rounded_once()
    def sinc(self) -> Self:
        """sin(pi x) / (pi x); 1 at 0."""
        x = self._real("sinc") * math.pi
        zero = x.eq(0)
        return zero.where(1, x.sin() / zero.where(1, x))

    @rounded_once(2)
    def xlogy(self, y: Operand) -> Self:
        """x * log(y); 0 where x is 0, unless y is nan."""
        x, other = self._real("xlogy"), self._as_tensor("xlogy", y)._real("xlogy")
        zero = x.eq(0) & other.isnan().logical_not()
        return zero.where(0, x * zero.where(1, other).log())

    @rounded_once(2)
    def hypot(self, y: Operand) -> Self:
        """sqrt(x*x + y*y), without overflow; its gradient at 0 is 0."""
        x, other = self._real("hypot").abs(), self._as_tensor("hypot", y)._real("hypot").abs()
        large, small = x.maximum(other), x.minimum(other)
        even = large.eq(0) | large.eq(math.inf)
        ratio = small / even.where(1, large)
        return even.where(large, large * (ratio * ratio + 1).sqrt())

    def deg2rad(self) -> Self:
        """Degrees as radians."""
        return self._real("deg2rad") * (math.pi / 180)

    def rad2deg(self) -> Self:
        """Radians as degrees."""
        return self._real("rad2deg") * (180 / math.pi)

    def signbit(self) -> Self:
        """Whether the sign bit is set: for negative numbers, and for -0.0."""
        return self._has_sign() if self.dtype.is_float else self < 0

    # ------------------------------------------------------------------- rounding

    def _rounded(self, make: UnaryMaker) -> Self:
        return self._unary(make) if self.dtype.is_float else self.clone()

    def floor(self) -> Self:
        """The largest integer <= x, with x's dtype."""
        return self._rounded(ir.Floor)

    def ceil(self) -> Self:
        """The smallest integer >= x, with x's dtype."""
        return self._rounded(ir.Ceil)

    def trunc(self) -> Self:
        """x without its fraction."""
        return self._rounded(ir.Trunc)

    def round(self, decimals: int = 0) -> Self:
        """The nearest integer (or multiple of 10**-decimals), halves to even."""
        if decimals == 0 or not self.dtype.is_float:
            return self._rounded(ir.Round)
        return self._rounded_to(decimals)

    @rounded_once()
    def _rounded_to(self, decimals: int) -> Self:
        scale = 10.0**decimals
        return (self * scale).round() / scale

    def frac(self) -> Self:
        """x - trunc(x)."""
        return self - self.trunc()

    # ------------------------------------------------------------------- trigonometry

    def sin(self) -> Self:
        """sin(x), x in radians."""
        return self._function("sin", ir.Sin)

    def cos(self) -> Self:
        """cos(x), x in radians."""
        return self._function("cos", ir.Cos)

    @rounded_once()
    def tan(self) -> Self:
        """sin(x) / cos(x)."""
        x = self._real("tan")
        return x.sin() / x.cos()

    @rounded_once()
    def atan(self) -> Self:
        """The angle in (-pi/2, pi/2) whose tangent is x.

        Arguments are brought to [0, tan(pi/8)] by atan(x) = pi/2 - atan(1/x) and
        atan(x) = pi/4 + atan((x - 1) / (x + 1)), where a rational or polynomial approximation
        serves (Cephes, S. Moshier: `atan.c` and `atanf.c`).
        """
        x = self._real("atan")
        negative = x < 0
        size = negative.where(-x, x)
        steep, middle = size > math.tan(3 * math.pi / 8), size > math.tan(math.pi / 8)
        # each branch divides by 1 where it is not taken, so that no nan enters its gradient
        inverse = -1 / steep.where(size, 1.0)
        inner = steep.where(1.0, size)
        reduced = steep.where(inverse, middle.where((inner - 1) / (inner + 1), size))
        start = steep.where(math.pi / 2, middle.where(x.full_like(math.pi / 4), 0.0))
        square = reduced * reduced
        if x.dtype == float64:
            series = _polynomial(square, _ATAN_P) / _polynomial(square, _ATAN_Q)
        else:
            series = _polynomial(square, _ATAN_FLOAT)
        angle = start + (reduced * square * series + reduced)
        return negative.where(-angle, angle)

    @rounded_once(2)
    def atan2(self, x: Operand) -> Self:
        """The angle of the point (x, y), where y is this tensor, in [-pi, pi]."""
        y, other = self._real("atan2"), self._as_tensor("atan2", x)._real("atan2")
        left, below = other._has_sign(), y._has_sign()
        wide, tall = other.abs(), y.abs()
        both_zero = wide.eq(0) & tall.eq(0)
        special = both_zero | (wide.eq(math.inf) & tall.eq(math.inf))
        flat = tall <= wide
        ratio = flat.where(y, other) / special.where(1, flat.where(other, y))
        diagonal = (left ^ below).where(-1.0, 1.0).masked_fill(both_zero, 0.0)
        angle = special.where(diagonal, ratio).atan()
        half_turn = below.where(y.full_like(-math.pi), math.pi)
        flat_angle = left.where(angle + half_turn, angle)
        return flat.where(flat_angle, half_turn * 0.5 - angle)

    def _has_sign(self) -> Self:
        """Whether the sign bit is set: also that of -0.0, which no comparison sees but 1 / x."""
        return (self < 0) | (self.eq(0) & (1 / self < 0))

    @rounded_once()
    def asin(self) -> Self:
        """The angle in [-pi/2, pi/2] whose sine is x; nan outside [-1, 1]."""
        x = self._real("asin")
        # tan of half the angle; its derivative at -1 and 1 is infinite, as it should be
        return (x / (1 + (1 - x).sqrt() * (1 + x).sqrt())).atan() * 2

    @rounded_once()
    def acos(self) -> Self:
        """The angle in [0, pi] whose cosine is x; nan outside [-1, 1]."""
        x = self._real("acos")
        # 2 atan(sqrt((1 - x) / (1 + x))) keeps its digits near x = 1, where pi/2 - asin(x) does not
        negative = x < 0
        size = negative.where(-x, x)
        angle = ((1 - size).sqrt() / (1 + size).sqrt()).atan() * 2
        return negative.where(math.pi - angle, angle)

    @rounded_once()
    def sinh(self) -> Self:
        """(e**x - e**-x) / 2: u/2 (1 + 1 / (u + 1)) with u = expm1(x), which keeps small x."""
        x = self._real("sinh")
        negative = x < 0
        half = (negative.where(-x, x) * 0.5).expm1()  # u = h (h + 2): its parts overflow later
        value = half * 0.5 * (half + 2) * (1 + 1 / (half + 1).square())
        return negative.where(-value, value)

    @rounded_once()
    def cosh(self) -> Self:
        """(e**x + e**-x) / 2."""
        x = self._real("cosh")
        negative = x < 0
        half = (negative.where(-x, x) * 0.5).exp()
        return half * (half * 0.5) + 0.5 / (half * half)

    def tanh(self) -> Self:
        """The hyperbolic tangent."""
        return self._function("tanh", ir.Tanh)

    @rounded_once()
    def asinh(self) -> Self:
        """log(x + sqrt(x*x + 1)) = sign(x) log1p(|x| + x*x / (1 + sqrt(x*x + 1)))."""
        x = self._real("asinh")
        negative = x < 0
        size = negative.where(-x, x)
        large = size > 1e6  # there it is log(2 |x|) to full precision, and x*x may overflow
        small = large.where(1.0, size)
        square = small * small
        near = (small + square / ((square + 1).sqrt() + 1)).log1p()
        value = large.where(large.where(size, 1.0).log() + LOG2, near)
        return negative.where(-value, value)

    @rounded_once()
    def acosh(self) -> Self:
        """log(x + sqrt(x*x - 1)) = log1p(t + sqrt(2 t + t*t)) with t = x - 1; nan below 1."""
        x = self._real("acosh")
        large = x > 1e6
        t = large.where(2.0, x) - 1
        near = (t + t.sqrt() * (t + 2).sqrt()).log1p()
        return large.where(large.where(x, 1.0).log() + LOG2, near)

    @rounded_once()
    def atanh(self) -> Self:
        """log((1 + x) / (1 - x)) / 2 = (log1p(x) - log1p(-x)) / 2; nan outside [-1, 1]."""
        x = self._real("atanh")
        return (x.log1p() - (-x).log1p()) * 0.5

    fix, sgn = trunc, sign
    arctan, arcsin, arccos, arctan2 = atan, asin, acos, atan2
    arcsinh, arccosh, arctanh = asinh, acosh, atanh


def _polynomial(x: _F, coefficients: tuple[float, ...]) -> _F:
    """c[0] x**n + ... + c[n] by Horner's rule."""
    node, dtype, shape = x._node, x.dtype, x.shape
    total: Node = ir.Const(coefficients[0], dtype, shape)
    for coefficient in coefficients[1:]:
        total = ir.Add(ir.Mul(total, node), ir.Const(coefficient, dtype, shape))
    return x._derived(total)


# erfinv(x) / x as polynomials of -log(1 - x*x) - 2.5 and of its root - 3; Giles 2012, table 5
_ERFINV_NEAR = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 2.1858087e-04,
    -1.25372503e-03, -4.17768164e-03, 2.46640727e-01, 1.50140941,
)  # fmt: skip
_ERFINV_FAR = (
    -2.00214257e-04, 1.00950558e-04, 1.34934322e-03, -3.67342844e-03, 5.73950773e-03,
    -7.6224613e-03, 9.43887047e-03, 1.00167406, 2.83297682,
)  # fmt: skip
# erfc(x) = e**(-x*x) P(x) / Q(x) from 1 to 8, R(x) / S(x) from there on; Cephes ndtr.c
_ERFC_P = (
    2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687,
    4.86371970985681366614e1, 1.96520832956077098242e2, 5.26445194995477358631e2,
    9.34528527171957607540e2, 1.02755188689515710272e3, 5.57535335369399327526e2,
)  # fmt: skip
_ERFC_Q = (
    1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2,
    9.75708501743205489753e2, 1.82390916687909736289e3, 2.24633760818710981792e3,
    1.65666309194161350182e3, 5.57535340817727675546e2,
)  # fmt: skip
_ERFC_R = (
    5.64189583547755073984e-1, 1.27536670759978104416, 5.01905042251180477414,
    6.16021097993053585195, 7.40974269950448939160, 2.97886665372100240670,
)  # fmt: skip
_ERFC_S = (
    1.0, 2.26052863220117276590, 9.39603524938001434673, 1.20489539808096656605e1,
    1.70814450747565897222e1, 9.60896809063285878198, 3.36907645100081516050,
)  # fmt: skip
# atan(x) = x + x**3 P(x*x) / Q(x*x) for |x| <= tan(pi/8); Cephes atan.c
_ATAN_P = (
    -8.750608600031904122785e-1, -1.615753718733365076637e1, -7.500855792314704667340e1,
    -1.228866684490136173410e2, -6.485021904942025371773e1,
)  # fmt: skip
_ATAN_Q = (
    1.0, 2.485846490142306297962e1, 1.650270098316988542046e2, 4.328810604912902668951e2,
    4.853903996359136964868e2, 1.945506571482613964425e2,
)  # fmt: skip
# atan(x) = x + x**3 P(x*x) in float32; Cephes atanf.c
_ATAN_FLOAT = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
