"""Views share memory with their base: what is written to one is read from all."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, TinyJit, jit
from lazygrad.errors import JitError, ShapeError
from lazygrad.graph.ir import Buffer, topological
from lazygrad.tensor.views import path_between, strides


def grid(requires_grad: bool = False) -> Tensor:
    return Tensor(np.arange(12, dtype=np.float32).reshape(3, 4), requires_grad=requires_grad)


VIEWS: list[tuple[str, Callable[[Any], Any]]] = [
    ("x[1]", lambda x: x[1]),
    ("x[-1, 2]", lambda x: x[-1, 2]),
    ("x[:, 1]", lambda x: x[:, 1]),
    ("x[::2, 1:]", lambda x: x[::2, 1:]),
    ("x[None, ..., 0]", lambda x: x[None, ..., 0]),
    ("x[1][2:][0]", lambda x: x[1][2:][0]),
    ("reshape", lambda x: x.reshape(2, 6)),
    ("view", lambda x: x.view(-1)),
    ("part of view", lambda x: x.view(-1)[3:7]),
    ("flatten", lambda x: x.flatten()),
    ("unflatten", lambda x: x.unflatten(1, (2, 2))),
    ("T", lambda x: x.T),
    ("row of T", lambda x: x.T[0]),
    ("permute", lambda x: x.permute(1, 0)),
    ("movedim", lambda x: x.movedim(0, 1)),
    ("unsqueeze", lambda x: x.unsqueeze(1)),
    ("squeeze", lambda x: x[:1].squeeze(0)),
    ("narrow", lambda x: x.narrow(1, 1, 2)),
    ("select", lambda x: x.select(1, 3)),
    ("split", lambda x: x.split(2)[1]),
    ("chunk", lambda x: x.chunk(2, 1)[0]),
    ("tensor_split", lambda x: x.tensor_split(3, 1)[1]),
    ("unbind", lambda x: x.unbind(1)[2]),
    ("iteration", lambda x: list(x)[2]),
    ("diagonal", lambda x: x.diagonal()),
    ("diagonal below", lambda x: x.diagonal(-1)),
    ("unfold", lambda x: x.unfold(1, 2, 2)),
    ("expand of size 1", lambda x: x[:1].expand(1, 4)),
    ("element of expanded", lambda x: x[:1].expand(5, 4)[2]),
    ("detach", lambda x: x.detach()),
    ("data", lambda x: x.data),
    ("contiguous", lambda x: x.contiguous()),
]
IDS = [name for name, _ in VIEWS]

WRITES: list[tuple[str, Callable[[Any], Any]]] = [
    ("fill_", lambda v: v.fill_(-1)),
    ("add_", lambda v: v.add_(10)),
    ("*=", lambda v: v.__imul__(3)),
    ("zero_", lambda v: v.zero_()),
    ("copy_", lambda v: v.copy_(v * 2 + 1)),
    ("[...] =", lambda v: v.__setitem__(..., 7)),
]


def oracle(view: Callable[[Any], Any], write: Callable[[Any], Any]) -> np.ndarray:
    """The same on positions: what the view shows gets what the write makes of it."""
    positions = view(Tensor(np.arange(12).reshape(3, 4))).numpy()
    values = np.arange(12, dtype=np.float32)
    part = Tensor(values[positions])
    write(part)
    values[positions] = part.numpy()
    return values.reshape(3, 4)


@pytest.mark.parametrize("write", [w for _, w in WRITES], ids=[name for name, _ in WRITES])
@pytest.mark.parametrize("view", [v for _, v in VIEWS], ids=IDS)
def test_what_is_written_to_a_view_arrives_in_its_base(view: Any, write: Any) -> None:
    x = grid()
    part, other = view(x), x.T
    write(part)
    expected = oracle(view, write)
    np.testing.assert_array_equal(x.numpy(), expected)
    np.testing.assert_array_equal(other.numpy(), expected.T)
    np.testing.assert_array_equal(part.numpy(), view(Tensor(expected)).numpy())


@pytest.mark.parametrize("view", [v for _, v in VIEWS], ids=IDS)
def test_what_is_written_to_the_base_is_read_from_a_view(view: Any) -> None:
    x = grid()
    part = view(x)
    part.realize()
    x += 100
    np.testing.assert_array_equal(part.numpy(), view(grid() + 100).numpy())
    x.assign(grid() * 2)
    np.testing.assert_array_equal(part.numpy(), view(grid() * 2).numpy())


@pytest.mark.parametrize("view", [v for _, v in VIEWS], ids=IDS)
def test_assigning_to_a_view_writes_to_the_base(view: Any) -> None:
    x = grid()
    view(x).assign(-1.0).realize()
    np.testing.assert_array_equal(x.numpy(), oracle(view, lambda v: v.fill_(-1)))


@pytest.mark.parametrize("view", [v for _, v in VIEWS], ids=IDS)
def test_a_captured_function_writes_through_views(view: Any) -> None:
    state = grid()
    part = view(state)

    @jit
    def f(x: Tensor) -> Tensor:
        view(state).fill_(x)
        view(state).add_(1)
        return view(state) * 1

    for n in range(3):
        result = f(Tensor(float(n)))
        expected = oracle(view, lambda v, n=n: v.fill_(n + 1))
        np.testing.assert_array_equal(state.numpy(), expected)
        for found in (result, part):
            np.testing.assert_array_equal(found.numpy(), view(Tensor(expected)).numpy())


def test_nested_indices_reach_the_base() -> None:
    x = Tensor.zeros(2, 3, 4)
    x[1][2][3] = 5
    x[0][:, 1] = 7
    x[1, 0][1:3] += 2
    expected = np.zeros((2, 3, 4), np.float32)
    expected[1, 2, 3], expected[0, :, 1] = 5, 7
    expected[1, 0, 1:3] += 2
    np.testing.assert_array_equal(x.numpy(), expected)


def test_masks_and_arrays_write_through_views_and_read_copies() -> None:
    x = grid()
    row = x[1]
    row[row > 5] = 0
    row[[0, 1]] = Tensor([8.0, 9.0])
    copy = x[[1]]
    copy += 100
    masked = x[x > 5]
    masked.zero_()
    expected = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected[1] = [8, 9, 0, 0]
    np.testing.assert_array_equal(x.numpy(), expected)


@pytest.mark.parametrize(
    "copy",
    [
        lambda x: x.clone(),
        lambda x: x.T.contiguous(),
        lambda x: x.T.reshape(-1),
        lambda x: x.flip(0),
        lambda x: x.roll(0, 0),
        lambda x: x.repeat(1, 1),
        lambda x: x.repeat_interleave(1, 0),
        lambda x: x.rot90(0),
        lambda x: x.diff(0),
        lambda x: x[:, :3].diag(),
        lambda x: x + 0,
        lambda x: x[[0, 1, 2]],
        lambda x: x.double(),
    ],
)
def test_copies_stay_copies(copy: Any) -> None:
    x = grid()
    copy(x).fill_(50)
    np.testing.assert_array_equal(x.numpy(), grid().numpy())


def test_expanded_tensors_and_windows_that_overlap_cannot_be_written_to() -> None:
    x = grid()
    for view in (x[:1].expand(3, 4), x.unfold(1, 2, 1)):
        with pytest.raises(RuntimeError, match=r"several times.*clone"):
            view += 1
        with pytest.raises(RuntimeError, match=r"several times.*clone"):
            view[:2] = Tensor.arange(view[:2].numel(), dtype="float32").reshape(view[:2].shape)
    np.testing.assert_array_equal(x.numpy(), grid().numpy())
    x[:1].expand(3, 4).fill_(2)  # one value is one value
    assert x[0].tolist() == [2, 2, 2, 2]


def test_an_expression_built_before_a_write_keeps_the_old_values() -> None:
    x = grid()
    before = x[1] * 1
    x[1] = 0
    assert before.tolist() == [4, 5, 6, 7]
    assert x[1].tolist() == [0, 0, 0, 0]


def test_augmented_assignment_writes_once() -> None:
    x = grid().realize()
    x[1] += 1
    nodes = topological([x.node])
    assert sum(type(node).__name__ == "Where" for node in nodes) == 1
    x[1][2] = x[1][2]
    assert x[1].tolist() == [5, 6, 7, 8]


def test_a_value_of_another_shape_or_kind_is_refused() -> None:
    x = grid()
    with pytest.raises(ShapeError, match="in place"):
        x[0] += Tensor.zeros(2, 4)
    with pytest.raises(Exception, match="float32"):
        x.long()[0] += 1.5
    np.testing.assert_array_equal(x.numpy(), grid().numpy())


# --------------------------------------------------------------------------- gradients


def test_gradients_go_through_writes_to_views() -> None:
    w = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = Tensor.zeros(2, 3)
    row = x[1]
    assert not x.requires_grad
    row += w * 2
    assert x.requires_grad
    assert row.requires_grad
    (x * Tensor([[1.0, 1, 1], [1, 10, 100]])).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [2, 20, 200]


def test_what_was_overwritten_gets_no_gradient() -> None:
    w = grid(requires_grad=True)
    x = w * 3
    x[1].zero_()
    x[:, 0] = 5
    x.sum().backward()
    expected = np.full((3, 4), 3.0)
    expected[1], expected[:, 0] = 0, 0
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy(), expected)


def test_saved_values_are_the_old_ones() -> None:
    w = Tensor([2.0, 3.0], requires_grad=True)
    x = w * 1
    y = x * x
    x.zero_()
    y.sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [4, 6]


def test_a_variable_is_not_written_to_where_gradients_are_recorded() -> None:
    w = grid(requires_grad=True)
    for view in (w[0], w.view(-1), w.T[1], w):
        with pytest.raises(RuntimeError, match="no_grad"):
            view += 1
    with pytest.raises(RuntimeError, match="no_grad"):
        w[0, 0] = 1
    np.testing.assert_array_equal(w.numpy(), grid().numpy())


def test_a_variable_is_written_to_through_views_without_gradient() -> None:
    w = grid(requires_grad=True)
    row = w[2]
    with Tensor.no_grad():
        w[0] += 100
    w.detach()[1] = -1
    w.data[:, 3] = 0
    w.data -= 1
    expected = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected[0] += 100
    expected[1], expected[:, 3] = -1, 0
    np.testing.assert_array_equal(w.numpy(), expected - 1)
    np.testing.assert_array_equal(row.numpy(), expected[2] - 1)
    assert w.is_leaf
    assert w.requires_grad
    (w * 2).sum().backward()
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy(), np.full((3, 4), 2.0))


def test_overwriting_without_gradient_leaves_the_gradient_s_way() -> None:
    w = Tensor([1.0, 2.0], requires_grad=True)
    x = w * 3
    with Tensor.no_grad():
        x.zero_()
    x.detach()[0] = 5
    assert x.tolist() == [5, 0]
    (x * x).sum().backward()  # 2x at the values that are there
    assert w.grad is not None
    assert w.grad.tolist() == [30, 0]


def test_a_detached_tensor_takes_no_value_with_gradient() -> None:
    w, x = Tensor([1.0], requires_grad=True), Tensor([2.0])
    constant = x.detach()
    with pytest.raises(RuntimeError, match=r"detached.*clone"):
        constant += w
    assert x.item() == 2.0


def test_a_view_that_is_a_variable_has_a_gradient_of_its_own() -> None:
    x = grid()
    row = x[1].requires_grad_()
    (row * row).sum().backward()
    assert row.grad is not None
    assert row.grad.tolist() == [8, 10, 12, 14]
    assert x.grad is None


# --------------------------------------------------------------------------- captured


def test_a_captured_function_writes_to_state_through_views() -> None:
    cache = Tensor.zeros(4, 2).contiguous().realize()
    row = cache[1]

    @TinyJit
    def step(x: Tensor) -> Tensor:
        cache[1:3].assign(x)
        cache[3][0] = x.sum()
        return cache.sum()

    for n in range(4):
        total = step(Tensor(np.full((2, 2), float(n), np.float32)))
        assert total.item() == 8 * n
        assert row.tolist() == [n, n]
        assert cache.tolist() == [[0, 0], [n, n], [n, n], [4 * n, 0]]


def test_a_captured_function_writes_to_its_argument_and_what_that_is_a_view_of() -> None:
    @jit
    def double(x: Tensor) -> None:
        x.mul_(2)

    x = grid()
    for _ in range(3):
        double(x[1])
    assert x.tolist()[1] == [32, 40, 48, 56]
    assert x.tolist()[0] == [0, 1, 2, 3]


def test_a_captured_function_reads_a_view_from_outside_as_it_is_at_the_call() -> None:
    x = grid()
    row, constant = x[1], x.detach()[0]

    @jit
    def f(y: Tensor) -> Tensor:
        return (row + constant) * y

    for n in range(4):
        expected = x.numpy()[1] + x.numpy()[0]
        np.testing.assert_array_equal(f(Tensor(1.0)).numpy(), expected)
        x += n


def test_a_view_that_a_captured_function_returns_is_a_view() -> None:
    x, state = grid(), grid()

    @jit
    def f(y: Tensor) -> tuple[Tensor, Tensor]:
        return y[0], state.view(-1)[:2]

    for n in range(3):
        row, head = f(x)
        row.fill_(n)
        head.fill_(n)
        assert x[0].tolist() == [n] * 4
        assert state[0, :2].tolist() == [n, n]


# --------------------------------------------------------------------------- memory


def test_a_view_whose_base_nobody_holds_becomes_a_base() -> None:
    x = Tensor.zeros(4, 4).contiguous().realize()
    assert x._base is None
    for _ in range(50):
        x = (x + 1)[1:].repeat(2, 1)[:4].realize()
    assert len(topological([x.node])) <= 2


def test_a_detached_value_does_not_keep_the_graph() -> None:
    w = Tensor(np.ones(1000, np.float32), requires_grad=True)
    kept, alive = [], []
    for _ in range(5):
        hidden = (w * 2).exp()
        alive.append(weakref.ref(hidden.node))
        loss = hidden.sum()
        kept.append(loss.detach())
        loss.item()
        del hidden
    loss = None
    Tensor.zeros(1).contiguous().realize()
    gc.collect()
    assert sum(node() is not None for node in alive) <= 1
    assert all(isinstance(x.node, Buffer) or len(topological([x.node])) <= 2 for x in kept)


def test_strides_are_pytorch_s() -> None:
    x = grid()
    for view, expected in [
        (x, (4, 1)), (x.T, (1, 4)), (x[::2], (8, 1)), (x[:, None], (4, 4, 1)),
        (x.diagonal(), (5,)), (x[:1].expand(3, 4), (0, 1)), (x.unfold(1, 2, 2), (4, 2, 1)),
    ]:  # fmt: skip
        found = view._strides()
        assert found is not None
        sized = [s for s, n in zip(found, view.shape, strict=True) if n > 1]
        assert sized == [s for s, n in zip(expected, view.shape, strict=True) if n > 1]
    assert strides(path_between(x.T.view(12).node, x.node), x.shape) is None
    assert x.is_contiguous()
    assert not x.T.is_contiguous()


def test_arguments_that_share_memory_with_what_is_written_are_refused() -> None:
    x, state = grid(), grid()

    def scaled(a: Tensor, b: Tensor) -> Tensor:
        a.mul_(2)
        return b + 0

    def outer(a: Tensor) -> Tensor:
        a.add_(1)
        return state + 0

    for first, second in ((x, x[0]), (x[0], x), (x[:2], x[1:])):
        with pytest.raises(JitError, match=r"shares its memory.*clone"):
            jit(scaled)(first, second)
    with pytest.raises(JitError, match=r"shares its memory.*clone"):
        jit(outer)(state[0])
    np.testing.assert_array_equal(x.numpy(), grid().numpy())
    np.testing.assert_array_equal(state.numpy(), grid().numpy())
    assert jit(scaled)(x[0].clone(), x[1]).tolist() == [4, 5, 6, 7]
