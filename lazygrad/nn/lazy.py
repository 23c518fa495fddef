"""Layers that learn the size of their input from the first batch that they see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ShapeError
from ..tensor import Tensor
from . import convolution, layers, normalization
from .module import Layer


def _lazy(
    parent: type[Layer], axis: Callable[[type[Layer], Tensor], int], example: str
) -> type[Layer]:
    """The class of layers that become a `parent` at the first call; `axis` says which axis of the
    input has the size that is missing. The docstring ends with the example, a call."""

    class Lazy(Layer):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__()
            self._settings = args, kwargs

        def has_uninitialized_params(self) -> bool:
            """Whether no batch was seen yet."""
            return True

        def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
            at = axis(parent, x)
            if x.ndim < -at:
                raise ShapeError(f"{type(self).__name__}: {x.shape} has no axis {at}")
            size = x.shape[at]
            given, named = self._settings
            told = vars(self)
            kept = {key: told[key] for key in told if key != "_settings"}
            made: Any = parent(size, *given, **named)  # type: ignore[call-arg]
            told.clear()
            object.__setattr__(self, "__class__", parent)
            told.update(vars(made))
            told.update(kept)
            return self(x, *args, **kwargs)

    Lazy.__name__ = Lazy.__qualname__ = f"Lazy{parent.__name__}"
    Lazy.__module__ = __name__
    Lazy.__doc__ = f"""`{parent.__name__}` without the size of its input, which the first call says.

    Before that call there are no parameters: make the optimizer after it.

        {Lazy.__name__}{example}
    """
    return Lazy


def _last(parent: type[Layer], x: Tensor) -> int:
    return -1


def _channels(parent: type[Layer], x: Tensor) -> int:
    """The axis of channels before the spatial ones, as many as the class's name says."""
    return -1 - int(parent.__name__[-2])


def _second(parent: type[Layer], x: Tensor) -> int:
    return 1 - x.ndim


LazyLinear = _lazy(layers.Linear, _last, "(4)(Tensor.ones(2, 3)).shape == (2, 4)")
LazyConv1d = _lazy(convolution.Conv1d, _channels, "(8, 3)(Tensor.ones(1, 2, 5)).shape == (1, 8, 3)")
LazyConv2d = _lazy(
    convolution.Conv2d, _channels, "(8, 3)(Tensor.ones(1, 2, 5, 5)).shape == (1, 8, 3, 3)"
)
LazyConv3d = _lazy(
    convolution.Conv3d, _channels, "(8, 3)(Tensor.ones(1, 2, 3, 3, 3)).shape == (1, 8, 1, 1, 1)"
)
LazyConvTranspose1d = _lazy(
    convolution.ConvTranspose1d, _channels, "(8, 3)(Tensor.ones(1, 2, 5)).shape == (1, 8, 7)"
)
LazyConvTranspose2d = _lazy(
    convolution.ConvTranspose2d, _channels, "(8, 3)(Tensor.ones(1, 2, 5, 5)).shape == (1, 8, 7, 7)"
)
LazyConvTranspose3d = _lazy(
    convolution.ConvTranspose3d,
    _channels,
    "(8, 3)(Tensor.ones(1, 2, 1, 1, 1)).shape == (1, 8, 3, 3, 3)",
)
LazyBatchNorm1d = _lazy(normalization.BatchNorm1d, _second, "()(Tensor.ones(4, 3)).shape == (4, 3)")
LazyBatchNorm2d = _lazy(
    normalization.BatchNorm2d, _second, "()(Tensor.ones(4, 3, 2, 2)).shape == (4, 3, 2, 2)"
)
LazyBatchNorm3d = _lazy(
    normalization.BatchNorm3d, _second, "()(Tensor.ones(4, 3, 2, 2, 2)).shape == (4, 3, 2, 2, 2)"
)

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d",
    "LazyConv3d", "LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d",
    "LazyLinear",
]  # fmt: skip
