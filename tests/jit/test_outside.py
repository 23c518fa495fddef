"""What a function finds outside: rebound tensors and changed values are seen by the next call."""

from __future__ import annotations

import functools
import io
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from lazygrad import Tensor, config, explain, jit, nn
from lazygrad.errors import JitError
from lazygrad.nn.optim import SGD

WEIGHT, SCALE = Tensor([1.0]), 3


def captures(f):
    return sum(map(len, f._replays.values()))


class Scaled:
    kind = "plain"

    def __init__(self):
        self.weight, self.scale = Tensor([2.0]), 2

    @jit
    def __call__(self, x):
        return x * self.weight * self.scale + (100 if self.kind == "shifted" else 0)


# --------------------------------------------------------------------------- rebound tensors


def test_a_rebound_attribute():
    model = Scaled()
    assert model(Tensor([1.0])).item() == 4.0
    for n in range(4):
        model.weight = Tensor([float(n)])
        assert model(Tensor([1.0])).item() == 2.0 * n
        model.weight.assign(model.weight + 1)
        assert model(Tensor([1.0])).item() == 2.0 * n + 2
    assert captures(Scaled.__call__.__get__(model)) == 1
    model.weight = Tensor([1.0, 2.0])  # another shape
    assert model(Tensor([1.0])).tolist() == [2.0, 4.0]
    model.weight = Tensor([3])  # another dtype
    assert model(Tensor([1.0])).item() == 6.0
    model.weight = 5.0  # no tensor
    assert model(Tensor([1.0])).item() == 10.0
    model.weight = Tensor([1.0], requires_grad=True)
    assert model(Tensor([1.0])).item() == 2.0


def test_a_rebound_attribute_is_trained():
    model, other = nn.Linear(2, 1), nn.Linear(2, 1)

    @jit
    def step(x):
        model.weight.grad = None
        model(x).sum().backward()
        with Tensor.no_grad():
            model.weight.assign(model.weight - model.weight.grad)

    x = Tensor([[1.0, 2.0]])
    step(x)
    first, before = model.weight, model.weight.numpy().copy()
    model.weight = other.weight
    wanted = other.weight.numpy() - [[1.0, 2.0]]
    step(x)
    np.testing.assert_allclose(other.weight.numpy(), wanted, 1e-6)
    np.testing.assert_array_equal(first.numpy(), before)
    assert other.weight.grad.tolist() == [[1.0, 2.0]]


def test_rebound_globals():
    global WEIGHT, SCALE
    f = jit(lambda x: x * WEIGHT * SCALE)
    assert f(Tensor([2.0])).item() == 6.0
    WEIGHT = Tensor([5.0])
    assert f(Tensor([2.0])).item() == 30.0
    SCALE = 1
    assert f(Tensor([2.0])).item() == 10.0
    WEIGHT, SCALE = Tensor([1.0]), 3
    assert f(Tensor([2.0])).item() == 6.0
    assert captures(f) == 2


def test_a_gradient_that_flows_on_into_state_ends_with_the_call():
    weight = Tensor([1.0, 2.0], requires_grad=True)
    total = Tensor([0.0, 0.0])

    @jit
    def add(x):
        nonlocal total
        total += weight * x
        return total * 1

    for n in range(1, 5):
        assert add(Tensor([1.0, 3.0])).tolist() == [n, 6 * n]
        assert total.tolist() == [n, 6 * n]
        assert not total.requires_grad


def test_items_of_lists_and_dicts():
    weights, table = [Tensor([1.0]), Tensor([2.0])], {"a": Tensor([3.0])}

    def plain(x):
        return x * weights[0] + weights[1] + table["a"] + len(weights)

    f = jit(plain)

    def check():
        assert f(Tensor([5.0])).item() == plain(Tensor([5.0])).item()

    check()
    weights[0] = Tensor([10.0])
    check()
    table["a"] = Tensor([0.0])
    check()
    weights[0], weights[1] = weights[1], weights[0]
    check()
    weights[0] = weights[1]  # two are one now
    check()
    weights[0] = Tensor([9.0])
    check()
    weights.append(Tensor([1.0]))
    check()
    weights = [Tensor([0.0]), Tensor([1.0])]
    check()
    table = {"b": Tensor([1.0]), "a": Tensor([7.0])}
    check()


@pytest.mark.parametrize(
    "make",
    [lambda a, b: (a, b), lambda a, b: SimpleNamespace(a=a, b=(b,))],
    ids=["tuple", "object"],
)
def test_tensors_that_are_rebound_together(make):
    pair = make(Tensor([1.0]), Tensor([2.0]))

    def plain(x):
        a, b = pair if isinstance(pair, tuple) else (pair.a, *pair.b)
        return x * a + b

    f = jit(plain)
    for n in (3.0, 4.0):
        assert f(Tensor([n])).item() == plain(Tensor([n])).item()
        pair = make(Tensor([n]), Tensor([n + 1]))
    same = Tensor([7.0])
    pair = make(same, same)
    assert f(Tensor([1.0])).item() == plain(Tensor([1.0])).item()


def test_the_order_of_a_dict():
    table = {"a": Tensor([1.0]), "b": Tensor([2.0])}

    def plain(x):
        first, second = table.values()
        return x * first - second

    f = jit(plain)
    assert f(Tensor([5.0])).item() == 3.0
    table["a"] = table.pop("a")
    assert f(Tensor([5.0])).item() == plain(Tensor([5.0])).item() == 9.0
    table = {"a": table["a"], "b": table["b"]}
    assert f(Tensor([5.0])).item() == 3.0
    by_tensor = {Tensor([1.0, 2.0]): 1, Tensor([3.0, 4.0]): 2}
    g = jit(lambda x: x * next(iter(by_tensor)))
    assert g(Tensor([1.0])).tolist() == [1.0, 2.0]
    first = next(iter(by_tensor))
    by_tensor[first] = by_tensor.pop(first)
    assert g(Tensor([1.0])).tolist() == [3.0, 4.0]


def test_views_that_are_rebound():
    model = Scaled()
    table = Tensor([1.0, 2.0, 3.0]).contiguous().realize()
    for n in (0, 1, 2, 1):
        model.weight = table[n : n + 1]
        assert model(Tensor([1.0])).item() == 2.0 * (n + 1)
    table.assign(table * 10)
    assert model(Tensor([1.0])).item() == 40.0


def test_a_view_as_argument_of_what_is_also_state():
    table = Tensor([1.0, 2.0]).contiguous().realize()
    f = jit(lambda x: x + table.sum())
    assert f(Tensor([1.0])).item() == 4.0
    assert f(table[1:]).item() == 5.0
    g = jit(lambda x: (table.assign(table * 2), x + 1)[1])
    assert g(Tensor([1.0])).item() == 2.0
    with pytest.raises(JitError, match="shares its memory with another"):
        g(table[1:])
    assert g(table[1:].clone()).item() == 5.0


# --------------------------------------------------------------------------- Python values


def test_python_values_of_attributes():
    model = Scaled()
    assert model(Tensor([1.0])).item() == 4.0
    for scale in (3, 3.0, -0.0, 0.0, True, 4):
        model.scale = scale
        assert model(Tensor([1.0])).item() == 2 * scale
        found = str(jit(lambda x: x * model.scale)(Tensor([1.0])).item())
        assert found == str(1.0 * scale)
    Scaled.kind = "shifted"
    assert model(Tensor([1.0])).item() == 108.0
    model.kind = "own"
    assert model(Tensor([1.0])).item() == 8.0
    del model.kind
    assert model(Tensor([1.0])).item() == 108.0
    Scaled.kind = "plain"


def test_attributes_that_come_and_go():
    class Optional:
        def __call__(self, x):
            if hasattr(self, "bias"):
                x = x + self.bias
            return x * getattr(self, "factor", 1)

    model = Optional()
    f = jit(model)
    assert f(Tensor([1.0])).item() == 1.0
    model.bias = 2
    assert f(Tensor([1.0])).item() == 3.0
    model.factor = Tensor([2.0])
    assert f(Tensor([1.0])).item() == 6.0
    del model.bias
    assert f(Tensor([1.0])).item() == 2.0


def test_names_that_are_made_when_they_are_looked_up():
    class Numbered:
        def __init__(self):
            self.w0, self.w1, self.unread = Tensor([1.0]), 2, 0

        def __call__(self, x):
            for n in range(2):
                x = x * getattr(self, f"w{n}")
            return x

    model = Numbered()
    f = jit(model)
    assert f(Tensor([1.0])).item() == 2.0
    model.w0, model.w1 = Tensor([3.0]), 5
    assert f(Tensor([1.0])).item() == 15.0
    for n in range(3):
        model.unread = n
        assert f(Tensor([1.0])).item() == 15.0
    assert captures(f) == 2  # what is not read does not matter

    g = jit(lambda x: x * sum(v for v in vars(model).values() if isinstance(v, int)))
    assert g(Tensor([1.0])).item() == 7.0
    model.more = 1
    assert g(Tensor([1.0])).item() == 8.0


def test_closures_defaults_sets_arrays_and_function_attributes():
    offset, names, table = 1, {"a"}, np.array([1.0, 2.0], np.float32)

    def helper(x, scale=[2]):  # noqa: B006  that it is kept is what is tested
        return x * scale[0] * helper.factor

    helper.factor = 1

    def plain(x):
        return (helper(x) + offset + len(names)) * Tensor(table)

    f = jit(plain)

    def check():
        assert f(Tensor([1.0])).tolist() == plain(Tensor([1.0])).tolist()

    check()
    offset = 5
    check()
    names.add("b")
    check()
    table[0] = 10.0
    check()
    helper.factor = 7
    check()
    helper.__defaults__[0][0] = 3
    check()


def test_functions_that_are_rebound():
    names = {}
    exec("def helper(x): return x * 2\ndef f(x): return helper(x)", names)
    f = jit(names["f"])
    assert f(Tensor([1.0])).item() == 2.0
    exec("def helper(x): return x * 3", names)
    assert f(Tensor([1.0])).item() == 3.0

    class Active:
        act = staticmethod(Tensor.relu)

        def __call__(self, x):
            return self.act(x)

    g = jit(Active())
    assert g(Tensor([-1.0])).item() == 0.0
    Active.act = staticmethod(Tensor.neg)
    assert g(Tensor([-1.0])).item() == 1.0


def test_a_long_chain_of_functions():
    names = {"last": 2}
    for n in range(1000):
        exec(f"def f{n}(x): return x * last if last else f{n + 1}(x)", names)
    f = jit(names["f0"])
    assert f(Tensor([1.0])).item() == 2.0
    names["last"] = 3
    assert f(Tensor([1.0])).item() == 3.0


def test_classes_that_are_reached_in_any_way():
    class Settings:
        scale = 2

        @classmethod
        def of_class(cls, x):
            return x * cls.scale

        def of_type(self, x):
            return x * type(self).scale

    settings = Settings()
    ways = [lambda x: x * Settings.scale, Settings.of_class, settings.of_type]
    captured = [jit(way) for way in ways]
    for scale in (2, 3, 2):
        Settings.scale = scale
        assert [f(Tensor([1.0])).item() for f in captured] == [scale] * 3


def test_attributes_of_base_classes():
    class Base:
        factor = 2

        def __call__(self, x):
            return x * self.factor

    class Derived(Base):
        def __call__(self, x):
            return super().__call__(x) + self.factor

    f = jit(Derived())
    assert f(Tensor([1.0])).item() == 4.0
    Base.factor = 3
    assert f(Tensor([1.0])).item() == 6.0
    Derived.factor = 4
    assert f(Tensor([1.0])).item() == 8.0
    del Derived.factor
    assert f(Tensor([1.0])).item() == 6.0


def test_partials_and_bound_methods():
    weight = Tensor([2.0])
    times = functools.partial(lambda w, x, by: x * w * by, weight, by=3)
    f = jit(times)
    assert f(Tensor([1.0])).item() == 6.0
    weight.assign(Tensor([3.0]))
    times.keywords["by"] = 4
    assert f(Tensor([1.0])).item() == 12.0

    class Holder:
        by = 2

        def scaled(self, x):
            return x * self.by

    holder, apply = Holder(), jit(lambda function, x: function(x))
    assert apply(holder.scaled, Tensor([1.0])).item() == 2.0
    holder.by = 5
    assert apply(holder.scaled, Tensor([1.0])).item() == 5.0


def test_captured_functions_inside_others_follow_too():
    model = Scaled()
    outer = jit(lambda x: model(x) + 1)
    assert outer(Tensor([1.0])).item() == 5.0
    model.weight, model.scale = Tensor([3.0]), 4
    assert outer(Tensor([1.0])).item() == 13.0


def test_hyperparameters_of_an_optimizer():
    def run(wrap):
        weight = Tensor([1.0], requires_grad=True)
        optimizer = SGD([weight], 0.1, momentum=0.9)

        def step(x):
            optimizer.zero_grad()
            (weight * x).sum().backward()
            optimizer.step()

        step, seen = wrap(step), []
        for n in range(6):
            if n == 2:
                optimizer.lr = 0.5
            if n == 4:
                optimizer.param_groups[0]["weight_decay"] = 0.5
            step(Tensor([1.0]))
            seen.append(weight.item())
        assert wrap is not jit or captures(step) == 2  # the rate is in a tensor
        return seen

    np.testing.assert_allclose(run(jit), run(lambda f: f), 1e-6)


# --------------------------------------------------------------------------- kinds of state


def test_the_shape_of_a_tensor_that_is_not_computed_with():
    state = Tensor([1.0, 2.0])
    f = jit(lambda x: x * state.shape[0])
    assert f(Tensor([1.0])).item() == 2.0
    state = Tensor([1.0, 2.0, 3.0])
    assert f(Tensor([1.0])).item() == 3.0


def test_gradients_that_are_rebound():
    w = Tensor([2.0], requires_grad=True)
    f = jit(lambda x: x * 0 if w.grad is None else x * w.grad)
    assert f(Tensor([1.0])).item() == 0.0
    for grad in (Tensor([3.0]), Tensor([4.0])):
        w.grad = grad
        assert f(Tensor([1.0])).tolist() == grad.tolist()
    w.grad = None
    assert f(Tensor([1.0])).item() == 0.0
    w.grad = saved = Tensor([5.0])
    g = jit(lambda x: saved * x + w.grad)
    assert g(Tensor([2.0])).item() == 15.0
    w.grad = Tensor([1.0])
    assert g(Tensor([2.0])).item() == 11.0


def test_seeds_between_calls():
    def draw(x):
        return x + Tensor.rand(3), Tensor.randn(2)

    def run(f):
        Tensor.manual_seed(7)
        seen = [[t.tolist() for t in f(Tensor.zeros(3))] for _ in range(2)]
        Tensor.manual_seed(9)
        return seen + [[t.tolist() for t in f(Tensor.zeros(3))] for _ in range(2)]

    f = jit(draw)
    assert run(f) == run(draw) == run(f)


def test_modes_and_settings():
    f = jit(lambda x: (x.dropout(0.5).sum(), (x * 1).requires_grad))
    x = Tensor.ones(1000).requires_grad_()
    assert f(x)[0].item() == 1000.0
    with Tensor.train():
        assert f(x)[0].item() != 1000.0
    assert [f(x)[1], Tensor.no_grad()(f)(x)[1], f(x)[1]] == [True, False, True]
    with config.override(THREADS=1):
        assert f(x)[0].item() == 1000.0


# --------------------------------------------------------------------------- again and again


def test_a_counter_is_followed_and_told_about_once():
    def run(wrap):
        count, seen = 0, []

        def step(x):
            nonlocal count
            count += 1
            return x * count

        step = wrap(step)
        for _ in range(12):
            seen += [step(Tensor([1.0])).item(), count]
        return seen

    with pytest.warns(UserWarning, match="captured again and again.*was 7, is 8") as told:
        found = run(jit)
    assert found == run(lambda f: f)
    assert len(told) == 1


def test_it_is_told_that_a_float_changes_in_each_call():
    step = jit(lambda x, lr: x - lr * x)

    def run():
        return [step(Tensor([1.0]), 1 / n).item() for n in range(2, 42)]

    with pytest.warns(UserWarning, match="captured again and again.*a float in its arg") as told:
        found = run()
    assert found == pytest.approx([1 - 1 / n for n in range(2, 42)])
    assert len(told) == 1
    step.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(40):  # few values; and sizes
            step(Tensor([1.0] * (1 + n % 20)), (0.1, 0.2)[n % 2])
        for _ in range(20):  # captured anew each time, to be looked at
            explain(step, Tensor([1.0]), 0.1)


def test_what_alternates_is_captured_once_each():
    file, model = io.StringIO(), Scaled()
    f = jit(lambda x: (file.write("."), x * model.scale)[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(20):
            model.scale = n % 2
            assert f(Tensor([1.0])).item() == n % 2
    assert file.getvalue() == ".."


def test_threads_that_call_one_function():
    state = Tensor([0.0])

    @jit
    def f(x):
        state.assign(state + x)
        return x * 2

    found = []

    def run():
        for n in range(20):
            found.append(f(Tensor([1.0 + n])).item() == 2.0 + 2 * n)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 60
    assert state.item() == 3 * 210


def test_classes_are_left_as_they_were():
    class Model:
        def __init__(self):
            self.weight = Tensor([2.0])

        def __getattr__(self, name):
            return 3 if name == "virtual" else super().__getattribute__(name)

        def __call__(self, x):
            return x * self.weight * self.virtual

    model = Model()
    assert jit(model)(Tensor([1.0])).item() == 6.0
    with pytest.raises(JitError):
        jit(lambda x: model(x).item())(Tensor([1.0]))
    assert "__getattribute__" not in vars(Model)
    assert "__getattribute__" not in vars(nn.Linear)


@pytest.mark.parametrize("place", ["argument", "attribute"])
def test_a_number_that_changes_in_each_call_is_compiled_few_times(place, compiled):
    """The code is that of any number; results are those of this one."""

    class Step:
        rate = 0.5

        def __init__(self):
            self.weight = Tensor(np.ones((4, 3), np.float32), requires_grad=True)

        def __call__(self, x, rate=None):
            rate = self.rate if rate is None else rate
            self.weight.grad = None
            loss = ((x @ self.weight) ** 2).mean()
            loss.backward()
            self.weight.assign(self.weight - self.weight.grad * rate)
            return loss

    def run(step, owner):
        for n in range(40):
            x = Tensor(np.full((2, 4), 0.1 * n, np.float32))
            rate = 0.5 / (n + 1)
            if place == "argument":
                yield step(x, rate).item()
            else:
                owner.rate = rate
                yield step(x).item()

    alone, captured = Step(), Step()
    expected = list(run(alone, alone))
    compiled.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is captured again and again
        found = list(run(jit(captured), captured))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(captured.weight.numpy(), alone.weight.numpy(), rtol=1e-5)
    assert len(compiled) <= 4
