"""Several variables of a batch as one, and how far distributions are apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ArgumentError, check_integers
from ..linalg import solve_triangular
from ..tensor import Tensor
from .base import Distribution
from .continuous import Exponential, Laplace, LogNormal, MultivariateNormal, Normal, Uniform
from .discrete import Bernoulli, Categorical


class Independent(Distribution):
    """A distribution whose last axes of the batch are axes of an event: log_prob sums over them.

    Independent(Normal(Tensor.zeros(3), 1.0), 1).log_prob(Tensor.zeros(3)).shape == ()
    """

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        self.base_dist, self.reinterpreted_batch_ndims = (
            base_distribution,
            reinterpreted_batch_ndims,
        )
        batch, event = base_distribution.batch_shape, base_distribution.event_shape
        check_integers(reinterpreted_batch_ndims=reinterpreted_batch_ndims)
        if not 0 <= reinterpreted_batch_ndims <= len(batch):
            raise ArgumentError(
                f"Independent: {reinterpreted_batch_ndims} axes of a batch of shape {batch}"
            )
        kept = len(batch) - reinterpreted_batch_ndims
        super().__init__(batch[:kept], (*batch[kept:], *event), validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether gradients reach the parameters."""
        return self.base_dist.has_rsample

    def _summed(self, x: Tensor) -> Tensor:
        count = self.reinterpreted_batch_ndims
        return x.sum(tuple(range(-count, 0))) if count else x

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._summed(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        return self._summed(self.base_dist.entropy())

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The mean, over p, of log p - log q: of batch_shape. Raises NotImplementedError for kinds
    of which no closed form is known here.

    kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0)).item() == 0.5
    """
    if isinstance(p, Independent) and isinstance(q, Independent):
        if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
            raise NotImplementedError("kl_divergence: other numbers of axes of an event")
        return p._summed(kl_divergence(p.base_dist, q.base_dist))
    kinds = [next((k for k in type(x).__mro__ if k in DIVERGENCES), None) for x in (p, q)]
    if kinds[0] is not None and kinds[0] is kinds[1]:
        return DIVERGENCES[kinds[0]](p, q)
    raise NotImplementedError(
        f"kl_divergence: of a {type(p).__name__} and a {type(q).__name__}; write "
        "(p.log_prob(x) - q.log_prob(x)).mean() of x = p.rsample((n,))"
    )


def _normal(p: Normal, q: Normal) -> Tensor:
    """(r - 1 - log r + ((mp - mq) / sq)**2) / 2,  r = (sp / sq)**2"""
    ratio = (p.scale / q.scale).square()
    return (ratio - 1 - ratio.log() + ((p.loc - q.loc) / q.scale).square()) / 2


def _vectors(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    """(|Lq^-1 Lp|**2 + |Lq^-1 (mp - mq)|**2 - n) / 2 + log det Lq - log det Lp"""
    both = p.scale_tril.cat((p.loc - q.loc).unsqueeze(-1), axis=-1)
    size = solve_triangular(q.scale_tril, both, upper=False).square().sum((-2, -1))
    return (size - p.loc.shape[-1]) / 2 + q._log_det() - p._log_det()


def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    """p log(p / q) + (1 - p) log((1 - p) / (1 - q))"""
    yes = p.probs * ((-q.logits).softplus() - (-p.logits).softplus())
    return yes + (1 - p.probs) * (q.logits.softplus() - p.logits.softplus())


def _categorical(p: Categorical, q: Categorical) -> Tensor:
    terms = p.probs * (p.logits - q.logits)
    return p.probs.eq(0).where(0, terms).sum(-1)


def _exponential(p: Exponential, q: Exponential) -> Tensor:
    """r - 1 - log r,  r = q's rate / p's rate"""
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


def _laplace(p: Laplace, q: Laplace) -> Tensor:
    """(sp e**(-d / sp) + d) / sq + log(sq / sp) - 1,  d = |mp - mq|"""
    gap = (p.loc - q.loc).abs()
    return (p.scale * (-gap / p.scale).exp() + gap) / q.scale + (q.scale / p.scale).log() - 1


def _uniform(p: Uniform, q: Uniform) -> Tensor:
    """log(q's width / p's width); infinite where p reaches beyond q"""
    beyond = (q.low > p.low) | (q.high < p.high)
    return beyond.where(float("inf"), ((q.high - q.low) / (p.high - p.low)).log())


DIVERGENCES: dict[type[Distribution], Callable[[Any, Any], Tensor]] = {
    LogNormal: _normal, Normal: _normal, MultivariateNormal: _vectors, Bernoulli: _bernoulli,
    Categorical: _categorical, Exponential: _exponential, Laplace: _laplace, Uniform: _uniform,
}  # fmt: skip
"""The closed forms, by the kind that both are of."""
