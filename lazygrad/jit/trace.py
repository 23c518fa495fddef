"""Run a function to see what it would do to tensors, without doing it.

While a function is traced, properties overlay the slots of all tensors:

- A tensor from outside reads as a Buffer whose storage is a `Symbol`: the tensor's value at the
  time of a call. So the tensors that the function reads are known exactly, even if others have the
  same value or node.
- What the function sets of such a tensor (by assign, backward, ...) is noted, not done. An
  exception leaves everything as it was.
- Tensors that the function makes behave as usual. Weak references tell which of them live on.

`realize` returns symbols, too, so that the whole function becomes one graph.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import prod
from threading import Lock
from typing import Any

from ..dtypes import DType
from ..errors import JitError
from ..graph.ir import Buffer, Node, Reshape, Shape, topological
from ..graph.structure import Walk
from ..questions import Question, questions
from ..rewrite import Rules, rewrite
from ..runtime.buffer import interceptor, realized
from ..runtime.device import Device
from ..tensor.core import TensorCore, grad_enabled, owners
from ..tensor.realize import mine, written
from ..tensor.results import Size
from ..tensor.sharing import SLOTS, Sharing, slot
from ..tensor.views import follow, is_detached
from .sizes import read

tracing: ContextVar[Trace | None] = ContextVar("tracing", default=None)


@dataclass(eq=False, slots=True)
class Symbol:
    """The storage of a value that is known only at the time of a call: the value of `tensor`, or of
    `node`, which realize() was asked for."""

    size: int
    dtype: DType
    device: str
    tensor: TensorCore | None = None
    node: Node | None = None

    def numpy(self) -> Any:
        """Raises JitError: there is no value yet."""
        raise JitError(
            "jit: the function reads a value on the host (numpy(), item(), tolist(), bool() or "
            "print of a tensor that depends on its arguments or on state); it would stay what it "
            "is in this call. Return the tensor and read it outside, or use where() for a choice"
        )

    item = numpy


@dataclass(eq=False, slots=True)
class Outside:
    """What a trace knows of a tensor from outside: its symbol, and what was set."""

    tensor: TensorCore
    buffer: Buffer | None = None
    values: dict[str, Any] = field(default_factory=dict)  # that slots were set to
    known: dict[str, Any] = field(default_factory=dict)  # that slots read as
    read_grad: bool = False


class Trace:
    """What a traced function reads, sets and makes."""

    def __init__(
        self,
        arguments: Sequence[TensorCore] = (),
        watch: Any = None,
        notes_questions: bool = False,
        resized: Mapping[int, Shape] | None = None,
    ) -> None:
        """`watch` sees what is looked up in Python objects. `notes_questions`: what is asked of
        sizes is noted (sizes.py). `resized` has the shapes that tensors from outside, by id, are
        taken to have in place of their own."""
        self.watch = watch
        self.resized = resized or {}
        self.arguments = {id(tensor) for tensor in arguments}
        self.outside: dict[int, Outside] = {}
        self.made: dict[int, weakref.ref[TensorCore]] = {}
        self.grad_of: dict[int, TensorCore] = {}  # by a gradient's id, the tensor that it is of
        self.views: dict[int, tuple[TensorCore, TensorCore]] = {}  # from outside, and their bases
        self.questions: list[Question] | None = [] if notes_questions else None
        self.unread: list[TensorCore] = []  # views whose base was read anew, for this trace alone
        self.promised: list[Node] = []  # nodes for which realize() returned a symbol

    # ------------------------------------------------------------------ the slots of tensors

    def get(self, name: str, tensor: TensorCore) -> Any:
        """The value of a slot of a tensor from outside."""
        record = self.outside.get(id(tensor))
        if record is not None and name in record.known:
            return record.known[name]
        if name == "_own" and _is_view(tensor):
            return self._viewed(tensor)
        record = record or self._outside(tensor)
        if name == "_own":
            return self.buffer_of(record)
        if name in ("_history", "_variable"):
            return None  # its past is outside
        value = record.known[name] = slot[name].__get__(tensor)
        if name == "_grad":
            record.read_grad = True
            if value is not None:
                self.grad_of[id(value)] = tensor
        return value

    def set(self, name: str, tensor: TensorCore, value: Any) -> None:
        """Note what is set of a tensor from outside; or, at the first value of a slot, that the
        function is making this tensor."""
        if id(tensor) not in self.outside and not _is_set(tensor, name):
            self.made[id(tensor)] = weakref.ref(tensor)  # its first value: it is being made
            slot[name].__set__(tensor, value)
        elif name != "_grad" and _is_view(tensor):
            self.unread.append(tensor)  # what a view is follows from its base
        else:
            record = self._outside(tensor)
            record.values[name] = record.known[name] = value

    def is_made(self, tensor: TensorCore) -> bool:
        """Whether the function made this tensor."""
        made = self.made.get(id(tensor))
        return made is not None and made() is tensor

    def _outside(self, tensor: TensorCore) -> Outside:
        record = self.outside.get(id(tensor))
        if record is None:
            record = self.outside[id(tensor)] = Outside(tensor)
        return record

    def _viewed(self, tensor: TensorCore) -> Node:
        """The node of a view of a tensor from outside: what it shows at the time of a call."""
        base, path = tensor._base, tensor._path
        assert base is not None
        self.views[id(tensor)] = tensor, base
        if base._base is not None or self.is_made(base):
            return follow(path, base._in_memory(base._node))
        record = self._outside(base)
        if "_own" in record.values:
            return follow(path, base._in_memory(record.values["_own"]))
        return follow(path, base._in_memory(self.buffer_of(record, is_detached(path))))

    def buffer_of(self, record: Outside, is_constant: bool = False) -> Buffer:
        """The node that stands for the value of a tensor from outside. `is_constant`: no gradient
        flows to it."""
        tensor = record.tensor
        requires_grad = slot["_requires"].__get__(tensor)
        node: Node = slot["_own"].__get__(tensor)
        owner = owners.get(node)
        is_leaf = owner is not None and owner() is tensor
        if id(tensor) in self.arguments:
            is_leaf = requires_grad  # its past is outside
        elif requires_grad and grad_enabled.get() and not is_leaf and not is_constant:
            raise JitError(
                f"jit: a tensor of shape {node.shape} from outside the function carries "
                "gradient to what it was computed from, which would be lost; "
                "take its detach() outside, and use that"
            )
        if record.buffer is None:
            shape = self.resized.get(id(tensor), node.shape)
            device = node.device or Device.DEFAULT
            record.buffer = Buffer(Symbol(prod(shape), node.dtype, device, tensor), shape)
            if is_leaf:
                owners[record.buffer] = weakref.ref(tensor)
        if not requires_grad or is_leaf:
            record.known.setdefault("_own", record.buffer)
        return record.buffer

    # ------------------------------------------------------------------ realize

    def realize(self, nodes: Sequence[Node]) -> list[Any]:
        """Symbols for nodes that depend on symbols; the other nodes are constant, and are computed
        now."""
        constant = [n for n in nodes if not isinstance(n, Buffer) and not self.is_symbolic(n)]
        found: dict[Node, Any] = {}
        if constant:
            from ..realize import realize  # loaded when there is something to compile

            token = interceptor.set(None)
            try:
                found = dict(zip(constant, realize(constant), strict=True))
            finally:
                interceptor.reset(token)
        for node in nodes:
            if isinstance(node, Buffer):
                found[node] = node.storage
            elif node not in found:
                device = node.device or Device.DEFAULT
                found[node] = Symbol(node.size, node.dtype, device, node=node)
                self.promised.append(node)
        return [found[node] for node in nodes]

    def is_symbolic(self, node: Node) -> bool:
        """Whether a node's value depends on a symbol."""
        found = False

        def inputs(n: Node) -> Sequence[Node]:
            nonlocal found
            storage = n.storage if isinstance(n, Buffer) else realized.get(n)
            found = found or isinstance(storage, Symbol)
            return () if storage is not None or found else n.inputs

        topological([node], inputs)
        return found

    def resolve(self, outputs: Sequence[Node]) -> tuple[list[Node], Walk]:
        """The outputs, in which nodes take the place of the symbols that realize() returned for
        them, so that only symbols of tensors are left; and a walk of these outputs."""
        walked = Walk(realized)
        walked.walk(outputs)
        if not any(_stands_for(leaf) is not None for leaf in walked.leaves):
            return list(outputs), walked
        replace: dict[Node, Node] = {}

        def inputs(node: Node) -> Sequence[Node]:
            value = _stands_for(node)
            if value is None:
                return node.inputs
            replace[node] = value
            return (value,)

        topological(outputs, inputs)
        resolved = rewrite(outputs, Rules(), replace)
        walked = Walk(realized)
        walked.walk(resolved)
        return resolved, walked


def _stands_for(node: Node) -> Node | None:
    """What a node with a symbol stands for: the node that realize() was asked for, or a Buffer of
    the tensor's value; None for any other node, and for that Buffer itself."""
    storage = node.storage if isinstance(node, Buffer) else realized.get(node)
    if not isinstance(storage, Symbol):
        return None
    value = storage.node
    if value is None:
        value = Buffer.of(node, storage)
    elif value.shape != node.shape:
        value = Reshape(value, node.shape)
    return None if value is node else value


def _is_view(tensor: TensorCore) -> bool:
    """Whether the node of a tensor from outside follows from its base: a view, but no variable."""
    if tensor._base is None:
        return False
    owner = owners.get(slot["_own"].__get__(tensor))
    return owner is None or owner() is not tensor


def _is_set(tensor: TensorCore, name: str) -> bool:
    """Whether a tensor's own slot has been set."""
    try:
        slot[name].__get__(tensor)
    except AttributeError:
        return False
    return True


def _overlay(name: str) -> Any:
    """The property that stands in the class for a slot, while anything is traced."""
    own_get, own_set = slot[name].__get__, slot[name].__set__

    def look_up(tensor: TensorCore) -> Any:
        trace = tracing.get()
        if trace is None:
            return own_get(tensor)
        made = trace.made.get(id(tensor))  # is_made(), without a call: nearly all are
        if made is not None and made() is tensor:
            return own_get(tensor)
        return trace.get(name, tensor)

    def change(tensor: TensorCore, value: Any) -> None:
        trace = tracing.get()
        if trace is None:
            own_set(tensor, value)
            return
        made = trace.made.get(id(tensor))
        if made is not None and made() is tensor:
            own_set(tensor, value)
        else:
            trace.set(name, tensor, value)

    return property(look_up, change)


def _begin(tensor: TensorCore, node: Node, requires_grad: bool) -> None:
    """Takes the place of Sharing._begin while anything is traced: it fills the slots directly."""
    trace = tracing.get()
    if trace is not None:
        trace.made[id(tensor)] = weakref.ref(tensor)
    for put, value in zip(_setters, (node, None, requires_grad, None, None), strict=True):
        put(tensor, value)
    tensor._version = 0
    tensor._base = None
    tensor._shown = None
    mine.live.append(weakref.ref(tensor))


def _shape(tensor: TensorCore) -> Size:
    """Takes the place of Sharing.shape while anything is traced."""
    return read(tensor._node.shape, sys._getframe(1))


_setters = [slot[name].__set__ for name in SLOTS]
_overlays = {name: _overlay(name) for name in SLOTS}
_overlays |= {"_begin": _begin, "shape": property(_shape)}
_own = {name: Sharing.__dict__[name] for name in _overlays}
_installed = 0
_lock = Lock()


@contextmanager
def overlaid(trace: Trace) -> Iterator[None]:
    """Trace what this thread does to tensors. Other threads see nothing of it."""
    _install(1)
    tokens = tracing.set(trace), interceptor.set(trace.realize), questions.set(trace.questions)
    try:
        yield
    finally:
        tracing.reset(tokens[0])
        interceptor.reset(tokens[1])
        questions.reset(tokens[2])
        _install(-1)
        if trace.watch is not None:
            trace.watch.close()
        for view in trace.unread:
            view._seen = -1
        trace.unread.clear()
        for node in trace.promised:
            realized.forget(node)
        for tensor in trace.made:  # symbols are not for others to realize along
            written.pop(tensor, None)


def _install(change: int) -> None:
    """Count the traces; the overlays are in place while there is one."""
    global _installed
    with _lock:
        before, _installed = _installed, _installed + change
        if bool(before) != bool(_installed):
            for name, value in (_overlays if _installed else _own).items():
                setattr(Sharing, name, value)
