"""All loop passes in a row, for tests."""

from __future__ import annotations

from collections.abc import Callable

from lazygrad.loops.ir import Function
from lazygrad.pipeline import passes
from lazygrad.targets import At, Machine


def transform(
    function: Function,
    kinds: tuple[str, ...],
    machine: Machine,
    saw: Callable[[str, Function], object] = lambda name, function: None,
) -> Function:
    """The function after the loop passes for a machine; `saw` is told what each has changed."""
    for each in passes("loops", machine.target, 1):
        before, function = function, each.function(function, At(machine, kinds=kinds))
        if function != before:
            saw(each.name, function)
    return function
