"""Where the defined elements of merged axes are, for graphs of a family."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lazygrad.dtypes import int64
from lazygrad.graph.at_bound import AtBound
from lazygrad.graph.blocks import ANY, agreed, reshaped
from lazygrad.graph.build import walk
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import (
    Add,
    Cast,
    Join,
    Node,
    Pad,
    Permute,
    Reduce,
    Reshape,
    Scan,
    Slice,
    Sort,
    Window,
)
from lazygrad.graph.lines import Line, Lines, at, varies
from lazygrad.graph.sizes import Family, Sample
from lazygrad.graph.structure import Walk
from lazygrad.rewrite import Rules, rewrite

N = Line(1, 0)
BOUND = 7


def places(lines: Lines, blocks: tuple[int, ...], n: int) -> list[int]:
    """The places of the defined elements in memory at the bound, in order."""
    grids = []
    for line, count in zip(lines, blocks, strict=True):
        size, whole = at(line, (n,)), at(line, (BOUND,))
        count = max(count, 1)
        each, part = size // count, whole // count
        grids.append([b * part + i for b in range(count) for i in range(each)])
    shape = at(lines, (BOUND,))
    whole = np.arange(math.prod(shape)).reshape(shape)
    return list(whole[np.ix_(*grids)].ravel())


@pytest.mark.parametrize(
    ("old", "blocks", "new", "found"),
    [
        ((N, 4, 8), (1, ANY, ANY), (N, 32), (1, ANY)),
        ((N, 32), (1, ANY), (N, 4, 8), (1, ANY, ANY)),
        ((N, 4, 8), (1, ANY, ANY), (Line(4, 0), 8), (1, ANY)),
        ((Line(4, 0),), (1,), (N, 4), (1, ANY)),
        ((2, N, 4), (ANY, 1, ANY), (2, Line(4, 0)), (ANY, 1)),
        ((2, N), (ANY, 1), (Line(2, 0),), (2,)),
        ((2, 3, N, 4), (ANY, ANY, 1, ANY), (Line(24, 0),), (6,)),
        ((2, 3, N), (ANY, ANY, 1), (2, Line(3, 0)), (ANY, 3)),
        ((Line(6, 0), 5), (3, ANY), (3, Line(2, 0), 5), (ANY, 1, ANY)),
        ((Line(6, 0), 5), (3, ANY), (3, N, 10), (ANY, 1, ANY)),
        ((6, N), (ANY, 1), (2, Line(3, 0)), (ANY, 3)),
        ((3, Line(2, -2)), (ANY, 1), (Line(6, -6),), (3,)),
        ((N, N), (1, 1), (N, 1, N), (1, ANY, 1)),
        ((1, N, 6), (ANY, 1, ANY), (N, 2, 3), (1, ANY, ANY)),
        ((3, 4), (ANY, ANY), (12,), (ANY,)),
        ((Line(6, 0),), (ANY,), (3, Line(2, 0)), (ANY, 1)),
    ],
)
def test_the_blocks_after_a_reshape(old, blocks, new, found):
    assert reshaped(old, blocks, new) == found
    for n in (2, 5, BOUND):
        as_old = tuple(1 if varies(x) and not b else b for x, b in zip(old, blocks, strict=True))
        if ANY not in [b for x, b in zip(old, blocks, strict=True) if varies(x)]:
            assert places(old, as_old, n) == places(new, found, n)


@pytest.mark.parametrize(
    ("old", "blocks", "new"),
    [
        ((Line(2, 0),), (1,), (2, N)),
        ((N, 3), (1, ANY), (3, N)),
        ((Line(6, 0),), (3,), (2, Line(3, 0))),
        ((N, N), (1, 1), (N,)),
        ((N, 2), (1, ANY), (Line(2, 1),)),
    ],
)
def test_a_reshape_that_moves_elements_when_the_size_changes(old, blocks, new):
    assert reshaped(old, blocks, new) is None


def test_elements_meet_in_blocks():
    assert agreed([(3, ANY, 1), (ANY, ANY, 1), (1, ANY, ANY)]) == (3, ANY, 1)


def at_bound(build, leaf, n: int) -> tuple[AtBound, Node]:
    """The graph of build(n) and build(n + 1) at the bound, and the one for n."""
    samples = []
    for size in (n + 1, n):
        node = build(leaf(np.arange(3.0 * size * 2).reshape(3, size, 2).tolist()), size)
        walk = Walk()
        walk.walk([node])
        samples.append(Sample(walk.key([node]), list(walk.number)))
    return AtBound(Family(*samples), list(walk.number), [node], BOUND), node


@pytest.mark.parametrize(
    "build",
    [
        lambda x, n: Reduce(Reshape(x, (3 * n, 2)), "sum", (0,)),
        lambda x, n: Reduce(Permute(Reshape(x, (3 * n, 2)), (1, 0)), "max", (1,)),
        lambda x, n: Reduce(Reshape(Reshape(x, (3 * n, 2)), (3, n, 2)), "sum", (1,)),
        lambda x, n: Scan(Reshape(x, (3 * n, 2)), 1),
        lambda x, n: Scan(Reshape(x, (3 * n, 2)), 0),
        lambda x, n: Slice(Reshape(x, (3 * n, 2)), (1, 0), (3 * n - 1, 2), (1, 1)),
        lambda x, n: Slice(Reshape(x, (3 * n, 2)), (3 * n - 1, 0), (3 * n, 2), (-1, 1)),
        lambda x, n: Pad(Reshape(x, (3 * n, 2)), ((1, 2), (0, 0))),
        lambda x, n: Window(Reshape(x, (3 * n, 2)), 0, 3),
        lambda x, n: Sort(Reshape(x, (3 * n, 2)), 0, True),
        lambda x, n: Join((Reshape(x, (3 * n, 2)), Reshape(x, (3 * n, 2))), 1),
        lambda x, n: Add(walk((3 * n, 2), 0), Cast(Reshape(x, (3 * n, 2)), int64)),
        lambda x, n: Reshape(Permute(x, (1, 0, 2)), (3, n, 2)),
        lambda x, n: Reshape(Permute(x, (2, 1, 0)), (3, 2 * n)),
        lambda x, n: Reshape(Permute(x, (2, 0, 1)), (n, 6)),
    ],
)
def test_undefined_elements_are_not_read(build, leaf):
    made, node = at_bound(build, leaf, 4)
    memory, count = made.slots
    values = np.full(memory.shape, np.nan)
    values[:, :4] = np.arange(24.0).reshape(3, 4, 2)
    given: dict[Node, Node] = {memory: leaf(values.tolist()), count: leaf(4, count.dtype)}
    (output,) = rewrite(made.outputs, Rules(), given)
    found, wanted = evaluate([output])[0], evaluate([node])[0]
    taken = tuple(slice(0, at(line, (4,))) for line in made.shapes[0])
    np.testing.assert_array_equal(found[taken].reshape(wanted.shape), wanted)
