"""CIFAR-10: 60,000 pictures of 32x32 points in three colours, of ten kinds of things."""

from __future__ import annotations

import hashlib
import http.client
import os
import tarfile
import urllib.request
from pathlib import Path

import numpy as np

from .. import config
from ..errors import DatasetError, DownloadError
from ..tensor import Tensor

NAME = "cifar-10-binary.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{NAME}"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # as published beside it
TRAIN = [f"data_batch_{n}.bin" for n in range(1, 6)]
TEST = ["test_batch.bin"]

Split = tuple[Tensor, Tensor, Tensor, Tensor]


def cifar(device: str | None = None) -> Split:
    """Training images uint8 (50000, 3, 32, 32) and labels (50000,), test images and labels.

    The file is looked for in LAZYGRAD_DATA and in the cache, then downloaded into the cache. Raises
    DatasetError for a file that is not the published one, DownloadError where it is not to be had.
    """
    path = _found() or _downloaded()
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


def _found() -> Path | None:
    """Where the file is on this machine. Raises DatasetError for a damaged one."""
    folders = [config.LAZYGRAD_CACHE / "data" / "cifar"]
    if config.LAZYGRAD_DATA is not None:
        folders = [config.LAZYGRAD_DATA / "cifar", config.LAZYGRAD_DATA, *folders]
    for path in (folder / NAME for folder in folders):
        if path.is_file():
            if _sum(path) != MD5:
                raise DatasetError(
                    f"{path} is not the published file; replace it, or remove it to have it "
                    "downloaded again"
                )
            return path
    return None


def _sum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _downloaded() -> Path:
    """Fetch the file into the cache."""
    path = config.LAZYGRAD_CACHE / "data" / "cifar" / NAME
    part = path.with_name(f"{NAME}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(URL, timeout=10.0) as reply, part.open("wb") as stream:
            while chunk := reply.read(1 << 20):
                stream.write(chunk)
        if _sum(part) != MD5:
            raise DownloadError(f"cifar: {URL} gave another file than the published one")
        os.replace(part, path)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(
            f"cifar: {NAME} is not on this machine and could not be downloaded; set LAZYGRAD_DATA "
            f"to a folder that has it ({error or type(error).__name__})"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return path
