"""The text of kernels, with no device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lazygrad.backends.c.items import launch
from lazygrad.backends.c.kernel import kernel_name
from lazygrad.dtypes import DType, bool_, float16, float32, float64, int32, int64
from lazygrad.errors import CompilerError, DTypeError
from lazygrad.expr import Array, Cast, Expr, Literal, Load, Local, Op, Ramp, Var
from lazygrad.index import add, at_least, floordiv, less, mod, mul
from lazygrad.loops.ir import (
    Accumulate,
    Alloc,
    Barrier,
    Body,
    For,
    Function,
    If,
    Let,
    Prefetch,
    Stmt,
    Store,
)
from lazygrad.targets import Machine, Native, Target

from .conftest import GPU, codegen


def store_of(value: Expr, index: Expr | None = None, extent: int = 8) -> Function:
    """out[i] = value, for an i of a serial loop."""
    i = Var("i", extent)
    out = Array("out", value.dtype, 1 << 40)
    body = (For(i, extent, "serial", (Store(out, i if index is None else index, value),)),)
    arrays = sorted(
        {e.array for e in all_parts(value) if isinstance(e, Load)}, key=lambda a: a.name
    )
    return Function("f", (out, *arrays), 1, body)


def all_parts(e: Expr) -> list[Expr]:
    return [e, *(part for x in e.operands for part in all_parts(x))]


def last_line(function: Function, machine: Machine = GPU) -> str:
    """The innermost statement of a kernel."""
    lines = [line.strip() for line in codegen(function, machine).splitlines()]
    return [line for line in lines if line.endswith(";")][-1]


def x_of(dtype: DType, index: Expr) -> Load:
    return Load(Array("x", dtype, 1 << 40), index)


I = Var("i", 8)


def test_text_of_each_kernel(kernel_case, golden: Callable[[str, str], None]) -> None:
    function = kernel_case.function
    global_size, local_size = launch(function)
    text = f"// launch: global {global_size}, local {local_size}\n{codegen(function)}"
    golden(f"{function.name}.cl", text)


def test_text_does_not_depend_on_what_was_generated_before(kernel_case) -> None:
    assert codegen(kernel_case.function) == codegen(kernel_case.function)


# --------------------------------------------------------------------------- indices


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (add(mul(I, 4), 3), "x[i * 4 + 3]"),
        (add(I, -1), "x[i - 1]"),
        (floordiv(I, 4), "x[i >> 2]"),  # shifts round down, masks are never negative
        (mod(I, 4), "x[i & 3]"),
        (floordiv(I, 3), "x[i / 3]"),
        (Op("floordiv", (add(I, -1), Literal(3))), "x[floordiv_int(i - 1, 3)]"),
        (mul(I, 1 << 30), "x[(long)i * 1073741824]"),
        (floordiv(add(mul(I, 1 << 33), 1 << 31), 1 << 32), "x[i * 2]"),
        (Op("floordiv", (add(mul(I, 1 << 33), 5), Literal(1 << 10))),
         "x[((long)i * 8589934592L + 5) >> 10]"),
    ],
)  # fmt: skip
def test_indices_are_32_bits_where_bounds_allow(index: Expr, text: str) -> None:
    assert text in last_line(store_of(x_of(float32, index)))


def test_a_named_index_keeps_its_bounds() -> None:
    out, x = Array("out", float32, 64), Array("x", float32, 64)
    row = Local("row", int64)
    body = (Let(row, mul(I, 8)), Store(out, I, Load(x, Op("add", (row, Literal(1))))))
    function = Function("f", (out, x), 1, (For(I, 8, "serial", body),))
    assert "const int row = i * 8;" in codegen(function)
    assert "out[i] = x[row + 1];" in codegen(function)


def test_int64_data_wraps_but_addresses_need_not() -> None:
    data = x_of(int64, I)
    assert last_line(store_of(Op("mul", (data, data)))) == "out[i] = (long)(tmp0 * tmp0);"
    address = Op("add", (Op("mul", (data, Literal(10))), I))
    table = Load(Array("table", float32, 80), address)
    assert last_line(store_of(table)) == "out[i] = table[x[i] * 10 + i];"


def test_negated_bounds_are_turned_round() -> None:
    row = x_of(int64, I)
    guard = Op("and", (at_least(row, 0), less(row, 5)))
    table = Load(Array("table", float32, 5), row, guard)
    assert last_line(store_of(table)) == "out[i] = -1L < x[i] && x[i] < 5 ? table[x[i]] : 0.0f;"


def test_int32_data_wraps() -> None:
    x = x_of(int32, I)
    assert (
        last_line(store_of(Op("add", (x, Literal(5, int32))))) == "out[i] = (int)((uint)x[i] + 5u);"
    )


# --------------------------------------------------------------------------- memory


@pytest.mark.parametrize(
    ("start", "text"),
    [
        (mul(I, 4), "*(__global float4 *)(out + i * 4) = *(__global const float4 *)(x + i * 4);"),
        (add(mul(I, 4), 2), "vstore4(vload4(0, x + i * 4 + 2), 0, out + i * 4 + 2);"),
    ],
)
def test_vectors_are_wide_where_aligned(start: Expr, text: str) -> None:
    at = Ramp(start, 1, 4)
    assert last_line(store_of(x_of(float32, at), at)) == text


def test_register_arrays_are_variables_where_indices_are_constant() -> None:
    acc = Array("acc", float32, 4, "register")
    out = Array("out", float32, 4)
    constant: Body = (
        Alloc(acc),
        *(Store(acc, Literal(n), Literal(0.0, float32)) for n in range(4)),
        Store(out, Literal(0), Load(acc, Literal(3))),
    )
    assert "float acc_0, acc_1, acc_2, acc_3;" in codegen(Function("f", (out,), 1, constant))
    looped = (Alloc(acc), For(I, 4, "serial", (Store(acc, Var("i", 4), Literal(0.0, float32)),)))
    assert "float acc[4];" in codegen(Function("f", (out,), 1, (looped[0],)))
    assert "float acc[4];" in codegen(
        Function("f", (out,), 1, (Alloc(acc), For(Var("i", 4), 4, "serial", looped[1].body)))
    )


def test_pointers_are_restrict() -> None:
    function = store_of(x_of(float32, I))
    assert "__global const float *restrict x" in codegen(function)


def test_half_without_arithmetic_is_computed_in_float_and_rounded() -> None:
    x = x_of(float16, I)
    function = store_of(Op("add", (x, Literal(1.0, float16))))
    assert last_line(function) == "out[i] = float16_of_float32(float32_of_float16(x[i]) + 1.0f);"
    with_arithmetic = replace(GPU, native=Native(half_arithmetic=True, lanes=(4, 2, 1)))
    assert last_line(function, with_arithmetic) == "out[i] = x[i] + (half)1.0f;"
    assert "cl_khr_fp16 : enable" in codegen(function, with_arithmetic)


def test_sums_of_products_are_fused_even_where_fma_is_slow() -> None:
    x = x_of(float32, I)
    total = Array("total", float32, 1, "register")
    body = (
        Alloc(total),
        For(I, 8, "serial", (Accumulate(total, Literal(0), "sum", Op("mul", (x, x))),)),
    )
    function = Function("f", (x.array,), 0, body)
    assert last_line(function) == "total = fma(x[i], x[i], total);"
    contracted = codegen(function, replace(GPU, target=Target.OPENCL_CPU))
    assert "total = multiply_add_float(x[i], x[i], total);" in contracted
    assert contracted.startswith("#pragma OPENCL FP_CONTRACT OFF")  # all else stays as written
    assert contracted.count("FP_CONTRACT ON") == 1


def test_bool_is_a_byte_in_memory() -> None:
    x = x_of(bool_, I)
    function = store_of(Op("not", (x,)))
    assert "__global uchar *restrict out" in codegen(function)
    assert last_line(function) == "out[i] = x[i] == 0;"


# --------------------------------------------------------------------------- guards and barriers


def test_a_guard_that_is_known_to_hold_is_not_tested_again() -> None:
    inside = less(add(I, 2), 8)
    out, x = Array("out", float32, 8), Array("x", float32, 8)
    guarded = Load(x, add(I, 2), inside)
    for stmt in (Store(out, I, guarded, inside), If(inside, (Store(out, I, guarded),))):
        function = Function("f", (out, x), 1, (For(I, 8, "serial", (stmt,)),))
        assert "out[i] = x[i + 2];" in codegen(function)
    function = Function("f", (out, x), 1, (For(I, 8, "serial", (Store(out, I, guarded),)),))
    assert "out[i] = i < 6 ? x[i + 2] : 0.0f;" in codegen(function)


def test_barriers_fence_global_memory_that_is_used_on_both_sides() -> None:
    out, x = Array("out", float32, 8), Array("x", float32, 8)
    first = For(I, 8, "workitem", (Store(out, I, Load(x, I)),))
    second = For(I, 8, "workitem", (Store(out, I, Load(out, add(mul(I, -1), 7))),))
    both = codegen(Function("f", (out, x), 1, (first, Barrier(), second)))
    assert "barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);" in both
    only_after = codegen(Function("f", (out, x), 1, (Barrier(), first)))
    assert "barrier(CLK_LOCAL_MEM_FENCE);" in only_after
    k = Var("k", 3)
    looped = codegen(Function("f", (out, x), 1, (For(k, 3, "serial", (Barrier(), second)),)))
    assert "CLK_GLOBAL_MEM_FENCE" in looped


def test_a_prefetch_is_left_to_the_driver() -> None:
    out, x = Array("out", float32, 8), Array("x", float32, 8)
    store = Store(out, I, Load(x, I))
    asking = Function("f", (out, x), 1, (For(I, 8, "serial", (Prefetch(x, I), store)),))
    assert codegen(asking) == codegen(replace(asking, body=(For(I, 8, "serial", (store,)),)))


def test_shared_memory_is_written_once_outside_workitem_loops() -> None:
    out, x = Array("out", float32, 9), Array("x", float32, 8)
    items = For(I, 8, "workitem", (Store(out, I, Load(x, I)),))
    once = Store(out, Literal(8), Literal(1.0, float32))
    text = codegen(Function("f", (out, x), 1, (items, once)))
    assert "    if (item == 0) {\n        out[8] = 1.0f;\n    }\n" in text
    alone = codegen(Function("f", (out, x), 1, (once,)))
    assert "    out[8] = 1.0f;\n" in alone
    assert "item" not in alone


# --------------------------------------------------------------------------- names


def test_names_that_c_has_taken_are_changed() -> None:
    out, half = Array("float4", float32, 8), Array("half", float32, 8)
    loop = Var("for", 8)
    function = Function(
        "kernel", (out, half), 1, (For(loop, 8, "serial", (Store(out, loop, Load(half, loop)),)),)
    )
    text = codegen(function)
    assert kernel_name(function) == "v_kernel"
    assert "void v_kernel(" in text
    assert "v_float4[v_for] = v_half[v_for];" in text


def test_a_loop_named_like_an_array_gets_a_name_of_its_own() -> None:
    out, x = Array("out", float32, 8), Array("i", float32, 8)
    function = Function("f", (out, x), 1, (For(I, 8, "serial", (Store(out, I, Load(x, I)),)),))
    assert "out[i_2] = i[i_2];" in codegen(function)


def test_parts_of_arrays_are_named_like_nothing_else() -> None:
    """acc_1 may be the second part of acc, or an array of that name: even in an inner block."""
    acc, other = Array("acc", float32, 2, "register"), Array("acc_1", float32, 1, "register")
    out, f32 = Array("out", float32, 2), Literal(0.0, float32)
    inner = (Alloc(other), Store(other, Literal(0), f32), Store(acc, Literal(1), f32))
    body = (Alloc(acc), Store(acc, Literal(0), f32), If(less(I, 4), inner))
    text = codegen(Function("f", (out,), 1, (For(I, 8, "serial", body),)))
    assert "float acc_0, acc_1;" in text
    assert "float acc_1_2;" in text


def test_the_comment_stands_above_in_ascii() -> None:
    function = Function("f", (), 0, (), "a × b\\\nsecond line")
    assert "// a ? b\n// second line\n__kernel" in codegen(function)


def test_long_chains_are_split_into_short_lines() -> None:
    value: Expr = x_of(float32, I)
    for n in range(2000):
        value = Op("add", (value, Literal(float(n), float32)))
    assert max(len(line) for line in codegen(store_of_shared(value)).splitlines()) < 120


def store_of_shared(value: Expr) -> Function:
    out = Array("out", value.dtype, 8)
    x = Array("x", float32, 1 << 40)
    return Function("f", (out, x), 1, (For(I, 8, "serial", (Store(out, I, value),)),))


def test_what_is_used_twice_is_computed_once() -> None:
    x = x_of(float32, I)
    value: Expr = Op("exp", (Op("mul", (x, Literal(0.5, float32))),))
    for _ in range(30):  # written out, this would have 2 ** 30 terms
        value = Op("mul", (value, value))
    text = codegen(store_of_shared(value))
    assert text.count("exp(") == 1
    assert len(text) < 4000


# --------------------------------------------------------------------------- launches


def loops(*kinds_and_extents: tuple[str, int], body: Body = ()) -> Body:
    out = Array("out", float32, 1 << 20)
    body = body or (Store(out, Literal(0), Literal(0.0, float32)),)
    for n, (kind, extent) in reversed(list(enumerate(kinds_and_extents))):
        body = (For(Var(f"v{n}", extent), extent, kind, body),)
    return body


def launch_of(body: Body, group_limit: int = 256) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return launch(Function("f", (Array("out", float32, 1 << 20),), 1, body), group_limit)


@pytest.mark.parametrize(
    ("kinds_and_extents", "sizes"),
    [
        ([], ((1,), (1,))),
        ([("serial", 8)], ((1,), (1,))),
        ([("workitem", 8)], ((8,), (8,))),
        ([("workgroup", 3), ("workgroup", 5), ("workitem", 8)], ((40, 3), (8, 1))),
        ([("workgroup", 3), ("workitem", 4), ("workitem", 8)], ((24, 4), (8, 4))),
        ([("workgroup", n) for n in (2, 3, 5, 7)], ((7, 5, 6), (1, 1, 1))),
        ([("workgroup", 70000), ("workgroup", 2)], ((140000,), (1,))),  # CUDA's limit in y and z
        ([("workgroup", 2), ("workitem", 1000)], ((512,), (256,))),
        ([("workitem", 2)] * 4, ((16,), (16,))),
        ([("workitem", 128), ("workitem", 1), ("workitem", 1)], ((128,), (128,))),
        ([("workgroup", 0), ("workitem", 8)], ((0,), (8,))),
    ],
)
def test_launch_sizes(
    kinds_and_extents: list[tuple[str, int]],
    sizes: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    assert launch_of(loops(*kinds_and_extents)) == sizes


def test_a_nest_that_keeps_private_arrays_makes_the_group() -> None:
    acc = Array("acc", float32, 1, "register")
    big = loops(("workitem", 200))
    small = loops(("workitem", 32), body=(Store(acc, Literal(0), Literal(0.0, float32)),))
    assert launch_of((Alloc(acc), *big, *small)) == ((32,), (32,))
    assert launch_of((*big, *loops(("workitem", 32)))) == ((200,), (200,))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            (*loops(("workgroup", 2)), *loops(("workitem", 2))),
            "a statement beside a workgroup loop",
        ),
        ((*loops(("workgroup", 2)), *loops(("workgroup", 3))), "beside a workgroup loop"),
        (loops(("unroll", 2)), "a unroll loop over v0 is left"),
        (loops(("workitem", 1000), body=(Barrier(),)), "1000 items that meet"),
        (
            (
                *loops(("workitem", 8), body=(Barrier(),)),
                *loops(("workitem", 4), body=(Barrier(),)),
            ),
            "a barrier in 4 of 8 items",
        ),
    ],
)
def test_what_cannot_be_launched_is_refused(body: tuple[Stmt, ...], message: str) -> None:
    with pytest.raises(CompilerError, match=message):
        codegen(Function("f", (Array("out", float32, 1 << 20),), 1, body))


# --------------------------------------------------------------------------- what devices lack


def test_float64_needs_the_device_to_have_it() -> None:
    function = store_of(Cast(x_of(float32, I), float64))
    assert "cl_khr_fp64 : enable" in codegen(function)
    with pytest.raises(DTypeError, match="a phone has no double precision"):
        codegen(function, replace(GPU, name="a phone", float64=False))
