"""The tool that leaves out passes: it changes what it names, and tells where nothing changed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.passes import PARTS, Found, Part, found_at, optional_passes, table

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("part", PARTS.values(), ids=lambda part: part.name)
def test_a_part_names_what_there_is(part: Part) -> None:
    for where in part.where:
        owner, name = found_at(where)
        assert part.change(owner.__dict__[name]) is not owner.__dict__[name]


def test_passes_and_parts_have_different_names() -> None:
    assert not set(PARTS).intersection(optional_passes())


def test_the_table_tells_the_most_and_the_least() -> None:
    known = [
        Found("a", "padding", 1.2),
        Found("b", "padding", 1.5),
        Found("c", "padding", 0.9),
        Found("d", "padding", 1.004),
        Found("e", "padding", None),
    ]
    assert (
        table(known, ["padding"]).splitlines()[-1] == "| padding | 4 | b: 1.50; a: 1.20 | c: 0.90 |"
    )


@pytest.mark.slow
def test_what_was_left_out_is_timed_where_code_changes(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    before = {"row": "matmul 512x512x512", "without": "chain", "ratio": 7.0}
    results.write_text(json.dumps(before) + "\n")
    command = [sys.executable, "-m", "benchmarks.passes", "matmul 512", "--pairs", "1"]
    command += ["--results", str(results), "--without", "chain", "prefetch", "sums written out"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    known = [json.loads(line) for line in results.read_text().splitlines()]
    ratios = {each["without"]: each["ratio"] for each in known}
    assert len(known) == 3
    assert ratios["chain"] == 7.0  # as it was known
    assert ratios["prefetch"] is None
    assert ratios["sums written out"] > 0.5
    assert "sums written out" in done.stdout
