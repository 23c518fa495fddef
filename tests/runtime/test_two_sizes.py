"""Two sizes that vary independently: three graphs tell how, and one plan serves every pair."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, Variable, config, nn, stages
from lazygrad.errors import CompilerError, CompilerWarning
from lazygrad.graph import at_bounds
from lazygrad.graph.lines import Fit, FixedError, Line, Surface, function_of_size
from lazygrad.runtime import families

from .programs import Random, flat, normal

PAIRS = ((3, 5), (7, 4), (9, 20), (12, 6), (40, 11), (5, 40), (1, 1), (127, 3), (130, 140))

Program = Callable[[int, int, Random], Tensor]
PROGRAMS: dict[str, Program] = {}


def program(function: Program) -> Program:
    """A program of two sizes; Tensor.randn and the like draw the same in each run."""
    PROGRAMS[function.__name__] = function
    return function


WEIGHT = np.random.default_rng(0).standard_normal((6, 6)).astype(np.float32)


@program
def sentences(n, m, r):
    x = normal(r, n, m, 6)
    hidden = (x @ Tensor(WEIGHT)).relu() + x
    return flat(hidden.mean(1), hidden.reshape(-1, 6).max(0)[0], hidden.sum((0, 1)))


@program
def cross_attention(n, m, r):
    q, k, v = (normal(r, 2, 3, rows, 8) for rows in (n, m, m))
    return q.scaled_dot_product_attention(k, v)


@program
def training_step(n, m, r):
    w = Tensor(WEIGHT.copy(), requires_grad=True)
    x = normal(r, n, m, 6)
    labels = Tensor(r.integers(0, 6, (n, m)))
    loss = (x @ w).reshape(-1, 6).cross_entropy(labels.reshape(-1))
    loss.backward()
    return flat(loss, w.grad)


@program
def images(n, m, r):
    x = normal(r, 2, 3, n + 2, m + 2)
    return flat(x.conv2d(normal(r, 4, 3, 3, 3), padding=1).relu(), x.mean((2, 3)), x.flip(3))


@program
def images_of_many_channels(n, m, r):
    """Convolved by tiles (schedule/winograd.py), of which not all are needed."""
    x = normal(r, 1, 16, n + 2, m + 2).conv2d(normal(r, 16, 16, 3, 3), padding=1)
    return flat(x.relu(), x.mean((2, 3)))


@program
def images_in_strides(n, m, r):
    x = normal(r, 2, 3, n + 8, m + 8).conv2d(normal(r, 4, 3, 3, 3), stride=2, padding=1).relu()
    parts = x.max_pool2d(2), x.conv2d(normal(r, 2, 4, 3, 3), stride=2), x[:, :, ::2, 1::3]
    return flat(*(part.cumsum(-1).mean((2, 3)) for part in parts))


@program
def training_on_images(n, m, r):
    weights = normal(r, 4, 3, 3, 3), normal(r, 2, 4, 2, 2)
    for weight in weights:
        weight.requires_grad = True
    x = normal(r, 2, 3, n + 8, m + 8).conv2d(weights[0], stride=2, padding=1)
    x = ((x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)).relu()
    x.max_pool2d(2).conv2d(weights[1]).square().mean().backward()
    return flat(*(weight.grad for weight in weights))


@program
def pairs_of_rows(n, m, r):
    x, y = normal(r, n, 1), normal(r, m)
    distance = (x - y).square()
    return flat(distance.min(0)[0], distance.argmin(1), distance.reshape(-1).cumsum(0), distance.T)


@program
def joined(n, m, r):
    x, y = normal(r, n, 6), normal(r, m, 6)
    both = Tensor.cat(x, y, x)
    return flat(both.sort(0)[0], both[n:], both.softmax(0), both.pad((0, 0, 1, 2)))


@program
def places(n, m, r):
    table = Tensor(r.standard_normal((300, 4)).astype(np.float32))
    return flat(table[m : m + n] * 2, Tensor.arange(m).sum(), table[m])


@program
def rolled(n, m, r):
    """The sizes are those of both parts: n rows and m - n rows would shrink where n grows."""
    x = normal(r, n + m, 6).roll(m, 0)
    return flat(x * 2, x.cumsum(0))


@program
def a_span_replaced(n, m, r):
    x = normal(r, n + m + 2, 6)
    return Tensor.cat(x[:m], normal(r, 5, 6), x[m + 2 :]).softmax(0)


@program
def differences_of_rows_apart(n, m, r):
    x = normal(r, n + m, 6)
    return flat((x[m:] - x[:-m]).square().mean(0), x[m:].pad((0, 0, m, 0)).cumsum(0))


@program
def all_but_the_last(n, m, r):
    """There is no graph with more rows than there are."""
    return normal(r, n + m, 6)[:n].exp().sum(0) / n


@program
def the_middle(n, m, r):
    return normal(r, 2 * m + n, 6)[m : m + n].exp().sum(0)


@program
def repeated(n, m, r):
    x = normal(r, n, 6)
    return flat(x.repeat(m, 1).cumsum(0) / m, x.unsqueeze(1).expand(n, m, 6).reshape(-1, 6) * 2)


@program
def a_class_token(n, m, r):
    x = Tensor.cat(Tensor(WEIGHT[0]).reshape(1, 1, 6).expand(n, 1, 6), normal(r, n, m, 6), dim=1)
    return flat(x.reshape(-1, 6).softmax(-1), x[:, 0])


@program
def repeated_rows(n, m, r):
    """An axis of the result has m blocks of n rows."""
    x = normal(r, n, 6)
    return x.repeat(m, 1) * 2


@program
def without_inputs(n, m, r):
    return Tensor.arange(n).reshape(n, 1) * 2.0 + Tensor.full((n, m), 0.5) * m


@program
def halves(n, m, r):
    left, right = normal(r, n, 2 * m).chunk(2, 1)
    return left * right.sigmoid()


@program
def rows_that_are_named(n, m, r):
    """The range of an index is an axis whose size varies."""
    x, y = normal(r, n, m), normal(r, m, 4)
    index = Tensor(r.integers(0, m, (n, 3)))
    return flat(x.gather(1, index), y[index + 0])


@program
def words(n, m, r):
    """Joined integers are padded with one."""
    text = Tensor(r.integers(0, 9, (n, m)))
    return Tensor.cat(text, text[:, :1] + 1, dim=1).float() * 2


@program
def drawn(n, m, r):
    return flat(Tensor.rand(n, m), Tensor.randn(m, 3).sum(0))


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_two_sizes_give_what_each_pair_gives_alone(name):
    for n, m in PAIRS:
        expected = run(name, n, m, SIZES=0)
        np.testing.assert_allclose(run(name, n, m, SIZES=1), expected, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("away", [2, 3, 5, 6])
def test_few_graphs_tell_of_strides_wherever_they_are_made(monkeypatch, away):
    monkeypatch.setattr(at_bounds, "AWAY", (away,))
    for n, m in ((3, 5), (7, 4), (9, 20), (12, 6), (40, 11), (47, 14)):
        expected = run("images_in_strides", n, m, SIZES=0)
        found = run("images_in_strides", n, m, SIZES=1)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=3e-5)


def run(name: str, n: int, m: int, **settings: int) -> np.ndarray:
    with config.override(**settings):
        lazygrad.manual_seed(n)
        return PROGRAMS[name](n, m, np.random.default_rng([n, m])).numpy()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_few_pairs_tell_of_every_pair_up_to_the_bounds(compiled, name):
    for n, m in ((11, 30), (23, 14), (17, 41), (30, 25), (26, 40)):
        run(name, n, m)
    count = len(compiled)
    # sizes that tensors of other tests hardly have, which would be computed along
    for n, m in ((57, 57), (64, 13), (15, 97)):
        run(name, n, m)
    assert len(compiled) == count


def test_a_variable_for_each_size(compiled):
    n, m = Variable("n", 1, 100), Variable("m", 1, 100)
    x = Tensor(np.arange(400, dtype=np.float32).reshape(100, 4)).realize()
    for rows, more in ((3, 8), (10, 9), (20, 50), (33, 2), (4, 77)):
        found = (x[: n.bind(rows)] @ x[: m.bind(more)].T).sum().item()
        wanted = (x.numpy()[:rows] @ x.numpy()[:more].T).sum()
        assert found == pytest.approx(wanted, rel=1e-4)
    assert len(compiled) <= 3


def test_a_translation_model_that_is_captured(compiled):
    """Source and target of other lengths in each call; the gradients are those of each pair."""
    lazygrad.manual_seed(0)
    r = np.random.default_rng(0)
    model = nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True)
    weight = model.encoder.layers[0].linear1.weight

    def step(source, target):
        loss = model(source, target).square().mean()
        model.zero_grad()
        loss.backward()
        return loss, weight.grad

    captured = lazygrad.jit(step)
    for n, m in ((7, 9), (12, 5), (20, 17), (3, 30), (31, 4), (16, 16)):
        inputs = normal(r, 2, n, 8), normal(r, 2, m, 8)
        found = [each.numpy() for each in captured(*inputs)]
        with config.override(SIZES=0):
            wanted = [each.numpy() for each in step(*inputs)]
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_a_product_that_is_computed_twice(compiled):
    """The graph of a captured function has one product as two nodes."""
    r = np.random.default_rng(0)
    captured = lazygrad.jit(lambda a, b: (a @ b @ b.T, Tensor.einsum("nd,dm->mn", a, b)))
    for n, m in ((7, 9), (12, 5), (20, 17), (3, 30), (31, 4), (16, 16)):
        a, b = normal(r, n, 6), normal(r, 6, m)
        first, second = (each.numpy() for each in captured(a, b))
        product = a.numpy() @ b.numpy()
        np.testing.assert_allclose(first, product @ b.numpy().T, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(second, product.T, rtol=1e-3, atol=1e-5)
    assert len(compiled) == 3


def test_a_line_by_chance_of_other_sizes_than_those_of_inputs(compiled):
    """(18, 27), (19, 29): m could be 2 * n - 9. (20, 24): it could be 124 - 5 * n."""
    for n, m in ((18, 27), (19, 29), (20, 24), (30, 5), (21, 9)):
        x = Tensor(np.ones((n, 2), np.float32)).realize()
        assert x.repeat(m, 1).sum().item() == 2 * n * m
    assert len(compiled) == 3


def test_an_index_is_outside_of_an_axis_whose_size_varies(compiled):
    """Between its size and the bound there are no elements, either."""
    r = np.random.default_rng(0)
    step = lazygrad.jit(lambda x, index: x[index] * 2)
    for n, m in ((7, 9), (12, 5), (20, 17), (3, 30), (31, 4), (16, 16), (18, 9)):
        x, index = normal(r, n, 3), r.integers(-n, n, m)
        assert np.array_equal(step(x, Tensor(index)).numpy(), x.numpy()[index] * 2)
    count = len(compiled)
    for outside in (18, 19, 200, -19, -500):
        index[3] = outside
        with pytest.raises(IndexError, match=f"index {outside} is outside -18 to 17"):
            step(x, Tensor(index)).numpy()
    index[3] = -18
    assert np.array_equal(step(x, Tensor(index)).numpy(), x.numpy()[index] * 2)
    assert len(compiled) == count == 3


def test_a_captured_loss_over_as_many_classes_as_there_are_rows(compiled):
    """Contrastive: the right class of each row is the place of another row."""
    r = np.random.default_rng(0)
    loss = lazygrad.jit(lambda a, b, labels: (a @ b.T).cross_entropy(labels))
    for n, m in ((7, 9), (12, 5), (20, 17), (3, 30), (31, 4), (16, 16)):
        a, b, labels = normal(r, n, 6), normal(r, m, 6), Tensor(r.integers(0, m, n))
        with config.override(SIZES=0):
            wanted = (a @ b.T).cross_entropy(labels).item()
        assert loss(a, b, labels).item() == pytest.approx(wanted, rel=1e-4)


def test_a_buffer_of_fixed_size_bounds_both_sizes(compiled):
    table = Tensor(np.arange(70, dtype=np.float32)).realize()
    for n, m in ((3, 8), (10, 9), (20, 31), (33, 2), (4, 60), (35, 35)):
        found = flat(table[:n] * 2, table[n : n + m] + 1).numpy()
        values = table.numpy()
        assert np.array_equal(found, [*(values[:n] * 2), *(values[n : n + m] + 1)])


def test_start_and_length_of_a_slice_whose_largest_do_not_go_together(compiled):
    table = Tensor(np.arange(200, dtype=np.float32)).realize()
    values = table.numpy()
    for n, m in ((30, 18), (29, 40), (57, 15), (150, 50), (199, 1), (3, 128), (120, 80), (80, 120)):
        found = (table[n : n + m] * 2).numpy()
        assert np.array_equal(found, values[n : n + m] * 2)
    assert len(compiled) <= 4  # with 256 as a bound of n


def test_a_span_of_a_table_is_left_out(compiled):
    """Each of three sizes shrinks where the others grow, and their sum is fixed."""
    table = Tensor(np.arange(100, dtype=np.float32)).realize()
    values = table.numpy()
    for n, m in ((3, 7), (5, 12), (2, 20), (17, 31), (9, 16), (30, 45), (4, 50), (58, 40)):
        found = Tensor.cat(table[:n], table[:3], table[n + m :]) * 2
        wanted = np.concatenate([values[:n], values[:3], values[n + m :]]) * 2
        assert np.array_equal(found.numpy(), wanted)
    assert len(compiled) <= 5


def test_what_is_left_of_a_buffer(compiled):
    """The size of a slice, and not its start, is n."""
    table = Tensor(np.arange(200, dtype=np.float32)).realize()
    for n in (30, 29, 57, 150, 199, 3, 120):
        assert table[n:].sum().item() == np.arange(n, 200).sum()
    assert len(compiled) <= 4


def test_debug_tells_of_more_than_two_sizes(capsys):
    r = np.random.default_rng(0)
    with config.override(DEBUG=1):
        for a, b, c in ((3, 8, 6), (4, 6, 9), (9, 5, 5), (6, 2, 11)):
            total = normal(r, a).exp().sum() * normal(r, b).sin().sum() - normal(r, c).sum()
            total.realize()
    assert "more than two sizes" in capsys.readouterr().err


def test_integers_on_surfaces():
    surfaces = [
        (lambda n, m: n + 4, Surface(0, Line(1, 4))),
        (lambda n, m: 3 * m, Surface(3, 0)),
        (lambda n, m: n * m, Surface(Line(1, 0), 0)),
        (lambda n, m: n * (2 * m + 1), Surface(Line(2, 0), Line(1, 0))),
        (lambda n, m: (n + 1) * m, Surface(Line(1, 1), 0)),
        (lambda n, m: 2 * n + m - 1, Surface(1, Line(2, -1))),
    ]
    points = [(3, 5), (7, 4), (9, 20)]
    for function, surface in surfaces:
        assert Fit(points)([function(n, m) for n, m in points]) == surface
        assert function_of_size([surface])(11, 13) == (function(11, 13),)
        assert surface.at(11, 13) == function(11, 13)
        line = surface.along_m(11)
        assert (line.at(13) if isinstance(line, Line) else line) == function(11, 13)
    with pytest.raises(FixedError):
        Fit([(3, 5), (7, 4), (9, 20)])((1, 2, 9))


def test_a_fault_in_the_graph_at_a_bound_leads_to_plans_for_each_size(monkeypatch):
    def faulty(*rest):
        raise TypeError("a fault")

    def totals(function):
        ones = (Tensor(np.ones((n, 17), np.float32)) for n in range(4, 9))
        return [(function(x) * 0).sum().item() for x in ones]

    monkeypatch.setattr(families, "AtBound", faulty)
    monkeypatch.setattr(stages, "strict", False)
    monkeypatch.setattr(stages, "_told", set())
    with pytest.warns(CompilerWarning, match="a fault"):
        assert totals(Tensor.cosh) == [0] * 5
    monkeypatch.setattr(stages, "strict", True)
    with pytest.raises(CompilerError, match="a fault"):
        totals(Tensor.sinh)


def test_a_fault_below_the_first_bound_is_told_once(monkeypatch):
    """70 rows are fewer than the first bound. Where the graph at 70 has a fault, it is not made
    again for each size."""
    table = Tensor(np.arange(70, dtype=np.float32)).realize()
    tried: list[int] = []
    at_bound = families.AtBound

    def faulty(family, nodes, outputs, bound, *rest):
        tried.append(bound)
        if bound < 128:
            raise TypeError("a fault")
        return at_bound(family, nodes, outputs, bound, *rest)

    def totals(sizes):
        return [table[:n].cosh().sum().item() for n in sizes]

    monkeypatch.setattr(families, "AtBound", faulty)
    monkeypatch.setattr(stages, "strict", False)
    monkeypatch.setattr(stages, "_told", set())
    with pytest.warns(CompilerWarning, match="a fault") as told:
        found = totals((4, 5, 6))
    assert len(told) == 1
    assert min(tried) <= 70 < 128 == max(tried)
    count = len(tried)
    found += totals((7, 8))
    assert len(tried) == count
    wanted = [np.cosh(np.arange(n)).sum() for n in range(4, 9)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
