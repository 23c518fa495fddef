"""`lazygrad.distributions`: random variables, with the names and meaning of PyTorch's.

    policy = Categorical(logits=scores)
    action = policy.sample()
    loss = -policy.log_prob(action) * reward

`sample` draws values; `rsample` draws such that gradients reach the parameters.

    base         Distribution: shapes, checks, what all have
    continuous   Normal, LogNormal, Uniform, Exponential, Laplace, Gumbel, MultivariateNormal
    discrete     Bernoulli, Geometric, Categorical, OneHotCategorical
    independent  Independent, kl_divergence
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..absent import DISTRIBUTIONS, absent_from
from .base import Distribution
from .continuous import (
    Exponential,
    Gumbel,
    Laplace,
    LogNormal,
    MultivariateNormal,
    Normal,
    Uniform,
)
from .discrete import Bernoulli, Categorical, Geometric, OneHotCategorical
from .independent import Independent, kl_divergence

__all__ = [
    "Bernoulli", "Categorical", "Distribution", "Exponential", "Geometric", "Gumbel",
    "Independent", "Laplace", "LogNormal", "MultivariateNormal", "Normal", "OneHotCategorical",
    "Uniform", "kl_divergence",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__, DISTRIBUTIONS)
