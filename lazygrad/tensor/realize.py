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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from threading import enumerate as enumerate_threads
from threading import get_ident, local
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import ref

from .. import config
from ..cache import remember
from ..errors import ConfigError, DeviceError, NonFiniteError, OutOfMemoryError
from ..garbage import without_collections
from ..graph.gradient import differentiable_inputs, needs_values
from ..graph.ir import Buffer, Detach, Expand, Node, Permute, Reshape, deferred, sources
from ..graph.structure import Walk
from ..looking import looking
from ..runtime.buffer import DeviceBuffer, interceptor, realized
from .donate import accepted, moved
from .keep import KEEPING, kept, note_passed, total_work, work

if TYPE_CHECKING:
    from .core import TensorCore

LITTLE = 8.0  # what is computed along costs at most this part of what it would cost alone
MAX_LIVE = 512  # live tensors that are remembered, the newest
MAX_THREADS = 64  # whose live tensors are remembered
MAX_LOOKS = 4  # computations of which a live tensor is asked whether it could go along
MAX_BEYOND = 2000  # nodes outside a computation that are looked at for what could go along

written: dict[int, tuple[ref[Any], int]] = {}
"""Tensors (by id) that were written, and not computed since; and by which thread: another might be
about to write them again."""


@dataclass(eq=False, slots=True)
class Differentiated:
    """A tensor that backward() was called on, its expression, those of the gradients, and of the
    results that the backward pass went through."""

    tensor: ref[TensorCore]
    node: Node
    gradients: list[ref[Node]]
    between: list[tuple[ref[TensorCore], ref[Node]]]  # results that it was computed from
    is_retained: bool  # for another backward pass
    is_done: bool = False  # some gradient is computed, or nobody holds one any more

    def note(self, computed: Collection[Node]) -> None:
        """Note whether it is done when these nodes are computed."""
        alive = [node for reference in self.gradients if (node := reference()) is not None]
        self.is_done = self.is_done or not alive or any(node in computed for node in alive)


class Mine(local):
    """What waits to be computed in this thread. Others may keep the values of its live tensors,
    which they find by their nodes, but change no tensor of it."""

    def __init__(self) -> None:
        self.live: deque[ref[Any]] = deque(maxlen=1 << 14)
        """Every result of an operation since values were asked for last."""
        self.older: list[tuple[ref[TensorCore], int]] = []
        """Live ones, and how often they were looked at."""
        self.carrying: deque[ref[TensorCore]] = deque(maxlen=MAX_LIVE)
        """Computed ones that carry gradient."""
        self.shared: dict[int, ref[Any]] = {}
        """Views (by id) that were computed, or detached, while somebody held their base. With each
        realization those part from bases that nobody else holds any more, and the graphs behind
        these."""
        self.differentiated: deque[Differentiated] = deque(maxlen=64)
        """What backward() was called on, until that and the gradients are computed."""
        _threads.add(self)


class _Threads(dict[int, tuple[deque[ref[Any]], list[tuple[ref[Any], int]]]]):
    """The live tensors of each thread; of one that has ended, as long as there are any."""

    def add(self, new: Mine) -> None:
        """Know the live tensors of the thread that runs."""
        remember(self, get_ident(), (new.live, new.older), MAX_THREADS)

    def others(self) -> list[Node]:
        """The nodes of the live tensors of other threads."""
        if len(self) == 1:
            return []
        found: list[TensorCore] = []
        for thread, (live, older) in list(self.items()):
            if live is mine.live:
                continue
            references = (*list(live), *[reference for reference, _ in list(older)])
            tensors = [tensor for reference in references if (tensor := reference()) is not None]
            if not tensors and all(each.ident != thread for each in enumerate_threads()):
                self.pop(thread, None)
            found += tensors
        nodes = [tensor._own for tensor in found]
        return [node for node in nodes if not isinstance(node, Buffer) and node not in realized]


_threads = _Threads()

mine = Mine()


def note_backward(
    tensor: TensorCore,
    gradients: Iterable[TensorCore],
    passed: Iterable[Node],
    is_retained: bool,
) -> None:
    """Remember that backward() was called on a tensor, gave these gradients, and has passed these
    nodes."""
    if interceptor.get() is None:
        nodes = [ref(gradient._node) for gradient in gradients]
        between = [] if is_retained else list(_results(set(passed), tensor))
        mine.differentiated.append(
            Differentiated(ref(tensor), tensor._node, nodes, between, is_retained)
        )


def _results(passed: Collection[Node], loss: TensorCore) -> Iterator[tuple[Any, Any]]:
    """The results of operations that Python holds and that a backward pass has passed, but for the
    loss; and their nodes."""
    for reference in (*mine.live, *(each for each, _ in mine.older), *mine.carrying):
        tensor = reference()
        if tensor is not None and tensor is not loss and not tensor.is_leaf:
            node = tensor._node
            if node in passed:
                yield reference, ref(node)


def realize_all(tensors: Iterable[TensorCore]) -> None:
    """Compute all the tensors that are not computed yet, in one go, and what goes along."""
    wanted = [tensor for tensor in tensors if type(tensor._node) is not Buffer]
    if not wanted:
        return
    others = _written_besides(wanted) if written else []
    pending = _pending((*wanted, *others))
    if pending:
        try:
            walked = _compute_apart(wanted, others) if others and not interceptor.get() else None
            wanted += others
            pending = [node for node in pending if node not in realized]
            if interceptor.get() or _is_alone(wanted, pending):
                walked = None  # which holds leaves whose memory may be taken over
                _compute(pending, wanted)
            else:
                with without_collections():
                    wanted += _compute_along(wanted, pending, walked or Walk(realized))
        except (IndexError, NonFiniteError):
            forget()
            raise
    for tensor in wanted:
        node = tensor._node
        storage = realized.get(node)  # none where another thread has written to it meanwhile
        if storage is not None and type(node) is not Buffer:
            tensor._settle(storage)
            if node.device is None and tensor._own is not node:
                realized.forget(node)  # a constant, which is computed again where it is used
        if storage is not None or type(node) is Buffer:
            written.pop(id(tensor), None)
    if mine.shared and interceptor.get() is None:
        _part_views()


def _pending(tensors: Iterable[TensorCore]) -> list[Node]:
    """The values of tensors that are not computed yet."""
    return list(dict.fromkeys([node for t in tensors if (node := t._node) not in realized]))


def _compute_apart(wanted: Sequence[TensorCore], others: Sequence[TensorCore]) -> Walk:
    """Compute those of the other tensors that have nothing to do with what is wanted, and read more
    than one tensor: a metric of the batch before this one. In one computation, the sizes of both
    batches would be a program of their own. Returns a walk to what is wanted."""
    walked = Walk(realized)
    walked.walk(_pending(wanted))
    apart = [each for each in others if _reads_others(each._node, walked.number)]
    if apart:
        _compute(_pending(apart), apart)
    return walked


def _reads_others(node: Node, computed: Collection[Node]) -> bool:
    """Whether a node needs several values in memory, and nothing that is computed."""
    leaves = 0
    seen, stack = {node}, [node]
    while stack:
        top = stack.pop()
        if top.device is None:  # it is made of constants, as indices are
            continue
        if isinstance(top, Buffer) or top in realized:
            leaves += 1
            continue
        if top in computed:
            return False
        new = [x for x in sources(top) if x not in seen]
        seen.update(new)
        stack += new
    return leaves > 1


def compute_alone(node: Node) -> DeviceBuffer:
    """Compute a node, and nothing along with it: where an operation reads its input while it is
    written down, no tensor may lose its expression, which a derivative may need."""
    if isinstance(node, Buffer):
        return node.storage  # type: ignore[return-value]
    if node not in realized:
        _compute([node], [])
    return realized[node]


def forget() -> None:
    """Let nothing go along that waits to: where an index in it is out of range, or CHECK=nan finds
    a nan, every other computation would fail too. It is computed, and fails, when it is asked for
    itself."""
    for waiting in (written, mine.live, mine.older, mine.carrying, mine.differentiated):
        waiting.clear()


def _part_views() -> None:
    for key, reference in list(mine.shared.items()):
        view = reference()
        if view is None or view._base is None or view._part_computed():
            mine.shared.pop(key, None)


def _written_besides(wanted: Sequence[TensorCore]) -> list[TensorCore]:
    """The tensors that this thread has written, of the devices of those that are wanted, and not
    among these."""
    devices = {tensor._node.device for tensor in wanted}
    own = set(map(id, wanted))
    found = []
    for key in list(written):
        entry = written.get(key)  # another thread may have taken it away
        tensor = None if entry is None else entry[0]()
        if entry is None or tensor is None:
            written.pop(key, None)
        elif key not in own and entry[1] == get_ident() and tensor._node.device in devices:
            found.append(tensor)
    return found


def _compute(
    nodes: Sequence[Node], wanted: Sequence[TensorCore], walked: Walk | None = None
) -> None:
    """Compute the nodes, and remember their storage. They are values of the wanted tensors, and
    others; `walked` has been walked to them already."""
    if config.ORIGINS:
        from .naming import name_results  # here: few programs are looked at

        name_results(wanted)
    donated: dict[int, Node] = {}
    if config.OPT:
        donated, walked = accepted(wanted, nodes, walked)
    try:
        storages = _realizer().realize(nodes, walked, donated)
    except (
        ConfigError, DeviceError, IndexError, NonFiniteError, OutOfMemoryError
    ) as error:  # fmt: skip
        # the user's to mend, and all in the message: the way there leads through the compiler
        raise error.with_traceback(None) from error.__cause__
    if donated:
        storages = moved(storages, donated)
    for node, storage in zip(nodes, storages, strict=True):
        realized[node] = storage


@cache
def _realizer() -> ModuleType:
    """What finds plans and runs them, which is loaded when there is something to compute."""
    with without_collections():
        return import_module("..realize", __package__)


def _is_alone(wanted: Sequence[TensorCore], pending: Sequence[Node]) -> bool:
    """Whether nothing can go along with what is wanted."""
    if mine.differentiated or len(_threads) > 1:
        return False
    for reference in (*(each for each, _ in mine.older), *mine.live):
        if (tensor := reference()) is not None:
            node = tensor._node
            if not (type(node) is Buffer or node in pending or node in realized):
                return False
    mine.live.clear()
    return all(not tensor._requires_grad or tensor.is_leaf for tensor in wanted)


def _compute_along(
    wanted: Sequence[TensorCore], pending: list[Node], walked: Walk
) -> list[TensorCore]:
    """Compute the pending nodes and what goes along; the tensors that this gave values too.
    `walked` has been walked to some of the nodes."""
    waiting = _waiting()
    others = dict.fromkeys(n for n in (*waiting, *_threads.others()) if n not in pending)
    roots = [t._node for t in wanted if t._requires_grad and not t.is_leaf]
    walked.walk(pending)
    if walked.has_calls and walked.structure.is_too_coarse:
        walked = walked.whole(pending)
    differentiated = mine.differentiated
    for entry in differentiated:
        entry.note(walked.number)
    held = {node for node in others if node in walked.number}
    along, read = _along(walked, waiting, [n for n in waiting if n in others and n not in held])
    walked.walk(along)
    pending += along
    for node in (*held, *along, *read):
        for tensor, _ in waiting.get(node, ()):
            if tensor._requires_grad and not tensor.is_leaf:
                roots += read.get(node, [node])
                break
    for nodes in read.values():
        held.update(source for node in nodes if (source := _source(node)) in walked.number)
    done = [entry.node for entry in differentiated if entry.is_done]
    if config.ORIGINS:
        from .naming import name_results

        name_results(t for node in (*pending, *held) for t, _ in waiting.get(node, ()))
    also = kept(walked, pending, held, roots, done) if held or roots else []
    if not walked.number.keys() >= set(also):
        walked = walked.whole(pending)
    try:
        _compute(pending + also, wanted, walked)
    except OutOfMemoryError:
        if not also:
            raise
        also = []
        _compute(pending, wanted, walked)
    if also and (record := looking.get()) is not None:
        record.compilation.kept = also
    _release()
    left = [n for n in held if n in others and n.device is not None and n not in realized]
    if left:
        note_passed(left)
    return [t for node in pending + also for t, _ in waiting.get(node, ())]


def _release() -> None:
    """Let go of the expressions that a computed backward pass has passed: those of losses that are
    computed, which must not keep a step's weights, and of other results, as in PyTorch. What needs
    no values for its derivative stays differentiable, there as here."""
    left = []
    differentiated = mine.differentiated
    if not differentiated:
        return
    for entry in list(differentiated):
        if not entry.is_done:
            left.append(entry)
            continue
        for reference, node in entry.between:
            result = reference()
            if result is not None and result._node is node() and _needs_values(result._node):
                result._release()
        entry.between.clear()
        tensor = entry.tensor()
        if tensor is None or tensor._node is not entry.node or entry.is_retained:
            continue
        if entry.node in realized:
            tensor._release()
        else:
            left.append(entry)
    differentiated.clear()
    differentiated.extend(left)


def _needs_values(node: Node) -> bool:
    """Whether a backward pass from a node needs values."""
    seen, stack = {node}, [node]
    while stack:
        top = stack.pop()
        if needs_values(top):
            return True
        new = [x for x in differentiable_inputs(top) if x not in seen]
        seen.update(new)
        stack += new
    return False


# --------------------------------------------------------------------------- live tensors


def _waiting() -> dict[Node, list[tuple[TensorCore, int]]]:
    """The live tensors that are not computed, by node, and how often each was looked at."""
    older, carrying = mine.older, mine.carrying
    new = [(reference, 0) for reference in list(mine.live) if reference() is not None]  # few
    references = older + new
    mine.live.clear()
    older.clear()
    found: dict[Node, list[tuple[TensorCore, int]]] = {}
    for reference, looks in references:
        tensor = reference()
        if tensor is not None:
            node = tensor._node
            if type(node) is not Buffer and node not in realized:
                found.setdefault(node, []).append((tensor, looks))
                older.append((reference, looks + 1))
            elif not tensor.is_leaf:
                carrying.append(reference)
    del older[:-MAX_LIVE]
    return found


def _along(
    walked: Walk,
    waiting: Mapping[Node, Sequence[tuple[TensorCore, int]]],
    candidates: Collection[Node],
) -> tuple[list[Node], dict[Node, list[Node]]]:
    """Which candidates, none of them part of the computation, are computed along; and the nodes
    in the computation that the others read, for each of these."""
    along: list[Node] = []
    read: dict[Node, list[Node]] = {}
    if not candidates:
        return along, read
    losses = {entry.node for entry in mine.differentiated}
    number = walked.number
    left = MAX_BEYOND
    for node in candidates:
        if node not in losses and all(looks >= MAX_LOOKS for _, looks in waiting[node]):
            continue
        if type(node) in deferred and not number.keys().isdisjoint(node.call.alive()):
            along.append(node)  # another result of what is computed
            continue
        beyond = _beyond(node, number, left)
        if beyond is None:
            continue
        outside, inside = beyond
        left -= len(outside)
        if not inside:
            continue
        little = 1.0 if node in losses else LITTLE
        limit = little * (sum(map(work, outside)) + KEEPING * node.size)
        if total_work(inside, (), (), limit) > limit:
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
        for x in sources(top):
            if x not in seen:
                seen.add(x)
                stack.append(x)
    if inside and any(type(x) in deferred for x in outside):  # what calls cost is to be known
        for x in outside:
            _ = x.inputs
        return _beyond(node, computed, limit)
    return outside, inside
