"""A captured step of a decoder, whose cache grows or slides, is not run at each size."""

from __future__ import annotations

from io import StringIO

import pytest

import lazygrad
from lazygrad import Tensor, cat, jit, nn

from .decoders import FEW, STEPS, Decoder, check

pytestmark = pytest.mark.usefixtures("compiled")  # plans of earlier tests are of other families


def test_a_cache_that_is_passed_and_a_position_that_is_a_number():
    def run(model, f):
        x, cache = Tensor([[3]]), None
        for pos in range(STEPS):
            x, cache = f(x, pos, cache)
            yield x.item()

    check(run, lambda model: model.cached)


def test_a_position_that_is_the_size_of_the_cache():
    def step(model):
        return lambda x, cache: model.cached(x, 0 if cache is None else cache[0].size(2), cache)

    def run(model, f):
        x, cache = Tensor([[3]]), None
        for _ in range(STEPS):
            x, cache = f(x, cache=cache)
            yield x.item()

    check(run, step)


def test_caches_in_a_list_that_the_function_changes():
    def step(model):
        def f(x, caches, *, pos):
            x, caches[0] = model.cached(x, pos, caches[0])
            return x

        return f

    def run(model, f):
        x, caches = Tensor([[3]]), [None]
        for pos in range(STEPS):
            x = f(x, caches, pos=pos)
            assert caches[0][1].shape[2] == pos + 1
            yield x.item()

    check(run, step)


@pytest.mark.parametrize("has_end", [False, True])
def test_a_cache_that_is_an_object_in_the_arguments(has_end):
    ended = []

    class Cache:
        keys, values = None, None

    if has_end:  # a copy of it would end, too
        Cache.__del__ = lambda self: ended.append(self.keys.shape[2])

    def step(model):
        def f(x, cache, pos):
            past = None if cache.keys is None else (cache.keys, cache.values)
            x, (cache.keys, cache.values) = model.cached(x, pos, past)
            return x

        return f

    def run(model, f):
        x, cache = Tensor([[3]]), Cache()
        for pos in range(STEPS):
            x = f(x, cache, pos)
            assert cache.values.shape[2] == pos + 1
            yield x.item()

    check(run, step, STEPS if has_end else FEW)
    assert ended == [STEPS] * 2 * has_end


@pytest.mark.parametrize("has_buffer", [False, True])
def test_a_cache_in_the_arguments_that_counts(has_buffer):
    class Cache:
        def __init__(self, buffer):
            self.length, self.layers, self.seen = 0, 1, []
            self.keys, self.values = buffer if has_buffer else (None, None)

        def update(self, k, v):
            if has_buffer:
                self.keys[:, :, self.length : self.length + 1] = k
                self.values[:, :, self.length : self.length + 1] = v
            else:
                self.keys = k if self.keys is None else cat((self.keys, k), 2)
                self.values = v if self.values is None else cat((self.values, v), 2)
            self.length += k.shape[2]
            return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def step(model):
        def f(x, cache):
            h = model.tokens(x) + model.places.weight[cache.length : cache.length + 1]
            q, k, v = model.split(h)
            assert cache.layers == 1
            return model.next(h, q, *cache.update(k, v))

        return f

    def run(model, f):
        for _ in range(2):
            x, cache = Tensor([[3]]), Cache(model.memory)
            for n in range(STEPS):
                x = f(x, cache)
                assert cache.length == n + 1
                assert type(cache.length) is int
                yield x.item()

    check(run, step)


@pytest.mark.parametrize("place", ["list", "attribute"])
def test_a_window_that_slides_when_it_is_full(place):
    window = 16

    class Kept:
        past = None

    def step(model):
        kept = [None] if place == "list" else Kept()

        def f(x, pos):
            h = model.tokens(x) + model.places.weight[pos : pos + 1]
            q, k, v = model.split(h)
            past = kept[0] if place == "list" else kept.past
            if past is not None:
                k = cat((past[0], k), 2)[:, :, -window:]
                v = cat((past[1], v), 2)[:, :, -window:]
            if place == "list":
                kept[0] = (k, v)
            else:
                kept.past = (k, v)
            return model.next(h, q, k, v)

        return f

    def run(model, f):
        x = Tensor([[3]])
        for pos in range(STEPS):
            x = f(x, pos)
            yield x.item()

    model = Decoder()
    runs = StringIO()
    with lazygrad.no_grad():
        expected = list(run(model, step(model)))
        plain = step(model)
        found = list(run(model, jit(lambda *args: (runs.write("."), plain(*args))[1])))
    assert found == expected
    assert len(runs.getvalue()) <= 30


def written(f):
    """The tokens of a text that grows by each."""
    text = Tensor([[3]])
    for _ in range(STEPS):
        x = f(text)
        text = cat((text, x), 1)
        yield x.item()
    return text


def test_a_text_that_is_cropped():
    def step(model):
        def f(text):
            text = text[:, -24:]
            h = model.tokens(text) + model.places(Tensor.arange(text.shape[1]))
            return model.next(h, *model.split(h), is_causal=True)

        return f

    check(lambda model, f: written(f), step, few=30)


def test_an_object_in_the_arguments_whose_integers_are_shown():
    class Config:
        def __init__(self, n):
            self.n, self.m = n, 3

    f = jit(lambda x, config: x * (2 if vars(config)["n"] == 50 else config.n))
    for n in range(2, 70):
        expected = [2 if n == 50 else n] * n
        assert f(Tensor.ones(n), Config(n)).tolist() == expected


def test_a_cache_of_one_size_that_is_written_at_the_position():
    def step(model):
        def f(x, pos):
            h = model.tokens(x) + model.places.weight[pos : pos + 1]
            q, k, v = model.split(h)
            keys, values = model.memory
            keys[:, :, pos : pos + 1] = k
            values[:, :, pos : pos + 1] = v
            return model.next(h, q, keys[:, :, : pos + 1], values[:, :, : pos + 1])

        return f

    def run(model, f):
        x = Tensor([[3]])
        for pos in range(STEPS):
            x = f(x, pos)
            yield x.item()

    check(run, step)


@pytest.mark.parametrize("place", ["attributes", "list", "dict"])
def test_a_cache_that_is_kept_outside(place):
    def step(model):
        class Cached(nn.Module):
            def __init__(self):
                super().__init__()
                self.model, self.past = model, {"k": None, "v": None}
                self.k = self.v = None
                self.pair = [None, None]

            def kept(self):
                if place == "attributes":
                    return self.k, self.v
                return self.pair if place == "list" else (self.past["k"], self.past["v"])

            def forward(self, x):
                k, v = self.kept()
                pos, past = (0, None) if k is None else (k.shape[2], (k, v))
                x, (k, v) = self.model.cached(x, pos, past)
                self.keep(k, v)
                return x

            def keep(self, k, v):
                if place == "attributes":
                    self.k, self.v = k, v
                elif place == "list":
                    self.pair[:] = k, v
                else:
                    self.past["k"], self.past["v"] = k, v

        return Cached()

    def run(cached, f):
        for length in (STEPS, 40):
            x = Tensor([[3]])
            for n in range(length):
                x = f(x)
                assert cached.kept()[1].shape[2] == n + 1
                yield x.item()
            assert cached.kept()[0].numpy().shape[2] == length
            cached.keep(None, None)

    Tensor.manual_seed(0)
    model = Decoder()
    with lazygrad.no_grad():
        cached = step(model)
        expected = list(run(cached, cached))
        cached, runs = step(model), StringIO()
        forward = cached.forward
        cached.forward = lambda x: (runs.write("."), forward(x))[1]
        found = list(run(cached, jit(cached)))
    assert found == expected
    assert len(runs.getvalue()) <= FEW


def test_the_whole_text_up_to_a_size_that_is_asserted():
    def step(model):
        def f(text):
            n = text.shape[1]
            assert n <= STEPS  # less than the bound
            h = model.tokens(text) + model.places(Tensor.arange(n))
            return model.next(h, *model.split(h), is_causal=True)

        return f

    def run(model, f):
        text = yield from written(f)
        with pytest.raises(AssertionError):
            f(text)

    check(run, step, few=30)
