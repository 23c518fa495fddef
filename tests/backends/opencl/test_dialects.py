"""The text of kernels in CUDA C++ and Metal, and what the CUDA compiler says of it where it is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lazygrad import dtypes
from lazygrad.backends.c.dialect import Dialect
from lazygrad.backends.c.more_dialects import CUDA, METAL
from lazygrad.dtypes import DType, bool_, float32, float64
from lazygrad.errors import CompilerError
from lazygrad.expr import OPERATIONS, Array, Cast, Load, Op, Ramp, Var
from lazygrad.index import mul
from lazygrad.loops.ir import For, Function, Store
from lazygrad.targets import Machine, Native

from .conftest import GPU, codegen

SHOWN = ("relu", "matmul", "softmax", "row_sum", "gather", "transpose", "lanes", "deep")
METAL_GPU = replace(GPU, name="a Metal device", float64=False)
CUDA_GPU = replace(GPU, native=Native(half=False, lanes=CUDA.widths))
NVCC = shutil.which("nvcc")


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize(
    ("dialect", "machine", "ending"),
    [(CUDA, CUDA_GPU, "cu"), (METAL, METAL_GPU, "metal")],
    ids=["cuda", "metal"],
)
def test_text(
    name: str,
    dialect: Dialect,
    machine: Machine,
    ending: str,
    functions: dict[str, Function],
    golden: Callable[[str, str], None],
) -> None:
    golden(f"{name}.{ending}", codegen(functions[name], machine, dialect))


def every_operation(dtype: DType, lanes: int) -> Function:
    """All operations and casts of a dtype."""
    n = 8
    i = Var("i", n)
    at = i if lanes == 1 else Ramp(mul(i, lanes), 1, lanes)
    x, y, z = (Load(Array(name, dtype, n * lanes), at) for name in "xyz")
    c = Load(Array("c", bool_, n * lanes), at)
    values = [
        Op(name, (x, y, z)[: operation.arity]) if name != "where" else Op("where", (c, x, y))
        for name, operation in OPERATIONS.items()
        if operation.accepts(dtype)
    ]
    values += [Cast(x, to) for to in dtypes.ALL if to != float64 or dtype == float64]
    outs = [Array(f"out{k}", value.dtype, n * lanes) for k, value in enumerate(values)]
    body = tuple(Store(out, at, value) for out, value in zip(outs, values, strict=True))
    arguments = (*outs, x.array, y.array, z.array, c.array)
    return Function(f"every_{dtype}", arguments, len(outs), (For(i, n, "workitem", body),))


@pytest.mark.parametrize("dtype", [d for d in dtypes.ALL if d != float64], ids=str)
def test_metal_has_text_for_every_operation(dtype: DType) -> None:
    text = codegen(every_operation(dtype, 4), METAL_GPU, METAL)
    assert "convert_" not in text
    assert "as_uint(" not in text
    assert "double" not in text


def test_a_stray_statement_is_refused() -> None:
    out = Array("out", float32, 8)
    loop = For(i := Var("i", 8), 8, "parallel", (Store(out, i, Cast(i, float32)),))
    with pytest.raises(CompilerError, match="cuda: f: a parallel loop over i is left"):
        codegen(Function("f", (out,), 1, (loop,)), CUDA_GPU, CUDA)


@pytest.mark.skipif(NVCC is None, reason="there is no nvcc")
@pytest.mark.slow
def test_nvcc_compiles_what_is_written(functions: dict[str, Function], tmp_path: Path) -> None:
    """All kernels in one file, and every operation of every dtype, for sm_90."""
    every = [*functions.values(), *(every_operation(dtype, 1) for dtype in dtypes.ALL)]
    for n, function in enumerate(every):
        text = codegen(function, CUDA_GPU, CUDA)
        path = tmp_path / f"{n}_{function.name}.cu"
        path.write_text(text)
        command = [str(NVCC), "-arch=sm_90", "-fmad=false", "-ptx", str(path), "-o", "/dev/null"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
