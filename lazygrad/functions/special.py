"""`lazygrad.special`: the functions of `torch.special` that are here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..absent import absent_from
from ..dtypes import float64, get_default_dtype
from ..errors import KindError, told
from ..tensor import Tensor
from ..tensor.operands import result_dtype
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


def _both(name: str, x: Tensor | float, y: Tensor | float) -> tuple[Tensor, Tensor]:
    """Both arguments as tensors. Raises TypeError where neither is one."""
    if isinstance(x, Tensor):
        return x, x._as_tensor(name, y)
    if isinstance(y, Tensor):
        return y._as_tensor(name, x), y
    raise KindError(f"{name}: one of the two is a tensor, not {told(x)} and {told(y)}")


def entr(input: Tensor) -> Tensor:
    """-x log x; 0 at 0, -inf below.

    lazygrad.special.entr(Tensor([0.0, 1.0])).tolist() == [0.0, 0.0]
    """
    x = input._real("entr")
    inside = x.gt(0)
    value = -x * inside.where(x, 1.0).log()
    outside = x.eq(0).where(0.0, -math.inf).cast(x.dtype)
    return (inside | x.isnan()).where(value, outside)


def xlog1py(input: Tensor | float, other: Tensor | float) -> Tensor:
    """x log(1 + y); 0 where x is 0, unless y is nan.

    lazygrad.special.xlog1py(Tensor([0.0]), Tensor([5.0])).tolist() == [0.0]
    """
    x, y = _both("xlog1py", input, other)
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
    given = input._real("log_ndtr")
    x = given.cast(float64)
    far = x.lt(-20.0)
    inner, outer = far.where(-20.0, x), far.where(x, -20.0)
    square = 1 / (outer * outer)
    ratio = 1 - square * (1 - square * (3 - square * (15 - square * 105)))
    tail = outer * outer * -0.5 - (-outer).log() - 0.5 * math.log(2 * math.pi) + ratio.log()
    positive = inner.gt(0)
    low = positive.where(0.0, inner)
    upper = (positive.where(inner, 0.0) * math.sqrt(0.5)).erfc() * 0.5  # 1 - ndtr
    main = positive.where((-upper).log1p(), ((low * -math.sqrt(0.5)).erfc() * 0.5).log())
    return far.where(tail, main).cast(given.dtype)


def ndtri(input: Tensor) -> Tensor:
    """The inverse of `ndtr`.

    lazygrad.special.ndtri(Tensor([0.5])).tolist() == [0.0]
    """
    given = input._real("ndtri")
    made = (given.cast(float64) * 2 - 1).erfinv() * math.sqrt(2.0)
    return made.cast(given.dtype)


def zeta(input: Tensor | float, other: Tensor | float) -> Tensor:
    """Hurwitz's zeta function: the sum over k of (other + k) ** -input; inf for poles.

    lazygrad.special.zeta(Tensor([1.0]), Tensor([2.0])).tolist() == [float("inf")]
    """
    a, b = _both("zeta", input, other)
    s, q = a.cast(float64), b.cast(float64)
    value = hurwitz_zeta(s, q)
    pole = s.eq(1) | (q.le(0) & q.floor().eq(q))
    undefined = s.lt(1) | (q.le(0) & s.floor().ne(s))
    dtype = result_dtype((input, other))
    made = pole.where(math.inf, undefined.where(math.nan, value))
    return made.cast(dtype if dtype.is_float else get_default_dtype())


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

if not TYPE_CHECKING:
    __getattr__ = absent_from("lazygrad.special")
