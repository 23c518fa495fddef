"""A plan that serves every size of an axis up to a bound.

It was compiled for a larger size N, the bound; the actual n is one more leaf of it (families.py).
To run it for n, leaves are brought into memory at the bound, and outputs are cut from such memory
(room.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..graph.ir import Source
from ..graph.skeleton import Sizes
from .buffer import DeviceBuffer
from .execute import Memories, Output, Plan
from .flags import Range
from .room import Resized, Room, Roomy

if TYPE_CHECKING:  # families.py makes these plans
    from .families import Compiled

SMALLEST_BOUND = 128
STEP = 2  # from one bound to the next
OFTEN = 64  # runs, from which on a size has a plan of its own


class SizedPlan(Plan):
    """A plan at a bound, run for a size n, or at two bounds."""

    __slots__ = (
        "_cut", "_enlarged", "_extra", "_fixed", "_inner", "_ranges", "_rooms", "_share",
        "compiled", "runs", "sizes",
    )  # fmt: skip
    compiled: Compiled  # the family
    sizes: Sizes

    def __init__(
        self,
        inner: Plan,
        leaves: Sequence[Resized | None],
        outputs: Sequence[Resized | None],
        grown: Mapping[int, int],
        extra: Sequence[DeviceBuffer],
        share: float,
        ranges: Sequence[Range],
    ) -> None:
        """`leaves` and `outputs` have None for a tensor of one shape at every size. `grown[i]` is
        the number of the leaf that output i grows from. `extra` are the leaves behind the graph's
        own and its arguments: the sizes. `share`: the part of the inner plan's work that they
        take. `ranges` are those of the checks of indices."""
        elsewhere = inner.leaves  # no leaf's place
        own = [
            Output(elsewhere, each.size, output.dtype, output.device) if each else output
            for output, each in zip(inner.outputs, outputs, strict=True)
        ]
        in_place = {n: leaf for n, leaf in grown.items() if leaf in inner.taken}
        taken = inner.taken.difference(in_place.values())
        super().__init__(
            len(leaves), inner.allocations, inner.steps, own, taken, inner.peak_bytes, inner.flags,
            title=inner.title, has_origins=inner.has_origins,
        )  # fmt: skip
        self._inner = inner
        in_room = set(in_place.values())
        self._enlarged = [(n, x) for n, x in enumerate(leaves) if x and n not in in_room]
        self._fixed = [n for n, x in enumerate(leaves) if not x]
        self._cut = [(n, x) for n, x in enumerate(outputs) if x and n not in in_place]
        pairs = [(n, leaf, leaves[leaf], outputs[n]) for n, leaf in in_place.items()]
        self._rooms = [(n, leaf, old, new) for n, leaf, old, new in pairs if old and new]
        self._extra = tuple(extra)
        self._share = share
        self._ranges = ranges
        self.runs = 0

    @property
    def is_outgrown(self) -> bool:
        """Whether this size is worth a plan of its own. (Not with a tensor that grows, which such a
        plan would copy.)"""
        return self.runs >= OFTEN and not self._rooms

    def handle(self, storage: DeviceBuffer) -> Any:
        """As Plan's; memory may be at a bound."""
        return storage.held

    def attempt(
        self,
        memories: Memories,
        sources: Callable[[], Sequence[Source]] | None = None,
        share: float = 1.0,
    ) -> tuple[Memories, IndexError | None]:
        """As Plan's."""
        self.runs += 1
        if self.flags is not None:
            self.flags.ranges = self._ranges
        for n, each in self._enlarged:
            memories[n] = each.enlarged(memories[n])
        for n in self._fixed:
            if memories[n].__class__ is Roomy:  # a result of another family
                memories[n] = memories[n].plain()
        rooms: list[Room] = []
        try:
            for _, leaf, old, new in self._rooms:
                rooms.append(old.growing(memories[leaf], new.size))
                memories[leaf] = rooms[-1].memory
            memories.extend(buffer.memory for buffer in self._extra)
            found, error = self._inner.attempt(memories, sources, self._share * share)
            for n, each in self._cut:
                found[n] = each.kept(found[n])
        except BaseException:  # out of memory, perhaps: the tensors may grow later
            for (_, _, old, new), room in zip(self._rooms, rooms, strict=False):
                room.leave(new.size, old.size)
            raise
        for (n, _, _, new), room in zip(self._rooms, rooms, strict=True):
            found[n] = Roomy(room, new)
        return found, error


def bound_of(n: int) -> int:
    """The next power of two; at least SMALLEST_BOUND.

    100 -> 128,  129 -> 256
    """
    bound = SMALLEST_BOUND
    while bound < n:
        bound *= STEP
    return bound
