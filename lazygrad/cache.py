"""Caches: bytes on disk, shared by processes and checked when read; and values in memory."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from . import config

K = TypeVar("K")
V = TypeVar("V")

_MAGIC = b"lazygrad1\n"
_DIGEST_BYTES = hashlib.sha256().digest_size
LIMIT = 256 << 20  # bytes
SCAN_EVERY = 64  # entries written between two checks of the folder's size
REFRESH_SECONDS = 3600.0  # how old the time of an entry's last use may be


_COMPILER = ("graph", "schedule", "loops", "backends", "runtime")  # and the files beside them


@cache
def source_digest() -> str:
    """A digest of the compiler's source. Keys contain it, so a changed compiler finds no entries
    of an earlier one."""
    package = Path(__file__).parent
    files = list(package.glob("*.py"))
    for part in _COMPILER:
        files += (package / part).rglob("*.py")
    digest = hashlib.sha256()
    for file in sorted(files, key=str):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def remember(memo: dict[K, V], key: K, value: V, most: int) -> None:
    """Put a value into a cache of at most `most` entries; the oldest are dropped. Threads may share
    the cache."""
    while len(memo) >= most:
        with suppress(RuntimeError, StopIteration):  # another thread was faster
            memo.pop(next(iter(memo)), None)
    memo[key] = value


class DiskCache:
    """Entries live in a folder `name` of LAZYGRAD_CACHE, one file each, named by the key's hash.

    An entry is written to a temporary file and renamed, so another process sees all of it or
    nothing. It begins with a checksum; an entry whose checksum is wrong does not count. To keep the
    folder under `limit` bytes, the entries used longest ago are removed. Where the folder cannot be
    read or written, nothing is kept and everything else works.
    """

    def __init__(self, name: str, limit: int = LIMIT) -> None:
        self.name = name
        self.limit = limit
        self._until_scan = 0
        self._told = False

    @property
    def folder(self) -> Path:
        """Where the entries are; the setting may change while the process runs."""
        return config.LAZYGRAD_CACHE / self.name

    def get(self, key: str) -> bytes | None:
        """The bytes last put under key; None where there are none, or they are damaged."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        head = len(_MAGIC) + _DIGEST_BYTES
        data = content[head:]
        if content[:head] != _MAGIC + hashlib.sha256(data).digest():
            return None
        self._refresh(path)
        return data

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under key. Where the folder cannot be written, nothing is kept; no error."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                try:
                    file.write(_MAGIC + hashlib.sha256(data).digest() + data)
                    file.close()
                    os.replace(file.name, path)
                except BaseException:
                    os.unlink(file.name)
                    raise
            self._until_scan -= 1
            if self._until_scan < 0:
                self._until_scan = SCAN_EVERY
                self.prune()
        except OSError as error:
            self._tell(error)

    def prune(self) -> None:
        """If entries exceed the limit, remove those used longest ago, down to 4/5 of the limit."""
        entries: list[tuple[float, int, Path]] = []
        for path in self.folder.iterdir():
            try:
                status = path.stat()
            except OSError:  # another process removed it
                continue
            entries.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        if total <= self.limit:
            return
        for _, size, path in sorted(entries):
            path.unlink(missing_ok=True)
            total -= size
            if total <= self.limit * 4 // 5:
                return

    def _path(self, key: str) -> Path:
        return self.folder / hashlib.sha256(key.encode()).hexdigest()

    def _refresh(self, path: Path) -> None:
        """Note a use of an entry: its modification time says when it was last used, to the hour."""
        try:
            if path.stat().st_mtime < time.time() - REFRESH_SECONDS:
                os.utime(path)
        except OSError:
            pass

    def _tell(self, error: OSError) -> None:
        if not self._told and config.DEBUG >= 1:
            print(
                f"lazygrad: {self.folder} cannot be written ({error.strerror}): "
                "compiled code is not kept",
                file=sys.stderr,
            )
        self._told = True
