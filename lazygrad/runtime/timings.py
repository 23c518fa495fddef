"""Where time went, counted under DEBUG: the seconds of kernels and of passes.

    DEBUG=1    one line a compilation: its seconds, by pass
    DEBUG=2    a table when the process ends: the costliest kernels, and what bounds each

Of the device's two measured peaks, arithmetic (GFLOPS) and memory (GB/s), a kernel is bound by the
one that it uses a larger share of. A kernel that uses less than MIN_SHARE of both is bound by
latency: it is too small, reads memory in a bad order, or its operations wait for one another.
"""

from __future__ import annotations

import atexit
import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .. import config

if TYPE_CHECKING:  # not needed to run, and backends.base takes long to import
    from ..backends.base import Device, Launch
    from .peaks import Peaks

MIN_SHARE = 0.2  # of a peak, below which it is not what bounds a kernel
MAX_ROWS = 15  # of the table of kernels
MAX_NAME = 44  # characters of a kernel's name in it
MAX_PASSES = 6  # told of one compilation


class Total:
    """The runs of one kernel on one device; `line` is the line that first asked for it."""

    def __init__(self, device: Device, name: str, line: str) -> None:
        self.device, self.name, self.line = device, name, line
        self.runs = self.flops = self.nbytes = 0
        self.seconds = 0.0


_kernels: dict[tuple[str, str], Total] = {}  # by device and name
passes: dict[str, float] = defaultdict(float)
"""Seconds of each pass, by its name, while DEBUG is set."""


# --------------------------------------------------------------------------- kernels


def note_kernel(device: Device, launch: Launch, seconds: float) -> None:
    """Count a run of a kernel. After the first one the process ends with the table."""
    if not _kernels:
        atexit.register(_print_table)
    function = launch.function
    total = _kernels.get((device.name, function.name))
    if total is None:
        from .peaks import peaks

        peaks(device)  # measured now: when the process ends, threads cannot start any more
        line = str(launch.origins[0]) if launch.origins else ""
        total = _kernels[device.name, function.name] = Total(device, function.name, line)
    total.runs += 1
    total.seconds += seconds
    total.flops += function.flops
    total.nbytes += function.bytes


def kernel_table(rows: int = MAX_ROWS) -> str:
    """The kernels that took most of the time so far, with what bounds each, as a text of lines.

    Only kernels that ran under DEBUG=2 are counted: others are not timed.

        with Context(DEBUG=2):
            train()
        print(lazygrad.kernel_table())

        isinstance(lazygrad.kernel_table(), str) == True
    """
    from .peaks import peaks

    if not _kernels:
        return "no kernel was timed: DEBUG=2 times them"
    totals = sorted(_kernels.values(), key=lambda total: -total.seconds)
    seconds = sum(total.seconds for total in totals) or 1e-9
    devices = {total.device.name: total.device for total in totals}
    limits = {name: peaks(device) for name, device in devices.items()}
    shown = totals[:rows]
    lines = [f"{len(shown)} costliest of {len(totals)} kernels; {seconds_text(seconds)} in all"]
    lines += [
        f"measured peak of {name}: {peak.flops * 1e-9:.0f} GFLOPS, {peak.bytes * 1e-9:.1f} GB/s"
        for name, peak in limits.items()
    ]
    lines.append(
        f"{'time':>9} {'share':>5} {'runs':>6}  {'kernel':<{MAX_NAME}} "
        f"{'GFLOPS':>14} {'GB/s':>14}  bound by"
    )
    for total in shown:
        lines.append(_row(total, seconds, limits[total.device.name]))
    return "\n".join(lines)


def reset() -> None:
    """Forget all counts."""
    _kernels.clear()
    passes.clear()
    atexit.unregister(_print_table)


def _row(total: Total, seconds: float, peak: Peaks) -> str:
    rate = 1 / total.seconds if total.seconds > 0 else 0.0
    arithmetic, memory = total.flops * rate / peak.flops, total.nbytes * rate / peak.bytes
    name = total.name if len(total.name) <= MAX_NAME else f"{total.name[: MAX_NAME - 1]}…"
    return (
        f"{seconds_text(total.seconds):>9} {total.seconds / seconds:>5.0%} {total.runs:>6}  "
        f"{name:<{MAX_NAME}} "
        f"{total.flops * rate * 1e-9:>8.2f} {f'({arithmetic:.0%})':>5} "
        f"{total.nbytes * rate * 1e-9:>8.2f} {f'({memory:.0%})':>5}  "
        f"{bound(arithmetic, memory):<7}  {total.line}"
    ).rstrip()


def bound(arithmetic: float, memory: float) -> str:
    """What bounds a kernel that uses these shares of the peaks."""
    if max(arithmetic, memory) < MIN_SHARE:
        return "latency"
    if arithmetic >= memory:
        return "compute"
    return "memory" if memory <= 1.2 else "caches"  # faster than memory: it never left them


def _print_table() -> None:
    if config.DEBUG >= 2:  # not for a part of the program alone
        print(kernel_table(), file=sys.stderr)


# --------------------------------------------------------------------------- compilations


def passes_text(before: Mapping[str, float], seconds: float) -> str:
    """A compilation's seconds by pass: `code generation 0.61 s, unroll 0.20 s, ...`. `before` is
    what `passes` was when the compilation began."""
    spent = {name: total - before.get(name, 0.0) for name, total in passes.items()}
    costly = sorted(((s, name) for name, s in spent.items() if s > 0), reverse=True)
    parts = [f"{_words(name)} {seconds_text(s)}" for s, name in costly[:MAX_PASSES]]
    rest = costly[MAX_PASSES:]
    if rest:
        parts.append(f"{len(rest)} other passes {seconds_text(sum(s for s, _ in rest))}")
    parts.append(f"between passes {seconds_text(max(0.0, seconds - sum(s for s, _ in costly)))}")
    return ", ".join(parts)


def _words(name: str) -> str:
    return {"program": "code generation", "verify": "verifying passes"}.get(name, name)


def seconds_text(seconds: float) -> str:
    """A time with a unit that keeps it readable: `3.1 us`, `12.0 ms`, `1.50 s`."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
