"""Hand-written loop IR of every kind of kernel, with its meaning in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from lazygrad.backends.c import kernel as kernel_module
from lazygrad.backends.c.dialect import OPENCL, Dialect
from lazygrad.dtypes import float16, float32, int64
from lazygrad.expr import Array, Cast, Expr, Literal, Load, Local, Op, Ramp, ReduceLanes, Var
from lazygrad.index import add, floordiv, less, mod, mul
from lazygrad.loops.ir import (
    Accumulate,
    Alloc,
    Barrier,
    Body,
    For,
    Function,
    If,
    Let,
    Stmt,
    Store,
)
from lazygrad.targets import Machine, Native, Target
from tests.loops.passes import legal

GPU = Machine(
    name="a GPU", target=Target.GPU, cores=4, vector_bytes=16, registers=64, l1_bytes=32 << 10,
    l2_bytes=256 << 10, native=Native(half=False, lanes=OPENCL.widths), group_limit=256,
    local_bytes=48 << 10,
)  # fmt: skip


def codegen(function: Function, machine: Machine = GPU, dialect: Dialect = OPENCL) -> str:
    """The text of a function, legalised."""
    return kernel_module.codegen(legal(function, machine), machine, dialect)


@dataclass(frozen=True)
class Kernel:
    """A function; `make` gives its arguments' arrays, `expected` the outputs from them."""

    function: Function
    make: Callable[[np.random.Generator], list[np.ndarray]]
    expected: Callable[..., list[np.ndarray]]
    tolerance: float = 0.0


KERNELS: dict[str, Kernel] = {}


def kernel(build: Callable[[], Kernel]) -> Callable[[], Kernel]:
    KERNELS[build.__name__] = build()
    return build


def op(name: str, *args: Expr) -> Expr:
    return Op(name, args)


def f32(value: float) -> Literal:
    return Literal(value, float32)


def nest(kind: str, variables: tuple[Var, ...], body: Body) -> For:
    """Loops over variables, the first outermost."""
    for var in reversed(variables):
        body = (For(var, var.extent, kind, body),)
    (loop,) = body
    assert isinstance(loop, For)
    return loop


def normal(*shape: int, dtype: str = "float32") -> Callable[[np.random.Generator], np.ndarray]:
    return lambda random: random.standard_normal(shape).astype(dtype)


def arrays(
    *makers: Callable[[np.random.Generator], np.ndarray],
) -> Callable[[np.random.Generator], list[np.ndarray]]:
    """What makes the arguments' arrays."""
    return lambda random: [make(random) for make in makers]


def empty(*shape: int, dtype: str = "float32") -> Callable[[np.random.Generator], np.ndarray]:
    return lambda random: np.full(shape, 7).astype(dtype)


def zeros(*shape: int, dtype: str = "float32") -> Callable[[np.random.Generator], np.ndarray]:
    return lambda random: np.zeros(shape, dtype)


@kernel
def elementwise_with_a_tail() -> Kernel:
    out, a, b = (Array(name, float32, 1000) for name in ("out", "a", "b"))
    g, t = Var("g", 4), Var("t", 256)
    i = add(mul(g, 256), t)
    inside = less(i, 1000)
    value = op(
        "max", op("add", op("mul", Load(a, i, inside), f32(2.0)), Load(b, i, inside)), f32(0)
    )
    body = nest("workgroup", (g,), (nest("workitem", (t,), (Store(out, i, value, inside),)),))
    return Kernel(
        Function("relu", (out, a, b), 1, (body,), "relu(a * 2 + b)"),
        arrays(empty(1000), normal(1000), normal(1000)),
        lambda out, a, b: [np.maximum(a * 2 + b, 0)],
    )


@kernel
def vectors_of_four() -> Kernel:
    out, a, b = (Array(name, float32, 4096) for name in ("out", "a", "b"))
    g, t = Var("g", 16), Var("t", 64)
    i = mul(add(mul(g, 64), t), 4)
    x, y = Load(a, Ramp(i, 1, 4)), Load(b, Ramp(i, 1, 4))
    value = op("sub", op("mul", op("exp", x), y), f32(1.5))
    body = nest("workgroup", (g,), (nest("workitem", (t,), (Store(out, Ramp(i, 1, 4), value),)),))
    return Kernel(
        Function("scaled_exp", (out, a, b), 1, (body,), "exp(a) * b - 1.5"),
        arrays(empty(4096), normal(4096), normal(4096)),
        lambda out, a, b: [np.exp(a) * b - 1.5],
        1e-5,
    )


@kernel
def odd_vectors_unaligned() -> Kernel:
    """7 lanes (4 + 2 + 1) from an odd start, sums of lanes, a strided and a reversed load."""
    out, total = Array("out", float32, 70), Array("total", float32, 10)
    a = Array("a", float32, 171)
    t = Var("t", 10)
    i = mul(t, 7)
    x = Load(a, Ramp(add(i, 1), 1, 7))
    strided = Load(a, Ramp(mul(t, 17), 2, 7))
    backwards = Load(a, Ramp(add(i, 6), -1, 7))
    value = op("add", op("max", x, strided), op("mul", backwards, f32(0.5)))
    named = Local("v", float32, 7)
    body = nest(
        "workitem",
        (t,),
        (
            Let(named, value),
            Store(out, i, named),
            Store(total, t, ReduceLanes("sum", named)),
        ),
    )

    def expected(out: np.ndarray, total: np.ndarray, a: np.ndarray) -> list[np.ndarray]:
        t, lane = np.arange(10)[:, None], np.arange(7)
        v = np.maximum(a[t * 7 + 1 + lane], a[t * 17 + 2 * lane]) + a[t * 7 + 6 - lane] * 0.5
        return [v.reshape(-1), v.sum(1)]

    return Kernel(
        Function("lanes", (out, total, a), 2, (body,)),
        arrays(empty(70), empty(10), normal(171)),
        expected,
        1e-5,
    )


@kernel
def row_sums_as_a_tree() -> Kernel:
    out, a = Array("out", float32, 12), Array("a", float32, 12 * 1000)
    partial, acc = Array("partial", float32, 128, "local"), Array("acc", float32, 1, "register")
    row, t, s = Var("row", 12), Var("t", 128), Var("s", 8)
    column = add(mul(s, 128), t)
    inside = less(column, 1000)
    element = Load(a, add(mul(row, 1000), column), inside)
    steps: list[Stmt] = [
        nest(
            "workitem",
            (t,),
            (
                Alloc(acc),
                Store(acc, Literal(0), f32(0.0)),
                nest("serial", (s,), (Accumulate(acc, Literal(0), "sum", element),)),
                Store(partial, t, Load(acc, Literal(0))),
            ),
        )
    ]
    half = 64
    while half:
        h = Var("t", half)
        add_half = Accumulate(partial, h, "sum", Load(partial, add(h, half)))
        steps += [Barrier(), nest("workitem", (h,), (add_half,))]
        half //= 2
    steps += [Barrier(), Store(out, row, Load(partial, Literal(0)))]
    body = nest("workgroup", (row,), (Alloc(partial), *steps))
    return Kernel(
        Function("row_sum", (out, a), 1, (body,), "sum over columns of a"),
        arrays(empty(12), normal(12, 1000)),
        lambda out, a: [a.sum(1, dtype=np.float64)],
        1e-5,
    )


def tiled_matmul(m: int, n: int, k: int, step: int, items: int, tile: int) -> Function:
    """Tiles of a and b in local memory; each item has tile x tile results in registers.

    `items` x `items` items a group, `step` of k at a time.
    """
    size = items * tile
    out, a, b = Array("out", float32, m * n), Array("a", float32, m * k), Array("b", float32, k * n)
    tile_a = Array("tile_a", float32, step * size, "local")
    tile_b = Array("tile_b", float32, step * size, "local")
    acc = Array("acc", float32, tile * tile, "register")
    gi, gj, ty, tx = Var("gi", m // size), Var("gj", n // size), Var("ty", items), Var("tx", items)
    ko, ki, e = Var("ko", k // step), Var("ki", step), Var("e", size * step)
    row, column = Var("row", step), Var("column", size)

    load_a = Store(  # tile_a[k][i], so that an item's column of a is contiguous
        tile_a,
        add(mul(mod(e, step), size), floordiv(e, step)),
        Load(a, add(mul(add(mul(gi, size), floordiv(e, step)), k), mul(ko, step), mod(e, step))),
    )
    load_b = Store(
        tile_b,
        add(mul(row, size), column),
        Load(b, add(mul(add(mul(ko, step), row), n), mul(gj, size), column)),
    )
    xs = [Local(f"a{i}", float32) for i in range(tile)]
    ys = [Local(f"b{j}", float32, 4) for j in range(tile // 4)]
    products: list[Stmt] = [
        Let(x, Load(tile_a, add(mul(ki, size), mul(ty, tile), i))) for i, x in enumerate(xs)
    ]
    products += [
        Let(y, Load(tile_b, Ramp(add(mul(ki, size), mul(tx, tile), 4 * j), 1, 4)))
        for j, y in enumerate(ys)
    ]
    products += [
        Accumulate(acc, Ramp(Literal(i * tile + 4 * j), 1, 4), "sum", op("mul", x, y))
        for i, x in enumerate(xs)
        for j, y in enumerate(ys)
    ]
    clear = [Store(acc, Ramp(Literal(4 * n), 1, 4), f32(0.0)) for n in range(tile * tile // 4)]
    place = add(mul(add(mul(gi, size), mul(ty, tile)), n), mul(gj, size), mul(tx, tile))
    write = [
        Store(
            out,
            Ramp(add(place, i * n + 4 * j), 1, 4),
            Load(acc, Ramp(Literal(i * tile + 4 * j), 1, 4)),
        )
        for i in range(tile)
        for j in range(tile // 4)
    ]
    body = nest(
        "workgroup",
        (gi, gj),
        (
            Alloc(tile_a),
            Alloc(tile_b),
            Alloc(acc),
            nest("workitem", (ty, tx), tuple(clear)),
            nest(
                "serial",
                (ko,),
                (
                    nest("workitem", (e,), (load_a,)),
                    nest("workitem", (row, column), (load_b,)),
                    Barrier(),
                    nest("workitem", (ty, tx), (nest("serial", (ki,), tuple(products)),)),
                    Barrier(),
                ),
            ),
            nest("workitem", (ty, tx), tuple(write)),
        ),
    )
    return Function(
        "matmul", (out, a, b), 1, (body,), "out[i, j] = sum over k of a[i, k] * b[k, j]"
    )


@kernel
def matmul_in_tiles() -> Kernel:
    return Kernel(
        tiled_matmul(128, 64, 32, 8, 8, 4),
        arrays(empty(128, 64), normal(128, 32), normal(32, 64)),
        lambda out, a, b: [a.astype("float64") @ b],
        1e-5,
    )


@kernel
def transpose_through_local_memory() -> Kernel:
    out, a = Array("out", float32, 50 * 70), Array("a", float32, 50 * 70)
    tile = Array("tile", float32, 16 * 17, "local")  # 17: neighbouring items in other banks
    gi, gj, ty, tx = Var("gi", 4), Var("gj", 5), Var("ty", 16), Var("tx", 16)
    i, j = add(mul(gi, 16), ty), add(mul(gj, 16), tx)
    read = Load(a, add(mul(i, 70), j), op("and", less(i, 50), less(j, 70)))
    oi, oj = add(mul(gj, 16), ty), add(mul(gi, 16), tx)
    write = Store(
        out,
        add(mul(oi, 50), oj),
        Load(tile, add(mul(tx, 17), ty)),
        op("and", less(oi, 70), less(oj, 50)),
    )
    body = nest(
        "workgroup",
        (gi, gj),
        (
            Alloc(tile),
            nest("workitem", (ty, tx), (Store(tile, add(mul(ty, 17), tx), read),)),
            Barrier(),
            nest("workitem", (ty, tx), (write,)),
        ),
    )
    return Kernel(
        Function("transpose", (out, a), 1, (body,), "a.T"),
        arrays(empty(70, 50), normal(50, 70)),
        lambda out, a: [a.T],
    )


@kernel
def gather_rows() -> Kernel:
    """out[i, j] = table[indices[i], j], 0 where the index is outside."""
    out, table = Array("out", float32, 30 * 10), Array("table", float32, 20 * 10)
    indices = Array("indices", int64, 30)
    g, t = Var("g", 5), Var("t", 64)
    n = add(mul(g, 64), t)
    inside = less(n, 300)
    row = Local("row", int64)
    valid = op("and", op("le", Literal(0), row), op("lt", row, Literal(20)))
    value = Load(table, Op("add", (Op("mul", (row, Literal(10))), mod(n, 10))), valid)
    body = nest(
        "workgroup",
        (g,),
        (
            nest(
                "workitem",
                (t,),
                (
                    If(
                        inside,
                        (Let(row, Load(indices, floordiv(n, 10))), Store(out, n, value)),
                    ),
                ),
            ),
        ),
    )
    return Kernel(
        Function("gather", (out, table, indices), 1, (body,), "table[indices]"),
        arrays(empty(30, 10), normal(20, 10), lambda random: random.integers(-3, 23, 30)),
        lambda out, table, indices: [
            np.where(((indices >= 0) & (indices < 20))[:, None], table[indices % 20], 0)
        ],
    )


@kernel
def softmax_of_rows() -> Kernel:
    """The whole row by one group; every item keeps its share of it in registers."""
    out, a = Array("out", float16, 6 * 200), Array("a", float16, 6 * 200)
    kept = Array("kept", float32, 4, "register")
    shared = Array("shared", float32, 64, "local")
    result = Array("result", float32, 1, "local")
    row, t, k = Var("row", 6), Var("t", 64), Var("k", 64)
    inside = [less(add(t, 64 * s), 200) for s in range(4)]
    places = [add(mul(row, 200), t, 64 * s) for s in range(4)]

    def combine(name: str) -> list[Stmt]:
        """result = all of shared, by one item."""
        zero = Literal(0)
        loop = nest("serial", (k,), (Accumulate(result, zero, name, Load(shared, k)),))
        first = f32(float("-inf") if name == "max" else 0.0)
        one = If(Op("eq", (t, zero)), (Store(result, zero, first), loop))
        return [Barrier(), one, Barrier()]

    outside = f32(float("-inf"))
    loads = [
        Store(
            kept,
            Literal(s),
            op("where", inside[s], Cast(Load(a, places[s], inside[s]), float32), outside),
        )
        for s in range(4)
    ]
    values = [Load(kept, Literal(s)) for s in range(4)]
    exps = [
        Store(kept, Literal(s), op("exp", op("sub", values[s], Load(result, Literal(0)))))
        for s in range(4)
    ]

    def fold(name: str) -> Expr:
        return op(name, op(name, values[0], values[1]), op(name, values[2], values[3]))

    quotients = [
        Store(
            out,
            places[s],
            Cast(op("div", values[s], Load(result, Literal(0))), float16),
            inside[s],
        )
        for s in range(4)
    ]
    item: Body = (
        Alloc(kept),
        *loads,
        Store(shared, t, fold("max")),
        *combine("max"),
        *exps,
        Store(shared, t, fold("add")),
        *combine("sum"),
        *quotients,
    )
    body = nest("workgroup", (row,), (Alloc(shared), Alloc(result), nest("workitem", (t,), item)))

    def expected(out: np.ndarray, a: np.ndarray) -> list[np.ndarray]:
        e = np.exp(a.astype("float64") - a.max(1, keepdims=True))
        return [e / e.sum(1, keepdims=True)]

    return Kernel(
        Function("softmax", (out, a), 1, (body,), "softmax of a's rows"),
        arrays(empty(6, 200, dtype="float16"), normal(6, 200, dtype="float16")),
        expected,
        1e-3,
    )


@kernel
def five_workgroup_loops() -> Kernel:
    """More loops than dimensions, and items that go round a nest of three loops."""
    shape = (2, 3, 2, 2, 3, 7, 8, 9)
    size = int(np.prod(shape))
    out, a = Array("out", float32, size), Array("a", float32, size)
    groups = tuple(Var(f"g{n}", extent) for n, extent in enumerate(shape[:5]))
    items = tuple(Var(f"t{n}", extent) for n, extent in enumerate(shape[5:]))
    index: Expr = Literal(0)
    for var in (*groups, *items):
        index = add(mul(index, var.extent), var)
    value = op("add", Load(a, index), Cast(items[1], float32))
    body = nest("workgroup", groups, (nest("workitem", items, (Store(out, index, value),)),))
    return Kernel(
        Function("deep", (out, a), 1, (body,)),
        arrays(empty(*shape), normal(*shape)),
        lambda out, a: [a + np.arange(8, dtype="float32")[:, None]],
    )


@pytest.fixture(params=list(KERNELS))
def kernel_case(request: pytest.FixtureRequest) -> Kernel:
    """Each of the hand-written kernels."""
    return KERNELS[request.param]


@pytest.fixture(scope="session")
def functions() -> dict[str, Function]:
    """The hand-written functions by their names."""
    return {kernel.function.name: kernel.function for kernel in KERNELS.values()}
