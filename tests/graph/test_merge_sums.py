"""Sums of views of sums become one sum where that saves work, and only there."""

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.dtypes import float16
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import (
    Add,
    Exp,
    Expand,
    Fold,
    Mul,
    Pad,
    Permute,
    Reduce,
    Reshape,
    Slice,
    topological,
)
from lazygrad.graph.merge_sums import merge_sums
from lazygrad.graph.verify import verify
from lazygrad.pipeline import passes
from lazygrad.stages import Stages


def simplify(outputs):
    """The graph after all passes over whole graphs."""
    return Stages().through(passes("graph", None, opt=1), outputs)


@pytest.fixture
def x(leaf):
    return Exp(leaf(np.random.default_rng(0).normal(size=(2, 3, 4, 5))))


def merged(node):
    (simpler,) = simplify([node])
    verify([simpler])
    old, new = evaluate([node, simpler])
    np.testing.assert_allclose(new, old, rtol=1e-13)
    return simpler


def test_a_reduction_of_a_reduction_is_one(x):
    for op in ("sum", "prod", "max", "min"):
        assert merged(Reduce(Reduce(x, op, (1,)), op, (0, 2))) is Reduce(x, op, (0, 1, 3))


def test_reductions_by_two_operations_stay_two(x):
    node = Reduce(Reduce(x, "max", (1,)), "sum", (0,))
    assert merged(node) is node


def test_a_sum_of_a_reshaped_sum_is_one(x):
    assert merged(Reduce(Reshape(Reduce(x, "sum", (1,)), (8, 5)), "sum", (0,))) is Reduce(
        x, "sum", (0, 1, 2)
    )


def test_a_sum_of_a_permuted_slice_of_a_sum_is_one(x):
    inner = Permute(Reduce(x, "sum", (1,)), (2, 0, 1))
    node = Reduce(Slice(inner, (1, 0, 0), (3, 2, 2), (1, 1, 2)), "sum", (2,))
    assert sum_count(merged(node)) == 1


def test_padding_merges_where_it_changes_no_result(x):
    inner = Reduce(x, "sum", (1,))
    assert sum_count(merged(Reduce(Pad(inner, ((1, 0), (0, 2), (0, 0))), "sum", (1,)))) == 1
    assert sum_count(merged(Reduce(Pad(inner, ((1, 0), (0, 2), (0, 0)), 1.0), "sum", (1,)))) == 2


def sum_count(node):
    count, stack = 0, [node]
    while stack:
        node = stack.pop()
        count += isinstance(node, (Reduce, Fold))
        stack += node.inputs
    return count


def test_many_nested_sums_become_one(x):
    node = x
    for _ in range(4):
        node = Reshape(Reduce(node, "sum", (len(node.shape) - 1,)), (1, *node.shape[:-1]))
    assert sum_count(merged(node)) == 1


def test_a_sum_that_is_used_elsewhere_is_computed_once(x):
    inner = Reduce(x, "sum", (3,))
    total = Reduce(inner, "sum", (0, 1, 2))
    node = Add(inner, Expand(Reshape(total, (1, 1, 1)), inner.shape))
    assert merged(node) is node


def test_a_reduction_that_is_used_in_several_orders_is_computed_once(leaf):
    x = leaf(np.random.default_rng(0).normal(size=(4, 4, 3, 4)))
    inner = Reduce(x, "sum", (2,))
    orders = [Permute(inner, order) for order in ((1, 2, 0), (2, 1, 0), (0, 2, 1))]
    for outputs in ([inner, *orders], orders, [Add(orders[0], orders[1]), orders[2]]):
        simpler = simplify(outputs)
        verify(simpler)
        assert sum(isinstance(node, Reduce) for node in topological(simpler)) == 1
        for old, new in zip(evaluate(outputs), evaluate(simpler), strict=True):
            np.testing.assert_allclose(new, old, rtol=1e-13)


def test_a_sum_that_is_an_output_is_computed_once(x):
    inner = Reduce(x, "sum", (3,))
    outputs = [inner, Reduce(inner, "sum", (0,))]
    assert simplify(outputs) == outputs


def test_the_sum_of_a_contraction_stays_two_steps(leaf):
    a, b = leaf(np.ones((8, 1, 4))), leaf(np.ones((1, 6, 4)))
    product = Mul(Expand(a, (8, 6, 4)), Expand(b, (8, 6, 4)))
    node = Reduce(Reduce(product, "sum", (2,)), "sum", (0,))
    assert merged(node) is node


def test_16_bit_sums_merge_too(leaf):
    x = leaf(np.random.default_rng(0).normal(size=(3, 4)), float16)
    node = Reduce(Reduce(x, "max", (1,)), "max", (0,))
    assert merged(node) is Reduce(x, "max", (0, 1))


def test_views_between_a_fold_and_a_sum_go_below_the_sum(leaf):
    x = leaf(np.random.default_rng(0).normal(size=(4, 3, 2, 5)))
    inner = Reduce(x, "sum", (2,))  # 4, 3, 5
    for view in (
        Permute(inner, (2, 0, 1)),
        Pad(inner, ((0, 0), (0, 0), (0, 1))),
        Slice(inner, (0, 0, 0), (2, 3, 2), (1, 1, 2)),
        Reshape(inner, (2, 2, 3, 5)),
    ):
        node = Fold(view, 0, view.shape[0] + view.shape[-1] - 1)
        found = merged(node)
        while not isinstance(found, Fold):
            found = found.x
        assert isinstance(found.x, Reduce), view


def test_views_go_through_nested_folds(leaf):
    x = leaf(np.random.default_rng(0).normal(size=(4, 5, 3, 2, 6)))
    inner = Fold(Permute(Reduce(x, "sum", (4,)), (0, 1, 3, 2)), 1, 7)  # 4, 7, 2
    node = Fold(Pad(inner, ((0, 0), (0, 0), (0, 2))), 0, 7)
    found = merged(node)
    while not isinstance(found, Fold):
        found = found.x
    assert isinstance(found.x, Fold)
    assert isinstance(found.x.x, Reduce)


def test_views_of_a_folded_axis_stay_above_its_fold(leaf):
    x = leaf(np.random.default_rng(0).normal(size=(4, 3, 3, 2)))
    inner = Fold(Reduce(x, "sum", (3,)), 0, 6)  # 6, 3
    for view in (
        Slice(inner, (1, 0), (4, 3), (1, 1)),
        Slice(inner, (5, 0), (6, 3), (-1, 1)),
        Pad(inner, ((1, 0), (0, 0))),
        Reshape(inner, (3, 6)),
    ):
        node = Fold(view, 0, view.shape[0] + view.shape[1] - 1)
        assert merged(node) is node


def test_no_view_goes_below_a_sum_that_is_used_elsewhere(leaf):
    x = leaf(np.random.default_rng(0).normal(size=(4, 3, 3, 2)))
    summed = Reduce(x, "sum", (3,))
    inner = Fold(summed, 0, 6)
    outputs = [summed, Fold(Pad(inner, ((0, 0), (0, 1))), 0, 9)]
    assert simplify(outputs) == outputs


def test_a_view_that_is_used_elsewhere_keeps_its_sum(x):
    view = Pad(Reduce(x, "sum", (1,)), ((0, 0), (0, 0), (1, 1)))
    outputs = [Exp(view), Reduce(view, "sum", (0,))]
    assert simplify(outputs) == outputs


def test_a_graph_without_nested_sums_has_nothing_to_merge(x):
    outputs = [Exp(Reduce(x, "sum", (0,)))]
    assert merge_sums(outputs) == outputs


def test_deep_nests_take_linear_time_and_no_stack(leaf):
    def nest(depth):
        node = Reduce(leaf(np.ones((2, 2, 3))), "sum", (2,))
        for _ in range(depth):
            node = Fold(node, 0, node.shape[0] + 1)
            node = Pad(Reshape(node, (*node.shape, 1)), ((0, 0), (0, 1)))
        return len(topological(simplify([node])))

    assert nest(1600) < 2.1 * nest(800)


def test_what_is_cut_from_a_sum_is_not_computed(x):
    for axes in ((3,), (0, 2)):
        total = Reduce(x, "sum", axes)
        shape = total.shape
        part = Slice(total, (1,) * len(shape), tuple(n - 1 for n in shape), (1,) * len(shape))
        simpler = merged(part)
        reductions = [n for n in topological([simpler]) if isinstance(n, Reduce)]
        assert [n.size for n in reductions] == [part.size]


def test_through_views_too(x):
    total = Reshape(Reduce(x, "max", (3,)), (1, 2, 12))
    simpler = merged(Slice(total, (0, 1, 11), (1, 1, 6), (1, 1, -2)))
    assert [n.size for n in topological([simpler]) if isinstance(n, Reduce)] == [6]


def test_sums_that_are_used_whole_stay(x):
    total = Reduce(x, "sum", (3,))
    part = Slice(total, (0, 0, 0), (2, 3, 2), (1, 1, 1))
    simpler = simplify([part, Exp(total)])
    assert [n.size for n in topological(simpler) if isinstance(n, Reduce)] == [24]


def test_a_fold_is_written_in_the_order_of_its_use(leaf):
    windows = Exp(leaf(np.arange(30.0).reshape(2, 5, 3) / 30))
    simpler = merged(Permute(Fold(windows, 1, 7), (1, 0)))
    assert isinstance(simpler, Fold)
    assert simpler.shape == (7, 2)
    fold = Fold(windows, 1, 7)
    kept = simplify([Permute(fold, (1, 0)), fold])
    assert isinstance(kept[0], Permute)


def test_a_part_of_a_sum_with_zeros_between_is_no_longer_sum(x):
    inner = Reduce(x, "sum", (3,))  # (2, 3, 4), then with a zero after each
    spread = Reshape(
        Pad(Reshape(inner, (2, 3, 4, 1)), ((0, 0), (0, 0), (0, 0), (0, 1)), 0), (2, 3, 8)
    )
    found = merged(Slice(spread, (0, 0, 0), (2, 3, 7), (1, 1, 1)))
    (only,) = [node for node in topological([found]) if isinstance(node, Reduce)]
    assert only.size == inner.size


@pytest.mark.parametrize(("start", "size", "wide"), [(1, 5, 6), (3, 5, 6), (1, 6, 6), (0, 7, 12)])
def test_a_part_of_a_sum_has_each_remainder_as_often(leaf, start, size, wide):
    inner = Reduce(leaf(np.random.default_rng(0).normal(size=(3, 4, 3, 5))), "sum", (3,))
    view = Reshape(Permute(inner, (1, 0, 2)), (4, 9)) if wide == 6 else Reshape(inner, (12, 3))
    node = Slice(view, (0, start), (4, size), (1, 1)) if wide == 6 else Slice(
        view, (start, 0), (size, 3), (1, 1))  # fmt: skip
    (only,) = [node for node in topological([merged(node)]) if isinstance(node, Reduce)]
    assert only.shape[1 if wide == 6 else 0] == (wide if wide == 6 else 8)


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_gradients_of_odd_and_even_sizes_have_as_many_terms(stride, kernel):
    """The input's gradient of a strided convolution: one size more or less changes little."""
    terms = []
    for size in (12, 13, 14, 15):
        padding = kernel // 2
        image, filters = Tensor.ones(1, 8, size, size), Tensor.ones(8, 8, kernel, kernel)
        out = image.conv2d(filters, stride=stride, padding=padding)
        image_gradient = out.gradient(image, gradient=Tensor.ones(*out.shape).contiguous())[0]
        (simpler,) = simplify([image_gradient._node])
        sums = [n for n in topological([simpler]) if isinstance(n, Reduce)]
        terms.append(max(n.x.size for n in sums) / out.numel())
    assert max(terms) < 2 * min(terms)
