"""Activations as layers: each is the method of `Tensor` that it names, with its options."""

from __future__ import annotations

from ..tensor import Tensor


class ReLU:
    """`Tensor.relu`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.relu()


class ReLU6:
    """`Tensor.relu6`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.relu6()


class LeakyReLU:
    """`Tensor.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def __call__(self, x: Tensor) -> Tensor:
        return x.leaky_relu(self.negative_slope)


class PReLU:
    """`Tensor.prelu`, with one learned slope or one a channel."""

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: str | None = None
    ) -> None:
        self.weight = Tensor.full((num_parameters,), float(init), device=device, requires_grad=True)

    def __call__(self, x: Tensor) -> Tensor:
        return x.prelu(self.weight)


class ELU:
    """`Tensor.elu`."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def __call__(self, x: Tensor) -> Tensor:
        return x.elu(self.alpha)


class CELU:
    """`Tensor.celu`."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def __call__(self, x: Tensor) -> Tensor:
        return x.celu(self.alpha)


class SELU:
    """`Tensor.selu`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.selu()


class GELU:
    """`Tensor.gelu`."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def __call__(self, x: Tensor) -> Tensor:
        return x.gelu(self.approximate)


class SiLU:
    """`Tensor.silu`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.silu()


class Mish:
    """`Tensor.mish`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.mish()


class Sigmoid:
    """`Tensor.sigmoid`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.sigmoid()


class LogSigmoid:
    """`Tensor.logsigmoid`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.logsigmoid()


class Tanh:
    """`Tensor.tanh`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.tanh()


class Hardtanh:
    """`Tensor.hardtanh`."""

    def __init__(self, min_value: float = -1.0, max_value: float = 1.0) -> None:
        self.min_value, self.max_value = min_value, max_value

    def __call__(self, x: Tensor) -> Tensor:
        return x.hardtanh(self.min_value, self.max_value)


class Hardsigmoid:
    """`Tensor.hardsigmoid`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.hardsigmoid()


class Hardswish:
    """`Tensor.hardswish`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.hardswish()


class Softplus:
    """`Tensor.softplus`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def __call__(self, x: Tensor) -> Tensor:
        return x.softplus(self.beta, self.threshold)


class Softsign:
    """`Tensor.softsign`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.softsign()


class Softshrink:
    """`Tensor.softshrink`."""

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def __call__(self, x: Tensor) -> Tensor:
        return x.softshrink(self.lambd)


class Hardshrink:
    """`Tensor.hardshrink`."""

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def __call__(self, x: Tensor) -> Tensor:
        return x.hardshrink(self.lambd)


class Tanhshrink:
    """`Tensor.tanhshrink`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.tanhshrink()


class Threshold:
    """`Tensor.threshold`."""

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold, self.value = threshold, value

    def __call__(self, x: Tensor) -> Tensor:
        return x.threshold(self.threshold, self.value)


class GLU:
    """`Tensor.glu`."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, x: Tensor) -> Tensor:
        return x.glu(self.axis)


class Softmax:
    """`Tensor.softmax` along an axis."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, x: Tensor) -> Tensor:
        return x.softmax(self.axis)


class LogSoftmax:
    """`Tensor.log_softmax` along an axis."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, x: Tensor) -> Tensor:
        return x.log_softmax(self.axis)


class Softmin:
    """`Tensor.softmin` along an axis."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, x: Tensor) -> Tensor:
        return x.softmin(self.axis)
