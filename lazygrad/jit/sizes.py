"""Sizes that a traced function reads, and what its Python asks of them.

An integer among the arguments counts as a size: it may be a position, or a length. A function that
was captured at two sizes does the same at a size between them if its Python takes the same way
there. The sizes that it reads are linear in n, and so are sums of them. Of such numbers, the answer
to a question between two sizes follows from the answers at both:

    n < 8              the answer is one at both: it is the same between them
    n == 8, bool(n)    n - 8, or n, has one sign at both, or is 0
    n * m              linear, where one factor is the same at both
    n % 8, n // 2, 0.5 * n, range(n), table[n], hash(n), str(n), ...
                       anything may follow from these: n must be the same at both

Each question is noted, in the order in which it is asked. Python's own code reads an `int` without
asking it. So a size is none while it is watched, but says that it is one, and is asked.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, cast

import numpy as np

from ..graph.ir import Shape
from ..questions import Question, questions
from ..tensor import Tensor
from ..tensor.core import TensorCore
from ..tensor.results import Size
from .structure import like

_LIBRARY = __name__.partition(".")[0]
_LENGTH, _STRIDE = TensorCore.__len__.__code__, TensorCore.stride.__code__
_READERS: tuple[Any, ...] = (
    Tensor.size, TensorCore.size, TensorCore.numel, Size.numel, cast("Any", TensorCore.nbytes).fget
)  # fmt: skip
_ASKED_FOR = {_LENGTH, _STRIDE, *(function.__code__ for function in _READERS)}
"""Functions that read a shape for the one who calls them."""


def is_asked_by_user(frame: FrameType | None) -> bool:
    """Whether a function of a user's, not of this package, asks."""
    while frame is not None and frame.f_code in _ASKED_FOR:
        frame = frame.f_back
    module = "" if frame is None else str(frame.f_globals.get("__name__"))
    return module.partition(".")[0] != _LIBRARY


def read(shape: Shape, frame: FrameType) -> Size:
    """A shape as the code in this frame reads it."""
    asked = questions.get()
    if asked is None or not is_asked_by_user(frame):
        return Size(shape)
    if frame.f_code in (_LENGTH, _STRIDE):  # len() makes an integer of any number
        asked.append(("same", shape[0] if frame.f_code is _LENGTH else shape))
        return Size(shape)
    asked.append(("size", shape))
    return Size(map(watched, shape))


def sizes_read(asked: Sequence[Question]) -> tuple[Shape, ...]:
    """The shapes that were read, as far as they were noted: each of their sizes must be linear."""
    return tuple([shape for what, shape, *_ in asked if what == "size"])


class WatchedSize:
    """A size, or a sum or product of sizes, that notes what is asked of it. Within this package,
    and where nothing is traced, it is an integer as any other."""

    __slots__ = ("_value",)

    def __init__(self, value: int) -> None:
        self._value = value

    @property
    def __class__(self) -> Any:  # for isinstance(n, int)
        return int

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise TypeError("the class of a size is int")

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._value, name)  # raises AttributeError at any size
        _asked(self, sys._getframe(1))
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(_asked(self, sys._getframe(1)), dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **named: Any) -> Any:
        _asked(self, sys._getframe(1))
        return getattr(ufunc, method)(*map(integer, inputs), **named)

    def __reduce__(self) -> Any:
        return int, (_asked(self, sys._getframe(1)),)


def _asked(size: WatchedSize, frame: FrameType) -> int:
    """The value of a size from which anything may follow in the code of this frame."""
    asked = questions.get()
    if asked is not None and is_asked_by_user(frame):
        asked.append(("same", size._value))
    return size._value


def watched(value: Any) -> Any:
    """An argument as a traced function sees it: integers, also in tuples, are sizes."""
    if isinstance(value, tuple):
        items = list(map(watched, value))
        return value if all(map(operator.is_, items, value)) else like(value, items)
    return WatchedSize(value) if type(value) is int else value


def integer(value: Any) -> Any:
    """The integer in place of a size that is watched; anything else as it is."""
    return value._value if type(value) is WatchedSize else value


def _asking(ask: Callable[..., Any], note: Callable[..., Any]) -> Callable[..., Any]:
    """A method that answers what `ask` does of integers. Where a user's code asks, it calls `note`
    with the questions so far, the answer and the operands; what that returns is the answer."""

    def method(*operands: Any) -> Any:
        numbers = [integer(operand) for operand in operands]
        answer = ask(*numbers)
        asked = questions.get()
        if asked is None or isinstance(answer, TensorCore):
            return answer
        if not is_asked_by_user(sys._getframe(1)):
            return answer
        integers = [number for number in numbers if type(number) is int]
        if len(integers) < len(numbers):
            return _note_same(asked, answer, *integers)
        return note(asked, answer, *integers)

    return method


def _note_same(asked: list[Question], answer: Any, *operands: int) -> Any:
    asked.append(("same", operands))
    return answer


def _note_sum(asked: list[Question], answer: int, *operands: int) -> WatchedSize:
    return WatchedSize(answer)


def _note_product(asked: list[Question], answer: int, *operands: int) -> WatchedSize:
    asked.append(("product", *operands))
    return WatchedSize(answer)


def _note_order(asked: list[Question], answer: bool, *operands: int) -> bool:
    asked.append(("same", answer))
    return answer


def _note_equal(asked: list[Question], answer: bool, first: int, second: int = 0) -> bool:
    asked.append(("equal", first - second))
    return answer


def _reflected(ask: Callable[..., Any]) -> Callable[..., Any]:
    return lambda own, other: ask(other, own)


_BINARY = {"add": _note_sum, "sub": _note_sum, "mul": _note_product} | dict.fromkeys(
    ("floordiv", "mod", "truediv", "lshift", "rshift", "and", "or", "xor"), _note_same
)
_OTHERS: dict[Callable[..., Any], tuple[Callable[..., Any], ...]] = {
    _note_sum: (operator.neg, operator.pos),
    _note_order: (operator.lt, operator.le, operator.gt, operator.ge),
    _note_equal: (operator.eq, operator.ne, bool),  # bool: with 0
    _note_same: (
        abs, divmod, float, format, hash, int, math.ceil, math.floor, math.trunc,
        operator.index, operator.invert, pow, repr, round,
    ),
}  # fmt: skip
for _name, _note in _BINARY.items():
    _ask = getattr(operator, f"__{_name}__")
    setattr(WatchedSize, f"__{_name}__", _asking(_ask, _note))
    setattr(WatchedSize, f"__r{_name}__", _asking(_reflected(_ask), _note))
for _note, _asks in _OTHERS.items():
    for _ask in _asks:
        setattr(WatchedSize, f"__{_ask.__name__}__", _asking(_ask, _note))
for _ask in (divmod, pow):
    setattr(WatchedSize, f"__r{_ask.__name__}__", _asking(_reflected(_ask), _note_same))


def have_one_answer(first: Sequence[Question], second: Sequence[Question]) -> bool:
    """Whether what was asked at two sizes has one answer at the sizes between them, too."""
    return len(first) == len(second) and all(map(_has_one_answer, first, second))


def _has_one_answer(first: Question, second: Question) -> bool:
    match first, second:
        case ("same", a), ("same", b):
            return bool(a == b)
        case ("size", _), ("size", _):
            return True
        case ("product", a, b), ("product", c, d):
            return bool(a == c or b == d)
        case ("equal", a), ("equal", b):  # differences
            return bool(a == b or a * b > 0)
    return False
