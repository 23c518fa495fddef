"""The LLVM IR of small functions as text for several processors, and that LLVM takes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from lazygrad.backends.llvm import codegen as module
from lazygrad.backends.llvm.codegen import scratch_bytes
from lazygrad.backends.llvm.device import machine
from lazygrad.backends.llvm.machine_code import to_assembly
from lazygrad.backends.llvm.target import AVX2, AVX512, NEON, SSE2, Target
from lazygrad.dtypes import bool_, float16, float32, int32, int64
from lazygrad.errors import CompilerError
from lazygrad.expr import (
    Array,
    Broadcast,
    Cast,
    Expr,
    Literal,
    Load,
    Local,
    Op,
    Ramp,
    ReduceLanes,
    Var,
)
from lazygrad.index import add, mul
from lazygrad.loops.ir import Accumulate, Alloc, Body, For, Function, If, Let, Prefetch, Store
from lazygrad.loops.ir.verify import verify
from tests.loops.passes import legal

TARGETS = [SSE2, AVX2, AVX512, NEON]


def codegen(function: Function, target: Target, opt: int = 1) -> str:
    """The text of a function, legalised."""
    return module.codegen(legal(function, machine(target, 1)), target, opt)


def scaled_sum(lanes: int) -> Function:
    """out = x * s + y over 100 elements: a vector loop and a guarded rest."""
    out, x, y = (Array(name, float32, 100) for name in ("out", "x", "y"))
    s = Array("s", float32, 1)
    i = Var("i", 100 // lanes)
    scale = Local("scale", float32)

    def statement(start: Expr, guarded: bool) -> Store:
        index = Ramp(start, 1, lanes)
        guard = Op("lt", (index, Literal(100))) if guarded else None
        value = Op("add", (Op("mul", (Load(x, index, guard), scale)), Load(y, index, guard)))
        return Store(out, index, value, guard)

    body: Body = (
        For(
            i,
            i.extent,
            "parallel",
            (Let(scale, Load(s, Literal(0))), statement(mul(i, lanes), False)),
        ),
    )
    if 100 % lanes:
        rest = Var("rest", 1)
        tail = (Let(scale, Load(s, Literal(0))), statement(Literal(100 - 100 % lanes), True))
        body += (For(rest, 1, "parallel", tail),)
    return Function("scaled_sum", (out, x, y, s), 1, body, "out = x * s + y", ("lanes: the width",))


def tile(lanes: int, rows: int = 2) -> Function:
    """c += a^T b for a tile of `rows` rows and one vector: the inner loop of a contraction."""
    k = Var("k", 64)
    a, b = Array("a", float32, 64 * rows), Array("b", float32, 64 * lanes)
    c, acc = Array("c", float32, rows * lanes), Array("acc", float32, rows * lanes, "register")
    rows_at = [Ramp(Literal(row * lanes), 1, lanes) for row in range(rows)]
    zero = Broadcast(Literal(0.0, float32), lanes)
    column = Load(b, Ramp(mul(k, lanes), 1, lanes))
    products = [
        Op("mul", (Broadcast(Load(a, add(mul(k, rows), row)), lanes), column))
        for row in range(rows)
    ]
    body: Body = (
        Alloc(acc),
        *(Store(acc, at, zero) for at in rows_at),
        For(
            k,
            64,
            "serial",
            tuple(Accumulate(acc, at, "sum", p) for at, p in zip(rows_at, products, strict=True)),
        ),
        *(Store(c, at, Load(acc, at)) for at in rows_at),
    )
    return Function("tile", (c, a, b), 1, body, "a register tile")


def row_maximum(lanes: int) -> Function:
    """The largest of each row of 8 vectors, through a private array that a loop indexes."""
    i, k = Var("i", 16), Var("k", 8)
    out, x = Array("out", float32, 16), Array("x", float32, 128 * lanes)
    best = Array("best", float32, lanes, "register")
    at = Ramp(Literal(0), 1, lanes)
    row = mul(i, 8 * lanes)
    body: Body = (
        Alloc(best),
        Store(best, at, Broadcast(Literal(float("-inf"), float32), lanes)),
        For(
            k,
            8,
            "serial",
            (Accumulate(best, at, "max", Load(x, Ramp(add(row, mul(k, lanes)), 1, lanes))),),
        ),
        Store(out, i, ReduceLanes("max", Load(best, at))),
    )
    return Function("row_maximum", (out, x), 1, (For(i, 16, "parallel", body),))


FUNCTIONS = [scaled_sum, tile, row_maximum]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("make", FUNCTIONS, ids=lambda make: make.__name__)
def test_text(
    make: Callable[[int], Function], target: Target, golden: Callable[[str, str], None]
) -> None:
    function = make(target.vector_bytes // 4)
    verify(function, final=True, unrolled=True)
    golden(f"{function.name}.{target.name}.ll", codegen(function, target))


def assembly(function: Function, target: Target, opt: int = 1) -> str:
    llvm = pytest.importorskip("llvmlite.binding")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return to_assembly(codegen(function, target, opt), *target.llvm, opt)


@pytest.mark.parametrize(
    ("target", "multiply_add"),
    [(AVX2, "vfmadd231ps"), (AVX512, "vfmadd231ps"), (NEON, "fmla"), (SSE2, "mulps")],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_register_tile_stays_in_registers(target: Target, multiply_add: str) -> None:
    text = assembly(tile(target.vector_bytes // 4, rows=4), target)
    loop = next(block for block in text.split("\n.L") if multiply_add in block)
    lines = loop[: loop.index("ret")].splitlines()
    in_loop = lines[
        : next(n for n, line in enumerate(lines) if "\tj" in line or "\tb." in line) + 1
    ]
    assert sum(multiply_add in line for line in in_loop) == 4
    assert not any("sp" in line for line in in_loop), "spilled to the stack"
    width = {32: "ymm", 64: "zmm"}.get(target.vector_bytes, "")
    assert all(width in line for line in in_loop if multiply_add in line)


def everything(lanes: int) -> Function:
    """One of each statement and of the less usual accesses."""
    i, k = Var("i", 4), Var("k", 4)
    out, x = Array("out", float32, 4 * lanes), Array("x", float32, 8 * lanes)
    half, flags = Array("half", float16, 4 * lanes), Array("flags", bool_, 4 * lanes)
    places, bins = Array("places", int32, 4 * lanes), Array("bins", int64, 8)
    at, panel = Ramp(mul(i, lanes), 1, lanes), Array("panel", float32, lanes, "local")
    index = Cast(Load(places, at), int64)
    inside = Op("and", (Op("le", (Literal(0), index)), Op("lt", (index, Literal(x.size)))))
    body: Body = (
        Alloc(panel),
        Store(panel, Ramp(Literal(0), 1, lanes), Load(x, index, inside)),
        Store(out, at, Load(x, Ramp(mul(i, lanes), 2, lanes))),
        Accumulate(out, at, "prod", Op("exp", (Cast(Load(half, at), float32),)), Load(flags, at)),
        If(
            Op("lt", (i, Literal(2))),
            (For(k, i, "serial", (Accumulate(out, at, "sum", Op("sin", (Load(out, at),))),)),),
            (Accumulate(out, at, "max", Load(panel, Ramp(Literal(lanes - 1), -1, lanes))),),
        ),
        Accumulate(bins, Op("mod", (i, Literal(8))), "prod", Cast(i, int64)),
    )
    arguments = (out, bins, x, half, flags, places)
    return Function("everything", arguments, 2, (For(i, 4, "parallel", body),))


@pytest.mark.parametrize("opt", [0, 1])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_llvm_takes_everything(target: Target, opt: int) -> None:
    function = everything(target.vector_bytes // 4)
    verify(function, final=True)
    assert "everything" in assembly(function, target, opt)


def test_the_same_function_gives_the_same_text() -> None:
    assert codegen(everything(8), AVX2) == codegen(everything(8), AVX2)


def test_what_loops_do_not_change_stands_before_them() -> None:
    out, x, s = Array("out", float32, 32), Array("x", float32, 32), Array("s", float32, 4)
    i, j = Var("i", 4), Var("j", 8)
    at = add(mul(i, 8), j)
    value = Op("mul", (Load(x, at), Op("neg", (Load(s, i),))))
    inner = For(j, 8, "serial", (Store(out, at, value),))
    function = Function("rows", (out, x, s), 1, (For(i, 4, "serial", (inner,)),))
    before, _, loop = codegen(function, AVX2).partition("j.loop:")
    assert "fneg" in before
    assert "mul nsw i64 %i, 8" in before
    assert "mul nsw" not in loop.partition("j.done")[0]
    before, _, loop = codegen(function, AVX2, opt=0).partition("j.loop:")
    assert "fneg" not in before
    assert "mul nsw i64 %i, 8" in loop.partition("j.done")[0]


def test_arguments_are_said_to_be_alone() -> None:
    out, x = Array("out", float32, 8), Array("x", float32, 8)
    at = Ramp(Literal(0), 1, 8)
    body = (Store(out, at, Load(x, at)), Store(out, at, Op("neg", (Load(x, at),))))
    text = codegen(Function("twice", (out, x), 1, body), AVX2)
    assert text.count("!invariant.load") == 3  # of x, and of both pointers
    assert text.count("= load <8 x float>") == 1


def test_scratch_has_local_arrays() -> None:
    arrays = [
        Array("panel", float32, 100, "local"),
        Array("small", float32, 100, "register"),
        Array("other", float32, 100_000, "local"),
    ]
    function = Function("f", (), 0, tuple(Alloc(array) for array in arrays))
    assert scratch_bytes(function) >= 400 + 400_000
    text = codegen(function, AVX2)
    assert text.count("alloca") == 1
    assert text.count("ptr %scratch, i64") == 2
    assert scratch_bytes(replace(function, body=function.body[1:2])) == 0


@pytest.mark.parametrize("kind", ["vector", "unroll", "workgroup", "workitem"])
def test_loops_that_passes_should_have_written_out_are_refused(kind: str) -> None:
    function = Function("left", (), 0, (For(Var("i", 4), 4, kind, ()),))
    with pytest.raises(CompilerError, match=f"left: codegen: a {kind} loop over i is left"):
        codegen(function, AVX2)


def test_a_prefetch_says_whether_its_line_will_be_written() -> None:
    i = Var("i", 64)
    out, x = Array("out", float32, 64), Array("x", float32, 64)
    body = (Prefetch(x, add(i, 64)), Prefetch(out, add(i, 64)), Store(out, i, Load(x, i)))
    function = Function("f", (out, x), 1, (For(i, 64, "serial", body),))
    verify(function, final=True)
    text = codegen(function, AVX2)
    asked = re.findall(r"call void @llvm.prefetch.p0\(ptr %(\w+)\S*, i32 (\d),", text)
    assert asked == [("x", "0"), ("out", "1")]
    assert assembly(function, AVX2).count("prefetch") == 2
