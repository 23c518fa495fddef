"""Calls at sizes that were not met before build what the operation builds at that size."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, bfloat16, float32, nn
from lazygrad.errors import CompilerError
from lazygrad.graph.structure import structure
from lazygrad.jit.trace import Trace
from lazygrad.tensor import any_size, recall
from lazygrad.tensor.any_size import SizedTemplate
from lazygrad.tensor.recall import recalled

SIZES = (2, 3, 4, 5, 8, 16, 17, 31, 64, 65, 128, 129, 300)


def rand(*shape: int, dtype: Any = float32) -> Tensor:
    values = np.random.default_rng(sum(shape)).standard_normal(shape)
    return Tensor(values.astype(np.float32)).cast(dtype).realize()


WEIGHT, BIAS, STATE = rand(8, 4), rand(8), rand(1, 2, 1, 4)

OPERATIONS: dict[str, Callable[[int], Tensor]] = {
    "cat": lambda n: Tensor.cat(rand(1, n, 4), rand(1, 1, 4), axis=1),
    "cat of three": lambda n: Tensor.cat(rand(n, 4), rand(3, 4), rand(n + 1, 4)),
    "attention of one": lambda n: STATE.scaled_dot_product_attention(
        rand(1, 2, n, 4), rand(1, 2, n, 4) + 1
    ),
    "attention": lambda n: rand(1, 2, n, 4).scaled_dot_product_attention(
        rand(1, 2, n, 4) + 1, rand(1, 2, n, 4) + 2
    ),
    "causal attention": lambda n: rand(1, 2, n, 4).scaled_dot_product_attention(
        rand(1, 2, n, 4) + 1, rand(1, 2, n, 4) + 2, is_causal=True
    ),
    "masked attention": lambda n: rand(1, 2, n, 4).scaled_dot_product_attention(
        rand(1, 2, n, 4) + 1, rand(1, 2, n, 4) + 2, rand(n, n) > 0
    ),
    "linear": lambda n: rand(n, 4).linear(WEIGHT, BIAS),
    "linear of sequences": lambda n: rand(3, n, 4).linear(WEIGHT, BIAS),
    "linear in 16 bits": lambda n: rand(n, 4, dtype=bfloat16).linear(WEIGHT.cast(bfloat16)),
    "matmul": lambda n: rand(3, n) @ rand(n, 5),
    "matmul, rows": lambda n: rand(n, 3) @ rand(3, 5),
    "matmul, columns": lambda n: rand(5, 3) @ rand(3, n),
    "softmax": lambda n: rand(3, n).softmax(-1),
    "softmax, rows": lambda n: rand(n, 3).softmax(-1),
    "log softmax": lambda n: rand(3, n).log_softmax(-1),
    "layer norm": lambda n: rand(3, n).layernorm(-1),
    "layer norm, rows": lambda n: rand(n, 4).layernorm(-1, rand(4)),
    "rms norm": lambda n: nn.functional.rms_norm(rand(n, 4), (4,)),
    "gelu": lambda n: rand(n, 4).gelu(),
    "silu": lambda n: rand(n, 4).silu(),
}


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    recall._templates.clear()
    any_size._forms.clear()


def unknown(*_: Any) -> Any:
    raise recall._Unknown


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_graph_is_that_of_the_operation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = OPERATIONS[name]
    for n in SIZES:
        made = operation(n)
        with monkeypatch.context() as alone:
            alone.setattr(recall, "_note_values", unknown)
            expected = operation(n)
        assert made.shape == expected.shape
        assert made.dtype == expected.dtype
        assert structure([made._node])[0] == structure([expected._node])[0]
    kept = [each.recipe for each in recall._templates.values() if each]
    assert sum(isinstance(recipe, SizedTemplate) for recipe in kept) >= len(SIZES) - 3


def test_sizes_below_two_are_tried() -> None:
    for n in (7, 5, 3, 2, 1, 0, 4):
        x = rand(n, 3)
        np.testing.assert_allclose(
            Tensor.cat(x, rand(1, 3)).numpy(), np.concatenate([x.numpy(), rand(1, 3).numpy()])
        )
    kept = [each.recipe for each in recall._templates.values() if each]
    assert [type(recipe) is SizedTemplate for recipe in kept].count(True) == 3  # 3, 2 and 4


def test_an_operation_that_is_not_the_same_at_all_sizes_is_told() -> None:
    def operation(x: Tensor) -> Tensor:
        return x + 1 if x.shape[0] < 5 else x - 1

    built = recalled(operation, any_size=True)
    for n in (2, 3, 4):
        np.testing.assert_array_equal(built(rand(n)).numpy(), rand(n).numpy() + 1)
    with pytest.raises(CompilerError, match="another graph at the size 6"):
        _ = built(rand(6))._node.inputs


def test_a_size_is_tried_once() -> None:
    tried = []

    def operation(x: Tensor) -> Tensor:
        tried.append(x.shape)
        return x * 2 + 1

    built = recalled(operation, any_size=True)
    for n in (2, 3, 4, 4, 4):
        _ = built(Tensor(np.ones(n, np.float32)))._node.inputs
    assert tried == [(2,), (3,), (4,)]


def test_two_sizes_that_vary_apart_are_no_series() -> None:
    for n, m in ((2, 3), (3, 3), (3, 5), (4, 9), (5, 2), (6, 6)):
        x, y = rand(n, 4), rand(m, 4)
        expected = np.concatenate([x.numpy(), y.numpy()])
        np.testing.assert_array_equal(Tensor.cat(x, y).numpy(), expected)


def test_results_are_built_in_the_modes_of_the_call():
    """Not in those that hold when they are looked at."""
    w = Tensor(np.ones((4, 1), np.float32), requires_grad=True)
    for n in range(1, 30):
        x = Tensor(np.ones((n, 4), np.float32))
        with lazygrad.set_grad_enabled(n % 2 == 0):
            y = (x @ w).mean()
        assert y.requires_grad == (n % 2 == 0)
        assert y.item() == 4.0


def test_what_is_known_of_an_operation_keeps_no_trace_alive():
    f = lazygrad.jit(lambda x: (x @ x.T).softmax(-1).sum(0).relu().mean() * x.shape[0])
    for n in range(3, 40):
        f(Tensor(np.ones((n, 4), np.float32))).item()
    del f
    gc.collect()
    assert not any(type(each) is Trace for each in gc.get_objects())
