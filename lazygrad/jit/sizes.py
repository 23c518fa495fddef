"""Sizes that a traced function reads, and what its Python asks of them.

An integer among the arguments counts as a size: it may be a position, or a length. A function that
was captured at two sizes does the same at a size between them if its Python takes the same way
there. The sizes that it reads are linear in n, and so are sums of them. Of such numbers, the answer
to a question between two sizes follows from the answers at both:

    n < 8              the answer is one at both: it is the same between them
    n == 8             n - 8 has one sign at both, or is 0
    n * m              linear, where one factor is the same at both
    n % 8, n // 2, n / 2, hash(n), str(n), ...
                       anything may follow from these: n must be the same at both

Each question is noted, in the order in which it is asked. Python does not ask the size itself in
`0.5 * n`, `range(n)` and `table[n]`: what follows from these is not noted. Nor does it in functions
that have any answer at the next size (UNSEEN); code that mentions one has no answer between sizes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import FrameType
from typing import Any, cast

from ..graph.ir import Shape
from ..tensor import Tensor
from ..tensor.core import TensorCore
from ..tensor.results import Size

Question = tuple[Any, ...]
"""What was asked, and the numbers that it was asked of."""

questions: ContextVar[list[Question] | None] = ContextVar("questions", default=None)
"""Where a traced function's questions are noted."""

UNSEEN = frozenset({
    "bin", "bytearray", "bytes", "chr", "comb", "factorial", "gcd", "hex", "isqrt", "lcm", "log10",
    "log2", "oct", "perm",
})  # fmt: skip
"""Names of functions that see an integer without asking it."""

NO_ANSWER: Question = ("unseen",)
"""Noted for code that mentions one of them: at no other size is the answer known."""

_LIBRARY = __name__.partition(".")[0]
_LENGTH, _STRIDE = TensorCore.__len__.__code__, TensorCore.stride.__code__
_READERS: tuple[Any, ...] = (
    Tensor.size, TensorCore.size, TensorCore.numel, Size.numel, cast("Any", TensorCore.nbytes).fget
)  # fmt: skip
_ASKED_FOR = {_LENGTH, _STRIDE, *(function.__code__ for function in _READERS)}
"""Functions that read a shape for the one who calls them."""


def _is_asked_by_user(frame: FrameType | None) -> bool:
    """Whether a function of a user's, not of this package, asks."""
    while frame is not None and frame.f_code in _ASKED_FOR:
        frame = frame.f_back
    module = "" if frame is None else str(frame.f_globals.get("__name__"))
    return module.partition(".")[0] != _LIBRARY


def read(shape: Shape, frame: FrameType) -> Size:
    """A shape as the code in this frame reads it."""
    asked = questions.get()
    if asked is None or not _is_asked_by_user(frame):
        return Size(shape)
    if frame.f_code in (_LENGTH, _STRIDE):  # len() makes an integer of any number
        asked.append(("same", shape[0] if frame.f_code is _LENGTH else shape))
        return Size(shape)
    return Size(map(WatchedSize, shape))


class WatchedSize(int):
    """A size, or a sum or product of sizes, that notes what is asked of it. Within this package it
    is an integer as any other."""

    __slots__ = ()


def watched(value: Any) -> Any:
    """An argument as a traced function sees it."""
    return WatchedSize(value) if type(value) is int else value


def _plain(value: Any) -> Any:
    return int.__index__(value) if isinstance(value, WatchedSize) else value


def _noting(name: str, note: Callable[..., Any]) -> Callable[..., Any]:
    """The method `name` of integers, which calls `note` with the questions so far, the result, and
    the plain operands, where a user's code asks. What `note` returns is the result."""
    method = getattr(int, name)

    def ask(self: Any, *others: Any) -> Any:
        own, rest = int.__index__(self), [_plain(x) for x in others]
        result = method(own, *rest)
        asked = questions.get()
        if asked is None or not _is_asked_by_user(sys._getframe(1)):
            return result
        if rest and isinstance(rest[0], TensorCore):
            return result  # the tensor's own method is next
        if result is NotImplemented:  # of a float, or of a list that is repeated
            return _note_same(asked, result, own)
        return note(asked, result, own, *rest)

    return ask


def _note_same(asked: list[Question], result: Any, own: int, *rest: Any) -> Any:
    asked.append(("same", own))
    return result


def _note_sum(asked: list[Question], result: Any, own: int, *rest: Any) -> Any:
    return WatchedSize(result)


def _note_product(asked: list[Question], result: Any, own: int, other: Any) -> Any:
    asked.append(("product", own, other))
    return WatchedSize(result)


def _note_order(asked: list[Question], result: Any, own: int, other: Any) -> Any:
    asked.append(("same", result))
    return result


def _note_equal(asked: list[Question], result: Any, own: int, other: Any) -> Any:
    asked.append(("equal", own - other))
    return result


_NOTES = {
    _note_sum: "add radd sub rsub neg pos",
    _note_product: "mul rmul",
    _note_order: "lt le gt ge",
    _note_equal: "eq ne",
    _note_same: """floordiv rfloordiv mod rmod divmod rdivmod truediv rtruediv pow rpow
        lshift rlshift rshift rrshift and rand or ror xor rxor invert
        abs round trunc floor ceil bool hash int index float repr format""",
}
for _note, _names in _NOTES.items():
    for _name in _names.split():
        setattr(WatchedSize, f"__{_name}__", _noting(f"__{_name}__", _note))
for _name in ("bit_length", "bit_count", "as_integer_ratio", "to_bytes"):
    setattr(WatchedSize, _name, _noting(_name, _note_same))


def have_one_answer(first: Sequence[Question], second: Sequence[Question]) -> bool:
    """Whether what was asked at two sizes has one answer at the sizes between them, too."""
    return len(first) == len(second) and all(map(_has_one_answer, first, second))


def _has_one_answer(first: Question, second: Question) -> bool:
    match first, second:
        case ("same", a), ("same", b):
            return bool(a == b)
        case ("product", a, b), ("product", c, d):
            return bool(a == c or b == d)
        case ("equal", a), ("equal", b):  # differences
            return bool(a == b or a * b > 0)
    return False
