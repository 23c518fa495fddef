"""Activations as functions; `inplace` gives the result to the input tensor, too."""

from __future__ import annotations

from typing import Any

from ...errors import ArgumentError, check_numbers
from ...tensor import Tensor
from ...tensor.mode import module_mode


def _given(x: Tensor, made: Tensor, inplace: bool) -> Tensor:
    """The result, or the input with the value of the result."""
    return x._update(made) if inplace else made


def _axis(x: Tensor, dim: int | None) -> int:
    """The axis that PyTorch chooses where none is given."""
    return (0 if x.ndim in (0, 1, 3) else 1) if dim is None else dim


def sigmoid(input: Tensor) -> Tensor:
    """`Tensor.sigmoid`.

    sigmoid(Tensor([0.0])).tolist() == [0.5]
    """
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """`Tensor.tanh`.

    tanh(Tensor([0.0])).tolist() == [0.0]
    """
    return input.tanh()


def logsigmoid(input: Tensor) -> Tensor:
    """`Tensor.logsigmoid`.

    logsigmoid(Tensor([100.0])).round().tolist() == [-0.0]
    """
    return input.logsigmoid()


def softsign(input: Tensor) -> Tensor:
    """`Tensor.softsign`.

    softsign(Tensor([-1.0, 3.0])).tolist() == [-0.5, 0.75]
    """
    return input.softsign()


def tanhshrink(input: Tensor) -> Tensor:
    """`Tensor.tanhshrink`.

    tanhshrink(Tensor([0.0])).tolist() == [0.0]
    """
    return input.tanhshrink()


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`Tensor.relu`.

    relu(Tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
    """
    return _given(input, input.relu(), inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`Tensor.relu6`.

    relu6(Tensor([-1.0, 2.0, 8.0])).tolist() == [0.0, 2.0, 6.0]
    """
    return _given(input, input.relu6(), inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """`Tensor.selu`.

    selu(Tensor([0.0])).tolist() == [0.0]
    """
    return _given(input, input.selu(), inplace)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`Tensor.silu`.

    silu(Tensor([0.0])).tolist() == [0.0]
    """
    return _given(input, input.silu(), inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """`Tensor.mish`.

    mish(Tensor([0.0])).tolist() == [0.0]
    """
    return _given(input, input.mish(), inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """`Tensor.hardsigmoid`.

    hardsigmoid(Tensor([-4.0, 0.0, 4.0])).tolist() == [0.0, 0.5, 1.0]
    """
    return _given(input, input.hardsigmoid(), inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """`Tensor.hardswish`.

    hardswish(Tensor([-4.0, 0.0, 4.0])).tolist() == [-0.0, 0.0, 4.0]
    """
    return _given(input, input.hardswish(), inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`Tensor.leaky_relu`.

    leaky_relu(Tensor([-100.0, 2.0]), 0.5).tolist() == [-50.0, 2.0]
    """
    return _given(input, input.leaky_relu(negative_slope), inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`Tensor.elu`.

    elu(Tensor([0.0, 2.0])).tolist() == [0.0, 2.0]
    """
    return _given(input, input.elu(alpha), inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`Tensor.celu`.

    celu(Tensor([0.0, 2.0])).tolist() == [0.0, 2.0]
    """
    return _given(input, input.celu(alpha), inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """`Tensor.hardtanh`.

    hardtanh(Tensor([-3.0, 0.5, 3.0])).tolist() == [-1.0, 0.5, 1.0]
    """
    return _given(input, input.hardtanh(min_val, max_val), inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`Tensor.threshold`.

    threshold(Tensor([0.5, 2.0]), 1.0, -1.0).tolist() == [-1.0, 2.0]
    """
    return _given(input, input.threshold(threshold, value), inplace)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """`Tensor.softplus`.

    softplus(Tensor([100.0])).tolist() == [100.0]
    """
    return input.softplus(beta, threshold)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`Tensor.softshrink`.

    softshrink(Tensor([-2.0, 0.2, 2.0])).tolist() == [-1.5, 0.0, 1.5]
    """
    return input.softshrink(lambd)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`Tensor.hardshrink`.

    hardshrink(Tensor([0.2, 2.0])).tolist() == [0.0, 2.0]
    """
    return input.hardshrink(lambd)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """`Tensor.gelu`.

    gelu(Tensor([0.0])).tolist() == [0.0]
    """
    return input.gelu(approximate)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`Tensor.prelu`.

    prelu(Tensor([[-2.0, 2.0]]), Tensor([0.5])).tolist() == [[-1.0, 2.0]]
    """
    return input.prelu(weight)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """`Tensor.glu`.

    glu(Tensor([4.0, 0.0])).tolist() == [2.0]
    """
    return input.glu(dim)


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """`Tensor.softmax`; without `dim`, along axis 0 of one or three axes, else along axis 1.

    softmax(Tensor([0.0, 0.0]), dim=0).tolist() == [0.5, 0.5]
    """
    return input.softmax(_axis(input, dim), dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """`Tensor.log_softmax`; without `dim`, along axis 0 of one or three axes, else along axis 1.

    log_softmax(Tensor([[5.0]]), 1).tolist() == [[0.0]]
    """
    return input.log_softmax(_axis(input, dim), dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """`softmax` of -x.

    softmin(Tensor([[1.0, 1.0]]), 1).tolist() == [[0.5, 0.5]]
    """
    return (-input).softmax(_axis(input, dim), dtype)


def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """x where x >= 0, else x times a slope: in training drawn for each element, uniform in
    [lower, upper), else (lower + upper) / 2 (Xu et al. 2015).

    rrelu(Tensor([-8.0, 2.0]), 0.5, 0.5).tolist() == [-4.0, 2.0]
    """
    check_numbers(lower=lower, upper=upper)
    slope: Any = (lower + upper) / 2
    if training:
        slope = Tensor.uniform(*input.shape, low=lower, high=upper, dtype=input.dtype,
                               device=input.device)  # fmt: skip
    return _given(input, (input >= 0).where(input, input * slope), inplace)


def gumbel_softmax(
    logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of the Gumbel-softmax distribution at temperature `tau` (Jang et al. 2017).

    `hard` gives the one-hot vector of the largest, with the gradient of the soft sample.

    gumbel_softmax(Tensor([[100.0, 0.0]]), hard=True).tolist() == [[1.0, 0.0]]
    """
    noise = -Tensor.empty_like(logits.detach()).exponential_().log()
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    axis = dim % soft.ndim
    chosen = soft.argmax(axis).one_hot(soft.shape[axis]).movedim(-1, axis).cast(soft.dtype)
    return chosen - soft.detach() + soft


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """0 with probability p, else x / (1 - p), if `training`; else x.

    dropout(Tensor([1.0]), training=False).tolist() == [1.0]
    """
    with module_mode(training):
        return _given(input, input.dropout(p), inplace)


def drop_channels(x: Tensor, p: float, spatial: int) -> Tensor:
    """x whose channels, before `spatial` axes, are zeroed whole with probability p."""
    shape = (*x.shape[: x.ndim - spatial], *(1,) * spatial)
    with module_mode(True):
        return x * Tensor.ones(*shape, dtype=x.dtype, device=x.device).dropout(p)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of (batch, channels, length), or without batch, are
    zeroed with probability p and the others scaled by 1 / (1 - p), if `training`.

    dropout1d(Tensor([[[1.0, 2.0]]]), 0.0).tolist() == [[[1.0, 2.0]]]
    """
    return _given(input, drop_channels(input, p, 1), inplace) if training else input


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of (batch, channels, height, width), or without batch, are
    zeroed with probability p and the others scaled by 1 / (1 - p), if `training`.

    dropout2d(Tensor([[[[1.0]]]]), 0.0).tolist() == [[[[1.0]]]]
    """
    return _given(input, drop_channels(input, p, 2), inplace) if training else input


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of (batch, channels, depth, height, width), or without batch, are
    zeroed with probability p and the others scaled by 1 / (1 - p), if `training`.

    dropout3d(Tensor.ones(1, 1, 1, 1, 1), 0.0).tolist() == [[[[[1.0]]]]]
    """
    return _given(input, drop_channels(input, p, 3), inplace) if training else input


_SELU_LEAST = -1.7580993408473766
"""What `selu` tends to at minus infinity."""


def _alpha_dropped(x: Tensor, p: float, shape: tuple[int, ...]) -> Tensor:
    """Elements at `_SELU_LEAST` with probability p; all scaled and shifted as `selu` wants it."""
    if not 0 <= p <= 1:
        raise ArgumentError(f"alpha_dropout: p is a probability, not {p}")
    if p == 1:
        return x * 0
    kept = Tensor.rand(*shape, device=x.device) >= p
    scale = ((1 - p) * (1 + p * _SELU_LEAST**2)) ** -0.5
    dropped: Tensor = kept.where(x, _SELU_LEAST) * scale - scale * _SELU_LEAST * p
    return dropped


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps the mean 0 and variance 1 of `selu`'s results (Klambauer et al. 2017).

    alpha_dropout(Tensor([1.0, 2.0]), 0.0).tolist() == [1.0, 2.0]
    """
    if not training or p == 0:
        return input
    return _given(input, _alpha_dropped(input, p, input.shape), inplace)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels (axis 1).

    feature_alpha_dropout(Tensor([[[1.0]]]), 0.0).tolist() == [[[1.0]]]
    """
    if not training or p == 0:
        return input
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return _given(input, _alpha_dropped(input, p, shape), inplace)


def relu_(input: Tensor) -> Tensor:
    """`relu`, in place."""
    return relu(input, inplace=True)


def selu_(input: Tensor) -> Tensor:
    """`selu`, in place."""
    return selu(input, inplace=True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu`, in place."""
    return elu(input, alpha, inplace=True)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu`, in place."""
    return celu(input, alpha, inplace=True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu`, in place."""
    return leaky_relu(input, negative_slope, inplace=True)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh`, in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """The module function `threshold`, in place."""
    return _given(input, input.threshold(threshold, value), True)


def rrelu_(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> Tensor:
    """`rrelu`, in place."""
    return rrelu(input, lower, upper, training, inplace=True)
