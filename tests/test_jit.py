"""A captured function does what the function does, call after call."""

from __future__ import annotations

import io
import sys
import threading

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, TinyJit, jit
from lazygrad.errors import JitError
from lazygrad.tensor.sharing import Sharing

RNG = np.random.default_rng(0)


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


class Counted:
    """A function that counts its calls: in a file, which captures do not look into."""

    def __init__(self, function):
        self.function = function
        self.file = io.StringIO()

    def __call__(self, *args, **kwargs):
        self.file.write(".")
        return self.function(*args, **kwargs)

    @property
    def calls(self):
        return len(self.file.getvalue())


# --------------------------------------------------------------------------- results


def test_the_function_runs_once_and_its_result_follows_the_arguments():
    body = Counted(lambda x, y: (x @ y).relu().sum(0))
    f = jit(body)
    for _ in range(4):
        x, y = array(3, 4), array(4, 5)
        np.testing.assert_allclose(
            f(Tensor(x), Tensor(y)).numpy(), np.maximum(x @ y, 0).sum(0), 1e-5
        )
    assert body.calls == 1


def test_results_are_fresh():
    f = jit(lambda x: x + 1)
    first = f(Tensor([1.0, 2.0]))
    kept = first.numpy()
    second = f(Tensor([3.0, 4.0]))
    assert first.tolist() == kept.tolist() == [2.0, 3.0]
    assert second.tolist() == [4.0, 5.0]
    assert first is not second


def test_results_may_be_nested_and_hold_what_is_no_tensor():
    @jit
    def f(x):
        return {"sum": x.sum(), "pair": (x, [x * 2, 7]), "name": "f", "none": None}

    for values in ([1.0, 2.0], [3.0, 4.0]):
        x = Tensor(values)
        found = f(x)
        assert found["sum"].item() == sum(values)
        assert found["pair"][0] is x
        assert found["pair"][1][0].tolist() == [2 * v for v in values]
        assert found["pair"][1][1] == 7
        assert (found["name"], found["none"]) == ("f", None)


def test_arguments_may_be_nested_and_named():
    body = Counted(lambda xs, scale, *, bias: [xs["a"] * scale + bias[0], xs["b"] - bias[1]])
    f = jit(body)
    for n in range(3):
        a, b = Tensor([1.0 + n]), Tensor([2.0])
        found = f({"a": a, "b": b}, 3, bias=(a, b))
        assert [t.item() for t in found] == [(1.0 + n) * 4, 0.0]
    assert body.calls == 1
    assert f({"a": a, "b": b}, 4, bias=(a, b))[0].item() == 15.0  # other numbers: another capture
    assert body.calls == 2


def test_one_result_returned_twice_is_one_tensor():
    @jit
    def f(x):
        y = x + 1
        return y, y

    for _ in range(2):
        a, b = f(Tensor([1.0]))
        assert a is b


def test_unrealized_arguments_and_constant_results():
    f = jit(lambda x: (x * 2, Tensor.ones(3), Tensor([4.0])))
    for n in (1.0, 2.0):
        x = Tensor([n]) + 1
        doubled, ones, four = f(x)
        assert (doubled.item(), ones.tolist(), four.item()) == (2 * n + 2, [1.0] * 3, 4.0)


def test_empty_tensors_and_single_values():
    f = jit(lambda x, s: (x + 1, x.sum(), s * 2))
    for _ in range(2):
        grown, total, twice = f(Tensor.zeros(0, 3).realize(), Tensor(2.5))
        assert grown.shape == (0, 3)
        assert (total.item(), twice.item()) == (0.0, 5.0)


# --------------------------------------------------------------------------- what makes a capture


def test_shapes_dtypes_modes_and_values_are_captured_apart():
    body = Counted(lambda x, n=1: x.dropout(0.5) * n)
    f = jit(body)
    f(Tensor([1.0]))
    f(Tensor([2.0]))
    assert body.calls == 1
    f(Tensor([1.0, 2.0]))
    f(Tensor([1]))
    f(Tensor([1.0]), n=2)
    f(Tensor([1.0]), n=2.0)
    f(Tensor([1.0], requires_grad=True))
    with Tensor.no_grad():
        f(Tensor([1.0]))
    assert body.calls == 7
    with Tensor.train():
        values = f(Tensor.ones(1000)).numpy()
    assert body.calls == 8
    assert set(np.unique(values)) == {0.0, 2.0}


def test_one_tensor_given_twice_is_captured_apart():
    def f(x, y):
        x.assign(x + 1)
        return x * y

    g = jit(f)
    for _ in range(2):
        a, b = Tensor([2.0]), Tensor([5.0])
        assert g(a, b).item() == 15.0
        assert g(a, a).item() == 16.0
        assert a.item() == 4.0


@pytest.mark.usefixtures("own_plans")  # a plan for many sizes is outgrown, and captured anew
def test_of_many_captures_those_used_last_are_kept(monkeypatch):
    monkeypatch.setattr(sys.modules["lazygrad.jit"], "MAX_CAPTURES", 64)
    body = Counted(lambda x, n: x + n)
    f = jit(body)
    for n in range(100):
        assert f(Tensor([1.0]), n).item() == 1.0 + n
        assert f(Tensor([2.0]), 0).item() == 2.0
    assert body.calls == 100
    assert f(Tensor([1.0]), 99).item() == 100.0
    assert body.calls == 100  # still there
    assert f(Tensor([1.0]), 1).item() == 2.0
    assert body.calls == 101  # long gone
    assert sum(map(len, f._replays.values())) == 64


@pytest.mark.parametrize("value", [np.zeros(3), {1, 2}, bytearray(b"x")])
def test_arguments_that_cannot_be_compared_are_refused(value):
    with pytest.raises(JitError, match="jit: argument 0 is, or holds, a"):
        jit(lambda x: 0)(value)


def test_reading_values_on_the_host_is_refused():
    for read in (Tensor.item, Tensor.numpy, Tensor.tolist, bool, float):
        with pytest.raises(JitError, match="reads a value on the host"):
            jit(lambda x, read=read: read(x.sum()))(Tensor([1.0]))
    state = Tensor([1.0]).realize()
    with pytest.raises(JitError, match="reads a value on the host"):
        jit(lambda: state.item())()


def test_constants_may_be_read_on_the_host():
    f = jit(lambda x: x * Tensor.arange(4).sum().item())
    assert [f(Tensor([n])).item() for n in (1.0, 2.0)] == [6.0, 12.0]


# --------------------------------------------------------------------------- state


def test_assigned_tensors_advance():
    count = Tensor([0.0])

    @jit
    def f(x):
        count.assign(count + x)
        return count * 10

    for n in range(1, 5):
        assert f(Tensor([1.0])).item() == 10.0 * n
        assert count.item() == n


def test_state_is_read_when_the_call_is_made():
    scale = Tensor([1.0])
    f = jit(lambda x: x * scale)
    assert f(Tensor([2.0])).item() == 2.0
    scale.assign(Tensor([5.0]))
    assert f(Tensor([2.0])).item() == 10.0
    scale.assign(scale + 1)  # not computed yet
    assert f(Tensor([2.0])).item() == 12.0


def test_state_may_be_an_expression_that_others_share():
    x = Tensor([3.0])
    double = x * 2
    f = jit(lambda: (double + 1, x * 2))
    for _ in range(2):
        assert [t.item() for t in f()] == [7.0, 6.0]
    x.assign(Tensor([10.0]))
    assert [t.item() for t in f()] == [7.0, 20.0]  # double was made from the old value


def test_older_values_stay_as_they_are():
    state = Tensor([1.0, 2.0]).contiguous().realize()

    @jit
    def f():
        state.assign(state * 2)

    f()
    for _ in range(3):
        before = state.tolist()
        view, expression, other = state.numpy(), state + 0, state.clone()
        f()
        assert state.tolist() == [2 * v for v in before]
        for older in (view, expression, other):
            assert older.tolist() == before


def test_memory_of_the_user_is_not_written_to():
    values = np.ones(1 << 20, np.float32)
    state = Tensor(values)

    @jit
    def f():
        state.assign(state + 1)

    for n in range(3):
        f()
        assert state[0].item() == n + 2
    assert (values == 1).all()


def test_state_that_nobody_else_sees_is_updated_in_place():
    state = Tensor.zeros(1000).contiguous().realize()
    if state.device != "CPU":
        pytest.skip("values of another device are copied, to wherever there is room")

    @jit
    def f(x):
        state.assign(state + x)

    places = set()
    for _ in range(6):
        f(Tensor([1.0]))
        places.add(state.numpy().__array_interface__["data"][0])
    assert len(places) <= 2
    assert state[7].item() == 6.0


def test_two_states_may_be_exchanged():
    a, b = Tensor([1.0]), Tensor([2.0])

    @jit
    def f():
        old = a.clone()
        a.assign(b)
        b.assign(old)

    for n in range(5):
        assert (a.item(), b.item()) == ((1.0, 2.0) if n % 2 == 0 else (2.0, 1.0))
        f()


def test_an_argument_may_be_assigned():
    f = jit(lambda x: x.assign(x * 3))
    for _ in range(3):
        x = Tensor([2.0])
        assert f(x) is x
        assert x.item() == 6.0


def test_a_tensor_may_be_argument_and_state():
    state = Tensor([1.0])

    @jit
    def f(x):
        state.assign(state + x)
        return x + 0

    assert f(state).item() == state.item() == 2.0
    for n in (5.0, 7.0):
        other = Tensor([n])
        assert f(other).item() == other.item() == n
    assert state.item() == 14.0
    for n in (28.0, 56.0):
        assert f(state).item() == state.item() == n


def test_a_tensor_from_outside_that_is_returned_is_that_tensor():
    state = Tensor([1.0])

    @jit
    def f(x):
        state.assign(state + x)
        return state

    for n in (2.0, 3.0):
        assert f(Tensor([1.0])) is state
        assert state.item() == n


def test_random_numbers_go_on():
    def draw(x):
        return x + Tensor.rand(4), Tensor.randn(2)

    x = Tensor.zeros(4)
    Tensor.manual_seed(3)
    wanted = [[t.tolist() for t in draw(x)] for _ in range(4)]
    f = jit(draw)
    Tensor.manual_seed(3)
    assert [[t.tolist() for t in f(x)] for _ in range(4)] == wanted


def test_state_made_in_the_first_call():
    class Average:
        total = None

        def __call__(self, x):
            if self.total is None:
                self.total = Tensor.zeros(2)
            self.total.assign(self.total * 0.5 + x)
            return self.total * 2

    plain, captured = Average(), Average()
    f = jit(captured.__call__)
    for _ in range(5):
        x = array(2)
        np.testing.assert_allclose(f(Tensor(x)).numpy(), plain(Tensor(x)).numpy(), 1e-6)
        np.testing.assert_allclose(captured.total.numpy(), plain.total.numpy(), 1e-6)


def test_tensors_that_every_call_keeps_are_refused():
    kept = []

    @jit
    def f(x):
        kept.append(x * 2)
        return x + 1

    assert f(Tensor([1.0])).item() == 2.0  # state may be made in a first call
    assert kept[0].item() == 2.0
    with pytest.raises(JitError, match="is kept outside"):
        f(Tensor([1.0]))


def test_a_constant_made_once_and_kept():
    class Masked:
        mask = None

        def __call__(self, x):
            if self.mask is None:
                self.mask = Tensor.arange(3) < 2
            return self.mask.where(x, 0)

    f = jit(Masked())
    for n in (1.0, 2.0, 3.0):
        assert f(Tensor([n] * 3)).tolist() == [n, n, 0.0]


# --------------------------------------------------------------------------- exceptions


def test_an_exception_leaves_everything_as_it_was():
    state = Tensor([1.0])
    weight = Tensor([2.0], requires_grad=True)
    fail = [True]

    @jit
    def f(x):
        state.assign(state + x)
        (weight * x).sum().backward()
        state.realize()
        if fail:
            raise KeyError("mine")
        return state * 1

    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            f(Tensor([1.0]))
        assert state.item() == 1.0
        assert weight.grad is None
    fail.clear()
    assert [f(Tensor([1.0])).item() for _ in range(3)] == [2.0, 3.0, 4.0]
    assert type(Sharing.__dict__["_own"]).__name__ == "member_descriptor"


def test_a_refused_capture_leaves_everything_as_it_was():
    state = Tensor([1.0])

    @jit
    def f(x):
        state.assign(state + x)
        return state.item()

    with pytest.raises(JitError):
        f(Tensor([1.0]))
    assert (state + 1).item() == 2.0


# --------------------------------------------------------------------------- nesting


def test_captured_functions_may_call_each_other():
    state = Tensor([0.0])

    @jit
    def inner(x):
        state.assign(state + x)
        return state * 2

    @jit
    def outer(x):
        return inner(x) + 1

    assert [outer(Tensor([1.0])).item() for _ in range(3)] == [3.0, 5.0, 7.0]
    assert inner(Tensor([1.0])).item() == 8.0


def test_other_threads_see_nothing_of_a_capture():
    state = Tensor([1.0]).realize()
    inside, seen = threading.Event(), threading.Event()
    found = []

    def look():
        inside.wait()
        found.append((state + 1).item())
        seen.set()

    thread = threading.Thread(target=look)
    thread.start()

    @jit
    def f(x):
        state.assign(state + x)
        inside.set()
        seen.wait()
        return state * 1

    assert f(Tensor([5.0])).item() == 6.0
    thread.join()
    assert found == [2.0]


def test_public_names():
    assert lazygrad.jit is jit is TinyJit
    f = jit(lambda x: x)
    assert f.__wrapped__.__name__ == "<lambda>"
