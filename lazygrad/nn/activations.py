"""Activations as layers: each is the method of `Tensor` that it names, with its options.

`inplace` gives the result to the input tensor, too, as in PyTorch.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from ..errors import ArgumentError, check_integers, check_numbers
from ..tensor import Tensor
from .module import UnaryLayer
from .parameter import Parameter


class _Activation(UnaryLayer):
    """A method of `Tensor`, called with the attributes named in `_options`."""

    _method: ClassVar[str]
    _options: ClassVar[tuple[str, ...]] = ()
    inplace: bool = False

    def forward(self, x: Tensor) -> Tensor:
        options = [getattr(self, name) for name in self._options]
        made: Tensor = getattr(x, self._method)(*options)
        return x._update(made) if self.inplace else made

    def extra_repr(self) -> str:
        settings = super().extra_repr()
        return ", ".join(filter(None, (settings, "inplace=True" * self.inplace)))


class _InPlace(_Activation):
    """An activation whose only option is to change its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


class _Along(_Activation):
    """An activation along one axis; `axis` is another word for `dim`."""

    _options = ("_axis",)
    _extra_repr = "dim={dim}"

    def __init__(self, dim: int | None = None, *, axis: int | None = None) -> None:
        super().__init__()
        self.dim = dim if axis is None else axis
        self._axis = self.dim

    def forward(self, x: Tensor) -> Tensor:
        if self.dim is None:  # PyTorch's choice, which it warns of
            axis = 0 if x.ndim in (0, 1, 3) else 1
            warnings.warn(
                f"{type(self).__name__}: no dim was chosen; this takes dim={axis} of {x.ndim} "
                "axes, as PyTorch does",
                stacklevel=3,
            )
            return getattr(x, self._method)(axis)  # type: ignore[no-any-return]
        return super().forward(x)


class Sigmoid(_Activation):
    """`Tensor.sigmoid`.

    Sigmoid()(Tensor([0.0])).tolist() == [0.5]
    """

    _method = "sigmoid"


class LogSigmoid(_Activation):
    """`Tensor.logsigmoid`.

    LogSigmoid()(Tensor([200.0])).item() == 0.0
    """

    _method = "logsigmoid"


class Tanh(_Activation):
    """`Tensor.tanh`.

    Tanh()(Tensor([0.0, 100.0])).tolist() == [0.0, 1.0]
    """

    _method = "tanh"


class Softsign(_Activation):
    """`Tensor.softsign`.

    Softsign()(Tensor([-1.0, 3.0])).tolist() == [-0.5, 0.75]
    """

    _method = "softsign"


class Tanhshrink(_Activation):
    """`Tensor.tanhshrink`.

    Tanhshrink()(Tensor([0.0, 100.0])).tolist() == [0.0, 99.0]
    """

    _method = "tanhshrink"


class ReLU(_InPlace):
    """`Tensor.relu`.

    ReLU()(Tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
    """

    _method = "relu"


class ReLU6(_InPlace):
    """`Tensor.relu6`.

    ReLU6()(Tensor([-1.0, 2.0, 8.0])).tolist() == [0.0, 2.0, 6.0]
    """

    _method = "relu6"


class SELU(_InPlace):
    """`Tensor.selu`.

    SELU()(Tensor([0.0])).tolist() == [0.0]
    """

    _method = "selu"


class SiLU(_InPlace):
    """`Tensor.silu`.

    SiLU()(Tensor([0.0, 100.0])).tolist() == [0.0, 100.0]
    """

    _method = "silu"


class Mish(_InPlace):
    """`Tensor.mish`.

    Mish()(Tensor([0.0, 100.0])).tolist() == [0.0, 100.0]
    """

    _method = "mish"


class Hardsigmoid(_InPlace):
    """`Tensor.hardsigmoid`.

    Hardsigmoid()(Tensor([-3.0, 0.0, 3.0])).tolist() == [0.0, 0.5, 1.0]
    """

    _method = "hardsigmoid"


class Hardswish(_InPlace):
    """`Tensor.hardswish`.

    Hardswish()(Tensor([-3.0, 0.0, 3.0])).tolist() == [0.0, 0.0, 3.0]
    """

    _method = "hardswish"


class LeakyReLU(_Activation):
    """`Tensor.leaky_relu`.

    LeakyReLU(0.5)(Tensor([-2.0, 2.0])).tolist() == [-1.0, 2.0]
    """

    _method = "leaky_relu"
    _options = ("negative_slope",)
    _extra_repr = "negative_slope={negative_slope}"

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace


class ELU(_Activation):
    """`Tensor.elu`.

    ELU()(Tensor([-100.0, 2.0])).tolist() == [-1.0, 2.0]
    """

    _method = "elu"
    _options = ("alpha",)
    _extra_repr = "alpha={alpha}"

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace


class CELU(_Activation):
    """`Tensor.celu`.

    CELU(2.0)(Tensor([-1000.0, 2.0])).tolist() == [-2.0, 2.0]
    """

    _method = "celu"
    _options = ("alpha",)
    _extra_repr = "alpha={alpha}"

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace


class GELU(_Activation):
    """`Tensor.gelu`.

    GELU()(Tensor([0.0, 100.0])).tolist() == [0.0, 100.0]
    """

    _method = "gelu"
    _options = ("approximate",)
    _extra_repr = "approximate={approximate!r}"

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate


class Hardtanh(_Activation):
    """`Tensor.hardtanh`.

    Hardtanh(-2.0, 2.0)(Tensor([-3.0, 1.0, 3.0])).tolist() == [-2.0, 1.0, 2.0]
    """

    _method = "hardtanh"
    _options = ("min_val", "max_val")
    _extra_repr = "min_val={min_val}, max_val={max_val}"

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace


class Softplus(_Activation):
    """`Tensor.softplus`.

    Softplus()(Tensor([100.0])).tolist() == [100.0]
    """

    _method = "softplus"
    _options = ("beta", "threshold")
    _extra_repr = "beta={beta}, threshold={threshold}"

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold


class Softshrink(_Activation):
    """`Tensor.softshrink`.

    Softshrink(0.5)(Tensor([-2.0, 0.25, 2.0])).tolist() == [-1.5, 0.0, 1.5]
    """

    _method = "softshrink"
    _options = ("lambd",)
    _extra_repr = "{lambd}"

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd


class Hardshrink(_Activation):
    """`Tensor.hardshrink`.

    Hardshrink(0.5)(Tensor([-2.0, 0.25, 2.0])).tolist() == [-2.0, 0.0, 2.0]
    """

    _method = "hardshrink"
    _options = ("lambd",)
    _extra_repr = "{lambd}"

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd


class Threshold(_Activation):
    """`Tensor.threshold`.

    Threshold(1.0, -1.0)(Tensor([0.5, 2.0])).tolist() == [-1.0, 2.0]
    """

    _method = "threshold"
    _options = ("threshold", "value")
    _extra_repr = "threshold={threshold}, value={value}"

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace


class Softmax(_Along):
    """`Tensor.softmax`.

    Softmax(dim=1)(Tensor([[3.0, 3.0]])).tolist() == [[0.5, 0.5]]
    """

    _method = "softmax"


class LogSoftmax(_Along):
    """`Tensor.log_softmax`.

    LogSoftmax(dim=1)(Tensor([[100.0, -100.0]])).tolist() == [[0.0, -200.0]]
    """

    _method = "log_softmax"


class Softmin(_Along):
    """`Tensor.softmin`.

    Softmin(dim=1)(Tensor([[3.0, 3.0]])).tolist() == [[0.5, 0.5]]
    """

    _method = "softmin"


class GLU(_Along):
    """`Tensor.glu`.

    GLU()(Tensor([[3.0, 0.0]])).tolist() == [[1.5]]
    """

    _method = "glu"

    def __init__(self, dim: int = -1, *, axis: int | None = None) -> None:
        super().__init__(dim, axis=axis)


class Softmax2d(UnaryLayer):
    """`Tensor.softmax` over the channels of (batch, channels, height, width), or without batch.

    Softmax2d()(Tensor.ones(1, 2, 1, 1)).flatten().tolist() == [0.5, 0.5]
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim not in (3, 4):
            raise ArgumentError(f"Softmax2d: expected input to be 3D or 4D, got {x.shape}")
        return x.softmax(-3)


class PReLU(UnaryLayer):
    """`Tensor.prelu`, with one learned slope or one a channel.

    PReLU(init=0.5)(Tensor([-2.0, 2.0])).tolist() == [-1.0, 2.0]
    """

    _extra_repr = "num_parameters={num_parameters}"

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_integers(num_parameters=num_parameters)
        check_numbers(init=init)
        self.num_parameters = num_parameters
        self.weight = Parameter(
            Tensor.full((num_parameters,), float(init), dtype=dtype, device=device)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x.prelu(self.weight)


class RReLU(UnaryLayer):
    """A leaky rectifier whose slope is drawn anew for each element in training, uniform in
    [lower, upper), and is their mean in evaluation (Xu et al. 2015).

        RReLU(0.5, 0.5).eval()(Tensor([-2.0, 2.0])).tolist() == [-1.0, 2.0]
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, x: Tensor) -> Tensor:
        from .functional import rrelu

        return rrelu(x, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + ", inplace=True" * self.inplace
