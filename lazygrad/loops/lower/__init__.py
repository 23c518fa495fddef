"""Lower a kernel of graph nodes to plain loops: correct, in order, and not yet fast.

value        a node's element at an index, as an expression
nodes        one node: maps, sums, scatters, scans
rows         one node or several, with OPT=1: rows, maps and sums that are computed together
sort         sorts
winograd     convolutions by tiles
needed       which elements of outputs and which terms of sums are needed
share        chains, whose parts share their outer loops
canonical    before lowering: a key that equal kernels share
arguments    after lowering: one argument for an output and the input that it overwrites
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ... import config
from ...expr import Array
from ...graph.ir import Node
from ...schedule.ir import Kernel
from ...schedule.show import member_lines, title
from ..ir import Function, digest
from ..ir.rebuild import flops
from .canonical import Shift
from .nodes import Lowering
from .rows import RowLowering
from .share import share_loops
from .sort import lower_sort
from .winograd import lower_filter, lower_winograd

_NOTHING = Function("", (), 0, ())


@dataclass(frozen=True, eq=False)
class Lowered:
    """A kernel with its function so far: what the passes of level "kernel" transform.

    `overwritten` maps an output to the input whose memory it takes over. `arrays` are the
    function's arrays for the kernel's outputs and inputs, in order. `shifts` maps an input to the
    multi-index at which it begins in its memory (canonical.py).
    """

    kernel: Kernel
    overwritten: Mapping[Node, Node]
    function: Function = _NOTHING
    arrays: tuple[Array, ...] = ()
    shifts: Mapping[Node, Shift] = field(default_factory=dict)

    @property
    def nodes(self) -> list[Node]:
        """The kernel's outputs and inputs."""
        return [*self.kernel.outputs, *self.kernel.inputs]


def lower_node(kernel: Kernel, name: str, scratch: int | None = None) -> Function:
    """Plain loops for a kernel of one node. `scratch`: as in `lower`.

    Requires: each element of the node has a position of its own. Ensures: as `lower`.
    """
    if kernel.kind == "sort":
        return lower_sort(kernel, name, scratch)
    return Lowering(kernel).function(name)


def lower(
    kernel: Kernel,
    name: str,
    scratch: int | None = None,
    skips: bool = False,
    cores: int = 1,
    ends: bool = False,
) -> Function:
    """Plain loops for a kernel.

    `scratch`: the most bytes that arrays for one row may have (None: no limit). With `skips`,
    reductions leave out neutral terms: those beyond a size known at run time, and of sums of
    products those in a factor's padding. `cores`: the number of threads, for kernels that lowering
    divides among them. With `ends`, stores of outputs say which elements are needed.

    Ensures: serial loops only; the arguments are the kernel's outputs, in order, then its inputs.
    """
    match kernel.kind:
        case "chain":
            parts = [lower(part, name, scratch, skips, ends=ends) for part in kernel.parts]
            shared = share_loops(kernel, name, parts)
            assert shared is not None, "a chain whose parts cannot share their loops"
            return shared
        case "sort":
            return lower_sort(kernel, name, scratch, ends)
        case "filter":
            return lower_filter(kernel, name)
        case "winograd":
            return lower_winograd(kernel, name, cores, ends)
    return RowLowering(kernel, skips, ends).function(name)


# --------------------------------------------------------------------------- names


def named(made: Lowered) -> Lowered:
    """Give the function its name and costs, and a comment where origins are recorded. The name is
    the kernel's title and a digest of the loops: it is the same in every process."""
    function, kernel = made.function, made.kernel
    function = replace(
        function,
        name=f"{title(kernel)}_{digest(function)[:10]}",
        comment=_formulas(made) if config.ORIGINS else "",
        flops=flops(function.body),
        bytes=sum(node.nbytes for node in made.nodes),
    )
    return replace(made, function=function)


def _formulas(made: Lowered) -> str:
    """What a kernel computes, a line for each member."""
    names = {node: array.name for node, array in zip(made.nodes, made.arrays, strict=True)}
    return "\n".join(line for line, _ in member_lines(made.kernel, names))


def renamed(function: Function, kernel: Kernel) -> Function:
    """The function of a kernel with the same loops, under the name that `named` would give it for
    this kernel, whose title may be another."""
    _, _, digest = function.name.rpartition("_")
    return replace(function, name=f"{title(kernel)}_{digest}")
