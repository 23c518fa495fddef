"""Time the same work in lazygrad and in what else is installed, and print a table.

    python -m benchmarks                      all rows, two rounds
    python -m benchmarks --rounds 5 mlp cnn   the rows whose names contain one of these words
    python -m benchmarks --libraries PyTorch  beside these alone
    python -m benchmarks --write              into docs/performance.md too

Each library runs in a process of its own, since idle thread pools disturb one another, and they
take turns, since machines drift. A figure is the median over rounds of each run's median. *ratio*
is PyTorch's time over lazygrad's, as are the columns after it for other libraries; *best* compares
the least times, which other work on the machine disturbs less. *of limit* is the share, at best, of
the multiply-adds or the copied bytes a second that the machine can do (machine.py).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from . import latency, machine
from .libraries import MODULES, installed
from .rows import ROWS, Row

REPORT = Path(__file__).parent.parent / "docs" / "performance.md"
MARK = "<!-- the rest is written by `make bench ARGS=--write` -->"
LIMIT = 120  # seconds, for one library's run of one row
Figures = list[list[float]]  # a list a round: first, median, least, peak


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("words", nargs="*", help="parts of the names of the rows to run")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parser.add_argument("--libraries", nargs="+", choices=list(MODULES), default=installed())
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    rows = [
        r for r in ROWS.values() if not options.words or any(w in r.name for w in options.words)
    ]
    if not rows:
        parser.error(f"no row has {options.words} in its name; rows: {'; '.join(ROWS)}")
    names = list(dict.fromkeys(["lazygrad", *options.libraries]))
    others = [name for name in names if name not in ("lazygrad", "PyTorch")]
    limits = machine.flop_rate(), machine.copy_rate()
    text = heading(*limits, others)
    print(text, end="", flush=True)
    for row in rows:
        figures: dict[str, Figures] = {name: [] for name in names}
        for _ in range(options.rounds):
            for name in names:
                found = measured(name, row.name, options.seconds)
                if found:
                    figures[name].append(found)
        text += (new := line(row, figures, *limits, others)) + "\n"
        print(new, flush=True)
    if not options.words:
        text += (new := f"\n{latency.table()}")
        print(new)
    if options.write:
        head = REPORT.read_text(encoding="utf-8").split(MARK)[0]
        REPORT.write_text(f"{head}{MARK}\n\n{text}", encoding="utf-8")


def measured(library: str, row: str, seconds: float) -> list[float] | None:
    """The figures of one run in a process of its own; None if it failed, with a line on stderr."""
    command = [sys.executable, "-m", "benchmarks.measure", library, row, str(seconds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        print(f"{library}, {row}: more than {LIMIT} s", file=sys.stderr)
        return None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{library}, {row}: {last}", file=sys.stderr)
        return None
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def heading(flops: float, copied: float, others: list[str]) -> str:
    """The table's head in Markdown, with what the machine can do above it."""
    return (
        f"{machine.CORES} cores ({platform.machine()}): at most {flops / 1e9:.0f} GFLOPS in "
        f"multiply-adds, and {copied / 1e9:.1f} GB/s read and written by copying.\n\n"
        f"| work | lazygrad ms | PyTorch ms | ratio | best |{''.join(f' {n} |' for n in others)} "
        f"of limit | memory MB |\n|---|{'---:|' * (6 + len(others))}\n"
    )


def line(
    row: Row, figures: dict[str, Figures], flops: float, copied: float, others: list[str]
) -> str:
    """A row of the table: what others take over what lazygrad takes."""

    def figure(name: str, place: int) -> float:
        runs = figures.get(name)
        return statistics.median(run[place] for run in runs) if runs else float("nan")

    mine, least = figure("lazygrad", 1), figure("lazygrad", 2)
    cells = [row.name, f"{1e3 * mine:.3f}", f"{1e3 * figure('PyTorch', 1):.3f}"]
    cells += [_ratio(figure("PyTorch", 1), mine), _ratio(figure("PyTorch", 2), least)]
    cells += [_ratio(figure(name, 1), mine) for name in others]
    needed = max(row.flops / flops, row.nbytes / copied)
    cells.append(f"{needed / least:.0%}" if needed else "")
    peaks = [figure(name, 3) / 1e6 for name in ("lazygrad", "PyTorch")]
    cells.append(" / ".join(f"{peak:.0f}" for peak in peaks) if row.trains else "")
    return f"| {' | '.join(cells)} |"


def _ratio(theirs: float, ours: float) -> str:
    return "—" if theirs != theirs or ours != ours else f"{theirs / ours:.2f}"


if __name__ == "__main__":
    main()
