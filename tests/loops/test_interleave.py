"""Pairs of stores whose elements lie between one another's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import DType, bfloat16, bool_, float32, float64, int8
from lazygrad.expr import Array, Expr, Literal, Load, Op, Ramp, Var
from lazygrad.index import add, less, mul
from lazygrad.loops.cpu.interleave import interleave
from lazygrad.loops.ir import Body, For, Function, Stmt, Store, statements
from lazygrad.loops.ir.evaluate import evaluate
from lazygrad.loops.ir.verify import verify

N = 8
I = Var("i", 3)


def arrays(dtype: DType = float32) -> tuple[Array, Array]:
    return Array("out", dtype, 8 * N), Array("x", dtype, 8 * N)


def part(out: Array, x: Array, start: int, guard: Expr | None = None, stride: int = 2) -> Store:
    """Every second element from `start` on, of sixteen."""
    base = mul(I, 2 * N)
    value = Load(x, Ramp(add(base, start * N), 1, N))
    return Store(out, Ramp(add(base, start), stride, N), value, guard)


def computed(function: Function) -> np.ndarray[Any, Any]:
    memory = {}
    for n, array in enumerate(function.arguments):
        values = (np.arange(array.size) % 100 - n).astype(array.dtype.numpy)
        memory[array.name] = values
    evaluate(function, memory)
    return memory[function.arguments[0].name]


def joined(body: list[Stmt], out: Array, x: Array) -> int:
    """How many stores are contiguous after the pass, which keeps the values."""
    loop: Body = (For(I, 3, "serial", tuple(body)),)
    before = Function("kernel", (out, x), 1, loop)
    after = Function("kernel", (out, x), 1, interleave(loop))
    verify(after)
    np.testing.assert_array_equal(computed(after), computed(before))
    stores = [s for s in statements(after.body) if isinstance(s, Store)]
    return sum(isinstance(s.index, Ramp) and s.index.stride == 1 for s in stores)


@pytest.mark.parametrize("dtype", [float32, float64, int8, bool_])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_pair(dtype: DType, order: tuple[int, int]) -> None:
    out, x = arrays(dtype)
    assert joined([part(out, x, n) for n in order], out, x) == 2


def test_a_pair_under_guards() -> None:
    out, x = arrays()
    lanes = Ramp(mul(I, 5), 1, N)
    guards = [less(lanes, 9), less(lanes, 12)]
    assert joined([part(out, x, n, guard) for n, guard in enumerate(guards)], out, x) == 2
    assert joined([part(out, x, 0, guards[0]), part(out, x, 1)], out, x) == 0


def test_what_stands_between() -> None:
    out, x = arrays()
    other = Array("other", float32, 6 * N)
    first, second = part(out, x, 0), part(out, x, 1)
    elsewhere = Store(out, Literal(5), Literal(1.0, float32))
    assert joined([first, elsewhere, second], out, x) == 0
    reads = Store(out, Literal(5), Load(out, Literal(2)))
    assert joined([first, reads, second], out, x) == 0
    value = Op("add", (Load(out, Ramp(mul(I, 2 * N), 1, N)), second.value))
    assert joined([first, Store(out, second.index, value)], out, x) == 0
    independent = Store(other, Literal(0), Load(x, Literal(3)))
    body = (For(I, 3, "serial", interleave((first, independent, second))),)
    assert sum(isinstance(s, Store) for s in statements(body)) == 3
    assert joined([first, For(Var("j", 2), 2, "serial", (elsewhere,)), second], out, x) == 0


def test_stores_that_are_no_pair() -> None:
    out, x = arrays()
    assert joined([part(out, x, 0), part(out, x, 0)], out, x) == 0
    assert joined([part(out, x, 0), part(out, x, 2)], out, x) == 0
    assert joined([part(out, x, 0, stride=3), part(out, x, 1, stride=3)], out, x) == 0
    halves = arrays(bfloat16)
    assert joined([part(*halves, 0), part(*halves, 1)], *halves) == 0


def test_what_a_guard_reads_may_change_between() -> None:
    out, x = arrays()
    state = Array("state", float32, N)
    guard = Op("lt", (Load(state, Ramp(Literal(0), 1, N)), Load(x, Ramp(Literal(0), 1, N))))
    body = (part(out, x, 0, guard), part(out, x, 1, guard))
    assert interleave(body) == body


def test_two_pairs() -> None:
    out, x = Array("out", float32, 12 * N), Array("x", float32, 12 * N)
    far = [
        Store(out, Ramp(add(mul(I, 2 * N), 6 * N + n), 2, N), Load(x, Ramp(Literal(n), 1, N)))
        for n in range(2)
    ]
    assert joined([part(out, x, 0), part(out, x, 1), *far], out, x) == 4
