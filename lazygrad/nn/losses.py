"""Losses as modules: each holds the settings of the function that it names, and has no parameters.

`reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .functional.losses import reduction_of
from .module import Layer


class _Loss(Layer):
    """A function of `functional`, called with a prediction, a target and the settings held.

    The two old flags of PyTorch, `size_average` and `reduce`, may be given by name.
    """

    _function: ClassVar[Callable[..., Tensor]]
    _settings: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        size_average: bool | str | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.reduction = reduction_of(reduction, size_average, reduce)

    def _set_weight(self, weight: Tensor | None, name: str = "weight") -> None:
        """Hold a weight, which moves along with the module."""
        self.register_buffer(name, None if weight is None else weight.detach())

    def forward(self, *inputs: Any) -> Tensor:
        settings = {name: getattr(self, name) for name in self._settings}
        return type(self)._function(*inputs, reduction=self.reduction, **settings)

    if TYPE_CHECKING:
        __call__ = forward


class CrossEntropyLoss(_Loss):
    """`Tensor.cross_entropy`: of scores and class indices, or class probabilities.

    CrossEntropyLoss()(Tensor([[100.0, 0.0]]), Tensor([0])).item() == 0.0
    """

    _function = F.cross_entropy
    _settings = ("weight", "ignore_index", "label_smoothing")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | str | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._set_weight(weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing


class NLLLoss(_Loss):
    """`Tensor.nll_loss`: of log-probabilities and class indices.

    NLLLoss()(Tensor([[-2.0, -3.0]]), Tensor([1])).item() == 3.0
    """

    _function = F.nll_loss
    _settings = ("weight", "ignore_index")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | str | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._set_weight(weight)
        self.ignore_index = ignore_index


class NLLLoss2d(NLLLoss):
    """`NLLLoss`, by its old name for images.

    NLLLoss2d()(Tensor.zeros(1, 3, 2, 2), Tensor.zeros(1, 2, 2).long()).item() == 0.0
    """


class BCELoss(_Loss):
    """`Tensor.binary_crossentropy`: of probabilities.

    BCELoss()(Tensor([1.0, 0.0]), Tensor([1.0, 0.0])).item() == 0.0
    """

    _function = F.binary_cross_entropy
    _settings = ("weight",)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | str | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._set_weight(weight)


class BCEWithLogitsLoss(_Loss):
    """`Tensor.binary_crossentropy_logits`: of scores.

    BCEWithLogitsLoss()(Tensor([200.0]), Tensor([1.0])).item() == 0.0
    """

    _function = F.binary_cross_entropy_with_logits
    _settings = ("weight", "pos_weight")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | str | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._set_weight(weight)
        self._set_weight(pos_weight, "pos_weight")


class MSELoss(_Loss):
    """(x - target)**2.

    MSELoss()(Tensor([1.0, 2.0]), Tensor([0.0, 0.0])).item() == 2.5
    """

    _function = F.mse_loss


class L1Loss(_Loss):
    """|x - target|.

    L1Loss(reduction="sum")(Tensor([1.0, -2.0]), Tensor([0.0, 0.0])).item() == 3.0
    """

    _function = F.l1_loss


class SmoothL1Loss(_Loss):
    """Squared distances near 0, distances beyond beta.

    SmoothL1Loss()(Tensor([3.0]), Tensor([0.0])).item() == 2.5
    """

    _function = F.smooth_l1_loss
    _settings = ("beta",)

    def __init__(
        self,
        size_average: bool | str | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta


class HuberLoss(_Loss):
    """Squared distances near 0, distances beyond delta.

    HuberLoss()(Tensor([3.0]), Tensor([0.0])).item() == 2.5
    """

    _function = F.huber_loss
    _settings = ("delta",)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta


class KLDivLoss(_Loss):
    """`functional.kl_div`: of log-probabilities and probabilities.

    KLDivLoss(reduction="sum")(Tensor([0.0]), Tensor([1.0])).item() == 0.0
    """

    _function = F.kl_div
    _settings = ("log_target",)

    def __init__(
        self,
        size_average: bool | str | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target


class PoissonNLLLoss(_Loss):
    """`functional.poisson_nll_loss`: of the logarithm of a rate and a count.

    PoissonNLLLoss()(Tensor([0.0]), Tensor([3.0])).item() == 1.0
    """

    _function = F.poisson_nll_loss
    _settings = ("log_input", "full", "eps")

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | str | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps


class GaussianNLLLoss(_Loss):
    """`functional.gaussian_nll_loss`: called with a mean, a target and a variance.

    GaussianNLLLoss()(Tensor([3.0]), Tensor([1.0]), Tensor([1.0])).item() == 2.0
    """

    _function = F.gaussian_nll_loss
    _settings = ("full", "eps")

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps


class SoftMarginLoss(_Loss):
    """log(1 + exp(-target * x)), for targets of 1 and -1.

    SoftMarginLoss()(Tensor([200.0]), Tensor([1.0])).item() == 0.0
    """

    _function = F.soft_margin_loss


class HingeEmbeddingLoss(_Loss):
    """x where the target is 1, max(0, margin - x) where it is -1.

    HingeEmbeddingLoss()(Tensor([0.25, 0.25]), Tensor([1, -1])).item() == 0.5
    """

    _function = F.hinge_embedding_loss
    _settings = ("margin",)

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | str | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class MultiLabelMarginLoss(_Loss):
    """`functional.multilabel_margin_loss`: of scores and lists of classes.

    MultiLabelMarginLoss()(Tensor([[3.0, 0.0]]), Tensor([[0, -1]])).item() == 0.0
    """

    _function = F.multilabel_margin_loss


class MultiLabelSoftMarginLoss(_Loss):
    """The mean over the classes of the binary cross entropy of sigmoid(x).

    MultiLabelSoftMarginLoss()(Tensor([[200.0]]), Tensor([[1.0]])).item() == 0.0
    """

    _function = F.multilabel_soft_margin_loss
    _settings = ("weight",)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | str | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._set_weight(weight)


class MultiMarginLoss(_Loss):
    """`functional.multi_margin_loss`: of scores and class indices.

    MultiMarginLoss()(Tensor([[0.0, 0.0]]), Tensor([0])).item() == 0.5
    """

    _function = F.multi_margin_loss
    _settings = ("p", "margin", "weight")

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | str | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._set_weight(weight)
        self.p, self.margin = p, margin


class MarginRankingLoss(_Loss):
    """max(0, -target * (x1 - x2) + margin): called with x1, x2 and the target.

    MarginRankingLoss(margin=1.0)(Tensor([1.0]), Tensor([3.0]), Tensor([1.0])).item() == 3.0
    """

    _function = F.margin_ranking_loss
    _settings = ("margin",)

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | str | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class CosineEmbeddingLoss(_Loss):
    """`functional.cosine_embedding_loss`: called with two vectors, and 1 or -1: near or far.

    CosineEmbeddingLoss()(Tensor([[1.0, 0.0]]), Tensor([[0.0, 1.0]]), Tensor([1])).item() == 1.0
    """

    _function = F.cosine_embedding_loss
    _settings = ("margin",)

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | str | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class TripletMarginLoss(_Loss):
    """`functional.triplet_margin_loss`: called with an anchor, a positive and a negative.

    TripletMarginLoss()(*(Tensor([[x]]) for x in (0.0, 0.0, 9.0))).item() == 0.0
    """

    _function = F.triplet_margin_loss
    _settings = ("margin", "p", "eps", "swap")

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | str | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with a distance of the user's own.

    TripletMarginWithDistanceLoss()(*(Tensor([[x]]) for x in (0.0, 0.0, 9.0))).item() == 0.0
    """

    _function = F.triplet_margin_with_distance_loss
    _settings = ("distance_function", "margin", "swap")

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.distance_function, self.margin, self.swap = distance_function, margin, swap


class CTCLoss(_Loss):
    """`functional.ctc_loss`: connectionist temporal classification (Graves et al. 2006).

    Called with log-probabilities, targets, and the lengths of both.

        scores = Tensor.zeros(4, 1, 3).log_softmax(2)  # (time, batch, classes)
        CTCLoss()(scores, Tensor([[1, 2]]), Tensor([4]), Tensor([2])).shape == ()
    """

    _function = F.ctc_loss
    _settings = ("blank", "zero_infinity")

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity
