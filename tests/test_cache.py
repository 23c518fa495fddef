"""The cache on disk: what is put is got, damage and races do no harm, and it stays small."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lazygrad import config
from lazygrad.cache import DiskCache


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with config.override(LAZYGRAD_CACHE=tmp_path / "a cache"):
        yield tmp_path / "a cache"


def entries(cache: DiskCache) -> list[Path]:
    return sorted(cache.folder.iterdir())


def test_what_is_put_is_got(folder: Path) -> None:
    cache = DiskCache("code")
    assert cache.get("key") is None
    cache.put("key", b"data")
    cache.put("other", b"")
    assert cache.get("key") == b"data"
    assert cache.get("other") == b""
    assert DiskCache("code").get("key") == b"data"
    assert DiskCache("elsewhere").get("key") is None
    cache.put("key", b"new")
    assert cache.get("key") == b"new"
    assert {path.parent for path in entries(cache)} == {folder / "code"}


@pytest.mark.parametrize("at", [0, 10, 20, 45, -1])
def test_any_changed_byte_is_noticed(folder: Path, at: int) -> None:
    cache = DiskCache("code")
    cache.put("key", b"some data")
    (path,) = entries(cache)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert cache.get("key") is None
    cache.put("key", b"again")
    assert cache.get("key") == b"again"


def test_a_file_cut_at_any_byte_is_noticed(folder: Path) -> None:
    cache = DiskCache("code")
    cache.put("key", b"some data")
    (path,) = entries(cache)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        assert cache.get("key") is None


def test_nothing_but_entries_is_left(folder: Path) -> None:
    cache = DiskCache("code")
    for n in range(5):
        cache.put("key", bytes(n))
    assert len(entries(cache)) == 1


def test_a_write_that_fails_leaves_the_old_entry(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = DiskCache("code")
    cache.put("key", b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    cache.put("key", b"new")
    assert cache.get("key") == b"old"
    assert len(entries(cache)) == 1


def test_the_least_recently_used_go_first(folder: Path) -> None:
    cache = DiskCache("code", limit=5000)
    for n in range(6):
        cache.put(f"key {n}", bytes(1000))
        os.utime(max(entries(cache), key=lambda p: p.stat().st_mtime_ns), (n, n))
    cache.get("key 0")  # now in use
    cache.prune()
    kept = [n for n in range(6) if cache.get(f"key {n}") is not None]
    assert kept == [0, 4, 5]


def test_putting_prunes_now_and_then(folder: Path) -> None:
    cache = DiskCache("code", limit=20_000)
    for n in range(200):
        cache.put(f"key {n}", bytes(1000))
    assert sum(path.stat().st_size for path in entries(cache)) < 20_000 + 70 * 1100


@pytest.mark.parametrize("debug", [0, 1])
def test_a_folder_that_cannot_be_written_is_told_once(
    folder: Path, debug: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = DiskCache("code")
    cache.folder.write_bytes(b"a file stands in the way")
    with config.override(DEBUG=debug):
        for _ in range(3):
            cache.put("key", b"data")
            assert cache.get("key") is None
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == debug
    assert all("cannot be written" in line and str(cache.folder) in line for line in lines)


def hammer(folder: Path, seed: int) -> None:
    """Puts and gets entries; each must be one of those that any process puts."""
    with config.override(LAZYGRAD_CACHE=folder):
        cache = DiskCache("code", limit=20_000)
        end = time.monotonic() + 0.5
        n = seed
        while time.monotonic() < end:
            n += 1
            key = f"key {n % 7}"
            cache.put(key, bytes([n % 256]) * 1000)
            data = cache.get(key)
            assert data is None or data == data[:1] * 1000
            if n % 10 == 0:
                cache.prune()


def test_processes_may_share_it(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=hammer, args=(folder, seed)) for seed in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
