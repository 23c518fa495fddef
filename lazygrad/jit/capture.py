"""From a function to a replay: trace it, compile what it computes, and note what it does."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

from ..compile import plan_for, storage_of
from ..dump import title
from ..errors import JitError
from ..graph.ir import Buffer, Node
from ..tensor import Tensor
from ..tensor.core import TensorCore, owners
from ..tensor.realize import realize_all
from ..tensor.views import Path, follow
from .replay import Cell, Effects, GradientCell, Read, Replay
from .structure import replaced
from .trace import Outside, Symbol, Trace, overlaid, slot


class Capture:
    """One capture of a function for the arguments of one call."""

    def __init__(self, tensors: Sequence[TensorCore], name: str) -> None:
        """`name` is what dumps call it."""
        self.tensors = tensors
        self.name = name
        self.trace = Trace()
        self.arguments: list[TensorCore] = []  # what the function gets in place of `tensors`
        self.outputs: list[Node] = []
        self.effects = Effects()
        self.donated: dict[int, Node] = {}
        self.result: Any = None
        self.returned: dict[int, _Fresh] = {}  # by id, while the result is looked through

    def run(
        self, function: Callable[..., Any], args: Any, kwargs: Any, is_last: bool
    ) -> tuple[Replay, bool]:
        """Trace the function; a replay, and whether it serves later calls too.

        It does not where the function made tensors that live on outside (its first call may make
        state and caches): the next call does something else. Raises JitError where such tensors
        come up again, in the `is_last` attempt, and for values read on the host.
        """
        self._trace(function, args, kwargs)
        realize_all([record.tensor for record in self.trace.outside.values()])
        self._note_outside()
        self._note_arguments()
        serves = self._note_kept(is_last)
        return self._compiled(), serves

    # ------------------------------------------------------------------ tracing

    def _trace(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        """Run the function on tensors that stand for the arguments, and note its result."""
        Tensor._random_state(None)  # outside the trace, or its making would need a second capture
        with overlaid(self.trace):
            stand_in: dict[int, TensorCore] = {}
            for tensor in self.tensors:
                if id(tensor) not in stand_in:
                    stand_in[id(tensor)] = self._stand_in(tensor)
                self.arguments.append(stand_in[id(tensor)])
            given = iter(self.arguments)
            inside_args = replaced(tuple(args), lambda _: next(given))
            inside_kwargs = replaced(dict(kwargs), lambda _: next(given))
            result = function(*inside_args, **inside_kwargs)
            self.result = replaced(result, self._returned)

    def _stand_in(self, tensor: TensorCore) -> TensorCore:
        """A tensor that stands for the value of an argument."""
        node = self.trace.buffer_of(Outside(tensor))
        requires_grad = slot["_requires"].__get__(tensor)
        made = type(tensor)._from_node(node)
        symbol = node.storage
        assert isinstance(symbol, Symbol)
        symbol.tensor = made
        if requires_grad:
            owners[node] = ref(made)
            made._requires_grad = True
            made.grad = slot["grad"].__get__(tensor)
            if made.grad is not None:
                self.trace.grad_of[id(made.grad)] = made
        return made

    def _returned(self, tensor: TensorCore) -> Any:
        """What stands for a tensor in the result: a place among the outputs, or which tensor of
        those from outside it is."""
        for n, argument in enumerate(self.arguments):
            if tensor is argument:
                return _Argument(n)
        if not self.trace.is_made(tensor):
            return _State(tensor)
        base = tensor._base
        if base is not None and (
            any(base is argument for argument in self.arguments) or not self.trace.is_made(base)
        ):
            return _View(self._returned(base), tensor._path)
        same = self.returned.get(id(tensor))
        if same is None:
            same = self.returned[id(tensor)] = _Fresh(self._output(tensor._node))
        return same

    def _output(self, node: Node) -> int:
        self.outputs.append(node)
        return len(self.outputs) - 1

    # ------------------------------------------------------------------ what the function does

    def _note_outside(self) -> None:
        """Note what is set of tensors from outside."""
        for record in self.trace.outside.values():
            tensor, values = record.tensor, record.values
            if "_own" in values:
                n = self._output(values["_own"])
                self.effects.cells.append((Cell.of(tensor), n))
                if record.buffer is not None:
                    self.donated[n] = record.buffer
            if "grad" in values:
                grad: TensorCore | None = values["grad"]
                at = None if grad is None else self._output(self._node_inside(grad))
                self.effects.gradients.append((GradientCell(tensor), at))
            if "_requires" in values:
                self.effects.attributes.append((tensor, "_requires", values["_requires"]))
            values.clear()  # lets go of the gradients' tensors: who else holds them is asked below

    def _note_arguments(self) -> None:
        """Note what is set of the arguments."""
        distinct = {id(t): n for n, t in reversed(list(enumerate(self.arguments)))}
        for n in sorted(distinct.values()):
            inside, outside = self.arguments[n], self.tensors[n]
            buffer = inside._node
            storage = buffer.storage if isinstance(buffer, Buffer) else None
            if not (isinstance(storage, Symbol) and storage.tensor is inside):
                self.effects.arguments.append((n, self._output(buffer)))
            if inside.grad is not outside.grad:
                at = None if inside.grad is None else self._output(self._node_inside(inside.grad))
                self.effects.argument_gradients.append((n, at))
            inside.grad = None
        set_arguments = {n for n, _ in self.effects.arguments}
        for record in self.trace.outside.values():
            for n, tensor in enumerate(self.tensors):
                if tensor is record.tensor and (
                    n in set_arguments or any(c.tensor is tensor for c, _ in self.effects.cells)
                ):
                    raise JitError(
                        f"jit: argument {n}, of shape {tensor.shape}, is also used from outside, "
                        "and set; pass it, or use it from outside, not both"
                    )

    def _node_inside(self, tensor: TensorCore) -> Node:
        """The node of a tensor as the trace sees it."""
        if self.trace.is_made(tensor):
            return tensor._node
        with overlaid(self.trace):
            return tensor._node

    def _note_kept(self, is_last: bool) -> bool:
        """Note what the function made and something outside keeps; whether there is nothing."""
        own = {id(t) for t in self.arguments}

        def kept() -> list[TensorCore]:
            made = (made() for made in self.trace.made.values())
            return [t for t in made if t is not None and id(t) not in own]

        if kept():
            gc.collect()  # what only a cycle of references keeps is no one's
        for tensor in kept():
            self._part(tensor)
        found = kept()
        for tensor in found:
            if not self.trace.is_symbolic(tensor._node):
                continue  # a constant, the same in every call
            if is_last:
                raise JitError(
                    f"jit: a tensor of shape {tensor.shape} that the function makes in each call "
                    "is kept outside (by an attribute, a list or a closure), where a replayed call "
                    "cannot renew it; return it, or assign() it to a tensor that is there before"
                )
            self.effects.kept.append((tensor, self._output(tensor._node)))
            if tensor._requires_grad and not tensor.is_leaf:  # what it came from is gone
                self.effects.attributes.append((tensor, "_requires", False))
        return not found or is_last

    def _part(self, tensor: TensorCore) -> None:
        """Let a view that is kept outside go from a base that the function made, or was given."""
        base = tensor._base
        if base is None:
            return
        if id(base) in self.trace.made:
            tensor._own = tensor._node
            tensor._base = None
        else:
            tensor._seen = -1  # read anew, outside
            self.trace.made.pop(id(tensor), None)

    # ------------------------------------------------------------------ compiling

    def _compiled(self) -> Replay:
        """The plan for all outputs, and where its leaves come from."""
        trace, effects = self.trace, self.effects
        shapes = [node.shape for node in self.outputs]
        outputs = trace.resolve(self.outputs)
        token = title.set(self.name)
        try:
            plan, leaves = plan_for(outputs, self.donated)
        finally:
            title.reset(token)
        replay = Replay(
            plan=plan,
            memories=[None] * len(leaves),
            constants=[],
            arguments=[],
            argument_gradients=[],
            reads=[],
            gradients=[],
            has_gradient=[
                (r.tensor, r.tensor.grad is not None) for r in trace.outside.values() if r.read_grad
            ],
            effects=effects,
            shapes=shapes,
            result=self._result(),
        )
        for place, leaf in enumerate(leaves):
            self._add_leaf(replay, place, storage_of(leaf))
        replay.set_ids = frozenset(id(cell.tensor) for cell, _ in effects.cells)
        return replay

    def _add_leaf(self, replay: Replay, place: int, storage: Any) -> None:
        """Note where a leaf of the plan comes from."""
        if not isinstance(storage, Symbol):
            replay.constants.append(storage)
            replay.memories[place] = storage.memory
            return
        tensor = storage.tensor
        assert tensor is not None, "a promised value is no leaf"
        argument = {id(t): n for n, t in enumerate(self.arguments)}
        owner = self.trace.grad_of.get(id(tensor))
        if id(tensor) in argument:
            replay.arguments.append((place, argument[id(tensor)]))
        elif owner is not None and id(owner) in argument:
            replay.argument_gradients.append((place, argument[id(owner)]))
        elif owner is not None:
            replay.gradients.append((place, owner))
        else:
            taken = place in replay.plan.taken
            requires_grad = tensor._requires_grad
            cell = Cell.of(tensor)
            read = Read(place, cell, taken, tensor.shape, requires_grad, cell.version)
            replay.reads.append(read)

    def _result(self) -> Callable[[Callable[[int], TensorCore], Sequence[TensorCore]], Any]:
        """What makes the function's result of fresh tensors and the arguments."""
        template = self.result
        if isinstance(template, _Fresh):  # the most common, made quick
            output = template.output
            return lambda fresh, _: fresh(output)

        def result(fresh: Callable[[int], TensorCore], tensors: Sequence[TensorCore]) -> Any:
            made: dict[int, TensorCore] = {}

            def whole(place: _Place) -> TensorCore:
                if isinstance(place, _Argument):
                    return tensors[place.number]
                if isinstance(place, _State):
                    return place.tensor
                assert isinstance(place, _Fresh)
                if place.output not in made:
                    made[place.output] = fresh(place.output)
                return made[place.output]

            def put(place: _Place) -> TensorCore:
                if isinstance(place, _View):
                    base = whole(place.base)
                    return base._viewed(follow(place.path, base._node))
                return whole(place)

            return replaced(template, put, _Place)

        return result


class _Place:
    """Stands for a tensor in a result."""


class _Fresh(_Place):
    """Stands for a tensor that each call makes."""

    def __init__(self, output: int) -> None:
        self.output = output


class _Argument(_Place):
    """Stands for one of the arguments."""

    def __init__(self, number: int) -> None:
        self.number = number


class _View(_Place):
    """Stands for a view of one of the arguments, or of a tensor from outside."""

    def __init__(self, base: _Place, path: Path) -> None:
        self.base, self.path = base, path


class _State(_Place):
    """Stands for a tensor from outside."""

    def __init__(self, tensor: TensorCore) -> None:
        self.tensor = tensor
