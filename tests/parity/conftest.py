"""Comparing lazygrad with PyTorch: the same function on the same values, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor

torch = pytest.importorskip("torch")

Function = Callable[..., Any]
Agree = Callable[..., None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "parity" in item.path.parts:
            item.add_marker(pytest.mark.parity)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _array(value: Any) -> np.ndarray:
    return (
        value.detach().to(torch.float32 if value.dtype == torch.bfloat16 else value.dtype).numpy()
    )


def _compare(ours: Any, theirs: Any, rtol: float, atol: float, what: str) -> None:
    assert ours.shape == tuple(theirs.shape), what
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch."), what
    values = ours.numpy()
    if str(ours.dtype) == "bfloat16":
        values = values.astype(np.float32)
    np.testing.assert_allclose(values, _array(theirs), rtol, atol, equal_nan=True, err_msg=what)


@pytest.fixture(scope="session")
def agree() -> Agree:
    """`agree(ours, theirs, *arrays)`: both functions give the same values, shapes, dtypes, and
    gradients of every float argument. `theirs` is `ours` if None."""

    def check(
        ours: Function,
        theirs: Function | None,
        *arrays: Any,
        grad: bool = True,
        rtol: float = 2e-5,
        atol: float = 1e-6,
    ) -> None:
        def is_float(array: Any) -> bool:
            return grad and array.dtype.kind == "f"

        mine = [Tensor(np.array(a), requires_grad=is_float(a)) for a in arrays]
        other = [torch.tensor(a, requires_grad=is_float(a)) for a in arrays]
        results = _listed(ours(*mine))
        expected = _listed((theirs or ours)(*other))
        assert len(results) == len(expected)
        differentiable = [(x, y) for x, y in zip(results, expected, strict=True) if y.requires_grad]
        rng = np.random.default_rng(0)
        for x, y in differentiable:
            assert x.requires_grad
            seed = np.asarray(rng.standard_normal(tuple(y.shape)), y.detach().numpy().dtype)
            x.backward(Tensor(seed))
            y.backward(torch.tensor(seed), retain_graph=True)
        gradients: Sequence[Any] = [x.grad for x in mine if x.grad is not None]
        Tensor.realize(*results, *gradients)
        for i, (x, y) in enumerate(zip(results, expected, strict=True)):
            _compare(x, y, rtol, atol, f"result {i}")
        for i, (x, y) in enumerate(zip(mine, other, strict=True)):
            if x.grad is None:
                assert y.grad is None or not y.grad.any(), f"argument {i} has no gradient"
            elif y.grad is not None:
                _compare(x.grad, y.grad, rtol, atol, f"gradient of argument {i}")

    return check


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(42)
