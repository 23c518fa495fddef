"""Compute the copies in a graph together, on memory that has their leaves side by side.

graph/copies.py finds the copies. Their number may be the same in every run: then a graph is
computed as it is, which takes least time once it is compiled. Where another number of the same
copies comes, it is computed together, until that number has come often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from . import config
from .cache import remember
from .dtypes import DType
from .errors import CompilerError
from .graph import build
from .graph.ir import Buffer, Const, Node
from .graph.structure import Walk
from .runtime.buffer import Array, DeviceBuffer, realized
from .runtime.device import Device
from .runtime.report import report_copies

if TYPE_CHECKING:
    from .graph.copies import Row

MIN_PLACES = 32  # nodes of a walk, or calls that are not built, from which on there may be copies
MAX_FORMS = 4096
OFTEN = 16  # runs together take the time that compiling the graph as it is takes

_counts: dict[int, int] = {}
"""How many copies there were when what they compute was first met."""

Graph = tuple[Sequence[Node], "Walk | None", "Sequence[Row] | None"]
"""Outputs; a walk that has reached them; where in them others are, None: they are the others."""


def together(nodes: Sequence[Node], walked: Walk | None) -> Graph:
    """An equal graph in which copies are computed together, or the same graph. `walked` is as in
    `plan_for`."""
    if walked is None:
        walked = Walk(realized)
        walked.walk(nodes)
    if len(walked.nodes) < MIN_PLACES or not config.SIZES:
        return nodes, walked, None
    every, places = walked.structure.runs, walked.places(nodes)
    runs = every.get(places, 0)
    if runs is None:
        return nodes, walked, None
    from .graph.copies import batch_copies  # here: few programs have copies

    whole = walked.whole(nodes)
    try:
        found, rows, counts = batch_copies(nodes, whole, realized, _stack)
    except Exception as error:
        from .stages import Stages  # here: with it come the passes

        fault = CompilerError(f"copies: {error!r}")
        fault.__cause__ = error
        Stages().go_on_after(fault)
        counts = []
    for form, count in counts:
        if form not in _counts:
            remember(_counts, form, count, MAX_FORMS)
    if all(_counts.get(form) == count for form, count in counts) or runs == OFTEN:
        every[places] = None
        return nodes, walked, None
    every[places] = runs + 1
    if config.DEBUG:
        report_copies([count for _, count in counts])
    return found, None, rows


def cut(found: Sequence[DeviceBuffer], rows: Sequence[Row]) -> list[DeviceBuffer]:
    """The memory of outputs, cut from that of outputs computed together."""
    counts = Counter(number for number, row in rows if row is not None)
    arrays = {n: found[n].numpy().reshape(count, -1) for n, count in counts.items()}

    def of(number: int, row: int | None) -> DeviceBuffer:
        whole = found[number]
        if row is None:
            return whole
        array = arrays[number][row].copy()
        memory = Device.get(whole.device).upload(array)
        return DeviceBuffer(array.size, whole.dtype, whole.device, memory)

    return [of(number, row) for number, row in rows]


@dataclass(eq=False, slots=True, weakref_slot=True)
class Stacked:
    """The storage of a leaf that has the elements of others, one after the other. There is no
    memory until a plan runs."""

    size: int
    dtype: DType
    device: str
    parts: Sequence[DeviceBuffer | Stacked | float]  # a number is one element

    def filled(self) -> DeviceBuffer:
        """Memory with the elements. Raises OutOfMemoryError."""
        array = np.empty(self.size, self.dtype.numpy)
        self._fill(array)
        memory = Device.get(self.device).upload(array)
        return DeviceBuffer(self.size, self.dtype, self.device, memory)

    def _fill(self, array: Array) -> None:
        rows = array.reshape(len(self.parts), -1)
        for row, part in zip(rows, self.parts, strict=True):
            if isinstance(part, Stacked):
                part._fill(row)
            else:
                row[:] = part.numpy() if isinstance(part, DeviceBuffer) else part


def filled(storages: Sequence[Any]) -> list[DeviceBuffer]:
    """The memory of leaves."""
    return [x.filled() if isinstance(x, Stacked) else x for x in storages]


def _stack(column: Sequence[Node], device: str | None) -> Node:
    """As graph.copies.Stack."""
    first, count = column[0], len(column)
    shape = (count, *first.shape)
    if isinstance(first, Const):
        values = [cast(Const, x).value for x in column]
        leaf = Buffer(Stacked(count, first.dtype, device or Device.DEFAULT, values), (count,))
        return build.expand(build.reshape(leaf, (count, *(1,) * len(first.shape))), shape)
    parts: list[Any] = [x.storage if isinstance(x, Buffer) else realized[x] for x in column]
    return Buffer(Stacked(count * first.size, first.dtype, str(first.device), parts), shape)
