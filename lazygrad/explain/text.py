"""An explanation as lines. In short:

    step: 2 calls
    call 1
      step is captured for the first time
      compiled for the first time: no earlier graph is like it
      on CPU: 2 kernels, 1.2 MB in memory at the peak
      kernel 1  dot_relu_128x64  contraction, 2.1 MFLOP, 98.3 kB
          train.py:14  x @ w
          + where: reads what the kernel computes, at the same position
      kernel 2  ...
          max is not in kernel 1: an element needs several positions of that; 32.8 kB ...
      stored, which costs less than computing it again (in vector instructions)
      at the peak, in kernel 2, memory holds
    call 2: replayed, nothing is compiled

(The lines of each section follow its head.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..decisions import Capture, Compilation, Event, Part, Replay
from ..graph.ir import Buffer, Movement, Node, Reduce
from ..graph.show import type_text
from ..origin import Origin, kernel_origins, name_of, origins
from ..runtime.report import bytes_text
from ..schedule.ir import Kernel
from ..schedule.join import pieces
from ..schedule.show import kernel_nodes, title
from .peak import peak_of
from .why import turns, why_captured, why_compiled

MAX_KERNELS = 40  # of one program that are shown
MAX_LINES = 4  # of the program that a kernel is shown with
MAX_SOURCE = 64  # characters of a line of the program that are shown
MAX_CHOICES = 8  # of what is kept in memory, and of what is computed again
MAX_HELD = 8  # buffers at the peak


_WHY_NOTHING = {False: "no values are asked for", True: "the values are there already"}


def explained(name: str, calls: Sequence[Sequence[Event]]) -> str:
    """All calls of a function. Of later calls it shows why they compiled anything, not the kernels
    once more."""
    lines = [f"{name}: {len(calls)} call{'s' * (len(calls) != 1)}"]
    before: list[Compilation] = []
    for number, events in enumerate(calls, start=1):
        lines += _call(number, events, before)
        before += [event for event in events if isinstance(event, Compilation)]
    return "\n".join(lines)


def _call(number: int, events: Sequence[Event], before: Sequence[Compilation]) -> Iterator[str]:
    if not events:
        yield f"call {number}: nothing is computed: {_WHY_NOTHING[bool(before)]}"
    elif all(isinstance(event, Replay) for event in events):
        yield f"call {number}: replayed, nothing is compiled"
    elif number > 1 and all(isinstance(e, Compilation) and e.key in _keys(before) for e in events):
        yield f"call {number}: nothing is compiled again"
    else:
        yield f"call {number}"
        for event in events:
            match event:
                case Capture():
                    yield f"  {event.name} is {why_captured(event)}"
                case Replay():
                    yield f"  {event.name} is replayed"
                case Compilation() if event.key not in _keys(before):
                    yield from _compilation(event, before)


def _keys(compilations: Sequence[Compilation]) -> list[object]:
    return [each.key for each in compilations]


def _compilation(event: Compilation, before: Sequence[Compilation]) -> Iterator[str]:
    for why in why_compiled(event, before):
        yield f"  {why}"
    if loop := turns(event.nodes):
        yield f"  {loop}"
    for part in event.parts:
        if part.schedule is not None and part.schedule.kernels:
            yield from _part(part)


# --------------------------------------------------------------------------- one device


def _part(part: Part) -> Iterator[str]:
    kernels: Sequence[Kernel] = part.schedule.kernels
    peak = peak_of(part.schedule, part.plan)
    count = f"{len(kernels)} kernel{'s' * (len(kernels) != 1)}"
    yield f"  on {part.device}: {count}, {bytes_text(peak.nbytes)} in memory at the peak"
    number_of = {n: k for k, kernel in enumerate(kernels, 1) for n in _members(kernel)}
    launches = iter(part.launches)
    for k, kernel in enumerate(kernels, start=1):
        functions = [next(launches).function for _ in pieces(kernel)]
        if k <= MAX_KERNELS:
            flops, nbytes = sum(f.flops for f in functions), sum(f.bytes for f in functions)
            work = f"{kernel.kind}, {_flops_text(flops)}, {bytes_text(nbytes)}"
            yield f"  kernel {k}  {title(kernel)}  {work}"
            yield from _kernel(k, kernel, part, number_of)
    if len(kernels) > MAX_KERNELS:
        yield f"  and {len(kernels) - MAX_KERNELS} more kernels"
    yield from _choices(part, number_of)
    yield f"  at the peak, in kernel {peak.kernel + 1}, memory holds"
    for node in peak.nodes[:MAX_HELD]:
        yield f"      {bytes_text(node.nbytes):>8}  {_described(node, number_of)}"
    rest = peak.nodes[MAX_HELD:]
    if rest:
        yield f"      {bytes_text(sum(n.nbytes for n in rest)):>8}  in {len(rest)} others"


def _members(kernel: Kernel) -> list[Node]:
    return [m.node for m in kernel.all_members]


def _kernel(k: int, kernel: Kernel, part: Part, number_of: dict[Node, int]) -> Iterator[str]:
    lines = _lines(kernel)
    for line in lines[:MAX_LINES]:
        yield f"      {line}"
    if len(lines) > MAX_LINES:
        yield f"      and {len(lines) - MAX_LINES} more lines"
    if kernel.parts:
        yield (
            f"      {len(kernel.parts)} kernels, one after another for each of {kernel.outer} "
            "slices, so that what they pass on stays in the caches"
        )
    ways: dict[str, list[str]] = {}
    for node in _members(kernel):
        joined = part.joined.get(node)
        if joined is None:
            continue
        other = number_of.get(joined.source) if joined.source is not None else None
        if not joined.begins:
            ways.setdefault(joined.why, []).append(_word(node, kernel))
        elif joined.source is not None and other not in (None, k):
            passed = f"{bytes_text(joined.source.nbytes)} are written and read between them"
            word = _word(node, kernel)
            yield f"      {word} is not in kernel {other}: {joined.why}; {passed}"
    for why, words in ways.items():
        yield f"      + {', '.join(words)}: {why}"


def _lines(kernel: Kernel) -> list[str]:
    """The lines that a kernel serves. What is made of constants and indices alone tells nothing:
    any line of the program may have made the same."""
    reads = set(kernel.inputs)
    for node in kernel_nodes(kernel):
        if not reads.isdisjoint(node.inputs):
            reads.add(node)
    meant = {origin for node in reads.difference(kernel.inputs) for origin in origins(node)}
    return list(dict.fromkeys(_line(o) for o in kernel_origins(kernel) if not meant or o in meant))


def _line(origin: Origin) -> str:
    """train.py:14  x @ w  in layers.0 (Linear), without the text of a long line"""
    source = origin.source
    return str(origin).replace(source, "…") if len(source) > MAX_SOURCE else str(origin)


def _word(node: Node, kernel: Kernel) -> str:
    """A few letters for what a member computes."""
    if isinstance(node, Reduce):
        return "dot" if kernel.kind == "contraction" and node.op == "sum" else node.op
    return node.name


def _choices(part: Part, number_of: dict[Node, int]) -> Iterator[str]:
    """What was stored though it could be computed again, and what is computed again."""
    outputs = set(part.schedule.outputs)
    chosen = [
        (node, choice)
        for node, choice in part.memory.items()
        if choice.inline and node not in outputs and not isinstance(node, Movement)
        if choice.is_stored or choice.readers > 1
    ]
    heads = {True: "stored, which costs less than", False: "computed again by each reader, not"}
    for is_stored, head in heads.items():
        mine = [(n, c) for n, c in chosen if c.is_stored is is_stored]
        mine.sort(key=lambda each: -abs(each[1].inline - each[1].store))
        if mine:
            other = "computing it again" if is_stored else "stored"
            yield f"  {head} {other} (in vector instructions)"
        for node, choice in mine[:MAX_CHOICES]:
            both = choice.store, choice.inline
            cost, instead = both if is_stored else both[::-1]
            why = f"; {choice.why}" if cost > instead else ""
            costs = f"{cost:.3g} instead of {instead:.3g}{why}"
            yield f"      {_described(node, number_of)}: {costs}"
        if len(mine) > MAX_CHOICES:
            yield f"      and {len(mine) - MAX_CHOICES} more"


def _described(node: Node, number_of: dict[Node, int]) -> str:
    """float32(128, 64)  where  of kernel 1  (train.py:14  x @ w)"""
    if isinstance(node, Buffer):
        return f"{type_text(node)}  {name_of(node) or 'an input'}"
    known = origins(node)
    line = f"  ({_line(known[0])})" if known else ""
    made = f" of kernel {number_of[node]}" if node in number_of else ""
    return f"{type_text(node)}  {node.name}{made}{line}"


def _flops_text(flops: int) -> str:
    size = float(flops)
    for unit in ("FLOP", "kFLOP", "MFLOP"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "FLOP" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GFLOP"
