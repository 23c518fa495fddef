"""python -m tests.fuzz --minutes 60 --seed 1: random programs until the time is over.

Each program runs in two ways or more and is compared with the oracle. One that goes wrong is made
small and written to the folder `--out` as a script.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from lazygrad import config, looking, stages

from .generate import generate
from .program import Program
from .run import MODES, Mode, check
from .shrink import shrink


def modes_of(seed: int) -> list[Mode]:
    """Two of the ways to run a program; its drivers make OpenCL slow, so rather on the CPU."""
    random = Random(seed)
    on_cpu = [mode for mode in MODES if mode.device == "CPU"]
    elsewhere = [mode for mode in MODES if mode.device != "CPU"]
    modes = random.sample(on_cpu, 2)
    return [modes[0], random.choice(elsewhere)] if random.random() < 0.4 else modes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--programs", type=int, default=1 << 60, help="at most so many")
    parser.add_argument("--out", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--show", action="store_true", help="print the programs")
    options = parser.parse_args()
    looking.checks = stages.strict = True
    end = time.monotonic() + 60 * options.minutes
    ran, found = 0, Counter[str]()
    for seed in range(options.seed, options.seed + options.programs):
        if time.monotonic() > end:
            break
        with tempfile.TemporaryDirectory() as cache, config.override(LAZYGRAD_CACHE=cache):
            program = generate(seed)
            if options.show:
                print(f"# seed {seed}\n{program.source()}", flush=True)
            told = check(program, modes_of(seed))
            ran += 1
            if told:
                found[told[0].split(":")[0]] += 1
                report(seed, program, told, options.out)
    print(f"{ran} programs, {sum(found.values())} of them wrong: {dict(found)}")
    return 1 if found else 0


def report(seed: int, program: Program, told: list[str], out: Path) -> None:
    """Write a small form of a program that goes wrong, and say how it does."""
    names = {text.split(":")[0] for text in told}
    modes = [mode for mode in MODES if mode.name in names]

    def fails(candidate: Program) -> bool:
        try:
            return bool(check(candidate, modes))
        except Exception:
            return False  # no program any more

    small = shrink(program, fails)
    again = check(small, modes)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"seed{seed}.py"
    path.write_text(small.script(f"Seed {seed}.\n\n" + "\n".join([*told, "", *again]) + "\n"))
    print(f"seed {seed}: {told[0][:300]}\n    {path}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
