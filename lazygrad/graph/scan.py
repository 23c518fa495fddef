"""Write a scan as other nodes. Element i of a scan is the elements 0 to i combined."""

from __future__ import annotations

from . import build
from .ir import REDUCTIONS, Node, Reduce, Reshape, Window, identity

BLOCK = 8  # elements scanned by brute force: more would be more work, fewer more levels


def scan_in_blocks(x: Node, op: str) -> Node:
    """The scan of x along the last axis, of n elements, in log(n) levels.

    Each block is scanned by brute force: windows of all lengths are reduced. The blocks' totals are
    scanned in the same way. So the work is linear, rounding errors grow with log(n), and all
    elements of a level are independent.
    """
    nothing = identity(op, x.dtype)
    *outer, n = x.shape
    last = len(outer)
    if n <= BLOCK:
        windows = Window(build.pad_axis(x, last, n - 1, 0, nothing), last, n)
        return Reduce(windows, op, (last + 1,))
    blocks = -(-n // BLOCK)
    padded = build.pad_axis(x, last, 0, blocks * BLOCK - n, nothing)
    inner = scan_in_blocks(build.reshape(padded, (*outer, blocks, BLOCK)), op)
    totals = build.reshape(build.slice_axis(inner, last + 1, BLOCK - 1, 1), (*outer, blocks))
    # before block i: the combination of the blocks 0 to i - 1
    done = build.slice_axis(scan_in_blocks(totals, op), last, 0, blocks - 1)
    before = build.reshape(build.pad_axis(done, last, 1, 0, nothing), (*outer, blocks, 1))
    result = REDUCTIONS[op](build.expand(before, inner.shape), inner)
    return build.slice_axis(Reshape(result, (*outer, blocks * BLOCK)), last, 0, n)
