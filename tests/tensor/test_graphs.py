"""The form in which the compiler finds the operations it is built for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lazygrad import Tensor
from lazygrad.graph.ir import (
    Buffer,
    Cast,
    Expand,
    Mul,
    Node,
    Reduce,
    Reshape,
    Scatter,
    Window,
    topological,
)


def only(node: Node, cls: type[Any]) -> Any:
    """The one node of a class in an expression."""
    (found,) = [n for n in topological([node]) if isinstance(n, cls)]
    return found


def test_matmul_is_a_sum_of_products_over_the_last_axis() -> None:
    reduce = only((Tensor.ones(2, 3, 4) @ Tensor.ones(4, 5)).node, Reduce)
    assert isinstance(reduce.x, Mul)
    assert (reduce.x.shape, reduce.op, reduce.axes) == ((2, 3, 5, 4), "sum", (3,))
    assert isinstance(reduce.x.x, Expand)
    assert isinstance(reduce.x.y, Expand)


def test_half_matmul_multiplies_in_float32() -> None:
    node = (Tensor.ones(3, 4, dtype="float16") @ Tensor.ones(4, 5, dtype="float16")).node
    assert isinstance(node, Cast)
    assert node.x.dtype.name == "float32"


def test_convolution_is_a_sum_of_products_over_channel_and_kernel() -> None:
    x, w = Tensor.ones(2, 6, 9, 8), Tensor.ones(4, 3, 5, 2)
    node = x.conv2d(w, groups=2).node
    reduce = only(node, Reduce)
    assert reduce.x.shape == (2, 2, 2, 5, 7, 3, 5, 2)
    assert reduce.axes == (5, 6, 7)
    assert sum(isinstance(n, Window) for n in topological([node])) == 2


def test_views_add_no_memory() -> None:
    x = Tensor(np.zeros((4, 6), np.float32))
    view = x.reshape(2, 2, 6).permute(2, 0, 1)[1:, :, None].flip(0).expand(5, 2, 3, 2)
    kinds = {type(n).__name__ for n in topological([view.node])}
    assert kinds == {"Buffer", "Reshape", "Permute", "Slice", "Expand"}


def test_nothing_is_added_where_nothing_changes() -> None:
    x = Tensor(np.zeros((4, 6), np.float32))
    for same in (x.reshape(4, 6), x.expand(4, 6), x.permute(0, 1), x[:], x[...], x.pad((0, 0)),
                 x.flatten(0, 0), x.narrow(0, 0, 4), x.repeat(1, 1), x.sum(()), x**1):  # fmt: skip
        assert same.node is x.node
    assert x.float() is x


def test_cross_entropy_looks_nothing_up() -> None:
    x = Tensor(np.zeros((4, 6), np.float32), requires_grad=True)
    loss = x.cross_entropy(Tensor([1, 2, 3, 4]))
    loss.backward()
    for node in topological([loss.node, x.grad.node]):
        assert not isinstance(node, Scatter)
        assert math.prod(node.shape) <= 24


def test_embedding_is_one_gather_of_whole_rows() -> None:
    weight = Tensor(np.zeros((10, 4), np.float32))
    node = weight[Tensor([[1, 2], [3, 4]])].node
    assert node.shape == (2, 2, 4)
    assert type(node).__name__ == "Gather"
    assert isinstance(node.inputs[0], Buffer)


def test_scans_do_linear_work() -> None:
    node = Tensor(np.zeros(4096, np.float32)).cumprod(0).node
    read = sum(math.prod(n.x.shape) for n in topological([node]) if isinstance(n, Reduce))
    assert read < 4096 * 40


def test_joining_many_is_a_shallow_tree() -> None:
    parts = [Tensor(np.zeros(2, np.float32)) for _ in range(64)]
    depth: dict[Node, int] = {}
    for node in topological([Tensor.cat(parts).node]):
        own = not isinstance(node, Reshape)
        depth[node] = own + max((depth[x] for x in node.inputs), default=0)
    assert max(depth.values()) < 20
