"""Training on the GPU backend beside the CPU backend: the same losses, step by step."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lazygrad import Tensor, TinyJit, nn
from lazygrad.backends.opencl.device import OpenCLDevice
from lazygrad.errors import DownloadError
from lazygrad.runtime.device import Device
from lazygrad.tensor.random import _states

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
STEPS, BATCH = 20, 32

Batches = list[tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """examples/mnist.py, whose models these are."""
    spec = importlib.util.spec_from_file_location("mnist_example", ROOT / "examples" / "mnist.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def batches() -> Batches:
    """Batches of MNIST; of scikit-learn's digits where that is not to be had.

    The digits are enlarged, each point to nine equal ones, and of equal ones rounding decides which
    gets a maximum's gradient: noise tells them apart.
    """
    random = np.random.default_rng(0)
    try:
        images, labels = (x.numpy() for x in nn.datasets.mnist(device="CPU")[:2])
    except DownloadError:
        images, labels = (x.numpy() for x in nn.datasets.digits(device="CPU")[:2])
        images = images // 2 + random.integers(0, 128, images.shape, np.uint8)
    order = random.permutation(len(labels))[: STEPS * BATCH].reshape(STEPS, BATCH)
    return [(images[batch], labels[batch]) for batch in order]


@pytest.fixture(autouse=True)
def default() -> Iterator[None]:
    """The default device is again what it was, and one that is gone has no random numbers."""
    before = Device.DEFAULT
    yield
    Device.DEFAULT = before
    _states.pop("GPU:9", None)


def losses(device: str, model: str, example: ModuleType, batches: Batches) -> np.ndarray:
    """The loss of each step, on a device.

    What backends add up in another order, Adam's first steps amplify, since they go by the signs of
    gradients, however near to 0: the rate is low, and eps above what rounding leaves of a 0.
    """
    Device.DEFAULT = device
    Tensor.manual_seed(0)
    layers = example.MODELS[model]()
    optimizer = nn.optim.Adam(nn.state.get_parameters(layers), lr=1e-4, eps=1e-6)

    @TinyJit
    def step(images: Tensor, labels: Tensor) -> Tensor:
        with Tensor.train():
            optimizer.zero_grad()
            loss = images.sequential(layers).sparse_categorical_crossentropy(labels)
            loss.backward()
            optimizer.step()
            return loss

    return np.array([step(Tensor(x), Tensor(y)).item() for x, y in batches])


@pytest.mark.parametrize("loops", ["a CPU's", "a GPU's"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_losses_are_those_of_the_cpu(
    model: str,
    loops: str,
    example: ModuleType,
    batches: Batches,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first 20 steps, with the loops that the device gets and with those of a GPU."""
    device = "GPU"
    if loops == "a GPU's":  # which an OpenCL CPU gets only where it is taken for a GPU
        opened = OpenCLDevice("GPU")
        opened.machine = replace(opened.machine, gpu=True, group_limit=256, local_bytes=48 << 10)
        monkeypatch.setitem(Device._opened, "GPU:9", opened)
        device = "GPU:9"
    expected = losses("CPU", model, example, batches)
    np.testing.assert_allclose(losses(device, model, example, batches), expected, rtol=1e-3)
    assert expected[-1] < expected[0] / 1.05
