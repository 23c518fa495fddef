"""Loops end at sizes that are known at run time; nothing beyond them reaches a sum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import float32, int64
from lazygrad.expr import Array, Expr, Literal, Load, Op, Var
from lazygrad.graph import build
from lazygrad.graph.ir import Buffer, Less, Mul, Node, Permute, Reduce, Reshape, Where, identity
from lazygrad.graph.simplify import simplify
from lazygrad.graph.structure import Slot
from lazygrad.index import add, floordiv, less, minimum, mod, mul
from lazygrad.loops.end_loops import end_loops, in_some_lane
from lazygrad.loops.ir import (
    Accumulate,
    Alloc,
    Body,
    For,
    Function,
    If,
    Stmt,
    Store,
    show,
    statements,
)
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower import lower
from lazygrad.loops.pack import pack
from lazygrad.loops.primitives import merge
from lazygrad.loops.sums import rfactor
from lazygrad.schedule.fuse import fuse
from lazygrad.targets import Machine, Native, Target
from tests.loops.evaluate import evaluate
from tests.loops.passes import transform

I, K, J, D = Var("i", 3), Var("k", 4), Var("j", 5), Var("d", 3)
OUT, X, N = Array("out", float32, 3), Array("x", float32, 12), Array("n", int64, 1)
SIZE = Load(N, Literal(0))
ZERO = Literal(0.0, float32)


def term(index: Expr, end: Expr = SIZE) -> Accumulate:
    """out[i] += x[index] where the index is below the size."""
    inside = less(index, end)
    return Accumulate(OUT, I, "sum", Op("where", (inside, Load(X, index), ZERO)), needed=inside)


def sums(*inner: For | Accumulate) -> Body:
    return (For(I, 3, "serial", (Store(OUT, I, ZERO), *inner)),)


def values(body: Body, size: int) -> Any:
    out = np.full(3, np.nan, np.float32)
    x = np.arange(1, 13, dtype=np.float32)
    x[size:] = np.nan
    evaluate(Function("sums", (OUT, X, N), 1, body), {"out": out, "x": x, "n": np.array([size])})
    return out


UNROLLED = tuple(term(add(mul(K, 3), c)) for c in range(3))
BODIES = {
    "one term": sums(For(J, 5, "serial", (term(J),))),
    "unrolled by three": sums(For(K, 4, "serial", UNROLLED)),
    "in blocks": sums(For(K, 4, "serial", (For(D, 3, "serial", (term(add(mul(K, 3), D)),)),))),
    "an outer loop decides, too": sums(For(J, 5, "serial", (term(add(I, J)),))),
    "a term that is always needed": sums(
        For(J, 5, "serial", (term(J), Accumulate(OUT, I, "sum", Literal(1.0, float32))))
    ),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 12])
def test_sums_to_a_size(name: str, size: int) -> None:
    ended = end_loops(BODIES[name])
    np.testing.assert_array_equal(values(ended, size), values(BODIES[name], size))
    assert all(s.needed is None for s in statements(ended) if isinstance(s, Accumulate))


def test_whole_iterations_ask_nothing() -> None:
    """serial k: three terms  ->  serial k in n // 3: three terms; the rest under tests"""
    (loop,) = end_loops(sums(For(K, 4, "serial", UNROLLED)))
    assert isinstance(loop, For)
    _, whole, rest = loop.body
    assert isinstance(whole, For)
    assert isinstance(rest, For)
    assert all(isinstance(s.value, Load) for s in whole.body if isinstance(s, Accumulate))
    assert rest.var.extent == 1


@pytest.mark.parametrize("size", [0, 1, 3, 4, 12])
def test_a_sum_of_partial_sums_ends_where_their_terms_do(size: int) -> None:
    """A partial sum is needed where its first term is."""
    acc = Array("acc", float32, 1, "register")
    place = add(mul(K, 3), D)
    one = replace(term(place), array=acc, index=Literal(0))
    body = rfactor((For(K, 4, "serial", (For(D, 3, "serial", (one,)),)),), "k")
    (loop,) = body
    assert isinstance(loop, For)
    added = loop.body[-1]
    assert isinstance(added, Accumulate)
    assert added.needed is less(mul(K, 3), SIZE)
    whole = (Alloc(acc), Store(acc, Literal(0), ZERO), *body, Store(OUT, I, Load(acc, Literal(0))))
    ended = end_loops((For(I, 3, "serial", whole),))
    np.testing.assert_array_equal(values(ended, size), values(BODIES["in blocks"], size))
    loops = [s for s in statements(ended) if isinstance(s, For) and s.var.name.startswith("k")]
    assert not any(isinstance(s.extent, int) for s in loops)


@pytest.mark.parametrize("size", [0, 1, 3, 5])
def test_what_no_term_needs_is_not_packed(size: int) -> None:
    packed = pack((For(J, 5, "serial", (term(J),)),), Load(X, J), "panel")
    _, copy, _ = packed
    assert isinstance(copy, For)
    (fill,) = copy.body
    assert isinstance(fill, Store)
    assert fill.needed is less(copy.var, SIZE)
    body = end_loops((For(I, 3, "serial", (Store(OUT, I, ZERO), *packed)),))
    assert not any(s.extent == 5 for s in statements(body) if isinstance(s, For))
    np.testing.assert_array_equal(values(body, size), values(BODIES["one term"], size))


def test_what_any_term_needs_is_packed() -> None:
    always = Accumulate(OUT, I, "sum", Load(X, J))
    _, copy, _ = pack((For(J, 5, "serial", (term(J), always)),), Load(X, J), "panel")
    assert isinstance(copy, For)
    (fill,) = copy.body
    assert isinstance(fill, Store)
    assert fill.needed is None


def test_lanes_are_needed_while_their_first_is() -> None:
    lane = Var("l", 8)
    assert in_some_lane(less(add(mul(K, 8), lane), SIZE), lane) is less(mul(K, 8), SIZE)
    assert in_some_lane(less(mul(lane, -1), SIZE), lane) is None
    assert in_some_lane(less(lane, 4), lane) is None  # known without a run


# ------------------------------------------------------------------ stores

COPY = Array("out", float32, 12)
H, M, O, R, T = Var("h", 2), Var("m", 12), Var("o", 3), Var("r", 6), Var("t", 4)


def loop(var: Var, *body: Stmt, kind: str = "serial") -> For:
    return For(var, var.extent, kind, body)


def copy(index: Expr, needed: Expr | None = None) -> Store:
    """out[index] = x[index], needed below the size."""
    return Store(COPY, index, Load(X, index), needed=needed or less(index, SIZE))


STORES: dict[str, tuple[For, str]] = {
    "elements": (loop(M, copy(M)), "serial m in max(min(n[0], 12), 0):"),
    "rows": (
        loop(O, loop(K, copy(add(mul(O, 4), K)))),
        "serial o in max(min(((n[0] + 3) // 4), 3), 0):",
    ),
    "unrolled by three": (
        loop(K, *(copy(add(mul(K, 3), c)) for c in range(3))),
        "serial k in max(min(((n[0] + 2) // 3), 4), 0):",
    ),
    "merged loops": (
        loop(M, copy(M, less(floordiv(M, 3), SIZE))),
        "serial m in max(min((n[0] * 3), 12), 0):",
    ),
    "blocks": (
        loop(H, loop(R, copy(add(mul(H, 6), R), less(R, SIZE)))),
        "serial r in max(min(n[0], 6), 0):",
    ),
    "remainders": (loop(M, copy(M, less(mod(M, 6), SIZE))), "if ((m % 6) < n[0]):"),
    "overlapping tiles": (
        loop(O, *(copy(add(minimum(mul(O, 5), 7), c)) for c in range(5))),
        "if (min((o * 5), 7) < n[0]):",
    ),
    "shared by two threads": (
        loop(T, loop(D, copy(add(mul(T, 3), D))), kind="parallel"),
        "if ((((t // 2) * -9) + (t * 6)) < n[0]):",
    ),
    "a thread's own loop": (
        loop(O, loop(K, copy(add(mul(O, 4), K))), kind="parallel"),
        "serial k in max(min(((o * -4) + n[0]), 4), 0):",
    ),
}


@pytest.mark.parametrize("name", STORES)
def test_stores_to_a_size(name: str) -> None:
    """What is needed is stored, and the loop has the test or the end."""
    whole, line = STORES[name]
    ended = end_loops((whole,), cores=2)
    function = Function("copy", (COPY, X, N), 1, ended)
    verify(function, final=True)
    assert line in show(function)
    x = np.arange(12, dtype=np.float32)
    for size in (0, 1, 2, 4, 6, 7, 12):
        wanted, found = np.full((2, 12), np.nan, np.float32)
        for body, out in (((whole,), wanted), (ended, found)):  # only what is needed is stored
            evaluate(replace(function, body=body), {"out": out, "x": x, "n": np.array([size])})
        stored, needed = (~np.isnan(each) for each in (found, wanted))
        np.testing.assert_array_equal(found[needed], wanted[needed])
        assert size > 0 or not stored.any()
        assert stored.sum() - needed.sum() < 5


@pytest.mark.parametrize("size", [0, 1, 4, 6, 7, 12])
def test_a_loop_may_sum_and_store(size: int) -> None:
    """The tests of the last terms stay; the stores have none."""
    terms = [term(add(mul(K, 3), c)) for c in range(3)]
    made = Array("made", float32, 12)
    stores = [replace(copy(add(mul(K, 3), c)), array=made) for c in range(3)]
    body = (loop(I, Store(OUT, I, ZERO)), loop(I, loop(K, *terms, *stores)))
    ended = end_loops(body)
    found: list[list[Any]] = []
    for each in (body, ended):
        sums, stored = np.full(3, np.nan, np.float32), np.full(12, np.nan, np.float32)
        x = np.where(np.arange(12) < size, np.arange(12), np.nan).astype(np.float32)
        arrays = {"out": sums, "made": stored, "x": x, "n": np.array([size])}
        function = Function("both", (OUT, made, X, N), 2, each)
        verify(function, final=each is ended)
        evaluate(function, arrays)
        found.append([sums, stored[:size]])
    for wanted, got in zip(*found, strict=True):
        np.testing.assert_array_equal(got, wanted)
    tests = [s for s in statements(ended) if isinstance(s, If)]
    assert len(tests) == 3
    assert all(isinstance(s, Accumulate) for test in tests for s in test.body)


def test_a_loop_with_a_store_that_is_always_needed_goes_on() -> None:
    other = Array("other", float32, 12)
    body = (loop(M, copy(M), Store(other, M, Load(X, M))),)
    (ended,) = end_loops(body)
    assert isinstance(ended, For)
    assert ended.extent == 12


def test_a_copy_is_made_where_the_iteration_around_it_needs_it() -> None:
    """The loop around adds to what is read after it, so it goes on; the copy need not be made."""
    panel = Array("panel", float32, 4, "local")
    fill = loop(K, Store(panel, K, Load(X, add(mul(O, 4), K)), needed=less(mul(O, 4), SIZE)))
    use = Store(COPY, O, Load(panel, Literal(0)))
    (ended,) = end_loops((loop(O, Alloc(panel), fill, use),))
    assert isinstance(ended, For)
    assert ended.extent == 3
    _, test, _ = ended.body
    assert isinstance(test, If)
    assert test.condition is less(mul(O, 4), SIZE)


def test_a_loop_that_ends_is_not_merged_into_the_one_around_it() -> None:
    def merged(needed: Expr) -> list[Var]:
        return merge([H, R], (copy(add(mul(H, 6), R), needed),))[0]

    assert merged(less(R, SIZE)) == [H, R]
    assert merged(less(H, SIZE)) == [Var("h", 12)]
    assert merged(less(add(mul(H, 6), R), SIZE)) == [Var("h", 12)]


# ------------------------------------------------------------------ from graphs, to the end

MACHINE = Machine("any", Target.CPU, 2, 32, 16, 1 << 15, 1 << 20, Native())
COUNT = Buffer(Slot(1, int64, "CPU"), ())


def leaf(*shape: int) -> Node:
    return Buffer(Slot(int(np.prod(shape)), float32, "CPU"), shape)


def below(x: Node, axis: int, value: float = 0) -> Node:
    """x where its index along an axis is less than the count."""
    inside = Less(build.walk(x.shape, axis), build.broadcast_to(COUNT, x.shape))
    return Where(inside, x, build.full_like(x, value))


def matmul(a: Node, b: Node) -> Node:
    """a.T @ b, for a[k, i] and b[k, j]"""
    k, m, n = *a.shape, b.shape[1]
    left = build.broadcast_to(Reshape(Permute(a, (1, 0)), (m, 1, k)), (m, n, k))
    right = build.broadcast_to(Reshape(Permute(b, (1, 0)), (1, n, k)), (m, n, k))
    return Reduce(Mul(left, right), "sum", (2,), "all")


def reduced(op: str, axis: int) -> tuple[list[Node], Node]:
    x = leaf(40, 37)
    return [x], Reduce(below(x, axis, identity(op, float32)), op, (axis,), "all")


A, B = leaf(40, 12), leaf(40, 20)
GRAPHS: dict[str, tuple[list[Node], Node]] = {
    "product": ([A, B], matmul(below(A, 0), below(B, 0))),
    "product, one end": ([A, B], matmul(below(A, 0), B)),
    "sum of rows": reduced("sum", 0),
    "sum along rows": reduced("sum", 1),
    "max along rows": reduced("max", 1),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("size", [1, 6, 31, 37])
def test_what_lies_beyond_the_size_reaches_no_sum(name: str, size: int) -> None:
    inputs, output = GRAPHS[name]
    (kernel,) = fuse(simplify([output]), cores=2).kernels
    function = lower(kernel, "kernel", skips=True)
    made = transform(function, kernel.kinds, MACHINE)
    verify(made)
    ends = any(isinstance(s, For) and isinstance(s.extent, Expr) for s in statements(made.body))
    assert ends or name == "product, one end"
    rng = np.random.default_rng(size)
    held = {x: rng.standard_normal(x.shape).astype(np.float32) for x in inputs}
    whole = {x: held[x].astype(np.float64) for x in inputs}
    if name.startswith("product"):
        x, y = (whole[each][:size] for each in inputs)
        expected = x.T @ y
        if "one end" not in name:
            for each in inputs:
                held[each][size:] = np.nan
    else:
        (x,) = inputs
        axis = 1 if "along" in name else 0
        kept = np.take(whole[x], range(size), axis)
        expected = kept.max(axis) if "max" in name else kept.sum(axis)
        held[x].swapaxes(0, axis)[size:] = np.nan
    arrays: dict[str, Any] = {}
    for node, array in zip((*kernel.outputs, *kernel.inputs), made.arguments, strict=True):
        if node is COUNT:
            arrays[array.name] = np.array([size])
        elif node in held:
            arrays[array.name] = held[node].reshape(-1).copy()
        else:
            arrays[array.name] = np.full(array.size, np.nan, np.float32)
    evaluate(made, arrays)
    result = arrays[made.arguments[0].name].reshape(expected.shape)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
