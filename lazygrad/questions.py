"""What is asked of sizes while a function is traced (jit/sizes.py): by the code of a user, and by
operations of this package that depend on a size otherwise than by a shape that is linear in it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

Question = tuple[Any, ...]
"""What was asked, and the numbers that it was asked of."""

questions: ContextVar[list[Question] | None] = ContextVar("questions", default=None)
"""Where a traced function's questions are noted."""


def depends_on(*numbers: int) -> None:
    """Say that what is done depends on these numbers in any way: as the number of pieces of a
    `split` on a size."""
    asked = questions.get()
    if asked is not None:
        asked.append(("same", numbers))
