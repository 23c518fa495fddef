"""An explanation in full. In short:

    step: 2 calls
    call 1
      step is captured for the first time
      step: compiled for the first time
      on CPU: 2 kernels, 1.2 MB in memory at the peak
      kernel 1  dot_relu_128x64  contraction, 2.1 MFLOP, 98.3 kB
          train.py:14  x @ w
          + where: reads the results of the kernel element by element
      kernel 2  ...
          max is not in kernel 1: each of its elements reads several elements of that; 32.8 kB ...
      stored, which costs less than computing it again (in vector instructions)
      at the peak, in kernel 2, memory holds
      kept for later computations, which cost more without
    call 2: replayed, nothing is compiled

(The lines of each section follow its head.) Kernels are numbered through all graphs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..backends.base import Launch
from ..decisions import Capture, Compilation, Event, Part, Replay
from ..graph.ir import Buffer, Movement, Node, Reduce
from ..graph.show import type_text
from ..loops.ir import Function
from ..origin import Origin, kernel_origins, name_of, origins
from ..runtime.report import bytes_text
from ..schedule.ir import Kernel
from ..schedule.join import pieces
from ..schedule.show import kernel_nodes, title
from ..steps import Steps
from .peak import peak_of
from .why import turns, why_captured, why_compiled

MAX_LINES = 4  # of the program that a kernel is shown with
MAX_SOURCE = 64  # characters of a line of the program that are shown
MAX_CHOICES = 8  # of what is kept in memory, and of what is computed again
MAX_HELD = 8  # buffers at the peak


Numbered = tuple[int, Part, dict[Node, int]]
"""The number of a part's first kernel, the part, and the number of the kernel that makes a node."""


def details(name: str, calls: Sequence[Sequence[Event]]) -> str:
    """All calls of a function. Of later calls it shows kernels that earlier ones do not have."""
    lines = [f"{name}: {counted(len(calls), 'call')}"]
    before: list[Compilation] = []
    found = {id(part): (first, part, of) for first, part, of in numbered(calls)}
    for number, events in enumerate(calls, start=1):
        told = [line for event in events for line in _event(event, before, found)]
        head = "" if told else uneventful(events, before)
        lines += [f"call {number}{head}", *told]
        before += [event for event in events if isinstance(event, Compilation)]
    return "\n".join(lines)


def uneventful(events: Sequence[Event], before: Sequence[Compilation]) -> str:
    """What is told of a call in which no graph or function is seen for the first time."""
    if not events:
        why = "the values are there already" if before else "no values are asked for"
        return f": nothing is computed: {why}"
    if all(isinstance(event, Replay) for event in events):
        return ": replayed, nothing is compiled"
    return ": nothing is compiled again"


def numbered(calls: Sequence[Sequence[Event]]) -> list[Numbered]:
    """What devices compute, of each graph once, and numbers for all kernels."""
    before: list[Compilation] = []
    found: list[Numbered] = []
    first = 1
    for event in (event for events in calls for event in events):
        if not isinstance(event, Compilation) or not was_compiled(event, before):
            continue
        before.append(event)
        for part in event.parts:
            if part.schedule is not None and part.schedule.kernels:
                kernels = part.schedule.kernels
                number_of = {n: k for k, each in enumerate(kernels, first) for n in _members(each)}
                found.append((first, part, number_of))
                first += len(kernels)
    return found


def was_compiled(event: Event, before: Sequence[Compilation]) -> bool:
    """Whether an event shows a graph that none of `before` has, and no earlier plan served it."""
    if not isinstance(event, Compilation) or not event.parts:
        return False
    return event.key not in [each.key for each in before]


def _event(
    event: Event, before: Sequence[Compilation], found: dict[int, Numbered]
) -> Iterator[str]:
    match event:
        case Capture():
            yield f"  {event.name} is {why_captured(event)}"
        case Compilation() if was_compiled(event, before):
            first, *rest = why_compiled(event, before)
            yield f"  {event.name}: {first}"
            yield from (f"  {why}" for why in rest)
            if loop := turns(event.nodes):
                yield f"  {loop}"
            for part in event.parts:
                if id(part) in found:
                    yield from _part(*found[id(part)])
            yield from _kept(event.kept)


def _kept(nodes: Sequence[Node]) -> Iterator[str]:
    """What was not asked for, and is kept."""
    if nodes:
        yield "  kept for later computations, which cost more without"
    for node in nodes[:MAX_HELD]:
        yield f"      {bytes_text(node.nbytes):>8}  {described(node, {})}"
    if len(nodes) > MAX_HELD:
        yield f"      and {len(nodes) - MAX_HELD} more"


# --------------------------------------------------------------------------- one device


def _part(first: int, part: Part, number_of: dict[Node, int]) -> Iterator[str]:
    kernels: Sequence[Kernel] = part.schedule.kernels
    peak = peak_of(part.schedule, part.plan)
    count = counted(len(kernels), "kernel")
    yield f"  on {part.device}: {count}, {bytes_text(peak.nbytes)} in memory at the peak"
    each = zip(kernels, work(part), strict=True)
    for k, (kernel, (flops, nbytes)) in enumerate(each, start=first):
        told = f"{kernel.kind}, {flops_text(flops)}, {bytes_text(nbytes)}"
        yield f"  kernel {k}  {title(kernel)}  {told}"
        yield from _kernel(k, kernel, part, number_of)
    yield from _choices(part, number_of)
    yield f"  at the peak, in kernel {first + peak.kernel}, memory holds"
    for node in peak.nodes[:MAX_HELD]:
        yield f"      {bytes_text(node.nbytes):>8}  {described(node, number_of)}"
    rest = peak.nodes[MAX_HELD:]
    if rest:
        yield f"      {bytes_text(sum(n.nbytes for n in rest)):>8}  in {len(rest)} others"


def work(part: Part) -> list[tuple[int, int]]:
    """The operations of each kernel, and the bytes that it reads and writes."""
    launches = iter(part.launches)
    found = []
    for kernel in part.schedule.kernels:
        functions = [f for _ in pieces(kernel) for f in _functions(next(launches))]
        found.append((sum(f.flops for f in functions), sum(f.bytes for f in functions)))
    return found


def _functions(launch: Launch | Steps) -> list[Function]:
    """What a launch runs; of a loop, what all steps run."""
    if not isinstance(launch, Steps):
        return [launch.function]
    return [f for each in launch.step.launches for f in _functions(each)] * launch.loop.steps


def _members(kernel: Kernel) -> list[Node]:
    return [m.node for m in kernel.members]


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
    """train.py:14  x @ w  in layers.0 (Linear), with the beginning of a longer line"""
    source = origin.source
    beginning = f"{source[: MAX_SOURCE - 1]}…" if len(source) > MAX_SOURCE else source
    return str(origin).replace(source, beginning)


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
            yield f"      {described(node, number_of)}: {costs}"
        if len(mine) > MAX_CHOICES:
            yield f"      and {len(mine) - MAX_CHOICES} more"


def described(node: Node, number_of: dict[Node, int]) -> str:
    """float32(128, 64)  where  of kernel 1  (train.py:14  x @ w)"""
    if isinstance(node, Buffer):
        return f"{type_text(node)}  {name_of(node) or 'an input'}"
    known = origins(node)
    line = f"  ({_line(known[0])})" if known else ""
    made = f" of kernel {number_of[node]}" if node in number_of else ""
    return f"{type_text(node)}  {node.name}{made}{line}"


def counted(n: int, thing: str) -> str:
    """`1 kernel`, `2 kernels`"""
    return f"{n} {thing}{'s' * (n != 1)}"


def flops_text(flops: int) -> str:
    """`715.8 kFLOP`"""
    size = float(flops)
    for unit in ("FLOP", "kFLOP", "MFLOP"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "FLOP" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GFLOP"
