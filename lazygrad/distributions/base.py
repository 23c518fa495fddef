"""What all distributions have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from ..errors import ArgumentError, check_numbers
from ..functions import broadcast_tensors
from ..graph.ir import Shape
from ..tensor import Tensor
from ..tensor.ranges import known_values

Array = np.ndarray[Any, Any]
Number = float | Tensor


class Domain(NamedTuple):
    """Which numbers may stand somewhere, in words and as a function of arrays."""

    words: str
    contains: Callable[[Array], Any]


REAL = Domain("a number", lambda x: x == x)
POSITIVE = Domain("above 0", lambda x: x > 0)
PROBABILITY = Domain("from 0 to 1", lambda x: (x >= 0) & (x <= 1))
BOOLEAN = Domain("0 or 1", lambda x: (x == 0) | (x == 1))
WHOLE = Domain("a whole number from 0 on", lambda x: (x >= 0) & (x == np.floor(x)))
WEIGHT = Domain("finite and not negative", lambda x: (x >= 0) & (x < np.inf))


class Distribution:
    """A random variable for each element of `batch_shape`, of values of `event_shape`.

    Parameters and values that are known when a line runs are checked, unless `validate_args` is
    False: ArgumentError, which is a ValueError, says which number cannot be.

        from lazygrad.distributions import Normal
        Normal(Tensor.zeros(3), 1.0).sample((2,)).shape == (2, 3)
    """

    has_rsample: ClassVar[bool] = False
    support: ClassVar[Domain] = REAL
    domains: ClassVar[Mapping[str, Domain]] = {}  # of the parameters, by their names

    def __init__(
        self, batch_shape: Shape = (), event_shape: Shape = (), validate_args: bool | None = None
    ) -> None:
        self.batch_shape, self.event_shape = tuple(batch_shape), tuple(event_shape)
        self._validate = validate_args is not False
        for name, domain in self.domains.items():
            value = vars(self).get(name)
            if value is not None:
                self._check(name, value, domain)

    def _check(self, what: str, value: Tensor, domain: Domain) -> None:
        """Raise ArgumentError where a known value is outside of a domain."""
        values = known_values(value._node) if self._validate else None
        if values is not None and not (inside := domain.contains(values)).all():
            raise ArgumentError(
                f"{type(self).__name__}: {what.lstrip('_')} is {domain.words}, not "
                f"{values[~inside].flat[0]}"
            )

    def _shape(self, sample_shape: Sequence[int]) -> Shape:
        return (*sample_shape, *self.batch_shape, *self.event_shape)

    def _unit(self, sample_shape: Sequence[int], like: Tensor) -> Tensor:
        """Random numbers from 0 to 1, of the dtype and device of a parameter."""
        return Tensor.rand(*self._shape(sample_shape), dtype=like.dtype, device=like.device)

    def _bell(self, sample_shape: Sequence[int], like: Tensor) -> Tensor:
        """Normal random numbers, of the dtype and device of a parameter."""
        return Tensor.randn(*self._shape(sample_shape), dtype=like.dtype, device=like.device)

    # ------------------------------------------------------------------- values

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Random values (*sample_shape, *batch_shape, *event_shape), of which gradients reach the
        parameters. Raises NotImplementedError where there is no such way."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample; write sample")

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Random values (*sample_shape, *batch_shape, *event_shape), without gradient."""
        with Tensor.no_grad():
            return self.rsample(sample_shape).detach()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability, or of its density, at values."""
        value = value if isinstance(value, Tensor) else Tensor(value)
        self._check("a value", value, self.support)
        return self._log_prob(value)

    def _log_prob(self, value: Tensor) -> Tensor:
        raise NotImplementedError

    def prob(self, value: Tensor) -> Tensor:
        """The probability, or its density, at values."""
        return self.log_prob(value).exp()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to this one."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The value up to which the probability is this."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf")

    def entropy(self) -> Tensor:
        """The entropy, in nats: of batch_shape."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    def perplexity(self) -> Tensor:
        """e to the entropy."""
        return self.entropy().exp()

    # ------------------------------------------------------------------- moments

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        raise NotImplementedError(f"{type(self).__name__} has no mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    # ------------------------------------------------------------------- other shapes

    def expand(self, batch_shape: Sequence[int]) -> Self:
        """The same with parameters broadcast to another batch_shape."""
        before, batch = len(self.batch_shape), tuple(batch_shape)
        made = object.__new__(type(self))
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                value = value.expand(*batch, *value.shape[before:])
            setattr(made, name, value)
        made.batch_shape = batch
        return made

    def __repr__(self) -> str:
        told = [
            f"{name}: {value if not value.shape else value.shape}"
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        ]
        return f"{type(self).__name__}({', '.join(told)})"


def parameters(*values: Number) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of floats of one shape."""
    like = next((value for value in values if isinstance(value, Tensor)), None)
    for value in values:
        if not isinstance(value, Tensor):
            check_numbers(parameter=value)
    tensors = [
        value
        if isinstance(value, Tensor)
        else Tensor(float(value), dtype=None if like is None else like.dtype)
        for value in values
    ]
    return tuple(broadcast_tensors(*tensors)) if len(tensors) > 1 else tuple(tensors)
