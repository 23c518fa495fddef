"""Which operations share a kernel."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.graph.ir import Add, Buffer, Const, Node, Sin
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


def test_the_mean_of_a_cross_entropy_comes_after_its_rows(values: Any, scheduled: Any) -> None:
    loss = values(64, 10).cross_entropy(Tensor(np.arange(64) % 10))
    schedule = scheduled(loss)
    assert kinds(schedule) == ["row", "row"]
    assert [kernel.outer for kernel in schedule.kernels] == [64, 1]


def test_the_gradient_of_a_loss_is_in_the_kernel_of_its_rows(values: Any, scheduled: Any) -> None:
    x, target = values(32, 10), Tensor(np.arange(32) % 10)
    x.requires_grad = True
    loss = x.cross_entropy(target)
    loss.backward()
    kernels = scheduled(loss, x.grad).kernels
    assert [kernel.outer for kernel in kernels] == [32, 1]


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


def test_the_rows_of_a_square_do_not_read_other_rows() -> None:
    """Its transpose, too, is over 36 elements, but in another order."""
    x = np.arange(6, dtype=np.float32)
    square = Tensor(x).reshape(6, 1) * (Tensor(x) + 2).reshape(1, 6)
    transposed, centred = square.T, square - square.mean(1, keepdim=True)
    Tensor.realize(transposed, centred)
    wanted = np.outer(x, x + 2)
    np.testing.assert_allclose(transposed.numpy(), wanted.T)
    np.testing.assert_allclose(centred.numpy(), wanted - wanted.mean(1, keepdims=True), atol=1e-5)


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
