"""CIFAR-10: read from the published archive, which is looked for, and checked."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lazygrad import config, nn
from lazygrad.errors import DatasetError, DownloadError
from lazygrad.nn import cifar


def archive(folder: Path) -> Path:
    """An archive like the published one, with two pictures in each file."""
    path = folder / cifar.FILE.name
    with tarfile.open(path, "w:gz") as made:
        for n, name in enumerate([*cifar.TRAIN, *cifar.TEST]):
            records = np.full((2, 3073), n, np.uint8)
            records[1, 1] = 99
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = records.nbytes
            made.addfile(info, io.BytesIO(records.tobytes()))
    return path


def test_pictures_and_labels_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path)
    monkeypatch.setattr(config, "LAZYGRAD_DATA", tmp_path)
    with pytest.raises(DatasetError, match="is not the published file"):
        nn.datasets.cifar()
    checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    monkeypatch.setattr(cifar, "FILE", replace(cifar.FILE, checksum=checksum))
    x, y, test_x, test_y = nn.datasets.cifar()
    assert (x.shape, test_x.shape) == ((10, 3, 32, 32), (2, 3, 32, 32))
    assert y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert test_y.tolist() == [5, 5]
    assert x[1, 0, 0].tolist()[:2] == [99, 0]


def test_what_cannot_be_downloaded_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "LAZYGRAD_DATA", None)
    monkeypatch.setattr(config, "LAZYGRAD_CACHE", tmp_path)
    monkeypatch.setattr(cifar, "FILE", replace(cifar.FILE, url=f"file://{tmp_path}/absent"))
    with pytest.raises(DownloadError, match="could not be downloaded"):
        nn.datasets.cifar()
