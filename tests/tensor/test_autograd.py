"""backward, gradient, no_grad, detach: what is reached, and what is said where nothing is."""

from __future__ import annotations

import gc
from weakref import ref

import pytest

from lazygrad import Tensor, enable_grad, no_grad
from lazygrad.errors import DTypeError, ShapeError


def test_gradient_needs_no_requires_grad() -> None:
    x, w = Tensor([1.0, 2.0]), Tensor([3.0, 4.0], requires_grad=True)
    dx, dw = (x * w).sum().gradient(x, w)
    assert dx.tolist() == [3.0, 4.0]
    assert dw.tolist() == [1.0, 2.0]
    assert w.grad is None


def test_gradients_of_gradients_need_no_requires_grad() -> None:
    x = Tensor([1.0, 2.0])
    first = (x * x * x).sum().gradient(x)[0]
    assert first.sum().gradient(x)[0].tolist() == [6.0, 12.0]


def test_gradient_reaches_intermediate_results() -> None:
    x = Tensor([1.0, 2.0])
    y = x * 3
    (y * y).sum().gradient(y)
    assert (y * y).sum().gradient(y)[0].tolist() == [6.0, 12.0]
    assert y.gradient(y, gradient=Tensor([1.0, 5.0]))[0].tolist() == [1.0, 5.0]


def test_a_target_that_is_not_reached_raises_or_gives_zeros() -> None:
    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"target 1, of shape \(2,\), is not part"):
        (x * 2).sum().gradient(x, y)
    found = (x * 2).sum().gradient(x, y, materialize_grads=True)
    assert [g.tolist() for g in found] == [[2.0, 2.0], [0.0, 0.0]]


def test_gradient_is_found_before_and_after_realization() -> None:
    x = Tensor([1.0, 2.0])
    variable = Tensor.ones(2)
    early = (x * variable).sum()
    variable.realize()
    late = (variable * variable).sum()
    assert early.gradient(variable)[0].tolist() == [1.0, 2.0]
    assert (early + late).gradient(variable)[0].tolist() == [3.0, 4.0]
    loss = (x * x).sum().realize()
    assert loss.gradient(x)[0].tolist() == [2.0, 4.0]


def test_requires_grad_may_be_set_later() -> None:
    x = Tensor([1.0, 2.0])
    y = x * 2
    x.requires_grad = True
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    assert y.sum().gradient(x)[0].tolist() == [2.0, 2.0]
    z = (x.detach() + 1).requires_grad_()
    (z * z * x).sum().backward()
    assert z.grad.tolist() == [4.0, 12.0]
    assert x.grad.tolist() == [6.0, 13.0]
    with pytest.raises(RuntimeError, match="detach"):
        (x * 2).requires_grad_(False)
    x.requires_grad = False
    assert not (x * 2).requires_grad


def test_backward_says_what_is_wrong() -> None:
    with pytest.raises(RuntimeError, match="requires gradient"):
        Tensor([1.0]).sum().backward()
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ShapeError, match=r"shape \(2,\) is no single value"):
        (x * 2).backward()
    with pytest.raises(ShapeError, match=r"has shape \(3,\), the tensor \(2,\)"):
        (x * 2).backward(Tensor([1.0, 2.0, 3.0]))
    with pytest.raises(DTypeError, match="int64 has no gradient"):
        x.argmax().gradient(x)
    with pytest.raises(DTypeError, match="target 0 is int64"):
        x.sum().gradient(Tensor([1]))


def test_backward_takes_the_gradient_of_the_result() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert (x * 2).backward(Tensor([1.0, 10.0])).shape == (2,)
    assert x.grad.tolist() == [2.0, 20.0]
    Tensor([3.0], requires_grad=True).mean().backward()


def test_no_grad_cuts_what_it_computes() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with no_grad():
        y = x * 10
        with enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert not y.requires_grad
    (y * x).sum().backward()
    assert x.grad.tolist() == [10.0, 20.0]


def test_no_grad_decorates_and_nests() -> None:
    x = Tensor([1.0], requires_grad=True)

    @Tensor.no_grad()
    def twice(depth: int) -> bool:
        return (x * 2).requires_grad or (depth > 0 and twice(depth - 1))

    assert not twice(2)
    assert (x * 2).requires_grad
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert (x * 2).requires_grad


def test_detach_cuts() -> None:
    x = Tensor([2.0], requires_grad=True)
    (x * x.detach()).sum().backward()
    assert x.grad.tolist() == [2.0]
    assert not x.detach().requires_grad


def test_grad_is_a_constant_unless_asked_for_more() -> None:
    x = Tensor([2.0], requires_grad=True)
    (x * x * x).sum().backward()
    assert not x.grad.requires_grad
    x.grad = None
    (x * x * x).sum().backward(create_graph=True)
    x.grad.sum().backward()
    assert x.grad.tolist() == [24.0]


def test_a_variable_that_is_gone_gets_nothing() -> None:
    x, y = Tensor([2.0], requires_grad=True), Tensor([3.0], requires_grad=True)
    loss = (x * y).sum()
    gone = ref(y)
    del y
    gc.collect()
    assert gone() is None
    loss.backward()
    assert x.grad.tolist() == [3.0]


def test_realized_steps_with_gradient_still_reach_the_start() -> None:
    x = Tensor([2.0], requires_grad=True)
    y = x
    for _ in range(3):
        y = (y * 2).realize()
    y.sum().backward()
    assert x.grad.tolist() == [8.0]


def test_accumulating_in_place_carries_gradient() -> None:
    x = Tensor([2.0])
    total = Tensor(0.0)
    for i in range(3):
        total += (x * i).sum()
    assert total.gradient(x)[0].tolist() == [3.0]


def test_only_leaves_get_a_grad() -> None:
    w = Tensor([2.0, 3.0], requires_grad=True)
    total = Tensor(0.0)
    total += (w * w).sum()
    total.backward()
    with pytest.warns(UserWarning, match="retain_grad"):
        assert total.grad is None
    assert w.grad.tolist() == [4.0, 6.0]
    w.assign([1.0, 1.0])
    (w * w).sum().backward()
    assert w.grad.tolist() == [6.0, 8.0]


def test_deep_chains_need_no_stack() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = x
    for _ in range(5000):
        y = y + 1
    y.sum().backward()
    assert x.grad.tolist() == [1.0]
