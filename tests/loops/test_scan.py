"""Scans: rows together, and panels of columns."""

from __future__ import annotations

from typing import Any

import pytest

from lazygrad.loops.ir import show
from lazygrad.loops.primitives import Schedule
from lazygrad.loops.scan import interleave_rows


@pytest.mark.parametrize(
    ("name", "reason"),
    [("scan", "4 rows at once"), ("scan of columns", "12 sums along i2 in an array")],
)
def test_rows_are_taken_together(sample: Any, name: str, reason: str) -> None:
    scan = sample(name)
    s = Schedule(scan.function.body)
    assert interleave_rows(s, 4) == reason
    scan.agrees(scan.with_body(s.done()))


def test_text(sample: Any, golden: Any) -> None:
    scan = sample("scan")
    s = Schedule(scan.function.body)
    interleave_rows(s, 4)
    golden("scan.txt", show(scan.with_body(s.done())))
