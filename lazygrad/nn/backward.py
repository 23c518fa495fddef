"""Hooks that see the gradients of what a module takes and gives, in each backward pass."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..dtypes import bool_
from ..graph.gradient import gradient
from ..graph.ir import Add, Cast, Const, Node, Where
from ..tensor import Tensor
from ..tensor.autograd import node_hooks

if TYPE_CHECKING:
    from .module import Module

_numbers = count()


def _marked(x: Tensor) -> Tensor:
    """x as a node of its own, which compiles to nothing: this call's, equal to no other's."""
    node = x._node
    other = Const(float(next(_numbers) % 2048), node.dtype, node.shape)
    return x._derived(Where(Const(True, bool_, node.shape), node, other))


class _Pass:
    """What is known of one call in one backward pass."""

    def __init__(self, outputs: int) -> None:
        self.grads: list[Tensor | None] = [None] * outputs
        self.replaced: list[Tensor | None] | None = None  # of the inputs, once known


class Observed:
    """One call of a module whose gradients are observed.

    The gradients of the outputs are noted as they come. When the first of the inputs' comes, all
    of the inputs' are known by the outputs', the hooks are called, and what they return takes the
    place of the inputs' gradients. Nodes are held weakly: the hooks of a node live as long as it.
    """

    def __init__(self, module: Module, before: list[Any], after: list[Any]) -> None:
        self.module, self.before, self.after = module, before, after
        self.inputs: list[ref[Node] | None] = []
        self.outputs: list[ref[Node] | None] = []

    def take(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments of the call, of which the gradients will be seen."""
        return tuple(self._watched(x, self.inputs, self._input) for x in args)

    def give(self, result: Any) -> Any:
        """The result of the call, of which the gradients will be seen."""
        if not isinstance(result, tuple):
            return self._watched(result, self.outputs, self._output)
        return tuple(self._watched(x, self.outputs, self._output) for x in result)

    def _watched(
        self,
        x: Any,
        places: list[ref[Node] | None],
        seen: Callable[[_Pass, int, Node], Node],
    ) -> Any:
        place = len(places)
        if not (isinstance(x, Tensor) and x.requires_grad):
            places.append(None)
            return x
        made = _marked(x)
        places.append(ref(made._node))

        def hook(noted: dict[Any, Any], g: Node) -> Node:
            return seen(noted.setdefault(self, _Pass(len(self.outputs))), place, g)

        node_hooks[made._node] = hook
        return made

    # ------------------------------------------------------------------ in the backward pass

    def _output(self, known: _Pass, place: int, g: Node) -> Node:
        """The gradient of an output is known."""
        known.grads[place] = Tensor._from_node(g)
        for hook in self.before:
            changed = hook(self.module, tuple(known.grads))
            if changed is not None:
                known.grads = list(changed) if isinstance(changed, tuple) else [changed]
        if not any(self.inputs):
            self._call(known, [None] * len(self.inputs))
        found = known.grads[place]
        return g if found is None else _like(found, g)

    def _input(self, known: _Pass, place: int, g: Node) -> Node:
        """The gradient of an input is known."""
        if known.replaced is None:
            grads = [
                Tensor._from_node(g) if n == place else self._gradient_of(known, node)
                for n, node in enumerate(self.inputs)
            ]
            known.replaced = self._call(known, grads)
        found = known.replaced[place]
        return g if found is None else _like(found, g)

    def _call(self, known: _Pass, grads: list[Tensor | None]) -> list[Tensor | None]:
        """Call the hooks with the gradients of inputs and outputs; what is left of the inputs'."""
        for hook in self.after:
            changed = hook(self.module, tuple(grads), tuple(known.grads))
            if changed is not None:
                grads = list(changed) if isinstance(changed, tuple) else [changed]
        return grads

    def _gradient_of(self, known: _Pass, place: ref[Node] | None) -> Tensor | None:
        """The gradient of an input, by those of the outputs."""
        node, total = None if place is None else place(), None
        if node is None:
            return None
        for output, grad in zip(self.outputs, known.grads, strict=True):
            end = None if output is None else output()
            if end is not None and grad is not None:
                part = gradient(end, [node], grad._node)[0]
                if part is not None:
                    total = part if total is None else Add(total, part)
        return None if total is None else Tensor._from_node(total)


def _like(found: Tensor, g: Node) -> Node:
    return found._node if found.dtype == g.dtype else Cast(found._node, g.dtype)
