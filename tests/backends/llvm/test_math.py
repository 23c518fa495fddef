"""The polynomials stay within the error that lazygrad/loops/legal/functions.py states."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lazygrad.dtypes import DType, bfloat16, float16, float32, float64
from lazygrad.expr import Array, Load, Op, Ramp, Var
from lazygrad.index import mul
from lazygrad.loops.ir import For, Function, Store
from lazygrad.loops.legal import functions as module

if TYPE_CHECKING:
    from .conftest import Runner

WIDER = {float32: np.float64, float64: np.longdouble}
UNARY = ("exp", "log", "sin", "cos", "tanh", "erf")
LANES = 8


def stated(dtype: DType) -> dict[str, float]:
    """The ULP by function, from the table in the module's docstring."""
    (line,) = re.findall(rf"^ +{dtype} +(.*)", module.__doc__ or "", re.MULTILINE)
    return {op: float(text) for op, text in zip(UNARY, line.split(), strict=False)}


def unary(dtype: DType, size: int) -> Function:
    x = Array("x", dtype, size)
    i = Var("i", size // LANES)
    index = Ramp(mul(i, LANES), 1, LANES)
    outputs = tuple(Array(op, dtype, size) for op in UNARY)
    body = tuple(Store(out, index, Op(out.name, (Load(x, index),))) for out in outputs)
    loop = For(i, i.extent, "parallel", body)
    return Function(f"unary_{dtype}", (*outputs, x), len(outputs), (loop,))


def samples(dtype: DType) -> np.ndarray:
    """Numbers of every exponent, of everyday size, near multiples of pi/2, and special ones."""
    rng = np.random.default_rng(0)
    kind = dtype.numpy.type
    bits = {2: np.uint16, 4: np.uint32, 8: np.uint64}[dtype.itemsize]
    everything = rng.integers(0, np.iinfo(bits).max, 40_000, bits, endpoint=True).view(kind)
    everyday = (rng.standard_normal(30_000) * 2.0 ** rng.uniform(-8, 6, 30_000)).astype(kind)
    turns = (np.arange(1 << 13) * WIDER.get(dtype, np.float64)(math.pi) / 2).astype(kind)
    largest, tiny = np.finfo(dtype.numpy).max, np.finfo(dtype.numpy).tiny
    special = np.array([0, np.inf, np.nan, 1, largest, tiny, tiny / 2, 88.7, 709.7, 745.1, 103.9])
    special = np.concatenate([special, -special]).astype(kind)
    x = np.concatenate([everything, everyday, turns, special])
    return np.resize(x, -(-x.size // LANES) * LANES)


def erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def ulps(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """The error in units in the last place of the result's dtype; 0 for the same special value."""
    rounded = want.astype(got.dtype)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    unit = np.spacing(np.abs(np.where(np.isfinite(rounded), rounded, 1))).astype(want.dtype)
    error = np.abs(got.astype(want.dtype) - want) / unit
    return np.where(np.isfinite(error), error, np.where(same, 0, np.inf))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
def test_functions_are_as_exact_as_stated(dtype: DType, run: Runner) -> None:
    wide = WIDER[dtype]
    if np.finfo(wide).nmant <= np.finfo(dtype.numpy).nmant:
        pytest.skip("NumPy has no wider float here")
    x = samples(dtype)
    zeros = {op: np.zeros_like(x) for op in UNARY}
    got = run(unary(dtype, x.size), {"x": x, **zeros})
    for op in UNARY:
        function: Callable[..., np.ndarray] = erf if op == "erf" else getattr(np, op)
        want = function(x.astype(wide)).astype(wide)
        error = ulps(got[op], want)
        worst = int(np.argmax(error))
        # erf's reference for float64 is itself only within one unit.
        limit = stated(dtype)[op] + (1 if op == "erf" and dtype == float64 else 0)
        assert error[worst] <= limit, (op, x[worst], got[op][worst], want[worst])
        finite = np.isfinite(want)
        signs = np.signbit(got[op][finite]) == np.signbit(want[finite])
        assert signs.all(), (op, x[finite][~signs][0])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [float16, bfloat16], ids=str)
def test_16_bit_floats_are_rounded_from_float32(dtype: DType, run: Runner) -> None:
    x = np.arange(1 << 16, dtype=np.uint16).view(dtype.numpy)
    zeros = {op: np.zeros_like(x) for op in UNARY}
    got = run(unary(dtype, x.size), {"x": x, **zeros})
    for op in UNARY:
        function: Callable[..., np.ndarray] = erf if op == "erf" else getattr(np, op)
        want = function(x.astype(np.float64)).astype(np.float32).astype(dtype.numpy)
        same = (got[op] == want) | (np.isnan(got[op]) & np.isnan(want))
        # A result next to the middle of two may go either way.
        assert np.mean(same) > 0.999, op
        near = np.abs(got[op].view(np.int16).astype(int) - want.view(np.int16).astype(int)) <= 1
        assert (same | near).all(), (op, x[~(same | near)][:3])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_pow(run: Runner) -> None:
    special = [0, 1, 2, 3, 0.5, 1.5, 2.5, np.inf, np.nan, 1e30, 2.0**24, 2.0**24 + 2, 1e-40]
    special = np.array([*special, *(-x for x in special)])
    x, y = (values.ravel() for values in np.meshgrid(special, special))
    rng = np.random.default_rng(0)
    x = np.concatenate([x, 2.0 ** rng.uniform(-20, 20, 20_004)])
    y = np.concatenate([y, rng.uniform(-6, 6, 20_004)])
    size = x.size - x.size % LANES
    for dtype, limit in ((float32, 1.0), (float64, 1.0)):
        a, b, out = (Array(name, dtype, size) for name in ("a", "b", "out"))
        i = Var("i", size // LANES)
        index = Ramp(mul(i, LANES), 1, LANES)
        store = Store(out, index, Op("pow", (Load(a, index), Load(b, index))))
        function = Function("power", (out, a, b), 1, (For(i, i.extent, "parallel", (store,)),))
        given = {"a": x[:size].astype(dtype.numpy), "b": y[:size].astype(dtype.numpy)}
        got = run(function, {**given, "out": np.zeros(size, dtype.numpy)})["out"]
        wide = WIDER[dtype]
        want = np.power(given["a"].astype(wide), given["b"].astype(wide))
        error = ulps(got, want)
        worst = int(np.argmax(error))
        assert error[worst] <= limit, (given["a"][worst], given["b"][worst], got[worst])
        assert (np.signbit(got) == np.signbit(want))[np.isfinite(want)].all()
