"""Writes to a block of a tensor, where its place is data and no part of the graph.

    for i in range(1000):
        memory[i] = v      # one program, whatever i is, and it touches one row

Without gradient alone, and for small blocks: a large one is as well written with the whole tensor,
in one pass with what comes before and after.
"""

from __future__ import annotations

import math

import numpy as np

from ..graph import build, ir
from ..graph.ir import Buffer, Node
from ..runtime.buffer import DeviceBuffer
from ..runtime.device import Device
from .views import Path

SMALL = 4  # a block is small that is at most such a part of the tensor


def put_block(path: Path, source: Node, value: Node) -> Node | None:
    """`source` with the value's elements where the path leads; None if that is no small block.

    rows (2,) of zeros(4, 3)   ->   scatter(zeros(4, 3), [a buffer with 2, iota], value)
    """
    block = _block(path, source)
    if block is None:
        return None
    starts, sizes = block
    if not 0 < SMALL * math.prod(sizes) <= source.size:
        return None
    placed = [axis for axis, n in enumerate(source.shape) if sizes[axis] != n]
    device = source.device or value.device or Device.DEFAULT
    array = np.array([starts[axis] for axis in placed], np.int64)
    place = Buffer(DeviceBuffer.from_numpy(array, device), array.shape)
    indices = []
    for axis, size in enumerate(sizes):
        index: Node = ir.Iota(size)
        if axis in placed:
            start = build.slice_axis(place, 0, placed.index(axis), 1)
            index = start if size == 1 else ir.Add(ir.Expand(start, (size,)), index)
        index = build.reshape(index, tuple(size if n == axis else 1 for n in range(len(sizes))))
        indices.append(index if index.shape == sizes else ir.Expand(index, sizes))
    return ir.Scatter(source, tuple(indices), build.reshape(value, sizes), "set")


def _block(path: Path, source: Node) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Where the block begins that a path shows, and its sizes; None for another kind of view."""
    starts, sizes = (0,) * len(source.shape), source.shape
    is_reshaped = False
    for cls, fields in path:
        if cls is ir.Slice and not is_reshaped and all(step == 1 for step in fields[2]):
            starts = tuple(a + b for a, b in zip(starts, fields[0], strict=True))
            sizes = fields[1]
        elif cls is ir.Reshape:
            is_reshaped = True
        else:
            return None
    return starts, sizes
