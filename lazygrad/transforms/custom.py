"""Gradients of one's own, and values that are computed again instead of kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper, wraps
from typing import Any

from ..errors import ArgumentError
from ..graph.gradient import gradient
from ..graph.ir import Const, Contiguous, Custom, Detach, Node, topological
from ..tensor import Tensor
from ..tensor.examples import stand_in
from . import trees
from .batching import REFUSAL

Function = Callable[..., Any]


def stop_gradient(tree: Any) -> Any:
    """The same values, as constants for derivatives.

    (lazygrad.transforms.stop_gradient(Tensor([1.0], requires_grad=True)).requires_grad) == False
    """
    return trees.mapped(lambda x: x.detach() if isinstance(x, Tensor) else x, tree)


def _attached(outputs: Any, args: Any, pull: Function) -> Any:
    """The outputs, with the derivative that `pull` gives: from the cotangents of all outputs to one
    for each argument."""
    floats = [x for x in trees.leaves(args) if isinstance(x, Tensor) and x.dtype.is_float]
    primals = tuple(x.node for x in floats)
    results = trees.leaves(outputs)

    def rule_of(place: int) -> Callable[[Node, Custom], tuple[Node | None, ...]]:
        def rule(g: Node, node: Custom) -> tuple[Node | None, ...]:
            given = [
                Tensor._from_node(g) if i == place else y.zeros_like()
                for i, y in enumerate(results)
            ]
            parts = trees.leaves(pull(trees.filled(outputs, iter(given))))
            found = [
                part
                for x, part in zip(trees.leaves(args), parts, strict=True)
                if isinstance(x, Tensor) and x.dtype.is_float
            ]
            return tuple(None if part is None else part.node for part in found)

        return rule

    made = [
        floats[0]._derived(Custom(y.node, primals, rule_of(i)), *floats[1:])
        if floats and y.dtype.is_float
        else y
        for i, y in enumerate(results)
    ]
    return trees.filled(outputs, iter(made))


class custom_vjp:
    """Decorator: a function whose derivative is defined by `defvjp`.

        @custom_vjp
        def clipped(x): return x
        clipped.defvjp(lambda x: (x, None), lambda kept, g: (g.clamp(-1, 1),))
        grad(lambda x: clipped(x).sum() * 5)(Tensor([2.0])).tolist() == [1.0]

    `forward(*args)` gives (results, what to keep); `backward(kept, g)` gives a tuple with the
    cotangent of each argument, None for none, from the results'. Both are ordinary tensor code, so
    the derivative can be differentiated again.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._rules: tuple[Function, Function] | None = None
        update_wrapper(self, function)

    def defvjp(self, forward: Function, backward: Function) -> None:
        """Define the derivative."""
        self._rules = forward, backward

    def __call__(self, *args: Any) -> Any:
        if self._rules is None:
            raise RuntimeError("custom_vjp: call defvjp(forward, backward) first")
        forward, backward = self._rules
        outputs, kept = forward(*args)

        def pull(g: Any) -> list[Any]:
            found = backward(kept, g)
            if len(found) != len(args):
                raise ArgumentError(f"custom_vjp: {len(found)} cotangents for {len(args)} inputs")
            return [
                part
                for arg, cotangent in zip(args, found, strict=True)
                for part in (
                    [None] * len(trees.leaves(arg))
                    if cotangent is None
                    else trees.leaves(cotangent)
                )
            ]

        return _attached(outputs, args, pull)


def checkpoint(function: Function) -> Function:
    """The function, computed a second time in the backward pass, instead of keeping what its own
    backward pass needs: less memory for more time (Chen et al. 2016). Gradients reach what the
    function reads besides its arguments too, as a layer's weights.

        y = checkpoint(layer)(x)

    lazygrad.transforms.checkpoint(Tensor.relu)(Tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
    """

    @wraps(function)
    def computed(*args: Any, **named: Any) -> Any:
        given = [x for x in trees.leaves((args, named)) if isinstance(x, Tensor)]
        inputs = {x.node for x in given if x.dtype.is_float}
        outputs = function(*args, **named)
        return trees.mapped(lambda y: _computed_again(y, inputs), outputs)

    return computed


def _computed_again(y: Any, inputs: set[Node]) -> Any:
    """y, whose gradient is taken of a second copy of the graph from `inputs` to y: one made of
    copies of the inputs, so that it shares nothing with the first."""
    if not isinstance(y, Tensor) or not y.dtype.is_float:
        return y
    last = y.node

    def before(node: Node) -> Sequence[Node]:
        return () if node in inputs or isinstance(node, (Detach, Custom)) else node.inputs

    ends = [x for x in topological([last], before) if not before(x)]
    sources = [x for x in ends if x.dtype.is_float and not isinstance(x, Const)]

    def rule(g: Node, node: Custom) -> tuple[Node | None, ...]:
        # on stand-ins first: one source may be made of another, and a derivative is of each alone
        stands: dict[Node, Node] = {x: stand_in(x, x.shape, REFUSAL) for x in sources}
        again = substitute([last], stands)[0]
        found = gradient(again, list(stands.values()), g)
        values: dict[Node, Node] = {
            stand: Contiguous(x) if x in inputs else x for x, stand in stands.items()
        }
        parts = iter(substitute([part for part in found if part is not None], values))
        return tuple(None if part is None else next(parts) for part in found)

    return y._derived(Custom(last, tuple(sources), rule))


def substitute(nodes: Sequence[Node], values: Mapping[Node, Node]) -> list[Node]:
    """The nodes, made of other nodes in place of those that `values` names."""
    made = dict(values)
    for node in topological(nodes, lambda x: () if x in made else x.inputs):
        if node not in made:
            inputs = [made[x] for x in node.inputs]
            made[node] = node if inputs == list(node.inputs) else node.with_inputs(inputs)
    return [made[node] for node in nodes]
