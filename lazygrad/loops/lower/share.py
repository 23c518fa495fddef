"""Let the parts of a chain share their outermost loops.

    serial i, j: mid[i*N + j] = sum over k of q[i*K + k] * x[j*K + k]
    serial i, j: out[i*N + j] = exp(mid[i*N + j])
    ->
    serial i_o in N / 8:                             8 rows at a time
        local mid: float32[8 * N]
        serial i, j: mid[i*N + j] = sum over k of q[(i_o*8 + i)*K + k] * x[j*K + k]
        serial i, j: out[(i_o*8 + i)*N + j] = exp(mid[i*N + j])

An array that one part writes and another reads must divide into equal slices, one for each
iteration of the shared loops, which alone writes and reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from ...expr import Array, Expr, Var
from ...graph.ir import Node
from ...index import add, bounds, flatten, linear, mul, sub
from ...schedule.ir import Kernel
from ..ir import Accumulate, Alloc, Body, Function, Stmt, Store, statements
from ..ir.rebuild import (
    apart,
    body_loads,
    nest,
    peel,
    rename_arrays,
    replace_arrays,
    substitute_body,
    variables,
)

Digit = tuple[Var, int, int]  # a loop (or its high digit), its weight, the extent of the low digit


def share_loops(kernel: Kernel, name: str, parts: Sequence[Function]) -> Function | None:
    """One function for a chain, from the functions of its parts; None where the parts cannot share
    loops of `kernel.outer` iterations.

    Requires: serial loops. Ensures: the arguments are the chain's outputs, in order, then its
    inputs; inside the shared loops there is an array for each intermediate that only the chain
    reads, and one nest for each part.
    """
    arrays = _arrays(kernel)
    slices = {arrays[node]: node.size // kernel.outer for node in passed(kernel)}
    if any(size * kernel.outer != array.size for array, size in slices.items()):
        return None
    bodies: list[Body] = []
    for part, function in zip(kernel.parts, parts, strict=True):
        nodes = (*part.outputs, *part.inputs)
        own = {a: arrays[node] for a, node in zip(function.arguments, nodes, strict=True)}
        body = apart(function.body, *bodies)
        bodies.append(rename_arrays(body, own))
    digits = [d for body in bodies if (d := _digits(body, slices, kernel.outer)) is not None]
    shared = _shared_loops(digits, kernel.outer)
    if shared is None or len(digits) < len(bodies):
        return None
    moved = [_inside(body, own, shared) for body, own in zip(bodies, digits, strict=True)]
    if not all(_stays_inside(rest, slices, shared) for rest in moved):
        return None
    local = {a: replace(a, size=n) for a, n in slices.items() if a.scope == "local"}
    start = flatten([v for v, _ in shared], [v.extent for v, _ in shared])
    inside: list[Stmt] = [Alloc(array) for array in local.values()]
    for body in moved:
        changes = {
            a: (new, lambda i, size=new.size: sub(i, mul(start, size))) for a, new in local.items()
        }
        inside += replace_arrays(body, changes)
    arguments = tuple(arrays[node] for node in (*kernel.outputs, *kernel.inputs))
    body = nest([v for v, _ in shared], tuple(inside))
    return Function(name, arguments, len(kernel.outputs), body)


def passed(kernel: Kernel) -> list[Node]:
    """The intermediates of a chain: the nodes that one part computes and another reads."""
    made = {node for part in kernel.parts for node in part.outputs}
    return list(dict.fromkeys(x for part in kernel.parts for x in part.inputs if x in made))


def _arrays(kernel: Kernel) -> dict[Node, Array]:
    """An array for every node that the chain's parts read and write."""
    arrays: dict[Node, Array] = {}
    for prefix, nodes in (("out", kernel.outputs), ("in", kernel.inputs)):
        for n, node in enumerate(nodes):
            arrays[node] = Array(f"{prefix}{n}", node.dtype, node.size)
    between = [node for node in passed(kernel) if node not in arrays]
    for n, node in enumerate(between):
        arrays[node] = Array(f"mid{n}", node.dtype, node.size, "local")
    return arrays


def _indices(body: Body, slices: Mapping[Array, int]) -> list[tuple[Expr, int]]:
    """The indices at which a body accesses intermediates, with the sizes of their slices."""
    found = [(x.index, slices[x.array]) for x in body_loads(body) if x.array in slices]
    for stmt in statements(body):
        if isinstance(stmt, (Store, Accumulate)) and stmt.array in slices:
            found.append((stmt.index, slices[stmt.array]))
    return found


def _digits(body: Body, slices: Mapping[Array, int], count: int) -> list[Digit] | None:
    """The outer loops, or their high digits, that are the digits of a slice's number, the largest
    weight first. None where loops do not make up that number."""
    outer = {loop.var for loop in peel(body)[0]}
    for index, size in _indices(body, slices):
        digits: list[Digit] = []
        for atom, step in linear(index)[1]:
            if not isinstance(atom, Var) or atom not in outer or step * atom.extent <= size:
                continue
            if step % size == 0:
                digits.append((atom, step // size, 1))
            elif size % step == 0 and atom.extent % (size // step) == 0:
                digits.append((atom, 1, size // step))
            else:
                return None
        expected = 1
        for var, weight, low in reversed(digits := sorted(digits, key=lambda d: -d[1])):
            if weight != expected:
                return None
            expected *= var.extent // low
        return digits if expected == count else None
    return None


def _shared_loops(parts: Sequence[list[Digit]], count: int) -> list[tuple[Var, int]] | None:
    """Loops that make up every part's digits, outermost first, each with its weight."""
    weights = sorted({weight for digits in parts for _, weight, _ in digits} | {1, count})
    steps = list(pairwise(weights))
    if any(high % low for low, high in steps):
        return None
    return [(Var(f"p{n}", high // low), low) for n, (low, high) in enumerate(reversed(steps))]


def _inside(body: Body, digits: Sequence[Digit], shared: Sequence[tuple[Var, int]]) -> Body:
    """A part's loops inside of the shared ones."""
    loops, inside = peel(body)
    values: dict[Expr, Expr] = {}
    left = {loop.var: loop.var for loop in loops}
    for var, weight, low in digits:
        end = weight * (var.extent // low)
        high = add(*(mul(v, w // weight) for v, w in shared if weight <= w < end))
        rest = left[var] = Var(f"{var.name}_r", low)
        values[var] = add(mul(high, low), rest)
    return nest(list(left.values()), substitute_body(inside, values))


def _stays_inside(
    body: Body, slices: Mapping[Array, int], shared: Sequence[tuple[Var, int]]
) -> bool:
    """Whether a part accesses only the slices of the present iteration, in a loop of its own."""
    start = flatten([v for v, _ in shared], [v.extent for v, _ in shared])
    for index, size in _indices(body, slices):
        rest = sub(index, mul(start, size))
        low, high = bounds(rest)
        if low < 0 or high >= size or variables(rest) & {v for v, _ in shared}:
            return False
    return bool(peel(body)[0])
