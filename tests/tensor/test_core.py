"""Laziness, realization, assignment, values in and out."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any
from weakref import ref

import numpy as np
import pytest

from lazygrad import Size, Tensor, dtypes, jit, vmap
from lazygrad.errors import DeviceError, DTypeError, ShapeError
from lazygrad.graph.ir import Buffer, Detach
from lazygrad.runtime.device import Device
from lazygrad.tensor.core import owners


def test_nothing_is_computed_before_values_are_asked_for(computed: Any) -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = (x @ x + 1).relu().sum()
    y.backward()
    y.shape, y.dtype, y.device, x.grad.shape, len(x), y.is_realized
    assert not computed
    assert y.item() == 58.0
    assert len(computed) == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda t: t.realize(),
        lambda t: t.numpy(),
        lambda t: t.tolist(),
        lambda t: np.asarray(t),
        lambda t: bool(t),
        lambda t: float(t),
        lambda t: int(t),
        lambda t: t.item(),
        lambda t: f"{t:.2f}",
    ],
)
def test_each_way_to_ask_computes_once(computed: Any, ask: Any) -> None:
    x = Tensor([2.0]) + 1
    ask(x)
    ask(x)
    assert len(computed) == 1


def test_realize_computes_several_together(computed: Any) -> None:
    x = Tensor([1.0, 2.0])
    a, b = x + 1, x * 2
    assert Tensor.realize(a, b, x) is a
    assert len(computed) == 1
    assert a.tolist() == [2.0, 3.0]
    assert b.tolist() == [2.0, 4.0]
    assert len(computed) == 1


def test_printing_computes_once_and_shows_values(computed: Any) -> None:
    x = Tensor([1.0, 2.0]) + 1
    notes = f"dtype=float32, device={Device.DEFAULT}"
    assert repr(x) == str(x) == f"{x}" == f"Tensor([2., 3.], shape=(2,), {notes})"
    assert len(computed) == 1
    big = Tensor.arange(100.0)
    assert repr(big) == f"Tensor([ 0.,  1.,  2., ..., 97., 98., 99.], shape=(100,), {notes})"
    loss = Tensor([1.5], requires_grad=True).sum()
    assert repr(loss) == f"Tensor(1.5, shape=(), {notes}, requires_grad=True)"
    assert (f"{loss}", f"{loss:.3f}", "%.2f" % loss) == ("1.5", "1.500", "1.50")  # noqa: UP031
    loss.backward()


def test_printing_in_a_captured_function_computes_nothing_and_is_no_part_of_it() -> None:
    seen = []

    @jit
    def step(x: Tensor) -> Tensor:
        loss = (x * 2).sum()
        seen.append((repr(x), f"{loss}"))
        return loss

    values = [step(Tensor([1.0, number])).item() for number in (2.0, 3.0, 4.0)]
    assert values == [6.0, 8.0, 10.0]
    assert all("lazy" in text for pair in seen for text in pair)
    vmap(lambda x: seen.append((repr(x), f"{x}")) or x)(Tensor([1.0, 2.0]))
    assert "lazy" in seen[-1][0]


def test_a_shape_counts_its_elements() -> None:
    shape = Tensor.zeros(2, 3, 4).shape
    assert (shape.numel(), shape[1:].numel(), Size((*shape, 2)).numel()) == (24, 12, 48)
    assert shape == (2, 3, 4)
    assert shape == Size([2, 3, 4])
    assert repr(shape) == "(2, 3, 4)"
    assert shape[-1] == 4


def test_a_loop_of_realized_steps_grows_no_chain(size: Any) -> None:
    x = Tensor([1.0, 2.0])
    for _ in range(5):
        x = (x * 2).realize()
        assert isinstance(x.node, Buffer)
    assert size((x + 1).node) == 3
    assert x.tolist() == [32.0, 64.0]


def test_a_loop_of_assignments_keeps_no_old_memory(size: Any) -> None:
    x = Tensor([1.0, 2.0])
    storages = []
    for _ in range(4):
        x.assign(x * 2).realize()
        storages.append(ref(x.storage))
    gc.collect()
    assert [storage() is None for storage in storages] == [True, True, True, False]


def test_what_is_computed_is_reused_by_expressions_built_before(computed: Any) -> None:
    x = Tensor([1.0, 2.0])
    y = x.exp()
    z = y + 1
    y.realize()
    from lazygrad.runtime.buffer import realized

    assert any(node in realized for node in z.node.inputs)


def test_a_realized_tensor_that_requires_gradient_keeps_its_expression() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).realize()
    assert y.is_realized
    assert not y.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_assign_rebinds_casts_and_broadcasts() -> None:
    x = Tensor([1.0, 2.0, 3.0])
    before = x + 0
    assert x.assign(Tensor([4, 5, 6])) is x
    assert x.dtype == dtypes.float32
    assert x.tolist() == [4.0, 5.0, 6.0]
    assert before.tolist() == [1.0, 2.0, 3.0]
    assert x.assign(7).tolist() == [7.0, 7.0, 7.0]
    with pytest.raises(ShapeError, match=r"assign: shape \(2,\) does not broadcast to \(3,\)"):
        x.assign(Tensor([1.0, 2.0]))
    with pytest.raises(ShapeError, match="assign"):
        x.assign(Tensor.ones(1, 3))


def test_assignment_carries_no_gradient() -> None:
    w, y = Tensor([2.0], requires_grad=True), Tensor([0.0])
    y.assign(w * 3)
    assert not y.requires_grad
    with pytest.raises(RuntimeError, match="not part"):
        y.sum().gradient(w)


def test_assigned_tensors_are_computed_with_whatever_comes_next(computed: Any, size: Any) -> None:
    mean = Tensor([0.0])
    for _ in range(3):
        mean.assign(mean * 0.9 + 1)
        (Tensor([1.0]) + 1).realize()
        assert mean.is_realized
        assert size(mean.node) == 1
    assert len(computed) == 3
    np.testing.assert_allclose(mean.item(), 2.71, rtol=1e-6)


def test_equal_expressions_of_constants_are_two_variables() -> None:
    a, b = Tensor.ones(3, requires_grad=True), Tensor.ones(3, requires_grad=True)
    (a * b * 2).sum().backward()
    assert a.node is not b.node
    assert a.grad.tolist() == b.grad.tolist() == [2.0, 2.0, 2.0]


def test_leaves_know_their_tensors() -> None:
    x = Tensor([1.0])
    assert owners[x.node]() is x
    y = (x + 1).realize()
    assert owners[y.node]() is y
    y.assign(3.0)
    assert isinstance(y.node, Detach)
    assert owners[y.node]() is y


def test_in_place_operators_change_the_tensor_itself() -> None:
    x = Tensor([6.0, 7.0])
    same = x
    x += 1
    x -= 2
    x *= 3
    x /= 2
    x **= 2
    assert same is x
    assert x.tolist() == [56.25, 81.0]
    n = Tensor([6, 7])
    n //= 2
    n %= 2
    n <<= 3
    n |= 1
    n ^= 2
    n &= 11
    n >>= 1
    assert n.tolist() == [5, 5]


def test_in_place_operators_refuse_what_does_not_fit() -> None:
    with pytest.raises(DTypeError, match="float32 cannot go into int64"):
        Tensor([1]).__iadd__(0.5)
    with pytest.raises(ShapeError, match="in place"):
        Tensor([1.0]).__iadd__(Tensor([1.0, 2.0]))
    w = Tensor([1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="no_grad"):
        w.__iadd__(1)
    with Tensor.no_grad():
        w += 1
    assert w.requires_grad
    assert w.is_leaf
    assert w.tolist() == [2.0]


def test_arrays_that_come_out_cannot_be_written_to() -> None:
    x = Tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 5
    array = np.array(x)
    array[0] = 5
    assert x.tolist() == [1.0, 2.0]
    assert np.asarray(x, dtype=np.float64).dtype == np.float64


def test_numpy_leaves_operators_to_the_tensor() -> None:
    made = np.array([1.0, 2.0], np.float32) + Tensor([1.0, 1.0])
    assert isinstance(made, Tensor)
    assert made.tolist() == [2.0, 3.0]
    assert isinstance(np.float64(2) * Tensor([1.0]), Tensor)


def test_a_single_value_becomes_a_python_number() -> None:
    assert type(Tensor([[3]]).item()) is int
    assert type(Tensor(2.5, dtype="bfloat16").item()) is float
    assert type(Tensor(True).item()) is bool
    for dtype in dtypes.ALL:
        for number in (1, 0, 200, -3):
            one = Tensor(np.array([number]), device="CPU").cast(dtype)
            assert one.item() == one.numpy().astype(np.float64)[0]
            assert type(one.item()) is type(one.tolist()[0])
    assert [10, 20, 30][Tensor(1)] == 20
    with pytest.raises(ShapeError, match=r"item: shape \(2,\) has 2 values"):
        Tensor([1, 2]).item()
    with pytest.raises(ShapeError, match="ambiguous"):
        bool(Tensor([1, 2]))
    with pytest.raises(TypeError, match="index"):
        [1][Tensor(0.0)]


def test_copies_and_pickles_are_tensors_of_their_own() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    for other in (copy.copy(x), copy.deepcopy([x])[0], pickle.loads(pickle.dumps(x))):
        assert other.tolist() == [1.0, 2.0]
        assert other.requires_grad
        assert other.is_leaf
        with Tensor.no_grad():
            other += 1
        assert x.tolist() == [1.0, 2.0]
        (other * x).sum().backward()
        assert other.grad.tolist() == [1.0, 2.0]
        assert x.grad.tolist() == [2.0, 3.0]
        x.grad = None


def test_tensors_are_compared_by_value_and_kept_by_identity() -> None:
    x, y = Tensor([1.0]), Tensor([1.0])
    assert (x == y).tolist() == [True]
    assert len({x, y}) == 2
    assert x != None  # noqa: E711
    assert x not in [None, "x"]
    assert 1.0 in x


def test_to_moves_and_casts() -> None:
    x = Tensor([1.5])
    assert x.to("int32").dtype == dtypes.int32
    assert x.to(dtypes.float16).dtype == dtypes.float16
    assert x.to(Device.DEFAULT.lower()) is x
    assert x.to(Tensor([1])).dtype == dtypes.int64
    with pytest.raises(DeviceError, match="NOWHERE"):
        x.to("NOWHERE")
    with pytest.raises(DTypeError, match="complex64"):
        x.cast("complex64")


def test_building_an_operation_is_little_work(count_calls) -> None:
    x, y = Tensor.ones(3, 4), Tensor.ones(3, 4)
    x + y  # what is done once
    assert count_calls(lambda: x + y) < 60


def test_both_spellings_of_axis_are_understood() -> None:
    x = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    for same in (x.sum(dim=1), x.sum(axis=1), x.sum(1)):
        assert same.tolist() == [3.0, 12.0]
    assert x.sum(dim=1, keepdims=True).shape == (2, 1)
    assert x.softmax(dim=0).shape == x.flatten(start_dim=0).reshape(2, 3).shape
    assert Tensor.cat([x, x], dim=1).shape == (2, 6)
    assert x.transpose(dim0=0, dim1=1).shape == (3, 2)
    with pytest.raises(TypeError):
        x.sum(dimension=1)  # type: ignore[call-arg]


def test_dtypes_have_pytorchs_other_names() -> None:
    assert dtypes.half is dtypes.float16
    assert dtypes.long is dtypes.int64
    assert dtypes.float is dtypes.float32
    assert Tensor([1.5]).to("int").dtype == dtypes.int32
    assert Tensor([1], dtype=float).dtype == dtypes.float32
    for name in (
        "half",
        "float",
        "double",
        "bfloat16",
        "char",
        "byte",
        "short",
        "int",
        "long",
        "bool",
    ):
        assert getattr(Tensor([1]), name)().dtype == dtypes.to_dtype(name)
    with pytest.raises(AttributeError):
        _ = dtypes.quarter
