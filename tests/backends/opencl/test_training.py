"""Training on the GPU backend beside the CPU backend: the same steps."""

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
from lazygrad.targets import Target
from lazygrad.tensor.random import _states

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
STEPS, BATCH, RATE = {"float32": 20, "float64": 8}, 32, 1e-3
# How far apart a state may be after a step, of the largest of its kind: at most, and on average.
MOMENTS = ("mean", "square", "running_mean", "running_var")
BOUNDS = {
    "float32": {"params": (2.5 * RATE, 1e-5)} | dict.fromkeys(MOMENTS, (1e-3, 1e-5)),
    "float64": {"params": (2.5 * RATE, 1e-9)} | dict.fromkeys(MOMENTS, (1e-9, 1e-9)),
}

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

    Backgrounds, and the points of digits that were enlarged, are equal, and of equal ones rounding
    decides which gets a maximum's gradient: noise tells them apart.
    """
    random = np.random.default_rng(0)
    try:
        images, labels = (x.numpy() for x in nn.datasets.mnist(device="CPU")[:2])
    except DownloadError:
        images, labels = (x.numpy() for x in nn.datasets.digits(device="CPU")[:2])
    images = images // 2 + random.integers(0, 128, images.shape, np.uint8)
    order = random.permutation(len(labels))[: max(STEPS.values()) * BATCH].reshape(-1, BATCH)
    return [(images[batch], labels[batch]) for batch in order]


@pytest.fixture(autouse=True)
def default() -> Iterator[None]:
    """The default device is again what it was, and one that is gone has no random numbers."""
    before = Device.DEFAULT
    yield
    Device.DEFAULT = before
    _states.pop("GPU:9", None)


class Training:
    """A model of the example in training, on a device, in float32 or float64."""

    def __init__(self, device: str, model: str, example: ModuleType, dtype: str) -> None:
        self.device = device
        Device.DEFAULT = "CPU"  # where drawing the first state is compiled once
        Tensor.manual_seed(0)
        layers = example.MODELS[model]()
        Device.DEFAULT = device
        if dtype == "float64":  # the example's own normalizes in float32
            layers[0] = lambda images: (images.double() - 33.3) / 78.6
        for layer in layers:
            for name, x in getattr(layer, "__dict__", {}).items():
                if isinstance(x, Tensor):
                    values = x.detach().numpy()
                    wanted = Tensor(values.astype(dtype) if x.dtype.is_float else values)
                    is_parameter = isinstance(x, nn.Parameter)
                    setattr(layer, name, nn.Parameter(wanted) if is_parameter else wanted)
        optimizer = nn.optim.Adam(nn.state.get_parameters(layers), lr=RATE)
        self.parts = [layers, optimizer]

        @TinyJit
        def step(images: Tensor, labels: Tensor) -> Tensor:
            with Tensor.train():
                optimizer.zero_grad()
                loss = images.sequential(layers).sparse_categorical_crossentropy(labels)
                loss.backward()
                optimizer.step()
                return loss

        self.captured = step

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Train on a batch; the loss before."""
        Device.DEFAULT = self.device
        return float(self.captured(Tensor(images), Tensor(labels)).item())

    @property
    def state(self) -> dict[str, np.ndarray]:
        """Parameters, running statistics and the optimizer's state."""
        Device.DEFAULT = self.device
        return {k: v.numpy().copy() for k, v in nn.state.get_state_dict(self.parts).items()}

    @state.setter
    def state(self, state: dict[str, np.ndarray]) -> None:
        Device.DEFAULT = self.device
        nn.state.load_state_dict(self.parts, {k: Tensor(v) for k, v in state.items()})


@pytest.mark.parametrize("loops", ["a CPU's", "a GPU's"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_are_those_of_the_cpu(
    dtype: str,
    model: str,
    loops: str,
    example: ModuleType,
    batches: Batches,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first steps, with the loops that the device gets and with those of a GPU.

    Each begins with the CPU's state: what backends add up in another order, Adam amplifies from
    step to step, since it goes by the signs of gradients, however near to 0. For the same reason a
    few parameters may go the other way. Moments are compared with the largest of all, since some
    gradients are 0 but for rounding.

    Among a million ReLUs and maxima there is in float32, now and then, one whose inputs differ by
    rounding alone: where it falls the other way, the gradients of all layers before it differ. So
    there two steps of the twenty may be apart; in float64 none.
    """
    device = "GPU"
    opened = OpenCLDevice("GPU")
    if dtype == "float64" and not opened.machine.float64:
        pytest.skip("the device has no float64")
    if loops == "a GPU's":  # which an OpenCL CPU gets only where it is taken for a GPU
        opened.machine = replace(
            opened.machine, target=Target.GPU, group_limit=256, local_bytes=48 << 10
        )
        monkeypatch.setitem(Device._opened, "GPU:9", opened)
        monkeypatch.setattr("lazygrad.plans._plans", {})  # those of this device
        device = "GPU:9"
    cpu, gpu = (Training(d, model, example, dtype) for d in ("CPU", device))
    losses: list[float] = []
    steps_apart: dict[int, list[str]] = {}
    for images, labels in batches[: STEPS[dtype]]:
        gpu.state = cpu.state
        losses.append(cpu.step(images, labels))
        assert gpu.step(images, labels) == pytest.approx(losses[-1], rel=1e-5)
        found, expected = gpu.state, cpu.state
        assert {x.dtype for n, x in expected.items() if "params" in n} == {np.dtype(dtype)}
        for kind, (most, mean) in BOUNDS[dtype].items():
            names = [n for n in expected if kind in n.split(".")]
            scale = max((float(np.abs(expected[n]).max()) for n in names), default=1.0)
            for name in names:
                apart = np.abs(found[name] - expected[name]) / scale
                if not (apart.max() <= most and apart.mean() <= mean):
                    steps_apart.setdefault(len(losses), []).append(name)
    assert len(steps_apart) <= (2 if dtype == "float32" else 0), steps_apart
    assert losses[-1] < losses[0] / 1.05
