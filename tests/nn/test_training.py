"""Whole networks train alike with and without jit, and as PyTorch's do."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, TinyJit, nn
from lazygrad.nn.state import get_parameters


class ResidualBlock:
    """ResNet's basic block: two 3x3 convolutions beside a shortcut."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        self.conv1 = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = (
            [nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)]
            if stride != 1 or channels != out
            else []
        )

    def __call__(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + x.sequential(self.downsample)).relu()


class Recurrent:
    def __init__(self, kind: Callable[..., Any]) -> None:
        self.layers = kind(5, 6, num_layers=2, batch_first=True)
        self.head = nn.Linear(6, 3)

    def __call__(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x)[0][:, -1])


class CharacterModel:
    def __init__(self) -> None:
        self.embedding = nn.Embedding(11, 8)
        self.block = nn.TransformerEncoderLayer(
            8, 2, 16, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.norm = nn.RMSNorm(8)
        self.head = nn.Linear(8, 3)

    def __call__(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.block(self.embedding(x), is_causal=True))).mean(1)


def pictures(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((4, 3, 8, 8)).astype(np.float32)


def sequences(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((4, 3, 5)).astype(np.float32)


def text(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 11, (4, 6))


MODELS: dict[str, tuple[Callable[[], Any], Callable[[np.random.Generator], np.ndarray]]] = {
    "residual": (
        lambda: nn.Sequential(
            ResidualBlock(3, 8, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, 3)),
        pictures,
    ),
    "separable": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False), nn.GroupNorm(2, 6), nn.SiLU(),
            nn.Conv2d(6, 6, 3, dilation=2, padding=2, groups=6), nn.Conv2d(6, 4, 1), nn.GELU(),
            nn.ConvTranspose2d(4, 4, 2, stride=2, bias=False), nn.InstanceNorm(4), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64, 3)),
        pictures,
    ),
    "gru": (lambda: Recurrent(nn.GRU), sequences),
    "lstm": (lambda: Recurrent(nn.LSTM), sequences),
    "transformer": (CharacterModel, text),
}  # fmt: skip


def losses(make: Callable[[], Any], data: Any, wrap: Callable[[Any], Any]) -> list[float]:
    """The losses of four steps, clipped and scheduled, from one seed."""
    Tensor.manual_seed(3)
    rng = np.random.default_rng(0)
    model = make()
    parameters = get_parameters(model)
    optimizer = nn.optim.AdamW(parameters, lr=0.002)  # Adam enlarges what rounding does
    scheduler = nn.lr_scheduler.CosineAnnealingLR(optimizer, 5)

    def step(x: Tensor, y: Tensor) -> Tensor:
        with Tensor.train():
            optimizer.zero_grad()
            loss = model(x).dropout(0.1).cross_entropy(y, label_smoothing=0.1)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            return loss

    run, found = wrap(step), []
    for _ in range(4):
        x, y = data(rng), rng.integers(0, 3, 4)
        found.append(run(Tensor(x), Tensor(y)).item())
        scheduler.step()
    statistics = [p.numpy().astype(np.float64).sum() for p in parameters]
    return [*found, float(np.sum(statistics))]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in ("gru", "lstm") else name
        for name in MODELS
    ],
)
def test_a_captured_step_trains_as_one_that_is_not(name: str) -> None:
    make, data = MODELS[name]
    plain, captured = (losses(make, data, wrap) for wrap in (lambda f: f, TinyJit))
    np.testing.assert_allclose(captured, plain, rtol=2e-4, atol=1e-5)
    assert len({round(loss, 6) for loss in plain}) == len(plain)  # it does move


def test_statistics_of_batch_norm_advance_on_replay() -> None:
    found = []
    for wrap in (lambda f: f, TinyJit):
        layer = nn.BatchNorm2d(3, momentum=None)

        def forward(x: Tensor, layer: Any = layer) -> Tensor:
            with Tensor.train():
                return layer(x).realize()

        run, rng = wrap(forward), np.random.default_rng(0)
        for _ in range(5):
            run(Tensor(pictures(rng)))
        assert layer.num_batches_tracked.item() == 5
        used = TinyJit(lambda x, layer=layer: layer(x).realize())
        answers = [used(Tensor(pictures(rng))).numpy().copy() for _ in range(3)]
        assert layer.num_batches_tracked.item() == 5
        found.append([layer.running_mean.numpy(), layer.running_var.numpy(), *answers])
    for plain, captured in zip(*found, strict=True):
        np.testing.assert_allclose(captured, plain, rtol=1e-5, atol=1e-6)


def test_a_key_value_cache_gives_what_the_whole_sequence_does() -> None:
    """One token at a time into a cache of fixed size, captured once, beside causal attention."""
    rng = np.random.default_rng(0)
    length, size = 6, 8
    q, k, v = (rng.standard_normal((1, 2, length, size)).astype(np.float32) for _ in range(3))
    whole = Tensor(q).scaled_dot_product_attention(Tensor(k), Tensor(v), is_causal=True).numpy()
    keys, values = (Tensor.zeros(1, 2, length, size).contiguous().realize() for _ in range(2))

    @TinyJit
    def step(position: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        here = Tensor.arange(length) == position
        keys.assign(here.reshape(length, 1).where(k, keys))
        values.assign(here.reshape(length, 1).where(v, values))
        seen = Tensor.arange(length) <= position
        return q.scaled_dot_product_attention(keys, values, attn_mask=seen).realize()

    for i in range(length):
        token = [Tensor(a[:, :, i : i + 1].copy()) for a in (q, k, v)]
        np.testing.assert_allclose(
            step(Tensor(i), *token).numpy()[:, :, 0], whole[:, :, i], rtol=1e-5, atol=1e-6
        )


TOLD = "BatchNorm behaves as in evalua|{'<string>'}"
MODES = {
    "nothing said": ("if True:", TOLD),
    "a context": ("with Tensor.train():", "set()"),
    "a switch": ("Tensor.train()\nif True:", "set()"),
    "the attribute": ("Tensor.training = True\nif True:", "set()"),
    "evaluation": ("with Tensor.train(False):", "set()"),
}


@pytest.mark.parametrize("name", list(MODES))
def test_who_trains_in_evaluation_by_oversight_is_told_once(name: str) -> None:
    program = f"""
import warnings
from lazygrad import Tensor, nn
layers = [nn.Linear(3, 3), nn.BatchNorm(3), nn.Dropout(0.5)]
optimizer = nn.optim.SGD(nn.state.get_parameters(layers))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for _ in range(3):
{textwrap.indent(MODES[name][0], "        ")}
            optimizer.zero_grad()
            Tensor.ones(2, 3).sequential(layers).sum().backward()
            optimizer.step()
print(*[str(w.message)[:30] for w in told], {{w.filename for w in told}}, sep="|")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == MODES[name][1]


def test_a_bare_call_of_train_sets_the_mode() -> None:
    x = Tensor.ones(1000)
    before = Tensor.training
    try:
        Tensor.train(False)
        assert x.dropout(0.5).numpy().all()
        Tensor.train()
        assert not x.dropout(0.5).numpy().all()
        with Tensor.train(False):
            assert x.dropout(0.5).numpy().all()
        assert Tensor.training is True
        Tensor.train(mode=False)
        assert Tensor.training is False
    finally:
        Tensor.training = before


def test_train_is_a_context_and_a_decorator() -> None:
    before = Tensor.training

    @Tensor.train(not before)
    def mode(depth: int = 0) -> list[bool]:
        return [Tensor.training, *(mode(depth - 1) if depth else [])]

    assert Tensor.training is before
    assert mode(2) == [not before] * 3
    assert Tensor.training is before
    context = Tensor.train(not before)
    for _ in range(2):
        with context:
            assert Tensor.training is not before
            with context:
                assert Tensor.training is not before
            assert Tensor.training is not before
        assert Tensor.training is before
    with pytest.raises(KeyError), Tensor.train(not before):
        raise KeyError
    assert Tensor.training is before


def test_blocks_of_two_threads_that_overlap_leave_the_mode_as_it_was() -> None:
    first_began, second_began, first_ended = (threading.Event() for _ in range(3))
    seen: list[bool] = []

    def trainer() -> None:
        with Tensor.train():
            first_began.set()
            second_began.wait()
            seen.append(Tensor.training)
        first_ended.set()

    def server() -> None:
        first_began.wait()
        with Tensor.train(False):
            second_began.set()
            first_ended.wait()
            seen.append(Tensor.training)

    threads = [threading.Thread(target=each) for each in (trainer, server)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen, Tensor.training) == ([True, False], False)


def test_a_mode_ends_with_its_block_wherever_it_was_made() -> None:
    training = Tensor.train()
    assert Tensor.training
    for _ in range(2):
        with training:
            assert Tensor.training
            Tensor.training = False
            assert not Tensor.training
        assert not Tensor.training
    with Tensor.train(False):
        inner = Tensor.train()
        assert Tensor.training
        with inner:
            assert Tensor.training
        assert not Tensor.training
    with inner:
        assert Tensor.training
    assert not Tensor.training
