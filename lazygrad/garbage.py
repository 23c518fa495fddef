"""Python's cyclic garbage collector, paused."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections() -> Iterator[None]:
    """Pause Python's cyclic garbage collector. The compiler, and walks through graphs, make many
    objects, few of them in cycles. A collection meanwhile takes for long-lived what is about to go;
    and after so many long-lived ones the next looks at all objects of the process."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
