"""Elementwise functions, forward and backward, at ordinary and at extreme values."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lazygrad import Tensor

SAME = [
    "abs", "neg", "exp", "exp2", "expm1", "sigmoid", "tanh", "sin", "cos", "erf", "erfc", "square",
    "floor", "ceil", "trunc", "round", "frac", "sign", "relu", "sinh", "cosh", "asinh", "atan",
    "tan",
]  # fmt: skip
POSITIVE = ["log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal"]
ACTIVATIONS = {
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "celu": F.celu,
    "selu": F.selu,
    "silu": F.silu,
    "mish": F.mish,
    "gelu": F.gelu,
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "softshrink": F.softshrink,
    "logsigmoid": F.logsigmoid,
}
MODERATE = np.concatenate([np.linspace(-6, 6, 61), [1e-7, -1e-7, 1e-4, 0.3, 2.5, -0.5, 1.5]])
EXTREME = np.array([-200.0, -104.0, -90.0, -30.0, -15.0, 15.0, 30.0, 80.0, 88.0, 200.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SAME)
def test_functions_agree(agree: Any, name: str, dtype: Any) -> None:
    tolerance = 2e-5 if dtype == np.float32 else 1e-10
    agree(lambda x: getattr(x, name)(), None, MODERATE.astype(dtype), rtol=tolerance)


@pytest.mark.parametrize("name", POSITIVE)
def test_functions_of_positive_numbers_agree(agree: Any, name: str) -> None:
    values = np.abs(MODERATE).astype(np.float32)
    agree(lambda x: getattr(x, name)(), None, values[values > 0])


@pytest.mark.parametrize("name", ["asin", "acos", "atanh"])
def test_functions_of_the_unit_interval_agree(agree: Any, name: str) -> None:
    values = np.concatenate([np.linspace(-0.99, 0.99, 41), [1e-6, 0.9999]]).astype(np.float32)
    agree(lambda x: getattr(x, name)(), None, values, rtol=1e-4)


def test_acosh_agrees(agree: Any) -> None:
    agree(lambda x: x.acosh(), None, np.array([1.001, 1.5, 3.0, 1e3, 1e8, 1e15], np.float32))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_agree(agree: Any, name: str) -> None:
    theirs = ACTIVATIONS[name]
    agree(lambda x: getattr(x, name)(), theirs, MODERATE.astype(np.float32))


@pytest.mark.parametrize(
    "name", ["sigmoid", "tanh", "softplus", "logsigmoid", "silu", "elu", "expm1", "gelu", "mish"]
)
def test_extremes_overflow_neither_value_nor_gradient(name: str) -> None:
    x = Tensor(EXTREME.astype(np.float32), requires_grad=True)
    ours = getattr(x, name)()
    ours.sum().backward()
    exact = torch.tensor(EXTREME, requires_grad=True)  # float64: PyTorch's float32 loses digits
    theirs = ACTIVATIONS[name](exact) if name in ACTIVATIONS else getattr(exact, name)()
    theirs.sum().backward()
    assert exact.grad is not None
    for value, expected in ((ours, theirs.detach()), (x.grad, exact.grad)):
        with np.errstate(over="ignore"):
            rounded = expected.numpy().astype(np.float32)
        np.testing.assert_allclose(value.numpy(), rounded, rtol=2e-5, atol=1e-12)


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sigmoid", "tanh", "erf", "relu", "abs"])
def test_special_values_agree(agree: Any, name: str) -> None:
    values = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45], np.float32)
    agree(lambda x: getattr(x, name)(), None, values, grad=False)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "gelu", "softplus", "silu"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(name: str, dtype: Any) -> None:
    x = torch.linspace(0.1, 4, 40).to(dtype)
    function = getattr(F, name) if name in ("gelu", "softplus", "silu") else getattr(torch, name)
    expected = function(x.float()).to(dtype).float().numpy()
    short = str(dtype).removeprefix("torch.")
    ours = getattr(Tensor(x.float().numpy()).cast(short), name)()
    assert str(ours.dtype) == short
    step = 2.0**-10 if dtype == torch.float16 else 2.0**-7
    np.testing.assert_allclose(ours.float().numpy(), expected, rtol=step, atol=1e-4)


def test_gelu_by_tanh_agrees(agree: Any) -> None:
    agree(
        lambda x: x.gelu("tanh"),
        lambda x: F.gelu(x, approximate="tanh"),
        MODERATE.astype(np.float32),
        atol=1e-5,
    )


def test_softplus_with_beta_and_threshold_agrees(agree: Any) -> None:
    agree(
        lambda x: x.softplus(2.0, 5.0),
        lambda x: F.softplus(x, 2.0, 5.0),
        MODERATE.astype(np.float32),
    )


@pytest.mark.parametrize(
    "op",
    ["add", "sub", "mul", "truediv", "pow", "floordiv", "mod", "lt", "le", "gt", "ge", "eq", "ne"],
)
def test_binary_operators_agree(agree: Any, rng: np.random.Generator, op: str) -> None:
    function = getattr(operator, op)
    x = (np.abs(rng.standard_normal((3, 1, 4))) + 0.1).astype(np.float32)
    y = rng.standard_normal((5, 1)).astype(np.float32)
    agree(function, None, x, y, grad=op not in ("floordiv", "mod"))


@pytest.mark.parametrize("name", ["maximum", "minimum", "fmod", "atan2", "copysign", "logaddexp"])
def test_binary_functions_agree(agree: Any, rng: np.random.Generator, name: str) -> None:
    x, y = rng.standard_normal((2, 7, 5)).astype(np.float32)
    agree(lambda a, b: getattr(a, name)(b), None, x, y, grad=name != "fmod")


def test_ties_share_the_gradient_as_in_pytorch(agree: Any) -> None:
    x = np.array([1.0, 2.0, 3.0, 0.0], np.float32)
    agree(lambda a, b: a.maximum(b), None, x, np.array([1.0, 3.0, 2.0, 0.0], np.float32))
    agree(lambda a: a.relu(), None, np.array([0.0, -1.0, 1.0], np.float32))
    agree(lambda a: a.clamp(0, 1), None, np.array([0.0, 1.0, 0.5, 2.0, -2.0], np.float32))
    agree(lambda a: a.abs(), None, np.array([0.0, 1.0, -1.0], np.float32))
    agree(lambda a, b: a.logaddexp(b), None, x, np.array([1.0, 3.0, 3.0, 0.0], np.float32))
    agree(lambda a: a.logcumsumexp(0), None, np.zeros(5, np.float32))


@pytest.mark.parametrize("name", ["atan", "asin", "acos"])
def test_inverses_are_exact_in_float64(agree: Any, name: str) -> None:
    agree(lambda x: getattr(x, name)(), None, np.linspace(-0.99, 0.99, 23), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(("dtype", "end", "rtol"), [("float32", 8.5, 1e-5), ("float64", 26, 1e-12)])
def test_erfc_keeps_its_digits(agree: Any, dtype: str, end: float, rtol: float) -> None:
    x = np.concatenate([np.linspace(-6, end, 101), [0, 1, -1, 8, 60, np.inf, -np.inf, np.nan]])
    agree(lambda x: x.erfc(), torch.special.erfc, x.astype(dtype), rtol=rtol, atol=0)


def test_atan2_is_exact_in_float64(agree: Any) -> None:
    y, x = np.array([1e-3, -2.0, 3.0, 0.5]), np.array([-1.0, -0.5, 0.25, 2.0])
    agree(lambda a, b: a.atan2(b), None, y, x, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("y", [0, 1, 2, 3, -1, -2, 0.5, -0.5, 1.7, 4])
def test_constant_powers_agree(agree: Any, y: float) -> None:
    agree(lambda x: x**y, None, np.array([0.5, 1.0, 2.0, 3.25], np.float32))
    if isinstance(y, int) and y >= 0:
        agree(lambda x: x**y, None, np.array([-3, 0, 1, 2, 7]))


def test_integer_powers_agree(agree: Any) -> None:
    base = np.array([2, -3, 0, 1, -1, 5, 7])
    agree(lambda x, y: x**y, None, base, np.array([10, 3, 0, 100, 101, 2, 30]))
    agree(lambda x: 2**x, None, np.array([0, 1, 5, 10]))


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift",
                                  "bitwise_right_shift"])  # fmt: skip
def test_bits_agree(agree: Any, name: str) -> None:
    x, y = np.array([13, -7, 255, 0]), np.array([1, 3, 2, 5])
    agree(lambda a, b: getattr(a, name)(b), lambda a, b: getattr(torch, name)(a, b), x, y)


def test_int64_wraps_and_compares_over_its_whole_range(agree: Any) -> None:
    x = np.array([2**62, -(2**62), 2**63 - 1, -(2**63), 5, 0] * 4)
    y = np.array([-(2**62) - 1, 2**62 + 1, -2, 2**63 - 1, 6, -(2**63)] * 4)
    agree(lambda a, b: [a < b, a <= b, a.minimum(b), a.maximum(b), a + b, a - b], None, x, y)
    agree(lambda a: [a < 2**62 + 10, a > -(2**62) - 10, a * 4 < 8, a * 3 // 3, a * 3 % 3], None, x)
    agree(lambda a: a.clamp(max=2**62 + 10), None, x)


def test_integer_division_rounds_as_in_pytorch(agree: Any) -> None:
    x, y = np.array([7, -7, 7, -7, 0]), np.array([2, 2, -2, -2, 3])
    agree(lambda a, b: [a // b, a % b, a.fmod(b), a / b], None, x, y)
    for mode in ("floor", "trunc"):
        agree(lambda a, b, m=mode: a.div(b, rounding_mode=m), None, x, y)


def test_selection_agrees(agree: Any, rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 4, 5)).astype(np.float32)
    agree(
        lambda a, b: [(a > 0).where(a, b), a.masked_fill(b > 0, 2.0), a.lerp(b, 0.3)],
        lambda a, b: [torch.where(a > 0, a, b), a.masked_fill(b > 0, 2.0), a.lerp(b, 0.3)],
        x,
        y,
    )


def test_nan_in_the_branch_not_taken_leaves_the_gradient_alone() -> None:
    x = Tensor([-1.0, 4.0], requires_grad=True)
    (x > 0).where((x > 0).where(x, 1.0).sqrt(), 0.0).sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_clamp_by_tensors_agrees(agree: Any, rng: np.random.Generator) -> None:
    x, low = rng.standard_normal((2, 6)).astype(np.float32)
    agree(lambda a, b: a.clamp(b, 0.5), lambda a, b: a.clamp(b).clamp(max=0.5), x, low)


def test_predicates_agree(agree: Any) -> None:
    x = np.array([math.inf, -math.inf, math.nan, 0.0, 1.0], np.float32)
    agree(lambda a: [a.isnan(), a.isinf(), a.isfinite(), a.logical_not()], None, x, grad=False)
    agree(lambda a, b: a.isclose(b, equal_nan=True), None, x, x, grad=False)
