"""The gamma function's family and Bessel functions, element by element.

Each is computed in float64, by series whose terms are far smaller than float32 resolves, and given
in the dtype of its argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Self, TypeVar

from ..dtypes import float64
from ..errors import ArgumentError, check_integers
from ..graph import ir
from ..graph.ir import Node
from .core import Operand
from .losses import Losses

BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
"""The Bernoulli numbers B2, B4, ..."""
SHIFT = 10  # from where on the asymptotic series are as accurate as float64
ZETA_TERMS = 24
BESSEL_TERMS, BESSEL_BORDER = 60, 25.0  # of the power series, which is used up to there
_S = TypeVar("_S", bound="Special")


class Special(Losses):
    """Functions of `torch.special` that are methods of tensors too."""

    __slots__ = ()

    def _special(self, name: str, compute: Callable[[Self], Self]) -> Self:
        """`compute` of the values in float64, without gradient, in this tensor's dtype."""
        x = self._real(name)
        return compute(x.detach().cast(float64)).cast(x.dtype)

    def _with_derivative(self, value: Self, derivative: Callable[[Self], Self]) -> Self:
        """`value`, whose gradient with respect to this tensor is `derivative` of it."""
        x = self._real("special")

        def rule(g: Node, node: ir.Custom) -> tuple[Node | None, ...]:
            slope = derivative(self._from_node(node.primals[0], requires_grad=True))
            return (ir.Mul(g, slope._node),)

        return x._derived(ir.Custom(value._node, (x._node,), rule))

    def lgamma(self) -> Self:
        """log |Gamma(x)|: Stirling's series from 10 on, shifted there by Gamma(x + 1) = x Gamma(x),
        and Euler's reflection below 1/2."""
        return self._with_derivative(self._special("lgamma", _lgamma), lambda x: x.digamma())

    def digamma(self) -> Self:
        """The derivative of `lgamma`."""
        return self._with_derivative(self._special("digamma", _digamma), lambda x: x.polygamma(1))

    def polygamma(self, n: int) -> Self:
        """The derivative of order n of `digamma`. Raises ArgumentError for a negative n.

        polygamma(n, x) = (-1)**(n + 1) n! zeta(n + 1, x) for n > 0, with Hurwitz's zeta function.
        """
        check_integers(n=n)
        if n < 0:
            raise ArgumentError(f"polygamma: the order {n} is negative")
        if n == 0:
            return self.digamma()
        value = self._special("polygamma", lambda x: _polygamma(x, n))
        return self._with_derivative(value, lambda x: x.polygamma(n + 1))

    def mvlgamma(self, p: int) -> Self:
        """The logarithm of the multivariate gamma function of p dimensions:
        p (p - 1) / 4 log(pi) + sum over j < p of lgamma(x - j / 2)."""
        check_integers(p=p)
        if p < 1:
            raise ArgumentError(f"mvlgamma: p is 1 or more, not {p}")
        x = self._real("mvlgamma")
        total = x.lgamma() + p * (p - 1) / 4 * math.log(math.pi)
        for j in range(1, p):
            total = total + (x - j / 2).lgamma()
        return total

    def i0(self) -> Self:
        """The modified Bessel function of the first kind, of order 0."""
        x = self._real("i0")
        return x._bessel_scaled(0) * x.abs().exp()

    def _bessel_scaled(self, order: int) -> Self:
        """e**-|x| I(x) of order 0 or 1. With I0' = I1 and I1' = I0 - I1 / x, its derivative is of
        the same kind."""
        value = self._special("i0", lambda x: _bessel(x, order))

        def derivative(x: Self) -> Self:
            zeroth, first = x._bessel_scaled(0), x._bessel_scaled(1)
            if order == 0:
                return first - x.sign() * zeroth
            ratio = x.eq(0).where(0.5, first / x.eq(0).where(1.0, x))
            return zeroth - ratio - x.sign() * first

        return self._with_derivative(value, derivative)

    def logaddexp2(self, y: Operand) -> Self:
        """log2(2**x + 2**y) without overflow."""
        log2 = math.log(2.0)
        other = self._as_tensor("logaddexp2", y)._real("logaddexp2")
        return (self._real("logaddexp2") * log2).logaddexp(other * log2) / log2

    def ldexp(self, y: Operand) -> Self:
        """x * 2**y."""
        return self * self._as_tensor("ldexp", y)._real("ldexp").exp2()

    def isposinf(self) -> Self:
        """Whether each element is infinite and positive."""
        return self.isinf() & self.gt(0)

    def isneginf(self) -> Self:
        """Whether each element is infinite and negative."""
        return self.isinf() & self.lt(0)

    def isreal(self) -> Self:
        """True: there are no complex numbers."""
        return self.ones_like(dtype="bool")


# --------------------------------------------------------------------------- series, in float64


def _horner(x: _S, coefficients: Sequence[float]) -> _S:
    """c[0] + c[1] x + c[2] x**2 + ..."""
    total = x * 0 + coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def _above_half(x: _S) -> tuple[_S, _S]:
    """(whether x is below 1/2; x, or 1 - x where it is)."""
    low = x.lt(0.5)
    return low, low.where(1 - x, x)


def _lgamma(x: _S) -> _S:
    low, z = _above_half(x)
    near = z.lt(SHIFT)
    w = near.where(z + SHIFT, z)
    product = z
    for k in range(1, SHIFT):
        product = product * (z + k)
    inverse = 1 / w
    series = [b / (2 * k * (2 * k - 1)) for k, b in enumerate(BERNOULLI, 1)]
    stirling = (w - 0.5) * w.log() - w + 0.5 * math.log(2 * math.pi)
    value = stirling + inverse * _horner(inverse * inverse, series)
    value = value - near.where(product.log(), 0.0)
    sine = ((x - x.floor()) * math.pi).sin()
    value = low.where(math.log(math.pi) - sine.log() - value, value)
    return x.isinf().where(math.inf, value)


def _digamma(x: _S) -> _S:
    low, z = _above_half(x)
    near = z.lt(SHIFT)
    w = near.where(z + SHIFT, z)
    inverse = 1 / w
    series = [-b / (2 * k) for k, b in enumerate(BERNOULLI, 1)]
    square = inverse * inverse
    value = w.log() - 0.5 * inverse + square * _horner(square, series)
    steps = 1 / z
    for k in range(1, SHIFT):
        steps = steps + 1 / (z + k)
    value = value - near.where(steps, 0.0)
    fraction = x - x.floor()
    pole = x.eq(0).where(-(1 / x), math.nan)  # -inf at 0, +inf at -0.0; nan at other poles
    reflected = value - math.pi / (fraction * math.pi).tan()
    return low.where(fraction.eq(0).where(pole, reflected), value)


def hurwitz_zeta(s: float | _S, q: _S) -> _S:
    """sum over k of (q + k)**-s, by Euler and Maclaurin's formula after `ZETA_TERMS` terms.

    As accurate as float64 for q above 10 - ZETA_TERMS.
    """
    total = q**-s
    for k in range(1, ZETA_TERMS):
        total = total + (q + k) ** -s
    w = q + ZETA_TERMS
    power = w**-s
    total = total + power * w / (s - 1) + power * 0.5
    factor, power = s, power / w
    for j, b in enumerate(BERNOULLI, 1):
        total = total + factor * power * (b / math.factorial(2 * j))
        factor = factor * (s + 2 * j - 1) * (s + 2 * j)
        power = power / (w * w)
    return q.isinf().where(q.gt(0).where(0.0, math.nan), total)


def _polygamma(x: _S, n: int) -> _S:
    sign = 1 if n % 2 else -1
    if n > 1:
        return hurwitz_zeta(n + 1, x) * (sign * math.factorial(n))
    low, z = _above_half(x)
    value = hurwitz_zeta(2, z)
    sine = ((x - x.floor()) * math.pi).sin()
    return low.where(math.pi**2 / (sine * sine) - value, value)


def _bessel(x: _S, order: int) -> _S:
    """e**-|x| I(x) of order 0 or 1: the power series, and the asymptotic one for large |x|."""
    size = x.abs()
    near = size.lt(BESSEL_BORDER)
    inner = near.where(size, 0.0)
    quarter = inner * inner / 4
    powers = [1 / (math.factorial(k) * math.factorial(k + order)) for k in range(BESSEL_TERMS)]
    small = _horner(quarter, powers) * (inner / 2) ** order * (-inner).exp()
    outer = near.where(BESSEL_BORDER, size)
    terms, term = [1.0], 1.0
    for k in range(1, 16):
        term *= -(4 * order**2 - (2 * k - 1) ** 2) / (8 * k)
        terms.append(term)
    large = _horner(1 / outer, terms) / (outer * (2 * math.pi)).sqrt()
    value = near.where(small, large)
    return value * x.sign() if order else value
