"""Tiny Shakespeare: 40,000 lines of his plays in one text (Karpathy 2015)."""

from __future__ import annotations

from .published import PublishedFile

FILE = PublishedFile(
    "tinyshakespeare",
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)


def tinyshakespeare() -> str:
    """The whole text, 1,115,394 characters, 65 different ones.

    Raises DatasetError and DownloadError as `PublishedFile.path` does.
    """
    return FILE.path().read_text(encoding="ascii")
