"""A function that is captured at several sizes: what is outside is seen at each of them."""

from __future__ import annotations

import gc

import numpy as np

from lazygrad import Tensor, cat, jit, nn, no_grad
from lazygrad.jit.trace import Trace, overlaid

SIZES = (2, 3, 4, 5)


def captures(f):
    return sum(map(len, f._replays.values()))


def environments(f):
    return {id(replay.environment) for replays in f._replays.values() for replay in replays}


def totals(f):
    """What f gives for ones, at every size."""
    return [f(Tensor.ones(n)).sum().item() for n in SIZES]


class Scale:
    kind = "plain"

    def __init__(self, by):
        self.by, self.factors = Tensor([by]), [1.0]

    def __call__(self, x):
        return x * self.by * self.factors[0] + (1 if self.kind == "shifted" else 0)


def test_captures_that_only_read_share_their_environment():
    model = Scale(2.0)
    f = jit(lambda x: model(x))
    assert totals(f) == [2.0 * n for n in SIZES]
    assert captures(f) == len(SIZES)
    assert len(environments(f)) == 1


def test_a_variable_that_changes_after_the_third_size():
    scale = 2

    @jit
    def f(x):
        return x * scale

    assert [f(Tensor.ones(n)).sum().item() for n in SIZES[:3]] == [4, 6, 8]
    scale = 3
    assert totals(f) == [3 * n for n in SIZES]
    scale = 2
    assert totals(f) == [2 * n for n in SIZES]
    assert captures(f) == 2 * len(SIZES)


def test_changes_of_attributes_items_and_classes_at_each_size():
    model = Scale(2.0)
    f = jit(lambda x: model(x))
    totals(f)
    model.factors[0] = 2.0
    assert totals(f) == [4.0 * n for n in SIZES]
    model.kind = "shifted"
    assert totals(f) == [5.0 * n for n in SIZES]
    del model.kind
    assert totals(f) == [4.0 * n for n in SIZES]


def test_a_tensor_that_takes_the_place_of_another_does_so_at_each_size():
    model = Scale(2.0)
    f = jit(lambda x: model(x))
    totals(f)
    for by in (3.0, 4.0):
        model.by = Tensor([by])
        assert totals(f) == [by * n for n in SIZES]
    f(Tensor.ones(SIZES[0]))
    model.by = Tensor([7.0])
    assert totals(f)[::-1] == [7.0 * n for n in SIZES[::-1]]
    assert captures(f) == len(SIZES)
    assert len(environments(f)) == 1


def test_a_tensor_of_another_kind_is_captured_anew_at_each_size():
    model = Scale(2.0)
    f = jit(lambda x: model(x))
    totals(f)
    model.by = Tensor(3.0)
    assert totals(f) == [3.0 * n for n in SIZES]
    assert captures(f) == 2 * len(SIZES)


def test_the_environment_of_a_capture_that_is_gone_goes_too():
    model = Scale(2.0)
    f = jit(lambda x: model(x))
    totals(f)
    f.reset()
    gc.collect()
    model.by = Tensor([5.0])
    assert totals(f) == [5.0 * n for n in SIZES]
    assert captures(f) == len(SIZES)


def test_what_a_function_writes_has_an_environment_for_each_size():
    total = Tensor([0.0])

    @jit
    def f(x):
        total.assign(total + x.sum())
        return x + total

    for n in (*SIZES, *SIZES):
        f(Tensor.ones(n))
    assert total.item() == 2 * sum(SIZES)
    assert len(environments(f)) == len(SIZES)


def test_what_a_function_returns_from_outside_is_the_tensor_that_is_there_now():
    model = Scale(2.0)
    f = jit(lambda x: (x * model.by, model.by))
    for n in SIZES:
        f(Tensor.ones(n))
    model.by = Tensor([3.0])
    for n in SIZES:
        y, by = f(Tensor.ones(n))
        assert by is model.by
        assert y.sum().item() == 3.0 * n


def test_a_size_that_decides_whether_what_is_outside_is_returned():
    model = Scale(2.0)
    f = jit(lambda x: (x * model.by, model.by if x.shape[0] == SIZES[0] else None))
    for n in SIZES:
        f(Tensor.ones(n))
    for by in (3.0, 4.0):
        model.by = Tensor([by])
        for n in SIZES[::-1]:
            y, same = f(Tensor.ones(n))
            assert y.sum().item() == by * n
            assert same is (model.by if n == SIZES[0] else None)
    assert captures(f) == len(SIZES)


def test_a_size_that_decides_what_is_read():
    class Two:
        small, large = 2.0, 3.0

        def __call__(self, x):
            return x * (self.small if x.shape[0] < 4 else self.large)

    two = Two()
    f = jit(lambda x: two(x))
    assert totals(f) == [4.0, 6.0, 12.0, 15.0]
    two.large = 5.0
    assert totals(f) == [4.0, 6.0, 20.0, 25.0]
    assert captures(f) == 6  # those of small sizes have not seen it


def test_gradients_of_what_is_outside_at_each_size():
    model = nn.Linear(3, 1)

    @jit
    def f(x):
        model.zero_grad()
        model(x).sum().backward()

    for n in (*SIZES, *SIZES):
        f(Tensor.ones(n, 3))
        np.testing.assert_allclose(model.weight.grad.numpy(), np.full((1, 3), float(n)))


def test_a_cache_that_grows_by_cat():
    layer = nn.Linear(4, 4)

    def step(x, past):
        past = x if past is None else cat((past, layer(x)), dim=1)
        return past.sum(dim=1), past

    f = jit(step)
    with no_grad():
        for _ in range(2):
            eager, cached = None, None
            for n in range(6):
                x = Tensor.full((1, 1, 4), float(n))
                (a, eager), (b, cached) = step(x, eager), f(x, cached)
                np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5)
            assert captures(f) == 6
    assert len(environments(f)) == 2  # the first step reads nothing of the layer


# --------------------------------------------------------------------------- what is seen


def test_attributes_in_slots_and_in_dicts_of_one_object():
    class Slotted:
        __slots__ = ("factor",)

    class Mixed(Slotted):
        def __init__(self):
            self.factor, self.shift = 2, 1

    class Bare(Slotted):
        __slots__ = ()

    mixed, bare = Mixed(), Bare()
    bare.factor = 1
    f = jit(lambda x: x * mixed.factor * bare.factor + mixed.shift)
    assert f(Tensor([1.0])).item() == 3
    mixed.factor = 3
    assert f(Tensor([1.0])).item() == 4
    mixed.shift = 2
    assert f(Tensor([1.0])).item() == 5
    bare.factor = 2
    assert f(Tensor([1.0])).item() == 8


def test_a_look_up_of_the_users_own_in_a_base_class():
    class Doubling:
        def __getattribute__(self, name):
            value = object.__getattribute__(self, name)
            return 2 * value if name == "by" else value

    class Part(Doubling):
        def __init__(self, by):
            self.by = by

    part, base = Part(2), Doubling()
    base.by = 1
    f = jit(lambda x: x * part.by * base.by)
    assert f(Tensor([1.0])).item() == 8
    part.by = 3
    assert f(Tensor([1.0])).item() == 12
    base.by = 2
    assert f(Tensor([1.0])).item() == 24
    assert "__getattribute__" not in Part.__dict__
    assert part.by == 6


def test_values_that_are_realized_inside_at_each_size():
    weight = Tensor([2.0])

    @jit
    def f(x):
        y = (x * weight).realize()
        return y.reshape(-1, 1) + y

    for n in (*SIZES, *SIZES):
        np.testing.assert_allclose(f(Tensor.ones(n)).numpy(), np.full((n, n), 4.0))
    weight.assign(Tensor([3.0]))
    for n in SIZES:
        np.testing.assert_allclose(f(Tensor.ones(n)).numpy(), np.full((n, n), 6.0))


def test_a_tensor_that_is_made_inside_has_the_slots_of_one_that_is_made_outside():
    def filled(tensor):
        names = {n for cls in type(tensor).__mro__ for n in getattr(cls, "__slots__", ())}
        return {name for name in names if hasattr(tensor, name)}

    x = Tensor([1.0])
    with overlaid(Trace([x])):
        inside = filled(x + 1)
    assert inside == filled(x + 1)
    assert {"_own", "_grad", "_base"} <= inside
