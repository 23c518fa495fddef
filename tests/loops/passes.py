"""Loop passes in a row, for tests."""

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
    """The function after the loop passes for a machine, but for its legalisation; `saw` is told
    what each has changed."""
    for each in passes("loops", machine.target, 1):
        if each.name == "stores":
            break
        before, function = function, each.function(function, At(machine, kinds=kinds))
        if function != before:
            saw(each.name, function)
    return function


def legal(function: Function, machine: Machine) -> Function:
    """The function as code generators take it: after the core passes alone."""
    for each in passes("loops", machine.target, 0):
        function = each.function(function, At(machine))
    return function
