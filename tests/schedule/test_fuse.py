"""Which operations share a kernel."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.graph.ir import Add, Buffer, Const, Node, Sin
from lazygrad.graph.simplify import simplify
from lazygrad.schedule.fuse import fuse
from lazygrad.schedule.show import show
from lazygrad.schedule.verify import verify


def kinds(schedule: Any) -> list[str]:
    return [kernel.kind for kernel in schedule.kernels]


def test_softmax_is_one_kernel(values: Any, scheduled: Any) -> None:
    assert kinds(scheduled(values(64, 100).softmax())) == ["row"]


def test_layer_norm_is_one_kernel(values: Any, scheduled: Any) -> None:
    y = values(64, 100).layer_norm(100, values(100), values(100))
    assert kinds(scheduled(y)) == ["row"]


def test_cross_entropy_of_each_row_is_one_kernel(values: Any, scheduled: Any) -> None:
    target = Tensor(np.arange(64) % 10)
    loss = values(64, 10).cross_entropy(target, reduction="none")
    assert kinds(scheduled(loss)) == ["row"]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy_is_one_kernel(values: Any, scheduled: Any, reduction: str) -> None:
    target = Tensor(np.arange(64) % 10)
    schedule = scheduled(values(64, 10).cross_entropy(target, reduction=reduction))
    assert kinds(schedule) == ["row"]
    (kernel,) = schedule.kernels
    assert [m.stored for m in kernel.end][-1]
    assert not any(m.stored for m in kernel.members)


def test_a_large_mean_is_shared_among_threads_and_no_end(values: Any, scheduled: Any) -> None:
    target = Tensor(np.zeros(2048, np.int64))
    schedule = scheduled(values(2048, 100).cross_entropy(target))
    assert [len(kernel.end) for kernel in schedule.kernels] == [0, 0]


def test_the_loss_its_gradient_and_its_mean_share_a_kernel(values: Any, scheduled: Any) -> None:
    x, target = values(32, 10), Tensor(np.arange(32) % 10)
    x.requires_grad = True
    loss = x.sparse_categorical_crossentropy(target, ignore_index=-1)
    loss.backward()
    kernels = scheduled(loss, x.grad).kernels
    assert kernels[-1].kind == "row"
    assert len(kernels) <= 2  # one may count the targets that are not ignored


def test_rows_that_read_the_end_come_after_it(values: Any, scheduled: Any) -> None:
    rows = values(12, 8).sum(1).contiguous()
    schedule = scheduled(rows / rows.sum())
    assert len(schedule.kernels) == 2
    assert len(schedule.kernels[0].end) == 1


def test_what_is_too_much_for_an_end_gets_kernels_of_its_own(values: Any, scheduled: Any) -> None:
    # 1024 x 10 terms three times, two sums of 1024 and a quotient: one more than a kernel may have
    loss = values(1024, 10).cross_entropy(Tensor(np.arange(1024) % 10))
    schedule = scheduled(loss)
    writers = [k for k in schedule.kernels if schedule.outputs[0] in k.outputs]
    assert len(writers) == 1
    assert len(schedule.kernels) > 1
    assert loss.item() == pytest.approx(np.log(10), rel=1e-5)


def test_many_elements_of_two_ends_get_a_kernel_of_their_own(values: Any, scheduled: Any) -> None:
    rows = values(12, 8).sum(1)
    spread = values(5).gt(0).where(rows.log().sum(), values(12, 1).cos().sum())
    schedule = scheduled(spread)
    assert sum(schedule.outputs[0] in k.outputs for k in schedule.kernels) == 1
    np.testing.assert_allclose(spread.numpy(), [12 * np.log(8)] * 5, rtol=1e-6)


def test_no_ends_where_they_are_not_wanted(values: Any) -> None:
    loss = values(64, 10).exp().sum(1).log().mean()
    nodes = simplify([loss._node])
    assert len(fuse(nodes, cores=1).kernels) == 1
    assert len(fuse(nodes, cores=1, ends=False).kernels) == 2


def test_bias_and_relu_are_in_the_product_s_kernel(values: Any, scheduled: Any) -> None:
    y = (values(64, 32) @ values(32, 48) + values(48)).relu()
    assert kinds(scheduled(y)) == ["contraction"]


def test_the_gradient_of_a_convolution_s_input_is_one_contraction(
    values: Any, scheduled: Any
) -> None:
    x, w, g = values(2, 8, 12, 12), values(16, 8, 3, 3), values(2, 16, 10, 10)
    x.requires_grad = True
    (x.conv2d(w) * g).sum().backward()
    assert kinds(scheduled(x.grad)) == ["map", "contraction"]  # the map pads


def test_a_map_and_the_sums_of_rows_that_it_reads_share_a_kernel(
    values: Any, scheduled: Any
) -> None:
    x, y = values(64, 32), values(64, 32)
    (kernel,) = scheduled(x * y + 1, x.sum(1)).kernels
    assert kernel.kind == "row"
    assert len(scheduled(x + 1, x.sum(0)).kernels) == 2  # columns have other loops
    assert len(scheduled(x + 1, (x * y).sum(1)).kernels) == 2  # another matrix is read


def test_two_results_over_the_same_elements_share_a_kernel(values: Any, scheduled: Any) -> None:
    p, m = values(7, 5), values(7, 5)
    mean = m * 0.9 + 1
    schedule = scheduled(p - mean * 0.1, mean)
    assert kinds(schedule) == ["map"]
    assert len(schedule.kernels[0].outputs) == 2


def test_an_output_in_memory_needs_no_kernel(values: Any, scheduled: Any) -> None:
    assert scheduled(values(3)).kernels == ()


def _chain(x: Node, length: int) -> list[Node]:
    one = Const(1.0, x.dtype, x.shape)
    for _ in range(length):
        x = Add(Sin(x), one)
    return [x]


def _wide(x: Node, count: int) -> list[Node]:
    return [Sin(Add(x, Const(float(n), x.dtype, x.shape))) for n in range(count)]


def _calls(nodes: Any) -> int:
    """How many functions are called to fuse the nodes: work, told without a clock."""
    count = 0

    def profile(*_: Any) -> None:
        nonlocal count
        count += 1

    sys.setprofile(profile)
    try:
        fuse(nodes, cores=2)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("make", [_chain, _wide])
@pytest.mark.parametrize(
    ("small", "large"),
    [(200, 1000), pytest.param(1250, 5000, marks=pytest.mark.slow)],
)
def test_work_is_linear_in_nodes(leaf: Any, make: Any, small: int, large: int) -> None:
    """A quadratic algorithm would need more than twice what is allowed."""
    x: Buffer = leaf(np.ones(4, np.float32))
    assert _calls(make(x, large)) < 2 * (large / small) * _calls(make(x, small))


@pytest.mark.slow
def test_no_depth_overflows_the_stack(deep: Any) -> None:
    _, y = deep
    verify(fuse([y], cores=2))


def test_text(values: Any, scheduled: Any, golden: Any) -> None:
    h = (values(64, 32) @ values(32, 48) + values(48)).relu()
    golden("fuse.txt", show(scheduled((h @ values(48, 10)).softmax())))
