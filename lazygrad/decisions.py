"""A record of the compiler's decisions, for `lazygrad.explain`.

Where passes decide, they ask `looking.get()` (looking.py) for a Record. It is None unless `explain`
runs: nothing is noted then. While `explain` runs, plans are not taken from caches, so that there
are decisions to record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .graph.ir import Node
from .graph.structure import Key


class Plan(Protocol):
    """A plan, as a Record sees it."""

    title: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Whether a node has memory of its own, and why.

    Costs are in vector instructions, as the scheduler counts them: `inline` is the cost of
    computing the node again in each of its `readers`, `store` that of storing it. Both are 0 where
    there was no choice.
    """

    is_stored: bool
    why: str
    readers: int = 0
    inline: float = 0.0
    store: float = 0.0


@dataclass(frozen=True, slots=True)
class Joined:
    """How a node came into its kernel. For a node that begins a kernel, `why` says why it could not
    join the kernel of `source`, a node that it reads."""

    begins: bool
    why: str
    source: Node | None = None


@dataclass(eq=False)
class Part:
    """The part of a graph that one device computes: the decisions, and the results of passes."""

    memory: dict[Node, Memory] = field(default_factory=dict)
    joined: dict[Node, Joined] = field(default_factory=dict)
    device: str = ""
    schedule: Any = None  # a schedule.ir.Schedule
    plan: Any = None  # its schedule.ir.MemoryPlan
    launches: Sequence[Any] = ()  # one for each kernel, or piece of one


@dataclass(eq=False)
class Compilation:
    """A graph that was compiled for `name`, the function or line that asked for its values.
    `earlier` are the keys that had plans already, each with the name of its request. `kept` are
    nodes that nobody asked for, but whose values are kept for later computations."""

    key: Key
    nodes: list[Node]
    was_known: bool
    earlier: list[tuple[Key, str]]
    name: str = ""
    parts: list[Part] = field(default_factory=list)
    kept: list[Node] = field(default_factory=list)
    serves_sizes: bool = False
    """Whether its plan serves other sizes of an axis, too."""


@dataclass(frozen=True, eq=False)
class Capture:
    """A function that `jit` captured: the kind of its arguments (shapes, dtypes and the like), the
    kinds captured earlier, and the difference outside of the function that made it capture
    again."""

    name: str
    kind: tuple[Any, ...]
    earlier: list[Any]
    mismatch: str | None
    was_known: bool


@dataclass(frozen=True, eq=False)
class Replay:
    """A call of a captured function that compiled nothing."""

    name: str


Event = Compilation | Capture | Replay


class Record:
    """What happened in each call of the function that `explain` looks at."""

    def __init__(self) -> None:
        self.calls: list[list[Event]] = []
        self.seen: set[int] = set()  # replays that were captured while this looks, by id

    def begin_call(self) -> None:
        """The events from here on belong to the next call."""
        self.calls.append([])

    def asked(self, name: str, key: Key, nodes: Iterable[Node], plans: Mapping[Key, Plan]) -> None:
        """`name` asks for a graph to be computed. `plans` are those of all graphs until now."""
        earlier = [(known, plan.title) for known, plan in plans.items()]
        was_known = any(known[:-1] == key[:-1] for known in plans)  # from whatever line
        self.calls[-1].append(Compilation(key, list(nodes), was_known, earlier, name))

    def begin_part(self, device: str) -> Part:
        """The compilation goes on with the part of one device."""
        part = Part(device=device)
        self.compilation.parts.append(part)
        return part

    @property
    def compilation(self) -> Compilation:
        """The compilation that is under way."""
        return next(e for e in reversed(self.calls[-1]) if isinstance(e, Compilation))

    def has_to_show_again(self) -> bool:
        """Note that a plan for all sizes serves the compilation under way. Returns whether to
        compile only to show it: in the first call, where that plan was made before."""
        self.compilation.serves_sizes = True
        if len(self.calls) > 1 or self.compilation.parts:
            return False
        self.compilation.was_known = True
        return True

    def captured(self, capture: Capture) -> None:
        """A function is captured."""
        self.calls[-1].append(capture)

    def replayed(self, name: str) -> None:
        """A captured function is replayed."""
        self.calls[-1].append(Replay(name))
