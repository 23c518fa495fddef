"""Indexing, gathering, scattering, sorting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor

X = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
I = np.array([[0, 3], [-1, 2]])
J = np.array([1, -2])
MASK = X % 3 == 0

READS: dict[str, Callable[..., Any]] = {
    "integer": lambda a, *_: a[1],
    "negative": lambda a, *_: a[-1, 2],
    "all integers": lambda a, *_: a[1, 2, -3],
    "slice": lambda a, *_: a[1:3, ::2],
    "ellipsis": lambda a, *_: a[..., 1],
    "none": lambda a, *_: a[None, :, None, 2],
    "array": lambda a, i, *_: a[i],
    "array in the middle": lambda a, i, *_: a[:, i],
    "array and slice": lambda a, i, *_: a[1:, i, ::3],
    "two arrays": lambda a, i, j: a[i, j],
    "arrays apart": lambda a, i, j: a[i, :, j],
    "array and integer": lambda a, i, *_: a[i, 2],
    "integer and array apart": lambda a, i, *_: a[0, :, i],
    "array after none": lambda a, i, *_: a[None, i],
    "array with ellipsis": lambda a, i, *_: a[..., i],
    "tensor of one integer": lambda a, i, *_: a[i[0, 1]],
    "tensors of one integer": lambda a, i, *_: a[i[0, 1], :, i[1, 0]],
    "tensor of one integer and array apart": lambda a, i, *_: a[i[0, 0], :, i],
    "tensor of one integer between arrays": lambda a, i, j: a[i, i[0, 1], j],
    "tensor of one integer before none": lambda a, i, j: a[:, i[0, 1], None, j],
    "array of one integer and array apart": lambda a, i, *_: a[np.array(1), :, i],
    "list": lambda a, *_: a[[0, 2, -1]],
    "lists": lambda a, *_: a[[0, 2], :, [1, 3]],
}


@pytest.mark.parametrize("name", READS)
def test_reading_agrees(agree: Any, name: str) -> None:
    agree(READS[name], None, X, I, J)


def test_masks_agree(agree: Any) -> None:
    agree(lambda a, m: a[m], None, X, MASK)
    agree(lambda a, m: a[m[:, 0, 0]], None, X, MASK)
    agree(lambda a, m: a[:, m[0, :, 0], 1], None, X, MASK)
    agree(lambda a, m: a.masked_select(m), None, X, MASK)
    agree(lambda m: m.nonzero(), None, MASK[0])


def test_a_place_read_twice_gets_both_gradients(agree: Any) -> None:
    agree(lambda a: a[[0, 0, 1]], None, X)


def written(function: Callable[..., None]) -> Callable[..., Any]:
    def apply(a: Any, *rest: Any) -> Any:
        changed = a * 1
        function(changed, *rest)
        return changed

    return apply


def set_slice(a: Any, v: Any, *_: Any) -> None:
    a[1:3, 1, ::2] = v[:2, :3]


def set_backwards(a: Any, v: Any, *_: Any) -> None:
    a[1::2, ..., None, 1] = v[:2, :5, None]


def set_number(a: Any, *_: Any) -> None:
    a[..., -1] = 7


def set_by_array(a: Any, v: Any, i: Any, j: Any) -> None:
    a[i[:, 0], j] = v[:2]


def set_by_mask(a: Any, *_: Any) -> None:
    a[a > 50] = -1.0


def add_in_place(a: Any, v: Any, *_: Any) -> None:
    a[0] += v[0]


def set_by_array_in_a_slice(a: Any, v: Any, i: Any, j: Any) -> None:
    a[1:3, j] = v[:2, :6]


def set_by_one_integer_and_array(a: Any, v: Any, i: Any, j: Any) -> None:
    a[i[0, 1], :, j] = v[:, :2]


@pytest.mark.parametrize(
    "function",
    [set_slice, set_backwards, set_number, set_by_array, set_by_mask, add_in_place,
     set_by_array_in_a_slice, set_by_one_integer_and_array],
)  # fmt: skip
def test_writing_agrees(
    agree: Any, function: Callable[..., None], rng: np.random.Generator
) -> None:
    values = rng.standard_normal((5, 6)).astype(np.float32)
    agree(written(function), None, X, values, I, J)


def test_a_mask_may_choose_as_many_values_as_it_holds(agree: Any) -> None:
    def put(a: Any, m: Any, v: Any) -> None:
        a[m] = v

    values = np.arange(MASK.sum(), dtype=np.float32)
    agree(written(put), None, X, MASK, values)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather_and_scatter_agree(agree: Any, rng: np.random.Generator, axis: int) -> None:
    index = rng.integers(0, 4, (3, 4, 2))
    source = rng.standard_normal((4, 5, 6)).astype(np.float32)
    agree(lambda a, i: a.gather(axis, i), None, X, index)
    few = source[:3, :4, :2]
    agree(lambda a, i, s: a.scatter_add(axis, i, s), None, X, index, few)
    agree(lambda a, i, s: a.scatter_add(axis, i, s), None, X, index, source, grad=False)
    distinct = np.argsort(rng.random((4, 5, 6)), axis=axis)
    agree(lambda a, i, s: a.scatter(axis, i, s), None, X, distinct, source)
    agree(lambda a, i: a.scatter(axis, i, 2.5), None, X, index, grad=False)


@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include_self", [True, False])
def test_scatter_reduce_agrees(
    agree: Any, rng: np.random.Generator, reduce: str, include_self: bool
) -> None:
    index, source = rng.integers(0, 3, (7, 2)), rng.standard_normal((7, 2)).astype(np.float32)
    x = rng.standard_normal((4, 2)).astype(np.float32)
    agree(
        lambda a, i, s: a.scatter_reduce(0, i, s, reduce, include_self=include_self),
        None,
        x,
        index,
        source,
        grad=reduce == "sum" and include_self,
    )


def test_named_forms_agree(agree: Any, rng: np.random.Generator) -> None:
    agree(lambda a, j: a.index_select(1, j.abs()), None, X, J)
    index = rng.integers(0, 5, (4, 3, 6))
    agree(lambda a, i: a.take_along_dim(i, 1), lambda a, i: a.take_along_dim(i, 1), X, index)
    agree(lambda a, i: a.take(i), None, X, np.array([[0, 7], [119, 3]]))
    source = rng.standard_normal((4, 2, 6)).astype(np.float32)
    agree(lambda a, s, j: a.index_add(1, j.abs(), s, alpha=2), None, X, source, J)
    labels = np.array([[0, 2], [1, 3]])
    agree(lambda i: i.one_hot(5), lambda i: torch.nn.functional.one_hot(i, 5), labels)
    agree(lambda i: i.one_hot(), lambda i: torch.nn.functional.one_hot(i), labels)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("axis", [0, -1])
def test_sorting_agrees(agree: Any, rng: np.random.Generator, axis: int, descending: bool) -> None:
    x = rng.permutation(60).reshape(5, 12).astype(np.float32)
    agree(lambda a: list(a.sort(axis, descending)), lambda a: list(a.sort(axis, descending)), x)
    ties = rng.integers(0, 4, (5, 12))
    agree(
        lambda a: list(a.sort(axis, descending)),
        lambda a: list(a.sort(dim=axis, descending=descending, stable=True)),
        ties,
    )


@pytest.mark.parametrize("largest", [False, True])
def test_topk_agrees(agree: Any, rng: np.random.Generator, largest: bool) -> None:
    x = rng.permutation(60).reshape(5, 12).astype(np.float32)
    agree(lambda a: list(a.topk(3, largest=largest)), lambda a: list(a.topk(3, largest=largest)), x)


def test_medians_agree(agree: Any, rng: np.random.Generator) -> None:
    x = rng.permutation(60).reshape(5, 12).astype(np.float32)
    agree(lambda a: [a.median(), *a.median(1)], None, x)
    agree(lambda a: [*a.median(1, keepdim=True)], None, np.where(x % 7 == 0, np.nan, x))


@pytest.mark.parametrize("index", [4, -5, (0, 5), (slice(None), [0, 9]), (0, 0, 0, 0), "x", 1.5])
def test_what_is_out_of_range_raises(index: Any) -> None:
    with pytest.raises(IndexError):
        Tensor(X)[index]
    with pytest.raises((IndexError, TypeError)):
        torch.tensor(X)[index]


@pytest.mark.parametrize("index", [True, False])
def test_a_single_bool_is_a_mask_of_no_axis(index: bool, agree: Any) -> None:
    agree(lambda x: x[index], None, X)


def test_a_scatter_into_one_element_reads_its_values_first(agree: Any) -> None:
    """Its values must not lie where the base is written, of one element too."""
    for n in (1, 2):
        x, index = np.arange(n, 0, -1).astype(np.float32), np.array([0])
        agree(lambda x, i: x.sort(0)[0].gather(-1, i), None, x, index)
        agree(lambda x, i: x.gather(0, i).gather(0, i) * 3, None, x, index)
