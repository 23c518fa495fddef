"""Transforms of functions are torch.func's, alone, nested, and captured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import func

import lazygrad
from lazygrad import Tensor, transforms
from lazygrad.graph.evaluate import evaluate

RNG = np.random.default_rng(3)
X = RNG.standard_normal((4, 3)).astype(np.float32)
W = RNG.standard_normal((3, 2)).astype(np.float32)
INDEX = np.array([2, 0, 1, 2])

# of x (4, 3), that both libraries can compute
FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "polynomial": lambda x, w: x**3 - 2 * x,
    "layer": lambda x, w: (x @ w).tanh(),
    "softmax": lambda x, w: (x @ w).softmax(-1).log(),
    "sums": lambda x, w: x.sum(0) * x.exp().mean(),
    "norm": lambda x, w: (x * x).sum(-1).sqrt(),
    "movement": lambda x, w: x.reshape(2, 6).T.flip(0)[1:4].roll(1, 0) ** 2,
    "maximum": lambda x, w: x.amax(-1) * x.relu().sum(),
    "sorted": lambda x, w: x.sort(-1)[0].cumsum(-1) * x,
    "index": lambda x, w: x[1] * x[:, 0].sum() + x[2, 1],
    "where": lambda x, w: (x > 0).where(x * x, x.sin()) if isinstance(x, Tensor) else (
        torch.where(x > 0, x * x, x.sin())
    ),
    "joined": lambda x, w: (x.unsqueeze(0) * x.unsqueeze(1)).sum(-1).tril(),
}  # fmt: skip

# name: (what a library's transforms make of f, to be called with (x, w))
TRANSFORMS: dict[str, Callable[[Any, Any], Any]] = {
    "grad": lambda t, f: t.grad(lambda x, w: f(x, w).sum()),
    "grad of both": lambda t, f: t.grad(lambda x, w: f(x @ (w @ w.T), w).sum(), argnums=(0, 1)),
    "grad and value": lambda t, f: t.grad_and_value(lambda x, w: (f(x, w) ** 2).sum()),
    "vjp": lambda t, f: lambda x, w: t.vjp(lambda x: f(x, w), x)[1](f(x, w) * 2)[0],
    "jvp": lambda t, f: lambda x, w: list(t.jvp(lambda x: f(x, w), (x,), (x * x,))),
    "jacrev": lambda t, f: lambda x, w: t.jacrev(lambda x: f(x, w))(x),
    "jacfwd": lambda t, f: lambda x, w: t.jacfwd(lambda x: f(x, w))(x),
    "hessian": lambda t, f: t.hessian(lambda x, w: (f(x, w) * x.sum()).sum()),
    "grad of grad": lambda t, f: t.grad(
        lambda x, w: (t.grad(lambda x: f(x, w).sum())(x) ** 2).sum()
    ),
    "jvp of grad": lambda t, f: lambda x, w: t.jvp(
        t.grad(lambda x: f(x, w).sum()), (x,), (x,)
    )[1],
    "vmap": lambda t, f: lambda x, w: t.vmap(lambda s: f(x * s, w))(w[:, 0]),
    "vmap over another axis": lambda t, f: lambda x, w: t.vmap(
        lambda s: f(x * s, w) * 2, in_dims=1, out_dims=-1
    )(w[:1]),
    "vmap of grad": lambda t, f: lambda x, w: t.vmap(
        lambda s: t.grad(lambda x: f(x * s, w).sum())(x)
    )(w[:, 0]),
    "grad of vmap": lambda t, f: t.grad(
        lambda x, w: (t.vmap(lambda s: f(x * s, w))(w[:, 0]) ** 2).sum()
    ),
    "vmap of vmap": lambda t, f: lambda x, w: t.vmap(
        lambda row: t.vmap(lambda s: f(x * s, w).sum())(row)
    )(w),
    "vmap of jvp": lambda t, f: lambda x, w: t.vmap(
        lambda s: t.jvp(lambda s: f(x * s, w), (s,), (s * 2,))[1]
    )(w[:, 1]),
}  # fmt: skip


def _listed(value: Any) -> list[Any]:
    return [y for x in value for y in _listed(x)] if isinstance(value, (tuple, list)) else [value]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_agree(transform: str) -> None:
    """Every function of the table, computed by the nodes' meaning in NumPy: what is tested here are
    the graphs."""
    made, expected = [], []
    for name, f in FUNCTIONS.items():
        if name in ("sorted", "movement", "joined") and transform == "hessian":
            continue  # large, and nothing new
        mine = _listed(TRANSFORMS[transform](transforms, f)(Tensor(X), Tensor(W)))
        x, w = torch.tensor(X), torch.tensor(W)
        theirs = _listed(TRANSFORMS[transform](func, f)(x, w))
        assert len(mine) == len(theirs), name
        made += [(name, x) for x in mine]
        expected += theirs
    values = evaluate([x.node for _, x in made])
    for (name, x), value, y in zip(made, values, expected, strict=True):
        assert x.shape == tuple(y.shape), name
        np.testing.assert_allclose(value, y.detach().numpy(), 1e-3, 1e-4, err_msg=name)


def test_trees_and_others_pass_through() -> None:
    def loss(parameters: Any, x: Any) -> Any:
        y = x @ parameters["w"] + parameters["more"][0]
        return (y * y).sum(), {"y": y}

    def arguments(make: Any) -> Any:
        return {"w": make(W), "more": [make(W[0])]}, make(X)

    mine, others = transforms.grad(loss, has_aux=True)(*arguments(Tensor))
    theirs, their_others = func.grad(loss, has_aux=True)(*arguments(torch.tensor))
    np.testing.assert_allclose(mine["w"].numpy(), theirs["w"], 1e-4)
    np.testing.assert_allclose(mine["more"][0].numpy(), theirs["more"][0], 1e-4)
    np.testing.assert_allclose(others["y"].numpy(), their_others["y"], 1e-4)


def test_gathers_and_scatters_are_batched() -> None:
    index, table = Tensor(INDEX), Tensor(X)
    picked = transforms.vmap(lambda i: table[i] * 2)(index)
    np.testing.assert_allclose(picked.numpy(), X[INDEX] * 2)
    each = transforms.vmap(lambda row, i: row[i])(table, index)
    np.testing.assert_allclose(each.numpy(), X[np.arange(4), INDEX])

    def put(row: Tensor, i: Tensor) -> Tensor:
        return row.scatter(0, i.reshape(1), Tensor([9.0]))

    expected = X.copy()
    expected[np.arange(4), INDEX] = 9
    np.testing.assert_allclose(transforms.vmap(put)(table, index).numpy(), expected)


def test_linearized_functions_are_applied_often() -> None:
    y, push = transforms.linearize(lambda x: x.sin(), Tensor(X))
    np.testing.assert_allclose(y.numpy(), np.sin(X), 1e-5)
    np.testing.assert_allclose(push(Tensor(X)).numpy(), np.cos(X) * X, 1e-4, 1e-6)
    np.testing.assert_allclose(push(Tensor(W).sum() * Tensor(X)).numpy().shape, X.shape)


def test_transforms_are_captured() -> None:
    f = transforms.vmap(transforms.grad(lambda x: (x.sin() * x).sum()))
    captured = lazygrad.jit(lambda x: f(x).realize())
    for k in (1, 2, 3, 4):
        x = torch.tensor(X * k)
        expected = func.vmap(func.grad(lambda x: (x.sin() * x).sum()))(x)
        np.testing.assert_allclose(captured(Tensor(X * k)).numpy(), expected, 1e-3, 1e-4)


def test_a_gradient_of_ones_own_is_used_at_every_order() -> None:
    @transforms.custom_vjp
    def cube(x: Tensor) -> Tensor:
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, g: (g * x * x * 30,))  # ten times as steep
    x = Tensor([2.0], requires_grad=True)
    cube(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [120.0]
    slope = transforms.grad(lambda x: cube(x).sum())
    assert slope(Tensor([2.0])).tolist() == [120.0]
    assert transforms.grad(lambda x: slope(x).sum())(Tensor([2.0])).tolist() == [120.0]
    assert transforms.vmap(slope)(Tensor([[1.0], [2.0]])).tolist() == [[30.0], [120.0]]
    over = transforms.grad(lambda x: transforms.vmap(lambda x: cube(x).sum())(x).sum())
    assert over(Tensor([[1.0], [2.0]])).tolist() == [[30.0], [120.0]]


def test_a_checkpoint_has_the_same_gradients() -> None:
    w = Tensor(W, requires_grad=True)
    x = Tensor(X, requires_grad=True)

    def block(x: Tensor) -> Tensor:
        return ((x @ w).tanh() @ w.T).sin()

    plain = (block(block(x)) ** 2).sum().gradient(x, w)
    kept = transforms.checkpoint(block)
    again = (kept(kept(x)) ** 2).sum().gradient(x, w)
    for a, b in zip(plain, again, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-4, 1e-5)


def test_stopped_gradients_are_zero() -> None:
    f = transforms.grad(lambda x: (transforms.stop_gradient(x) * x).sum())
    assert f(Tensor([3.0])).tolist() == [3.0]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(RuntimeError, match="vmap: the function reads values of one example"):
        transforms.vmap(lambda x: x if x.sum().item() > 0 else -x)(Tensor(X))
    with pytest.raises(ValueError, match="grad: the function gives"):
        transforms.grad(lambda x: x * 2)(Tensor(X))
    with pytest.raises(TypeError, match=r"^grad: derivatives are of floats, this is int64"):
        transforms.grad(lambda x: x.sum())(Tensor([1, 2]))
    with pytest.raises(ValueError, match=r"vmap: arguments of \[3, 4\] examples"):
        transforms.vmap(lambda x, w: x.sum() + w.sum())(Tensor(X), Tensor(W))
    with pytest.raises(ValueError, match=r"jvp: tangents of shapes"):
        transforms.jvp(lambda x: x, (Tensor(X),), (Tensor(W),))
