"""Functions that are no methods of Tensor, or take their arguments in another order."""

from __future__ import annotations

import itertools
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import config
from ..dtypes import to_dtype
from ..errors import (
    ArgumentError,
    KindError,
    ShapeError,
    check_integers,
    check_numbers,
    told,
)
from ..runtime.device import Device, DeviceName, named
from ..tensor import Tensor, enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from ..tensor.arguments import shape_of
from ..tensor.core import PRINTED, print_options
from ..tensor.operands import broadcast_shape
from ..tensor.random import Stream, takes_generator
from .methods import bitwise_not, cat, permute, stack, unique, unsqueeze

Number = bool | int | float

# --------------------------------------------------------------------------- constants

pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None

# --------------------------------------------------------------------------- other forms


def tensor(
    data: Any,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A new tensor of `data`: numbers, nested lists, an array, another tensor (which is copied).

    lazygrad.tensor([1.0, 2.0]).tolist() == [1.0, 2.0]
    """
    return Tensor(data, dtype, device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """`data` as a tensor: itself, where dtype and device fit; a NumPy array as `from_numpy`, which
    see for whether it is a copy.

    lazygrad.as_tensor([1, 2]).tolist() == [1, 2]
    """
    if isinstance(data, Tensor):
        moved = data if device is None else data.to(device)
        return moved if dtype is None else moved.cast(dtype)
    if isinstance(data, np.ndarray) and dtype is None:
        return Tensor.from_numpy(data, device)
    return Tensor(data, dtype, device)


asarray = as_tensor


def scalar_tensor(
    value: Number, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of shape () of one number, of the default float unless `dtype` says otherwise.

    lazygrad.scalar_tensor(3).item() == 3.0
    """
    return Tensor.full((), value, dtype or float, device, requires_grad)


class Generator(Stream):
    """A stream of random numbers of its own, apart from `manual_seed`'s.

    g = lazygrad.Generator().manual_seed(0)
    lazygrad.rand(2, generator=g).shape == (2,)
    """

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self.device = Device.DEFAULT if device is None else Device.canonical(device)

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from a seed. Returns the generator."""
        self.begin(seed)
        return self

    def initial_seed(self) -> int:
        """The seed that the numbers began from."""
        self.state(Tensor, self.device)
        assert self.seed is not None
        return self.seed

    def get_state(self) -> Tensor:
        """What `set_state` goes on from: three uint32, which later draws leave as they are."""
        return self.state(Tensor, self.device).clone().realize()  # type: ignore[return-value]

    def set_state(self, state: Tensor) -> None:
        """Go on from where `get_state` was called."""
        self.state(Tensor, self.device).assign(state)


def seed() -> int:
    """Start the random numbers anew from a seed of the system's entropy, which is returned.

    isinstance(lazygrad.seed(), int) == True
    """
    value = int.from_bytes(os.urandom(8), "little")
    Tensor.manual_seed(value)
    return value


@takes_generator
def randint(
    *args: Any,
    low: int = 0,
    high: int | None = None,
    size: Sequence[int] | None = None,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Whole numbers from low (or 0) up to, not including, high: `randint(10, (2, 3))` or
    `randint(5, 10, (2, 3))`, as PyTorch has it; `Tensor.randint` takes the shape first.

    lazygrad.randint(5, 6, (2,)).tolist() == [5, 5]
    """
    given = list(args)
    shape = given.pop() if size is None and given else size
    if shape is None or len(given) + (high is not None) not in (1, 2):
        raise KindError("randint: give high and a shape, or low, high and a shape")
    if high is None:
        high = given.pop()
    low = given.pop() if given else low
    return Tensor.randint(*shape, low=low, high=high, dtype=dtype, device=device)


@takes_generator
def normal(
    mean: Tensor | float = 0.0,
    std: Tensor | float = 1.0,
    size: Sequence[int] | None = None,
) -> Tensor:
    """Normal numbers of a mean and a standard deviation: of `size`, or one for each element of
    the tensors `mean` and `std`.

    lazygrad.normal(0.0, 1.0, (2, 3)).shape == (2, 3)
    """
    if not isinstance(std, Tensor):
        check_numbers(std=std)
    if not isinstance(std, Tensor) and std < 0:
        raise ArgumentError(f"normal: a standard deviation is not negative, as {std} is")
    shapes = [x.shape for x in (mean, std) if isinstance(x, Tensor)]
    shape = broadcast_shape("normal", *shapes) if shapes else tuple(size or ())
    return Tensor.randn(*shape) * std + mean


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """base ** start to base ** end, in `steps` steps of one ratio.

    lazygrad.logspace(0, 2, 3).tolist() == [1.0, 10.0, 100.0]
    """
    for bound in (start, end):
        if getattr(bound, "shape", ()):
            raise ShapeError(f"logspace: an end is one number, not {told(bound)}")
    check_numbers(start=start, end=end)
    check_integers(steps=steps)
    if steps < 0:
        raise ArgumentError(f"logspace: steps {steps} is negative")
    start, end = float(start), float(end)
    values = np.float64(base) ** np.linspace(start, end, steps)
    return Tensor(values, dtype or float, device)


def pow(input: Any, exponent: Any) -> Tensor:
    """Powers, element by element; either may be a number.

    lazygrad.pow(2.0, lazygrad.tensor([1.0, 3.0])).tolist() == [2.0, 8.0]
    """
    if isinstance(input, Tensor):
        return input.pow(exponent)
    if isinstance(exponent, Tensor):
        return exponent.pow(input, reverse=True)
    raise KindError(f"pow: one of the two is a tensor, not {told(input)} and {told(exponent)}")


def polygamma(n: int, input: Tensor) -> Tensor:
    """The derivative of order n of `digamma`; the order comes first, as in PyTorch.

    lazygrad.polygamma(0, Tensor([1.0])).shape == (1,)
    """
    return input.polygamma(n)


def where(condition: Tensor, x: Any = None, y: Any = None) -> Any:
    """x where the condition holds, else y; of the condition alone, the indices of where it holds,
    one vector an axis.

    lazygrad.where(lazygrad.tensor([True, False]), 1, 2).tolist() == [1, 2]
    """
    if x is None and y is None:
        return condition.nonzero(as_tuple=True)
    return condition.where(x, y)


def tril_indices(
    row: int, col: int, offset: int = 0, dtype: Any = None, device: str | None = None
) -> Tensor:
    """The row and column numbers (2, n) of a matrix's elements on and below a diagonal.

    lazygrad.tril_indices(2, 2).tolist() == [[0, 1, 1], [0, 0, 1]]
    """
    check_integers(row=row, col=col, offset=offset)
    return Tensor(np.stack(np.tril_indices(row, offset, col)), dtype or int, device)


def triu_indices(
    row: int, col: int, offset: int = 0, dtype: Any = None, device: str | None = None
) -> Tensor:
    """The row and column numbers (2, n) of a matrix's elements on and above a diagonal.

    lazygrad.triu_indices(2, 2).tolist() == [[0, 0, 1], [0, 1, 1]]
    """
    check_integers(row=row, col=col, offset=offset)
    return Tensor(np.stack(np.triu_indices(row, offset, col)), dtype or int, device)


def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape that all the shapes broadcast to. Raises ShapeError where there is none.

    lazygrad.broadcast_shapes((2, 1), (3,)) == (2, 3)
    """
    given = [shape_of("broadcast_shapes", shape) for shape in shapes]
    return broadcast_shape("broadcast_shapes", *given)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors, all expanded to their common shape.

    [x.shape for x in lazygrad.broadcast_tensors(Tensor([[1], [2]]), Tensor([3]))] == [(2, 1)] * 2
    """
    shape = broadcast_shape("broadcast_tensors", *(x.shape for x in tensors))
    return tuple(x.expand(shape) for x in tensors)


def atleast_1d(*tensors: Any) -> Any:
    """Single values as vectors, all else as it is; of several tensors or a list, a tuple.

    lazygrad.atleast_1d(Tensor(1.0)).shape == (1,)
    """
    return _each(Tensor.atleast_1d, tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Vectors as rows, all else of two axes or more as it is; of several tensors, a tuple.

    lazygrad.atleast_2d(Tensor([1.0, 2.0])).shape == (1, 2)
    """
    return _each(Tensor.atleast_2d, tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Matrices as (n, m, 1), vectors as (1, n, 1); of several tensors, a tuple.

    lazygrad.atleast_3d(Tensor([1.0, 2.0])).shape == (1, 2, 1)
    """
    return _each(Tensor.atleast_3d, tensors)


def _each(method: Callable[[Tensor], Tensor], tensors: tuple[Any, ...]) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return method(tensors[0])
    several = tensors[0] if isinstance(tensors[0], (list, tuple)) else tensors
    return tuple(method(x) for x in several)


def block_diag(*tensors: Tensor) -> Tensor:
    """The matrices along the diagonal of one, and 0 elsewhere; vectors are rows.

    lazygrad.block_diag(Tensor([[1, 2]]), Tensor([[3]])).tolist() == [[1, 2, 0], [0, 0, 3]]
    """
    blocks = [x.atleast_2d() for x in tensors]
    width = sum(block.shape[1] for block in blocks)
    rows, before = [], 0
    for block in blocks:
        if block.ndim != 2:
            raise ShapeError(f"block_diag: {block.shape} is no matrix")
        rows.append(block.pad((None, (before, width - before - block.shape[1]))))
        before += block.shape[1]
    return cat(rows)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """Every choice of one element of each vector, one a row.

    lazygrad.cartesian_prod(Tensor([1, 2]), Tensor([3])).tolist() == [[1, 3], [2, 3]]
    """
    if len(tensors) == 1:
        return tensors[0]
    return stack([grid.flatten() for grid in Tensor.meshgrid(*tensors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """Every choice of r elements of a vector, one a row.

    lazygrad.combinations(Tensor([1, 2, 3])).tolist() == [[1, 2], [1, 3], [2, 3]]
    """
    if input.ndim != 1:
        raise ShapeError(f"combinations: input {input.shape} is no vector")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = [list(chosen) for chosen in choose(range(input.shape[0]), r)]
    index = np.array(places, np.int64).reshape(len(places), r)
    return input[Tensor(index)]


def is_tensor(value: object) -> bool:
    """Whether something is a tensor.

    (lazygrad.is_tensor([1.0])) == False
    """
    return isinstance(value, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether a tensor's elements are floats.

    (lazygrad.is_floating_point(Tensor([1]))) == False
    """
    return input.is_floating_point()


def numel(input: Tensor) -> int:
    """The number of elements.

    lazygrad.numel(Tensor.ones(2, 3)) == 6
    """
    return input.numel()


inference_mode = no_grad


def set_default_device(device: str | None) -> None:
    """The device of tensors that name none, as `lazygrad.Device.DEFAULT`; None is BACKEND's.

    lazygrad.set_default_device("cpu")
    lazygrad.get_default_device() == "CPU"
    """
    Device.DEFAULT = config.BACKEND if device is None else device


def get_default_device() -> DeviceName:
    """The device of tensors that name none.

    lazygrad.get_default_device() == lazygrad.zeros(1).device
    """
    return named(Device.DEFAULT)


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are printed: digits behind the point, how many values are printed in full, how
    many at each end of an axis otherwise, how long a line is. `profile` "short", "full" or
    "default" sets several; `sci_mode` False writes small numbers without an exponent.

        lazygrad.set_printoptions(precision=2)
        text = str(lazygrad.tensor([0.12345]))
        lazygrad.set_printoptions(profile="default")
        text.startswith("Tensor([0.12]") is True
    """
    if profile is not None:
        profiles: dict[str, dict[str, Any]] = {
            "default": {},
            "short": {"precision": 2, "threshold": 64, "edgeitems": 2},
            "full": {"threshold": sys.maxsize},
        }
        print_options.clear()
        print_options.update(PRINTED, **profiles[profile])
    suppress = None if sci_mode is None else not sci_mode
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems,
             "max_line_width": linewidth, "suppress_small": suppress}  # fmt: skip
    print_options.update((name, value) for name, value in given.items() if value is not None)


# --------------------------------------------------------------------------- the array API's names


def astype(x: Tensor, dtype: Any, copy: bool = True) -> Tensor:
    """The values in another dtype; a copy in any case unless `copy` is off.

    lazygrad.astype(Tensor([1.7]), int).tolist() == [1]
    """
    return x.clone() if copy and x.dtype == to_dtype(dtype) else x.cast(dtype)


def matrix_transpose(x: Tensor) -> Tensor:
    """The last two axes exchanged.

    lazygrad.matrix_transpose(Tensor([[1, 2]])).tolist() == [[1], [2]]
    """
    return x.mT


def vecdot(x: Tensor, y: Tensor, axis: int = -1) -> Tensor:
    """The products of vectors along an axis, summed.

    lazygrad.vecdot(Tensor([1, 2]), Tensor([3, 4])).item() == 11
    """
    return (x * y).sum(axis)


permute_dims, expand_dims, bitwise_invert = permute, unsqueeze, bitwise_not
unique_values = unique

__all__ = [
    "Generator", "as_tensor", "asarray", "astype", "atleast_1d", "atleast_2d", "atleast_3d",
    "bitwise_invert", "block_diag", "broadcast_shapes", "broadcast_tensors", "cartesian_prod",
    "combinations", "e", "enable_grad", "expand_dims", "get_default_device", "inf",
    "inference_mode", "is_floating_point", "is_grad_enabled", "is_tensor", "logspace",
    "matrix_transpose", "nan", "newaxis", "no_grad", "normal", "numel", "permute_dims", "pi",
    "polygamma", "pow", "randint", "scalar_tensor", "seed", "set_default_device",
    "set_grad_enabled", "set_printoptions", "tensor", "tril_indices", "triu_indices",
    "unique_values", "vecdot", "where",
]  # fmt: skip
