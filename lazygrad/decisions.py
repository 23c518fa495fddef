"""What is decided while programs are compiled, noted for those who look (explain).

Passes ask `looking.get()` where they decide. It is None unless `lazygrad.explain` runs, and then
nothing is noted. Caches are passed over while somebody looks, so that there is something to see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .graph.ir import Node
from .graph.structure import Key


class Plan(Protocol):
    """What is needed of a plan."""

    title: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Whether a node has memory of its own, and why.

    Costs are in vector instructions, as the scheduler counts them: of computing it again in each of
    its `readers`, and of storing it. Both are 0 where there was no choice.
    """

    is_stored: bool
    why: str
    readers: int = 0
    inline: float = 0.0
    store: float = 0.0


@dataclass(frozen=True, slots=True)
class Joined:
    """How a node came into its kernel; `why` says for one that begins a kernel what kept it from
    that of `source`, which it reads."""

    begins: bool
    why: str
    source: Node | None = None


@dataclass(eq=False)
class Part:
    """What one device computes of a graph: the decisions, and what came of them."""

    memory: dict[Node, Memory] = field(default_factory=dict)
    joined: dict[Node, Joined] = field(default_factory=dict)
    device: str = ""
    schedule: Any = None  # a schedule.ir.Schedule
    plan: Any = None  # its schedule.ir.MemoryPlan
    launches: Sequence[Any] = ()  # one for each kernel, or piece of one


@dataclass(eq=False)
class Compilation:
    """A graph that was compiled for `name`, the function or line that asked for its values.
    `earlier` are the keys that had plans already, each with the name that it was compiled for.
    `kept` are nodes whose values were not asked for, and are kept for later computations."""

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
    """A function that `jit` captured: the kind of its arguments, the kinds that it had captured
    already, and what was other outside of it."""

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
    """What happened in each call of a function that is looked at."""

    def __init__(self) -> None:
        self.calls: list[list[Event]] = []
        self.seen: set[int] = set()  # replays that were captured while this looks, by id

    def begin_call(self) -> None:
        """What follows belongs to the next call."""
        self.calls.append([])

    def asked(self, name: str, key: Key, nodes: Iterable[Node], plans: Mapping[Key, Plan]) -> None:
        """`name` asks for a graph to be computed; there are plans for others, perhaps for it."""
        earlier = [(known, plan.title) for known, plan in plans.items()]
        was_known = any(known[:-1] == key[:-1] for known in plans)  # from whatever line
        self.calls[-1].append(Compilation(key, list(nodes), was_known, earlier, name))

    def begin_part(self, device: str) -> Part:
        """The compilation goes on to what one device computes."""
        part = Part(device=device)
        self.compilation.parts.append(part)
        return part

    @property
    def compilation(self) -> Compilation:
        """The one that is under way."""
        return next(e for e in reversed(self.calls[-1]) if isinstance(e, Compilation))

    def has_to_show_again(self) -> bool:
        """The compilation under way is served by a plan for all sizes. Whether nothing is to be
        seen of it, as the plan was made before the first call."""
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
