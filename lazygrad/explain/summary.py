"""An explanation in short, what matters most first: at most a screen of 40 lines.

step: 3 calls
call 1 compiles 2 graphs
  step (train.py:14): compiled for the first time
calls 2 to 3: nothing is compiled again
  hint: lazygrad.jit around step runs the kernels without its Python
2 kernels, those with most work first
  2  matmul_relu       2.1 MFLOP   98.3 kB  train.py:14  x @ w
2.2 kB are written by a kernel and read by another
  2.2 kB  from kernel 1 to 2: a contraction begins a kernel
1.2 MB in memory at the peak, in kernel 2
  1.0 MB  float32(512, 512)  w
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..decisions import Capture, Compilation, Event, Part
from ..graph.ir import Buffer, Node
from ..origin import Origin, kernel_origins
from ..runtime.device import Device
from ..runtime.report import bytes_text
from ..schedule.ir import Kernel
from ..schedule.show import title
from .details import (
    counted,
    described,
    flops_text,
    numbered,
    uneventful,
    was_compiled,
    work,
)
from .peak import peak_of
from .why import turns, why_captured, why_compiled

MAX_CALLS = 3  # that are told of, where they differ
MAX_REASONS = 3  # of one call
MAX_KERNELS = 8
MAX_PASSED = 4  # values that are written by one kernel and read by another
MAX_HELD = 4  # values at the peak
WIDTH = 110  # characters of a line that has a line of the program
FLOPS_OF_A_BYTE = 16  # that take as long as a byte of memory, to compare kernels by


@dataclass(frozen=True)
class Work:
    """A kernel with its number, its operations and the bytes that it reads and writes."""

    number: int
    kernel: Kernel
    flops: int
    nbytes: int

    @property
    def cost(self) -> float:
        return max(self.nbytes, self.flops / FLOPS_OF_A_BYTE)


def summary(name: str, calls: Sequence[Sequence[Event]]) -> str:
    """What happened in the calls of a function."""
    lines = [f"{name}: {counted(len(calls), 'call')}", *_calls(name, calls)]
    parts = [part for _, part, _ in numbered(calls)]
    if parts:
        lines += [*_kernels(calls), *_passed(calls), *_peak(calls)]
        lines.append("why kernels are apart, and what is stored: .details() of this")
    return "\n".join(lines)


# --------------------------------------------------------------------------- calls


def _calls(name: str, calls: Sequence[Sequence[Event]]) -> Iterator[str]:
    """A line for each call, with reasons where it compiles; one for neighbours that are alike."""
    told: list[tuple[str, ...]] = []
    before: list[Compilation] = []
    for events in calls:
        told.append(tuple(_call(events, before)))
        before += [event for event in events if isinstance(event, Compilation)]
    first = 1
    groups = [(lines, len([*same])) for lines, same in groupby(told)]
    for n, (lines, count) in enumerate(groups):
        last = first + count - 1
        if n == MAX_CALLS and len(groups) > MAX_CALLS + 1:
            yield f"and {len(calls) - first + 1} more calls"
            return
        yield f"call {first}{lines[0]}" if count == 1 else f"calls {first} to {last}{lines[0]}"
        yield from lines[1:]
        first = last + 1
    events = [event for call in calls for event in call]
    is_captured = not all(isinstance(event, Compilation) for event in events)
    if len(calls) > 1 and calls[-1] and len(told[-1]) == 1 and not is_captured:
        yield f"  hint: lazygrad.jit around {name} runs the kernels without its Python"


def _call(events: Sequence[Event], before: Sequence[Compilation]) -> Iterator[str]:
    reasons = list(_reasons(events, before))
    if not reasons:
        yield uneventful(events, before)
        return
    yield f" compiles {counted(sum(was_compiled(e, before) for e in events), 'graph')}"
    yield from (line for lines in reasons[:MAX_REASONS] for line in lines)
    if len(reasons) > MAX_REASONS:
        yield f"  and {len(reasons) - MAX_REASONS} more"


def _reasons(events: Sequence[Event], before: Sequence[Compilation]) -> Iterator[list[str]]:
    for event in events:
        match event:
            case Capture():
                yield [f"  {event.name} is {why_captured(event)}"]
            case Compilation() if was_compiled(event, before):
                first, *rest = why_compiled(event, before)
                loop = turns(event.nodes)
                more = [*rest, *([loop] if loop else [])]
                if event.kept:
                    size = bytes_text(sum(node.nbytes for node in event.kept))
                    values = counted(len(event.kept), "value")
                    more.append(f"keeps {values} for later computations, {size}")
                yield [f"  {event.name}: {first}", *(f"    {line}" for line in more)]


# --------------------------------------------------------------------------- kernels


def _kernels(calls: Sequence[Sequence[Event]]) -> Iterator[str]:
    found = [
        Work(offset + n, kernel, *each)
        for offset, part, _ in numbered(calls)
        for n, (kernel, each) in enumerate(zip(part.schedule.kernels, work(part), strict=True))
    ]
    ranked = sorted(found, key=lambda each: -each.cost)
    most = ", those with most work first" if len(found) > 1 else ""
    yield f"{counted(len(found), 'kernel')}{most}"
    shown = ranked[:MAX_KERNELS]
    wide = max(len(title(each.kernel)) for each in shown)
    for each in shown:
        known = kernel_origins(each.kernel)
        flops, nbytes = flops_text(each.flops), bytes_text(each.nbytes)
        line = f"  {each.number:>3}  {title(each.kernel):{wide}}  {flops:>12}  {nbytes:>9}"
        yield _cut(f"{line}  {_place(known[0]) if known else ''}".rstrip())
    if rest := ranked[MAX_KERNELS:]:
        part_of = sum(each.cost for each in rest) / (sum(each.cost for each in found) or 1)
        yield f"       and {counted(len(rest), 'other')}, with {part_of:.0%} of the work"
    small = sum(_is_small(each) for each in found)
    if small > len(found) / 2 and len(found) > 1:
        yield (
            f"  hint: {small} of {len(found)} kernels are too small to share among threads; "
            "larger batches take little longer"
        )


def _place(origin: Origin) -> str:
    """`train.py:14  layers.0 (Linear)  x @ w`"""
    line = f"{os.path.basename(origin.file)}:{origin.line}"
    return "  ".join([line, *origin.layers[-1:], origin.source])


def _is_small(each: Work) -> bool:
    machine = Device.get(each.kernel.outputs[0].device or Device.DEFAULT).machine
    return each.flops + each.nbytes < machine.thresholds.serial_work


def _passed(calls: Sequence[Sequence[Event]]) -> Iterator[str]:
    """What is written by a kernel and read by another, the largest first."""
    found: dict[Node, tuple[int, list[int], str]] = {}
    for _, part, number_of in numbered(calls):
        for kernel in part.schedule.kernels:
            for x in kernel.inputs:
                if x in number_of:
                    maker, readers, why = found.setdefault(x, (number_of[x], [], ""))
                    readers.append(number_of[kernel.outputs[0]])
                    found[x] = maker, readers, why or _why_apart(part, kernel, x)
    if not found:
        return
    largest = sorted(found.items(), key=lambda each: -each[0].nbytes)
    yield f"{bytes_text(sum(x.nbytes for x in found))} are written by a kernel and read by another"
    for x, (maker, readers, why) in largest[:MAX_PASSED]:
        others = ", ".join(map(str, dict.fromkeys(readers)))
        reason = f": {why}" if why else ""
        yield f"  {bytes_text(x.nbytes):>9}  from kernel {maker} to {others}{reason}"
    if rest := largest[MAX_PASSED:]:
        yield f"  {bytes_text(sum(x.nbytes for x, _ in rest)):>9}  in {counted(len(rest), 'other')}"
    machine = Device.get(largest[0][0].device or Device.DEFAULT).machine
    if machine.l2_bytes and largest[0][0].nbytes > machine.l2_bytes:
        size = bytes_text(machine.l2_bytes)
        yield f"  hint: what fits L2 ({size}) is read again soon; smaller batches keep more there"


def _why_apart(part: Part, kernel: Kernel, source: Node) -> str:
    """What kept a kernel from joining the one that made a value."""
    for member in kernel.members:
        joined = part.joined.get(member.node)
        if joined is not None and joined.begins and joined.source is source:
            return joined.why
    return ""


def _peak(calls: Sequence[Sequence[Event]]) -> Iterator[str]:
    """What stands in memory at the highest of all peaks."""
    peaks = [(peak_of(p.schedule, p.plan), offset, of) for offset, p, of in numbered(calls)]
    peak, offset, number_of = max(peaks, key=lambda each: each[0].nbytes)
    yield f"{bytes_text(peak.nbytes)} in memory at the peak, in kernel {offset + peak.kernel}"
    for node in peak.nodes[:MAX_HELD]:
        yield _cut(f"  {bytes_text(node.nbytes):>9}  {described(node, number_of)}")
    if rest := peak.nodes[MAX_HELD:]:
        own = bytes_text(sum(node.nbytes for node in rest))
        yield f"  {own:>9}  in {counted(len(rest), 'other')}"
    held = sum(node.nbytes for node in peak.nodes if isinstance(node, Buffer))
    if held < peak.nbytes / 2 and len(peak.nodes) > 1:
        made = bytes_text(peak.nbytes - held)
        yield f"  hint: {made} of it are made on the way; smaller batches need less"


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
