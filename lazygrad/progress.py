"""A line on the terminal while the compiler works for long.

    compiling: train (mnist.py:31), kernel 12 of 40

It comes after a second, tells what is being done, and is gone when that is done. Where standard
error is no terminal, or DEBUG tells more, there is none.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Event, Thread
from typing import TextIO, TypeVar

from . import config

T = TypeVar("T")

after = 1.0  # seconds before the line is shown
EVERY = 0.1  # seconds between two looks at what it should say
ERASE = "\r\x1b[K"

_doing: list[str] = []  # what the compilation that is told of is doing; empty while there is none


def compiling(name: str = "") -> AbstractContextManager[None]:
    """Show the line while the block runs, which compiles what is called `name`. Inside another such
    block it is that one's line."""
    stream = sys.stderr
    if _doing or config.DEBUG or stream is None or not stream.isatty():
        return nullcontext()
    return _line(stream, name)


@contextmanager
def _line(stream: TextIO, name: str) -> Iterator[None]:
    """A line on a terminal, written by a thread of its own."""
    _doing.append("graph")
    about = f"{name}, " if name else ""
    ended = Event()

    def show() -> None:
        seconds, shown = after, ""
        while not ended.wait(seconds):
            if _doing and _doing[0] != shown:
                shown = _doing[0]
                stream.write(f"{ERASE}compiling: {about}{shown} ...")
                stream.flush()
            seconds = EVERY
        if shown:
            stream.write(ERASE)
            stream.flush()

    thread = Thread(target=show, name="lazygrad-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _doing.clear()


def tell(what: str) -> None:
    """What is being done now, if there is a line."""
    if _doing:
        _doing[0] = what


def counted(what: str, items: Collection[T]) -> Iterator[T]:
    """The items, one after another; the line tells of which it is."""
    for n, item in enumerate(items, start=1):
        tell(f"{what} {n} of {len(items)}")
        yield item
