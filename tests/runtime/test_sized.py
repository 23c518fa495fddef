"""Sizes that vary: programs that differ in one size share a plan, and give what they give alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, Variable, compile, config, nn, plans, stages
from lazygrad.errors import CompilerError, CompilerWarning, DeviceError
from lazygrad.expr import Expr
from lazygrad.graph.ir import Within, topological
from lazygrad.loops.ir import For, statements
from lazygrad.runtime.device import Device
from lazygrad.runtime.room import merged
from lazygrad.runtime.sized import OFTEN, SMALLEST_BOUND, SizedPlan, bound_of

from .programs import Random, flat, normal

SIZES = (7, 8, 13, SMALLEST_BOUND - 1, SMALLEST_BOUND, SMALLEST_BOUND + 1, 200)

Program = Callable[[int, Random], Tensor]
PROGRAMS: dict[str, Program] = {}


def program(function: Program) -> Program:
    """A program of a size; Tensor.randn and the like draw the same in each run."""
    PROGRAMS[function.__name__] = function
    return function


WEIGHT = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)


@program
def linear(n, r):
    return (normal(r, n, 6) @ Tensor(WEIGHT)).relu()


@program
def sums(n, r):
    x = normal(r, n, 6)
    return flat(x.sum(), x.sum(0), x.sum(1), x.mean(0), x.max(0)[0], x.min(), x.prod(0))


@program
def statistics(n, r):
    x = normal(r, n, 6)
    return flat(x.var(0), x.std(), x.softmax(0), x.logsumexp(0), x.argmax(0), x.argmin(0))


@program
def products(n, r):
    x, y = normal(r, n, 6), normal(r, 6, n)
    return flat(x @ y, y @ x, x.T @ x)


@program
def movement(n, r):
    x = normal(r, n, 6)
    return flat(x.T, x[1:], x[:-2], x[-1], x[::2], x.flip(0), x.roll(1, 0), x.repeat(2, 1))


@program
def padding(n, r):
    x = normal(r, n, 6)
    return flat(x.pad((1, 1, 2, 3)), x.cat(normal(r, 3, 6)), normal(r, 3, 6).cat(x), x.tril())


@program
def rows_joined_with_repeated_ones(n, r):
    x = normal(r, n, 64)
    return x.repeat(2, 1).cat(x.tanh())


@program
def windows(n, r):
    x = normal(r, 2, 3, n)
    return flat(x.conv1d(normal(r, 4, 3, 3), padding=1), x[0, 0].unfold(0, 3, 1))


@program
def windows_apart(n, r):
    x = normal(r, 2, 3, n + 8)
    x = x.conv1d(normal(r, 4, 3, 3), stride=2, padding=1).relu()
    return flat(x.max_pool1d(2), x.avg_pool1d(3, 2), x[:, :, 1::3], x.conv1d(normal(r, 2, 4, 2)))


@program
def gradients_of_windows_apart(n, r):
    weights = normal(r, 4, 3, 4), normal(r, 2, 4, 3)
    x = normal(r, 2, 3, n + 9)
    for weight in weights:
        weight.requires_grad = True
        x = x.conv1d(weight, stride=2).relu()
    x.square().mean().backward()
    return flat(*(weight.grad for weight in weights))


@program
def scans_and_sorts(n, r):
    x = normal(r, n, 6)
    values, places = x.sort(0)
    return flat(x.cumsum(0), values, places, x.sort(0, descending=True)[0], x.topk(3, 0)[0])


@program
def orders(n, r):
    """Keys of 64 bits, and equal ones; of few elements places are counted."""
    x = Tensor(r.integers(0, 20, (5, n)))
    parts = (
        x.argsort(-1, stable=True),
        x.argsort(-1, descending=True, stable=True),
        x.double().sort(-1)[0],
        x.T.sort(0, descending=True, stable=True)[1],
        x.sort(0, stable=True)[1],
        x.topk(3, -1)[0],
    )
    return flat(*(part.float() * 2 for part in parts))


@program
def indices(n, r):
    x = normal(r, n, 6)
    rows = Tensor(r.integers(0, 4, (5, 6)))
    into = Tensor(r.integers(0, 9, (n, 6)))
    return flat(x.gather(0, rows), Tensor.zeros(9, 6).scatter_add(0, into, x))


@program
def counting(n, r):
    return flat(
        Tensor.arange(n), Tensor.ones(n, n).triu(1), Tensor.linspace(0, 1, n), Tensor.eye(n)
    )


@program
def embedding(n, r):
    return Tensor(WEIGHT)[Tensor(r.integers(0, 6, (1, n)))].sum(1)


@program
def attention(n, r):
    q, k, v = (normal(r, 2, 3, n, 8) for _ in range(3))
    return q.scaled_dot_product_attention(k, v, is_causal=True)


@program
def one_query(n, r):
    q, k, v = normal(r, 2, 3, 1, 8), normal(r, 2, 3, n, 8), normal(r, 2, 3, n, 8)
    return q.scaled_dot_product_attention(k, v)


@program
def training_step(n, r):
    w = Tensor(WEIGHT.copy(), requires_grad=True)
    x = normal(r, n, 6)
    x.requires_grad = True
    loss = (x @ w).cross_entropy(Tensor(r.integers(0, 5, (n,))))
    loss.backward()
    return flat(loss, w.grad, x.grad)


@program
def put_into_rows(n, r):
    x, rows = normal(r, n, 6), Tensor(r.integers(0, n, (4,)))
    columns = Tensor(r.integers(0, 6, (n, 2)))
    added = x.scatter_add(1, columns, normal(r, n, 2))
    return flat(
        added, x.scatter(0, rows.reshape(4, 1), normal(r, 4, 1)), x.index_add(0, rows, x[:4])
    )


@program
def normalized_images(n, r):
    x = normal(r, n, 2, 6, 6)
    x = x.conv2d(Tensor(WEIGHT.reshape(-1)[:18].reshape(1, 2, 3, 3)))
    return ((x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)).max_pool2d(2)


@program
def gradients_of_halves_of_images(n, r):
    """The rows are in two blocks, whose places are computed: so is the padding's place."""
    weight = normal(r, 8, 3, 3, 3)
    weight.requires_grad = True
    x = normal(r, 2, 3, 2 * n, 8).conv2d(weight, padding=1).relu()
    nn.functional.adaptive_avg_pool2d(x, 2).square().sum().backward()
    return weight.grad


@program
def half(n, r):
    x = normal(r, n, 6).half()
    return flat(x.sum(0), (x @ Tensor(WEIGHT).half()).softmax(-1))


@program
def integers(n, r):
    x = Tensor(r.integers(-9, 9, (n, 6)))
    return flat(x.sum(0), x.max(0)[0], (x > 0).all(0), (x > 3).any(0), (x % 3 == n % 3).sum())


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_varying_size_give_what_each_size_gives_alone(name):
    for n in SIZES:
        expected = run(name, n, SIZES=0)
        np.testing.assert_allclose(run(name, n, SIZES=1), expected, rtol=1e-4, atol=2e-5)


def run(name: str, n: int, **settings: int) -> np.ndarray:
    with config.override(**settings):
        lazygrad.manual_seed(n)
        return PROGRAMS[name](n, np.random.default_rng(n)).numpy()


def test_a_place_that_varies_compiles_twice(compiled):
    x = Tensor(np.arange(600, dtype=np.float32).reshape(200, 3)).realize()
    for start in range(3, 90, 7):
        total = (x[start : start + 5] * 2).sum(0).numpy()
        assert np.array_equal(total, 2 * x.numpy()[start : start + 5].sum(0))
    assert len(compiled) <= 2


@pytest.mark.parametrize("captured", [False, True])
def test_lengths_to_512_compile_four_times_at_most(compiled, captured):
    def score(x):
        return (x @ x.T).softmax(-1) @ x

    if captured:
        score = lazygrad.jit(score)
    for n in range(8, 513, 7):
        score(Tensor(np.ones((n, 16), np.float32)).realize()).realize()
    assert len(compiled) <= 5  # one size, any up to 128, any up to 200


def test_a_size_that_comes_often_has_code_of_its_own(compiled):
    def step(n):
        out = Tensor(np.ones((n, 3), np.float32)) * 2 + 1
        return out.realize()

    step(5), step(6)
    assert len(compiled) == 2
    for _ in range(OFTEN):
        assert step(6).numpy().tolist() == [[3.0] * 3] * 6
    assert len(compiled) == 3


def test_a_size_and_a_constant_that_vary_together_compile_twice(compiled):
    r = np.random.default_rng(0)
    for step in range(60):
        x, c = normal(r, int(r.integers(17, 33)), 8).realize(), 1.37 * 0.9**step
        wanted = np.tanh(x.numpy() * np.float32(c) + np.float32(0.25)).sum(0)
        np.testing.assert_allclose(((x * c + 0.25).tanh().sum(0)).numpy(), wanted, atol=1e-4)
    assert len(compiled) == 2


def test_a_constant_that_stays_while_sizes_vary_and_then_varies(compiled):
    for c in (0.3, 0.4, 0.6, 0.3, 0.4):
        for n in (4, 5, 6):
            assert (Tensor([1.0] * n) * c).tolist() == [np.float32(c)] * n
    assert len(compiled) == 3  # one size, any size, any size and constant


def test_plans_for_one_size_each_push_no_other_out(compiled, monkeypatch):
    monkeypatch.setattr(plans, "MAX_PLANS", 8)
    for n in range(2, 40):
        (Tensor(np.ones((3, n), np.float32)) + 1).realize()
        (Tensor([[1.0, 2.0]]) @ Tensor([[3.0], [4.0]])).realize()
    assert len(compiled) == 3


def test_a_captured_function_whose_size_comes_often_is_captured_for_it(compiled):
    @lazygrad.jit
    def step(x):
        return x * 2 + 1

    for n in (5, 6, *[7] * (2 * OFTEN)):
        assert (
            step(Tensor(np.full((n, 3), n, np.float32))).numpy().tolist() == [[2 * n + 1] * 3] * n
        )
    assert len(compiled) == 3
    (replay,) = [r[0] for k, r in step._replays.items() if "(7, 3)" in str(k)]
    assert not isinstance(replay.plan, SizedPlan)


def test_a_python_branch_on_the_size_is_seen():
    @lazygrad.jit
    def step(x):
        return x + 1 if len(x) > 9 else x * len(x)

    for n in range(6, 13):
        out = step(Tensor(np.ones((n, 2), np.float32))).numpy()
        assert (out == (2 if n > 9 else n)).all()


def test_an_index_out_of_range_raises_whatever_the_size():
    table = Tensor(WEIGHT)
    for n in (5, 6, 7):
        good = np.zeros(n, np.int64)
        assert table[Tensor(good)].numpy().shape == (n, 5)
        bad = good.copy()
        bad[-1] = 6
        with pytest.raises(IndexError, match="6"):
            table[Tensor(bad)].numpy()


def test_undefined_elements_never_reach_a_result():
    """What lies beyond the size is nan here: memory of the bound's size held a tensor of nan."""
    for n in (40, 41, 42):
        nans = [Tensor(np.full(SMALLEST_BOUND, np.nan, np.float32)).exp() for _ in range(8)]
        Tensor.realize(*nans)
        del nans
        x = Tensor(np.ones(n, np.float32)).exp()
        out = flat(x.sum(), x.max(), (x * 2).mean(), x.softmax(0).sum(), x @ x)
        assert np.isfinite(out.numpy()).all()


def test_all_loops_of_a_masked_softmax_end_at_the_size(compiled, monkeypatch):
    device = Device.get(Device.DEFAULT)
    monkeypatch.setattr(type(device), "cached", lambda *_: False)  # which would need no loops

    def weights(n):
        scores = Tensor(np.zeros((2, n, n), np.float32)).realize()
        return scores.masked_fill(Tensor.ones(n, n).tril() == 0, -np.inf).softmax(-1)

    inner = loops_at_a_bound(weights)
    assert inner
    assert all(isinstance(loop.extent, Expr) for loop in inner)


@pytest.mark.parametrize("operation", [Tensor.argsort, Tensor.cumsum])
def test_loops_of_sorts_and_scans_end_at_the_size(compiled, monkeypatch, operation):
    device = Device.get(Device.DEFAULT)
    monkeypatch.setattr(type(device), "cached", lambda *_: False)

    def program(n):
        return operation(Tensor(np.zeros((40, n), np.float32)).realize(), 1) * 2

    extents = [loop.extent for loop in loops_at_a_bound(program)]
    assert any(isinstance(extent, Expr) for extent in extents)
    assert SMALLEST_BOUND not in extents


def loops_at_a_bound(program: Callable[[int], Tensor]) -> list[For]:
    """The loops inside of others in a plan for sizes of 20 and 21."""
    program(20).realize()
    plan, _ = compile.plan_for([program(21).node])
    return [
        loop
        for run in plan.programs()
        for launch in run.launches
        for outer in launch.loops.body
        for loop in statements(outer.body)
        if isinstance(loop, For)
    ]


def test_a_fault_at_the_bound_leads_to_a_plan_for_the_size(monkeypatch):
    whole = compile.compile_graph

    def faulty(outputs, *rest):
        if any(isinstance(node, Within) for node in topological(outputs)):
            raise CompilerError("a fault")
        return whole(outputs, *rest)

    monkeypatch.setattr(compile, "compile_graph", faulty)
    monkeypatch.setattr(plans.saved, "load", lambda key: None)
    monkeypatch.setattr(stages, "strict", False)
    monkeypatch.setattr(stages, "_told", set())
    ones = [np.ones((n, 11), np.float32) for n in (4, 5, 6)]
    Tensor(ones[0]).cosh().realize()
    with pytest.warns(CompilerWarning, match="a fault"):
        Tensor(ones[1]).cosh().realize()
    for x in ones:
        np.testing.assert_allclose(Tensor(x).cosh().numpy(), np.cosh(x), rtol=1e-6)
    monkeypatch.setattr(stages, "strict", True)
    Tensor(ones[0]).sinh().realize()
    with pytest.raises(CompilerError, match="a fault"):
        Tensor(ones[1]).sinh().realize()


def test_a_recurrent_state_and_a_cache_that_grows():
    r = np.random.default_rng(0)
    cache, expected = Tensor.zeros(2, 1, 4), np.zeros((2, 1, 4), np.float32)
    for _ in range(12):
        new = r.standard_normal((2, 1, 4)).astype(np.float32)
        cache = cache.cat(Tensor(new), dim=1).realize()
        expected = np.concatenate([expected, new], 1)
        mean = cache.mean(1).numpy()
        np.testing.assert_allclose(mean, expected.mean(1), rtol=1e-5, atol=1e-6)
    assert np.array_equal(cache.numpy(), expected)


def test_a_model_trains_on_batches_of_any_length():
    def train(sizes: int) -> list[float]:
        with config.override(SIZES=sizes):
            lazygrad.manual_seed(0)
            model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
            optimizer = nn.optim.Adam(model.parameters(), lr=1e-2)
            losses, r = [], np.random.default_rng(0)
            for n in (17, 20, 31, 64, 18, 40):
                optimizer.zero_grad()
                loss = model(normal(r, n, 4)).cross_entropy(Tensor(r.integers(0, 3, n)))
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        return losses

    np.testing.assert_allclose(train(1), train(0), rtol=1e-5)


def test_a_policy_gradient_with_episodes_of_any_length_compiles_twice(compiled):
    r = np.random.default_rng(0)
    w = Tensor(WEIGHT.copy(), requires_grad=True)
    for n in (17, 20, 31, 64, 18, 40, 99):
        x, actions = normal(r, n, 6).realize(), r.integers(0, 5, (n, 1))
        returns = r.standard_normal(n, dtype=np.float32)
        w.grad = None
        chosen = (x @ w).log_softmax(-1).gather(1, Tensor(actions)).squeeze(1)
        loss = -(chosen * Tensor(returns)).mean()
        loss.backward()
        p = np.exp(x.numpy() @ WEIGHT)
        p /= p.sum(1, keepdims=True)
        slope = (p - np.eye(5)[actions[:, 0]]) * returns[:, None] / n
        np.testing.assert_allclose(w.grad.numpy(), x.numpy().T @ slope, atol=1e-5)
    assert len(compiled) == 2


def test_bounds_and_boxes():
    assert [bound_of(n) for n in (1, SMALLEST_BOUND, SMALLEST_BOUND + 1)] == [
        SMALLEST_BOUND,
        SMALLEST_BOUND,
        2 * SMALLEST_BOUND,
    ]
    assert merged((2, 3, 37, 4), (2, 3, 64, 4)) == [(6, 6), (148, 256)]
    assert merged((37, 4), (64, 4)) == [(148, 256)]
    assert merged((5, 5), (8, 8)) == [(5, 8), (5, 8)]


def test_a_variable_is_an_integer_within_bounds():
    n = Variable("n", 2, 50)
    x = np.arange(150, dtype=np.float32).reshape(50, 3)
    for value in (2, 3, 50):
        bound = n.bind(value)
        part = Tensor(x)[:bound]
        assert part.shape == (value, 3)
        assert Tensor.zeros(bound, 3).shape == (value, 3)
        np.testing.assert_allclose(
            (part + Tensor.ones(bound, 3)).sum(0).numpy(), (x[:value] + 1).sum(0)
        )
        assert part.reshape(3, bound).shape == (3, value)
        assert bound.unbind() == (n, value)
        assert bound.val + 1 == value + 1
    for value in (1, 51):
        with pytest.raises(ValueError, match=r"n: .* is outside 2 to 50"):
            n.bind(value)
    with pytest.raises(ValueError, match="no bounds"):
        Variable("n", 5, 4)
    with pytest.raises(IndexError, match="n has no value"):
        Tensor(x)[:n]
    with pytest.raises(TypeError, match="n has no value"):
        Tensor.zeros(n)


def test_a_start_that_varies_compiles_twice(compiled):
    x = Tensor(np.arange(600, dtype=np.float32).reshape(200, 3)).realize()
    n = Variable("n", 1, 128)
    for value in range(2, 40):
        total = (x[: n.bind(value)] * 2).sum(0).numpy()
        assert np.array_equal(total, 2 * x.numpy()[:value].sum(0))
    assert len(compiled) <= 3


def test_two_sizes_that_vary_independently_are_not_taken_for_one(compiled):
    r = np.random.default_rng(0)
    w = Tensor(WEIGHT).realize()

    def step(batch, length):
        x = normal(r, batch, length, 6).realize()
        wanted = np.maximum(x.numpy() @ WEIGHT, 0).mean(1)
        np.testing.assert_allclose((x @ w).relu().mean(1).numpy(), wanted, atol=1e-5)

    step(7, 20), step(6, 13)
    families = [each for form in plans._sizes._forms.values() for each in form.families]
    assert not any(plan for each in families for plan in each.plans.values())
    for length in (13, 14, 15, 99):  # one of them alone
        step(6, length)
    assert len(compiled) == 3


@pytest.mark.parametrize(("more", "count"), [(0, 2), (1, 3)])
def test_two_inputs_vary_together(compiled, more, count):
    """Two sizes tell it where one input is a multiple of the other, else a third."""
    for n in range(4, 20):
        x, y = Tensor(np.ones(n, np.float32)), Tensor(np.ones(2 * n + more, np.float32))
        total = (x.exp().sum() + (y * 2).sum()).item()
        assert total == pytest.approx(n * (np.e + 4) + 2 * more, rel=1e-5)
    assert len(compiled) == count


def test_what_keeps_a_size_is_told(capsys):
    with config.override(DEBUG=1):
        for n in (4, 5):
            Tensor.cat(*(Tensor(np.ones(n, np.float32)) * k for k in range(9))).realize()
    assert "each size is compiled by itself: more than a few tensors" in capsys.readouterr().err


@pytest.mark.parametrize("sizes", [(4, 5, 6), (100, 130), (127, 128, 129)])
def test_what_once_went_wrong(sizes):
    whole = Tensor(np.arange(600, dtype=np.float32)).realize()
    for n in sizes:
        x = np.arange(n, dtype=np.float32)
        assert Tensor(x).argsort(descending=True).tolist() == list(range(n))[::-1]
        assert (whole[:n].sum() + whole[n:].sum()).item() == 179700
        row = np.arange(n * (n + 1), dtype=np.float32).reshape(n, n + 1)
        assert np.array_equal((Tensor(row) * 2).numpy(), row * 2)
        into = Tensor.zeros(256).scatter_add(0, Tensor(np.full(n, 7, np.uint8)), Tensor(x + 1))
        assert into.nonzero().tolist() == [[7]]
        assert Tensor(x).gather(0, Tensor(np.array([3], np.int8))).tolist() == [3]
        parts = Tensor.cat(*[Tensor([float(k)]) for k in range(9)], Tensor(x))
        assert parts.tolist() == [*range(9), *x]


@pytest.mark.parametrize(
    ("batch", "width", "columns"), [(3, 64, 7), (3, 8, 3), (3, 5, 24), (5, 4, 4)]
)
def test_tiles_that_reach_from_one_batch_into_the_next(batch, width, columns):
    r = np.random.default_rng(0)
    w = r.standard_normal((width, columns)).astype(np.float32)
    for n in (5, 9, 7, 12, 60, 127):
        x = r.standard_normal((batch, n, width)).astype(np.float32)
        np.testing.assert_allclose((Tensor(x) @ Tensor(w)).numpy(), x @ w, rtol=1e-4, atol=1e-4)
        transposed = (Tensor(x) @ Tensor(w)).transpose(1, 2).exp().numpy()
        np.testing.assert_allclose(transposed, np.exp(x @ w).transpose(0, 2, 1), rtol=1e-3)


def test_copies_to_another_device():
    for n in (4, 5, 6):
        try:
            copy = Tensor(np.ones((n, 3), np.float32)).to("GPU")
            assert copy.numpy().tolist() == [[1] * 3] * n
        except DeviceError:
            pytest.skip("no OpenCL device")


def test_empty_tensors_have_no_family():
    for shape in ((0, 3), (2, 0), (5, 3), (0, 1), (1, 0)):
        out = Tensor(np.ones(shape, np.float32)).tanh()
        assert out.numpy().shape == shape


@pytest.mark.parametrize("rows", [40, 100, 200])
def test_a_buffer_that_is_smaller_than_the_bound_is_one_itself(compiled, rows):
    keys = Tensor(np.zeros((rows, 4), np.float32)).realize()
    query = Tensor(np.ones((1, 4), np.float32)).realize()
    for n in range(1, rows + 1):
        keys[n - 1 : n] = query * n
        found = ((query @ keys[:n].T).softmax(-1) @ keys[:n]).numpy()
        values = np.arange(1.0, n + 1)
        shares = np.exp(4 * (values - n))
        np.testing.assert_allclose(found, [[(values * shares).sum() / shares.sum()] * 4], rtol=1e-5)
    assert len(compiled) <= 5  # one size, any up to 128, any up to 200
