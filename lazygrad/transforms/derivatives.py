"""Derivatives of functions.

The one rule that all rest on is reverse accumulation (`graph/gradient.py`): vjp(g) = g J, for the
Jacobian J. It is linear in g, so its own derivative with respect to g, along t, is the product from
the other side: jvp(t) = d/dg <vjp(g), t> = J t. No operation needs a second set of rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from ..errors import ArgumentError, ShapeError, told
from ..graph.gradient import gradient
from ..graph.ir import Const, Custom, Node
from ..tensor import Tensor, enable_grad
from . import trees
from .batching import vmap

Function = Callable[..., Any]


def stand_in(x: Tensor) -> Tensor:
    """x as something that derivatives can be taken of: equal to no other expression, and open to
    derivatives from outside, which pass it."""
    node = Custom(x.node, (x.node,), lambda g, node: (g,))
    return Tensor._from_node(node, requires_grad=True)


def _called(function: Function, args: Sequence[Any]) -> Any:
    with enable_grad():
        return function(*args)


def _cotangents(
    outputs: Sequence[Tensor], given: Sequence[Node], targets: Sequence[Tensor]
) -> list[Tensor]:
    """sum over the outputs of g J, for each target; zeros where it is not reached."""
    totals: list[Tensor] = [x.zeros_like() for x in targets]
    for output, g in zip(outputs, given, strict=True):
        if output.dtype.is_float:
            found = gradient(output.node, [x.node for x in targets], g)
            for i, part in enumerate(found):
                if part is not None:
                    totals[i] = totals[i] + Tensor._from_node(part, requires_grad=True)
    return totals


def vjp(function: Function, *primals: Any, has_aux: bool = False) -> Any:
    """(f(*primals), g -> g J): the function that multiplies the Jacobian from the left.

    It takes a cotangent for each result, in the results' shape, and returns a tuple with one for
    each primal. With `has_aux` f returns (results, others), and others are returned last.

        y, pull = vjp(lambda x: x * x, Tensor([3.0]));  pull(Tensor([1.0]))[0].tolist() == [6.0]
    """
    inputs = [stand_in(x) for x in trees.tensors("vjp", primals)]
    made = _called(function, trees.filled(primals, iter(inputs)))
    outputs, *aux = made if has_aux else (made,)
    results = trees.leaves(outputs)

    def pull(*cotangents: Any) -> tuple[Any, ...]:
        given = trees.leaves(cotangents[0] if len(cotangents) == 1 else cotangents)
        if len(given) != len(results):
            raise ArgumentError(f"vjp: {len(given)} cotangents for {len(results)} results")
        for g, y in zip(given, results, strict=True):
            if g.shape != y.shape:
                raise ShapeError(f"vjp: a cotangent of shape {g.shape} for a result {y.shape}")
        nodes = [g.cast(y.dtype).node for g, y in zip(given, results, strict=True)]
        parts = _cotangents(results, nodes, inputs)
        return tuple(trees.filled(primals, iter(parts)))

    return (outputs, pull, *aux)


def jvp(function: Function, primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """(f(*primals), J t): the results, and their derivative along the tangents, which have the
    primals' shapes. With `has_aux` f returns (results, others), and others are returned last.

        jvp(lambda x: x * x, (Tensor([3.0]),), (Tensor([1.0]),))[1].tolist() == [6.0]
    """
    outputs, push, *aux = _linear("jvp", function, tuple(primals), has_aux)
    return (outputs, push(*tangents), *aux)


def linearize(function: Function, *primals: Any) -> tuple[Any, Function]:
    """(f(*primals), t -> J t): the results, and the function that multiplies the Jacobian from the
    right, by tangents of the primals' shapes.

        y, push = linearize(lambda x: x * x, Tensor([3.0]));  push(Tensor([1.0])).tolist() == [6.0]
    """
    outputs, push = _linear("linearize", function, primals, False)
    return outputs, push


def _linear(name: str, function: Function, primals: tuple[Any, ...], has_aux: bool) -> Any:
    inputs = [stand_in(x) for x in trees.tensors(name, primals)]
    made = _called(function, trees.filled(primals, iter(inputs)))
    outputs, *aux = made if has_aux else (made,)
    results = trees.leaves(outputs)
    # g stands for any cotangent; what is linear in it does not depend on its value
    given = [stand_in(y.zeros_like()) if y.dtype.is_float else None for y in results]
    nodes = [
        Const(0, y.dtype, y.shape) if g is None else g.node
        for g, y in zip(given, results, strict=True)
    ]
    rows = _cotangents(results, nodes, inputs)

    def push(*tangents: Any) -> Any:
        along = trees.leaves(tangents)
        if [t.shape for t in along] != [x.shape for x in inputs]:
            shapes = [t.shape for t in along], [x.shape for x in inputs]
            raise ShapeError(f"{name}: tangents of shapes {shapes[0]} for primals {shapes[1]}")
        parts = []
        for g, y in zip(given, results, strict=True):
            total = y.zeros_like()
            for row, t in zip(rows, along, strict=True):
                if g is not None:
                    (part,) = gradient(row.node, [g.node], t.cast(row.dtype).node)
                    if part is not None:
                        total = total + Tensor._from_node(part, requires_grad=True)
            parts.append(total)
        return trees.filled(outputs, iter(parts))

    return (outputs, push, *aux)


def grad_and_value(
    function: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Function:
    """The function that gives (the gradient of f with respect to the arguments `argnums`, f's
    value), for a function of a single value. With `has_aux` f returns (value, others), and the
    second is (value, others).

    lazygrad.transforms.grad_and_value(lambda x: x * x)(Tensor(3.0))[0].item() == 6.0
    """

    @wraps(function)
    def differentiated(*args: Any, **named: Any) -> Any:
        places = (argnums,) if isinstance(argnums, int) else argnums

        def of_chosen(*chosen: Any) -> Any:
            full = list(args)
            for place, value in zip(places, chosen, strict=True):
                full[place] = value
            return function(*full, **named)

        value, pull, *aux = vjp(of_chosen, *(args[place] for place in places), has_aux=has_aux)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ShapeError(f"grad: the function gives {told(value)}, not a single value")
        found = pull(value.ones_like())
        return found[0] if isinstance(argnums, int) else found, (value, *aux) if aux else value

    return differentiated


def value_and_grad(
    function: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Function:
    """`grad_and_value` in the other order: (f's value, the gradient).

    lazygrad.transforms.value_and_grad(lambda x: x * x)(Tensor(3.0))[0].item() == 9.0
    """

    @wraps(function)
    def differentiated(*args: Any, **named: Any) -> Any:
        return grad_and_value(function, argnums, has_aux)(*args, **named)[::-1]

    return differentiated


def grad(function: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """The function that gives the gradient of f, a function of a single value, with respect to the
    arguments `argnums`. With `has_aux` f returns (value, others), and others are returned too.

    grad(lambda x: x.sin().sum())(Tensor([0.0])).tolist() == [1.0]
    """

    @wraps(function)
    def differentiated(*args: Any, **named: Any) -> Any:
        found, value = grad_and_value(function, argnums, has_aux)(*args, **named)
        return (found, value[1]) if has_aux else found

    return differentiated


def _jacobian(function: Function, argnums: Any, args: Any, forward: bool) -> Any:
    places = (argnums,) if isinstance(argnums, int) else argnums

    def of_chosen(*chosen: Any) -> Any:
        full = list(args)
        for place, value in zip(places, chosen, strict=True):
            full[place] = value
        return function(*full)

    made = []
    chosen = tuple(args[place] for place in places)
    if forward:
        outputs, push = _linear("jacfwd", of_chosen, chosen, False)
        results = trees.leaves(outputs)
        for i, x in enumerate(chosen):
            basis = Tensor.eye(x.numel(), dtype=x.dtype).reshape(x.numel(), *x.shape)

            def along(t: Tensor, i: int = i) -> Any:
                full = [t if j == i else other.zeros_like() for j, other in enumerate(chosen)]
                return tuple(trees.leaves(push(*full)))

            columns = vmap(along, out_dims=-1)(basis)
            made.append(
                [c.reshape(*y.shape, *x.shape) for c, y in zip(columns, results, strict=True)]
            )
        if isinstance(argnums, int):
            return trees.filled(outputs, iter(made[0]))
        return trees.filled(outputs, iter([tuple(parts) for parts in zip(*made, strict=True)]))
    outputs, pull = vjp(of_chosen, *chosen)
    results = trees.leaves(outputs)
    rows: list[Any] = []
    for i, y in enumerate(results):
        basis = Tensor.eye(y.numel(), dtype=y.dtype).reshape(y.numel(), *y.shape)

        def down(g: Tensor, i: int = i) -> Any:
            full = [g if j == i else other.zeros_like() for j, other in enumerate(results)]
            return pull(trees.filled(outputs, iter(full)))

        parts = vmap(down)(basis)
        row = tuple(_in_shape(part, y.shape) for part in parts)
        rows.append(row[0] if isinstance(argnums, int) else row)
    return trees.filled(outputs, iter(rows))


def _in_shape(tree: Any, shape: tuple[int, ...]) -> Any:
    """Each tensor of a tree with its first axis in another shape."""
    return trees.mapped(lambda part: part.reshape(*shape, *part.shape[1:]), tree)


def jacrev(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function that gives the Jacobian of f with respect to the arguments `argnums`, of the
    results' shape and then the argument's; computed row by row, all rows at once.

        jacrev(lambda x: x * x)(Tensor([1.0, 3.0])).tolist() == [[2.0, 0.0], [0.0, 6.0]]
    """

    @wraps(function)
    def differentiated(*args: Any) -> Any:
        return _jacobian(function, argnums, args, forward=False)

    return differentiated


def jacfwd(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """`jacrev` computed column by column: for functions of fewer arguments than results.

    jacfwd(lambda x: x.expand(2))(Tensor([3.0])).tolist() == [[1.0], [1.0]]
    """

    @wraps(function)
    def differentiated(*args: Any) -> Any:
        return _jacobian(function, argnums, args, forward=True)

    return differentiated


def hessian(function: Function, argnums: int = 0) -> Function:
    """The function that gives the second derivatives of f, of the result's shape and then the
    argument's, twice.

    lazygrad.transforms.hessian(lambda x: x**3)(Tensor(2.0)).item() == 12.0
    """
    second = jacfwd(jacrev(function, argnums), argnums)

    @wraps(function)
    def differentiated(*args: Any) -> Any:
        return second(*args)

    return differentiated
