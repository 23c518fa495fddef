"""Looking inside: every stage of every new compilation as text, picture and page.

    with lazygrad.dump("out"):                 out/index.html: the report, one page
        (a @ b).relu().realize()               out/001-.../01-graph.txt, .dot, .svg ...

DUMP=folder does it for a whole program. The parts:

    text       any stage as text
    graphs     a tensor graph as a picture;   schedules   kernels and the buffers between them
    dot        Graphviz source;   svg   its rendering
    folder     which files are written
    record     what the report tells of a compilation;   runs   ... of what ran
    report     collects both;   page   makes a page of it;   trace   a trace for other viewers
    page/      the page's own HTML, CSS and JavaScript
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .. import config
from ..errors import ConfigError

if TYPE_CHECKING:
    from .folder import Folder


class Watcher(Protocol):
    """Is told the stages of one compilation."""

    def took(self, stage: str, begin: float, end: float) -> None:
        """The pass `stage` ran from `begin` to `end`, by `perf_counter`."""

    def saw(self, stage: str, value: Any) -> None:
        """`value` is what the pass `stage` made, if it changed anything. Of loops that a plan made,
        each line of the plan is a stage: "split i0 peel i0_o i0_i:16"."""

    def finish(self) -> None:
        """The compilation has ended, well or not."""


class Place(Protocol):
    """Wants to watch compilations. `number` tells it from all others, those that are gone too."""

    number: int

    def watcher(self) -> Watcher:
        """Who watches a compilation that begins now."""


places: list[Place] = []
"""Who watches all compilations; `dump` adds itself here."""


def watching() -> list[Place]:
    """The places that compilations are dumped to now: those of `dump`, and DUMP's folder."""
    return places if config.DUMP is None else [*places, folder_at(config.DUMP)]


@contextmanager
def dump(folder: str | Path) -> Iterator[Path]:
    """Write each stage of what is compiled inside the `with` to a folder; it is made if need be.

    What was compiled before is compiled again, so that it is seen; a replayed `jit` compiles
    nothing. Raises ConfigError, naming the folder, if it cannot be written.

        with lazygrad.dump("stages") as folder:
            (Tensor([1.0]) * 2).realize()
        (folder / "index.html").exists() is True
    """
    place = open_folder(Path(folder).expanduser().resolve())
    places.append(place)
    try:
        with config.override(ORIGINS=1):
            yield place.path
    finally:
        places.remove(place)
        place.close()


@cache
def folder_at(path: Path) -> Folder:
    """The place that stands for a folder for as long as the process runs, as DUMP has it."""
    place = open_folder(path)
    atexit.register(place.close)
    return place


def open_folder(path: Path) -> Folder:
    """A place that writes to a folder. Raises ConfigError if that cannot be written to."""
    from .folder import Folder  # here: needed by few, and `import lazygrad` is to be quick

    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "index.html").touch()
    except OSError as error:
        raise ConfigError(
            f"dump to {path} ({error.strerror}): valid is a folder that can be made and written to"
        ) from None
    return Folder(path)


__all__ = ["Place", "Watcher", "dump", "folder_at", "open_folder", "places", "watching"]
