"""Reverse-mode differentiation: a graph in, a larger graph out; nothing is computed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from weakref import WeakKeyDictionary, ref

from .. import config
from ..dtypes import float32, is_low_precision
from ..errors import CompilerError, DTypeError, ShapeError
from ..origin import inherit_gradient, name_of, set_label
from .build import joined, substitute
from .ir import (
    Add,
    Arithmetic,
    Cast,
    Const,
    Contiguous,
    Copy,
    Detach,
    Div,
    Fold,
    Join,
    Mod,
    Movement,
    Mul,
    Neg,
    Node,
    Overwritten,
    Pad,
    Permute,
    Recurrence,
    Reduce,
    Reshape,
    Scatter,
    Sub,
    topological,
)
from .recurrence import pull_back_loop
from .vjp_rules import VJP, VJP_RULES, Cotangents

cotangents: WeakKeyDictionary[Node, ref[Node]] = WeakKeyDictionary()
"""Each living node that gradient() has made, and the node with respect to which it is the
derivative. Pictures show them as the backward pass."""


def gradient(
    loss: Node,
    wrt: Sequence[Node],
    cotangent: Node | None = None,
    hooks: Mapping[Node, Callable[[Node], Node]] | None = None,
) -> list[Node | None]:
    """The derivative of `loss` with respect to each node of `wrt`: a node of the same shape.

    `cotangent` is the derivative of some final value with respect to `loss`, of the loss's shape
    and dtype. By default it is ones: the final value is then the sum of the loss's elements. The
    gradient of a node that the loss does not depend on is None. No gradient flows through integers,
    bools or a Detach; a Detach may be in `wrt` itself. A hook is called with the whole gradient of
    its node, and returns the gradient to use instead.

        gradient(Mul(x, y), [x, y])  ->  [Mul(ones, y), Mul(ones, x)]

    Raises DTypeError and ShapeError for a loss or cotangent that does not fit, and CompilerError
    for an operation that has no derivative.
    """
    if not loss.dtype.is_float:
        raise DTypeError(f"gradient: the loss is {loss.dtype}; only floats have a gradient")
    seed = Const(1, loss.dtype, loss.shape) if cotangent is None else cotangent
    if seed.shape != loss.shape:
        raise ShapeError(f"gradient: cotangent {seed.shape} for a loss of shape {loss.shape}")
    if seed.dtype != loss.dtype:
        raise DTypeError(f"gradient: cotangent of {seed.dtype} for a loss of {loss.dtype}")

    return pull_back({loss: seed}, wrt, hooks)


def pull_back(
    seeds: Mapping[Node, Node],
    wrt: Sequence[Node],
    hooks: Mapping[Node, Callable[[Node], Node]] | None = None,
) -> list[Node | None]:
    """As `gradient`, of several outputs, each with its cotangent."""
    hooks = hooks or {}
    targets = {*wrt, *hooks}
    between = _between(seeds, targets)
    parts: dict[Node, list[Node]] = {x: [g] for x, g in seeds.items() if x in between}
    found: dict[Node, Node] = {}
    loops = _Loops(between)
    for node in reversed(between):  # every user of a node comes before it
        if node in parts:
            g = _total(parts.pop(node))
            if config.ORIGINS:
                inherit_gradient(g, node)
            found[node] = g = hooks[node](g) if node in hooks else g
        elif not isinstance(node, Recurrence):
            continue
        if between[node]:
            vjp = loops.vjp(node, found) if isinstance(node, Recurrence) else _vjp(node, g)
            for x, part in zip(node.inputs, vjp, strict=True):
                if part is not None and config.ORIGINS:
                    inherit_gradient(part, node)
                if part is not None and x in between:
                    parts.setdefault(x, []).append(part)
    if config.ORIGINS:
        for target in targets & found.keys():
            if (name := name_of(target)) is not None:
                _name(found[target], f"{name}.grad")
    note_cotangents([(g, node) for node, g in found.items() if g.inputs and g not in between])
    return [found.get(target) for target in wrt]


class _Loops:
    """The values of recurrences through which a gradient flows. Those of one loop have one
    derivative: it is taken where the last of them is reached."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._values: dict[Hashable, list[Recurrence]] = {}
        for node in nodes:
            if isinstance(node, Recurrence):
                self._values.setdefault(node.loop, []).append(node)

    def vjp(self, node: Recurrence, found: Mapping[Node, Node]) -> Cotangents:
        """The cotangents of the loop's inputs, where `node` is the last of its values."""
        values = self._values[node.loop]
        if node is not values[0]:
            return (None,) * len(node.inputs)
        given = {x: found[x] for x in values if x in found}
        return tuple(pull_back_loop(given, pull_back)) if given else (None,) * len(node.inputs)


def note_cotangents(pairs: Iterable[tuple[Node, Node]]) -> None:
    """Note pairs of a cotangent and the node with respect to which it is the derivative."""
    for g, node in pairs:
        cotangents.setdefault(g, ref(node))


def _name(cotangent: Node, name: str) -> None:
    """Name a cotangent, and the nodes below it of which it is a reshape or permutation."""
    set_label(cotangent, name)
    while isinstance(cotangent, (Reshape, Permute)):
        cotangent = cotangent.x
        set_label(cotangent, name)


def _total(parts: list[Node]) -> Node:
    """The sum of a node's cotangents. Cotangents of slices side by side, which are padded with
    zeros, are joined instead: a sum would add n - 1 zeros to each element of n slices."""
    along: dict[int, list[Pad]] = {}
    rest: list[Node] = []
    for part in parts:
        if isinstance(part, Pad) and part.value == 0:
            axes = [n for n, widths in enumerate(part.padding) if any(widths)]
            if len(axes) == 1:
                along.setdefault(axes[0], []).append(part)
                continue
        rest.append(part)
    for axis, pads in along.items():
        whole = _side_by_side(pads, axis)
        rest += pads if whole is None else [whole]
    if len(rest) > 2 and is_low_precision(rest[0].dtype):
        wide: list[Node] = [Cast(part, float32) for part in rest]
        return Cast(functools.reduce(Add, wide), rest[0].dtype)
    return functools.reduce(Add, rest)


def _side_by_side(pads: list[Pad], axis: int) -> Node | None:
    """The padded parts joined to one node, if they do not overlap; else None."""
    if len(pads) == 1:
        return None
    pieces: list[Node] = []
    end = 0
    for part in sorted(pads, key=lambda part: part.padding[axis][0]):
        start = part.padding[axis][0]
        if start < end:
            return None
        if start > end:
            pieces.append(_zeros(part, axis, start - end))
        pieces.append(part.x)
        end = start + part.x.shape[axis]
    if end < part.shape[axis]:
        pieces.append(_zeros(part, axis, part.shape[axis] - end))
    return joined(pieces, axis)


def _zeros(part: Node, axis: int, size: int) -> Const:
    shape = tuple(size if n == axis else extent for n, extent in enumerate(part.shape))
    return Const(0, part.dtype, shape)


def needs_values(node: Node) -> bool:
    """Whether the derivative of a node reads values, of its inputs or its own.

    x * y  ->  True        x + y, 2 * x, x.T, x.sum()  ->  False
    """
    match node:
        case Mul(x, y):
            return x.device is not None and y.device is not None  # else one is made of constants
        case Div(_, y):
            return y.device is not None
        case Reduce():
            return node.op != "sum"
    return bool(node.inputs) and not isinstance(node, _LINEAR)


_LINEAR = (
    Add, Cast, Contiguous, Copy, Detach, Fold, Join, Movement, Neg, Overwritten, Sub,
)  # fmt: skip


def differentiable_inputs(node: Node) -> Sequence[Node]:
    """The inputs that a gradient can flow to."""
    return () if isinstance(node, Detach) else [x for x in node.inputs if x.dtype.is_float]


def _between(outputs: Iterable[Node], targets: set[Node]) -> dict[Node, bool]:
    """The nodes on paths from targets to the outputs, both ends included, inputs first. For each:
    whether it has a target below it, so that the gradient flows on to its inputs."""
    found: dict[Node, bool] = {}
    for node in topological(outputs, differentiable_inputs):
        goes_on = not isinstance(node, Detach) and any(x in found for x in node.inputs)
        if goes_on or node in targets:
            found[node] = goes_on
    return found


def _rounds_often(node: Node) -> bool:
    """Whether a node has 16-bit floats and its rule has several operations, each of which would
    round."""
    if not is_low_precision(node.dtype):
        return False
    if isinstance(node, (Reduce, Scatter)):
        return node.op not in ("sum", "set")
    if isinstance(node, Mod):
        return True
    return isinstance(node, Arithmetic) and node.operation.takes == "float"


def _in_float32(rule: VJP, g: Node, node: Node) -> Cotangents:
    """The rule of a node of 16-bit floats, applied to float32 copies of the node, its inputs and g.
    The results are rounded once, not after each operation of the rule."""
    wide = [Cast(x, float32) if is_low_precision(x.dtype) else x for x in node.inputs]
    copy = node.with_inputs(wide)
    given = Cast(g, float32)
    made = rule(given, copy)
    # where the rule reads the copy's value, put the node's own, which is computed anyhow
    known: dict[Node, Node] = {x: x for x in (*wide, given)}
    known[copy] = Cast(node, float32)
    parts = iter(substitute([part for part in made if part is not None], known))
    return tuple(
        None if part is None else Cast(next(parts), x.dtype)
        for part, x in zip(made, node.inputs, strict=True)
    )


def _vjp(node: Node, g: Node) -> Cotangents:
    """The cotangents of a node's inputs, given its own."""
    rule = VJP_RULES.get(type(node))
    if rule is None:
        raise CompilerError(f"gradient: {node.name} has no derivative; detach its input")
    cotangents = _in_float32(rule, g, node) if _rounds_often(node) else rule(g, node)
    for x, part in zip(node.inputs, cotangents, strict=True):
        if part is not None and (part.shape, part.dtype) != (x.shape, x.dtype):
            raise CompilerError(f"gradient: the rule of {node.name} gave {part} for {x}")
    return cotangents
