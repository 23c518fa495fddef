"""What is computed when values are asked for: those, and what is best computed along with them.

- A tensor that was *written* (assigned, or changed in place) is computed with the next values of
  its device, so that no chain of writes grows.
- A *live* tensor is the result of operations that Python still holds. Where a computation passes
  through its node, the value is kept if it costs more to compute again. Where it needs little
  besides what the computation passes through, it is computed along: an accuracy, a loss.
- A loss that is asked for before its backward pass keeps the sums in it that are dear, as the
  backward pass reads them.

    loss.backward(); optimizer.step(); loss.item()    # the loss is computed with the step
    loss.item(); loss.backward(); optimizer.step()    # matrix products are computed once
    y, h = cell(x, h); y.argmax().item()              # so is h: the next step begins with it

Costs are counted in arithmetic instructions, as the scheduler counts them. A function that is
captured by `jit` decides nothing here: it is one computation anyway.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from threading import get_ident
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..errors import ConfigError, DeviceError, NonFiniteError, OutOfMemoryError
from ..graph.ir import (
    Buffer,
    Detach,
    Elementwise,
    Expand,
    Fold,
    Gather,
    Node,
    Permute,
    RandomBits,
    Reduce,
    Reshape,
    Scatter,
    Sort,
)
from ..graph.structure import Structure
from ..runtime.buffer import DeviceBuffer, interceptor, realized
from .donate import accepted, moved

if TYPE_CHECKING:
    from .core import TensorCore

KEEPING = 40.0  # instructions an element: to write it to memory now, and to read it later
DEAR = 100.0  # instructions an element from which a value that nobody holds is kept for backward()
LITTLE = 8.0  # what is computed along costs at most this part of what it would cost alone
MAX_LIVE = 512  # live tensors that are remembered, the newest
MAX_LOOKS = 4  # computations of which a live tensor is asked whether it could go along
MAX_BEYOND = 2000  # nodes outside a computation that are looked at for what could go along
MAX_CHOICES = 1024  # graphs of which is remembered what of them is kept

live: deque[ref[Any]] = deque(maxlen=1 << 14)
"""Every result of an operation since values were asked for last."""

written: dict[int, tuple[ref[Any], int]] = {}
"""Tensors (by id) that were written, and not computed since; and by which thread: another might be
about to write them again."""

shared: dict[int, ref[Any]] = {}
"""Views (by id) that were computed, or detached, while somebody held their base. With each
realization those part from bases that nobody else holds any more, and the graphs behind these."""

differentiated: deque[Differentiated] = deque(maxlen=64)
"""What backward() was called on, until that and the gradients are computed."""


@dataclass(eq=False, slots=True)
class Differentiated:
    """A tensor that backward() was called on, its expression, and those of the gradients."""

    tensor: ref[TensorCore]
    node: Node
    gradients: list[ref[Node]]
    is_retained: bool  # for another backward pass
    is_done: bool = False  # some gradient is computed, or nobody holds one any more

    def note(self, computed: Collection[Node]) -> None:
        """Note whether it is done when these nodes are computed."""
        alive = [node for reference in self.gradients if (node := reference()) is not None]
        self.is_done = self.is_done or not alive or any(node in computed for node in alive)


_older: list[tuple[ref[TensorCore], int]] = []  # live ones, and how often they were looked at
_passed: deque[ref[Node]] = deque(maxlen=MAX_LIVE)  # nodes of live tensors computed and not kept
_choices: dict[object, tuple[int, ...]] = {}


def note_backward(tensor: TensorCore, gradients: Iterable[TensorCore], is_retained: bool) -> None:
    """Remember that backward() was called on a tensor, and gave these gradients."""
    if interceptor.get() is None:
        nodes = [ref(gradient._node) for gradient in gradients]
        differentiated.append(Differentiated(ref(tensor), tensor._node, nodes, is_retained))


def realize_all(tensors: Iterable[TensorCore]) -> None:
    """Compute all the tensors that are not computed yet, in one go, and what goes along."""
    wanted = [tensor for tensor in tensors if not isinstance(tensor._node, Buffer)]
    if not wanted:
        return
    if written:
        wanted += _written_on({tensor._node.device for tensor in wanted})
    pending = list(dict.fromkeys([t._node for t in wanted if t._node not in realized]))
    if pending:
        try:
            if interceptor.get() is not None or _is_alone(wanted, pending):
                _compute(pending, wanted)
            else:
                wanted += _compute_along(wanted, pending)
        except (IndexError, NonFiniteError):
            forget()
            raise
    for tensor in wanted:
        node = tensor._node
        storage = realized.get(node)  # none where another thread has written to it meanwhile
        if storage is not None and not isinstance(node, Buffer):
            tensor._settle(storage)
        if storage is not None or isinstance(node, Buffer):
            written.pop(id(tensor), None)
    if shared and interceptor.get() is None:
        _part_views()


def forget() -> None:
    """Let nothing go along that waits to: where an index in it is out of range, or CHECK=nan finds
    a nan, every other computation would fail too. It is computed, and fails, when it is asked for
    itself."""
    for waiting in (written, live, _older, differentiated):
        waiting.clear()


def _part_views() -> None:
    for key, reference in list(shared.items()):
        view = reference()
        if view is None or view._base is None or view._part_computed():
            shared.pop(key, None)


def _written_on(devices: Collection[str | None]) -> list[TensorCore]:
    """The tensors that this thread has written, of these devices."""
    found = []
    for key, (reference, thread) in list(written.items()):
        tensor = reference()
        if tensor is None:
            written.pop(key, None)
        elif thread == get_ident() and tensor._node.device in devices:
            found.append(tensor)
    return found


def _compute(
    nodes: Sequence[Node], wanted: Sequence[TensorCore], walked: Structure | None = None
) -> None:
    """Compute the nodes, and remember their storage. They are values of the wanted tensors, and
    others; `walked` has been walked to them already."""
    from ..compile import realize  # the compiler is loaded when there is something to compile

    donated, walked = accepted(wanted, nodes, walked)
    try:
        storages = realize(nodes, walked, donated) if walked or donated else realize(nodes)
    except (
        ConfigError, DeviceError, IndexError, NonFiniteError, OutOfMemoryError
    ) as error:  # fmt: skip
        # the user's to mend, and all in the message: the way there leads through the compiler
        raise error.with_traceback(None) from error.__cause__
    taken = {
        id(storages[n]): moved(storages[n])
        for n, leaf in donated.items()
        if storages[n] is leaf.storage  # type: ignore[attr-defined]
    }
    for node, storage in zip(nodes, storages, strict=True):  # of which several may be one place
        realized[node] = taken.get(id(storage), storage)


def _is_alone(wanted: Sequence[TensorCore], pending: Sequence[Node]) -> bool:
    """Whether nothing can go along with what is wanted."""
    if _older or differentiated:
        return False
    for reference in list(live):
        tensor = reference()
        if tensor is None:
            continue
        node = tensor._node
        if not (isinstance(node, Buffer) or node in pending or node in realized):
            return False
    live.clear()
    return all(not tensor._requires_grad or tensor.is_leaf for tensor in wanted)


def _compute_along(wanted: Sequence[TensorCore], pending: list[Node]) -> list[TensorCore]:
    """Compute the pending nodes and what goes along; the tensors that this gave values too."""
    waiting = _waiting()
    others = {node for node in waiting if node not in pending}
    roots = [t._node for t in wanted if t._requires_grad and not t.is_leaf]
    walked = Structure(realized)
    walked.walk(pending)
    for entry in differentiated:
        entry.note(walked.number)
    held = {node for node in others if node in walked.number}
    along, read = _along(walked, waiting, [node for node in waiting if node in others - held])
    walked.walk(along)
    pending += along
    for node in (*held, *along, *read):
        if any(t._requires_grad and not t.is_leaf for t, _ in waiting[node]):
            roots += read.get(node, [node])
    sources = [_source(node) for nodes in read.values() for node in nodes]
    held.update(node for node in sources if node in walked.number)
    kept = _kept(walked, pending, held, roots)
    _compute(pending + kept, wanted, walked)
    _release()
    left = [n for n in others & held if n.device is not None and n not in realized]
    _passed.extend(ref(node) for node in left)
    return [t for node in pending + kept for t, _ in waiting.get(node, ())]


def _release() -> None:
    """Let go of the expressions of losses whose backward pass is computed, as they are: a loss
    that is kept must not keep a step's weights."""
    left = []
    for entry in list(differentiated):
        if entry.is_done:
            tensor = entry.tensor()
            if tensor is None or tensor._node is not entry.node or entry.is_retained:
                continue
            if entry.node in realized:
                tensor._release()
                continue
        left.append(entry)
    differentiated.clear()
    differentiated.extend(left)


# --------------------------------------------------------------------------- live tensors


def _waiting() -> dict[Node, list[tuple[TensorCore, int]]]:
    """The live tensors that are not computed, by node, and how often each was looked at."""
    references = [*_older, *[(reference, 0) for reference in list(live)]]
    live.clear()
    _older.clear()
    found: dict[Node, list[tuple[TensorCore, int]]] = {}
    for reference, looks in references:
        tensor = reference()
        if tensor is not None:
            node = tensor._node
            if not isinstance(node, Buffer) and node not in realized:
                found.setdefault(node, []).append((tensor, looks))
                _older.append((reference, looks + 1))
    del _older[:-MAX_LIVE]
    return found


def _along(
    walked: Structure,
    waiting: Mapping[Node, Sequence[tuple[TensorCore, int]]],
    candidates: Iterable[Node],
) -> tuple[list[Node], dict[Node, list[Node]]]:
    """Which candidates, none of them part of the computation, are computed along; and the nodes
    in the computation that the others read, for each of these."""
    losses = {entry.node for entry in differentiated}
    along: list[Node] = []
    read: dict[Node, list[Node]] = {}
    left = MAX_BEYOND
    for node in candidates:
        if node not in losses and all(looks >= MAX_LOOKS for _, looks in waiting[node]):
            continue
        beyond = _beyond(node, walked.number, left)
        if beyond is None:
            continue
        outside, inside = beyond
        left -= len(outside)
        if not inside:
            continue
        little = 1.0 if node in losses else LITTLE
        limit = little * (sum(map(_work, outside)) + KEEPING * node.size)
        if _total_work(inside, frozenset(), frozenset(), limit) > limit:
            along.append(node)
        else:
            read[node] = inside
    return along, read


def _source(node: Node) -> Node:
    """What a node repeats, or has in another shape or order."""
    while isinstance(node, (Reshape, Permute, Expand, Detach)):
        node = node.x
    return node


def _beyond(
    node: Node, computed: Collection[Node], limit: int
) -> tuple[list[Node], list[Node]] | None:
    """What `node` needs outside a computation, and the nodes in it that these read. None for more
    than `limit` nodes, and for one of which a captured function is the only one to have values."""
    outside: list[Node] = []
    inside: list[Node] = []
    seen = {node}
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, Buffer):
            if not isinstance(top.storage, DeviceBuffer):
                return None
            continue
        if top in realized:
            continue
        if top in computed:
            inside.append(top)
            continue
        outside.append(top)
        if len(outside) > limit:
            return None
        for x in top.inputs:
            if x not in seen:
                seen.add(x)
                stack.append(x)
    return outside, inside


# --------------------------------------------------------------------------- what is kept


def _kept(
    walked: Structure, pending: Sequence[Node], held: Collection[Node], roots: Sequence[Node]
) -> list[Node]:
    """The nodes that are kept besides the pending ones: of the held ones and, for the backward
    pass, of what the roots are made of, those that cost more to compute again."""
    number = walked.number
    passed = {node for reference in _passed if (node := reference()) is not None}
    # passed before, and held no more: a chain that grows from one computation to the next
    growing = [number[node] for node in passed if node in number and node not in held]
    places = sorted(number[node] for node in held)
    at = sorted({number[root] for root in roots if root in number})
    if not places and not at:
        return []
    # what backward() has been through already needs nothing for it
    done = [entry.node for entry in differentiated if entry.is_done] if at else []
    done_at = [number.get(node, -1) for node in done]
    nodes = list(number)
    key = (walked.key(pending), *map(tuple, (places, sorted(growing), at, done_at)))
    chosen = _choices.get(key)
    if chosen is None or -1 in done_at:
        before = set(_below(done))
        dear = [n for n in _below([nodes[n] for n in at if nodes[n] not in before]) if _is_sum(n)]
        candidates = {**dict.fromkeys(dear, DEAR), **dict.fromkeys(held, KEEPING)}
        grown = {nodes[n] for n in growing}
        chosen = _choose(nodes, {*pending, *walked.leaves}, candidates, grown)
        while len(_choices) >= MAX_CHOICES:
            _choices.pop(next(iter(_choices)))
        _choices[key] = chosen
    return [nodes[n] for n in chosen]


def _choose(
    nodes: Sequence[Node],
    memory: set[Node],
    candidates: Mapping[Node, float],
    growing: Collection[Node],
) -> tuple[int, ...]:
    """The places of the nodes that are kept, where `memory` has those that are there anyway.

    `candidates` says for a node how many instructions an element are worth keeping it.
    """
    chosen = []
    for n, node in enumerate(nodes):
        worth = candidates.get(node)
        if worth is None or node in memory:
            continue
        limit = worth * node.size
        if _total_work([node], memory, growing, limit) > limit:
            chosen.append(n)
            memory.add(node)
    return tuple(chosen)


def _below(roots: Sequence[Node]) -> list[Node]:
    """The roots and what they are computed from, as far as gradients flow."""
    seen = dict.fromkeys(roots)
    stack = list(roots)
    while stack:
        node = stack.pop()
        if isinstance(node, Detach):
            continue
        for x in node.inputs:
            if x not in seen and not isinstance(x, Buffer) and x not in realized:
                seen[x] = None
                stack.append(x)
    return list(seen)


def _is_sum(node: Node) -> bool:
    """Whether a node has memory in any schedule, so that keeping it stores nothing more."""
    return isinstance(node, (Reduce, Fold, Scatter, Sort))


def _total_work(
    nodes: Sequence[Node], memory: Collection[Node], growing: Collection[Node], limit: float
) -> float:
    """What it costs to compute the nodes from memory; any number above `limit` if it is above.
    What is `growing` costs more than anything."""
    total = 0.0
    seen = set(nodes)
    stack = list(nodes)
    while stack and total <= limit:
        node = stack.pop()
        if node in growing:
            return float("inf")
        total += _work(node)
        for x in node.inputs:
            if x not in seen and x not in memory and not isinstance(x, Buffer):
                seen.add(x)
                if x not in realized:
                    stack.append(x)
    return total


def _work(node: Node) -> float:
    """What a node costs, given its inputs."""
    if isinstance(node, (Reduce, Fold)):
        return float(node.x.size)
    if isinstance(node, (Elementwise, RandomBits)):
        return node.size * node.cost
    if isinstance(node, Gather):
        return 4.0 * node.size
    if isinstance(node, Scatter):
        return node.size + 4.0 * node.values.size
    if isinstance(node, Sort):
        return 8.0 * node.x.size * log2(node.x.size + 2)
    return 0.0
