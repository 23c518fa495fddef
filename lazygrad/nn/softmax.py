"""A softmax of very many classes, of which the rare ones are computed by smaller maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ArgumentError, check_integers, told
from ..tensor import Tensor
from .containers import ModuleList, Sequential
from .layers import Linear
from .module import Layer


class AdaptiveOutput(NamedTuple):
    """The log-probability of each target, and minus their mean."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Layer):
    """A log-softmax and its loss (Grave et al. 2017): the classes up to `cutoffs[0]` have a row
    each, those in later clusters share one, and a map of in_features / div_value**i values.

    Classes are numbered by how often they occur, the most frequent first.

        layer = AdaptiveLogSoftmaxWithLoss(8, 10, cutoffs=[4])
        layer.log_prob(Tensor.ones(2, 8)).shape == (2, 10)
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_integers(in_features=in_features, n_classes=n_classes)
        ends = list(cutoffs)
        if not ends or ends != sorted(set(ends)) or min(ends) <= 0 or max(ends) > n_classes - 1:
            raise ArgumentError(
                f"cutoffs should be integers in rising order from 1 to n_classes - 1, as "
                f"{told(cutoffs)} of {n_classes} classes are not"
            )
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs, self.div_value, self.head_bias = [*ends, n_classes], div_value, head_bias
        self.shortlist_size, self.n_clusters = ends[0], len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, width, False, device, dtype),
                    Linear(width, size, False, device, dtype),
                )
            )

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes: (batch, in_features) -> (batch, n_classes)."""
        head = self.head(input).log_softmax(1)
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            cluster = head[:, self.shortlist_size + i].unsqueeze(1)
            parts.append(tail(input).log_softmax(1) + cluster)
        return Tensor.cat(*parts, axis=1)

    def forward(self, input: Tensor, target: Tensor) -> AdaptiveOutput:
        """(batch, in_features) and class indices (batch), or one of each."""
        x = input.unsqueeze(0) if input.ndim == 1 else input
        t = target.reshape(-1)
        picked = -self.log_prob(x).nll_loss(t, reduction="none")
        loss = -picked.mean()
        return AdaptiveOutput(picked.squeeze(0) if input.ndim == 1 else picked, loss)

    if TYPE_CHECKING:
        __call__ = forward

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row."""
        return self.log_prob(input).argmax(1)
