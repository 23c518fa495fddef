"""Sums of products are found as tensors write them, and nothing else is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.graph.ir import Node, Reduce, topological
from lazygrad.graph.product import Factor, factors, is_contraction, reuse
from lazygrad.graph.simplify import simplify

RNG = np.random.default_rng(0)


def values(*shape: int) -> Tensor:
    return Tensor(RNG.random(shape).astype(np.float32)).realize()


def last_sum(result: Tensor) -> Node:
    """The last reduction that a tensor's simplified graph has."""
    return [n for n in topological(simplify([result.node])) if isinstance(n, Reduce)][-1]


A, B, X, W = values(5, 6), values(6, 7), values(2, 4, 9, 9), values(3, 4, 3, 3)


def test_a_matrix_product_shares_both_factors() -> None:
    node = last_sum(A @ B)
    assert factors(node) == (Factor(A.node, True, False), Factor(B.node, True, False))
    assert is_contraction(node)
    assert reuse(node) == min(5, 7)


def test_a_convolution_slides_over_its_images() -> None:
    assert factors(last_sum(X.conv2d(W))) == (
        Factor(X.node, True, True), Factor(W.node, True, False)
    )  # fmt: skip


def test_padded_images_are_a_factor_with_the_padding() -> None:
    image, _ = factors(last_sum(X.conv2d(W, padding=1)))
    assert image.source.shape == (2, 4, 11, 11)


def test_16_bit_factors_are_found_below_their_casts() -> None:
    a, b = A.half().realize(), B.half().realize()
    assert {factor.source for factor in factors(last_sum(a @ b))} == {a.node, b.node}


def test_a_depthwise_convolution_shares_only_its_weights() -> None:
    node = last_sum(X.conv2d(values(4, 1, 3, 3), groups=4))
    assert [factor.is_shared for factor in factors(node)] == [False, True]
    assert not is_contraction(node)


@pytest.mark.parametrize(
    "other",
    [lambda: A.sum(1), lambda: A.exp().sum(), lambda: (A * A).amax(1), lambda: (A + A).sum()],
)
def test_other_nodes_have_no_factors(other: Any) -> None:
    node = last_sum(other())
    assert factors(node) == ()
    assert reuse(node) == 0
    assert factors(A.node) == ()
