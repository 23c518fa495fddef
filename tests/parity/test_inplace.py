"""Every form in place, on a view, beside PyTorch's: the base gets what the operation gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor, no_grad
from lazygrad.tensor.inplace import FORMS

BINARY = [
    "add", "sub", "mul", "div", "divide", "multiply", "subtract", "true_divide", "floor_divide",
    "remainder", "fmod", "pow", "atan2", "arctan2", "copysign", "hypot", "xlogy", "eq", "ne",
    "lt", "le", "gt", "ge", "less", "less_equal", "greater", "greater_equal", "not_equal",
    "logical_and", "logical_or", "logical_xor",
]  # fmt: skip
BITS = [
    "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift", "gcd",
    "lcm",
]  # fmt: skip
INDEX = np.array([[0, 1, 0], [1, 0, 1]])
OTHERS: dict[str, tuple[Any, ...]] = {
    "addcdiv": ("y", "z"), "addcmul": ("y", "z"), "clamp": (-0.5, 0.5), "clip": (-0.5, 0.5),
    "clamp_max": (0.2,), "clamp_min": (0.2,), "cumprod": (0,), "cumsum": (1,), "lerp": ("y", 0.3),
    "index_add": (0, np.array([1, 0]), "y"), "index_copy": (0, np.array([1, 0]), "y"),
    "index_fill": (0, np.array([1]), 4.0),
    "masked_fill": (np.array([[True, False, True]] * 2), 2.0),
    "scatter": (0, INDEX, "y"), "scatter_add": (0, INDEX, "y"),
    "scatter_reduce": (0, INDEX, "y", "amax"), "addmm": ("y", np.eye(3, dtype=np.float32)),
    "logit": (0.1,), "mvlgamma": (1,), "polygamma": (2,), "renorm": (2.0, 0, 0.5), "ldexp": ("y",),
    "masked_scatter": (np.array([[True, False, True]] * 2), "y"),
    "put": (np.array([[0, 2, 4], [1, 3, 5]]), "y"),
    "addr": (np.ones(2, np.float32), np.ones(3, np.float32)),
    "addbmm": (np.ones((2, 2, 2), np.float32), np.ones((2, 2, 3), np.float32)),
}  # fmt: skip
FUNCTIONAL = {"celu", "elu", "hardtanh", "leaky_relu", "relu6", "selu", "threshold"}


def arguments(name: str, rng: np.random.Generator) -> tuple[Any, ...] | None:
    y = (rng.random((2, 3)) * 0.8 + 0.1).astype(np.float32)
    if name in BINARY:
        return (y,)
    if name in BITS:
        return (np.array([[1, 2, 3]] * 2),)
    given = OTHERS.get(name, ())
    return tuple(y if isinstance(a, str) and a in "yz" else a for a in given)


@pytest.mark.parametrize("name", [n for n in FORMS if n not in FUNCTIONAL])
def test_a_form_in_place_writes_what_its_operation_gives(
    name: str, rng: np.random.Generator
) -> None:
    if name in ("addmv", "baddbmm"):
        pytest.skip("as addmm, of other ranks")
    is_whole = name in BITS or name == "bitwise_not"
    values = rng.integers(1, 9, (4, 3)) if is_whole else rng.random((4, 3)).astype(np.float32)
    if name in ("acosh", "arccosh"):
        values += 1
    given = arguments(name, rng)
    ours, theirs = Tensor(values), torch.tensor(values)
    result = getattr(ours[::2], f"{name}_")(
        *(Tensor(a) if isinstance(a, np.ndarray) else a for a in given or ())
    )
    getattr(theirs[::2], f"{name}_")(
        *(torch.tensor(a) if isinstance(a, np.ndarray) else a for a in given or ())
    )
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 2e-5, 1e-6)
    np.testing.assert_allclose(result.numpy(), theirs[::2].numpy(), 2e-5, 1e-6)


@pytest.mark.parametrize("name", sorted(FUNCTIONAL))
def test_an_activation_in_place_writes_what_the_function_gives(name: str) -> None:
    values = np.linspace(-3, 8, 12, dtype=np.float32).reshape(3, 4)
    given = {"hardtanh": (-1.0, 1.0), "threshold": (0.5, -2.0)}.get(name, ())
    x = Tensor(values)
    getattr(x.T, f"{name}_")(*given)
    theirs = getattr(torch.nn.functional, name)(torch.tensor(values), *given)
    np.testing.assert_allclose(x.numpy(), theirs.numpy(), 2e-5, 1e-6)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (7, 3), (8, 3), (3, 3, 3), (2, 0)])
def test_fill_diagonal_agrees(shape: tuple[int, ...], wrap: bool) -> None:
    zeros = np.zeros(shape, np.float32)
    ours = Tensor(zeros).fill_diagonal_(5, wrap=wrap)
    theirs = torch.tensor(zeros).fill_diagonal_(5, wrap=wrap)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("accumulate", [False, True])
def test_index_put_agrees(accumulate: bool) -> None:
    zeros, rows, values = np.zeros((3, 2), np.float32), [0, 2, 2], np.ones((3, 2), np.float32)
    ours, theirs = Tensor(zeros), torch.tensor(zeros)
    ours.index_put_((Tensor(np.array(rows)),), Tensor(values), accumulate)
    theirs.index_put_((torch.tensor(rows),), torch.tensor(values), accumulate)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


SHAPES: dict[str, Callable[[Any], Any]] = {
    "t": lambda x: x.t_(),
    "transpose": lambda x: x.transpose_(0, 1),
    "swapaxes": lambda x: x.swapaxes_(-1, 0),
    "swapdims": lambda x: x.swapdims_(0, 1),
    "unsqueeze": lambda x: x.unsqueeze_(1),
    "squeeze": lambda x: x.unsqueeze_(0).unsqueeze_(-1).squeeze_(0).squeeze_(),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("is_view", [False, True])
@pytest.mark.parametrize("is_computed", [False, True])
def test_shapes_change_in_place(name: str, is_view: bool, is_computed: bool) -> None:
    """Views of before show what they showed, and share memory still."""

    def run(whole: Any) -> list[Any]:
        x = whole[1:] if is_view else whole
        row, column = x[1], x[:, 2]
        if is_computed and isinstance(x, Tensor):
            x.realize(row)
        assert SHAPES[name](x) is x
        found = [list(x.shape), x.is_contiguous(), x.tolist(), row.tolist(), column.tolist()]
        x += 10
        row *= 2
        found += [whole.tolist(), x.tolist(), row.tolist(), column.tolist()]
        last = x[-1]
        last.zero_()
        return [*found, whole.tolist(), row.tolist(), column.tolist()]

    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert run(Tensor(values.copy())) == run(torch.from_numpy(values.copy()))


def test_gradients_of_shapes_changed_in_place() -> None:
    def run(x: Any, g: Any, no_grad: Any) -> list[Any]:
        y = (x * 2).t_().unsqueeze_(0)
        (y * g).sum().backward()
        with pytest.raises(RuntimeError):
            x.t_()
        gradient = x.grad.tolist()
        with no_grad():
            x.t_()
        return [gradient, list(x.shape), x.requires_grad, x.is_leaf]

    values, g = np.ones((2, 3), np.float32), np.arange(6, dtype=np.float32).reshape(3, 2)
    mine = run(Tensor(values, requires_grad=True), Tensor(g), no_grad)
    theirs = run(torch.tensor(values, requires_grad=True), torch.from_numpy(g), torch.no_grad)
    assert mine == theirs
