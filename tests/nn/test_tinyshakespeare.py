"""Tiny Shakespeare: looked for, checked, downloaded into the cache."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from lazygrad import config, nn
from lazygrad.errors import DatasetError, DownloadError
from lazygrad.nn import tinyshakespeare


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file that is taken for the published one; it is not where one looks."""
    text = b"First Citizen:\nSpeak.\n"
    source = tmp_path / "web" / "input.txt"
    source.parent.mkdir()
    source.write_bytes(text)
    checksum = f"sha256:{hashlib.sha256(text).hexdigest()}"
    file = replace(tinyshakespeare.FILE, url=f"file://{source}", checksum=checksum)
    monkeypatch.setattr(tinyshakespeare, "FILE", file)
    monkeypatch.setattr(config, "LAZYGRAD_DATA", None)
    monkeypatch.setattr(config, "LAZYGRAD_CACHE", tmp_path / "cache")
    return tmp_path


def test_the_text_is_downloaded_once(folder: Path) -> None:
    assert nn.datasets.tinyshakespeare().startswith("First Citizen:")
    (folder / "web" / "input.txt").unlink()
    assert nn.datasets.tinyshakespeare().endswith("Speak.\n")
    kept = folder / "cache" / "data" / "tinyshakespeare"
    assert [path.name for path in kept.iterdir()] == ["input.txt"]


def test_the_users_folder_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = folder / "data" / "tinyshakespeare" / "input.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("another text")
    monkeypatch.setattr(config, "LAZYGRAD_DATA", folder / "data")
    with pytest.raises(DatasetError, match="is not the published file"):
        nn.datasets.tinyshakespeare()


def test_another_file_than_the_published_one_is_not_kept(folder: Path) -> None:
    (folder / "web" / "input.txt").write_text("another text")
    with pytest.raises(DownloadError, match="another file than the published one"):
        nn.datasets.tinyshakespeare()
    assert not list((folder / "cache" / "data" / "tinyshakespeare").iterdir())
