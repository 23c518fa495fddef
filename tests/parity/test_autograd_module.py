"""`lazygrad.autograd` and `lazygrad.func`: the same scripts run with both libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lazygrad
from lazygrad import Tensor, nn
from lazygrad.autograd import Function
from lazygrad.func import functional_call, grad, vmap

BOTH = pytest.mark.parametrize("library", [lazygrad, torch], ids=["lazygrad", "torch"])


@BOTH
def test_grad(library: Any) -> None:
    autograd = library.autograd
    x = library.tensor([1.0, 2.0], requires_grad=True)
    y = library.tensor([3.0, 4.0], requires_grad=True)
    a, b = autograd.grad((x * x * y).sum(), (x, y))
    assert (a.tolist(), b.tolist()) == ([6.0, 16.0], [1.0, 4.0])
    assert not a.requires_grad
    (first,) = autograd.grad((x**3).sum(), x, create_graph=True)
    (second,) = autograd.grad(first.sum(), x)
    assert second.tolist() == [6.0, 12.0]
    seeds = (library.tensor([1.0, 10.0]), library.tensor([2.0, 0.0]))
    (joined,) = autograd.grad((x * x, x * y), x, seeds)
    assert joined.tolist() == [8.0, 40.0]
    with pytest.raises(RuntimeError, match="allow_unused"):
        autograd.grad(x.sum(), (x, y))
    assert autograd.grad(x.sum(), (x, y), allow_unused=True)[1] is None
    zeros = autograd.grad(x.sum(), (x, y), materialize_grads=True)[1]
    assert zeros.tolist() == [0.0, 0.0]
    autograd.backward([x.sum(), (x * y).sum()])
    assert x.grad.tolist() == [4.0, 5.0]


@BOTH
def test_a_function_may_give_no_gradient_for_defaults(library: Any) -> None:
    class Scale(library.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any, factor: Any = 2.0) -> Any:
            return x * factor

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad * 2.0, None

    x = library.tensor([1.0, 2.0], requires_grad=True)
    Scale.apply(x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_each_output_has_one_gradient() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    for differentiate in (lambda: lazygrad.autograd.grad(x * x, x, (x, x)),
                          lambda: lazygrad.autograd.backward(x * x, (x, x))):  # fmt: skip
        with pytest.raises(ValueError, match="2 gradients for 1 outputs"):
            differentiate()


@BOTH
def test_gradients_are_checked(library: Any) -> None:
    x = library.tensor([0.5, 2.0], dtype=library.float64, requires_grad=True)
    assert library.autograd.gradcheck(lambda x: x.exp() * x, (x,))


def scripts(library: Any) -> dict[str, Any]:
    """Functions with gradients of their own, as one writes them."""
    base = library.autograd.Function

    class Cube(base):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    class Scaled(base):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any, scale: float) -> Any:
            ctx.save_for_backward(x, y)
            ctx.scale = scale
            return x * y * scale, x + y

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            x, y = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, True, False)
            return g * y * ctx.scale + h, g * x * ctx.scale + h, None

    class Straight(base):  # type: ignore[misc]
        @staticmethod
        def forward(x: Any) -> Any:
            return x.round()

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    return {"cube": Cube.apply, "scaled": Scaled.apply, "straight": Straight.apply}


@BOTH
def test_functions_have_gradients_of_their_own(library: Any) -> None:
    made = scripts(library)
    x = library.tensor([1.0, -2.0], requires_grad=True)
    (first,) = library.autograd.grad(made["cube"](x).sum(), x, create_graph=True)
    assert first.tolist() == [3.0, 12.0]
    assert library.autograd.grad(first.sum(), x)[0].tolist() == [6.0, -12.0]
    y = library.tensor([3.0, 5.0], requires_grad=True)
    p, q = made["scaled"](x, y, 2.0)
    (p.sum() + (q * q).sum()).backward()
    assert x.grad.tolist() == [14.0, 16.0]
    assert y.grad.tolist() == [10.0, 2.0]
    z = library.tensor([0.4, 1.6], requires_grad=True)
    (made["straight"](z) * 3).sum().backward()
    assert z.grad.tolist() == [3.0, 3.0]


def test_wrong_gradients_of_functions_are_refused() -> None:
    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
            return x + y

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            return ctx.found

    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(AttributeError):
        Wrong.apply(x, x).sum().backward()
    Wrong.backward = staticmethod(lambda ctx, g: g)  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match=r"Wrong\.backward: 1 gradients for 2 arguments"):
        Wrong.apply(x, x).sum().backward()
    Wrong.backward = staticmethod(lambda ctx, g: (g, g[:1]))  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match=r"shape \(1,\) for argument 1 of shape \(2,\)"):
        Wrong.apply(x, x).sum().backward()


@BOTH
def test_functional(library: Any) -> None:
    functional = library.autograd.functional
    x, t = library.tensor([1.0, 2.0]), library.tensor([1.0, 0.0])
    assert functional.jacobian(lambda x: x * x, x).tolist() == [[2.0, 0.0], [0.0, 4.0]]
    assert functional.hessian(lambda x: (x**3).sum(), x).tolist() == [[6.0, 0.0], [0.0, 12.0]]
    assert functional.vjp(lambda x: (x * x).sum(), x)[1].tolist() == [2.0, 4.0]
    assert functional.jvp(lambda x: x * x, x, t)[1].tolist() == [2.0, 0.0]


def test_functional_call_gives_gradients_of_each_example() -> None:
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    ours = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    weights = {name: p.detach() for name, p in ours.named_parameters()}
    found = vmap(grad(lambda w, x: functional_call(ours, w, (x,)).sum()), in_dims=(None, 0))(
        weights, Tensor(x)
    )
    others = {name: p.detach() for name, p in theirs.named_parameters()}
    call = torch.func.functional_call
    expected = torch.vmap(
        torch.func.grad(lambda w, x: call(theirs, w, (x,)).sum()), in_dims=(None, 0)
    )(others, torch.tensor(x))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name].numpy(), value.numpy(), rtol=1e-4, atol=1e-6)
    assert ours[0].weight is dict(ours.named_parameters())["0.weight"]
    with pytest.raises(KeyError, match="Linear has no tensor 'scale'"):
        functional_call(ours, {"0.scale": Tensor([1.0])}, Tensor(x))
    with pytest.raises(ValueError, match=r"weight is \(4, 3\), the value given \(1,\)"):
        functional_call(ours, {"0.weight": Tensor([1.0])}, Tensor(x))
