"""What a function keeps outside is set by each call, as if its Python had run."""

from __future__ import annotations

import functools
import random
from collections import defaultdict, deque
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from lazygrad import Tensor, jit, nn
from lazygrad.errors import JitError


def captures(f):
    return sum(map(len, f._replays.values()))


def plain(function):
    return function


class Keeps:
    h = None

    def __call__(self, x):
        self.h = x * 2
        return self.h + 1


def test_an_attribute_is_set_by_each_call():
    layer = Keeps()
    f = jit(lambda x: layer(x) * 1)
    seen = []
    for n in range(5):
        assert f(Tensor([float(n)])).item() == 2 * n + 1
        assert layer.h.item() == 2 * n
        seen.append(layer.h)
    assert [h.item() for h in seen] == [0.0, 2.0, 4.0, 6.0, 8.0]  # older ones stay as they are
    assert captures(f) == 1
    layer.h.assign(Tensor([100.0]))
    f(Tensor([1.0]))
    assert (seen[4].item(), layer.h.item()) == (100.0, 2.0)


@dataclass
class State:
    h: Tensor
    c: Tensor


PLACES = {
    "tuple": (lambda h, c: (h, c), lambda s: s),
    "list": (lambda h, c: [h, c], lambda s: s),
    "dict": (lambda h, c: {"h": h, "c": c}, lambda s: (s["h"], s["c"])),
    "nested": (lambda h, c: {"h": [h, (c,)]}, lambda s: (s["h"][0], s["h"][1][0])),
    "object": (State, lambda s: (s.h, s.c)),
    "namespace": (lambda h, c: SimpleNamespace(h=h, c=c), lambda s: (s.h, s.c)),
}


@pytest.mark.parametrize(("make", "parts"), PLACES.values(), ids=PLACES)
def test_state_that_is_read_and_set_anew(make, parts):
    def run(wrap):
        class Cell:
            def __init__(self):
                self.state = make(Tensor([1.0]), Tensor([2.0]))

            def __call__(self, x):
                h, c = parts(self.state)
                c = c * 0.5 + x
                h = h * 0.25 + c
                self.state = make(h, c)
                return h * 1

        cell = Cell()
        f, seen, older = wrap(cell), [], []
        for n in range(6):
            seen.append(f(Tensor([float(n)])).item())
            older.append(cell.state)
            if n == 3:
                cell.state = make(Tensor([9.0]), Tensor([8.0]))
        assert wrap is plain or captures(f) == 1
        return seen + [t.item() for state in older for t in parts(state)]

    assert run(jit) == run(plain)


def test_a_recurrent_layer_that_begins_without_state():
    def run(wrap):
        Tensor.manual_seed(1)
        cell, keeps = nn.GRUCell(2, 3), SimpleNamespace(h=None)

        def step(x):
            keeps.h = cell(x, keeps.h)
            return keeps.h.sum()

        step, seen = wrap(step), []
        with Tensor.no_grad():
            for n in range(6):
                seen.append(step(Tensor([[1.0, float(n)]])).item())
                seen += keeps.h.numpy().ravel().tolist()
                if n == 3:
                    keeps.h = None
        assert wrap is plain or captures(step) == 2
        return seen

    np.testing.assert_allclose(run(jit), run(plain), 1e-5)


def test_variables_of_enclosing_functions_lists_and_dicts():
    def run(wrap):
        h, items, table = Tensor([1.0]), [Tensor([1.0]), None], {"n": 0}

        def step(x):
            nonlocal h
            h = h * 0.5 + x
            items[0] = items[0] + h
            items[1] = h
            table["last"] = h * 3
            return h * 2

        step, seen = wrap(step), []
        for n in range(5):
            seen += [step(Tensor([float(n)])).item(), h.item(), table["last"].item()]
            seen += [item.item() for item in items] + [items[1] is h]
        return seen

    assert run(jit) == run(plain)


def test_tensors_that_change_places():
    def run(wrap):
        s = SimpleNamespace(a=Tensor([1.0]), b=Tensor([2.0]), c=None)

        def step(x):
            s.a, s.b = s.b, s.a + x
            s.c = s.a
            return s.b * 1

        step, seen = wrap(step), []
        for n in range(5):
            seen += [step(Tensor([float(n)])).item(), s.a.item(), s.b.item(), s.c is s.a]
        return seen

    assert run(jit) == run(plain)


def test_a_queue_of_the_last_values():
    def run(wrap):
        last, window = deque([Tensor([0.0])] * 3, maxlen=3), [Tensor([1.0]), Tensor([2.0])]

        def step(x):
            last.append(x * 2)
            window.append(x + 1)
            window.pop(0)
            return sum(last, Tensor([0.0])) + window[0]

        step, seen = wrap(step), []
        for n in range(6):
            seen.append(step(Tensor([float(n)])).item())
            seen += [t.item() for t in (*last, *window)]
        return seen

    assert run(jit) == run(plain)


def test_python_values_in_all_places():
    def run(wrap):
        count, seen, names, table = 0, [], set(), defaultdict(int)
        holder = SimpleNamespace(n=0)

        def step(x):
            nonlocal count
            count += 1
            seen.append(count)
            names.add(count % 2)
            table["k"] += 2
            holder.n = count * 10
            return x * (count + len(seen) + sum(names) + table["k"] + holder.n)

        step, found = wrap(step), []
        for _ in range(4):
            found += [step(Tensor([1.0])).item(), count, list(seen), set(names), dict(table)]
            found.append(holder.n)
        return found

    assert run(jit) == run(plain)


def test_results_and_what_is_kept_are_one_tensor():
    def run(wrap):
        keeps = SimpleNamespace(h=None, pair=None)

        def step(x):
            keeps.h = x * 2
            keeps.pair = [keeps.h, keeps.h]
            return keeps.h

        step = wrap(step)
        return [
            (step(Tensor([1.0])) is keeps.h, keeps.pair[0] is keeps.pair[1] is keeps.h)
            for _ in range(3)
        ]

    assert run(jit) == run(plain)


def test_a_view_that_is_kept():
    def run(wrap):
        keeps, state = SimpleNamespace(row=None), Tensor.zeros(2, 2).contiguous().realize()

        def step(x):
            state.assign(state + x)
            keeps.row = state[1]
            return state.sum()

        step, seen = wrap(step), []
        for n in range(3):
            seen.append(step(Tensor([float(n)])).item())
            keeps.row += 1
            seen += [keeps.row.tolist(), state.tolist()]
        return seen

    assert run(jit) == run(plain)


def test_a_detached_value_that_is_kept():
    def run(wrap):
        keeps = SimpleNamespace(w=Tensor([2.0]))

        def step(x):
            keeps.w = (keeps.w - x * 0.5).detach()
            return keeps.w.sum()

        step = wrap(step)
        return [(step(Tensor([float(n)])).item(), keeps.w.item()) for n in range(4)]

    assert run(jit) == run(plain)


def test_a_cached_property():
    class Model:
        def __init__(self):
            self.weight = Tensor([2.0])

        @functools.cached_property
        def folded(self):
            return self.weight + 1

        def __call__(self, x):
            return x * self.folded

    model = Model()
    f = jit(model)
    for _ in range(3):
        assert f(Tensor([1.0])).item() == 3.0
    model.weight = Tensor([5.0])
    assert f(Tensor([1.0])).item() == 3.0  # as without jit
    del model.folded
    assert f(Tensor([1.0])).item() == 6.0


def test_results_that_are_objects():
    f = jit(lambda x: State(x * 2, c=(x.sum(), "name")))
    for n in (1.0, 2.0):
        found = f(Tensor([n]))
        assert (type(found), found.h.item(), found.c[0].item()) == (State, 2 * n, n)
        found.c = None  # is not seen by the next call


# --------------------------------------------------------------------------- refused


def test_an_exception_leaves_python_objects_as_they_were():
    keeps, items = Keeps(), [1]

    @jit
    def f(x, fail):
        keeps(x)
        items.append(keeps.h)
        if fail == "raise":
            raise KeyError("mine")
        return keeps.h.item() if fail == "read" else x

    for fail, error in (("raise", KeyError), ("read", JitError)):
        with pytest.raises(error):
            f(Tensor([1.0]), fail)
        assert keeps.h is None
        assert items == [1]


def test_gradient_to_the_call_before_is_refused():
    class Recurrent:
        def __init__(self, detaches):
            self.w = Tensor([0.5], requires_grad=True)
            self.h, self.detaches = Tensor([1.0]), detaches

        def __call__(self, x):
            self.w.grad = None
            self.h = self.h * self.w + x
            self.h.sum().backward()
            if self.detaches:
                self.h = self.h.detach()

    model = Recurrent(False)
    with pytest.raises(JitError, match="which would be lost; keep its detach"):
        jit(model)(Tensor([1.0]))
    assert (model.h.item(), model.w.grad) == (1.0, None)
    wanted, found = Recurrent(True), Recurrent(True)
    f = jit(found)
    for n in range(4):
        f(Tensor([float(n)]))
        wanted(Tensor([float(n)]))
        assert (found.h.item(), found.w.grad.item()) == (wanted.h.item(), wanted.w.grad.item())


GENERATOR = np.random.default_rng(0)
SOURCES = {
    "numpy": lambda: np.random.rand(),
    "python": lambda: random.random(),
    "module": lambda: random.randint(0, 5),
    "generator": lambda: GENERATOR.normal(),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_random_numbers_of_others_are_refused(source):
    with pytest.raises(JitError, match="draws random numbers of Python's or NumPy's"):
        jit(lambda x: x * source())(Tensor([1.0]))


def test_what_only_mentions_random_numbers_is_captured():
    f = jit(lambda x, noisy=False: x * (np.random.rand() if noisy else 2))
    assert f(Tensor([1.0])).item() == 2.0


def test_iterators_from_outside_are_refused():
    numbers = iter([1, 2, 3])
    holder = SimpleNamespace(numbers=(n for n in [1, 2]))
    for f in (lambda x: x * next(numbers), lambda x: x * next(holder.numbers)):
        with pytest.raises(JitError, match="an iterator from outside"):
            jit(f)(Tensor([1.0]))
    assert next(numbers) == 1


def test_what_runs_later_is_refused():
    def generator(x):
        yield x

    async def coroutine(x):
        return x

    class Later:
        def __call__(self, x):
            yield x

    for function in (generator, coroutine, Later(), functools.partial(generator, 1)):
        with pytest.raises(JitError, match="is a generator or a coroutine"):
            jit(function)
    with pytest.raises(JitError, match="returns or keeps a generator"):
        jit(lambda x: (x * n for n in range(3)))(Tensor([1.0]))


def test_a_mode_that_is_left_changed_is_refused():
    def f(x):
        Tensor.training = not Tensor.training
        return x

    before = Tensor.training
    try:
        with pytest.raises(JitError, match=r"leaves Tensor\.training"):
            jit(f)(Tensor([1.0]))
    finally:
        Tensor.training = before


def test_an_array_that_is_written_is_refused():
    table = np.zeros(3)

    @jit
    def f(x):
        table[0] += 1
        return x

    with pytest.raises(JitError, match="writes into a NumPy array"):
        f(Tensor([1.0]))
    assert table[0] == 0
