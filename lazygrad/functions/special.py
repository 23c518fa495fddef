"""`lazygrad.special`: the functions of `torch.special` that are here."""

from __future__ import annotations

import math

from ..dtypes import float64
from ..tensor import Tensor
from ..tensor.special import hurwitz_zeta
from .forms import polygamma
from .methods import (
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    i0,
    lgamma,
    log1p,
    log_softmax,
    logit,
    logsumexp,
    mvlgamma,
    round,
    sigmoid,
    sinc,
    softmax,
    xlogy,
)

expit, gammaln, psi, multigammaln = sigmoid, lgamma, digamma, mvlgamma


def entr(input: Tensor) -> Tensor:
    """-x log x; 0 at 0, -inf below.

    lazygrad.special.entr(Tensor([0.0, 1.0])).tolist() == [0.0, 0.0]
    """
    inside = input.gt(0)
    value = -input * inside.where(input, 1.0).log()
    return (inside | input.isnan()).where(value, input.eq(0).where(0.0, -math.inf))


def xlog1py(input: Tensor | float, other: Tensor | float) -> Tensor:
    """x log(1 + y); 0 where x is 0, unless y is nan.

    lazygrad.special.xlog1py(Tensor([0.0]), Tensor([5.0])).tolist() == [0.0]
    """
    like = input if isinstance(input, Tensor) else other
    assert isinstance(like, Tensor)
    x, y = (like._as_tensor("xlog1py", value) for value in (input, other))
    zero = x.eq(0) & y.isnan().logical_not()
    return zero.where(0.0, x * zero.where(0.0, y).log1p())


def ndtr(input: Tensor) -> Tensor:
    """The distribution function of the standard normal distribution.

    lazygrad.special.ndtr(Tensor([0.0])).tolist() == [0.5]
    """
    return (input * -math.sqrt(0.5)).erfc() * 0.5


def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of `ndtr`, without underflow: below -20 the first terms of Mills' ratio.

    lazygrad.special.log_ndtr(Tensor([100.0])).tolist() == [0.0]
    """
    x = input.cast(float64)
    far = x.lt(-20.0)
    inner, outer = far.where(-20.0, x), far.where(x, -20.0)
    square = 1 / (outer * outer)
    ratio = 1 - square * (1 - square * (3 - square * (15 - square * 105)))
    tail = outer * outer * -0.5 - (-outer).log() - 0.5 * math.log(2 * math.pi) + ratio.log()
    positive = inner.gt(0)
    low = positive.where(0.0, inner)
    upper = (positive.where(inner, 0.0) * math.sqrt(0.5)).erfc() * 0.5  # 1 - ndtr
    main = positive.where((-upper).log1p(), ((low * -math.sqrt(0.5)).erfc() * 0.5).log())
    return far.where(tail, main).cast(input.dtype if input.is_floating_point() else "float32")


def ndtri(input: Tensor) -> Tensor:
    """The inverse of `ndtr`.

    lazygrad.special.ndtri(Tensor([0.5])).tolist() == [0.0]
    """
    x = input.cast(float64)
    made = (x * 2 - 1).erfinv() * math.sqrt(2.0)
    return made.cast(input.dtype if input.is_floating_point() else "float32")


def zeta(input: Tensor | float, other: Tensor | float) -> Tensor:
    """Hurwitz's zeta function: the sum over k of (other + k) ** -input; inf for poles.

    lazygrad.special.zeta(Tensor([1.0]), Tensor([2.0])).tolist() == [float("inf")]
    """
    like = input if isinstance(input, Tensor) else other
    assert isinstance(like, Tensor)
    s, q = (like._as_tensor("zeta", value).cast(float64) for value in (input, other))
    value = hurwitz_zeta(s, q)
    pole = s.eq(1) | (q.le(0) & q.floor().eq(q))
    undefined = s.lt(1) | (q.le(0) & s.floor().ne(s))
    made = pole.where(math.inf, undefined.where(math.nan, value))
    return made.cast(like.dtype if like.is_floating_point() else "float32")


def i0e(input: Tensor) -> Tensor:
    """`i0` times e**-|x|.

    lazygrad.special.i0e(Tensor([0.0])).tolist() == [1.0]
    """
    return input._bessel_scaled(0)


def i1(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind, of order 1.

    lazygrad.special.i1(Tensor([0.0])).tolist() == [0.0]
    """
    return input._bessel_scaled(1) * input.abs().exp()


def i1e(input: Tensor) -> Tensor:
    """`i1` times e**-|x|.

    lazygrad.special.i1e(Tensor([0.0])).tolist() == [0.0]
    """
    return input._bessel_scaled(1)


__all__ = [
    "digamma", "entr", "erf", "erfc", "erfinv", "exp2", "expit", "expm1", "gammaln", "i0", "i0e",
    "i1", "i1e", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp", "multigammaln", "ndtr",
    "ndtri", "polygamma", "psi", "round", "sinc", "softmax", "xlog1py", "xlogy", "zeta",
]  # fmt: skip
