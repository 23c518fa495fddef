"""Time the same work in lazygrad and in PyTorch (where it is installed), and print a table.

    python -m benchmarks                      all rows, two rounds
    python -m benchmarks --rounds 5 mlp cnn   the rows whose names contain one of these words
    python -m benchmarks --write              into docs/performance.md too

Each library runs in a process of its own, since idle thread pools disturb one another, and they
take turns, since machines drift. A figure is the median over rounds of each run's median; `best`
compares the least times, which other work on the machine disturbs less. `of limit` is the share of
the best rate seen in this table's products (by either library) or of the rate at which NumPy copies
memory in one thread.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from .libraries import LIBRARIES
from .rows import ROWS, Row

REPORT = Path(__file__).parent.parent / "docs" / "performance.md"
MARK = "<!-- the rest is written by `make bench ARGS=--write` -->"
Figures = list[list[float]]  # a list a round: first, median, least, peak


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("words", nargs="*", help="parts of the names of the rows to run")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    rows = [
        r for r in ROWS.values() if not options.words or any(w in r.name for w in options.words)
    ]
    if not rows:
        parser.error(f"no row has {options.words} in its name; rows: {'; '.join(ROWS)}")
    names = [name for name in LIBRARIES if importlib.util.find_spec(name)]
    figures: dict[str, dict[str, Figures]] = {}
    for row in rows:
        figures[row.name] = {name: [] for name in names}
        for _ in range(options.rounds):
            for name in names:
                found = measured(name, row.name, options.seconds)
                if found:
                    figures[row.name][name].append(found)
        print(line(row, figures[row.name], 0.0, 0.0), flush=True)
    text = table(rows, figures)
    print(f"\n{text}")
    if options.write:
        head = REPORT.read_text(encoding="utf-8").split(MARK)[0]
        REPORT.write_text(f"{head}{MARK}\n\n{text}", encoding="utf-8")


def measured(library: str, row: str, seconds: float) -> list[float] | None:
    """The figures of one run in a process of its own; None if it failed, with a line on stderr."""
    command = [sys.executable, "-m", "benchmarks.measure", library, row, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{library}, {row}: {last}", file=sys.stderr)
        return None
    found: list[float] = json.loads(done.stdout)
    return found


def table(rows: list[Row], figures: dict[str, dict[str, Figures]]) -> str:
    """The table in Markdown, with what the machine can do above it."""
    products = [
        row.flops / run[2]
        for row in rows
        if "matmul" in row.name
        for runs in figures[row.name].values()
        for run in runs
    ]
    flops, copied = max(products, default=0.0), copy_rate()
    lines = [
        f"{len(os.sched_getaffinity(0))} cores. Best product: {flops / 1e9:.0f} GFLOPS; NumPy's "
        f"copy in one thread: {copied / 1e9:.1f} GB/s read and written.",
        "",
        "| work | lazygrad ms | PyTorch ms | ratio | best | of limit | memory MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(line(row, figures[row.name], flops, copied) for row in rows),
    ]
    return "\n".join(lines) + "\n"


def line(row: Row, figures: dict[str, Figures], flops: float, copied: float) -> str:
    """A row of the table: PyTorch's time over ours, medians and least times."""
    ours, theirs = figures.get("lazygrad", []), figures.get("torch", [])

    def figure(runs: Figures, place: int) -> float:
        return statistics.median(run[place] for run in runs) if runs else float("nan")

    mine, other = figure(ours, 1), figure(theirs, 1)
    best = figure(theirs, 2) / figure(ours, 2)
    least = figure(ours, 2)
    share = ""
    if row.flops and flops:
        share = f"{row.flops / least / flops:.0%}"
    elif row.nbytes and copied:
        share = f"{row.nbytes / least / copied:.0%}"
    memory = f"{figure(ours, 3) / 1e6:.0f} / {figure(theirs, 3) / 1e6:.0f}" if row.trains else ""
    return (
        f"| {row.name} | {1e3 * mine:.3f} | {1e3 * other:.3f} | {other / mine:.2f} | {best:.2f} | "
        f"{share} | {memory} |"
    )


def copy_rate() -> float:
    """Bytes a second, read and written, of the best of ten copies of 256 MB."""
    source = np.ones(1 << 26, np.float32)
    target = np.empty_like(source)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - start)
    return 2 * source.nbytes / min(times)


if __name__ == "__main__":
    main()
