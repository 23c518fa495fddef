"""Choose the layout of intermediates: only kernels read them, so any layout will do.

Around convolutions, the batch is split into blocks of one vector, and the block is innermost:
(N / 8, C, H, W, 8). Vectors are then full and aligned at any image size, for convolution, pooling
and normalization alike, and a vector loaded for one position of a window serves the next position.

Batches stay unblocked where most convolutions write outputs of the program. Outputs are row-major:
the elements of a vector would be stored a whole image apart, all of them in one set of L1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ..graph.ir import Contiguous, Elementwise, Movement, Node, Reduce, topological
from ..graph.product import factors
from .ir import Blocked, Kernel, Schedule


def choose_layouts(schedule: Schedule, lanes: int) -> Schedule:
    """Block the batch of the intermediates of a schedule that has convolutions.

    Requires: a fused schedule. Ensures: outputs and Buffers stay row-major.

        h = conv(x), stored as (N, C, H, W)  ->  stored as (N / 8, C, H, W, 8)
    """
    batches = _batches(schedule.outputs, lanes)
    if not batches:
        return schedule
    kept = set(schedule.outputs)
    for kernel in schedule.kernels:
        if kernel.kind == "recurrence":  # a step reads rows
            kept.update(kernel.inputs)
    layouts = {
        node: Blocked(lanes)
        for kernel in schedule.kernels
        for node in kernel.outputs
        if node not in kept and kernel.kind in ("map", "row", "contraction", "winograd")
        if len(node.shape) >= 3 and node.shape[0] in batches
    }
    return Schedule(tuple(_with_layouts(k, layouts) for k in schedule.kernels), schedule.outputs)


def _batches(outputs: Sequence[Node], lanes: int) -> set[int]:
    """The batch sizes to block. They are multiples of `lanes` with which more convolutions write
    images for other kernels than write images for the program."""
    wanted = _computed_from_sums(outputs)
    balance: Counter[int] = Counter()
    for node in topological(outputs):
        for x in _convolved(node):
            if len(x.shape) >= 3 and x.shape[0] % lanes == 0:
                writes_images = node in wanted and x.shape[0] in node.shape
                balance[x.shape[0]] += -1 if writes_images else 1
    return {batch for batch, more in balance.items() if more > 0}


def _computed_from_sums(outputs: Sequence[Node]) -> set[Node]:
    """The reductions whose results reach an output through elementwise operations and movement
    alone."""
    found: set[Node] = set()
    stack, seen = list(outputs), set(outputs)
    while stack:
        node = stack.pop()
        if isinstance(node, Reduce):
            found.add(node)
        elif isinstance(node, (Elementwise, Movement, Contiguous)):
            stack += [x for x in node.inputs if x not in seen]
            seen.update(node.inputs)
    return found


def _with_layouts(kernel: Kernel, layouts: dict[Node, Blocked]) -> Kernel:
    nodes = (*kernel.outputs, *kernel.inputs)
    return replace(kernel, layouts={n: layouts[n] for n in nodes if n in layouts})


def _convolved(node: Node) -> list[Node]:
    """The images of a convolution: the factors read through sliding windows, by several outputs. A
    depthwise convolution has none: no two outputs share its images, and its rows fill vectors."""
    return [factor.source for factor in factors(node) if factor.slides and factor.is_shared]
