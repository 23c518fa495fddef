"""Names and methods of tinygrad's, beside what they mean."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, TinyJit, nn
from lazygrad.device import Device
from lazygrad.dtype import DType, dtypes
from lazygrad.engine.jit import TinyJit as Elsewhere
from lazygrad.helpers import argfix


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(42)


def test_modules_are_where_tinygrad_has_them() -> None:
    assert Elsewhere is TinyJit
    assert isinstance(dtypes.float32, DType)
    assert isinstance(dtypes.float32, lazygrad.dtype)  # type: ignore[arg-type]
    assert not isinstance(1, lazygrad.dtype)  # type: ignore[arg-type]
    assert isinstance(lazygrad.device("cpu"), lazygrad.device)  # type: ignore[arg-type]
    assert Device is lazygrad.Device
    assert dtypes.float is dtypes.float32  # type: ignore[attr-defined]
    assert dtypes.long is dtypes.int64  # type: ignore[attr-defined]
    assert not hasattr(dtypes, "quarter")
    assert dtypes.is_float(dtypes.bfloat16)
    assert dtypes.is_unsigned(dtypes.uint8)
    assert not dtypes.is_int(dtypes.bool_)


def test_adam_takes_the_betas_by_name() -> None:
    x = Tensor([1.0], requires_grad=True)
    assert nn.optim.Adam([x], lr=0.1, b1=0.5).defaults["betas"] == (0.5, 0.999)
    assert nn.optim.AdamW([x], b2=0.9).defaults["betas"] == (0.9, 0.9)
    with pytest.raises(TypeError, match="SGD: there is no setting 'b1'"):
        nn.optim.SGD([x], b1=0.5)
    with pytest.raises(ValueError, match="betas are in"):
        nn.optim.Adam([x], b1=1.5)


def test_none_keeps_the_size_of_an_axis(rng: np.random.Generator) -> None:
    x = Tensor(rng.random((2, 3, 8)))
    assert x.reshape(None, None, 2, 4).shape == (2, 3, 2, 4)
    assert x.reshape((None, -1)).shape == (2, 24)
    assert x.unsqueeze(0).expand(5, None, None, -1).shape == (5, 2, 3, 8)
    with pytest.raises(ValueError, match="a size is an integer, not None"):
        x.reshape(2, 3, 8, None)


def test_statistics_along_several_axes(rng: np.random.Generator) -> None:
    x, mean = rng.random((2, 5, 3, 4, 4)), rng.random((2, 3))
    made = Tensor(x).batchnorm(
        Tensor(mean), None, Tensor(mean), Tensor(np.ones((2, 1, 3, 1, 1))), axis=(0, 2)
    )
    laid = mean[:, None, :, None, None]
    np.testing.assert_allclose(made.numpy(), (x - laid) * laid)


def test_a_variable_with_a_value_is_a_variable() -> None:
    bound = lazygrad.Variable("n", 1, 8).bind(3)
    assert isinstance(bound, lazygrad.Variable)
    assert bound.unbind() == (bound.variable, 3)
    assert not isinstance(3, lazygrad.Variable)


def test_a_rate_of_one_element_is_assigned_to_one_number() -> None:
    optimizer = nn.optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.1)
    optimizer.lr.assign(Tensor([0.5])).realize()
    assert optimizer.lr.item() == 0.5
    with pytest.raises(ValueError, match="assign"):
        optimizer.lr.assign(Tensor([0.5, 1.0]))


def test_arguments_may_be_one_tuple() -> None:
    assert argfix(2, 3) == argfix((2, 3)) == argfix([2, 3]) == (2, 3)
    assert argfix() == ()
    with pytest.raises(ValueError, match="a tuple and others"):
        argfix((2, 3), 4)


def test_sums_and_products_of_several() -> None:
    x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    assert x.usum(y, 1).tolist() == [5.0, 7.0]
    assert x.uprod(y, 2).tolist() == [6.0, 16.0]


def test_newton_and_schulz_make_orthogonal_matrices(rng: np.random.Generator) -> None:
    for shape in ((2, 3), (2, 3, 2)):
        x = rng.standard_normal(shape)
        u, _, v = np.linalg.svd(x, full_matrices=False)
        made = Tensor(x).newton_schulz(16, (1.5, -0.5)).numpy()
        np.testing.assert_allclose(made, u @ v, atol=1e-6)
    with pytest.raises(ValueError, match="needs matrices"):
        Tensor([1.0]).newton_schulz(1, (1.5, -0.5))


def test_values_at_an_address() -> None:
    memory = (ctypes.c_float * 6)(*range(6))
    x = Tensor.from_blob(ctypes.addressof(memory), (2, 3))
    memory[0] = 9.0
    assert x.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_a_captured_function_forgets() -> None:
    runs = []

    @TinyJit
    def double(x: Tensor) -> Tensor:
        runs.append(1)
        return (x * 2).realize()

    for _ in range(4):
        double(Tensor([1.0]))
    before = len(runs)
    double.reset()
    assert double(Tensor([2.0])).tolist() == [4.0]
    assert len(runs) == before + 1


def test_a_step_is_scheduled_and_then_realized() -> None:
    w = Tensor([1.0, 2.0], requires_grad=True)
    optimizer = nn.optim.SGD([w], lr=0.5)
    (w * w).sum().backward()
    changed = optimizer.schedule_step()
    assert any(tensor is w for tensor in changed)
    Tensor.realize(*changed)
    assert w.tolist() == [0.0, 0.0]


def test_a_group_moves_the_parameters_of_all() -> None:
    a, b = (Tensor([1.0], requires_grad=True) for _ in range(2))
    group = nn.optim.OptimizerGroup(nn.optim.SGD([a], lr=0.5), nn.optim.SGD([b], lr=0.25))
    (a * 2 + b * 2).sum().backward()
    group.step()
    assert (a.tolist(), b.tolist()) == ([0.0], [0.5])
    assert group.params == [a, b]
    assert group[1].params == [b]
    group.zero_grad()
    assert a.grad is None


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"classic": False},
        {"nesterov": True},
        {"tcoef": 0.0},
        {"momentum": 0.0},
        {"pre_wd": False},
    ],
)
def test_lars(options: dict[str, Any], rng: np.random.Generator) -> None:
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": False,
                "classic": True, "pre_wd": True, "tcoef": 0.02, **options}  # fmt: skip
    p, v = rng.standard_normal(4), np.zeros(4)
    w = Tensor(p, requires_grad=True)
    optimizer = nn.optim.LARS([w], **settings)
    for _ in range(3):
        g = rng.standard_normal(4)
        w.grad = Tensor(g)
        optimizer.step()
        r, decay, lr = 1.0, settings["weight_decay"], settings["lr"]
        if settings["tcoef"]:
            size = np.linalg.norm(p)
            r = settings["tcoef"] * size / (np.linalg.norm(g) + decay * size)
        if settings["pre_wd"]:
            g = g + decay * p
        step = g * r * lr if settings["classic"] else g
        v = settings["momentum"] * v + step
        step = step + settings["momentum"] * v if settings["nesterov"] else v
        step = step if settings["classic"] else step * r * lr
        p = p - step - (0 if settings["pre_wd"] else decay * lr * p)
        np.testing.assert_allclose(w.numpy(), p, rtol=1e-6)


def test_sparse_gradients_are_not_there() -> None:
    with pytest.raises(AttributeError, match=r"SparseAdam.* there are no sparse gradients"):
        _ = nn.optim.SparseAdam  # type: ignore[attr-defined]
