"""scan: a loop whose step is traced once, as one node of the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..errors import ArgumentError, KindError, ShapeError, check_integers, told
from ..tensor import Tensor
from ..tensor.recurrence import recurrence
from . import trees

Carry = TypeVar("Carry")


def scan(
    f: Callable[[Carry, Any], tuple[Carry, Any]],
    init: Carry,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Carry, Any]:
    """The last carry, and the values of all steps side by side, of a loop with JAX's semantics:

        carry = init
        for x in xs:
            carry, y = f(carry, x)

    `f` is called once, on stand-ins: a loop over a thousand steps is compiled as fast as one over
    ten, and lengths that vary share their code. `init`, a row of `xs` and `y` are tensors, or
    tuples, lists and dictionaries of tensors, or None. Each tensor of `xs` has the steps along its
    first axis; without any, `length` says how many there are. With `reverse` the last step comes
    first; `y` is in the row that its step has read. Gradients flow through all of it.

    The carry keeps its shapes and dtypes. `f` may not ask for values, as `item()` and `if` do, nor
    draw random numbers: those are drawn before, and are part of `xs`.

        h = lambda h, x: (h * 0.5 + x, h)
        scan(h, Tensor(0.0), Tensor([1.0, 2.0]))[0].item() == 2.5

    Raises ShapeError where lengths differ, or the carry changes.
    """
    starts, series = _tensors("init", init), _tensors("xs", xs)
    steps = _length(series, length)
    if not (starts or series):
        raise ArgumentError("scan: neither init nor xs has tensors")
    given: list[Any] = []

    def step(states: Sequence[Tensor], rows: Sequence[Tensor]) -> Any:
        made = f(_filled(init, states), _filled(xs, rows))
        if not isinstance(made, tuple) or len(made) != 2:
            raise KindError(f"scan: a step gives (carry, y), not {told(made)}")
        carry, y = made
        if _form(carry) != _form(init):
            raise ShapeError(f"scan: the carry {_form(init)} is {_form(carry)} after a step")
        given.append(y)
        return _tensors("carry", carry), _tensors("y", y)

    if not steps:
        series = [Tensor.zeros(1, *x.shape[1:], dtype=x.dtype, device=x.device) for x in series]
    lasts, every = recurrence("scan", step, starts, series, max(steps, 1), reverse)
    ys = every[len(starts) :]
    if not steps:
        lasts, ys = starts, [y[:0] for y in ys]
    return _filled(init, lasts), _filled(given[0], ys)


def _tensors(name: str, tree: Any) -> list[Tensor]:
    """The tensors in a tree; None stands for no tensor, and a number for a tensor of it."""
    found = []
    for leaf in trees.leaves(tree):
        if leaf is None:
            continue
        if not isinstance(leaf, Tensor):
            raise KindError(f"scan: {name} has {told(leaf)} where tensors belong")
        found.append(leaf)
    return found


def _filled(tree: Any, values: Sequence[Tensor]) -> Any:
    """The tree with other tensors."""
    rest = iter(values)
    return trees.mapped(lambda leaf: None if leaf is None else next(rest), tree)


def _form(tree: Any) -> Any:
    """A tree with shapes and dtypes in place of tensors."""
    return trees.mapped(lambda x: f"{x.dtype}{x.shape}" if isinstance(x, Tensor) else x, tree)


def _length(series: Sequence[Tensor], length: int | None) -> int:
    """How many steps there are."""
    if length is not None:
        check_integers(length=length)
        if length < 0:
            raise ArgumentError(f"scan: length {length} is below 0")
    scalars = [x for x in series if not x.ndim]
    if scalars:
        raise ShapeError("scan: a tensor of xs is a scalar: it has no steps")
    found = {x.shape[0] for x in series} | ({length} if length is not None else set())
    if not found:
        raise ArgumentError("scan: without xs, length says how many steps there are")
    if len(found) > 1:
        raise ShapeError(f"scan: xs and length say {', '.join(map(str, sorted(found)))} steps")
    return found.pop()
