"""The rows in PyTorch, eager; argument: the row."""

from __future__ import annotations

import os
import sys

import torch
from torch import nn

from benchmarks.timing import report

torch.set_num_threads(len(os.sched_getaffinity(0)))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 5), nn.ReLU(), nn.Conv2d(32, 32, 5), nn.ReLU(),
        nn.BatchNorm2d(32), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(),
        nn.BatchNorm2d(64), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(576, 10),
    )  # fmt: skip


def train() -> object:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model((images.float() - 33.3) / 78.6), labels)
    loss.backward()
    optimizer.step()
    return loss


if __name__ == "__main__":
    row = sys.argv[1]
    if row == "matmul":
        a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
        report(row, lambda: a @ b)
    else:
        images = torch.randint(0, 255, (128, 1, 28, 28), dtype=torch.uint8)
        labels = torch.randint(0, 10, (128,))
        model = {"mlp": mlp, "cnn": cnn}[row]()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        report(row, train)
