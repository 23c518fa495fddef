"""Why a function is slow: what shares a kernel, what is compiled again, what stands in memory.

print(lazygrad.explain(step, x, y))

why      why a call was compiled again; graphs that grow from call to call
peak     what stands in memory when most does
text     all of it as lines
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .. import config
from ..looking import looking
from ..tensor import Tensor

if TYPE_CHECKING:
    from ..decisions import Compilation, Record


class Explanation:
    """What happened in some calls of a function; printing it shows it.

    `calls` has for each call its events in order (decisions.py): captures, compilations, replays.
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
        from .text import explained

        return explained(self.name, self.calls)

    __repr__ = __str__


def explain(function: Callable[..., Any], *args: Any, calls: int = 2, **kwargs: Any) -> Explanation:
    """Call a function and explain what was compiled for it, and why.

    The function is called `calls` times with these arguments, and the tensors that it returns are
    computed each time. What it does besides, it does: a training step trains. The first call
    shows the kernels, though they may have been compiled before; the second call shows whether the
    function is compiled again, and why. A function that `jit` has captured is captured once more.

        print(lazygrad.explain(lambda x: x.softmax(1), Tensor.ones(64, 10)))
    """
    from ..decisions import Record

    record = Record()
    token = looking.set(record)
    try:
        with config.override(ORIGINS=1):
            for _ in range(calls):
                record.begin_call()
                tensors = list(_tensors(function(*args, **kwargs)))
                if tensors:
                    tensors[0].realize(*tensors[1:])
    finally:
        looking.reset(token)
    return Explanation(getattr(function, "__name__", type(function).__name__), record)


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
