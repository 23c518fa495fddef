"""CHECK=nan: the first kernel that makes a nan or an infinity of finite numbers is told of, with
the line, the operation and its numbers; on any device, eager and captured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from lazygrad import Tensor, TinyJit, config, nn
from lazygrad.errors import NonFiniteError
from lazygrad.graph import elements
from lazygrad.helpers import Context
from lazygrad.runtime.device import Device
from lazygrad.tensor.random import _states


@pytest.fixture(params=["CPU", pytest.param("GPU", marks=pytest.mark.slow)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Device, "DEFAULT", request.param)
    with config.override(CHECK="nan"):
        yield request.param
    _states.pop(request.param, None)


def test_the_error_names_line_operation_and_inputs(device: str) -> None:
    p, y = Tensor([[0.5, 0.0], [1.0, 0.25]]), Tensor([[1.0, 1.0], [0.0, 1.0]])
    with pytest.raises(FloatingPointError) as caught:
        (p.log() * y).sum().realize()
    first, kernel, *inputs = str(caught.value).splitlines()
    assert first.startswith("test_values.py:")
    assert first.endswith(
        "(p.log() * y).sum().realize(): log makes -inf: log(0), element [0, 1] of float32(2, 2)"
    )
    assert kernel.endswith(f"on {device}, which reads")
    assert sorted(line.strip() for line in inputs) == [
        "p  float32(2, 2)  from 0 to 1",
        "y  float32(2, 2)  from 0 to 1",
    ]


def filled(value: float, *shape: int) -> Tensor:
    return Tensor(np.full(shape, value, np.float32))


BAD: dict[str, tuple[Callable[[], Tensor], str]] = {
    "product": (
        lambda: (filled(1e30, 3, 5) @ filled(1e30, 5, 2)).relu(),
        r"mul makes inf: \(1e\+30 \* 1e\+30\)",
    ),
    "sum": (
        lambda: filled(3e38, 2, 9).sum(1),
        "reduce makes inf: sum.9 elements from 3e.38 to 3e.38, axis 1.",
    ),
    "masked row": (
        lambda: Tensor([[1.0, 2.0]]).masked_fill(Tensor([[True, True]]), -np.inf).softmax(1),
        r"in softmax, sub makes nan: \(-inf - -inf\)",
    ),
    "nan of an infinity": (
        lambda: Tensor([0.0, 1.0]) * Tensor([0.0, 1.0]).log(),
        r"mul makes nan: \(0 \* -inf\), el.*\n  from an infinity: .* log makes -inf: log\(0\), el",
    ),
    "joined": (
        lambda: Tensor([1.0, 2.0]).cat(Tensor([1.0, 0.0]) / Tensor([1.0, 0.0])).exp(),
        r"div makes nan: \(0 / 0\)",
    ),
    "half": (lambda: Tensor([300.0]).half() * 300, r"mul makes inf: \(300 \* 300\)"),
    "convolution": (
        lambda: filled(1e38, 8, 16, 8, 8).conv2d(filled(1, 16, 16, 3, 3), padding=1),
        "reduce makes inf|makes inf, element",
    ),
    "gathered": (
        lambda: Tensor([4.0, -1.0])[Tensor([0, 1, 0])].sqrt(),
        r"sqrt makes nan: sqrt\(-1\), element \[1\]",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_the_operation_is_found(device: str, name: str) -> None:
    program, text = BAD[name]
    with pytest.raises(NonFiniteError, match=text):
        program().realize()


FINE: dict[str, Callable[[], Tensor]] = {
    "a mask": lambda: Tensor([[1.0, 2.0]]).masked_fill(Tensor([[True, False]]), -np.inf) + 1,
    "a mask and a softmax": lambda: (
        Tensor([[1.0, 2.0]]).masked_fill(Tensor([[True, False]]), -np.inf).softmax(1)
    ),
    "constants": lambda: Tensor.full((2,), np.nan) + Tensor([1.0, 2.0]),
    "padding": lambda: Tensor([1.0]).pad(((1, 1),), value=np.inf) * 2,
    "pooling": lambda: -Tensor.ones(1, 1, 4, 4).max_pool2d(2, padding=1),
    "what came in": lambda: Tensor([np.nan, np.inf, 1.0]).exp() - 1,
    "what is not chosen": lambda: (Tensor([0.0, 1.0]) > 0).where(Tensor([0.0, 1.0]).log(), 7.0),
    "no elements": lambda: Tensor.ones(0, 3).log().sum(),
    "integers": lambda: Tensor([1, 2]) // Tensor([1, 1]),
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_meant_is_not_told_of(device: str, name: str) -> None:
    FINE[name]().realize()


@pytest.mark.parametrize("name", [*BAD, *FINE])
def test_the_core_alone_tells_the_same(name: str) -> None:
    """With OPT=0 a kernel has fewer operations, and masks and padding stand in memory."""
    with config.override(CHECK="nan", OPT=0):
        if name in FINE:
            FINE[name]().realize()
        else:
            program, text = BAD[name]
            with pytest.raises(NonFiniteError, match=text):
                program().realize()


def test_lines_are_known_after_a_copy_to_another_device() -> None:
    with config.override(CHECK="nan"):
        x = Tensor([0.0, 1.0], device="CPU") * 2
        with pytest.raises(NonFiniteError, match=r"^test_values.py:\d+  x.to.*log makes -inf"):
            x.to("GPU").log().realize()


def test_a_captured_step_that_fails_sets_nothing(device: str) -> None:
    weight = Tensor([1.0, 2.0], requires_grad=True)
    optimizer = nn.optim.SGD([weight], lr=0.1)

    @TinyJit
    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = (weight / x).sum().backward()
        optimizer.step()
        return loss

    for _ in range(2):
        step(Tensor([1.0, 1.0]).realize())
    before = weight.tolist()
    with pytest.raises(NonFiniteError, match=r"weight / x.*div makes inf: \(1.8 / 0\)"):
        step(Tensor([1.0, 0.0]).realize())
    assert weight.tolist() == before


def test_a_gradient_is_that_of_a_line(device: str) -> None:
    x = Tensor([0.0, 4.0], requires_grad=True)
    x.sqrt().sum().backward()
    assert x.grad is not None
    with pytest.raises(NonFiniteError, match=r"^gradient of test_values.py:\d+  x.sqrt.*\(1 / 0\)"):
        x.grad.realize()


def test_other_computations_go_on(device: str) -> None:
    bad = Tensor([0.0]).log()
    with pytest.raises(NonFiniteError):
        bad.realize()
    assert (Tensor([1.0]) + 1).tolist() == [2.0]


def test_a_kernel_is_told_of_where_its_operations_are_too_many(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elements, "MAX_PLACES", 4)
    with pytest.raises(NonFiniteError, match=r"test_values.py:\d+ .* mul_sum_log makes inf, el"):
        (filled(3e38, 7) * 2).sum().log().realize()


def test_a_mask_is_no_fault_where_operations_are_too_many(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elements, "MAX_PLACES", 4)
    masked = filled(1.0, 9).masked_fill(Tensor([True] + [False] * 8), -np.inf)
    assert masked.sum().item() == -np.inf


def test_a_chain_of_kernels_is_looked_into(device: str) -> None:
    """Attention over slices: what lies between its kernels is not in memory as a whole."""
    q, k = filled(1e-3, 4, 4, 512, 32), filled(1e-3, 4, 4, 512, 32)
    v = filled(1e35, 4, 4, 512, 32)
    q.scaled_dot_product_attention(k, v).realize()
    with pytest.raises(NonFiniteError, match=r"mul makes inf: \(1e\+35 \* 10000\), element"):
        (q.scaled_dot_product_attention(k, v) * 1e4).realize()


def test_a_helper_sets_it() -> None:
    with Context(CHECK="nan"), pytest.raises(FloatingPointError):
        Tensor([-1.0]).sqrt().realize()
    Tensor([-1.0]).sqrt().realize()
