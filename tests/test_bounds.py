"""CHECK=bounds: no kernel of many programs touches memory outside of its arrays, on any device, a
kernel that does is told of by name, and so is an index outside of its axis, at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from lazygrad import Tensor, TinyJit, config, nn
from lazygrad.backends.opencl.device import OpenCLDevice
from lazygrad.errors import AccessError, CompilerError
from lazygrad.loops.lower.value import Values
from lazygrad.runtime.device import Device
from lazygrad.targets import Target
from lazygrad.tensor.random import _states
from lazygrad.tensor.ranges import _Ranges

RNG = np.random.default_rng(0)


@pytest.fixture(
    params=["CPU", *(pytest.param(n, marks=pytest.mark.slow) for n in ("GPU", "a GPU's loops"))]
)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name: str = request.param
    if name == "a GPU's loops":
        opened, name = OpenCLDevice("GPU"), "GPU:9"
        opened.machine = replace(opened.machine, target=Target.GPU)
        monkeypatch.setitem(Device._opened, name, opened)
        monkeypatch.setattr("lazygrad.plans._plans", {})  # those of this device
    monkeypatch.setattr(Device, "DEFAULT", name)
    with config.override(CHECK="bounds"):
        yield name
    _states.pop(name, None)


def floats(*shape: int) -> Tensor:
    return Tensor(RNG.standard_normal(shape).astype(np.float32))


def places(count: int, *shape: int) -> Tensor:
    return Tensor(RNG.integers(0, count, shape)) + 0


def trained(*layers: Callable[[Tensor], Tensor], x: Tensor, classes: int) -> Tensor:
    """The loss of the second of two steps, by a captured function."""
    optimizer = nn.optim.SGD(nn.state.get_parameters(list(layers)), lr=0.1)

    @TinyJit
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = x.sequential(list(layers)).cross_entropy(y).backward()
        optimizer.step()
        return loss

    for _ in range(2):
        loss = step(x, places(classes, x.shape[0]).realize())
    return loss


PROGRAMS: dict[str, Callable[[], Tensor]] = {
    "product": lambda: (floats(37, 29) @ floats(29, 43)).relu(),
    "batch of products": lambda: floats(3, 5, 7) @ floats(3, 7, 9).softmax(-1),
    "rows": lambda: floats(13, 67).softmax(1) + floats(67).cumsum(0),
    "columns": lambda: floats(67, 13).T.std(1),
    "convolution": lambda: floats(2, 3, 17, 13).conv2d(floats(8, 3, 3, 3), stride=2, padding=1),
    "tiles": lambda: floats(2, 64, 14, 14).conv2d(floats(64, 64, 3, 3), padding=1),
    "pooling": lambda: floats(2, 3, 17, 13).max_pool2d(3, stride=2, padding=1),
    "sort": lambda: floats(5, 33).sort(1)[0] + floats(5, 33).topk(33, 1)[0],
    "gather": lambda: floats(7, 9).gather(1, places(9, 5, 20)) * floats(50, 20)[places(50, 5)],
    "two index tensors": lambda: floats(7, 9)[places(7, 3, 1), places(9, 4)],
    "scatter": lambda: floats(7, 9).scatter_add(0, places(7, 5, 9), floats(5, 9)),
    "joined": lambda: floats(5, 3).cat(floats(2, 3)).pad(((1, 2), (0, 3)))[::-1, ::2],
    "masked": lambda: floats(6, 6).tril().masked_fill(Tensor.eye(6).bool(), 9.0),
    "perceptron": lambda: trained(
        nn.Linear(19, 33), Tensor.relu, nn.Linear(33, 5), x=floats(21, 19), classes=5
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_access_is_outside(device: str, name: str) -> None:
    assert np.isfinite(PROGRAMS[name]().numpy()).all()


def test_an_access_outside_is_told_of(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the guards of gathers left out, an index reaches too far."""
    gathered = Values.gathered
    monkeypatch.setattr(Values, "gathered", lambda *args: (gathered(*args)[0], ()))
    x, outside = floats(8, 8), Tensor([[1, 9, 2]]) + 0
    with pytest.raises(
        CompilerError,
        match=r"test_bounds.py:\d+ .*gather_\w+: in1\[.*is read, of 64 el.*; 73 is out",
    ):
        x.gather(0, outside).numpy()
    with pytest.raises(CompilerError, match=r"scatter_\w+: out0\[.*is written, of 64 el.*outside"):
        x.scatter(0, outside, 1.0).numpy()
    assert issubclass(AccessError, IndexError)


def test_an_index_outside_raises_when_the_kernel_has_run(device: str) -> None:
    """Nothing is read on the host: without the check, a GPU would tell of it later."""
    x, outside = floats(3), Tensor([1, 2, 7]) + 0
    with pytest.raises(IndexError, match=r"\(test_bounds.py:\d+\): index 7 is outside -3 to 2"):
        x[outside].realize()


def test_an_index_outside_raises_in_a_captured_function(device: str) -> None:
    picked = TinyJit(lambda x, places: x[places + 0].sum())
    inside, outside = (Tensor(np.array([1, 2, n])).realize() for n in (0, 7))
    picked(floats(3), inside)
    with pytest.raises(IndexError, match=r"\(test_bounds.py:\d+\): index 7 is outside"):
        picked(floats(3), outside)


def test_proven_ranges_are_checked(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Ranges, "of", lambda *args: (0, 0))
    x, outside = floats(3), Tensor([1, 2, 7]) + 0
    with config.override(CHECK=None):
        assert x[outside].tolist()[2] == 0
    with pytest.raises(IndexError, match="index 7 is outside"):
        x[outside].numpy()
