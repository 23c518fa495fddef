"""Captures ahead of the calls, at sizes that no call has had yet.

A cache grows in each call, so that no size lies between captured ones (between.py). When the sizes
of captures grow in a row, the function is captured once more, for arguments of the largest size
that the plan serves:

    captured at n = 34, 35, 36, and ahead at 128      a call at n = 37 is between them

Its Python runs for these arguments, and sees tensors from outside that grow as they would be then,
but nothing is computed or set. Where the function raises, or does something else than at the other
sizes, a nearer size is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import Any

from ..graph.ir import Shape
from ..runtime.buffer import DeviceBuffer
from ..runtime.device import Device
from ..tensor.core import TensorCore
from .area import Area
from .between import AtSize, Sizes, Span
from .capture import Capture
from .replay import Replay
from .structure import Arguments, Replacing, like

Kind = Callable[[Arguments, Any, Any], Hashable]
"""Of (arguments to note them in, args, kwargs): the kind of a call."""


InArguments = tuple[tuple[Shape, ...], tuple[int, ...]]
"""The first two of Sizes (between.py)."""


class Kept(Replacing):
    """Copies arguments as they are before a call, which may change lists and objects in them."""

    def change(self, value: Any) -> Any:
        """As Replacing's. An object that does something at its end has no copies."""
        is_whole = isinstance(value, TensorCore) or hasattr(type(value), "__del__")
        return value if is_whole else NotImplemented


def sizes_of(arguments: Arguments, args: Sequence[Any], kwargs: Mapping[str, Any]) -> InArguments:
    """The shapes and integers in a call's arguments. (Those in lists, dicts and objects count where
    they are read.)"""
    every = (*args, *(kwargs[name] for name in sorted(kwargs)))
    return tuple([tensor._node.shape for tensor in arguments.tensors]), tuple(_integers(every))


def _integers(value: Any) -> Iterator[int]:
    """The integers in nested tuples."""
    if type(value) is int:
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _integers(item)


def at_size(kind: Hashable, sizes: InArguments, replay: Replay, capture: Capture) -> AtSize:
    """What a capture for arguments of a kind, with these sizes, has found."""
    items = capture.watch.integers_of(capture.arguments.objects)
    every = (*sizes, items, replay.environment.sizes)
    return AtSize(kind, every, replay, capture.trace.questions or ())


def capture_ahead(
    span: Span | Area,
    function: Any,
    arguments: Arguments,
    call: tuple[Sequence[Any], Mapping[str, Any]],
    capture: Capture,
    kind_of: Kind,
) -> None:
    """Capture the function ahead of the calls, where the sizes in a span grow. `call` has args and
    kwargs, Kept from the call that `capture` was for."""
    while (wanted := span.ahead()) is not None:
        point, kind, sizes, resized = wanted
        found: AtSize | None = None
        with suppress(Exception):  # of the function, which was not written for this size
            kept = Arguments()
            kind_of(kept, *call)
            args, kwargs = _Resized(kept, sizes).call(*call)
            seen = Arguments()
            if kind_of(seen, args, kwargs) == kind:
                start = (seen, capture.name, capture.newest)
                ahead = Capture(*start, False, True, capture.watch.integers, resized)
                replay = ahead.look(function, args, kwargs, span.questions)
                if replay is not None:
                    found = at_size(kind, sizes[:2], replay, ahead)
        span.takes_ahead(point, found)


class _Resized(Kept):
    """Copies of arguments for other sizes. In place of tensors of another shape they have tensors
    without memory."""

    def __init__(self, arguments: Arguments, sizes: Sizes) -> None:
        super().__init__()
        shapes, integers, items, _ = sizes
        tensors, objects = arguments.tensors, arguments.objects
        self._integers = iter(integers)
        self._items = {(id(objects[number]), key): n for n, number, key in items}
        self._made = {
            id(tensor): self._resized(tensor, shape)
            for tensor, shape in zip(tensors, shapes, strict=True)
            if tensor._node.shape != shape
        }

    def call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The arguments of a call."""
        new_args = tuple([self._argument(value) for value in args])
        named = {name: self._argument(kwargs[name]) for name in sorted(kwargs)}
        return new_args, {name: named[name] for name in kwargs}

    def _argument(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return like(value, map(self._argument, value))
        return next(self._integers) if type(value) is int else self(value)

    def item(self, owner: Any, key: Any, value: Any) -> Any:
        """As Replacing's."""
        n = self._items.get((id(owner), key))
        if n is None:
            return self(value)
        self._changes += 1
        return n

    def change(self, value: Any) -> Any:
        """As Kept's."""
        made = self._made.get(id(value))
        return super().change(value) if made is None else made

    def _resized(self, tensor: TensorCore, shape: Shape) -> TensorCore:
        node = tensor._node
        device = node.device or Device.DEFAULT
        storage = DeviceBuffer(prod(shape), node.dtype, device, None)
        made = type(tensor)._from_storage(storage, shape)
        made._requires_grad = tensor._requires_grad
        return made
