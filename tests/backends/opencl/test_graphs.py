"""A kernel of every kind, from tensors to OpenCL and back.

An OpenCL CPU gets the loops of a CPU; "GPU:9" is the same device taken for a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from lazygrad import Tensor, TinyJit
from lazygrad.backends.opencl.device import OpenCLDevice
from lazygrad.runtime.device import Device
from lazygrad.targets import Target
from lazygrad.tensor.random import _states


@pytest.fixture(params=["GPU", pytest.param("GPU:9", marks=pytest.mark.slow)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A device of its own for each test, with plans of its own."""
    if request.param == "GPU:9":
        opened = OpenCLDevice("GPU")
        opened.machine = replace(
            opened.machine, target=Target.GPU, group_limit=256, local_bytes=32 << 10
        )
        monkeypatch.setitem(Device._opened, "GPU:9", opened)
        monkeypatch.setattr("lazygrad.plans._plans", {})
    yield str(request.param)
    _states.pop("GPU:9", None)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype("float32")


def assert_close(result: Tensor | None, expected: np.ndarray) -> None:
    assert result is not None
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_elementwise_chain(device: str) -> None:
    a, b = normal(1003), normal(1003, 1)[:, 0]
    x, y = Tensor(a, device=device), Tensor(b, device=device)
    assert_close((x * y + 1).relu().exp() - y, np.exp(np.maximum(a * b + 1, 0)) - b)


@pytest.mark.parametrize("sizes", [(70, 50, 90), (130, 65, 64), (64, 48, 128), (1, 300, 5)])
def test_contraction_with_an_epilogue(sizes: tuple[int, int, int], device: str) -> None:
    m, k, n = sizes
    a, b, c = normal(m, k), normal(k, n), normal(n)
    x, y, z = (Tensor(array, device=device) for array in (a, b, c))
    assert_close((x @ y + z).relu(), np.maximum(a @ b + c, 0))


def test_reductions_of_rows_columns_and_all(device: str) -> None:
    a = normal(37, 530)
    x = Tensor(a, device=device)
    assert_close(x.sum(1), a.sum(1))
    assert_close(x.max(axis=0), a.max(0))
    assert_close(x.mean(), a.mean())


@pytest.mark.parametrize("low", [-(1 << 31), -(1 << 63), -5])
def test_the_lowest_constants(low: int, device: str) -> None:
    x = np.arange(7, dtype=np.uint32)
    doubled = (Tensor(x, device=device).cast("int64") + low) << 1
    np.testing.assert_array_equal(doubled.numpy(), (x.astype(np.int64) + low) << 1)


@pytest.mark.parametrize("exponent", [np.inf, -np.inf, np.nan])
def test_constants_that_are_not_finite(exponent: float, device: str) -> None:
    x = Tensor(np.array([2.0]), device=device)
    np.testing.assert_array_equal((x**exponent).numpy(), np.array([2.0]) ** exponent)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_places_of_extremes(axis: int | None, device: str) -> None:
    x = normal(600, 9)
    x[5], x[77, 2] = 9, np.nan
    np.testing.assert_array_equal(Tensor(x, device=device).argmax(axis).numpy(), x.argmax(axis))
    np.testing.assert_array_equal(Tensor(x, device=device).argmin(axis).numpy(), x.argmin(axis))


def test_a_sum_across_groups(device: str) -> None:
    a = normal(3, 1 << 15)
    assert_close(Tensor(a, device=device).sum() / 100, a.sum() / 100)
    assert_close(Tensor(a, device=device).max(), a.max())


def test_columns_and_rows_that_items_share(device: str) -> None:
    a = normal(200, 40)
    x = Tensor(a, device=device)
    assert_close(x.sum(0), a.sum(0))
    assert_close(x.reshape(5, 40, 40).var((0, 2)), a.reshape(5, 40, 40).var((0, 2), ddof=1))


def test_factors_that_are_not_0_beyond_the_end_of_a_sum(device: str) -> None:
    a, b = normal(40, 35), normal(35, 40)
    x, y = Tensor(a, device=device), Tensor(b, device=device)
    assert_close(x.exp() @ y.exp(), np.exp(a) @ np.exp(b))


def test_softmax(device: str) -> None:
    a = normal(9, 700)
    e = np.exp(a - a.max(1, keepdims=True))
    assert_close(Tensor(a, device=device).softmax(1), e / e.sum(1, keepdims=True))


@pytest.mark.parametrize("shape", [(70, 50), (64, 96)])
def test_transpose(shape: tuple[int, int], device: str) -> None:
    a = normal(*shape)
    assert_close(Tensor(a, device=device).permute(1, 0).contiguous(), a.T)


def test_convolution_and_its_gradients(device: str) -> None:
    """Sum of squares of a convolution: its gradients by the definition."""
    a, w = normal(2, 3, 9, 9), normal(4, 3, 3, 3)
    x = Tensor(a, device=device, requires_grad=True)
    weight = Tensor(w, device=device, requires_grad=True)
    out = x.conv2d(weight)
    (out * out).sum().backward()
    windows = np.lib.stride_tricks.sliding_window_view(a, (3, 3), (2, 3))
    expected = np.einsum("nchwij,ocij->nohw", windows, w)
    assert_close(out, expected)
    assert_close(weight.grad, 2 * np.einsum("nchwij,nohw->ocij", windows, expected))
    in_gradient = np.zeros_like(a)
    for i in range(3):
        for j in range(3):
            part = np.einsum("nohw,oc->nchw", 2 * expected, w[:, :, i, j])
            in_gradient[:, :, i : i + 7, j : j + 7] += part
    assert_close(x.grad, in_gradient)


def test_gather_and_its_gradient_a_scatter(device: str) -> None:
    a, indices = normal(20, 8), np.random.default_rng(0).integers(0, 20, 30)
    x = Tensor(a, device=device, requires_grad=True)
    rows = x[Tensor(indices, device=device)]
    (rows * rows).sum().backward()
    expected = np.zeros_like(a)
    np.add.at(expected, indices, 2 * a[indices])
    assert_close(rows, a[indices])
    assert_close(x.grad, expected)


def test_scatter_over_two_axes(device: str) -> None:
    """The items that share a row all see its zeros, and one of them adds."""
    a, rows, columns = normal(2, 3, 4, 5), [0, 2, 2], [1, 3, 3]
    x = Tensor(a, device=device, requires_grad=True)
    x[:, rows, :, columns].sum().backward()
    expected = np.zeros_like(a)
    for row, column in zip(rows, columns, strict=True):
        expected[:, row, :, column] += 1
    assert_close(x.grad, expected)


def test_max_pool(device: str) -> None:
    a = normal(2, 3, 8, 8)
    expected = a.reshape(2, 3, 4, 2, 4, 2).max((3, 5))
    assert_close(Tensor(a, device=device).max_pool2d(2), expected)


def test_sort(device: str) -> None:
    a = normal(5, 70)
    assert_close(Tensor(a, device=device).sort()[0], np.sort(a))


def test_from_one_device_to_another(device: str) -> None:
    a = normal(10, 10)
    x = Tensor(a, device=device)
    y = (x * 2).to("CPU")
    assert y.device == "CPU"
    assert_close((y + 1).to(device) @ x, (a * 2 + 1) @ a)


@pytest.mark.parametrize("shape", [(), (1,), (1, 40), (40, 1)])
def test_a_running_mean_is_updated_in_place_and_read_again(
    shape: tuple[int, ...], device: str
) -> None:
    mean = Tensor(normal(*shape), device=device).realize()
    wanted = mean.numpy().copy()

    @TinyJit
    def centred(x: Tensor) -> Tensor:
        mean.assign(mean * 0.9 + x.mean() * 0.1)
        return x - mean

    for n in range(4):
        x = normal(40, 40 + n)[:, :40]
        result = centred(Tensor(x, device=device))
        wanted = wanted * np.float32(0.9) + x.mean() * np.float32(0.1)
        assert_close(result, x - wanted)
        assert_close(mean, wanted)


def test_values_that_a_launch_names_before_its_groups(device: str) -> None:
    a = normal(2, 2)
    x = Tensor(a, device=device)
    np.testing.assert_array_equal((x + 0).T.numpy(), a.T)
    np.testing.assert_array_equal(x.topk(1)[0].numpy(), a.max(1, keepdims=True))
    np.testing.assert_array_equal(x.argsort()[0].numpy(), np.argsort(a[0]))
    assert Tensor.ones(3, 20, device=device).multinomial(1).shape == (3, 1)
    y = Tensor.zeros(3, 5, device=device)
    y[:, [1, 3]] = 9.0
    np.testing.assert_array_equal(y.numpy(), [[0, 9, 0, 9, 0]] * 3)


@pytest.mark.parametrize("large", [3.0, 1e7, 1e20, 3e38, np.inf])
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_sines_of_small_numbers_beside_large_ones(name: str, large: float, device: str) -> None:
    x = np.array([4e-12, -1e-20, large, 0.5] * 9, np.float32)
    with np.errstate(invalid="ignore"):
        wanted = getattr(np, name)(x.astype(np.float64))
    found = getattr(Tensor(x, device=device), name)().numpy()
    np.testing.assert_allclose(found, wanted, 1e-6, 1e-12 if name != "cos" else 0)


def test_the_place_of_an_only_value_is_on_its_device(device: str) -> None:
    total = Tensor(normal(3, 4), device=device).sum()
    place = total.argmax(0).realize()
    assert place.device == device
    assert (total >= place).item() == (normal(3, 4).sum() >= 0)
