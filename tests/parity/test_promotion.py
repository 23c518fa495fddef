"""dtypes of results: every pair of dtypes, Python numbers, tensors of shape ()."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch

from lazygrad import Tensor, dtypes

NAMES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
         "float64"]  # fmt: skip
OPERATORS = ["add", "mul", "truediv", "floordiv", "mod", "lt", "eq", "sub"]
NUMBERS: list[Any] = [True, 3, 2.5]


def outcome(function: Any) -> str:
    """The dtype of a result, or that there is none."""
    try:
        return str(function().dtype).removeprefix("torch.")
    except (TypeError, RuntimeError):
        return "error"


@pytest.mark.parametrize("a", NAMES)
@pytest.mark.parametrize("b", NAMES)
def test_every_pair_promotes_alike(a: str, b: str) -> None:
    for shape_a, shape_b in (((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())):
        x, y = Tensor.ones(shape_a, dtype=a), Tensor.ones(shape_b, dtype=b)
        u = torch.ones(shape_a, dtype=getattr(torch, a))
        v = torch.ones(shape_b, dtype=getattr(torch, b))
        for name in OPERATORS:
            if name in ("floordiv", "mod", "sub") and "bool" in (a, b):
                continue  # PyTorch has none for some of these; here they promote like the others
            op = getattr(operator, name)
            expected = outcome(lambda op=op, u=u, v=v: op(u, v))
            assert outcome(lambda op=op, x=x, y=y: op(x, y)) == expected, (name, shape_a, shape_b)


@pytest.mark.parametrize("a", NAMES)
@pytest.mark.parametrize("number", NUMBERS, ids=str)
def test_python_numbers_adapt(a: str, number: Any) -> None:
    for shape in ((2,), ()):
        x, u = Tensor.ones(shape, dtype=a), torch.ones(shape, dtype=getattr(torch, a))
        for name in OPERATORS:
            if name in ("floordiv", "mod", "sub") and (a == "bool" or number is True):
                continue
            op = getattr(operator, name)
            expected = outcome(lambda op=op, u=u: op(u, number))
            assert outcome(lambda op=op, x=x: op(x, number)) == expected, (name, shape)
            expected = outcome(lambda op=op, u=u: op(number, u))
            assert outcome(lambda op=op, x=x: op(number, x)) == expected, (name, shape, "left")


@pytest.mark.parametrize("a", NAMES)
def test_functions_and_reductions_have_pytorchs_dtypes(a: str) -> None:
    x, u = Tensor.ones(2, 2, dtype=a), torch.ones((2, 2), dtype=getattr(torch, a))
    for name in ("exp", "sqrt", "sin", "sigmoid", "sum", "prod", "mean", "cumsum", "argmax", "any",
                 "floor", "reciprocal"):  # fmt: skip
        arguments = (0,) if name == "cumsum" else ()
        expected = outcome(lambda n=name, r=arguments: getattr(u, n)(*r))
        if (name, a) in (("floor", "bool"), ("argmax", "bool"), ("any", "uint8")):
            continue  # PyTorch has none; here they are as for integers (any gives bool always)
        assert outcome(lambda n=name, r=arguments: getattr(x, n)(*r)) == expected, name


def test_creation_has_pytorchs_dtypes() -> None:
    for value in (True, 1, 1.5, [True], [1, 2], [1, 2.5], [[1.0], [2.0]], [], 3 + 0.0):
        assert str(Tensor(value).dtype) == str(torch.tensor(value).dtype).removeprefix("torch.")
    assert Tensor.arange(3).dtype == dtypes.int64
    assert Tensor.arange(3.0).dtype == dtypes.float32
    assert Tensor.full((2,), 3).dtype == dtypes.int64


@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize("target", NAMES)
def test_casts_agree(source: str, target: str) -> None:
    values = [0, 1, 2, 100] if source != "bool" else [0, 1, 1, 0]
    if source in ("float32", "float64"):
        values = [0.0, -1.75, 2.5, 100.25]
        if target == "uint8":
            values = [0.0, 1.75, 2.5, 100.25]
    ours = Tensor(values).cast(source).cast(target).double().tolist()
    theirs = torch.tensor(values).to(getattr(torch, source)).to(getattr(torch, target))
    assert ours == theirs.double().tolist()
