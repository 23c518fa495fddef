"""Lower a kernel of graph nodes to plain loops: correct, in order, and not yet fast.

rows.py has maps, rows, contractions, scatters and scans; sort.py and winograd.py have their own
loops; the parts of a chain share theirs (share.py). Then passes over whole kernels: canonical.py
before lowering, and arguments.py after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ... import config
from ...expr import Array
from ...graph.ir import Node
from ...schedule.ir import Kernel
from ...schedule.show import member_lines, title
from ..cost import flops
from ..ir import Function, digest
from .canonical import Shift
from .rows import Lowering
from .share import share_loops
from .sort import lower_sort
from .winograd import lower_filter, lower_winograd

_NOTHING = Function("", (), 0, ())


@dataclass(frozen=True, eq=False)
class Lowered:
    """A kernel on its way to a function: what passes over whole kernels work on.

    `overwritten` names for an output the input whose memory it takes. `arrays` are the kernel's
    outputs and inputs, in order, as they are in the function. `shifts` are the inputs that begin
    inside their memory (canonical.py).
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


def lower(
    kernel: Kernel,
    name: str,
    scratch: int | None = None,
    skip_padding: bool = False,
    cores: int = 1,
) -> Function:
    """Plain loops for a kernel.

    `scratch`: how many bytes one row may have for itself, if limited. With `skip_padding`, sums of
    products leave out terms that are 0 because they lie in a factor's padding. `cores`: among
    how many threads the work is shared, where lowering divides it.

    Ensures: serial loops only; the arguments are the kernel's
    outputs, in order, then its inputs.
    """
    if kernel.kind == "chain":
        parts = [lower(part, name, scratch, skip_padding) for part in kernel.parts]
        shared = share_loops(kernel, name, parts)
        assert shared is not None, "a chain whose parts cannot share their loops"
        return shared
    if kernel.kind == "sort":
        return lower_sort(kernel, name, scratch)
    if kernel.kind == "filter":
        return lower_filter(kernel, name)
    if kernel.kind == "winograd":
        return lower_winograd(kernel, name, cores)
    lowering = Lowering(kernel, skip_padding and kernel.kind == "contraction")
    ways = {"scatter": lowering.scatter, "scan": lowering.scan}
    body = ways.get(kernel.kind, lowering.rows)()
    return Function(name, lowering.arguments(), len(kernel.outputs), body)


# --------------------------------------------------------------------------- names


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
