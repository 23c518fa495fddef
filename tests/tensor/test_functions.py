"""The functions at the top level, hooks on gradients, default dtypes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, dtypes


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    yield
    lazygrad.set_default_dtype(dtypes.float32)
    dtypes.default_int = dtypes.int64


def test_functions_are_methods_of_tensor() -> None:
    x = lazygrad.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert lazygrad.sum(x, dim=1).tolist() == [3.0, 7.0]
    assert lazygrad.cat([x, lazygrad.zeros(1, 2)], 0).shape == (3, 2)
    assert lazygrad.einsum("ij->j", x).tolist() == [4.0, 6.0]
    assert lazygrad.where(x > 2, x, 0).tolist() == [[0.0, 0.0], [3.0, 4.0]]
    assert [index.tolist() for index in lazygrad.where(x > 2)] == [[1, 1], [0, 1]]
    assert x.__array_namespace__() is lazygrad


def test_a_function_says_what_is_no_tensor() -> None:
    with pytest.raises(TypeError, match=r"exp: the first argument is a tensor, not 2\.0"):
        lazygrad.exp(2.0)  # type: ignore[arg-type]


def test_the_module_of_tensors_makes_tensors() -> None:
    assert lazygrad.tensor([1, 2], dtype=lazygrad.float32).tolist() == [1.0, 2.0]
    assert lazygrad.tensor.core.TensorCore  # type: ignore[attr-defined]


def test_default_dtypes_are_those_of_python_numbers() -> None:
    lazygrad.set_default_dtype("float64")
    made = [Tensor(1.0), Tensor.zeros(2), Tensor([3]) / 2, Tensor.randn(2), Tensor([1]).exp()]
    assert {x.dtype for x in made} == {dtypes.float64}
    dtypes.default_int = dtypes.int32
    assert [x.dtype for x in (Tensor(1), Tensor.arange(3), Tensor.randint(2))] == [dtypes.int32] * 3
    with pytest.raises(TypeError, match="set_default_dtype: int64 is no dtype of floats"):
        lazygrad.set_default_dtype("int64")


def test_gradients_are_recorded_as_set() -> None:
    with lazygrad.set_grad_enabled(False):
        assert not lazygrad.is_grad_enabled()
    lazygrad.set_grad_enabled(False)
    assert not lazygrad.is_grad_enabled()
    lazygrad.set_grad_enabled(True)
    assert lazygrad.is_grad_enabled()


def test_random_numbers_take_pytorchs_arguments() -> None:
    for x in (lazygrad.randint(3, (4, 5)), lazygrad.randint(1, 3, (4, 5)),
              lazygrad.randint(low=1, high=3, size=(4, 5))):  # fmt: skip
        assert x.shape == (4, 5)
        assert 0 <= x.min().item() <= x.max().item() < 3
    assert lazygrad.normal(1.0, 0.0, (2,)).tolist() == [1.0, 1.0]


def test_a_hook_changes_a_gradient_until_it_is_removed() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    seen: list[Any] = []
    handle = x.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x * 3).sum().backward()
    handle.remove()
    (x * 3).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [9.0, 9.0]
    assert seen == [[6.0, 6.0], [3.0, 3.0]]


def test_a_result_keeps_its_gradient_where_asked() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad is not None
    assert y.grad.tolist() == [6.0, 12.0]
    with pytest.raises(RuntimeError, match="retain_grad: this tensor requires no gradient"):
        Tensor([1.0]).retain_grad()


def test_cuda_says_what_to_write() -> None:
    with pytest.raises(RuntimeError, match=r'write x\.to\("GPU"\)'):
        Tensor([1.0]).cuda()
    assert Tensor([1.0]).cpu().device == "CPU"


def test_errors_name_tensor() -> None:
    with pytest.raises(TypeError, match=r"^Tensor\.sum\(\) got an unexpected"):
        Tensor([1.0]).sum(how="well")  # type: ignore[call-overload]


def test_numpys_functions_build_the_graph() -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    array = np.ones((2, 2), np.float32)
    for made in (np.exp(x), array + x, array * x, np.float64(2) * x, np.concatenate([x, array])):
        assert isinstance(made, Tensor)
        assert not made.is_realized
        assert made.dtype == dtypes.float32
    assert np.mean(x, axis=0).tolist() == [2.0, 3.0]
    assert np.transpose(x).tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert np.std(x).item() == pytest.approx(np.std(x.numpy()))
    assert np.linalg.norm(x) == pytest.approx(np.linalg.norm(x.numpy()))  # by way of its values
    array += x
    assert array.tolist() == [[2.0, 3.0], [4.0, 5.0]]


def test_memory_is_shared_by_dlpack() -> None:
    x = Tensor([1.0, 2.0, 3.0]) * 2
    array = np.from_dlpack(x)
    assert array.tolist() == [2.0, 4.0, 6.0]
    assert np.shares_memory(array, x.numpy())
    assert np.shares_memory(lazygrad.from_dlpack(array).numpy(), array)
    with pytest.raises(TypeError, match="bfloat16"):
        x.bfloat16().__dlpack__()


def test_what_goes_wrong_often_is_explained() -> None:
    with pytest.raises(AttributeError, match=r"with Tensor\.no_grad\(\):"):
        Tensor.no_grad = True  # type: ignore[misc, assignment]
    with pytest.raises(TypeError, match=r"mean: needs floats, this is bool; cast it, as by float"):
        (Tensor([1]) == Tensor([1])).mean()
    with pytest.raises(ValueError, match=r"class numbers are integers \(target\.long\(\)\)"):
        Tensor.rand(4, 3).cross_entropy(Tensor([0.0, 1.0, 2.0, 1.0]))


def test_every_public_method_says_what_it_does() -> None:
    silent = [
        name
        for name in dir(Tensor)
        if not name.startswith("_") and callable(getattr(Tensor, name))
        if not (getattr(Tensor, name).__doc__ or "").strip()
    ]
    assert not silent
