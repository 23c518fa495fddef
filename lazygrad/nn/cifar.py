"""CIFAR-10: 60,000 pictures of 32x32 points in three colours, of ten kinds of things."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np

from ..errors import DatasetError
from ..tensor import Tensor
from .published import PublishedFile

FILE = PublishedFile(
    "cifar",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "md5:c32a1d4ab5d03f1284b67883e8d87530",
)
TRAIN = [f"data_batch_{n}.bin" for n in range(1, 6)]
TEST = ["test_batch.bin"]

Split = tuple[Tensor, Tensor, Tensor, Tensor]


def cifar(device: str | None = None) -> Split:
    """Training images uint8 (50000, 3, 32, 32) and labels (50000,), test images and labels.

    Raises DatasetError and DownloadError as `PublishedFile.path` does.
    """
    path = FILE.path()
    with tarfile.open(path) as archive:
        files = {Path(member.name).name: member for member in archive.getmembers()}

        def records(names: list[str]) -> np.ndarray:
            parts = []
            for name in names:
                stream = archive.extractfile(files[name]) if name in files else None
                if stream is None:
                    raise DatasetError(f"{path} has no file {name}")
                parts.append(np.frombuffer(stream.read(), np.uint8).reshape(-1, 3073))
            return np.concatenate(parts)

        train, test = records(TRAIN), records(TEST)
    found = []
    for part in (train, test):
        found += [np.ascontiguousarray(part[:, 1:]).reshape(-1, 3, 32, 32), part[:, 0].copy()]
    x, y, test_x, test_y = (Tensor(array, device=device) for array in found)
    return x, y, test_x, test_y
