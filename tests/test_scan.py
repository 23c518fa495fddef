"""scan: a loop of one traced step gives what the loop in Python gives, compiled as one step."""

import re

import numpy as np
import pytest

from lazygrad import Tensor, config, jit, scan
from lazygrad.errors import ArgumentError, KindError, ShapeError
from lazygrad.explain import explain
from lazygrad.graph.sizes import Sample
from lazygrad.graph.structure import Walk
from lazygrad.runtime.buffer import realized
from lazygrad.transforms import grad, hessian, jvp, vmap

RNG = np.random.default_rng(0)
W, H, XS = (RNG.normal(size=s).astype(np.float32) * 0.5 for s in ((3, 3), (2, 3), (6, 2, 3)))


def step(w, h, x):
    new = (h @ w + x).tanh()
    return new, {"twice": new * 2, "before": h}


def scanned(w, h, xs, reverse=False):
    return scan(lambda h, x: step(w, h, x), h, xs, reverse=reverse)


def in_python(w, h, xs, reverse=False):
    ys = []
    for x in list(xs)[::-1] if reverse else list(xs):
        h, y = step(w, h, x)
        ys.append(y)
    ys = ys[::-1] if reverse else ys
    return h, {name: Tensor.stack([y[name] for y in ys]) for name in ys[0]}


def tensors():
    return [Tensor(x, requires_grad=True) for x in (W, H, XS)]


def assert_close(a, b):
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_values_and_gradients(reverse):
    every = []
    for loop in (scanned, in_python):
        given = tensors()
        h, ys = loop(*given, reverse)
        loss = (h * h).sum() + (ys["twice"] * ys["before"].cos()).sum()
        loss.backward()
        every.append([h, *ys.values(), *[x.grad for x in given]])
    for a, b in zip(*every, strict=True):
        assert_close(a, b)


def test_transforms_go_through_a_loop():
    w, h, xs = tensors()
    for derivative in (grad, hessian, lambda f: vmap(grad(f))):
        given = Tensor.stack(w, w * 2).detach() if derivative not in (grad, hessian) else w
        found, wanted = (
            derivative(lambda w, loop=loop: loop(w, h, xs)[0].square().sum())(given)
            for loop in (scanned, in_python)
        )
        assert_close(found, wanted)
    for found, wanted in zip(
        *(jvp(lambda w, f=f: f(w, h, xs)[0], (w,), (w,)) for f in (scanned, in_python)), strict=True
    ):
        assert_close(found, wanted)


def test_loops_in_loops():
    w, h, xs = tensors()

    def outer(h, x):
        h, ys = scan(lambda g, r: (g * 0.5 + r @ w, g), h, Tensor.stack(x, x * 2))
        return h, ys.sum(0)

    end, ys = scan(outer, h, xs)
    again, sums = h, []
    for x in xs:
        total = 0
        for row in (x, x * 2):
            total, again = total + again, again * 0.5 + row @ w
        sums.append(total)
    assert_close(end, again)
    assert_close(ys, Tensor.stack(sums))
    found = grad(lambda w: scan(lambda h, x: (outer(h, x)[0] @ w, None), h, xs)[0].sum())(w)
    assert np.isfinite(found.numpy()).all()


def test_carries_of_several_tensors_and_dtypes():
    init = {"sum": Tensor(1.0), "count": Tensor(0)}
    xs = Tensor([1.0, 2.0, 3.0]), Tensor([4.0, 5.0, 6.0])

    def add(carry, x):
        return {"sum": carry["sum"] + x[0], "count": carry["count"] + 1}, carry["sum"] * x[1]

    end, products = scan(add, init, xs)
    assert (end["sum"].item(), end["count"].item()) == (7.0, 3)
    assert products.tolist() == [4.0, 10.0, 24.0]


def test_states_that_stay_or_change_places():
    a, b = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    (x, y, z), seen = scan(lambda s, _: ((s[1], s[0], s[2]), s[0]), (a, b, a), length=3)
    assert (x.tolist(), y.tolist(), z.tolist()) == ([3.0, 4.0], [1.0, 2.0], [1.0, 2.0])
    assert seen.tolist() == [[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]
    (x, y), _ = scan(lambda s, _: ((s[0] * 2, s[0] * 2), None), (a, a), length=2)
    assert x.tolist() == y.tolist() == [4.0, 8.0]
    assert scan(lambda s, _: (s.zeros_like(), None), a, length=2)[0].tolist() == [0.0, 0.0]


def test_a_length_and_no_steps():
    end, ys = scan(lambda c, _: (c + 1, c * 2), Tensor(1.0), length=4)
    assert end.item() == 5
    assert ys.tolist() == [2.0, 4.0, 6.0, 8.0]
    end, ys = scan(lambda c, x: (c + x.sum(), x * c), Tensor(1.0), Tensor.zeros(0, 3))
    assert end.item() == 1
    assert ys.shape == (0, 3)


def test_indices_are_checked_in_every_step():
    table = Tensor(np.arange(15, dtype=np.float32).reshape(5, 3))

    def follow(tokens, _):
        return tokens + 2, table[tokens]

    assert scan(follow, Tensor([0, 1]), length=2)[1].shape == (2, 2, 3)
    with pytest.raises(IndexError, match="index 5 is outside"):
        scan(follow, Tensor([0, 1]), length=3)[1].numpy()
    for n in (3, 5, 9, 6, 4):  # steps beyond the length are not checked
        tokens = Tensor(np.arange(n) % 5)
        _, read = scan(lambda c, t: (c, table[t + c] * 2), Tensor(0), tokens)
        np.testing.assert_array_equal(read.numpy(), table.numpy()[np.arange(n) % 5] * 2)
    with pytest.raises(IndexError, match="index 7 is outside"):
        scan(lambda c, t: (c, table[t + c] * 2), Tensor(0), Tensor([0, 1, 7, 2, 3, 1, 0]))[
            1
        ].numpy()


@pytest.mark.skipif(not config.OPT or Tensor([1]).device != "CPU", reason="steps are written out")
def test_a_long_loop_is_compiled_as_a_short_one():
    counts = []
    for n in (4, 300):
        h, xs = Tensor(H), Tensor(np.ones((n, 2, 3), np.float32))
        w = Tensor(W)
        shown = str(explain(lambda h=h, xs=xs, w=w: scanned(w, h, xs)[0].sum()))
        counts.append(re.search(r"(\d+) kernels", shown).group(1))
    assert counts[0] == counts[1]


@pytest.mark.skipif(not config.OPT, reason="each size is compiled")
@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_lengths_that_vary_share_a_plan(compiled, reverse, captured):
    w, h, _ = tensors()

    def loss(xs):
        total = (scanned(w, h, xs, reverse)[1]["twice"] * xs).sum()
        return total, total.gradient(w)[0]

    run = jit(loss) if captured else loss
    found = {}
    for n in (5, 9, 12, 7, 11, 6, 10, 2):
        xs = Tensor(np.random.default_rng(n).normal(size=(n, 2, 3)).astype(np.float32))
        values = run(xs)
        Tensor.realize(*values)
        found[n] = xs, [x.numpy() for x in values]
    assert len(compiled) <= 8
    for xs, values in found.values():
        total = (in_python(w, h, xs, reverse)[1]["twice"] * xs).sum()
        for a, b in zip(values, (total, total.gradient(w)[0]), strict=True):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-3, atol=1e-4)


def attending(queries, memory, w):
    """A loop whose step reads all rows of a memory: (targets, batch, 3), (sources, batch, 3)."""

    def step(h, x):
        scores = (memory * (h + x)).sum(-1).softmax(0)
        new = ((scores.unsqueeze(-1) * memory).sum(0) @ w + x).tanh()
        return new, new

    start = Tensor.zeros(*queries.shape[1:], dtype=queries.dtype)
    return step, start


def attended(queries, memory, w, in_python):
    step, h = attending(queries, memory, w)
    if not in_python:
        return scan(step, h, queries)[1]
    ys = []
    for x in queries:
        h, y = step(h, x)
        ys.append(y)
    return Tensor.stack(ys)


VARYING = {
    "the batch": [(4, 5, b) for b in (2, 5, 7, 3, 6)],
    "what a step reads": [(4, s, 2) for s in (3, 6, 9, 4, 7)],
    "steps and the batch": [(4, 5, 3), (6, 5, 2), (3, 5, 5), (5, 5, 4), (7, 5, 7), (2, 5, 6)],
    "steps and what they read": [(4, 5, 2), (6, 3, 2), (3, 6, 2), (5, 4, 2), (7, 7, 2), (2, 9, 2)],
}


@pytest.mark.skipif(not config.OPT or Tensor([1]).device != "CPU", reason="steps are written out")
@pytest.mark.parametrize("name", VARYING)
def test_sizes_in_a_step_vary(compiled, name):
    w, found = Tensor(W, requires_grad=True), []
    for targets, sources, batch in VARYING[name]:
        rng = np.random.default_rng(100 * targets + 10 * sources + batch)
        queries, memory = (
            Tensor(rng.normal(size=(n, batch, 3)).astype(np.float32)) for n in (targets, sources)
        )
        out = attended(queries, memory, w, in_python=False)
        values = out, (out * out).sum().gradient(w)[0]
        Tensor.realize(*values)
        found.append((queries, memory, [x.numpy() for x in values]))
    assert len(compiled) <= 5
    for queries, memory, values in found:
        out = attended(queries, memory, w, in_python=True)
        for a, b in zip(values, (out, (out * out).sum().gradient(w)[0]), strict=True):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(not config.OPT, reason="each size is compiled")
def test_values_of_a_loop_that_are_computed_already_are_leaves(compiled):
    """Of varying size, as any; also where they are beside others of another size."""
    for n, m in ((4, 4), (6, 6), (5, 5), (7, 7), (6, 4), (5, 9), (8, 3)):
        xs = Tensor(np.arange(6.0 * n, dtype=np.float32).reshape(n, 2, 3))
        others = Tensor(np.arange(6.0 * m, dtype=np.float32).reshape(m, 2, 3))
        sums = scan(lambda c, x: (c + x, c + x), Tensor.zeros(2, 3), xs)[1].realize()
        found = sums.sum(0) - others.sum(0)
        wanted = np.cumsum(xs.numpy(), 0).sum(0) - others.numpy().sum(0)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)
    assert len(compiled) <= 8


def test_the_steps_of_a_loop_that_is_computed_are_no_part_of_a_graph():
    sums = scan(lambda c, x: (c + x, c + x), Tensor.zeros(3), Tensor.ones(4, 3))[1]
    outputs = [(sums.sum(0) * 2)._node]  # over the loop, which is computed only then
    sums.realize()
    walk = Walk(realized)
    walk.walk(outputs)
    walk = walk.whole(outputs)
    sample = Sample(walk.key(outputs), walk.nodes)
    assert len(sample.fields) == len(walk.nodes)
    assert [sample.fields[n][0] for n in sample.leaves] == [(4, 3)]


def test_errors_at_the_line_that_asks():
    h, xs = Tensor(H), Tensor(XS)
    with pytest.raises(RuntimeError, match="scan: the step draws random numbers"):
        scan(lambda h, x: (h + Tensor.rand(3), h), h, xs)
    with pytest.raises(RuntimeError, match="scan: the step reads values"):
        scan(lambda h, x: (h if h.sum().item() else x, h), h, xs)
    with pytest.raises(ShapeError, match=r"the carry float32\(2, 3\) is float32\(\) after"):
        scan(lambda h, x: (h.sum(), h), h, xs)
    with pytest.raises(ShapeError, match="is float16"):
        scan(lambda h, x: (h.half(), h), h, xs)
    with pytest.raises(KindError, match=r"a step gives \(carry, y\)"):
        scan(lambda h, x: h, h, xs)
    with pytest.raises(KindError, match="where tensors belong"):
        scan(lambda h, x: (h, h), 1.0, xs)
    with pytest.raises(ShapeError, match="say 3, 6 steps"):
        scan(lambda h, x: (h, h), h, xs, length=3)
    with pytest.raises(ShapeError, match="it has no steps"):
        scan(lambda h, x: (h, h), h, Tensor(1.0))
    with pytest.raises(ArgumentError, match="how many steps"):
        scan(lambda h, x: (h, h), h)
    with pytest.raises(ArgumentError, match="length -1"):
        scan(lambda h, x: (h, h), h, length=-1)
