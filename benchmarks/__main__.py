"""Time the same work in lazygrad and in PyTorch (where it is installed), and print a table.

    python -m benchmarks            all rows, three rounds
    python -m benchmarks --rounds 5 mlp cnn

Each library runs in a process of its own, since idle thread pools disturb one another, and they
take turns, since machines drift. A figure is the median over rounds of each run's median, in ms.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys

LIBRARIES = ("lazygrad", "torch")
ROWS = ("matmul", "mlp", "cnn")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("rows", nargs="*", default=ROWS, help=f"of {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; valid are {', '.join(ROWS)}")
    libraries = [name for name in LIBRARIES if importlib.util.find_spec(name)]
    heads = "".join(f"{name} ms".rjust(14) for name in libraries)
    print(f"row     {heads}   ratio")
    for row in options.rows:
        times: dict[str, list[float]] = {name: [] for name in libraries}
        for _ in range(options.rounds):
            for name in libraries:
                times[name].append(measured(name, row))
        medians = [statistics.median(times[name]) for name in libraries]
        ratio = f"{medians[1] / medians[0]:8.2f}" if len(medians) > 1 else ""
        print(f"{row:<8}{''.join(f'{1e3 * t:14.3f}' for t in medians)}{ratio}", flush=True)


def measured(library: str, row: str) -> float:
    """The median time of the work in a process of its own, in seconds."""
    command = [sys.executable, "-m", f"benchmarks.in_{library}", row]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{library}, {row}: {done.stderr.strip().splitlines()[-1]}")
    return statistics.median(json.loads(done.stdout))


if __name__ == "__main__":
    main()
