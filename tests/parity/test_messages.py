"""What PyTorch accepts in another form is accepted; else the error says what to write."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lazygrad
from lazygrad import Tensor, nn


def test_a_number_to_the_power_of_a_tensor() -> None:
    x = [1.0, 3.0, -2.0]
    assert lazygrad.pow(2.0, Tensor(x)).tolist() == torch.pow(2.0, torch.tensor(x)).tolist()
    assert lazygrad.pow(Tensor(x), 2).tolist() == torch.pow(torch.tensor(x), 2).tolist()
    with pytest.raises(TypeError, match="one of the two is a tensor"):
        lazygrad.pow(2.0, 3.0)


def test_einsum_takes_axes_as_numbers() -> None:
    a, b = np.random.rand(4, 2, 3), np.random.rand(4, 3, 5)
    for axes in ([[0, 1, 2], [0, 2, 3], [0, 1, 3]], [[0, 1, 2], [0, 2, 3]],
                 [[..., 1, 2], [..., 2, 30], [..., 1, 30]]):  # fmt: skip
        ours = lazygrad.einsum(Tensor(a), axes[0], Tensor(b), *axes[1:])
        theirs = torch.einsum(torch.tensor(a), axes[0], torch.tensor(b), *axes[1:])
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-9)
    with pytest.raises(TypeError, match="einsum: give a formula and operands"):
        lazygrad.einsum(Tensor(a), [52, 0, 1])


def test_data_takes_another_shape_and_dtype() -> None:
    for library in (lazygrad, torch):
        x = library.tensor([1.0, 2.0], requires_grad=True)
        x.data = library.tensor([[3.0], [4.0]])
        assert tuple(x.shape) == (2, 1)
        x.data = x.data.half()
        assert x.dtype == library.float16
        assert x.requires_grad
        assert x.is_leaf
        (x * 2).sum().backward()
        assert x.grad.tolist() == [[2.0], [2.0]]
        assert x.grad.dtype == library.float16
    whole = Tensor.zeros(2, 3)
    row = whole[0]
    with pytest.raises(RuntimeError, match=r"data: .* a view"):
        row.data = Tensor([1.0])
    assert whole.tolist() == [[0.0] * 3] * 2


def test_limits_of_dtypes_are_numbers_of_python() -> None:
    for name in ("float16", "bfloat16", "float32", "float64"):
        ours, theirs = lazygrad.finfo(name), torch.finfo(getattr(torch, name))
        for key in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "dtype"):
            assert getattr(ours, key) == getattr(theirs, key), (name, key)
            assert type(getattr(ours, key)) is type(getattr(theirs, key))
    for name in ("int8", "uint8", "int64"):
        ours, theirs = lazygrad.iinfo(name), torch.iinfo(getattr(torch, name))
        assert (ours.bits, ours.max, ours.min) == (theirs.bits, theirs.max, theirs.min)
    assert lazygrad.finfo().dtype == "float32"
    with pytest.raises(TypeError, match="use iinfo"):
        lazygrad.finfo(lazygrad.int8)
    with pytest.raises(TypeError, match="use finfo"):
        lazygrad.iinfo(lazygrad.float32)


class Plain:
    """A model as a plain class."""

    def __init__(self) -> None:
        self.weight = Tensor.ones(2)


def test_errors_say_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"is Tensor\.zeros\(2, 3\)"):
        Tensor(2, 3)
    with pytest.raises(TypeError, match=r"'\.2f' is for one value"):
        format(Tensor([1.0, 2.0]), ".2f")
    assert f"{Tensor([1.0]):.2f}" == "1.00"
    with pytest.raises(TypeError, match=r"a Linear; write its \.parameters\(\)"):
        nn.optim.SGD(nn.Linear(2, 3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a Plain; write nn\.state\.get_parameters"):
        nn.optim.SGD(Plain())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"write lazygrad\.jit\(function\)"):
        lazygrad.compile(Tensor.relu)
