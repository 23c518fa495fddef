"""Changes in place: `x.name_(...)` gives x the values of `x.name(...)`, in its own dtype.

What shares memory with x sees them too (`sharing.py`). A variable that requires gradient is
changed inside `no_grad()` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Self

from ..dtypes import float32, float64, int64
from ..errors import ArgumentError, ShapeError, check_numbers
from ..graph.ir import Detach
from .core import Number, Operand, TensorCore
from .numeric import Numeric
from .operands import broadcast_node, check_fits, number
from .random import takes_generator
from .ranges import verify_probabilities

FORMS = [
    "abs", "absolute", "acos", "acosh", "add", "addbmm", "addcdiv", "addcmul", "addmm", "addmv",
    "addr", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "asin",
    "asinh", "atan", "atan2", "atanh", "baddbmm", "bitwise_and", "bitwise_left_shift",
    "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "ceil", "celu", "clamp",
    "clamp_max", "clamp_min", "clip", "copysign", "cos", "cosh", "cumprod", "cumsum", "deg2rad",
    "digamma", "div", "divide", "elu", "eq", "erf", "erfc", "erfinv", "exp", "exp2", "expm1",
    "fix", "floor", "floor_divide", "fmod", "frac", "gcd", "ge", "greater", "greater_equal",
    "gt", "hardtanh", "hypot", "i0", "index_add", "index_copy", "index_fill", "lcm", "ldexp",
    "le", "leaky_relu", "lerp", "less", "less_equal", "lgamma", "log", "log10", "log1p", "log2",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logit", "lt", "masked_fill",
    "masked_scatter", "mul", "multiply", "mvlgamma", "nan_to_num", "ne", "neg", "negative",
    "not_equal", "polygamma", "pow", "put", "rad2deg", "reciprocal", "relu", "relu6",
    "remainder", "renorm", "round", "rsqrt", "scatter", "scatter_add", "scatter_reduce", "selu",
    "sgn", "sigmoid", "sign", "sin", "sinc", "sinh", "sqrt", "square", "sub", "subtract", "tan",
    "tanh", "threshold", "tril", "triu", "true_divide", "trunc", "xlogy",
]  # fmt: skip
"""The operations that have a form in place, as in PyTorch."""
SHAPES = ["squeeze", "swapaxes", "swapdims", "t", "transpose", "unsqueeze"]
"""Those whose form in place changes the shape: no element moves, and views stay as they are."""


class InPlace(Numeric):
    """The forms in place that are no operation's, and random numbers."""

    __slots__ = ()

    def copy_(self, y: Operand) -> Self:
        """x given the values of y, broadcast, cast and moved here, with its gradient."""
        new = self._as_value("copy_", y).to(self.device)
        return self._update(new._derived(broadcast_node("copy_", new._node, self.shape)))

    def fill_(self, value: Operand) -> Self:
        """Every element given one value. Raises ShapeError for several."""
        if isinstance(value, TensorCore) and value.shape:
            raise ShapeError(f"fill_: the value is one number, not of shape {value.shape}")
        plain = number(value)
        if plain is not None and not self.dtype.is_float:
            check_fits("fill_", plain, self.dtype)
        return self.copy_(value)

    def zero_(self) -> Self:
        """Every element given the value 0."""
        return self.copy_(0)

    def fill_diagonal_(self, value: Number, wrap: bool = False) -> Self:
        """The elements whose indices are all equal given one value; with `wrap` a tall matrix's
        diagonal begins again after each square and a row. More than two axes are of one size."""
        shape = self.shape
        if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
            raise ShapeError(f"fill_diagonal_: {shape} is no matrix, nor of equal sizes")
        if not self.numel():
            return self
        step = sum(self._from_node(self._node)._strides() or ())
        square = min(shape) ** len(shape) if len(shape) > 2 else min(shape) * shape[1]
        end = self.numel() if wrap and len(shape) == 2 else square
        self.view(-1)[:end:step].fill_(value)
        return self

    def index_put_(
        self, indices: tuple[Any, ...], values: Operand, accumulate: bool = False
    ) -> Self:
        """`x[indices] = values`; with `accumulate` the values are added, all of an index."""
        if accumulate:
            self._put(tuple(indices), values, "sum")
        else:
            self[tuple(indices)] = values
        return self

    def detach_(self) -> Self:
        """This tensor without the way that its gradient took. Raises RuntimeError for a view."""
        if self._base is not None and not self._part():
            raise RuntimeError("detach_: a view has its gradient's way from its base; use detach()")
        if self._requires:
            self._own = Detach(self._node)
            self._requires = False
        return self

    # ------------------------------------------------------------------- random numbers

    @takes_generator
    def uniform_(self, a: float = 0.0, b: float = 1.0) -> Self:
        """Every element drawn from [a, b)."""
        check_numbers(a=a, b=b)
        return self.copy_(self._drawn("rand") * (b - a) + a)

    @takes_generator
    def normal_(self, mean: float = 0.0, std: float = 1.0) -> Self:
        """Every element drawn from a normal distribution of this mean and standard deviation."""
        check_numbers(mean=mean, std=std)
        if std < 0:
            raise ArgumentError(f"normal_: a standard deviation is not negative, as {std} is")
        return self.copy_(self._drawn("randn") * std + mean)

    @takes_generator
    def exponential_(self, lambd: float = 1.0) -> Self:
        """Every element drawn from an exponential distribution of rate `lambd`.

        Tensor.zeros(3).exponential_().shape == (3,)
        """
        if not lambd > 0:
            raise ArgumentError(f"exponential_: a rate is positive, as {lambd} is not")
        return self.copy_(-(1 - self._drawn("rand")).log() / lambd)

    @takes_generator
    def bernoulli_(self, p: Operand = 0.5) -> Self:
        """Every element 1 with probability p (a number, or a tensor that broadcasts), else 0.
        Raises ArgumentError where p is known and no probability, as PyTorch."""
        verify_probabilities("bernoulli_", self._as_tensor("bernoulli_", p)._node)
        return self.copy_(self._drawn("rand") < p)

    @takes_generator
    def random_(self, low: int = 0, high: int | None = None) -> Self:
        """Every element a whole number from [low, high); one number is `high`. Without numbers, up
        to the largest that the dtype holds exactly.

            sorted(Tensor.zeros(4).random_(3, 4).tolist()) == [3.0, 3.0, 3.0, 3.0]
        """
        if high is None and low:
            low, high = 0, low
        if high is None:
            bits = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53, "bool": 1}
            exact = bits.get(self.dtype.name, 8 * self.itemsize - (self.dtype.kind == "int"))
            if exact > 32:
                upper = self._whole(0, 1 << (exact - 32)) * (1 << 32)
                return self.copy_(upper + self._whole(0, 1 << 32))
            high = 1 << exact
        return self.copy_(self._whole(low, high))

    def _whole(self, low: int, high: int) -> Self:
        return self.randint(*self.shape, low=low, high=high, dtype=int64, device=self.device)

    def _drawn(self, name: str) -> Self:
        """Random numbers in this shape, of a dtype that loses nothing."""
        dtype = float64 if self.dtype == float64 else float32
        drawn: Self = getattr(self, name)(*self.shape, dtype=dtype, device=self.device)
        return drawn


def add_forms(cls: type[TensorCore]) -> None:
    """Give the class `name_` for each of the operations that have a form in place."""
    for name in FORMS:
        setattr(cls, f"{name}_", _form(name, getattr(cls, name)))
    for name in SHAPES:
        setattr(cls, f"{name}_", _shape_form(name, getattr(cls, name)))


def _form(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(operation)
    def changed(self: TensorCore, *args: Any, **named: Any) -> TensorCore:
        return self._update(operation(self, *args, **named))

    return _called(f"{name}_", changed)


def _shape_form(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(operation)
    def changed(self: TensorCore, *args: Any, **named: Any) -> TensorCore:
        plain = self._from_node(self._node)  # without gradient, which would be cut in no_grad()
        self._show(name, operation(plain, *args, **named)._node)
        return self

    return _called(f"{name}_", changed)


def _called(name: str, form: Callable[..., Any]) -> Callable[..., Any]:
    """The form with its name, which tracebacks have, too, and errors begin with."""
    form.__code__ = form.__code__.replace(co_name=name, co_qualname=f"Tensor.{name}")
    form.__name__, form.__qualname__ = name, f"Tensor.{name}"
    form.__doc__ = f"`{name[:-1]}`, in place."
    return form
