"""The rows in lazygrad; argument: the row."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from benchmarks.timing import report
from lazygrad import Tensor, TinyJit, nn

sys.path.append(str(Path(__file__).parent.parent / "examples"))
import mnist


def matmul() -> object:
    return multiply(a, b).realize()


def train() -> object:
    return step(Tensor(images), Tensor(labels)).realize()


row = sys.argv[1]
if row == "matmul":
    a, b = (Tensor.randn(1024, 1024).realize() for _ in range(2))
    multiply = TinyJit(lambda a, b: a @ b)
    report(row, matmul)
else:
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (128, 1, 28, 28)).astype(np.uint8)
    labels = random.integers(0, 10, 128).astype(np.uint8)
    model = mnist.MODELS[row]()
    optimizer = nn.optim.Adam(nn.state.get_parameters(model), lr=1e-3)

    @TinyJit
    def step(images: Tensor, labels: Tensor) -> Tensor:
        with Tensor.train():
            loss = images.sequential(model).sparse_categorical_crossentropy(labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

    report(row, train)
