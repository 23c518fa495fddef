"""x"""

from __future__ import annotations

from ...expr import Expr, Op


def expand(e: Op, fma: bool) -> Expr | None:
    return None
