"""Which integers an index may hold, and how one that is out of range is found; and what else is
known of values when a line runs: divisors, probabilities.

known values     in the host's memory: looked at now, so that the line that is wrong raises
a proven range   positions, what sorts and argmax give, sums and remainders of such: nothing
any other        an InRange node: the kernels check it, and raise when values are read

With CHECK=bounds a proven range is checked, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from os.path import basename
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from .. import config
from ..errors import ArgumentError, DivisionError, RangeError
from ..graph import ir
from ..graph.ir import InRange, Node, Source
from ..runtime.buffer import DeviceBuffer, realized
from .template import need_values, trial

Array = np.ndarray[Any, Any]
Range = tuple[int, int]  # the least and the largest value

declared: WeakKeyDictionary[Node, Range] = WeakKeyDictionary()
"""What the operations that made some nodes know of their values."""

MAX_DEPTH = 12  # operations that are looked through for a range
_PACKAGE = __name__.partition(".")[0] + "."


def checked(
    operation: str,
    index: Node,
    low: int,
    high: int,
    where: str,
    ignored: int | None = None,
) -> Node:
    """The index, checked: each value is in low .. high - 1, or is `ignored`.

    Raises RangeError, with `where`, if known values are not, or no value can be.
    """
    if index.size == 0 or (ignored is not None and high <= 0):
        return index
    tried = trial.get()
    if tried is not None and index in tried.places:
        arguments = low, high, where, ignored
        (made,) = tried.anew(lambda x: [checked(operation, x, *arguments)], index, like=[index])
        if ignored is None:
            declared[made] = low, high - 1
        return made
    base = _base(index)
    storage = _computed(base)
    least, most = integer_range(index) if storage is None else storage.extremes()
    is_proven = low <= least and most < high
    if is_proven and (storage is not None or "bounds" not in config.CHECK):
        return index
    if storage is not None:
        values = storage.numpy()
        outside = values[((values < low) | (values >= high)) & (values != ignored)]
        if not outside.size:
            return index
        raise RangeError(f"{operation}: {int(outside[0])} is outside {where}")
    if high <= 0:
        raise RangeError(f"{operation}: an index of shape {index.shape} into {where}")
    if ignored is None and (most < low or least >= high):
        raise RangeError(f"{operation}: {least if least >= high else most} is outside {where}")
    least, most = _limits(base)
    if ignored is not None and not least <= ignored <= most:
        ignored = None
    check = InRange(base, max(low, least), high, ignored, _caller(operation))
    return _beneath(index, base, check)


def verify_probabilities(name: str, node: Node) -> None:
    """Raise ArgumentError if known values are not all from 0 to 1."""
    if is_tried(verify_probabilities, name, node):
        return
    values = known_values(node)
    if values is not None and not ((values >= 0) & (values <= 1)).all():
        outside = values[~((values >= 0) & (values <= 1))][0]
        raise ArgumentError(f"{name}: {outside} is no probability from 0 to 1")


def is_tried(verify: Callable[[str, Node], None], name: str, node: Node) -> bool:
    """Whether a node is a leaf that an operation is tried on. What is verified of it will be
    verified with each call."""
    tried = trial.get()
    if tried is None or node not in tried.places:
        return False

    def anew(x: Node) -> tuple[Node, ...]:
        verify(name, x)
        return ()

    tried.anew(anew, node, like=())
    return True


def verify_divisor(name: str, divisor: Node) -> None:
    """Raise DivisionError where known values of an integer divisor have a 0 among them."""
    if is_tried(verify_divisor, name, divisor):
        return
    if divisor.dtype.is_int and divisor.size:
        values = known_values(_base(divisor))
        if values is not None and not values.all():
            raise DivisionError(f"{name}: an integer divided by 0")


def _base(index: Node) -> Node:
    """What has each element of an index once, or wider."""
    if type(index) is ir.Buffer:  # as most are: the rest takes longer
        return index
    while isinstance(index, (ir.Expand, ir.Reshape, ir.Permute)) or _widens(index):
        index = index.inputs[0]
    return index


def _widens(node: Node) -> bool:
    """Whether a node has the integers of another dtype, all of which are its own's too."""
    if not isinstance(node, ir.Cast) or not node.x.dtype.is_int:
        return False
    (least, most), (low, high) = _limits(node.x), _limits(node)
    return low <= least and most <= high


def known_values(node: Node) -> Array | None:
    """The values of a node; None where they are not there to be looked at without waiting."""
    if isinstance(node, ir.Const):
        return np.array([node.value])
    storage = _computed(node)
    return None if storage is None else storage.numpy()


def _computed(index: Node) -> DeviceBuffer | None:
    """The values of an index that are there to be looked at: computed, and on the host."""
    need_values(index)
    storage = index.storage if isinstance(index, ir.Buffer) else realized.get(index)
    return storage if isinstance(storage, DeviceBuffer) and storage.device == "CPU" else None


def _beneath(index: Node, base: Node, checked_base: Node) -> Node:
    """The index with its base checked: each element once, and in its own dtype."""
    if index is base:
        return checked_base
    return index.with_inputs((_beneath(index.inputs[0], base, checked_base),))


def _caller(operation: str) -> Source:
    """The line of the program that called lazygrad."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame = frame.f_back
    return Source(operation, basename(frame.f_code.co_filename), frame.f_lineno)


# --------------------------------------------------------------------------- ranges


def integer_range(node: Node) -> Range:
    """The least and the largest value that an integer node may have, as far as its operations
    tell."""
    return _Ranges().of(node, MAX_DEPTH)


def _limits(node: Node) -> Range:
    if node.dtype.is_int:
        return int(node.dtype.min), int(node.dtype.max)
    return 0, 1


class _Ranges:
    """The ranges of a node and of what it is computed from, each found once."""

    def __init__(self) -> None:
        self.known: dict[Node, Range] = {}

    def of(self, node: Node, depth: int) -> Range:
        """A node's range, by so many operations at most."""
        _ = node.inputs  # which builds it: only then is it declared
        found = self.known.get(node) or declared.get(node)
        if found is None:
            least, most = limits = _limits(node)
            told = self.told(node, depth) if depth else None
            # what may be beyond the dtype may wrap
            found = told if told and least <= told[0] <= told[1] <= most else limits
            self.known[node] = found
        return found

    def told(self, node: Node, depth: int) -> Range | None:
        """What the operation tells, as if nothing wrapped."""

        def of(x: Node) -> Range:
            return self.of(x, depth - 1)

        need_values(node)  # whose past may tell more
        match node:
            case ir.Const(value):
                return int(value), int(value)
            case ir.Iota(n):
                return 0, max(n - 1, 0)
            case ir.Sort(x, axis):
                return 0, max(x.shape[axis] - 1, 0)
            case InRange(x, low, high, None):
                least, most = of(x)
                return max(least, low), min(most, high - 1)
            case ir.Cast(x) if not x.dtype.is_float:
                return of(x)
            case ir.Overwritten(_, x):
                return of(x)
            case ir.Contiguous(x) | ir.Copy(x) | ir.Detach(x):
                return of(x)
            case ir.Pad(x, _, fill):
                return _union(of(x), (int(fill), int(fill)))
            case ir.Movement():
                return of(node.inputs[0])
            case ir.Gather(x):
                return _union(of(x), (0, 0))
            case ir.Reduce(x, "max" | "min") if x.size:
                return of(x)
            case ir.Reduce(x, "sum") if x.size:
                count = x.size // node.size
                return of(x)[0] * count, of(x)[1] * count
            case ir.Where(ir.Less(x, y), x2, y2) if (x2, y2) == (x, y):
                return self.told(ir.Minimum(x, y), depth)
            case ir.Where(ir.Less(x, y), y2, x2) if (x2, y2) == (x, y):
                return self.told(ir.Maximum(x, y), depth)
            case ir.Where(_, x, y):
                return _union(of(x), of(y))
            case ir.Add(x, y):
                (a, b), (c, d) = of(x), of(y)
                return a + c, b + d
            case ir.Sub(x, y):
                (a, b), (c, d) = of(x), of(y)
                return a - d, b - c
            case ir.Mul(x, y):
                ends = [a * b for a in of(x) for b in of(y)]
                return min(ends), max(ends)
            case ir.Maximum(x, y):
                (a, b), (c, d) = of(x), of(y)
                return max(a, c), max(b, d)
            case ir.Minimum(x, y):
                (a, b), (c, d) = of(x), of(y)
                return min(a, c), min(b, d)
            case ir.Mod(_, ir.Const(n)) if n > 0:
                return 0, int(n) - 1
            case ir.FloorDiv(x, ir.Const(n)) if n > 0:
                return of(x)[0] // int(n), of(x)[1] // int(n)
        return None


def _union(x: Range, y: Range) -> Range:
    return min(x[0], y[0]), max(x[1], y[1])
