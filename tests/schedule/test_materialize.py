"""What a row would compute twice is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad.graph.ir import Exp
from lazygrad.loops.ir.verify import verify as verify_loops
from lazygrad.loops.lower import lower
from lazygrad.schedule.ir import Kernel
from lazygrad.schedule.materialize import materialize
from lazygrad.schedule.show import show
from lazygrad.schedule.verify import verify


def kept(kernel: Kernel) -> list[Any]:
    return [m.node for m in kernel.members if not m.stored and m.node.size > kernel.outer]


def test_the_exponentials_of_a_softmax_are_kept(values: Any, scheduled: Any) -> None:
    schedule = materialize(scheduled(values(6, 40).softmax()))
    verify(schedule)
    (kernel,) = schedule.kernels
    (node,) = kept(kernel)
    assert isinstance(node, Exp)
    assert kernel.members.index(next(m for m in kernel.members if m.node is node)) == 1
    assert len(kernel.outputs) == 1
    verify_loops(lower(kernel, "softmax"))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_along_any_axis(values: Any, scheduled: Any, axis: int) -> None:
    schedule = materialize(scheduled(values(5, 6, 7).softmax(axis)))
    verify(schedule)
    assert [len(kept(kernel)) for kernel in schedule.kernels] == [1]


def test_long_rows_are_not_kept(values: Any, scheduled: Any) -> None:
    schedule = scheduled(values(2, 5000).softmax())
    made = materialize(schedule).kernels
    assert [k.members for k in made] == [k.members for k in schedule.kernels]


def test_long_columns_are_not_kept(values: Any, scheduled: Any) -> None:
    """Those next to each other are computed together: 16 of 500 elements leave the cache."""
    schedule = scheduled(values(500, 40).softmax(0))
    made = materialize(schedule).kernels
    assert [k.members for k in made] == [k.members for k in schedule.kernels]
    (kernel,) = materialize(scheduled(values(40, 500).softmax())).kernels
    assert len(kept(kernel)) == 1


def test_what_is_read_once_is_not_kept(values: Any, scheduled: Any) -> None:
    schedule = scheduled(values(6, 40).log_softmax(), values(6, 40).exp().sum(1))
    assert not any(kept(kernel) for kernel in materialize(schedule).kernels)


def test_another_row_s_elements_are_not_there(values: Any, scheduled: Any) -> None:
    """exp(x) of the row, and of the row before."""
    x = values(6, 6)
    e = x.exp()
    schedule = materialize(scheduled(e.sum(1, keepdim=True) + e + e.T))
    verify(schedule)
    assert not any(kept(kernel) for kernel in schedule.kernels)


def test_text(values: Any, scheduled: Any, golden: Any) -> None:
    golden("materialize.txt", show(materialize(scheduled(values(6, 40).softmax()))))


def test_values_are_softmax_s(values: Any) -> None:
    x = np.random.default_rng(0).standard_normal((5, 33)).astype(np.float32)
    e = np.exp(x - x.max(1, keepdims=True))
    found = (values(5, 33) * 0 + type(values(1))(x)).softmax().numpy()
    np.testing.assert_allclose(found, e / e.sum(1, keepdims=True), 1e-5)
