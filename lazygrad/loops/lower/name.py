"""Name a function by what it computes, and note what it costs."""

from __future__ import annotations

from dataclasses import replace

from ... import config
from ...schedule.ir import Kernel
from ...schedule.show import member_lines, title
from ..cost import flops
from ..ir import Function, digest
from . import Lowered


def named(made: Lowered) -> Lowered:
    """The function with a name that is equal for equal functions, in any process, with its costs,
    and with a comment where somebody looks."""
    function, kernel = made.function, made.kernel
    function = replace(
        function,
        name=f"{title(kernel)}_{digest(function)[:10]}",
        comment=_formulas(made) if config.ORIGINS else "",
        flops=flops(function),
        bytes=sum(node.nbytes for node in made.nodes),
    )
    return replace(made, function=function)


def _formulas(made: Lowered) -> str:
    """What a kernel computes, a line for each member."""
    names = {node: array.name for node, array in zip(made.nodes, made.arrays, strict=True)}
    return "\n".join(line for line, _ in member_lines(made.kernel, names))


def renamed(function: Function, kernel: Kernel) -> Function:
    """The function of an equal kernel, which may have been asked for otherwise, with the name that
    `named` gives this one."""
    _, _, digest = function.name.rpartition("_")
    return replace(function, name=f"{title(kernel)}_{digest}")
