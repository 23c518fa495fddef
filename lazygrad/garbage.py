"""Python's cyclic garbage collector, paused."""

from __future__ import annotations

import gc


class without_collections:
    """Pause Python's cyclic garbage collector. The compiler, and walks through graphs, make many
    objects, few of them in cycles. A collection meanwhile takes for long-lived what is about to go;
    and after so many long-lived ones the next looks at all objects of the process."""

    __slots__ = ("_was_on",)

    def __enter__(self) -> None:
        self._was_on = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._was_on:
            gc.enable()
