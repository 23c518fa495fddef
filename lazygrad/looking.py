"""Who looks at what is compiled: a record of decisions while `explain` runs, else None."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # its classes take time to make, and few look
    from .decisions import Record

looking: ContextVar[Record | None] = ContextVar("looking", default=None)
"""Who looks at what this thread compiles."""
