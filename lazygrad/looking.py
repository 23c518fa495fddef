"""Who looks at what is compiled: a record of decisions while `explain` runs; and whether it is
verified."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from . import config

if TYPE_CHECKING:  # its classes take time to make, and few look
    from .decisions import Record

looking: ContextVar[Record | None] = ContextVar("looking", default=None)
"""Who looks at what this thread compiles."""

checks = False
"""Whether every stage of a compilation is verified, whatever DEBUG says; tests set it."""


def are_stages_verified() -> bool:
    """Whether every stage of a compilation is verified."""
    return checks or config.DEBUG > 0
