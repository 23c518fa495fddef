"""Why a call was compiled again: what is new against the nearest that was compiled before.

The nearest is one of the same function or line; of another in the same file only where it is much
like it. A message, and what it tells of:

    x is float32(33, 10), the nearest before float32(32, 10)    a shape that changes
    a constant is 0.2, the nearest before 0.1                   a number of Python's that changes
    the graph has grown from 20 to 30 operations                a chain that grows, or a gradient
                                                                that goes through it
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ..decisions import Capture, Compilation
from ..graph.gradient import cotangents
from ..graph.ir import Buffer, Const, Movement, Node
from ..graph.structure import Key
from ..origin import Origin, name_of, origins

MAX_DIFFERENCES = 3  # that are told of
MAX_OPERATIONS = 4  # of one graph and not of another, that are told of
ALIKE = 0.8  # the part of its operations that a graph shares with one it is compared with
GROWING = 2  # sizes of an axis before the one that is told of
MANY_TURNS = 8  # of a loop in one graph, from which it is told of

Entry = tuple[Any, ...]  # of a key: the class of a node, what describes it, its inputs' places


# --------------------------------------------------------------------------- graphs


def why_compiled(new: Compilation, before: Sequence[Compilation]) -> list[str]:
    """Why there was no plan for a graph; `before` are those that earlier calls have compiled."""
    if new.was_known:
        return ["compiled before: shown here once more"]
    grown = next((c for c in reversed(before) if _has_grown(new, c)), None)
    if grown is not None:
        return [_growth(new, grown, before)]
    entries = _entries(new.key)
    near = _nearest(new, entries, before)
    if near is None:
        if any(_entries(key) == entries for key, _ in new.earlier):
            return ["compiled again with other settings, or on another device"]
        return ["compiled for the first time"]
    told, hint = list(_differences(new.nodes, entries, near)), _hint(entries, near)
    more = [f"and {len(told) - MAX_DIFFERENCES} more"] if len(told) > MAX_DIFFERENCES else []
    lines = [f"compiled: {'; '.join([*told[:MAX_DIFFERENCES], *more])}"]
    if new.serves_sizes:
        return [*lines, "the kernels are for every size: a further one compiles nothing"]
    earlier = [_entries(key) for key, _ in _comparable(new, before)]
    grown_axis = _growing_axis(new.nodes, entries, earlier)
    return [*lines, f"hint: {grown_axis or hint}"] if grown_axis or hint else lines


def _comparable(new: Compilation, before: Sequence[Compilation]) -> list[tuple[Key, str]]:
    """The graphs of the same function or file, compiled with the same settings, each with its name:
    earliest first, those of `before` last."""
    file = _file(new.name)
    every = [*new.earlier, *((each.key, each.name) for each in before)]
    return [
        (key, name)
        for key, name in every
        if key[1:-1] == new.key[1:-1]
        and (name == new.name or (file is not None and _file(name) == file))
    ]


def _nearest(
    new: Compilation, entries: Sequence[Entry], before: Sequence[Compilation]
) -> tuple[Entry, ...] | None:
    """The graph most like this one, the latest of several: of the same function or line, or of any
    in the same file that is much like it. None where there is none."""
    others = _comparable(new, before)
    own = [(key, name) for key, name in others if name == new.name]
    of_line = own if ":" in new.name else []  # other functions may have a name that is no line
    for least, among in (ALIKE, own), (ALIKE, others), (0.0, of_line):
        rated = [(_alike(entries, _entries(key)), key) for key, _ in reversed(among)]
        found = max(rated, key=lambda each: each[0], default=None)
        if found is not None and found[0] > least:
            return _entries(found[1])
    return None


def _file(name: str) -> str | None:
    """step (train.py:14)  ->  train.py"""
    found = re.search(r"([^ (]+):\d+\)?$", name)
    return None if found is None else found[1]


def _growing_axis(
    nodes: Sequence[Node], new: Sequence[Entry], earlier: Sequence[Sequence[Entry]]
) -> str:
    """What is told of an input whose axis is longer in each graph than in those before."""
    alike = [old for old in earlier if [x[0] for x in old] == [x[0] for x in new]]
    for n, entry in enumerate(new):
        if entry[0] is not Buffer:
            continue
        for axis, size in enumerate(entry[2]):
            rest = _without(entry[2], axis)
            shapes = [old[n][2] for old in alike if _without(old[n][2], axis) == rest]
            sizes = [*dict.fromkeys(shape[axis] for shape in shapes if shape[axis] != size), size]
            if len(sizes) > GROWING and sizes == sorted(sizes):
                what = name_of(nodes[n]) or f"input {entry[1]}"
                last = ", ".join(map(str, sizes[-4:]))
                return (
                    f"axis {axis} of {what} grows from call to call ({last}), and each size is "
                    "compiled anew; write into a tensor of the largest size instead"
                )
    return ""


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...] | None:
    """The sizes of the other axes; None where there is no such axis."""
    return (*shape[:axis], *shape[axis + 1 :]) if axis < len(shape) else None


def _entries(key: Key) -> tuple[Entry, ...]:
    """The nodes of a key, without its outputs."""
    graph: Any = key[0]
    return tuple(graph[:-1])


def _alike(a: Sequence[Entry], b: Sequence[Entry]) -> float:
    """The share of operations that two graphs have in common, by class, in any order; 1 and a bit
    more where all is equal in order but for shapes and constants."""
    if [entry[0] for entry in a] == [entry[0] for entry in b]:
        return 1 + sum(x == y for x, y in zip(a, b, strict=True)) / max(1, len(a))
    common = Counter(x[0] for x in a) & Counter(x[0] for x in b)
    return common.total() / max(len(a), len(b), 1)


def _differences(
    nodes: Sequence[Node], new: Sequence[Entry], old: Sequence[Entry]
) -> Iterator[str]:
    """What tells two graphs apart: inputs, else constants, else the rest; or their operations."""
    if [entry[0] for entry in new] == [entry[0] for entry in old]:
        yield from _fields(nodes, new, old)
    elif _alike(new, old) < ALIKE or not (told := list(_inputs(nodes, new, old))):
        yield _operations(new, old)
    else:
        yield from told


def _inputs(nodes: Sequence[Node], new: Sequence[Entry], old: Sequence[Entry]) -> Iterator[str]:
    """The inputs that differ, if both graphs have as many."""
    own = [(n, entry) for n, entry in enumerate(new) if entry[0] is Buffer]
    others = [entry for entry in old if entry[0] is Buffer]
    if len(own) != len(others):
        return
    for (n, a), b in zip(own, others, strict=True):
        if a != b:
            what = name_of(nodes[n]) or f"input {a[1]}"
            yield f"{what} is {_buffer_text(a)}, the nearest before {_buffer_text(b)}"


def _fields(nodes: Sequence[Node], new: Sequence[Entry], old: Sequence[Entry]) -> Iterator[str]:
    """What differs between graphs of the same operations."""
    told = list(_inputs(nodes, new, old))
    pairs = [(n, a, b) for n, (a, b) in enumerate(zip(new, old, strict=True)) if a != b]
    if not told:
        told = [
            f"a constant is {_constant(nodes[n])}{_at(nodes[n])}, the nearest before "
            f"{_value_text(b)}"
            for n, a, b in pairs
            if _is_number(a, b)
        ]
    if not told:
        told = [
            f"{nodes[n].name}{_at(nodes[n])} has {_field_text(a)}, the nearest before "
            f"{_field_text(b)}"
            for n, a, b in pairs[:1]
        ]
    yield from told


def _is_number(a: Entry, b: Entry) -> bool:
    """Whether two entries are constants of different values."""
    return a[0] is Const and a[1][0] != b[1][0]


def _operations(new: Sequence[Entry], old: Sequence[Entry]) -> str:
    """28 operations, the nearest before has 26: 2 exp, 1 cast more; 1 log less"""
    own, others = (Counter(entry[0].__name__.lower() for entry in each) for each in (new, old))
    words = [
        f"{', '.join(f'{count} {op}' for op, count in (a - b).most_common(MAX_OPERATIONS))} {which}"
        for a, b, which in ((own, others, "more"), (others, own, "less"))
        if a - b
    ]
    told = f": {'; '.join(words)}" if words else ", in another order"
    return f"{len(new)} operations, the nearest before has {len(old)}{told}"


def _hint(new: Sequence[Entry], old: Sequence[Entry]) -> str:
    """What spares compiling again, where something does."""
    if [entry[0] for entry in new] != [entry[0] for entry in old]:
        return ""
    pairs = [(a, b) for a, b in zip(new, old, strict=True) if a != b]
    if any(a[0] is Buffer for a, _ in pairs):
        return "a graph is compiled for the shapes and dtypes that it meets; use the same, or pad"
    is_number = any(_is_number(a, b) for a, b in pairs)
    return "a number that changes may be a tensor: Tensor(0.1)" if is_number else ""


def _buffer_text(entry: Entry) -> str:
    _, _, shape, dtype, device = entry
    return f"{dtype}({', '.join(map(str, shape))}) on {device}"


def _field_text(entry: Entry) -> str:
    """What describes a node, besides its inputs."""
    shape = entry[1][2] if entry[0] is Const else entry[1]
    return str(shape)


def _constant(node: Node) -> str:
    return f"{node.value:.6g}" if isinstance(node, Const) else str(node)


def _value_text(entry: Entry) -> str:
    """The constant of an entry of a key, which has floats by their bits."""
    value = entry[1][0]
    return f"{struct.unpack('<d', value)[0]:.6g}" if isinstance(value, bytes) else str(value)


def _at(node: Node) -> str:
    known = origins(node)
    return f" ({known[0]})" if known else ""


# --------------------------------------------------------------------------- growth


def _has_grown(new: Compilation, old: Compilation) -> bool:
    """Whether a graph computes again what an earlier call's has computed, and more."""
    return len(new.nodes) > len(old.nodes) and bool(_carried(new, old))


def _carried(new: Compilation, old: Compilation) -> list[Node]:
    """What an earlier call has made and a later one computes again, the last of it."""
    return _last(list(_computed(new) & _computed(old)))


def _computed(graph: Compilation) -> set[Node]:
    """What a graph computes from values in memory. Constants alone tell nothing: any call may have
    made the same."""
    leaves, found = _leaves(graph), set[Node]()
    for node in graph.nodes:
        if node not in leaves and any(x in leaves or x in found for x in node.inputs):
            found.add(node)
    return found


def _leaves(graph: Compilation) -> set[Node]:
    """The nodes whose values are in memory already."""
    pairs = zip(graph.nodes, _entries(graph.key), strict=True)
    return {node for node, entry in pairs if entry[0] is Buffer}


def _last(nodes: Sequence[Node]) -> list[Node]:
    """Those that none of the others reads."""
    below = {x for node in nodes for x in node.inputs}
    return [node for node in nodes if node not in below]


def _growth(new: Compilation, old: Compilation, before: Sequence[Compilation]) -> str:
    grown = f"the graph has grown from {len(old.nodes)} to {len(new.nodes)} operations: "
    if passed := _passed(new, before):
        return (
            f"{grown}backward() goes on through what {_places(_last(passed))} made in the call "
            "before; detach() ends it there"
        )
    return (
        f"{grown}what {_places(_carried(new, old))} made in the call before is computed again; "
        "realize() there keeps its value"
    )


def _passed(new: Compilation, before: Sequence[Compilation]) -> list[Node]:
    """What earlier calls have computed and the backward pass of a later one goes through, after it
    has gone through the same lines of the later call. Parameters, and what is computed from them
    alone, are in both calls the same and pass once."""
    earlier = {node for graph in before for node in _computed(graph)}
    older = {node for graph in before for node in graph.nodes}
    made = (cotangents[g]() for g in new.nodes if g in cotangents and g not in older)
    passed = [x for x in made if x is not None and not isinstance(x, Movement) and origins(x)]
    found = [(x, _turn(x, origins(x)[0])) for x in passed]
    own = {turn for x, turn in found if x not in earlier}
    return [x for x, turn in found if x in earlier and turn in own]


def _places(nodes: Sequence[Node]) -> str:
    """The lines that some nodes come from."""
    known = dict.fromkeys(str(o) for node in nodes for o in origins(node)[:1])
    return " and ".join(list(known)[:2]) or "a line that is not known"


def turns(nodes: Sequence[Node]) -> str | None:
    """What is told of a line of a loop that stands in one graph often, each time reading the time
    before; None where there is none. `nodes` are in topological order."""
    lines: Counter[Any] = Counter()
    for node in nodes:
        if node.inputs and (known := origins(node)):
            lines[_turn(node, known[0])] += 1
    found: list[tuple[int, Origin]] = []
    for line, count in lines.most_common(8):
        if count >= MANY_TURNS:
            depth, origin = _depth(nodes, line)
            if depth >= MANY_TURNS and origin is not None:
                found.append((depth, origin))
    if not found:
        return None
    count, origin = max(found, key=lambda each: (not each[1].gradient, each[0]))
    loop = f"a loop of {count} turns is one graph, "
    if any(each.gradient for _, each in found):
        return (
            f"{loop}and backward() goes through all: {origin}; detach() in the loop ends it there"
        )
    return (
        f"{loop}each turn reading the one before: {origin}; "
        "with realize() in the loop a turn is compiled once"
    )


def _turn(node: Node, origin: Origin) -> Any:
    """What is the same of a node in each turn of a loop."""
    return type(node), node.shape, origin.file, origin.line, origin.gradient


def _depth(nodes: Sequence[Node], line: Any) -> tuple[int, Origin | None]:
    """How many nodes of a line depend on one another, and where it is."""
    depths: dict[Node, int] = {}
    origin: Origin | None = None
    for node in nodes:
        depth = max((depths.get(x, 0) for x in node.inputs), default=0)
        known = origins(node)
        if known and _turn(node, known[0]) == line:
            depth, origin = depth + 1, known[0]
        depths[node] = depth
    return max(depths.values(), default=0), origin


# --------------------------------------------------------------------------- captured functions


def why_captured(capture: Capture) -> str:
    """Why no earlier capture served a call."""
    if capture.was_known:
        return "captured before: shown here once more"
    if capture.mismatch is not None:
        return f"captured again: {capture.mismatch or 'gradients come and go'}"
    if not capture.earlier:
        return "captured for the first time"
    nearest = max(capture.earlier, key=lambda kind: _equal_parts(capture.kind, kind))
    told = list(_kind_differences(capture.kind, nearest))[:MAX_DIFFERENCES]
    return f"captured again: {'; '.join(told) or 'another number of arguments'}"


def _equal_parts(a: Sequence[Any], b: Sequence[Any]) -> int:
    return sum(bool(x == y) for x, y in zip(a, b, strict=False)) - abs(len(a) - len(b))


SETTINGS = (
    "Tensor.training", "no_grad", "autocast", "the default float", "the default int",
    "the default device", "DEBUG", "WINOGRAD", "CHECK",
)  # fmt: skip
"""What a kind begins with, before the arguments (jit/__init__.py)."""


def _kind_differences(new: Sequence[Any], old: Sequence[Any]) -> Iterator[str]:
    count = len(SETTINGS)
    for name, a, b in zip(SETTINGS, new, old, strict=False):
        if a != b:
            yield f"{name} is {a}, it was {b}"
    for n, (a, b) in enumerate(zip(new[count:], old[count:], strict=False)):
        if a != b:
            named = isinstance(a, tuple) and len(a) == 2 and isinstance(a[0], str)
            which = f'argument "{a[0]}"' if named else f"argument {n}"
            yield from _value_differences(which, a[1] if named else a, b[1] if named else b)


def _value_differences(which: str, a: Any, b: Any) -> Iterator[str]:
    """How two descriptions of an argument differ (jit.structure.Arguments.describe)."""
    if _is_tensor(a) and _is_tensor(b):
        if a[:3] != b[:3]:
            yield f"{which} is {_tensor_text(a)}, it was {_tensor_text(b)}"
        else:
            yield f"{which} requires gradient, has a gradient or is the same as another now"
    elif isinstance(a, tuple) and isinstance(b, tuple) and a[:1] == b[:1] and len(a) == len(b):
        if len(a) == 2 and not isinstance(a[1], tuple):
            yield f"{which} is {a[1]!r}, it was {b[1]!r}; a number that changes may be a tensor"
            return
        for n, (x, y) in enumerate(zip(a[1:], b[1:], strict=True)):
            if x != y:
                yield from _value_differences(f"{which}[{n}]", x, y)
    else:
        yield f"{which} is another kind of value"


def _is_tensor(described: Any) -> bool:
    return (
        isinstance(described, tuple)
        and len(described) == 6
        and isinstance(described[0], tuple)
        and isinstance(described[1], str)
    )


def _tensor_text(described: Any) -> str:
    shape, dtype, device, *_ = described
    place = f" on {device}" if device else ""
    return f"{dtype}({', '.join(map(str, shape))}){place}"
