"""Indexing against NumPy, on indices that Hypothesis makes up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lazygrad import Tensor

FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)


@st.composite
def basic(draw: Any) -> tuple[np.ndarray, Any]:
    """An array and an index of integers, slices, None and Ellipsis."""
    shape = draw(SHAPES)
    index = draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape), index


@st.composite
def with_arrays(draw: Any) -> tuple[np.ndarray, Any]:
    """An array and an index of integer arrays, slices and None, with no lone integers (beside
    arrays apart these select first, as in PyTorch, where NumPy lets them join the arrays)."""
    shape = draw(SHAPES)
    common = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))
    index: list[Any] = []
    for n in shape[: draw(st.integers(1, len(shape)))]:
        if draw(st.integers(0, 4)) == 0:
            index.append(None)
        kind = draw(st.sampled_from(["array", "slice", "all"]))
        if kind == "array":
            one_or_all = tuple(draw(st.sampled_from([1, k])) for k in common)
            index.append(draw(hnp.arrays(np.int64, one_or_all, elements=st.integers(-n, n - 1))))
        else:
            index.append(draw(st.slices(n)) if kind == "slice" else slice(None))
    used = sum(item is not None for item in index)
    if used < len(shape) and draw(st.booleans()):
        index.append(Ellipsis)
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape), tuple(index)


def in_tensors(index: Any) -> Any:
    """The index with tensors for its arrays."""
    if not isinstance(index, tuple):
        return index
    return tuple(Tensor(item) if isinstance(item, np.ndarray) else item for item in index)


@FUZZ
@given(basic())
def test_basic_indices_read_as_in_numpy(case: tuple[np.ndarray, Any]) -> None:
    array, index = case
    np.testing.assert_array_equal(Tensor(array)[index].numpy(), array[index])


@FUZZ
@given(with_arrays())
def test_arrays_read_as_in_numpy(case: tuple[np.ndarray, Any]) -> None:
    array, index = case
    np.testing.assert_array_equal(Tensor(array)[in_tensors(index)].numpy(), array[index])
    np.testing.assert_array_equal(Tensor(array)[index].numpy(), array[index])


@FUZZ
@given(st.one_of(basic(), with_arrays()), st.booleans())
def test_writing_is_as_in_numpy(case: tuple[np.ndarray, Any], broadcast: bool) -> None:
    array, index = case
    shape = array[index].shape
    # one value where an array may name a place twice: which of several stays is NumPy's secret
    arrays = isinstance(index, tuple) and any(isinstance(item, np.ndarray) for item in index)
    values = (
        np.float32(-5)
        if broadcast or arrays
        else -1 - np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    )
    x = Tensor(array)
    x[index] = Tensor(values)
    expected = array.copy()
    expected[index] = values
    np.testing.assert_array_equal(x.numpy(), expected)


@FUZZ
@given(SHAPES, st.data())
def test_masks_read_and_write_as_in_numpy(shape: tuple[int, ...], data: Any) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    rank = data.draw(st.integers(1, len(shape)))
    mask = data.draw(hnp.arrays(np.bool_, shape[:rank]))
    np.testing.assert_array_equal(Tensor(array)[Tensor(mask)].numpy(), array[mask])
    x = Tensor(array)
    x[Tensor(mask)] = -1
    array[mask] = -1
    np.testing.assert_array_equal(x.numpy(), array)


def test_gradient_of_a_read_is_a_write() -> None:
    x = Tensor(np.zeros((3, 4), np.float32), requires_grad=True)
    x[1:, [0, 2, 2]].backward(Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    assert x.grad.tolist() == [[0, 0, 0, 0], [1, 0, 5, 0], [4, 0, 11, 0]]


def test_writing_leaves_what_was_built_before() -> None:
    x = Tensor([1.0, 2.0, 3.0])
    before = x * 2
    x[1] = 9
    assert before.tolist() == [2.0, 4.0, 6.0]
    assert x.tolist() == [1.0, 9.0, 3.0]


def test_reading_with_constant_indices_computes_nothing(computed: list[int]) -> None:
    x = Tensor(np.zeros((3, 4), np.float32))
    _ = x[1], x[..., ::2], x[[0, 1]], x[Tensor([0, 1])], x[None, :, -1]
    assert not computed


def test_tensors_iterate_over_their_first_axis() -> None:
    assert [row.tolist() for row in Tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    with pytest.raises(TypeError, match="iterated"):
        iter(Tensor(1.0))


def test_elements_in_another_order_are_assigned_from_the_tensor_itself() -> None:
    x = Tensor([1.0, 2.0, 3.0, 4.0])
    x[Tensor([3, 2, 1, 0])] = x
    assert x.tolist() == [4.0, 3.0, 2.0, 1.0]
    rows = Tensor([[1, 2], [3, 4]])
    rows[[1, 0]] = rows
    assert rows.tolist() == [[3, 4], [1, 2]]


@pytest.mark.parametrize("backend", ["CPU", "GPU"])
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_an_index_that_is_computed_by_its_size(backend: str, dtype: type) -> None:
    values, index = np.arange(5.0, dtype=np.float32), np.arange(-4, 5).astype(dtype)
    x, place = Tensor(values, device=backend), Tensor(index, device=backend)
    np.testing.assert_array_equal(x[place.abs()].numpy(), values[np.abs(index)])
    np.testing.assert_array_equal(x[(-place).abs() % 3].numpy(), values[np.abs(index) % 3])
