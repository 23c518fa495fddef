"""From a function to a replay: trace it, compile what it computes, and note what it does."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import Any

import numpy as np

from .. import config
from ..errors import JitError
from ..garbage import without_collections
from ..graph.ir import Node
from ..origin import title
from ..plans import known_only
from ..questions import Question
from ..realize import plan_for, storage_of
from ..runtime.report import report_traced
from ..tensor import Tensor
from ..tensor.core import TensorCore, grad_enabled
from ..tensor.mode import chosen_mode
from ..tensor.realize import realize_all
from .cells import Cell, GradientCell, Read, kind_of
from .environment import Environment, Resized
from .guard import Guard
from .owner import MISSING, Owner, put
from .replay import Argument, Effects, Fresh, Held, Integer, Item, Replay, State, View
from .sizes import WatchedSize, have_one_answer, integer, watched
from .structure import Arguments, Entry, Replacing
from .trace import Outside, Symbol, Trace, overlaid
from .watch import Watch


class Capture:
    """One capture of a function for the arguments of one call."""

    def __init__(
        self,
        arguments: Arguments,
        name: str,
        newest: Replay | None = None,
        may_vary: bool = False,
        notes_questions: bool = False,
        integers: Collection[Entry] = (),
        resized: Resized | None = None,
    ) -> None:
        """`name` is the function's, for dumps; `newest` is the replay of an earlier capture;
        `may_vary`: constants may become arguments of the plan; `notes_questions`: what is asked of
        sizes is noted, among them `integers`; `resized` has other sizes for what is outside."""
        self.arguments = arguments
        self.name = name
        self.random_state: TensorCore = Tensor._random_state(None)[1]  # made before it is traced
        self.newest = newest
        self.may_vary = may_vary
        self.notes_questions = notes_questions
        resized = resized or Resized({}, {})
        self.watch = Watch(integers, resized.integers)
        self.trace = Trace(arguments.tensors, self.watch, notes_questions, resized.shapes)
        self.numbers: dict[int, int] = {}  # of argument tensors not found outside as well, by id
        self.outputs: list[Node] = []
        self.effects = Effects()
        self.donated: dict[int, Node] = {}
        self.result: Any = None
        self.states: list[State] = []  # all that templates mention
        self.integers: list[int] = []  # that follow from sizes, in templates
        self.made: dict[int, Fresh] = {}  # by the id of a tensor that the function made
        self.placed: dict[int, Fresh] = {}  # of these, what each call sets again where it is kept
        self.growing: list[TensorCore] = []  # made, and added to lists in each call
        self.kept: dict[Fresh, TensorCore] = {}  # made, and kept outside

    def run(self, function: Any, args: Any, kwargs: Any, is_last: bool) -> tuple[Replay, bool, Any]:
        """Trace the function and replay it once. Returns the replay, whether it serves later calls,
        too, and the result.

        It does not serve them where the function made tensors that live on in unknown places: a
        first call may make state and caches, which the next one finds. Raises JitError where such
        tensors are made in the `is_last` attempt, too, and for what cannot be captured. After an
        exception everything is as it was.
        """
        try:
            self._trace(function, args, kwargs)
            replay, serves = self._replay(is_last)
            return replay, serves, replay.run(self.arguments, self.kept)
        except BaseException:
            self.watch.restore()
            raise

    def look(
        self, function: Any, args: Any, kwargs: Any, asked: Sequence[Question]
    ) -> Replay | None:
        """As `run`, but nothing is computed, compiled or set: afterwards everything is as it was.
        Returns the replay, if it serves later calls, and if the answers to what was `asked` of
        sizes are as they were. Raises LookupError where no plan is known for these sizes."""
        token = known_only.set(True)
        try:
            self._trace(function, args, kwargs)
            if not have_one_answer(asked, self.trace.questions or ()):
                return None
            replay, serves = self._replay(False)
            return replay if serves else None
        finally:
            known_only.reset(token)
            self.watch.restore()

    def _replay(self, is_last: bool) -> tuple[Replay, bool]:
        """The replay, and whether it serves later calls."""
        with without_collections():
            realize_all([record.tensor for record in self.trace.outside.values()])
            self._note_changes()
            self._note_outside()
            serves = self._note_kept(is_last)
            return self._compiled(), serves

    # ------------------------------------------------------------------ tracing

    def _trace(self, function: Any, args: Any, kwargs: Any) -> None:
        """Run the function on the arguments, and note its result."""
        begin = perf_counter()
        modes = chosen_mode(), grad_enabled.get()
        with without_collections(), overlaid(self.trace), _parted(self.arguments.tensors):
            self.watch.visit((args, tuple(kwargs.values())), outside=False)
            self.watch.visit(function)
            if self.notes_questions:
                args = tuple(map(watched, args))
                kwargs = {name: watched(value) for name, value in kwargs.items()}
            result = function(*args, **kwargs)
            self.watch.finish()
        if (chosen_mode(), grad_enabled.get()) != modes:
            raise JitError(
                "jit: the function leaves Tensor.training or no_grad other than it was; "
                "set it outside, or for the time of a `with`"
            )
        self.watch.verify_random()
        found = self.watch.tensors
        tensors = list(enumerate(self.arguments.tensors))
        self.numbers = {id(t): n for n, t in reversed(tensors) if id(t) not in found}
        self.result = _StandIns(self, self.made)(result)
        if config.DEBUG:
            report_traced(self.name, perf_counter() - begin)

    def stand_in(self, value: Any) -> Any:
        """The Place (replay.py) that stands for a tensor, container or object in a template: an
        output, an argument, or something from outside; NotImplemented for a value that is looked
        into."""
        if not isinstance(value, TensorCore):
            owner = self.watch.owners.get(id(value))
            if owner is None or owner.is_named:
                if hasattr(type(value), "__next__") or hasattr(type(value), "__await__"):
                    raise JitError(
                        f"jit: the function returns or keeps a {type(value).__name__}, which runs "
                        "later, outside of it; return the values"
                    )
                return NotImplemented
            return self._holder(owner)
        number = self.numbers.get(id(value))
        if number is not None:
            return Argument(number)
        if not self.trace.is_made(value):
            return self._state(value)
        base = value._base
        if base is not None and not self.trace.is_made(base):
            return View(self.stand_in(base), value._path)
        return self._fresh(value)

    def _fresh(self, tensor: TensorCore) -> Fresh:
        same = self.made.get(id(tensor))
        if same is None:
            is_variable = tensor._requires_grad and tensor.is_leaf
            same = self.made[id(tensor)] = Fresh(self._output(tensor._node), is_variable)
        return same

    def _holder(self, owner: Owner) -> State | Item:
        """The Place of an owner's container or object, from outside or in the arguments."""
        if not owner.outside:
            for number, value in enumerate(self.arguments.objects):
                if value is owner.holder:
                    return Item(number)
        return self._state(owner.holder)

    def _state(self, value: Any) -> State:
        self.states.append(State(value))
        return self.states[-1]

    def _output(self, node: Node) -> int:
        self.outputs.append(node)
        return len(self.outputs) - 1

    # ------------------------------------------------------------------ what the function does

    def _note_changes(self) -> None:
        """Note what the function set in Python objects."""
        for owner, key, before, now in self.watch.changes():
            holder = owner.holder
            if isinstance(holder, np.ndarray):
                raise JitError(
                    f"jit: the function writes into a NumPy array of shape {holder.shape}, which "
                    "a replayed call would not; use a Tensor"
                )
            if key is None and len(now) > len(before) and list(self._made_in(now)):
                self.growing += self._made_in(now)
                continue
            self._verify_gradient_stays(before, now)
            stand_ins = _StandIns(self, self.placed)
            template = stand_ins(now)
            plain = _Plain()
            new = plain(key)
            if plain.has_sizes:
                put(holder, key, MISSING)  # or it would stay, as an equal key
                key = new
            if stand_ins.has_sizes or plain.has_sizes:
                put(holder, key, plain(now))
            held = Held(self._holder(owner), key, template)
            self.effects.held.append(held)

    def _made_in(self, value: Any) -> Iterator[TensorCore]:
        """The tensors in lists and tuples that the function made."""
        if isinstance(value, TensorCore):
            if self.trace.is_made(value):
                yield value
        elif isinstance(value, (list, tuple, deque)):
            for item in value:
                yield from self._made_in(item)

    def _verify_gradient_stays(self, before: Any, now: Any) -> None:
        """Raise JitError where a kept tensor would let gradient flow from one call to the one
        before."""
        gradients = any("_grad" in record.values for record in self.trace.outside.values())
        if not gradients or not isinstance(before, (TensorCore, tuple)):
            return
        old = before if isinstance(before, tuple) else (before,)
        if any(id(tensor) in self.trace.outside for tensor in old) and any(
            tensor._requires_grad and not tensor.is_leaf for tensor in self._made_in(now)
        ):
            raise JitError(
                "jit: the function keeps a tensor for its next call that carries gradient to what "
                "it was computed from, which would be lost; keep its detach()"
            )

    def _note_outside(self) -> None:
        """Note what the function set of tensors that it did not make."""
        effects = self.effects
        for record in list(self.trace.outside.values()):  # reading slots below may add records
            tensor, values = record.tensor, record.values
            number = self.numbers.get(id(tensor))
            if "_own" in values:
                n = self._output(values["_own"])
                if number is not None:
                    effects.arguments.append((number, n))
                else:
                    effects.cells.append((Cell.of(tensor), n))
                    if record.buffer is not None:
                        self.donated[n] = record.buffer
            if "_grad" in values:
                grad: TensorCore | None = values["_grad"]
                at = None if grad is None else self._output(self._node_inside(grad))
                if number is None:
                    effects.gradients.append((GradientCell(tensor), at))
                else:
                    self._verify_leaf(tensor, number)
                    effects.argument_gradients.append((number, at))
            requires = values.get("_requires", False)
            if "_requires" in values and (not requires or self._is_leaf_inside(tensor)):
                owner = tensor if number is None else number
                effects.attributes.append((owner, "_requires", requires))
            values.clear()  # no reference to gradients here: _note_kept asks who else holds them
            record.known.clear()

    def _verify_leaf(self, tensor: TensorCore, number: int) -> None:
        if tensor._requires_grad and not tensor.is_leaf:
            raise JitError(
                f"jit: argument {number}, of shape {tensor.shape}, carries gradient to what it was "
                "computed from, which backward() inside would not reach; pass its detach()"
            )

    def _is_leaf_inside(self, tensor: TensorCore) -> bool:
        """Whether a tensor is a leaf, as the trace sees it. (The history of any other is lost when
        the call ends, like that of results.)"""
        with overlaid(self.trace):
            return tensor.is_leaf

    def _node_inside(self, tensor: TensorCore) -> Node:
        """The node of a tensor as the trace sees it."""
        if self.trace.is_made(tensor):
            return tensor._node
        with overlaid(self.trace):
            return tensor._node

    def _note_kept(self, is_last: bool) -> bool:
        """Note the tensors that the function made and something outside keeps. Returns whether a
        replayed call can renew all of them, or this is the last attempt."""

        def kept() -> list[TensorCore]:
            made = (made() for made in self.trace.made.values())
            return [t for t in made if t is not None]

        self._part(kept())  # views no longer hold their bases
        if any(id(tensor) not in self.placed for tensor in kept()):
            gc.collect()  # a tensor that only a cycle of references holds is not kept
        serves = not self.growing
        if self.growing and is_last:
            self._refuse_kept(self.growing[-1])
        self.growing.clear()
        for tensor in kept():
            if id(tensor) not in self.placed:
                serves = False
                if not self.trace.is_symbolic(tensor._node):
                    continue  # a constant, the same in every call
                if is_last:
                    self._refuse_kept(tensor)
            self.kept[self._fresh(tensor)] = tensor
        return serves or is_last

    def _refuse_kept(self, tensor: TensorCore) -> None:
        raise JitError(
            f"jit: a tensor of shape {tensor.shape} that the function makes in each call is kept "
            "outside, where a replayed call cannot renew it; return it, or assign() it to a tensor "
            "that is there before"
        )

    def _part(self, tensors: list[TensorCore]) -> None:
        """Make views that are kept outside valid there: those of tensors that the function made
        stand alone, others read their base again."""
        for tensor in tensors:
            if tensor._base is None:
                continue
            if self.trace.is_made(tensor._base):
                tensor._own = tensor._node
                tensor._base = None
            else:
                tensor._seen = -1  # read anew, outside
                self.trace.made.pop(id(tensor), None)

    # ------------------------------------------------------------------ compiling

    def _compiled(self) -> Replay:
        """The replay: a plan for all outputs, and where its leaves come from."""
        trace, effects, watch = self.trace, self.effects, self.watch
        shapes = [node.shape for node in self.outputs]
        outputs, walked = trace.resolve(self.outputs)
        token = title.set(self.name)
        try:
            plan, leaves = plan_for(outputs, self.donated, walked, self.may_vary)
        finally:
            title.reset(token)
        records = [r for r in trace.outside.values() if id(r.tensor) not in self.numbers]
        guard = Guard(watch.owners.values())
        guard.views = {id(view): view for view, _ in trace.views.values()}
        guard.written = {id(cell.tensor): cell.tensor for cell, _ in effects.cells}
        environment = Environment(
            guard,
            tuple([n for *_, n in guard.integers.entries]),
            known={id(r.tensor): r.tensor for r in records} | guard.tensors,
            views=list(trace.views.values()),
            has_gradient=[(r.tensor, r.tensor._grad is not None) for r in records if r.read_grad],
        )
        replay = Replay(
            plan=plan,
            memories=[None] * len(leaves),
            constants=[],
            arguments=[],
            argument_gradients=[],
            effects=effects,
            shapes=shapes,
            result=self.result,
            states=self.states,
            integers=self.integers,
            environment=environment,
        )
        for place, leaf in enumerate(leaves):
            self._add_leaf(replay, place, storage_of(leaf))
        read = {id(read.cell.tensor) for read in environment.reads}
        for record in records:
            if record.buffer is not None and id(record.tensor) not in read:
                environment.reads.append(self._read(record, -1, False))
        replay.share_environment(self.newest)
        replay.aliases = replay.aliases_in(self.arguments)
        return replay

    def _add_leaf(self, replay: Replay, place: int, storage: Any) -> None:
        """Note where the leaf at a place of the plan comes from."""
        tensor = storage.tensor if isinstance(storage, Symbol) else None
        if tensor is None:
            replay.constants.append(storage)
            replay.memories[place] = replay.plan.handle(storage)
            return
        environment = replay.environment
        owner = self.trace.grad_of.get(id(tensor))
        number = self.numbers.get(id(tensor))
        if number is not None:
            replay.arguments.append((place, number))
        elif owner is None or id(tensor) in self.watch.tensors:
            if owner is not None:
                environment.gradient_is.append((owner, tensor))
            taken = place in replay.plan.taken
            environment.reads.append(self._read(self.trace.outside[id(tensor)], place, taken))
        elif id(owner) in self.numbers:
            replay.argument_gradients.append((place, self.numbers[id(owner)], kind_of(tensor)))
        else:
            environment.gradients.append((place, owner, kind_of(tensor)))

    def _read(self, record: Outside, place: int, is_taken: bool) -> Read:
        tensor = record.tensor
        cell, requires_grad, kind = Cell.of(tensor), tensor._requires_grad, kind_of(tensor)
        kind = (self.trace.resized.get(id(tensor), kind[0]), *kind[1:])
        return Read(place, cell, is_taken, requires_grad, kind, cell.version)


def captured(
    make: Callable[[bool], Capture], notes_questions: bool, *call: Any
) -> tuple[Capture, tuple[Replay, bool, Any]]:
    """A capture, and what its `run` returns for a call: function, args, kwargs, is_last. It notes
    questions, unless the function raises an exception: it may have handed a size to code that takes
    an `int` alone, as json does; and the exception must not hold sizes."""
    if notes_questions:
        capture = make(True)
        with suppress(Exception):
            return capture, capture.run(*call)
    capture = make(False)
    return capture, capture.run(*call)


@contextmanager
def _parted(tensors: Sequence[TensorCore]) -> Iterator[None]:
    """Let arguments that are views be tensors of their own: in each call they have other bases."""
    views = [(t, t._base) for t in tensors if t._base is not None]
    for tensor, _ in views:
        tensor._base = None
    try:
        yield
    finally:
        for tensor, base in views:
            tensor._base, tensor._seen = base, -1


class _StandIns(Replacing):
    """Makes templates: nested values in which Places stand for tensors and what is outside."""

    def __init__(self, capture: Capture, tensors: dict[int, Any]) -> None:
        """Tensors that the function made are added to `tensors`, by id."""
        super().__init__()
        self.capture, self.tensors = capture, tensors
        self.has_sizes = False

    def change(self, value: Any) -> Any:
        if isinstance(value, WatchedSize):
            self.has_sizes = True
            self.capture.integers.append(integer(value))
            return Integer(len(self.capture.integers) - 1)
        found = self.capture.stand_in(value)
        if isinstance(found, Fresh):
            self.tensors[id(value)] = found
        return found


class _Plain(Replacing):
    """Copies a value: in place of sizes that are watched it has integers."""

    has_sizes = False

    def change(self, value: Any) -> Any:
        """As Replacing's."""
        if isinstance(value, WatchedSize):
            self.has_sizes = True
            return integer(value)
        return value if isinstance(value, TensorCore) else NotImplemented
