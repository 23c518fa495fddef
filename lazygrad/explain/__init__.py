"""Why a function is slow: what shares a kernel, what is compiled again, what stands in memory.

print(lazygrad.explain(step, x, y))

why       why a call was compiled again; graphs that grow from call to call
peak      what stands in memory when most does
summary   what matters most, in a screen of lines
details   all of it
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .. import config
from ..errors import check_integers
from ..looking import looking
from ..origin import title
from ..tensor import Tensor

if TYPE_CHECKING:
    from ..decisions import Compilation, Record


class Explanation:
    """What happened in some calls of a function; printing it shows what matters most.

    `details()` is all of it. `calls` has for each call its events in order (decisions.py):
    captures, compilations, replays.
    """

    def __init__(self, name: str, record: Record) -> None:
        self.name = name
        self.calls = record.calls

    @property
    def compilations(self) -> list[Compilation]:
        """All graphs that were compiled, in order."""
        from ..decisions import Compilation

        return [event for call in self.calls for event in call if isinstance(event, Compilation)]

    def __str__(self) -> str:
        from .summary import summary

        return summary(self.name, self.calls)

    __repr__ = __str__

    def details(self) -> str:
        """Each kernel with its lines of the program, what is part of it and why, why it is apart
        from those that it reads, what is stored rather than computed again, and the memory.

            print(lazygrad.explain(lambda x: x.softmax(1), Tensor.ones(64, 10)).details())
        """
        from .details import details

        return details(self.name, self.calls)


def explain(function: Callable[..., Any], *args: Any, calls: int = 2, **kwargs: Any) -> Explanation:
    """Call a function and explain what was compiled for it, and why.

    The function is called `calls` times with these arguments, and the tensors that it returns are
    computed each time. What it does besides, it does: a training step trains. The first call
    shows the kernels, though they may have been compiled before; the second call shows whether the
    function is compiled again, and why. A function that `jit` has captured is captured once more.
    Work is counted, not measured: DEBUG=2 measures it.

        print(lazygrad.explain(lambda x: x.softmax(1), Tensor.ones(64, 10)))

        found = lazygrad.explain(lambda x: x.relu(), Tensor([1.0]), calls=1)
        len(found.calls) == 1
    """
    from ..decisions import Record

    record = Record()
    name = getattr(function, "__name__", type(function).__name__)
    place = f"{name}{_line(function)}"
    check_integers(calls=calls)
    token = looking.set(record)
    try:
        with config.override(ORIGINS=1):
            for _ in range(calls):
                record.begin_call()
                _realize(list(_tensors(function(*args, **kwargs))), place)
    finally:
        looking.reset(token)
    return Explanation(name, record)


def _line(function: Callable[..., Any]) -> str:
    """Where a function begins: ` (train.py:14)`; "" where that is not known."""
    code = getattr(function, "__code__", None)
    return "" if code is None else f" ({os.path.basename(code.co_filename)}:{code.co_firstlineno})"


def _realize(tensors: list[Tensor], place: str) -> None:
    """Compute what a function has returned; `place` asks for it."""
    token = title.set(place)
    try:
        if tensors:
            tensors[0].realize(*tensors[1:])
    finally:
        title.reset(token)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)


__all__ = ["Explanation", "explain"]
