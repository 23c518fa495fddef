"""Initial weights, set in place, with the names and numerics of `torch.nn.init`.

    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")

Each function gives a tensor other values, without gradient, and returns it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..absent import absent_from
from ..errors import ArgumentError, ShapeError, check_numbers, told
from ..tensor import Tensor

_GAINS = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "conv_transpose1d": 1.0,
          "conv_transpose2d": 1.0, "conv_transpose3d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3,
          "relu": math.sqrt(2), "selu": 3 / 4}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What keeps the variance of signals through a nonlinearity: relu's is the root of 2.

    `param` is the slope of "leaky_relu", 0.01 unless given. Raises ValueError for another name.

        calculate_gain("tanh") == 5 / 3
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ArgumentError(f"negative_slope {told(param)} is no number")
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        known = ", ".join(["leaky_relu", *_GAINS])
        raise ArgumentError(f"nonlinearity {nonlinearity!r} is none of {known}")
    return _GAINS[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in [a, b).

    uniform_(Tensor.empty(2), 3.0, 3.0).tolist() == [3.0, 3.0]
    """
    with Tensor.no_grad():
        return tensor.uniform_(a, b)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal with a mean and a standard deviation.

    normal_(Tensor.empty(2), 3.0, 0.0).tolist() == [3.0, 3.0]
    """
    with Tensor.no_grad():
        return tensor.normal_(mean, std)


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Tensor:
    """Normal, between a and b: the inverse of the distribution at uniform numbers.

    bool((trunc_normal_(Tensor.empty(100), a=-1.0, b=1.0).abs() <= 1).all()) is True
    """

    check_numbers(mean=mean, std=std, a=a, b=b)

    def below(x: float) -> float:
        return (1 + math.erf(x / math.sqrt(2))) / 2

    low, high = below((a - mean) / std), below((b - mean) / std)
    with Tensor.no_grad():
        tensor.uniform_(2 * low - 1, 2 * high - 1)
        drawn = tensor.detach().erfinv() * (std * math.sqrt(2)) + mean
        return tensor.assign(drawn.clamp(a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value.

    constant_(Tensor.empty(2), 7.0).tolist() == [7.0, 7.0]
    """
    with Tensor.no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """1.

    ones_(Tensor.empty(2)).tolist() == [1.0, 1.0]
    """
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """0.

    zeros_(Tensor.empty(2)).tolist() == [0.0, 0.0]
    """
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """1 on the diagonal of a matrix, 0 elsewhere.

    eye_(Tensor.empty(2, 2)).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    """
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: {tensor.shape} is no matrix")
    rows, columns = tensor.shape
    return tensor.assign(Tensor.eye(rows, columns, dtype=tensor.dtype, device=tensor.device))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Convolutions that give their inputs: 1 in the middle of kernel i of channel i.

    dirac_(Tensor.empty(1, 1, 3)).tolist() == [[[0.0, 1.0, 0.0]]]
    """
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_: {tensor.shape} is no weight of a convolution: 3 to 5 axes")
    if tensor.shape[0] % groups:
        raise ShapeError(f"dirac_: {groups} groups do not divide the channels of {tensor.shape}")
    values = np.zeros(tensor.shape, np.float32)
    outs = tensor.shape[0] // groups
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(outs, tensor.shape[1])):
            values[(group * outs + channel, channel, *middle)] = 1
    return tensor.assign(Tensor(values, device=tensor.device))


def _fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output has, and how many outputs an input."""
    if tensor.ndim < 2:
        raise ShapeError(f"{tensor.shape} has no inputs and outputs: it needs 2 axes or more")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform in [-a, a), with a = gain * sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010).

    bool((xavier_uniform_(Tensor.empty(3, 3)).abs() <= 1).all()) is True
    """
    bound = gain * math.sqrt(6 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal, with std = gain * sqrt(2 / (fan in + fan out)) (Glorot and Bengio 2010).

    xavier_normal_(Tensor.empty(3, 4)).shape == (3, 4)
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans(tensor))))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ArgumentError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan = _fans(tensor)[mode.lower() == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Uniform in [-b, b), with b = gain * sqrt(3 / fan) (He et al. 2015).

    bool((kaiming_uniform_(Tensor.empty(4, 6)).abs() <= 1).all()) is True
    """
    if 0 in tensor.shape:
        return tensor
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Normal, with std = gain / sqrt(fan) (He et al. 2015).

    kaiming_normal_(Tensor.empty(3, 4)).shape == (3, 4)
    """
    if 0 in tensor.shape:
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Rows, or columns, that are orthonormal, times `gain` (Saxe et al. 2013).

    They are those of the QR decomposition of a normal matrix, computed by NumPy.

        q = orthogonal_(Tensor.empty(3, 3))
        (q @ q.T).allclose(Tensor.eye(3), atol=1e-5) is True
    """
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: {tensor.shape} needs 2 axes or more")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    drawn = Tensor.randn(rows, columns).numpy().astype(np.float64)
    q, r = np.linalg.qr(drawn.T if rows < columns else drawn)
    q = q * np.sign(np.diag(r))
    q = q.T if rows < columns else q
    values = np.ascontiguousarray(q.reshape(tensor.shape) * gain, np.float32)
    return tensor.assign(Tensor(values, device=tensor.device))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01) -> Tensor:
    """Normal, but with a share `sparsity` of each column at 0 (Martens 2010).

    (sparse_(Tensor.empty(4, 3), 0.5) == 0).sum(0).tolist() == [2, 2, 2]
    """
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_: {tensor.shape} is no matrix")
    rows, columns = tensor.shape
    check_numbers(sparsity=sparsity)
    order = Tensor.rand(rows, columns, device=tensor.device).argsort(0).argsort(0)
    normal_(tensor, 0.0, std)
    return tensor.assign((order < math.ceil(sparsity * rows)).where(0, tensor.detach()))


if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__)
