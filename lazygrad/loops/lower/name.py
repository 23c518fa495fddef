"""Name a function by what it computes, and note what it costs."""

from __future__ import annotations

from dataclasses import replace

from ...schedule.ir import Kernel
from ...schedule.show import member_lines, title
from ..cost import flops
from ..ir import Function, digest
from . import Lowered


def named(made: Lowered) -> Lowered:
    """The function with a name that is equal for equal functions, in any process, and with its
    comment and costs."""
    function, kernel = made.function, made.kernel
    names = {node: array.name for node, array in zip(made.nodes, made.arrays, strict=True)}
    function = replace(
        function,
        name=f"{title(kernel)}_{digest(function)[:10]}",
        comment="\n".join(line for line, _ in member_lines(kernel, names)),
        flops=flops(function),
        bytes=sum(node.nbytes for node in made.nodes),
    )
    return replace(made, function=function)


def renamed(function: Function, kernel: Kernel) -> Function:
    """The function of an equal kernel, which may have been asked for otherwise, with the name that
    `named` gives this one."""
    _, _, digest = function.name.rpartition("_")
    return replace(function, name=f"{title(kernel)}_{digest}")
