"""How many steps a recurrent layer takes for sequences of a length.

On a CPU it takes as many as there are. Elsewhere the steps of a loop over time are written out, and
each length would be compiled. Where lengths vary, the sequence is padded there, and the steps
behind its end leave the state as it is: the graph is then of one form for all lengths above one
power of two and up to the next, and these share their code (graph/sizes.py).
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from .. import config
from ..runtime.device import Device
from ..targets import Target

OFTEN = 64  # sequences, from which on a length is worth a graph of its own
MAX_LENGTHS = 4096  # that are counted; others are padded


class Lengths:
    """The lengths of the sequences that a layer was given."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def steps(self, length: int) -> int:
        """The steps for a sequence: its length, or more. The first length, and those that come
        often, are not padded."""
        counts = self._counts
        if length not in counts and len(counts) == MAX_LENGTHS:
            return _padded(length)
        counts[length] = count = counts.get(length, 0) + 1
        is_own = length == next(iter(counts)) or count > OFTEN
        return length if is_own else _padded(length)


def _padded(length: int) -> int:
    """One more than the next power of two: all lengths are padded, or graphs would be of two forms.

    33 -> 65,  64 -> 65
    """
    return (1 << (length - 1).bit_length()) + 1


_lengths: WeakKeyDictionary[object, Lengths] = WeakKeyDictionary()


def steps_of(layer: object, length: int, device: str) -> int:
    """The steps that a layer takes for a sequence. One of a single step is not padded, nor is any
    where each size is compiled by itself. The lengths are not among the layer's attributes: they
    change no values, and no copy of the layer needs them."""
    if length < 2 or not (config.OPT and config.SIZES):
        return length
    if Device.get(device).machine.target is Target.CPU:  # it has loops
        return length
    lengths = _lengths.get(layer)
    if lengths is None:
        lengths = _lengths[layer] = Lengths()
    return lengths.steps(length)
