"""Parts of a chain share their outermost loops, or cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.graph.simplify import simplify
from lazygrad.loops.ir import Alloc, For, Function, statements
from lazygrad.loops.ir.rebuild import peel
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower import lower
from lazygrad.loops.lower.share import passed, share_loops
from lazygrad.schedule.fuse import fuse
from lazygrad.schedule.ir import Kernel


def values(*shape: int) -> Tensor:
    return Tensor(np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 8)


def shared(out: Tensor, count: int) -> tuple[Kernel, Function | None]:
    """All kernels that a tensor takes as one chain, and its loops."""
    schedule = fuse(simplify([out.node]), 2)
    made = {node for kernel in schedule.kernels for node in kernel.outputs}
    inputs = dict.fromkeys(x for k in schedule.kernels for x in k.inputs if x not in made)
    members = tuple(
        replace(m, stored=m.node in schedule.outputs) for k in schedule.kernels for m in k.members
    )
    chain = Kernel("chain", count, members, tuple(inputs), parts=schedule.kernels)
    return chain, share_loops(chain, "chain", [lower(k, "part") for k in schedule.kernels])


def two_products() -> Tensor:
    return (values(4, 6, 3) @ values(4, 3, 8)) @ values(4, 8, 5)


@pytest.mark.parametrize(("count", "loops"), [(4, 1), (8, 2), (12, 2)])
def test_loops_and_blocks_of_rows_are_shared(count: int, loops: int) -> None:
    chain, function = shared(two_products(), count)
    assert function is not None
    verify(function)
    outer, inside = peel(function.body)
    assert [len(outer), np.prod([loop.extent for loop in outer])] == [loops, count]
    (between,) = passed(chain)
    (local,) = [s.array for s in inside if isinstance(s, Alloc)]
    assert local.size * count == between.size
    assert sum(isinstance(s, For) for s in inside) == 2


def test_what_is_stored_is_no_array_of_the_loops() -> None:
    out = two_products()
    chain, _ = shared(out, 4)
    (between,) = passed(chain)
    members = tuple(replace(m, stored=m.stored or m.node is between) for m in chain.members)
    chain = replace(chain, members=members)
    function = share_loops(chain, "chain", [lower(k, "part") for k in chain.parts])
    assert function is not None
    assert function.outputs == 2
    assert all(s.array.scope != "local" for s in statements(function.body) if isinstance(s, Alloc))


@pytest.mark.parametrize("count", [3, 5, 48])
def test_slices_must_come_out_even(count: int) -> None:
    assert shared(two_products(), count)[1] is None


def test_rows_are_not_shared_with_what_reads_all_of_them() -> None:
    scores = values(4, 6, 3) @ values(4, 3, 8)
    out = scores @ scores.mT
    assert shared(out, 4)[1] is not None
    assert shared(out, 8)[1] is None


def test_matrices_are_not_shared_with_what_reads_others() -> None:
    scores = values(4, 6, 3) @ values(4, 3, 8)
    assert shared(scores.flip(0) @ values(4, 8, 5), 4)[1] is None
