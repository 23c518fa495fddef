"""A GPT that writes like Shakespeare, a character at a time (Radford et al. 2018).

python examples/gpt.py                  1,000 steps: four minutes on two cores
python examples/gpt.py --steps 100      a first look
python examples/gpt.py --text FILE      any other text

It prints a progress bar with the loss, the loss on the tenth of the text that it was not trained
on, and a sample of new text. The loss is the mean of -log(probability of the next character).

1,115,394 characters, 65 different; 818,241 weights
held-out loss: 1.7824
JULIET:
As them upany gold chut thou a master,
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import trange

import lazygrad
from lazygrad import Tensor, config, nn, optim
from lazygrad.errors import ConfigError, DatasetError, DeviceError
from lazygrad.nn import functional as F

Array = np.ndarray[Any, Any]
BATCH = 32  # pieces of text a step
Cache = tuple[Tensor, Tensor]  # keys and values of the past, (batch, heads, length, width / heads)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, past: Cache | None) -> tuple[Tensor, Cache]:
        """Each position attends to itself and to those before it, in x and in the past."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if past is not None:  # x is then one position: the newest
            k, v = lazygrad.cat((past[0], k), dim=2), lazygrad.cat((past[1], v), dim=2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=past is None)
        return self.out(y.transpose(1, 2).flatten(2)), (k, v)


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        wide = 4 * width
        self.mlp = nn.Sequential(nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, width))

    def forward(self, x: Tensor, past: Cache | None) -> tuple[Tensor, Cache]:
        y, cache = self.attention(self.norm1(x), past)
        x = x + y
        return x + self.mlp(self.norm2(x)), cache


class GPT(nn.Module):
    def __init__(self, characters: int, layers: int, width: int, heads: int, context: int) -> None:
        super().__init__()
        self.token = nn.Embedding(characters, width)
        self.position = nn.Embedding(context, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, characters))

    def forward(self, tokens: Tensor, past: Sequence[Cache] = ()) -> tuple[Tensor, list[Cache]]:
        """(batch, length) -> logits (batch, length, characters), and the cache of each block."""
        start = past[0][0].shape[2] if past else 0
        x = self.token(tokens) + self.position.weight[start : start + tokens.shape[1]]
        caches = []
        for n, block in enumerate(self.blocks):
            x, cache = block(x, past[n] if past else None)
            caches.append(cache)
        return self.head(x), caches

    def loss(self, text: Tensor) -> Tensor:
        """The mean over the characters that follow others in text (batch, length + 1)."""
        logits, _ = self(text[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())


def train(model: GPT, text: Array, context: int, steps: int, seed: int) -> None:
    optimizer = optim.AdamW(model.parameters(), lr=2e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    @lazygrad.jit  # compiles the whole step when first called, and from then on replays it
    def step(batch: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = model.loss(batch)
        loss.backward()
        optimizer.step()
        return loss

    random = np.random.default_rng(seed)
    bar = trange(steps, unit=" steps")
    for n in bar:
        starts = random.integers(len(text) - context, size=(BATCH, 1))
        loss = step(Tensor(text[starts + np.arange(context + 1)]))
        schedule.step()
        if n % 10 == 0:  # not at each step: to read a value is to wait for the device
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)


def evaluate(model: GPT, text: Array, context: int) -> float:
    """The mean loss over the text, cut into pieces of the model's context."""
    pieces = np.lib.stride_tricks.sliding_window_view(text, context + 1)[::context]
    batches = [Tensor(pieces[n : n + BATCH]) for n in range(0, len(pieces), BATCH)]
    loss = lazygrad.jit(model.loss)
    return float(sum(loss(batch).item() * len(batch) for batch in batches) / len(pieces))


def generate(model: GPT, tokens: list[int], context: int, count: int) -> Iterator[int]:
    """Draw `count` tokens, each from the model's probabilities of what follows those before.

    Keys and values of what was read are kept, so that each step reads one token. When the context
    is full, its later half is read anew.
    """
    past: Sequence[Cache] = ()
    for _ in range(count):
        if past and past[0][0].shape[2] == context:
            past = ()
        read = tokens[-1:] if past else tokens[-max(1, context // 2) :]
        logits, past = model(Tensor([read]), past)
        tokens.append(int(logits[0, -1].softmax(-1).multinomial(1).item()))
        yield tokens[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a GPT on a text and sample from it.")
    sizes = {"steps": 1000, "layers": 4, "width": 128, "heads": 4, "context": 64, "sample": 500,
             "seed": 0}  # fmt: skip
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--text", type=Path, help="a file; default: Tiny Shakespeare")
    options = parser.parse_args()
    if min(getattr(options, name) + (name == "seed") for name in sizes) < 1:
        parser.error("valid are whole numbers, 1 or more; for --seed 0, too")
    if options.width % options.heads:
        parser.error(f"--width {options.width} is no multiple of --heads {options.heads}")

    config.check()  # tells a mistake in an environment variable before any work
    text = options.text.read_text("utf-8") if options.text else nn.datasets.tinyshakespeare()
    characters, codes = np.unique(np.array(list(text)), return_inverse=True)
    training, held_out = np.split(codes.astype(np.int32), [len(codes) * 9 // 10])
    if len(held_out) <= options.context:
        sys.exit(f"the text has {len(text)} characters: too few for --context {options.context}")

    Tensor.manual_seed(options.seed)
    shape = options.layers, options.width, options.heads, options.context
    model = GPT(len(characters), *shape)
    weights = sum(p.numel() for p in model.parameters())
    print(f"{len(text):,} characters, {len(characters)} different; {weights:,} weights", flush=True)
    train(model, training, options.context, options.steps, options.seed)
    with lazygrad.no_grad():
        print(f"held-out loss: {evaluate(model, held_out, options.context):.4f}")
        # The first token is the smallest character, in most texts a new line.
        for token in generate(model, [0], options.context, options.sample):
            print(characters[token], end="", flush=True)
    print()


if __name__ == "__main__":
    try:
        main()
    except (ConfigError, DatasetError, DeviceError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
