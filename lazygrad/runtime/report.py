"""What DEBUG prints on stderr. 1: a line for each schedule, and the seconds of compiling by pass.
2: a line for each kernel, and a table at the end. 3: plans. 4: code."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import count
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from .. import config
from ..graph.show import type_text
from ..origin import name_of, origins, title
from .timings import note_kernel, passes_text, seconds_text

if TYPE_CHECKING:  # not needed to run, and backends.base takes long to import
    from ..backends.base import Launch, Program
    from ..graph.ir import Node
    from .execute import Run

_runs = count(1)


def report_compiled(launches: Sequence[Launch], program: Program, seconds: float) -> None:
    """Tell of a program that was just compiled: the seconds; with DEBUG=3 the plans of its kernels
    and their reasons; with DEBUG=4 the code."""
    functions = {launch.key or launch.function: launch.function for launch in launches}
    what = f"{title.get()}: " if title.get() else ""
    _tell(f"{what}compiled {_counted(len(functions), 'kernel')} in {seconds_text(seconds)}")
    if config.DEBUG >= 3:
        for function in functions.values():
            _tell(f"  {function.name}")
            for line in function.comment.splitlines():
                _tell(f"    {line}")
            for reason in function.reasons:
                _tell(f"    - {reason}")
            for step in function.plan:
                _tell(f"      {step}")
    if config.DEBUG >= 4:
        from ..backends.base import joined  # here: it takes long to import

        for kind, code in joined(program.codes()).items():
            _tell(f"--- {kind}\n{code}")


def report_fixed(axis: str, reason: str) -> None:
    """Tell why graphs that differ in a size do not share a plan."""
    _tell(f"{axis} varies, and each size is compiled by itself: {reason}")


def report_copies(counts: Sequence[int]) -> None:
    """Tell how many copies of operations are computed together, of each kind."""
    _tell(f"computed together: copies of the same operations, {' and '.join(map(str, counts))}")


def report_kept(nodes: Sequence[Node]) -> None:
    """Tell which values are kept for later computations, those of one line of Python together."""
    from ..schedule.asked import asked_value  # here: `import lazygrad` loads no compiler

    by_line: dict[str, list[Node]] = {}
    for node in nodes:
        line = "".join(f"  {origin}" for origin in origins(node)[:1])
        by_line.setdefault(line, []).append(node)
    for line, (first, *others) in by_line.items():
        name = name_of(first) or asked_value(first) or first.name
        more = f" and {_counted(len(others), 'other')}" if others else ""
        size = bytes_text(sum(node.nbytes for node in (first, *others)))
        _tell(f"kept for later computations: {name} {type_text(first)}{more}, {size}{line}")


def report_run(runs: Sequence[Run], seconds: float, peak_bytes: int, asker: str) -> None:
    """Tell of a schedule that has just run, and with DEBUG=2 of its kernels. `asker` names what it
    was compiled for."""
    launches = sum(len(run.launches) for run in runs)
    devices = ", ".join(dict.fromkeys(run.device.name for run in runs)) or "no device"
    _tell(
        f"schedule {next(_runs)}: {asker}{', ' * bool(asker)}{_counted(launches, 'kernel')} on "
        f"{devices} in {seconds_text(seconds)}, {bytes_text(peak_bytes)} allocated"
    )
    if config.DEBUG < 2:
        return
    for run in runs:
        for launch, time in zip(run.launches, run.program.times(), strict=False):
            _tell(_cut(f"  {kernel_line(launch, time)}{_asked(launch)}"))
            note_kernel(run.device, launch, time)


def report_passes(before: Mapping[str, float], seconds: float) -> None:
    """Tell how a compilation's seconds divide among the passes. `before`: the seconds that each
    pass had taken when it began."""
    _tell(f"compiling took {seconds_text(seconds)}: {passes_text(before, seconds)}")


def report_traced(name: str, seconds: float) -> None:
    """Tell how long the Python of a captured function has taken."""
    _tell(f"captured {name}: its Python took {seconds_text(seconds)}")


def kernel_line(launch: Launch, seconds: float) -> str:
    """One kernel's time and rates: `add_128x10    3.1 us    12.40 GFLOPS    49.60 GB/s`."""
    function = launch.function
    rate = 1e-9 / seconds if seconds > 0 else 0.0
    return (
        f"{function.name:<48} {seconds_text(seconds):>10} "
        f"{function.flops * rate:9.2f} GFLOPS {function.bytes * rate:9.2f} GB/s"
    )


def _asked(launch: Launch) -> str:
    """The line that asked for a launch, and how many others did."""
    if not launch.origins:
        return ""
    lines = {(origin.file, origin.line) for origin in launch.origins}
    more = f"  and {_counted(len(lines) - 1, 'other line')}" if len(lines) > 1 else ""
    return f"  {launch.origins[0]}{more}"


def _cut(line: str) -> str:
    """A line, cut to the width of the terminal."""
    if not sys.stderr.isatty():
        return line
    width = get_terminal_size().columns
    return line if len(line) <= width else f"{line[: width - 1]}…"


def bytes_text(nbytes: int) -> str:
    """A size with a unit that keeps it readable: `512 B`, `3.2 MB`."""
    size = float(nbytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


def _counted(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
