"""Distributions with densities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from ..errors import ArgumentError, ShapeError
from ..linalg import cholesky, inv, solve_triangular
from ..tensor import Tensor
from .base import POSITIVE, Distribution, Domain, Number, parameters

EULER = 0.5772156649015329


class Normal(Distribution):
    """Of mean `loc` and standard deviation `scale`.

    Normal(0.0, 2.0).cdf(Tensor(0.0)).item() == 0.5
    """

    has_rsample = True
    domains: ClassVar[Mapping[str, Domain]] = {"scale": POSITIVE}

    def __init__(self, loc: Number, scale: Number, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.loc + self._bell(sample_shape, self.loc) * self.scale

    def _log_prob(self, value: Tensor) -> Tensor:
        """-((x - m) / s)**2 / 2 - log s - log(2 pi) / 2"""
        unit = (value - self.loc) / self.scale
        return -(unit * unit) / 2 - self.scale.log() - math.log(2 * math.pi) / 2

    def cdf(self, value: Tensor) -> Tensor:
        return (((value - self.loc) / (self.scale * math.sqrt(2))).erf() + 1) / 2

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * (value * 2 - 1).erfinv() * math.sqrt(2)

    def entropy(self) -> Tensor:
        return self.scale.log() + (math.log(2 * math.pi) + 1) / 2

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        return self.scale.square()

    @property
    def stddev(self) -> Tensor:
        return self.scale


class LogNormal(Normal):
    """e to a normal variable of mean `loc` and standard deviation `scale`.

    LogNormal(0.0, 1.0).sample((3,)).shape == (3,)
    """

    support = POSITIVE

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return super().rsample(sample_shape).exp()

    def _log_prob(self, value: Tensor) -> Tensor:
        log = value.log()
        return super()._log_prob(log) - log

    def cdf(self, value: Tensor) -> Tensor:
        return super().cdf(value.log())

    def icdf(self, value: Tensor) -> Tensor:
        return super().icdf(value).exp()

    def entropy(self) -> Tensor:
        return super().entropy() + self.loc

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale.square() / 2).exp()

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Tensor:
        square = self.scale.square()
        return square.expm1() * (self.loc * 2 + square).exp()

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()


class Uniform(Distribution):
    """From `low` up to, not including, `high`.

    Uniform(0.0, 2.0).mean.item() == 1.0
    """

    has_rsample = True

    def __init__(self, low: Number, high: Number, validate_args: bool | None = None) -> None:
        self.low, self.high = parameters(low, high)
        super().__init__(self.low.shape, (), validate_args)
        self._check("high - low", (self.high - self.low).detach().realize(), POSITIVE)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        unit = self._unit(sample_shape, self.low)
        return self.low + unit * (self.high - self.low)

    def _log_prob(self, value: Tensor) -> Tensor:
        inside = (self.low <= value) & (value < self.high)
        return inside.cast(self.low.dtype).log() - (self.high - self.low).log()

    def cdf(self, value: Tensor) -> Tensor:
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        return self.low + value * (self.high - self.low)

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def mode(self) -> Tensor:
        """nan: all values are as likely."""
        return self.low * math.nan

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).square() / 12


class Exponential(Distribution):
    """Of density rate * e**(-rate * x), x from 0 on.

    Exponential(2.0).mean.item() == 0.5
    """

    has_rsample = True
    domains: ClassVar[Mapping[str, Domain]] = {"rate": POSITIVE}

    def __init__(self, rate: Number, validate_args: bool | None = None) -> None:
        (self.rate,) = parameters(rate)
        super().__init__(self.rate.shape, (), validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        unit = self._unit(sample_shape, self.rate)
        return -(-unit).log1p() / self.rate

    def _log_prob(self, value: Tensor) -> Tensor:
        return self.rate.log() - self.rate * value

    def cdf(self, value: Tensor) -> Tensor:
        return -(-self.rate * value).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        return -(-value).log1p() / self.rate

    def entropy(self) -> Tensor:
        return 1 - self.rate.log()

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def mode(self) -> Tensor:
        """The most likely value: 0."""
        return self.rate.zeros_like()

    @property
    def variance(self) -> Tensor:
        return 1 / self.rate.square()


class Laplace(Distribution):
    """Of density e**(-|x - loc| / scale) / (2 * scale).

    Laplace(1.0, 1.0).variance.item() == 2.0
    """

    has_rsample = True
    domains: ClassVar[Mapping[str, Domain]] = {"scale": POSITIVE}

    def __init__(self, loc: Number, scale: Number, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        unit = self._unit(sample_shape, self.loc)
        return self.icdf(unit)

    def _log_prob(self, value: Tensor) -> Tensor:
        return -(self.scale * 2).log() - (value - self.loc).abs() / self.scale

    def cdf(self, value: Tensor) -> Tensor:
        gap = value - self.loc
        return 0.5 - gap.sign() * (-gap.abs() / self.scale).expm1() / 2

    def icdf(self, value: Tensor) -> Tensor:
        term = value - 0.5
        return self.loc - self.scale * term.sign() * (term.abs() * -2).log1p()

    def entropy(self) -> Tensor:
        return (self.scale * 2).log() + 1

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * 2


class Gumbel(Distribution):
    """The largest of many: its cumulative distribution is e**-e**(-(x - loc) / scale).

    Gumbel(0.0, 1.0).sample((2,)).shape == (2,)
    """

    has_rsample = True
    domains: ClassVar[Mapping[str, Domain]] = {"scale": POSITIVE}

    def __init__(self, loc: Number, scale: Number, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        unit = self._unit(sample_shape, self.loc)
        tiny = 2.0**-126
        return self.loc - self.scale * (-unit.clamp(min=tiny).log()).clamp(min=tiny).log()

    def _log_prob(self, value: Tensor) -> Tensor:
        unit = (self.loc - value) / self.scale
        return unit - unit.exp() - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        return (-((self.loc - value) / self.scale).exp()).exp()

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + EULER)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * EULER

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (math.pi**2 / 6)


class MultivariateNormal(Distribution):
    """Vectors of mean `loc` (..., n), of a covariance matrix (..., n, n), of its inverse, or of its
    lower triangular factor `scale_tril`.

    MultivariateNormal(Tensor.zeros(2), Tensor.eye(2)).sample((5,)).shape == (5, 2)
    """

    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            raise ArgumentError(
                "MultivariateNormal: one of covariance_matrix, precision_matrix and scale_tril"
            )
        if not loc.shape:
            raise ShapeError("MultivariateNormal: loc is a vector at least, not of shape ()")
        if scale_tril is None:
            matrix = given[0] if precision_matrix is None else inv(given[0])
            scale_tril = cholesky(matrix)
        batch = (loc[..., None] + scale_tril).shape[:-2]
        self.loc = loc.expand(*batch, loc.shape[-1])
        self.scale_tril = scale_tril.expand(*batch, *scale_tril.shape[-2:])
        super().__init__(batch, loc.shape[-1:], validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        unit = self._bell(sample_shape, self.loc)
        return self.loc + (self.scale_tril @ unit.unsqueeze(-1)).squeeze(-1)

    def _log_prob(self, value: Tensor) -> Tensor:
        """-|L^-1 (x - m)|**2 / 2 - log det L - n log(2 pi) / 2"""
        gap = (value - self.loc).unsqueeze(-1)
        factor = self.scale_tril.expand(*gap.shape[:-2], *self.scale_tril.shape[-2:])
        unit = solve_triangular(factor, gap, upper=False).squeeze(-1)
        constant = self.loc.shape[-1] * math.log(2 * math.pi)
        return -(unit.square().sum(-1) + constant) / 2 - self._log_det()

    def _log_det(self) -> Tensor:
        return self.scale_tril.diagonal(0, -2, -1).log().sum(-1)

    def entropy(self) -> Tensor:
        return self._log_det() + self.loc.shape[-1] * (1 + math.log(2 * math.pi)) / 2

    @property
    def covariance_matrix(self) -> Tensor:
        """L L'."""
        return self.scale_tril @ self.scale_tril.mT

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        return self.scale_tril.square().sum(-1)
