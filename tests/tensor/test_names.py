"""Names that scripts for other libraries use: they work, or say what to write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, nn
from lazygrad.absent import PACKAGE, TENSOR


def test_a_script_finds_its_device() -> None:
    device = lazygrad.device("cuda" if lazygrad.cuda.is_available() else "cpu")
    assert (device, device.type, device.index) == ("CPU", "cpu", None)
    assert Tensor([1.0]).to(device).device == device
    assert lazygrad.zeros(2, device=device).device == "CPU"
    assert Tensor([1.0]).device.type == "cpu"
    gpu = lazygrad.device("gpu", 1)
    assert (gpu, gpu.type, gpu.index) == ("GPU:1", "gpu", 1)
    with pytest.raises(RuntimeError, match="reached by OpenCL, as GPU"):
        lazygrad.device("cuda")
    assert not lazygrad.mps.is_available()
    assert lazygrad.cuda.device_count() == 0


def test_shapes_and_dtypes_have_their_names() -> None:
    assert Tensor.ones(2, 3).shape == lazygrad.Size([2, 3])
    assert isinstance(lazygrad.float32, lazygrad.dtype)
    assert lazygrad.bfloat16.is_floating_point
    assert not lazygrad.int8.is_floating_point
    assert lazygrad.int8.is_signed
    assert not lazygrad.uint8.is_signed
    assert not lazygrad.float64.is_complex


def test_autocast_says_where_it_changes_nothing() -> None:
    with pytest.warns(UserWarning, match=r'write autocast\("cpu"\)') as told:
        context = lazygrad.autocast("cuda", dtype=lazygrad.float16)
    assert told[0].filename == __file__
    with context, lazygrad.amp.autocast("cpu", enabled=False):
        assert (Tensor([[1.0]]) @ Tensor([[1.0]])).dtype == lazygrad.float32
    with pytest.warns(UserWarning, match="float32 has no 16 bits"):
        lazygrad.autocast("cpu", dtype=lazygrad.float32)


def test_names_that_are_not_there_say_what_to_write() -> None:
    for name, hint in PACKAGE.items():
        with pytest.raises(AttributeError) as raised:
            getattr(lazygrad, name)
        assert str(raised.value) == f"module 'lazygrad' has no attribute {name!r}: {hint}"
    x = Tensor([1.0])
    for name, hint in TENSOR.items():
        with pytest.raises(AttributeError) as raised:
            getattr(x, name)
        assert str(raised.value) == f"Tensor has no attribute {name!r}: {hint}"
    assert not hasattr(x, "nothing")
    with pytest.raises(AttributeError, match=r"'relo': did you mean 'relu'\?$"):
        _ = x.relo  # type: ignore[attr-defined]


def test_modules_can_be_imported_by_their_names() -> None:
    program = """
import lazygrad
from lazygrad.func import vmap
from lazygrad.autograd import Function
assert lazygrad.vmap is vmap and lazygrad.func.grad is lazygrad.transforms.grad
import lazygrad.optim as optim
from lazygrad.optim.lr_scheduler import StepLR
from lazygrad.amp import GradScaler
from lazygrad.cuda.amp import autocast
from lazygrad.utils.checkpoint import checkpoint
assert optim.Adam is lazygrad.optim.Adam is lazygrad.nn.optim.Adam
assert StepLR is lazygrad.optim.lr_scheduler.StepLR and GradScaler is lazygrad.GradScaler
lazygrad.backends.cudnn.benchmark = True
assert not lazygrad.backends.mps.is_available()
x = lazygrad.ones(2, requires_grad=True)
checkpoint(lambda x: x * x, x, use_reentrant=False).sum().backward()
assert x.grad.tolist() == [2.0, 2.0] and autocast(enabled=False)
lazygrad.det, lazygrad.inverse, lazygrad.GlobalCounters.reset()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------- generators


def test_generators_are_streams_of_their_own() -> None:
    Tensor.manual_seed(3)
    before = Tensor.rand(3).tolist()
    Tensor.manual_seed(3)
    g, h = (lazygrad.Generator().manual_seed(5) for _ in range(2))
    drawn = lazygrad.rand(4, generator=g)  # type: ignore[call-arg]
    assert drawn.tolist() == lazygrad.rand(4, generator=h).tolist()  # type: ignore[call-arg]
    assert Tensor.rand(3).tolist() == before
    state = g.get_state()
    first = lazygrad.randn(2, generator=g).tolist()  # type: ignore[call-arg]
    assert first != lazygrad.randn(2, generator=g).tolist()  # type: ignore[call-arg]
    g.set_state(state)
    assert lazygrad.randn(2, generator=g).tolist() == first  # type: ignore[call-arg]
    assert g.initial_seed() == 5
    with pytest.raises(TypeError, match=r"rand: generator is a lazygrad\.Generator, not 5"):
        lazygrad.rand(2, generator=5)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["randperm", "randint", "normal", "multinomial", "uniform_"])
def test_what_draws_takes_a_generator(name: str) -> None:
    def draw() -> list[float]:
        options = {"generator": lazygrad.Generator().manual_seed(1)}
        weights = Tensor.ones(8)
        made = {
            "randperm": lambda: lazygrad.randperm(8, **options),  # type: ignore[arg-type]
            "randint": lambda: lazygrad.randint(0, 100, (8,), **options),  # type: ignore[arg-type]
            "normal": lambda: lazygrad.normal(0.0, 1.0, (8,), **options),  # type: ignore[arg-type]
            "multinomial": lambda: weights.multinomial(4, **options),  # type: ignore[arg-type]
            "uniform_": lambda: weights.uniform_(**options),  # type: ignore[arg-type]
        }[name]()
        values: list[float] = made.tolist()
        return values

    assert draw() == draw()


def test_a_captured_function_draws_on() -> None:
    g = lazygrad.Generator().manual_seed(1)
    draw = lazygrad.jit(lambda x: x + lazygrad.rand(2, generator=g))  # type: ignore[call-arg]
    drawn = [draw(Tensor.zeros(2)).tolist() for _ in range(4)]
    g.manual_seed(1)
    assert [draw(Tensor.zeros(2)).tolist() for _ in range(4)] == drawn
    assert len({tuple(row) for row in drawn}) == 4


# ---------------------------------------------------------------------- files


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    layer = nn.Linear(2, 3)
    optimizer = nn.optim.Adam(layer.parameters())
    layer(Tensor.ones(1, 2)).sum().backward()
    optimizer.step()
    saved = {
        "model": layer.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3,
        "losses": [0.5, float("inf")], "pair": (None, True, "text"), 7: np.arange(3),
        "a.b": Tensor([1.0]), "a": {"b": Tensor([2.0])}, "half": Tensor([1.5], "bfloat16"),
    }  # fmt: skip
    lazygrad.save(saved, path)
    found = lazygrad.load(path)
    assert found["epoch"] == 3
    assert found["losses"] == saved["losses"]
    assert found["pair"] == saved["pair"]
    assert found[7].tolist() == [0, 1, 2]
    assert (found["a.b"].tolist(), found["a"]["b"].tolist()) == ([1.0], [2.0])
    assert found["half"].dtype == lazygrad.bfloat16
    other = nn.Linear(2, 3)
    other.load_state_dict(found["model"])
    assert other.weight.tolist() == layer.weight.tolist()
    again = nn.optim.Adam(other.parameters())
    again.load_state_dict(found["optimizer"])
    assert again.state_dict()["state"][0]["step"].item() == 1.0
    lazygrad.save(Tensor([1, 2]), path)
    assert lazygrad.load(path).tolist() == [1, 2]


def test_files_of_others_are_loaded(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.tensor([1.0, 2.0])}, tmp_path / "theirs.pt")
    assert lazygrad.load(tmp_path / "theirs.pt")["w"].tolist() == [1.0, 2.0]
    nn.state.safe_save({"w": Tensor([3.0])}, tmp_path / "plain.safetensors")
    assert lazygrad.load(tmp_path / "plain.safetensors")["w"].tolist() == [3.0]


def test_what_cannot_be_saved_says_where(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"a Linear at model cannot be saved; save its state_dict"):
        lazygrad.save({"model": nn.Linear(2, 3)}, tmp_path / "run.pt")
