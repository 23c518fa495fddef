"""Finding, checking and downloading data files, against a server that fails in every way."""

from __future__ import annotations

import gzip
import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lazygrad import config, dtypes
from lazygrad.errors import ConfigError, DatasetError, DownloadError
from lazygrad.nn import datasets
from lazygrad.nn.datasets import IdxFile, Source

NAMES = [file.name for file in datasets.MNIST.files]
FIRST = f"{NAMES[0]}.gz"
SHAPES = [(6, 28, 28), (6,), (2, 28, 28), (2,)]


def idx(values: np.ndarray) -> bytes:
    """`values` as the bytes of an idx file."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes((0, 0, 8, values.ndim)) + sizes + values.tobytes()


def contents(seed: int) -> dict[str, bytes]:
    """A small data set: the bytes of its four files, by name."""
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(0, 256, shape, np.uint8) for shape in SHAPES]
    return {name: idx(array) for name, array in zip(NAMES, arrays, strict=True)}


def compressed(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in files.items()}


def source_of(name: str, files: dict[str, bytes]) -> Source:
    """The Source that publishes `files`, with no mirrors yet."""
    gz = compressed(files)
    described = [
        IdxFile(
            file,
            shape,
            len(gz[f"{file}.gz"]),
            hashlib.sha256(gz[f"{file}.gz"]).hexdigest(),
            hashlib.sha256(files[file]).hexdigest(),
        )
        for file, shape in zip(NAMES, SHAPES, strict=True)
    ]
    return Source(name, (), tuple(described))  # type: ignore[arg-type]


FILES, FASHION_FILES = contents(seed=0), contents(seed=1)


@pytest.fixture(autouse=True)
def small_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Both sets are small, no mirror is known, the cache is empty; returns the data folder."""
    monkeypatch.setattr(datasets, "MNIST", source_of("mnist", FILES))
    monkeypatch.setattr(datasets, "FASHION_MNIST", source_of("fashion", FASHION_FILES))
    monkeypatch.setenv("no_proxy", "*")
    data = tmp_path / "data"
    data.mkdir()
    with config.override(LAZYGRAD_DATA=data, LAZYGRAD_CACHE=tmp_path / "cache"):
        yield data


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def assert_is_mnist(files: dict[str, bytes] = FILES, fashion: bool = False) -> None:
    split = datasets.mnist(fashion=fashion)
    for tensor, name, shape in zip(split, NAMES, SHAPES, strict=True):
        assert tensor.dtype == dtypes.uint8
        assert tensor.shape == ((shape[0], 1, 28, 28) if len(shape) == 3 else shape)
        assert tensor.numpy().tobytes() == files[name][-math.prod(shape) :]


# --------------------------------------------------------------------------- finding


@pytest.mark.parametrize("folder", [".", "mnist"])
@pytest.mark.parametrize("pack", [compressed, dict])
def test_found_in_the_data_folder(
    small_sets: Path, folder: str, pack: Callable[[dict[str, bytes]], dict[str, bytes]]
) -> None:
    write(small_sets / folder, pack(FILES))
    assert_is_mnist()


def test_found_in_the_cache() -> None:
    write(config.LAZYGRAD_CACHE / "data" / "mnist", compressed(FILES))
    assert_is_mnist()
    with config.override(LAZYGRAD_DATA=None):
        assert_is_mnist()


def test_fashion_is_beside_mnist(small_sets: Path) -> None:
    write(small_sets / "mnist", compressed(FILES))
    write(small_sets / "fashion", compressed(FASHION_FILES))
    assert_is_mnist()
    assert_is_mnist(FASHION_FILES, fashion=True)


@pytest.mark.parametrize("pack", [compressed, dict])
def test_a_folder_of_the_other_set_is_passed_over(
    small_sets: Path, pack: Callable[[dict[str, bytes]], dict[str, bytes]]
) -> None:
    write(small_sets, pack(FASHION_FILES))
    assert_is_mnist(FASHION_FILES, fashion=True)
    with pytest.raises(DownloadError, match=f"mnist: {FIRST} is not on this machine"):
        datasets.mnist()
    write(small_sets / "mnist", compressed(FILES))
    assert_is_mnist()


def test_a_data_folder_that_does_not_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAZYGRAD_DATA", str(tmp_path / "nowhere"))
    with config.override(LAZYGRAD_DATA=None):
        config.reload()
        with pytest.raises(ConfigError, match=r"LAZYGRAD_DATA=.*nowhere: valid is a folder"):
            datasets.mnist()


# --------------------------------------------------------------------------- damaged files


def flip_a_bit(data: bytes) -> bytes:
    return data[:100] + bytes((data[100] ^ 1,)) + data[101:]


@pytest.mark.parametrize("where", ["data", "cache/data"])
@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda data: data[:-1], "it has .* bytes, not"),
        (lambda data: b"", "it has 0 bytes, not"),
        (lambda data: data + b"\0", "it has .* bytes, not"),
        (flip_a_bit, "its SHA-256 is .*, not"),
    ],
    ids=["truncated", "empty", "longer", "tampered"],
)
@pytest.mark.parametrize("pack", [compressed, dict])
def test_a_damaged_file_is_refused_by_name(
    tmp_path: Path,
    where: str,
    damage: Callable[[bytes], bytes],
    fault: str,
    pack: Callable[[dict[str, bytes]], dict[str, bytes]],
) -> None:
    files = pack(FILES)
    name = list(files)[2]
    files[name] = damage(files[name])
    write(tmp_path / where / "mnist", files)
    with pytest.raises(DatasetError, match=f"{where}/mnist/{name} is not the published.*{fault}"):
        datasets.mnist()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with ''"),
        (b"\x1f\x8b\x08\0", "begins with '1f 8b 08 00'"),
        (b"\0\0\x0d\1\0\0\0\1\0\0\0\0", "begins with '00 00 0d 01'"),
        (b"\0\0\x08\3\0\0\0\1", "do not fit its shape None"),
        (b"\0\0\x08\1\0\0\0\3ab", r"do not fit its shape \(3,\)"),
        (b"\0\0\x08\1\0\0\0\1ab", r"do not fit its shape \(1,\)"),
        (b"\0\0\x08\2\xff\xff\xff\xff\xff\xff\xff\xffa", r"do not fit its shape \(-1, -1\)"),
    ],
)
def test_what_is_no_idx_file(data: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=f"^some/file .*{message}"):
        datasets.parse_idx(data, "some/file")


def test_idx_files_of_any_rank() -> None:
    for shape in [(), (0,), (3,), (2, 3), (2, 1, 2, 2)]:
        values = np.arange(math.prod(shape), dtype=np.uint8).reshape(shape)
        np.testing.assert_array_equal(datasets.parse_idx(idx(values), ""), values)


# --------------------------------------------------------------------------- downloading


@dataclass
class Server:
    """A web server on this machine. Mirrors are its folders; each is a way to answer."""

    url: str
    files: dict[str, bytes]
    requests: list[str] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append(request.path)
        _, way, name = request.path.split("/")
        data = self.files[name]
        if way == "absent":
            request.send_error(404)
            return
        if way == "silent":
            time.sleep(0.5)
            return
        if way == "short":
            data = data[:-1]
        elif way == "tampered":
            data = flip_a_bit(data)
        elif way == "endless":
            data *= 1000
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data[:50] if way in ("stalled", "cut") else data)
        if way == "stalled":
            request.wfile.flush()
            time.sleep(0.5)


@pytest.fixture
def server() -> Iterator[Server]:
    running: Server

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        running = Server(f"http://127.0.0.1:{http.server_port}", compressed(FILES))
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        http.shutdown()
        thread.join()


def use_mirrors(monkeypatch: pytest.MonkeyPatch, *mirrors: str) -> None:
    source = datasets.MNIST
    monkeypatch.setattr(datasets, "MNIST", Source(source.name, mirrors, source.files))
    monkeypatch.setattr(datasets, "TIMEOUT", 0.2)


def cached_names() -> set[str]:
    names = {path.name for path in (config.LAZYGRAD_CACHE / "data" / "mnist").iterdir()}
    return {name for name in names if not name.endswith(".lock")}


def test_downloads_once(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    use_mirrors(monkeypatch, f"{server.url}/good/")
    assert_is_mnist()
    assert_is_mnist()
    assert server.requests == [f"/good/{name}.gz" for name in NAMES]
    assert cached_names() == set(compressed(FILES))


FAILURES = {
    "absent": "HTTP Error 404",
    "silent": "timed out",
    "stalled": "timed out",
    "cut": "not the published file, it has .* bytes",
    "short": "not the published file, it has .* bytes",
    "endless": "not the published file, it has .* bytes",
    "tampered": "not the published file, its SHA-256 is",
}


@pytest.mark.parametrize("way", FAILURES)
def test_the_next_mirror_helps(monkeypatch: pytest.MonkeyPatch, server: Server, way: str) -> None:
    use_mirrors(monkeypatch, f"{server.url}/{way}/", f"{server.url}/good/")
    assert_is_mnist()
    assert server.requests[:2] == [f"/{way}/{FIRST}", f"/good/{FIRST}"]
    assert cached_names() == set(compressed(FILES))


@pytest.mark.parametrize("way", FAILURES)
def test_without_a_good_mirror_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch, server: Server, way: str
) -> None:
    use_mirrors(monkeypatch, f"{server.url}/{way}/")
    with pytest.raises(DownloadError, match=f"{FIRST} .*set LAZYGRAD_DATA.*{FAILURES[way]}") as e:
        datasets.mnist()
    assert "\n" not in str(e.value)
    assert cached_names() == set()


def test_every_mirrors_failure_is_told(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    use_mirrors(monkeypatch, "http://127.0.0.1:1/", f"{server.url}/absent/")
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:1/: .*; .*/absent/: HTTP Error 404"):
        datasets.mnist()


def test_two_at_once_download_once(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    use_mirrors(monkeypatch, f"{server.url}/good/")
    threads = [threading.Thread(target=datasets.mnist) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(server.requests) == sorted(f"/good/{name}.gz" for name in NAMES)


def test_what_an_interrupted_download_left_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    write(
        config.LAZYGRAD_CACHE / "data" / "mnist", {f"{FIRST}.part": b"half", f"{FIRST}.lock": b""}
    )
    use_mirrors(monkeypatch, f"{server.url}/good/")
    assert_is_mnist()


def test_a_cache_that_cannot_be_written_to(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    use_mirrors(monkeypatch, f"{server.url}/good/")
    (config.LAZYGRAD_CACHE / "data").write_text("a file where a folder must be")
    with pytest.raises(DownloadError, match=r"cache/data/mnist"):
        datasets.mnist()


# --------------------------------------------------------------------------- the real ones


def test_digits_look_like_mnist() -> None:
    images, labels, test_images, test_labels = (tensor.numpy() for tensor in datasets.digits())
    assert images.shape == (1437, 1, 28, 28)
    assert test_images.shape == (360, 1, 28, 28)
    assert (labels.shape, test_labels.shape) == ((1437,), (360,))
    assert {array.dtype for array in (images, labels, test_images, test_labels)} == {
        np.dtype(np.uint8)
    }
    assert images.max() == 255
    assert not images[:, :, :2].any()  # the border
    assert np.array_equal(images[:, :, 2::3, 2::3][:, :, :8, :8], images[:, :, 4::3, 4::3])
    assert set(test_labels) == set(range(10))


def test_digits_are_the_same_each_time() -> None:
    for one, other in zip(datasets.digits(), datasets.digits(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(DatasetError, match=r'pip install "lazygrad\[examples\]"'):
        datasets.digits()


@pytest.mark.parametrize("fashion", [False, True])
def test_the_published_files(monkeypatch: pytest.MonkeyPatch, fashion: bool) -> None:
    monkeypatch.undo()
    config.reload()
    folder = config.LAZYGRAD_DATA
    if folder is None or not (folder / ("fashion" if fashion else "mnist") / FIRST).is_file():
        pytest.skip("LAZYGRAD_DATA has no such files")
    images, labels, test_images, test_labels = datasets.mnist(fashion=fashion)
    assert images.shape == (60000, 1, 28, 28)
    assert test_images.shape == (10000, 1, 28, 28)
    assert np.bincount(test_labels.numpy()).size == 10
    assert labels.numpy()[:3].tolist() == ([9, 0, 0] if fashion else [5, 0, 4])
