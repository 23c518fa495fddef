"""Training scripts of five kinds, run word for word by PyTorch and by lazygrad: the same losses.

Each is a function of `torch`, which is PyTorch or `lazygrad`, and of the initial weights. Two are
there in tinygrad's way too, which begins from the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch as pytorch

import lazygrad
from lazygrad import Tensor, TinyJit, nn

Script = Callable[[Any, Any], tuple[list[float], Any]]
RNG = np.random.default_rng(0)
DIGITS = RNG.random((48, 1, 8, 8)).astype(np.float32)
PICTURES = RNG.random((24, 3, 8, 8)).astype(np.float32)
CLASSES = RNG.integers(0, 4, 48)
TEXT = RNG.integers(0, 11, 200)


def mnist(torch: Any, state: Any) -> tuple[list[float], Any]:
    """A convolutional network on digits, with a data loader and a schedule."""
    functional = torch.nn.functional

    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = torch.nn.Conv2d(1, 4, 3, 1)
            self.conv2 = torch.nn.Conv2d(4, 6, 3, 1)
            self.fc1 = torch.nn.Linear(24, 16)
            self.fc2 = torch.nn.Linear(16, 4)

        def forward(self, x: Any) -> Any:
            x = functional.relu(self.conv1(x))
            x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
            x = functional.relu(self.fc1(torch.flatten(x, 1)))
            return functional.log_softmax(self.fc2(x), dim=1)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Net().to(device)
    model.load_state_dict(state or model.state_dict())
    begun = {name: value.clone() for name, value in model.state_dict().items()}
    data = torch.utils.data.TensorDataset(torch.tensor(DIGITS), torch.tensor(CLASSES))
    loader = torch.utils.data.DataLoader(data, batch_size=16)
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    losses = []
    for _ in range(2):
        model.train()
        for inputs, targets in loader:
            inputs, targets = inputs.to(device), targets.to(device)
            optimizer.zero_grad()
            loss = functional.nll_loss(model(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        scheduler.step()
    model.eval()
    correct = 0
    with torch.no_grad():
        for inputs, targets in loader:
            output = model(inputs.to(device))
            losses.append(functional.nll_loss(output, targets.to(device), reduction="sum").item())
            correct += output.argmax(dim=1, keepdim=True).eq(targets.view(-1, 1)).sum().item()
    return [*losses, float(correct)], begun


def gpt(torch: Any, state: Any) -> tuple[list[float], Any]:
    """A transformer on characters: groups of parameters, clipping, a schedule by hand."""
    functional = torch.nn.functional
    length, size, heads, vocabulary = 6, 8, 2, 11

    class Attention(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.c_attn = torch.nn.Linear(size, 3 * size)
            self.c_proj = torch.nn.Linear(size, size)
            mask = torch.tril(torch.ones(length, length)).view(1, 1, length, length)
            self.register_buffer("mask", mask)

        def forward(self, x: Any) -> Any:
            b, t, c = x.size()
            q, k, v = self.c_attn(x).split(size, dim=2)
            q, k, v = (y.view(b, t, heads, c // heads).transpose(1, 2) for y in (q, k, v))
            scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            scores = scores.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf"))
            y = functional.softmax(scores, dim=-1) @ v
            return self.c_proj(y.transpose(1, 2).contiguous().view(b, t, c))

    class Block(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.ln_1, self.attn = torch.nn.LayerNorm(size), Attention()
            self.ln_2 = torch.nn.LayerNorm(size)
            self.mlp = torch.nn.Sequential(
                torch.nn.Linear(size, 4 * size), torch.nn.GELU(), torch.nn.Linear(4 * size, size)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.attn(self.ln_1(x))
            return x + self.mlp(self.ln_2(x))

    class GPT(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.wte = torch.nn.Embedding(vocabulary, size)
            self.wpe = torch.nn.Embedding(length, size)
            self.h = torch.nn.ModuleList([Block() for _ in range(2)])
            self.ln_f = torch.nn.LayerNorm(size)
            self.lm_head = torch.nn.Linear(size, vocabulary, bias=False)
            self.wte.weight = self.lm_head.weight

        def forward(self, index: Any, targets: Any) -> tuple[Any, Any]:
            places = torch.arange(0, index.size(1), dtype=torch.long, device=index.device)
            x = self.wte(index) + self.wpe(places)
            for block in self.h:
                x = block(x)
            logits = self.lm_head(self.ln_f(x))
            loss = functional.cross_entropy(
                logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1
            )
            return logits, loss

    model = GPT()
    model.load_state_dict(state or model.state_dict())
    begun = {name: value.clone() for name, value in model.state_dict().items()}
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    groups = [
        {"params": [p for p in named.values() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in named.values() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95))
    losses = []
    for step in range(5):
        starts = [7 * step + 31 * row for row in range(4)]
        x = torch.stack([torch.from_numpy(TEXT[i : i + length]) for i in starts])
        y = torch.stack([torch.from_numpy(TEXT[i + 1 : i + 1 + length]) for i in starts])
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * 0.5 * (1 + math.cos(math.pi * step / 5))
        _, loss = model(x, y)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses += [loss.item(), float(norm)]
    return losses, begun


def cifar(torch: Any, state: Any) -> tuple[list[float], Any]:
    """A residual network on pictures: batch norm, SGD with a one-cycle schedule."""

    class Residual(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.body = torch.nn.Sequential(
                torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                torch.nn.BatchNorm2d(channels),
                torch.nn.ReLU(inplace=True),
            )

        def forward(self, x: Any) -> Any:
            return x + self.body(x)

    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, padding=1, bias=False), torch.nn.BatchNorm2d(6), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), Residual(6), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(6, 4),
    )  # fmt: skip
    model.load_state_dict(state or model.state_dict())
    begun = {name: value.clone() for name, value in model.state_dict().items()}
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=6)
    pictures, labels = torch.from_numpy(PICTURES), torch.from_numpy(CLASSES[:24])
    losses = []
    for step in range(6):
        rows = slice(step % 2 * 12, step % 2 * 12 + 12)
        optimizer.zero_grad()
        loss = criterion(model(pictures[rows].flip(3)), labels[rows])
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    model.eval()
    with torch.inference_mode():
        losses.append(criterion(model(pictures), labels).item())
    return losses, begun


def accumulation(torch: Any, state: Any) -> tuple[list[float], Any]:
    """Gradients of several small batches, added up before each step."""
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4)
    )
    model.load_state_dict(state or model.state_dict())
    begun = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for step in range(9):
        rows = slice(step % 4 * 12, step % 4 * 12 + 12)
        output = model(torch.tensor(DIGITS[rows]))
        loss = torch.nn.functional.cross_entropy(output, torch.tensor(CLASSES[rows])) / 3
        loss.backward()
        losses.append(loss.item())
        if (step + 1) % 3 == 0:
            optimizer.step()
            optimizer.zero_grad()
    return losses, begun


def by_hand(torch: Any, state: Any) -> tuple[list[float], Any]:
    """No modules: weights, a loss, and updates of one's own."""
    rng = np.random.default_rng(3)
    w1 = torch.tensor(rng.standard_normal((64, 8)).astype(np.float32) * 0.1, requires_grad=True)
    w2 = torch.tensor(rng.standard_normal((8, 1)).astype(np.float32), requires_grad=True)
    x, y = torch.tensor(DIGITS).reshape(48, 64), torch.tensor(CLASSES).float().unsqueeze(1)
    losses = []
    for _ in range(5):
        loss = (x.mm(w1).clamp(min=0).mm(w2) - y).pow(2).sum() / 48
        loss.backward()
        with torch.no_grad():
            w1 -= 0.05 * w1.grad
            w2 -= 0.05 * w2.grad
            w1.grad.zero_()
            w2.grad = None
        losses.append(loss.item())
    return losses, None


SCRIPTS: list[Script] = [mnist, gpt, cifar, accumulation, by_hand]
SLOW = (mnist, gpt, cifar)  # seconds of compiling


@pytest.fixture(scope="module")
def expected() -> Callable[[Script], tuple[list[float], Any]]:
    known: dict[Script, tuple[list[float], Any]] = {}

    def of(script: Script) -> tuple[list[float], Any]:
        if script not in known:
            pytorch.manual_seed(0)
            known[script] = script(pytorch, None)
        return known[script]

    return of


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(script, id=script.__name__, marks=[pytest.mark.slow] * (script in SLOW))
        for script in SCRIPTS
    ],
)
def test_a_script_for_pytorch_gives_its_losses(script: Script, expected: Any) -> None:
    losses, begun = expected(script)
    found, _ = script(lazygrad, begun)
    np.testing.assert_allclose(found, losses, rtol=5e-4, atol=1e-6)
    assert len({round(loss, 5) for loss in losses}) > 3


# ---------------------------------------------------------------------- in tinygrad's way


def test_gradients_add_up_in_tinygrads_way(expected: Any) -> None:
    losses, begun = expected(accumulation)
    layers = [lambda x: x.flatten(1), nn.Linear(64, 16), Tensor.tanh, nn.Linear(16, 4)]
    nn.state.load_state_dict(layers, {key: value.numpy() for key, value in begun.items()})
    optimizer = nn.optim.Adam(nn.state.get_parameters(layers), lr=1e-2)
    found = []

    @TinyJit
    def small_step(x: Tensor, y: Tensor) -> Tensor:
        loss = x.sequential(layers).sparse_categorical_crossentropy(y) / 3
        loss.backward()
        return loss.realize(*(p.grad for p in optimizer.params if p.grad is not None))

    with Tensor.train():
        for step in range(9):
            rows = slice(step % 4 * 12, step % 4 * 12 + 12)
            found.append(small_step(Tensor(DIGITS[rows]), Tensor(CLASSES[rows])).item())
            if (step + 1) % 3 == 0:
                optimizer.step()
                optimizer.zero_grad()
    np.testing.assert_allclose(found, losses, rtol=5e-4)


class TinyBlock:
    """A transformer block as a plain class."""

    def __init__(self, size: int, heads: int) -> None:
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.c_attn, self.c_proj = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.up, self.down = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

    def __call__(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        parts = self.c_attn(self.ln_1(x)).chunk(3, dim=-1)
        q, k, v = (y.reshape(b, t, self.heads, c // self.heads).transpose(1, 2) for y in parts)
        y = q.scaled_dot_product_attention(k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(self.up(self.ln_2(x)).gelu(approximate="none"))


def test_a_transformer_in_tinygrads_way(expected: Any) -> None:
    """The losses of the first step, and the norm of its gradient, are those of PyTorch."""
    losses, begun = expected(gpt)
    blocks = [TinyBlock(8, 2) for _ in range(2)]
    wte, wpe, norm = nn.Embedding(11, 8), nn.Embedding(6, 8), nn.LayerNorm(8)
    renamed = {"attn.c_attn": "c_attn", "attn.c_proj": "c_proj", "mlp.0": "up", "mlp.2": "down"}
    state = {"0": blocks, "1": wte, "2": wpe, "3": norm}
    values = {}
    for key, value in begun.items():
        for theirs, ours in {"h.": "0.", "wte": "1", "wpe": "2", "ln_f": "3", **renamed}.items():
            key = key.replace(theirs, ours)
        if "mask" not in key and "lm_head" not in key:
            values[key] = value.numpy()
    nn.state.load_state_dict(state, values)
    parameters = nn.state.get_parameters(state)
    for p in parameters:
        p.requires_grad_()
    x, y = (Tensor(np.stack([TEXT[i + 31 * r : i + 31 * r + 6] for r in range(4)])) for i in (0, 1))
    hidden = (wte(x) + wpe(Tensor.arange(6))).sequential(blocks)
    loss = (norm(hidden) @ wte.weight.T).sparse_categorical_crossentropy(y).backward()
    total = Tensor.stack(*(p.grad.square().sum() for p in parameters if p.grad is not None)).sum()
    np.testing.assert_allclose([loss.item(), total.sqrt().item()], losses[:2], rtol=5e-4)
