"""While one row is computed, exactly the lines of the next one are asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.dtypes import float32
from lazygrad.expr import Array, Expr, Literal, Load, Op, Ramp, Var
from lazygrad.graph.simplify import simplify
from lazygrad.index import add, mul, substitute
from lazygrad.loops.cpu.prefetch import prefetch
from lazygrad.loops.ir import Accumulate, Alloc, Body, For, Function, Prefetch, Store, statements
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower import lower
from lazygrad.schedule.fuse import fuse
from lazygrad.targets import LINE
from tests.loops.evaluate import evaluate
from tests.loops.passes import transform

ROWS = 5
Lines = set[tuple[str, int]]


def kernel(columns: int, lanes: int = 16, passes: int = 2) -> Function:
    """out[i, k] = exp(x[i, k] - the row's maximum); with one pass, exp(x[i, k])."""
    x = Array("x", float32, ROWS * columns)
    out, acc = replace(x, name="out"), Array("acc", float32, 1, "register")
    i, k, l = Var("i", ROWS), Var("k", columns), Var("l", columns // lanes)
    at = Ramp(add(mul(i, columns), mul(l, lanes)), 1, lanes)
    largest = Accumulate(acc, Literal(0), "max", Load(x, add(mul(i, columns), k)))
    rest = Op("sub", (Load(x, at), Load(acc, Literal(0))))
    body: Body = (
        Alloc(acc),
        Store(acc, Literal(0), Literal(-np.inf, float32)),
        For(k, columns, "serial", (largest,)),
        For(l, columns // lanes, "serial", (Store(out, at, Op("exp", (rest,))),)),
    )
    if passes == 1:
        body = (For(l, columns // lanes, "serial", (Store(out, at, Op("exp", (Load(x, at),))),)),)
    return Function("f", (out, x), 1, (For(i, ROWS, "serial", body),))


def asked(function: Function, row: int) -> Lines:
    """The lines that a row's loops ask for."""
    (loop,) = function.body
    assert isinstance(loop, For)
    lines: Lines = set()
    for inner in statements(loop.body):
        if isinstance(inner, For):
            for stmt in inner.body:
                if isinstance(stmt, Prefetch):
                    for n in range(inner.var.extent):
                        place = _number(stmt.index, {loop.var: row, inner.var: n})
                        lines.add((stmt.array.name, place * 4 // LINE))
    return lines


def _number(index: Expr, values: dict[Var, int]) -> int:
    found = substitute(index, {var: Literal(n) for var, n in values.items()})
    assert isinstance(found, Literal)
    return int(found.value)


def lines_of(array: str, row: int, columns: int) -> Lines:
    return {(array, n) for n in range(row * columns * 4 // LINE, (row + 1) * columns * 4 // LINE)}


@pytest.fixture
def small(cpu: Any) -> Any:
    """A machine for which these few rows are many."""
    return replace(cpu, l2_bytes=1 << 14)


@pytest.mark.parametrize("lanes", [8, 16, 64], ids="{} lanes".format)
def test_the_lines_of_the_next_row(small: Any, lanes: int) -> None:
    function = kernel(512, lanes)
    function = replace(function, body=prefetch(function.body, small))
    for row in range(ROWS):
        wanted = lines_of("x", row + 1, 512) | lines_of("out", row + 1, 512)
        assert asked(function, row) == wanted


def test_values_stay(small: Any) -> None:
    function = kernel(512)
    function = replace(function, body=prefetch(function.body, small))
    verify(function)
    x = np.random.default_rng(0).standard_normal((ROWS, 512)).astype(np.float32)
    out = np.zeros(x.size, np.float32)
    evaluate(function, {"out": out, "x": x.ravel()})
    wanted = np.exp(x - x.max(1, keepdims=True)).ravel()
    np.testing.assert_allclose(out, wanted, 1e-6)


@pytest.mark.parametrize(
    ("function", "l2_bytes"),
    [(kernel(512, passes=1), 1 << 14), (kernel(256), 1 << 13), (kernel(512), 1 << 12),
     (kernel(512), 1 << 17)],
    ids=["one pass", "short rows", "rows longer than the cache", "all in the cache"],
)  # fmt: skip
def test_left_alone(cpu: Any, function: Function, l2_bytes: int) -> None:
    assert prefetch(function.body, replace(cpu, l2_bytes=l2_bytes)) == function.body


def test_it_is_the_busiest_pass_that_asks(cpu: Any) -> None:
    """Of a softmax's passes, the exponentials."""
    node = Tensor(np.zeros((1024, 1024), np.float32)).softmax().node
    (made,) = fuse(simplify([node]), cores=1).kernels
    function = transform(lower(made, "f"), made.kinds, cpu, lambda name, loops: None)
    asking = [
        s for s in statements(function.body)
        if isinstance(s, For) and any(isinstance(x, Prefetch) for x in s.body)
    ]  # fmt: skip
    (loop,) = asking
    assert any(isinstance(s, Store) and "exp" in str(s.value) for s in loop.body)
    arrays = {s.array.name for s in loop.body if isinstance(s, Prefetch)}
    assert arrays == {"in0", "out0"}
