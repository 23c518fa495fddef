"""Distributions of whole numbers, of probabilities or of their logits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from ..dtypes import float32
from ..errors import ArgumentError
from ..nn.functional import binary_cross_entropy_with_logits, one_hot
from ..tensor import Tensor
from .base import BOOLEAN, PROBABILITY, WEIGHT, WHOLE, Distribution, Domain, Number, parameters


def _epsilon(x: Tensor) -> float:
    """The distance from 1 to the next number."""
    return float(np.finfo(x.dtype.numpy if x.dtype.itemsize >= 4 else float32.numpy).eps)


def _either(name: str, probs: Number | None, logits: Number | None) -> Tensor:
    """The one of the two that is given. Raises ValueError for both or none."""
    if (probs is None) == (logits is None):
        raise ArgumentError(f"{name}: give probs or logits, not both")
    (given,) = parameters(probs if logits is None else logits)  # type: ignore[arg-type]
    return given


class _OfProbability(Distribution):
    """What has one probability for each element."""

    domains: ClassVar[Mapping[str, Domain]] = {"_probs": PROBABILITY}

    def __init__(
        self,
        probs: Number | None = None,
        logits: Number | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = _either(type(self).__name__, probs, logits)
        self._probs: Tensor | None = given if logits is None else None
        self._logits: Tensor | None = None if logits is None else given
        super().__init__(given.shape, (), validate_args)

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        if self._probs is not None:
            return self._probs
        assert self._logits is not None
        return self._logits.sigmoid()

    @property
    def logits(self) -> Tensor:
        """log(p / (1 - p)), of probabilities that are not nearer to 0 or 1 than rounding."""
        if self._logits is not None:
            return self._logits
        assert self._probs is not None
        p = self._probs.clamp(_epsilon(self._probs), 1 - _epsilon(self._probs))
        return p.log() - (-p).log1p()


class Bernoulli(_OfProbability):
    """1 with probability `probs`, else 0.

    Bernoulli(0.25).variance.item() == 0.1875
    """

    support = BOOLEAN

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with Tensor.no_grad():
            return self.probs.detach().expand(self._shape(sample_shape)).bernoulli()

    def _log_prob(self, value: Tensor) -> Tensor:
        logits, value = parameters(self.logits, value.cast(self.logits.dtype))
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        """The likelier value; nan where both are likely."""
        p = self.probs
        return p.eq(0.5).where(math.nan, (p >= 0.5).cast(p.dtype))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)


class Geometric(_OfProbability):
    """How many fail before the first that succeeds with probability `probs`.

    Geometric(0.5).mean.item() == 1.0
    """

    support = WHOLE

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with Tensor.no_grad():
            unit = self._unit(sample_shape, self.probs)
            return ((-unit).log1p() / (-self.probs.detach()).log1p()).floor()

    def _log_prob(self, value: Tensor) -> Tensor:
        p = self.probs
        never = p.eq(1) & value.eq(0)
        return value * (-never.where(0, p)).log1p() + p.log()

    def entropy(self) -> Tensor:
        p = self.probs
        return binary_cross_entropy_with_logits(self.logits, p, reduction="none") / p

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs


class Categorical(Distribution):
    """The numbers 0 to n - 1, by probabilities (..., n) in any scale, or by logits.

    Categorical(Tensor([1.0, 3.0])).probs.tolist() == [0.25, 0.75]
    """

    support = WHOLE
    domains: ClassVar[Mapping[str, Domain]] = {"_weights": WEIGHT}

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = _either(type(self).__name__, probs, logits)
        if given.ndim < 1:
            raise ArgumentError(f"{type(self).__name__}: needs one axis at least, shape is ()")
        self._weights = given if logits is None else None
        if logits is None:
            self.probs = given / given.sum(-1, keepdim=True)
            least = _epsilon(self.probs)
            self.logits = self.probs.clamp(least, 1 - least).log()
        else:
            self.logits = given - given.logsumexp(-1, keepdim=True)
            self.probs = self.logits.softmax(-1)
        super().__init__(given.shape[:-1], (), validate_args)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with Tensor.no_grad():
            rows = self.probs.detach().reshape(-1, self.probs.shape[-1])
            drawn = rows.multinomial(math.prod(sample_shape), replacement=True).T
            return drawn.reshape(*sample_shape, *self.batch_shape)

    def _log_prob(self, value: Tensor) -> Tensor:
        index = value.long().unsqueeze(-1)
        shape = (index + self.logits[..., :1].long()).shape[:-1]
        logits = self.logits.expand(*shape, self.logits.shape[-1])
        return logits.gather(-1, index.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Tensor:
        least = float(np.finfo(np.float32).min)
        return -(self.logits.clamp(min=least) * self.probs).sum(-1)

    @property
    def param_shape(self) -> tuple[int, ...]:
        """The shape of the probabilities."""
        return self.probs.shape

    @property
    def mean(self) -> Tensor:
        """nan: categories are no numbers."""
        return Tensor.full(self.batch_shape, math.nan, self.probs.dtype)

    variance = mean

    @property
    def mode(self) -> Tensor:
        """The likeliest category."""
        return self.probs.argmax(-1)


class OneHotCategorical(Categorical):
    """`Categorical`, of vectors that are 1 at the category and 0 elsewhere.

    OneHotCategorical(Tensor([0.0, 1.0])).sample().tolist() == [0.0, 1.0]
    """

    support = BOOLEAN

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(probs, logits, validate_args)
        self.event_shape = (self.probs.shape[-1],)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return one_hot(super().sample(sample_shape), self.event_shape[0]).cast(self.probs.dtype)

    def _log_prob(self, value: Tensor) -> Tensor:
        return super()._log_prob(value.argmax(-1))

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        """The likeliest vector."""
        return one_hot(super().mode, self.event_shape[0]).cast(self.probs.dtype)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)
