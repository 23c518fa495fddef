"""Padding as layers: one table of modes, over one, two or three spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..errors import ShapeError
from ..tensor import Tensor
from ..tensor.arguments import plain
from .module import UnaryLayer


class _Pad(UnaryLayer):
    """`Tensor.pad` of the last axes: one width, or (left, right, top, bottom, front, back)."""

    _padding: ClassVar[str] = "constant"
    _spatial: ClassVar[int]
    _extra_repr = "{padding}"

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        count, padding = 2 * self._spatial, plain(padding)
        self.padding = (padding,) * count if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != count:
            raise ShapeError(f"{type(self).__name__}: padding {padding} is not {count} widths")

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < self._spatial:
            raise ShapeError(f"input {x.shape} needs {self._spatial} axes or more")
        return x.pad(self.padding, self._padding)


class _ConstantPad(_Pad):
    _extra_repr = "padding={padding}, value={value}"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return x.pad(self.padding, value=self.value)


class ConstantPad1d(_ConstantPad):
    """The last axis padded with one value.

    ConstantPad1d(1, 9.0)(Tensor([[1.0, 2.0]])).tolist() == [[9.0, 1.0, 2.0, 9.0]]
    """

    _spatial = 1


class ConstantPad2d(_ConstantPad):
    """The last two axes padded with one value.

    ConstantPad2d(1, 9.0)(Tensor.ones(1, 2, 2)).shape == (1, 4, 4)
    """

    _spatial = 2


class ConstantPad3d(_ConstantPad):
    """The last three axes padded with one value.

    ConstantPad3d(1, 9.0)(Tensor.ones(1, 2, 2, 2)).shape == (1, 4, 4, 4)
    """

    _spatial = 3


class ZeroPad1d(_Pad):
    """The last axis padded with 0.

    ZeroPad1d((2, 0))(Tensor([[1.0]])).tolist() == [[0.0, 0.0, 1.0]]
    """

    _spatial = 1


class ZeroPad2d(_Pad):
    """The last two axes padded with 0.

    ZeroPad2d(1)(Tensor.ones(1, 1, 1)).sum().item() == 1.0
    """

    _spatial = 2


class ZeroPad3d(_Pad):
    """The last three axes padded with 0.

    ZeroPad3d(1)(Tensor.ones(1, 2, 2, 2)).shape == (1, 4, 4, 4)
    """

    _spatial = 3


class ReflectionPad1d(_Pad):
    """The last axis padded by reflection in its edges.

    ReflectionPad1d(1)(Tensor([[1.0, 2.0, 3.0]])).tolist() == [[2.0, 1.0, 2.0, 3.0, 2.0]]
    """

    _spatial = 1
    _padding = "reflect"


class ReflectionPad2d(_Pad):
    """The last two axes padded by reflection in its edges.

    ReflectionPad2d(1)(Tensor.ones(1, 2, 2)).shape == (1, 4, 4)
    """

    _spatial = 2
    _padding = "reflect"


class ReflectionPad3d(_Pad):
    """The last three axes padded by reflection in its edges.

    ReflectionPad3d(1)(Tensor.ones(1, 2, 2, 2)).shape == (1, 4, 4, 4)
    """

    _spatial = 3
    _padding = "reflect"


class ReplicationPad1d(_Pad):
    """The last axis padded by repeating its edges.

    ReplicationPad1d(1)(Tensor([[1.0, 2.0]])).tolist() == [[1.0, 1.0, 2.0, 2.0]]
    """

    _spatial = 1
    _padding = "replicate"


class ReplicationPad2d(_Pad):
    """The last two axes padded by repeating its edges.

    ReplicationPad2d(1)(Tensor.ones(1, 2, 2)).sum().item() == 16.0
    """

    _spatial = 2
    _padding = "replicate"


class ReplicationPad3d(_Pad):
    """The last three axes padded by repeating its edges.

    ReplicationPad3d(1)(Tensor.ones(1, 2, 2, 2)).sum().item() == 64.0
    """

    _spatial = 3
    _padding = "replicate"


class CircularPad1d(_Pad):
    """The last axis padded by going round.

    CircularPad1d(1)(Tensor([[1.0, 2.0, 3.0]])).tolist() == [[3.0, 1.0, 2.0, 3.0, 1.0]]
    """

    _spatial = 1
    _padding = "circular"


class CircularPad2d(_Pad):
    """The last two axes padded by going round.

    CircularPad2d(1)(Tensor.ones(1, 2, 2)).shape == (1, 4, 4)
    """

    _spatial = 2
    _padding = "circular"


class CircularPad3d(_Pad):
    """The last three axes padded by going round.

    CircularPad3d(1)(Tensor.ones(1, 2, 2, 2)).shape == (1, 4, 4, 4)
    """

    _spatial = 3
    _padding = "circular"
