"""Data sets: MNIST, Fashion-MNIST, CIFAR-10, scikit-learn's digits, and Tiny Shakespeare's text.

    images, labels, test_images, test_labels = mnist()     # uint8 (60000, 1, 28, 28), (60000,), ...

Each file is looked for under LAZYGRAD_DATA, then in the cache, then downloaded into the cache; it
is used only if it is, bit for bit, the published one.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import math
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import config
from ..errors import DatasetError, DownloadError
from ..tensor import Tensor

TIMEOUT = 10.0
"""Seconds that a mirror may stay silent before the next one is tried."""


@dataclass(frozen=True, slots=True)
class IdxFile:
    """An idx file of uint8 (LeCun's format) as published: compressed, and what it holds."""

    name: str
    shape: tuple[int, ...]
    gz_size: int
    gz_sha256: str
    sha256: str

    @property
    def size(self) -> int:
        """Bytes once decompressed: a magic number, the sizes (4 bytes each), then the elements."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Source:
    """Where one data set comes from. `files`: training images, labels, test images, labels."""

    name: str
    mirrors: tuple[str, ...]
    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]


# The SHA-256 sums are of the very files that are known by these published MD5 sums: for MNIST
# f68b3c2dcbeaaa9fbdd348bbdeb94873, d53e105ee54ea40749a09fcbcd1e9432,
# 9fb629c4189551a2d022fa330f9573f3, ec29112dd5afa0611ce80d1b7f02629c; for Fashion-MNIST
# 8d4fb7e6c68d591d4c3dfef9ec88bf0d, 25c81989df183df01b3e8a0aad5dffbe,
# bef4ecab320f06d8554ea6380940ec79, bb300cfdad3c16e7a12a480ee83cd310.
MNIST = Source(
    "mnist",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    (
        IdxFile(
            "train-images-idx3-ubyte",
            (60000, 28, 28),
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60000,),
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10000, 28, 28),
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10000,),
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)

FASHION_MNIST = Source(
    "fashion",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    (
        IdxFile(
            "train-images-idx3-ubyte",
            (60000, 28, 28),
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60000,),
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10000, 28, 28),
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10000,),
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
)

Split = tuple[Tensor, Tensor, Tensor, Tensor]
"""Training images (N, 1, 28, 28), training labels (N,), test images, test labels, all uint8."""


def mnist(fashion: bool = False, device: str | None = None) -> Split:
    """MNIST, or Fashion-MNIST in its place: 60,000 pictures to train on and 10,000 to test with.

    Raises ConfigError for a LAZYGRAD_DATA that is no folder, DatasetError for a file that is not
    the published one, DownloadError where a file is neither found nor to be had from any mirror.
    """
    source = FASHION_MNIST if fashion else MNIST
    images, labels, test_images, test_labels = (_read(source, file) for file in source.files)
    return (
        Tensor(images[:, None], device=device),
        Tensor(labels, device=device),
        Tensor(test_images[:, None], device=device),
        Tensor(test_labels, device=device),
    )


def cifar(device: str | None = None) -> Split:
    """CIFAR-10, as `nn/cifar.py` reads it: images (50000, 3, 32, 32), labels, and 10,000 of both to
    test with, all uint8. Raises as `mnist` does."""
    from .cifar import cifar as read

    return read(device)


def tinyshakespeare() -> str:
    """Tiny Shakespeare, as `nn/tinyshakespeare.py` reads it. Raises as `mnist` does."""
    from .tinyshakespeare import tinyshakespeare as read

    return read()


def digits(device: str | None = None) -> Split:
    """scikit-learn's 1,797 digits of 8x8, drawn at MNIST's size; every fifth is for testing.

    A stand-in where there is no network: it comes with the package. Each point of 0..16 becomes
    3x3 points of 0..255, with a border of 2. Raises DatasetError without scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DatasetError(
            'digits comes with scikit-learn, which is missing: pip install "lazygrad[examples]"'
        ) from None
    pictures, labels = load_digits(return_X_y=True)
    pictures = (pictures.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    pictures = pictures.repeat(3, axis=2).repeat(3, axis=3)
    pictures = np.pad(pictures, ((0, 0), (0, 0), (2, 2), (2, 2)))
    labels = labels.astype(np.uint8)
    test = np.arange(len(labels)) % 5 == 0
    return (
        Tensor(pictures[~test], device=device),
        Tensor(labels[~test], device=device),
        Tensor(pictures[test], device=device),
        Tensor(labels[test], device=device),
    )


def _read(source: Source, file: IdxFile) -> NDArray[np.uint8]:
    """The array in `file`, uint8 of `file.shape`, from wherever it is to be had."""
    path = _find(source, file) or _download(source, file)
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    array = parse_idx(data, str(path))
    if array.shape != file.shape:
        raise DatasetError(f"{path} has shape {array.shape}, not {file.shape}")
    return array


def parse_idx(data: bytes, name: str) -> NDArray[np.uint8]:
    """The uint8 array that the bytes of an idx file hold; `name` is for errors.

    Two zero bytes, the element type (8: uint8), the number of axes, each axis's size as a
    big-endian int32, the elements. Raises DatasetError for anything else.
    """
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise DatasetError(f"{name} is no idx file of uint8: it begins with {data[:4].hex(' ')!r}")
    start = 4 + 4 * data[3]
    shape = tuple(np.frombuffer(data[4:start], ">i4").tolist()) if len(data) >= start else None
    if shape is None or min(shape, default=0) < 0 or len(data) != start + math.prod(shape):
        raise DatasetError(f"{name} has {len(data):,} bytes, which do not fit its shape {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _find(source: Source, file: IdxFile) -> Path | None:
    """Where on this machine the file is, .gz or not; None if it is not there.

    Raises DatasetError for a damaged one. In a folder that is not named after the set, files of
    another set may bear the same names: those are passed over.
    """
    folders = [_cache_folder(source)]
    if config.LAZYGRAD_DATA is not None:
        folders = [config.LAZYGRAD_DATA / source.name, config.LAZYGRAD_DATA, *folders]
    for path in (folder / (file.name + end) for folder in folders for end in (".gz", "")):
        if not path.is_file():
            continue
        fault = _fault(path, file)
        if fault is None:
            return path
        others = FASHION_MNIST.files if source is MNIST else MNIST.files
        if all(_fault(path, other) for other in others):
            raise DatasetError(
                f"{path} is not the published file: {fault}; "
                "replace it, or remove it to have it downloaded again"
            )
    return None


def _fault(path: Path, file: IdxFile) -> str | None:
    """What tells the file at `path` from the published one, or None: they are the same."""
    compressed = ".gz" in path.suffixes
    size, sha256 = (file.gz_size, file.gz_sha256) if compressed else (file.size, file.sha256)
    if (found := path.stat().st_size) != size:
        return f"it has {found:,} bytes, not {size:,}"
    with path.open("rb") as stream:
        found_sum = hashlib.file_digest(stream, "sha256").hexdigest()
    return None if found_sum == sha256 else f"its SHA-256 is {found_sum[:16]}, not {sha256[:16]}"


def _cache_folder(source: Source) -> Path:
    return config.LAZYGRAD_CACHE / "data" / source.name


def _download(source: Source, file: IdxFile) -> Path:
    """Fetch the file into the cache, from the first mirror that gives it whole."""
    from filelock import FileLock

    path = _cache_folder(source) / f"{file.name}.gz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # One process downloads; the others wait for it, and then find the file.
        with FileLock(path.with_name(f"{path.name}.lock")):
            failures = [] if path.is_file() else _try_mirrors(source, file, path)
    except OSError as error:
        failures = [f"{path.parent}: {error}"]
    if not path.is_file():
        raise DownloadError(
            f"{source.name}: {file.name}.gz is not on this machine and could not be downloaded; "
            f"set LAZYGRAD_DATA to a folder that has it ({'; '.join(failures)})"
        )
    return path


def _try_mirrors(source: Source, file: IdxFile, path: Path) -> list[str]:
    """Download to `path`, from the first mirror that can; returns why those before it failed."""
    failures = []
    part = path.with_name(f"{path.name}.part")
    for mirror in source.mirrors:
        try:
            _fetch(f"{mirror}{file.name}.gz", part, file)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{mirror}: {error or type(error).__name__}")
        else:
            fault = _fault(part, file)
            if fault is None:
                os.replace(part, path)  # at once: nobody ever sees half a file
                break
            failures.append(f"{mirror}: not the published file, {fault}")
        finally:
            part.unlink(missing_ok=True)
    return failures


def _fetch(url: str, part: Path, file: IdxFile) -> None:
    """Write what `url` gives to `part`, with a progress bar. Raises OSError, HTTPException."""
    from tqdm import tqdm

    with (
        urllib.request.urlopen(url, timeout=TIMEOUT) as reply,
        part.open("wb") as stream,
        tqdm(desc=file.name, total=file.gz_size, unit="B", unit_scale=True, disable=None) as bar,
    ):
        # One byte more than there should be is enough to see that it is another file.
        while stream.tell() <= file.gz_size and (chunk := reply.read(1 << 16)):
            stream.write(chunk)
            bar.update(len(chunk))
        stream.flush()
        os.fsync(stream.fileno())
