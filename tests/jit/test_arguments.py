"""Of which kind arguments are: objects by what they hold, numbers by their bits."""

from __future__ import annotations

import copy
import functools
import io
from collections import namedtuple
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, jit, nn
from lazygrad.errors import JitError
from lazygrad.nn.optim import SGD

# Captures are counted. A plan of a size that other tests use, too, may be outgrown between calls.
pytestmark = pytest.mark.usefixtures("own_plans")


class Plain:
    def __init__(self, scale):
        self.scale = scale


@dataclass
class Data:
    scale: Any


@dataclass(frozen=True, slots=True)
class Slotted:
    scale: Any


class Inherits(Slotted):
    __slots__ = ()


Named = namedtuple("Named", "scale")
OBJECTS = [Plain, Data, Slotted, Inherits, Named, lambda s: SimpleNamespace(scale=s)]


class Counting:
    """A captured function, and how often it was captured."""

    def __init__(self, function):
        self.file = io.StringIO()
        self.function = jit(self.counted(function))

    def counted(self, function):
        file = self.file

        @functools.wraps(function)
        def counted(*args, **kwargs):
            file.write(".")
            return function(*args, **kwargs)

        return counted

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)

    @property
    def captures(self):
        return len(self.file.getvalue())


@pytest.mark.parametrize("make", OBJECTS)
def test_objects_are_compared_by_what_they_hold(make):
    f = Counting(lambda x, config: x * config.scale)
    for scale in (2.0, 3.0, 2.0, 3.0):
        assert f(Tensor([1.0]), make(scale)).item() == scale
    assert f.captures == 2


@pytest.mark.parametrize("make", OBJECTS)
def test_tensors_in_objects_are_arguments(make):
    f = Counting(lambda x, config: x * config.scale)
    for scale in (2.0, 3.0):
        for x in (1.0, 5.0):
            assert f(Tensor([x]), make(Tensor([scale]))).item() == x * scale
    assert f.captures == 1
    assert f(Tensor([1.0]), make(Tensor([2.0, 3.0]))).tolist() == [2.0, 3.0]
    assert f.captures == 2


def test_an_object_that_is_changed_between_calls():
    f = Counting(lambda x, config: x * config.scale + config.inner.layers[0])
    config = Plain(2.0)
    config.inner = SimpleNamespace(layers=[1, {"unused": "a"}])
    assert f(Tensor([1.0]), config).item() == 3.0
    config.inner.layers[0] = 5
    assert f(Tensor([1.0]), config).item() == 7.0
    config.inner.layers[1]["unused"] = "b"
    assert f(Tensor([1.0]), config).item() == 7.0
    config.scale = np.float32(3)
    assert f(Tensor([1.0]), config).item() == 8.0
    assert f.captures == 4


def test_attributes_of_an_arguments_class():
    class Config:
        scale = 2

    f = jit(lambda x, config: x * config.scale)
    config = Config()
    assert f(Tensor([1.0]), config).item() == 2.0
    Config.scale = 3
    assert f(Tensor([1.0]), config).item() == 3.0
    config.scale = 4
    assert f(Tensor([1.0]), config).item() == 4.0


def test_objects_that_know_one_another():
    def make(scale):
        a, b = Plain(scale), Plain(Tensor([scale]))
        a.other, b.other = b, [a]
        return a

    f = Counting(lambda x, a: x * a.scale * a.other.scale * a.other.other[0].scale)
    for scale in (2.0, 3.0, 2.0):
        assert f(Tensor([1.0]), make(scale)).item() == scale**3
    assert f.captures == 2


@pytest.mark.parametrize(
    "values",
    [
        (0.0, -0.0),
        (1, True, 1.0),
        (0, False, -0.0, None),
        ("1", b"1", 1),
        (complex(1, 0.0), complex(1, -0.0)),
    ],
)
@pytest.mark.parametrize("nest", [lambda v: v, lambda v: [v], lambda v: {"k": (v,)}, Plain])
def test_values_that_are_equal_and_not_the_same(values, nest):
    f = Counting(lambda x, value: (x * 1, repr(getattr(value, "scale", value))))
    for _ in range(2):
        for value in values:
            found = f(Tensor([1.0]), nest(value))[1]
            assert found == repr(getattr(nest(value), "scale", nest(value)))
    assert f.captures == len(values)


def test_the_sign_of_zero():
    f = jit(lambda x, value: x * value)
    assert [str(f(Tensor([2.0]), v).item()) for v in (0.0, -0.0, 0.0)] == ["0.0", "-0.0", "0.0"]


@pytest.mark.parametrize("nan", [float("nan"), np.float32("nan"), complex("nan"), -float("nan")])
def test_nan_is_nan(nan):
    f = Counting(lambda x, value: x * 1)
    for _ in range(3):
        f(Tensor([1.0]), nan)
        f(Tensor([1.0]), [copy.copy(nan)])
        f(Tensor([1.0]), Plain(nan))
    assert f.captures == 3


class Color(Enum):
    RED = 1
    BLUE = 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Color.RED, Color.BLUE),
        (slice(1, None), slice(2, None)),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (Tensor.relu, Tensor.sigmoid),
        (np.float32, np.float64),
        (range(2), range(3)),
    ],
)
def test_other_values(first, second):
    f = Counting(lambda x, value: (x * 1, str(value)))
    for _ in range(2):
        for value in (first, second):
            assert f(Tensor([1.0]), value)[1] == str(value)
    assert f.captures == 2


class Held:
    def __init__(self, value):
        self.deep = [value]


@pytest.mark.parametrize(
    "value", [np.zeros(3), {1}, bytearray(b"a"), iter([1]), (n for n in [1]), io.StringIO()]
)
@pytest.mark.parametrize("nest", [lambda v: v, lambda v: {"a": [v]}, Held])
def test_what_cannot_be_compared_is_refused_by_name(value, nest):
    f = jit(lambda x, other=None: x * 1)
    with pytest.raises(JitError, match="argument 1 is, or holds, a "):
        f(Tensor([1.0]), nest(value))
    with pytest.raises(JitError, match="argument 'other' is, or holds, a "):
        f(Tensor([1.0]), other=nest(value))


def test_the_order_of_keywords():
    file = io.StringIO()

    @jit
    def f(*, a, b):
        file.write(".")
        return a - b

    assert f(a=Tensor([3.0]), b=Tensor([1.0])).item() == 2.0
    assert f(b=Tensor([1.0]), a=Tensor([3.0])).item() == 2.0
    assert file.getvalue() == "."

    @jit
    def first_minus_second(**values):
        a, b = values.values()
        return a - b

    assert first_minus_second(a=Tensor([3.0]), b=Tensor([1.0])).item() == 2.0
    assert first_minus_second(b=Tensor([1.0]), a=Tensor([3.0])).item() == -2.0


def test_positions_that_vary():
    f = jit(lambda *xs, by=1: sum(xs[1:], xs[0]) * by)
    for count in (1, 2, 3, 2):
        assert f(*[Tensor([1.0])] * count).item() == count
    assert f(Tensor([1.0]), Tensor([2.0]), by=2).item() == 6.0


# --------------------------------------------------------------------------- models


def test_models_as_arguments():
    def step(model, x):
        model.weight.grad = None
        (model(x) ** 2).sum().backward()
        with Tensor.no_grad():
            model.weight.assign(model.weight - model.weight.grad * 0.1)
        return model(x)

    f = Counting(step)
    plain = [nn.Linear(2, 1, bias=False) for _ in range(2)]
    captured = [copy.deepcopy(model) for model in plain]
    for n in range(6):
        x = Tensor([[1.0, float(n)]])
        wanted = step(plain[n % 2], x)
        np.testing.assert_allclose(f(captured[n % 2], x).numpy(), wanted.numpy(), 1e-5)
        for a, b in zip(plain, captured, strict=True):
            np.testing.assert_allclose(a.weight.numpy(), b.weight.numpy(), 1e-5)
    assert f.captures <= 2


def test_a_model_as_argument_whose_parameters_an_optimizer_outside_holds():
    def run(wrap):
        Tensor.manual_seed(0)
        model, other = nn.Linear(3, 1), nn.Linear(3, 1)
        optimizer = SGD([model.weight, model.bias], 0.1)

        def step(model, x):
            optimizer.zero_grad()
            loss = (model(x) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss

        step, seen = wrap(step), []
        for n in range(6):
            which = other if n == 3 else model
            seen.append(step(which, Tensor([[1.0, 2.0, float(n)]])).item())
            seen += model.weight.numpy().ravel().tolist() + other.weight.numpy().ravel().tolist()
        return seen

    np.testing.assert_allclose(run(jit), run(lambda f: f), 1e-5)


def test_what_is_set_of_arguments():
    def run(wrap):
        def step(x, items, config, table):
            items[0] = items[0] + x
            config.last = x * 2
            table["new"] = table["old"] * x
            return items

        step, seen = wrap(step), []
        for n in range(4):
            items, config = [Tensor([1.0])], SimpleNamespace(last=None)
            table = {"old": Tensor([2.0])}
            assert step(Tensor([float(n)]), items, config, table) is items
            seen += [items[0].item(), config.last.item(), table["new"].item()]
        return seen

    assert run(jit) == run(lambda f: f)


def test_a_gradient_that_would_be_lost_is_refused():
    w = Tensor([2.0], requires_grad=True)

    @jit
    def f(x):
        (x * 3).sum().backward()

    f(Tensor([1.0], requires_grad=True))
    with pytest.raises(JitError, match="carries gradient to what it was computed from"):
        f(w * 2)
    assert jit(lambda x: x.detach() + 1)(w * 2).item() == 5.0


def test_requires_grad_and_gradients_of_arguments():
    f = jit(lambda x: x * 2 if x.grad is None else x * x.grad)
    x = Tensor([3.0], requires_grad=True)
    assert f(x).item() == 6.0
    for grad in (Tensor([5.0]), Tensor([7.0]), None, Tensor([1.0])):
        x.grad = grad
        wanted = [6.0] if grad is None else [3 * g for g in grad.tolist()]
        assert f(x).tolist() == wanted
    x.grad = None
    x.requires_grad = False
    assert f(x).item() == 6.0
