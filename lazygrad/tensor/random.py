"""Random numbers as part of the graph: what is drawn is made of a node of random bits.

Number i of draw d under key k is a block cipher of (i, d) under k (`graph/ir/random.py`): no state
is walked through, so any element can be computed alone, alike on every device.

The state of a device is one tensor of three uint32: the key (the seed) and the number of draws
so far. Each draw advances it by assignment, so a replayed `jit` draws on as it should.
A `Generator` is a stream with states of its own.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from typing import Any, Self, TypeVar

import numpy as np

from .. import config, dtypes
from ..dtypes import DType, float32, float64, int64, to_dtype, uint32, uint64
from ..errors import (
    ArgumentError,
    DTypeError,
    KindError,
    ShapeError,
    check_integers,
    check_numbers,
    told,
)
from ..graph import build, ir
from ..graph.ir import Node, Shape
from ..origin import set_label
from ..runtime.buffer import DeviceBuffer
from ..runtime.device import Device
from .arguments import shape_of
from .core import TensorCore
from .examples import examples
from .mode import note_evaluation
from .operands import cast_node
from .precision import rounded_once
from .ranges import is_tried, known_values, verify_probabilities
from .recall import recalled
from .sets import Sets
from .template import trial

_F = TypeVar("_F", bound=Callable[..., Any])


class Stream:
    """Random numbers that go on from each other: a state for each device, all from one seed."""

    def __init__(self) -> None:
        self.states: dict[str, TensorCore] = {}  # by device
        self.seed: int | None = None  # for devices whose state is made later

    def begin(self, seed: int) -> None:
        """Start anew from a seed (its low 64 bits count)."""
        self.seed = int(seed)
        for device, state in self.states.items():
            state.assign(self._new(type(state), device))

    def state(self, kind: type[TensorCore], device: str) -> TensorCore:
        """The state for a device, made from the seed (or the system's entropy) if new."""
        if device not in self.states:
            if self.seed is None:
                self.seed = int.from_bytes(os.urandom(8), "little")
            self.states[device] = self._new(kind, device)
        return self.states[device]

    def _new(self, kind: type[TensorCore], device: str) -> TensorCore:
        assert self.seed is not None
        return kind._from_storage(DeviceBuffer.from_numpy(_key_words(self.seed), device), (3,))


_default = Stream()
_states = _default.states
_chosen: ContextVar[Stream] = ContextVar("stream", default=_default)
"""The stream that is drawn from."""


def takes_generator(function: _F) -> _F:
    """Decorator: the function also takes `generator=`, the stream that it draws from."""

    @wraps(function)
    def drawing(*args: Any, generator: Any = None, **named: Any) -> Any:
        if generator is None:
            return function(*args, **named)
        if not isinstance(generator, Stream):
            raise KindError(
                f"{function.__name__}: generator is a lazygrad.Generator, not {told(generator)}"
            )
        token = _chosen.set(generator)
        try:
            return function(*args, **named)
        finally:
            _chosen.reset(token)

    return drawing  # type: ignore[return-value]


def _key_words(seed: int) -> np.ndarray[Any, Any]:
    return np.array([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, 0], np.uint32)


class Random(Sets):
    """Numbers from `Tensor.manual_seed`'s stream; the same on every device."""

    __slots__ = ()

    @classmethod
    def manual_seed(cls, seed: int = 0) -> None:
        """Start the random numbers anew from a seed (its low 64 bits count).

        Tensor.manual_seed(3);  x = Tensor.rand(2).tolist()
        Tensor.manual_seed(3);  Tensor.rand(2).tolist() == x
        """
        _default.begin(seed)

    @classmethod
    def get_rng_state(cls, device: str | None = None) -> Self:
        """The state of the random numbers, a tensor of three uint32 that later draws leave as it
        is: with `set_rng_state` the numbers go on from there. Each device has its own."""
        _, state = cls._random_state(device)
        return cls._from_node(state._node).realize()

    @classmethod
    def set_rng_state(cls, state: Any, device: str | None = None) -> None:
        """Go on with the random numbers from where `get_rng_state` was called.

            state = Tensor.get_rng_state();  x = Tensor.rand(2).tolist()
            Tensor.set_rng_state(state);  Tensor.rand(2).tolist() == x

        Raises ShapeError or DTypeError for what is no such state.
        """
        given = state if isinstance(state, TensorCore) else cls._from_data(np.asarray(state))
        if given.shape != (3,):
            raise ShapeError(f"set_rng_state: a state has shape (3,), not {given.shape}")
        if given.dtype != uint32:
            raise DTypeError(f"set_rng_state: a state is of uint32, not {given.dtype}")
        cls._random_state(device)[1].assign(given)

    @classmethod
    def _random_state(cls, device: str | None) -> tuple[str, TensorCore]:
        """The device's name, and the state for it of the stream that is drawn from."""
        place = _place(device)
        return place, _chosen.get().state(cls, place)

    @classmethod
    def _random_bits(cls, shape: Shape, device: str | None) -> tuple[Node, Node]:
        """Two uint32 nodes of `shape`, every bit random; the state advances by one draw."""
        tried = trial.get()
        if tried is not None:
            like = ir.Copy(ir.Const(0, uint32, shape), device or Device.DEFAULT)
            x, y = tried.anew(lambda _: cls._random_bits(shape, device), None, like=[like, like])
            return x, y
        batch = examples.get()
        if batch is not None:
            return batch.draw(lambda sizes: cls._random_bits(sizes, device), shape)
        if math.prod(shape) >= 1 << 32:
            raise ShapeError(f"random: {shape} has more than 2**32 elements")
        _, state = cls._random_state(device)
        node = state._node
        if config.ORIGINS:
            set_label(node, "random_state")
        bits = ir.RandomBits(node, shape)
        last = ir.Cast(ir.Equal(ir.Iota(3, uint32), ir.Const(2, uint32, (3,))), uint32)
        state.assign(cls._from_node(ir.Add(node, last)))
        x, y = (build.reshape(build.slice_axis(bits, 0, word, 1), shape) for word in range(2))
        return x, y

    @classmethod
    @recalled
    def _unit_interval(cls, shape: Shape, dtype: DType, device: str) -> Self:
        """Numbers in [0, 1), multiples of one over 2 to the number of digits of the dtype."""
        x, y = cls._random_bits(shape, device)
        return cls._from_node(_fraction(x, y, dtype))

    # ------------------------------------------------------------------- distributions

    @classmethod
    @takes_generator
    def rand(
        cls,
        *shape: int | Sequence[int],
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """Uniform in [0, 1)."""
        target = _float_dtype("rand", dtype)
        made = cls._unit_interval(shape_of("rand", *shape), target, _place(device))
        return cls._variable_of(made._node, requires_grad)

    @classmethod
    @takes_generator
    def uniform(
        cls,
        *shape: int | Sequence[int],
        low: float = 0.0,
        high: float = 1.0,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """Uniform in [low, high)."""
        check_numbers(low=low, high=high)
        if low > high:
            raise ArgumentError(f"uniform: low {low} is above high {high}")
        target = _float_dtype("uniform", dtype)
        unit = cls._unit_interval(shape_of("uniform", *shape), target, _place(device))
        return cls._variable_of((unit * (high - low) + low)._node, requires_grad)

    @classmethod
    @takes_generator
    def randn(
        cls,
        *shape: int | Sequence[int],
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """Normal, of mean 0 and standard deviation 1, by Box and Muller's transform."""
        target = _float_dtype("randn", dtype)
        sizes = shape_of("randn", *shape)
        place = _place(device)
        return cls._variable_of(cls._standard_normal(sizes, target, place)._node, requires_grad)

    @classmethod
    @recalled
    def _standard_normal(cls, shape: Shape, dtype: DType, device: str) -> Self:
        wide = float64 if dtype == float64 else float32
        if wide == float64:  # two draws: one does not hold the digits of two numbers
            first, second = (cls._unit_interval(shape, wide, device) for _ in range(2))
        else:
            x, y = cls._random_bits(shape, device)
            first, second = (cls._from_node(_fraction(z, z, wide)) for z in (x, y))
        radius = (1 - first).log() * -2  # 1 - u is in (0, 1]: its log is finite
        angle = second * (2 * math.pi)
        return (radius.sqrt() * angle.cos()).cast(dtype)

    @classmethod
    @takes_generator
    def normal(
        cls,
        *shape: int | Sequence[int],
        mean: float = 0.0,
        std: float = 1.0,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """Normal, of this mean and standard deviation."""
        if std < 0:
            raise ArgumentError(f"normal: std {std} is negative")
        made = cls.randn(*shape, dtype=dtype, device=device)
        return cls._variable_of((made * std + mean)._node, requires_grad)

    @classmethod
    @takes_generator
    def randint(
        cls,
        *shape: int | Sequence[int],
        low: int = 0,
        high: int = 10,
        dtype: Any = None,
        device: str | None = None,
    ) -> Self:
        """Whole numbers from low up to, not including, high: the high word of bits times range."""
        target = to_dtype(dtype or int)
        check_integers(low=low, high=high)
        if high <= low or high - low > 1 << 32:
            raise ArgumentError(f"randint: low {low}, high {high}: the range must be 1 to 2**32")
        if not target.is_float and not target.min <= low <= high - 1 <= target.max:
            raise DTypeError(f"randint: {low} to {high} does not fit {target}")
        x, y = cls._random_bits(shape_of("randint", *shape), device)

        def constant(value: int) -> Node:
            return ir.Const(value, uint64, x.shape)

        # (x * 2**32 + y) * range / 2**64, in halves
        low_part = ir.Shr(ir.Mul(ir.Cast(y, uint64), constant(high - low)), constant(32))
        product = ir.Add(ir.Mul(ir.Cast(x, uint64), constant(high - low)), low_part)
        node = ir.Add(ir.Cast(ir.Shr(product, constant(32)), int64), ir.Const(low, int64, x.shape))
        return cls._variable_of(cast_node(node, target))

    @classmethod
    @takes_generator
    def randperm(cls, n: int, dtype: Any = None, device: str | None = None) -> Self:
        """0 to n - 1 in random order."""
        x, y = cls._random_bits(shape_of("randperm", n), device)
        high = ir.Shl(ir.Cast(x, uint64), ir.Const(12, uint64, x.shape))
        keys = ir.Or(high, ir.Cast(ir.Shr(y, ir.Const(20, uint32, x.shape)), uint64))
        return cls._variable_of(cls._from_node(keys).argsort(0).cast(dtype or int)._node)

    @takes_generator
    def rand_like(
        self, dtype: Any = None, device: str | None = None, requires_grad: bool = False
    ) -> Self:
        """`rand` of this tensor's shape, and its dtype and device unless given."""
        made = self.rand(*self.shape, dtype=dtype or self.dtype, device=device or self._node.device)
        return made.requires_grad_(requires_grad)

    @takes_generator
    def randn_like(
        self, dtype: Any = None, device: str | None = None, requires_grad: bool = False
    ) -> Self:
        """`randn` of this tensor's shape, and its dtype and device unless given."""
        place = device or self._node.device
        made = self.randn(*self.shape, dtype=dtype or self.dtype, device=place)
        return made.requires_grad_(requires_grad)

    @takes_generator
    @rounded_once()
    def bernoulli(self) -> Self:
        """1 with the probability that each element says, else 0. Raises ArgumentError where known
        values are no probabilities, as PyTorch."""
        verify_probabilities("bernoulli", self._node)
        chance = self._real("bernoulli")
        unit = self._unit_interval(self.shape, chance.dtype, _place(self._node.device))
        return (unit < chance.detach()).cast(self.dtype)

    @takes_generator
    @rounded_once()
    def multinomial(self, num_samples: int = 1, replacement: bool = False) -> Self:
        """Indices drawn with probabilities in proportion to the weights of each row (a tensor of
        one or two axes). Without replacement no index comes twice in a row. Raises ArgumentError
        where known weights are negative or not finite, or a row of them is all 0, as PyTorch."""
        if self.ndim not in (1, 2):
            raise ShapeError(f"multinomial: weights have one or two axes, not {self.shape}")
        check_integers(num_samples=num_samples)
        if num_samples < 1:
            raise ArgumentError(f"multinomial: num_samples {num_samples} is not above 0")
        if not replacement and num_samples > self.shape[-1]:
            raise ShapeError(f"multinomial: {num_samples} of {self.shape[-1]} without replacement")
        _verify_weights("multinomial", self._node)
        weights = self.detach()._real("multinomial")
        place = _place(self._node.device)
        if not replacement:
            # the smallest of exponential waiting times with these rates come in that proportion
            waiting = -(1 - self._unit_interval(self.shape, weights.dtype, place)).log()
            return (weights / waiting.clamp(min=1e-30)).topk(num_samples)[1]
        totals = weights.cumsum(-1)
        sizes = *self.shape[:-1], num_samples
        unit = self._unit_interval(sizes, weights.dtype, place)
        level = (unit * totals[..., -1:]).unsqueeze(-1)
        index = (totals.unsqueeze(-2) <= level).sum(-1)
        return index.minimum(self.shape[-1] - 1)

    @recalled
    def dropout(self, p: float = 0.5) -> Self:
        """In training (`Tensor.training`), 0 with probability p and x / (1 - p) otherwise."""
        check_numbers(p=p)
        if not 0 <= p <= 1:
            raise ArgumentError(f"dropout: p is a probability, not {p}")
        if not type(self).training or p == 0:
            if p:
                note_evaluation("dropout")
            return self
        if p == 1:
            return self * 0
        kept = self._unit_interval(self.shape, float32, _place(self._node.device)) >= p
        return kept.where(self * (1 / (1 - p)), 0)

    # ------------------------------------------------------------------- initial weights

    @classmethod
    def scaled_uniform(cls, *shape: int | Sequence[int], **options: Any) -> Self:
        """Uniform in [-1, 1) over the square root of the number of elements."""
        sizes = shape_of("scaled_uniform", *shape)
        bound = max(math.prod(sizes), 1) ** -0.5
        return cls.uniform(*sizes, low=-bound, high=bound, **options)

    @classmethod
    def glorot_uniform(cls, *shape: int | Sequence[int], **options: Any) -> Self:
        """Uniform within sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010)."""
        sizes = shape_of("glorot_uniform", *shape)
        fan_in, fan_out = fans(sizes)
        bound = math.sqrt(6 / (fan_in + fan_out))
        return cls.uniform(*sizes, low=-bound, high=bound, **options)

    @classmethod
    def kaiming_uniform(cls, *shape: int | Sequence[int], a: float = 0.0, **options: Any) -> Self:
        """Uniform within sqrt(6 / ((1 + a*a) fan in)) (He et al. 2015); a is the slope of the
        rectifier for negative values."""
        sizes = shape_of("kaiming_uniform", *shape)
        bound = math.sqrt(6 / ((1 + a * a) * fans(sizes)[0]))
        return cls.uniform(*sizes, low=-bound, high=bound, **options)

    @classmethod
    def kaiming_normal(cls, *shape: int | Sequence[int], a: float = 0.0, **options: Any) -> Self:
        """Normal, of standard deviation sqrt(2 / ((1 + a*a) fan in)) (He et al. 2015)."""
        sizes = shape_of("kaiming_normal", *shape)
        return cls.normal(*sizes, std=math.sqrt(2 / ((1 + a * a) * fans(sizes)[0])), **options)


def fans(shape: Shape) -> tuple[int, int]:
    """(inputs, outputs) of one unit of a weight (out, in, kernel..); at least 1 each."""
    if len(shape) < 2:
        n = max(shape[0] if shape else 1, 1)
        return n, n
    field = math.prod(shape[2:])
    return max(shape[1] * field, 1), max(shape[0] * field, 1)


def _float_dtype(name: str, dtype: Any) -> DType:
    target = to_dtype(dtype or float)
    if not target.is_float:
        raise DTypeError(f"{name}: makes floats, not {target}")
    return target


def _fraction(x: Node, y: Node, dtype: DType) -> Node:
    """Random bits as a number in [0, 1), with as many digits as the dtype holds exactly."""

    def high_bits(node: Node, bits: int) -> Node:
        # at most 31 bits are left, so the signed integer is the same, and converts faster
        return ir.Bitcast(ir.Shr(node, ir.Const(32 - bits, uint32, node.shape)), dtypes.int32)

    def constant(value: float) -> Node:
        return ir.Const(value, dtype, x.shape)

    if dtype == float64:
        high, low = ir.Cast(high_bits(x, 27), dtype), ir.Cast(high_bits(y, 26), dtype)
        return ir.Mul(ir.Add(ir.Mul(high, constant(2.0**26)), low), constant(2.0**-53))
    digits = {dtypes.float16: 11, dtypes.bfloat16: 8, float32: 24}[dtype]
    return ir.Mul(ir.Cast(high_bits(x, digits), dtype), constant(2.0**-digits))


def _place(device: str | None) -> str:
    """The device that is named, or the default."""
    return Device.DEFAULT if device is None else Device.present(device)


def _verify_weights(name: str, node: Node) -> None:
    """Raise ArgumentError if known weights are none to draw by."""
    if is_tried(_verify_weights, name, node):
        return
    values = known_values(node)
    if values is None:
        return
    wrong = ~((values >= 0) & (values < np.inf))
    if wrong.any():
        found = values[wrong][0]
        raise ArgumentError(f"{name}: a weight is finite and not negative, not {found}")
    rows = values.reshape(-1, node.shape[-1] if values.size == node.size else 1)
    if not (rows > 0).any(-1).all():
        raise ArgumentError(f"{name}: the weights of a row are all 0")
