"""First and second derivatives of what operations are composed of, by central differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lazygrad import Tensor

rng = np.random.default_rng(0)
X = rng.uniform(0.2, 0.9, (3, 4)) * np.where(rng.random((3, 4)) > 0.5, 1, -1)  # no ties, no steps
POSITIVE = np.abs(X)
INDEX = np.array([[0, 0], [1, 2]])

METHODS = [
    "abs", "exp", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh",
    "atanh", "sigmoid", "erf", "erfc", "log1p", "expm1", "exp2", "reciprocal", "square",
    "softplus", "logsigmoid", "silu", "gelu", "mish", "elu", "selu", "celu", "softsign",
    "quick_gelu", "erfinv", "sinc", "relu", "leaky_relu", "hardswish", "tanhshrink", "normalize",
    "layernorm", "rms_norm", "softmax", "log_softmax", "logsumexp",
]  # fmt: skip
OF_POSITIVE = ["log", "sqrt", "rsqrt", "log2", "log10", "logit"]


def picture(x: Tensor) -> Tensor:
    return x.reshape(1, 1, 3, 4)


def kernel(x: Tensor) -> Tensor:
    return x[:2, :2].reshape(1, 1, 2, 2)


CASES: dict[str, Callable[[Tensor], Tensor]] = {
    "acosh": lambda x: (x + 2).acosh(),
    "power": lambda x: x.abs() ** 2.5,
    "reciprocal power": lambda x: x**-2,
    "remainder": lambda x: x.remainder(x * x + 0.7) ** 2,
    "norm": lambda x: x.norm(2, 1),
    "norm 3": lambda x: x.norm(3, 1),
    "std": lambda x: x.std(1) * x.mean(1),
    "prod": lambda x: x.prod(1),
    "cumsum": lambda x: x.cumsum(1) ** 2,
    "cumprod": lambda x: x.cumprod(1),
    "cummax": lambda x: x.cummax(1)[0] ** 3,
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "max": lambda x: x.max(1).values * x.sum(),
    "amax": lambda x: x.amax((0, 1)) * x.sum(),
    "sort": lambda x: x.sort(1)[0] ** 3,
    "topk": lambda x: x.topk(2)[0] ** 3,
    "median": lambda x: x.median(1)[0] ** 3,
    "quantile": lambda x: x.quantile(0.3, 1) ** 3,
    "atan2": lambda x: x.atan2(x * x + 0.1),
    "hypot": lambda x: x.hypot(x * x),
    "xlogy": lambda x: x.xlogy(x.abs() + 0.1),
    "logaddexp": lambda x: x.logaddexp(x * x),
    "lerp": lambda x: x.lerp(x * x, x),
    "matmul": lambda x: x @ x.T @ x,
    "einsum": lambda x: Tensor.einsum("ij,kj->ik", x, x) ** 2,
    "kron": lambda x: x[:2].kron(x) ** 2,
    "cross": lambda x: x.cross(x * x, 0) ** 2,
    "cosine_similarity": lambda x: x.cosine_similarity(x * x),
    "conv2d": lambda x: picture(x).conv2d(kernel(x), padding=1) ** 2,
    "conv_transpose2d": lambda x: picture(x).conv_transpose2d(kernel(x), stride=2) ** 2,
    "max_pool2d": lambda x: picture(x).max_pool2d(2, 1) ** 3,
    "avg_pool2d": lambda x: picture(x).avg_pool2d(2, 1) ** 3,
    "max_unpool2d": lambda x: (
        Tensor.max_unpool2d(*picture(x).max_pool2d((1, 2), return_indices=True), (1, 2)) ** 3
    ),
    "interpolate": lambda x: picture(x).interpolate(size=(5, 7), mode="bicubic") ** 3,
    "gather": lambda x: x[[0, 0, 2], [1, 1, 3]] ** 3,
    "scatter_add": lambda x: x.scatter_add(1, Tensor(INDEX), x[:2, :2] ** 2) ** 2,
    "scatter prod": lambda x: x.scatter_reduce(1, Tensor(INDEX), x[:2, :2], "prod") ** 2,
    "scatter amax": lambda x: x.scatter_reduce(1, Tensor(INDEX), x[:2, :2], "amax") ** 3,
    "cat": lambda x: x.cat(x * x, axis=0) ** 2,
    "pad": lambda x: x.pad((1, 1, 2, 0), value=3.0) ** 3,
    "reflect": lambda x: x.unsqueeze(0).pad((1, 1), mode="reflect") ** 3,
    "unfold": lambda x: x.unfold(1, 2, 1) ** 3,
    "diag_embed": lambda x: x.diag_embed(1) ** 3,
    "roll": lambda x: (x.roll(1, 0) * x) ** 2,
    "cross_entropy": lambda x: x.cross_entropy(Tensor([0, 3, 1]), label_smoothing=0.1),
    "binary_cross_entropy": lambda x: x.abs().binary_cross_entropy(Tensor(POSITIVE[::-1].copy())),
    "binary_cross_entropy_with_logits": lambda x: (
        x.binary_cross_entropy_with_logits(Tensor(POSITIVE))
    ),
    "huber_loss": lambda x: x.huber_loss(Tensor(POSITIVE * 2), delta=0.5),
    "causal attention": lambda x: (
        x.scaled_dot_product_attention(x * x, x, is_causal=True)
    ),
    "attention to nothing": lambda x: (
        x.scaled_dot_product_attention(
            x * x, x, attn_mask=Tensor(np.tril(np.ones((3, 3), bool), -1))
        )
    ),
}  # fmt: skip
CASES.update({name: lambda x, name=name: getattr(x, name)() for name in METHODS})  # type: ignore[misc]
CASES.update({name: lambda x, name=name: getattr(x.abs(), name)() for name in OF_POSITIVE})  # type: ignore[misc]


@pytest.mark.parametrize("name", CASES)
def test_derivatives_are_slopes(name: str) -> None:
    function, step = CASES[name], 1e-6
    direction = np.random.default_rng(1).standard_normal(X.shape)
    weights = Tensor(np.random.default_rng(2).standard_normal(function(Tensor(X)).shape))

    def value(x: Tensor) -> Tensor:
        return (function(x) * weights).sum()

    def slope(x: Tensor) -> Tensor:
        """The derivative along the direction."""
        return (value(x).gradient(x)[0] * Tensor(direction)).sum()

    x, below, above = (Tensor(X + shift * direction) for shift in (0, -step, step))
    for expected, made in ((value, slope(x)), (slope, None)):
        if made is None:
            (gradient,) = slope(x).gradient(x, materialize_grads=True)
            made = (gradient * Tensor(direction)).sum()
        measured = (expected(above).item() - expected(below).item()) / (2 * step)
        assert made.item() == pytest.approx(measured, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("asked", ["loss", "largest", "nothing"])
def test_a_largest_element_that_was_computed_before_its_gradient(count, asked):
    """What it is chosen from is computed again, and may be rounded otherwise."""
    random = np.random.default_rng(0)
    values = random.standard_normal((3, 3))
    rows = random.standard_normal((count, 1, 3))
    w = Tensor(values, requires_grad=True).realize()
    terms, largest = [], []
    for row in [Tensor(row).realize() for row in rows]:
        x = row @ w @ w
        x = x - x.mean(-1, keepdim=True)
        x = x - (most := x.max(-1, keepdim=True)[0])
        largest += [most] * (asked == "largest")
        terms.append(x)
        del most
    loss = sum(x.tanh().sum() for x in terms)
    loss.backward()
    if asked == "loss":
        loss.item()
    if asked == "largest":
        Tensor.realize(*largest)

    def of(w):
        x = rows @ w @ w
        x = x - x.mean(-1, keepdims=True)
        return np.tanh(x - x.max(-1, keepdims=True)).sum()

    step = 1e-6
    slopes = [
        (of(values + step * unit.reshape(3, 3)) - of(values - step * unit.reshape(3, 3))) / step / 2
        for unit in np.eye(9)
    ]
    np.testing.assert_allclose(w.grad.numpy().reshape(-1), slopes, rtol=1e-5, atol=1e-6)
