"""Methods are captured for each instance, and copies begin without captures."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest

from lazygrad import Tensor, TinyJit, jit, nn
from lazygrad.nn.optim import SGD, Adam

# --------------------------------------------------------------------------- methods and nesting


def test_methods_of_each_instance_are_captured_apart():
    class Scale:
        def __init__(self, by):
            self.by = Tensor([by])

        @jit
        def __call__(self, x):
            return x * self.by

        @TinyJit
        def grow(self):
            """Adds one."""
            self.by.assign(self.by + 1)

    two, three = Scale(2.0), Scale(3.0)
    for _ in range(3):
        assert (two(Tensor([1.0])).item(), three(Tensor([1.0])).item()) == (2.0, 3.0)
    for _ in range(2):
        two.grow()
    assert two(Tensor([1.0])).item() == 4.0
    assert Scale.grow.__doc__ == "Adds one."
    assert two.grow is two.grow
    other = copy.deepcopy(three)
    other.grow()
    assert (other.by.item(), three.by.item()) == (4.0, 3.0)


def test_an_instance_does_not_live_on_by_its_captures():
    class Scale:
        def __init__(self):
            self.by = Tensor([2.0])

        @jit
        def times(self, x):
            return x * self.by

    scale = Scale()
    for _ in range(2):
        scale.times(Tensor([1.0]))
    gone = weakref.ref(scale)
    del scale
    gc.collect()
    assert gone() is None


def test_an_instance_does_not_live_on_where_its_parts_know_it():
    class Model:
        def __init__(self):
            self.by, self.weight = 0.5, Tensor([1.0])
            self.layers = [lambda x: x * self.by]

        @jit
        def times(self, x):
            return self.layers[0](x) * self.weight

    model = Model()
    assert model.times(Tensor([1.0])).item() == 0.5
    model.by = 0.25
    assert model.times(Tensor([1.0])).item() == 0.25
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_class_and_static_methods():
    class Scale:
        by = 2

        @classmethod
        @jit
        def of_class(cls, x):
            return x * cls.by

        @staticmethod
        @jit
        def plain(x):
            return x * 3

        @jit
        @staticmethod
        def other(x):
            return x * 4

    scale = Scale()
    for _ in range(2):
        x = Tensor([1.0])
        assert [f(x).item() for f in (scale.of_class, scale.plain, scale.other)] == [2.0, 3.0, 4.0]
    Scale.by = 5
    assert Scale.of_class(Tensor([1.0])).item() == 5.0


def test_slots_without_room_for_captures():
    class Scale:
        __slots__ = ("__weakref__", "by")

        def __init__(self, by):
            self.by = Tensor([by])

        @jit
        def times(self, x):
            return x * self.by

    two, three = Scale(2.0), Scale(3.0)
    for _ in range(2):
        assert (two.times(Tensor([1.0])).item(), three.times(Tensor([1.0])).item()) == (2.0, 3.0)
    two.by = Tensor([7.0])
    assert two.times(Tensor([1.0])).item() == 7.0


# --------------------------------------------------------------------------- copies


class Model:
    """Has a captured function as an attribute, and a captured method."""

    def __init__(self):
        self.layer = nn.Linear(2, 2)
        self.by = Tensor([2.0])
        self.run = jit(self.forward)

    def forward(self, x):
        return self.layer(x) * self.by

    @jit
    def step(self, x):
        self.by.assign(self.by + 1)
        return x * self.by


@jit
def doubled(x):
    return x * 2


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
    ids=["deepcopy", "pickle"],
)
def test_copies_of_a_model_with_captures(copied):
    model = Model()
    x = Tensor([[1.0, 2.0]])
    wanted = model.run(x).tolist()
    assert model.step(Tensor([1.0])).item() == 3.0
    other = copied(model)
    other.by.assign(Tensor([20.0]))
    assert other.run(x).tolist() != wanted
    assert other.step(Tensor([1.0])).item() == 21.0
    assert model.step(Tensor([1.0])).item() == 4.0
    model.by.assign(Tensor([2.0]))
    assert model.run(x).tolist() == wanted
    assert other.run.__wrapped__.__self__ is other


def test_a_shallow_copy_has_captures_of_its_own():
    model = Model()
    assert model.step(Tensor([1.0])).item() == 3.0
    other = copy.copy(model)
    other.by = Tensor([10.0])
    for n in range(2):
        assert other.step(Tensor([1.0])).item() == 11.0 + n
        assert model.step(Tensor([1.0])).item() == 4.0 + n


def test_a_captured_function_is_pickled_by_its_name():
    assert doubled(Tensor([1.0])).item() == 2.0
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    assert copy.deepcopy({"f": doubled})["f"](Tensor([3.0])).item() == 6.0
    assert pickle.loads(pickle.dumps(Model.step)) is Model.step


@pytest.mark.parametrize("make", [lambda p: Adam(p, 0.1), lambda p: SGD(p, 0.1, momentum=0.9)])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copied_training_goes_on_as_the_first(make, copied):
    class Training:
        def __init__(self):
            self.layer = nn.Linear(3, 1)
            self.optimizer = make([self.layer.weight, self.layer.bias])

        @jit
        def step(self, x):
            self.optimizer.zero_grad()
            loss = (self.layer(x) ** 2).sum()
            loss.backward()
            self.optimizer.step()
            return loss

    globals()["Training"] = Training  # where pickle looks for it
    Training.__qualname__ = "Training"
    training = Training()
    x = Tensor([[1.0, 2.0, 3.0]])
    for _ in range(2):
        training.step(x)
    other = copied(training)
    for _ in range(3):
        assert training.step(x).item() == other.step(x).item()
    assert training.layer.weight.tolist() == other.layer.weight.tolist()
    assert training.layer.weight is not other.layer.weight
    assert any(p is other.layer.weight for p in other.optimizer.params)


def test_a_method_keeps_its_instance():
    class Trainer:
        def __init__(self):
            self.weight = Tensor([3.0])

        @jit
        def step(self, x):
            return (x * self.weight).sum()

    step = Trainer().step
    gc.collect()
    for n in range(3):
        assert step(Tensor([float(n)])).item() == 3.0 * n
    assert Trainer().step(Tensor([1.0])).item() == 3.0
    trainer = Trainer()
    trainer.step(Tensor([1.0]))
    alive = weakref.ref(trainer)
    del trainer
    gc.collect()
    assert alive() is None  # the captures do not keep it
