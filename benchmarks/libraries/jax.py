"""JAX, each row by jax.jit. Layers hold their arrays; a step is made pure by setting them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .base import Library, Work


def _normal(*shape: int) -> Any:
    fan_in = int(np.prod(shape[1:])) or 1
    values = np.random.default_rng(0).standard_normal(shape) * fan_in**-0.5
    return jnp.asarray(values.astype(np.float32))


class Linear:
    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        self.weight, self.bias = _normal(outputs, inputs), jnp.zeros(outputs) if bias else None

    def __call__(self, x: Any) -> Any:
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


class Conv2d:
    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int = 1, padding: int = 0,
        bias: bool = True,
    ) -> None:  # fmt: skip
        self.weight = _normal(outputs, inputs, size, size)
        self.bias = jnp.zeros((outputs, 1, 1)) if bias else None
        self._options = {"stride": stride, "padding": padding}

    def __call__(self, x: Any) -> Any:
        y = _conv2d(x, self.weight, **self._options)
        return y if self.bias is None else y + self.bias


class BatchNorm2d:
    """In training, without running statistics."""

    def __init__(self, features: int) -> None:
        self.weight, self.bias = jnp.ones(features), jnp.zeros(features)

    def __call__(self, x: Any) -> Any:
        return _batch_norm(x, self.weight, self.bias)


class LayerNorm:
    def __init__(self, size: int) -> None:
        self.weight, self.bias = jnp.ones(size), jnp.zeros(size)

    def __call__(self, x: Any) -> Any:
        return _layer_norm(x) * self.weight + self.bias


class Embedding:
    def __init__(self, count: int, size: int) -> None:
        self.weight = _normal(count, size)

    def __call__(self, indices: Any) -> Any:
        return self.weight[indices]


def _conv2d(x: Any, w: Any, stride: int = 1, padding: int = 0, groups: int = 1) -> Any:
    return jax.lax.conv_general_dilated(
        x, w, (stride, stride), [(padding, padding)] * 2, feature_group_count=groups
    )


def _layer_norm(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)


def _batch_norm(x: Any, w: Any, b: Any) -> Any:
    mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    shape = (1, -1, 1, 1)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * w.reshape(shape) + b.reshape(shape)


def _pooled(x: Any, size: int, stride: int, padding: int, start: float, join: Any) -> Any:
    window, steps = (1, 1, size, size), (1, 1, stride, stride)
    edges = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    return jax.lax.reduce_window(x, start, join, window, steps, edges)


def _arrays(thing: Any) -> list[tuple[Any, str]]:
    """Where a model's arrays are: (holder, name), in order."""
    found: list[tuple[Any, str]] = []
    parts = thing if isinstance(thing, list | tuple) else vars(thing).get("parts", ())
    for part in parts:
        found += _arrays(part)
    if not isinstance(thing, list | tuple):
        found += [(thing, name) for name, x in vars(thing).items() if isinstance(x, jax.Array)]
    return found


class Jax(Library):
    nn = SimpleNamespace(
        Linear=Linear,
        Conv2d=Conv2d,
        BatchNorm2d=BatchNorm2d,
        LayerNorm=LayerNorm,
        Embedding=Embedding,
        MaxPool2d=lambda size: lambda x: _pooled(x, size, size, 0, -jnp.inf, jax.lax.max),
    )

    def tensor(self, array: np.ndarray[Any, Any]) -> Any:
        return jnp.asarray(array)

    def work(self, function: Callable[..., Any], tensors: Sequence[Any]) -> Work:
        captured = jax.jit(function)
        return lambda: jax.block_until_ready(captured(*tensors))

    def gradients(self, loss_of: Callable[..., Any], *xs: Any) -> Any:
        return jax.grad(loss_of, argnums=tuple(range(len(xs))))(*xs)

    def training(
        self, model: Any, optimizer: str, loss_of: Callable[..., Any], data: Sequence[Any]
    ) -> Work:
        places = _arrays(model)

        def loss(parameters: list[Any], *xs: Any) -> Any:
            for (holder, name), value in zip(places, parameters, strict=True):
                setattr(holder, name, value)
            return loss_of(*xs)

        def sgd(p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, Any, Any]:
            return p - 1e-3 * g, m, v

        def adam(p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, Any, Any]:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            scaled = (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
            return p - 1e-3 * scaled, m, v

        update = {"SGD": sgd, "Adam": adam}[optimizer]

        @jax.jit
        def step(parameters: Any, m: Any, v: Any, t: Any, *xs: Any) -> Any:
            value, gradients = jax.value_and_grad(loss)(parameters, *xs)
            new = [update(*each, t) for each in zip(parameters, gradients, m, v, strict=True)]
            return value, *(list(column) for column in zip(*new, strict=True)), t + 1

        start = [getattr(holder, name) for holder, name in places]
        state: list[Any] = [start, *([jnp.zeros_like(p) for p in start] for _ in "mv"), 1.0]

        def work() -> Any:
            value, *state[:] = step(*state, *data)
            return jax.block_until_ready(value)

        return work

    def inference(self, model: Any, x: Any) -> Work:
        return self.work(model, [x])

    def relu(self, x: Any) -> Any:
        return jax.nn.relu(x)

    def gelu(self, x: Any) -> Any:
        return jax.nn.gelu(x, approximate=False)

    def softmax(self, x: Any) -> Any:
        return jax.nn.softmax(x, -1)

    def log_softmax(self, x: Any) -> Any:
        return jax.nn.log_softmax(x, -1)

    def abs(self, x: Any) -> Any:
        return jnp.abs(x)

    def sqrt(self, x: Any) -> Any:
        return jnp.sqrt(x)

    def mean(self, x: Any, axis: Any = None, keepdim: bool = False) -> Any:
        return x.mean(axis, keepdims=keepdim)

    def sort(self, x: Any) -> Any:
        return jnp.sort(x, 1)

    def topk(self, x: Any, k: int) -> Any:
        return jax.lax.top_k(x, k)[0]

    def contiguous(self, x: Any) -> Any:
        return x

    def flatten(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1)

    def transpose(self, x: Any, a: int, b: int) -> Any:
        return jnp.swapaxes(x, a, b)

    def layer_norm(self, x: Any) -> Any:
        return _layer_norm(x)

    def cat(self, a: Any, b: Any) -> Any:
        return jnp.concatenate((a, b), 1)

    def pad(self, x: Any) -> Any:
        return jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))

    def conv2d(self, x: Any, w: Any, **options: int) -> Any:
        return _conv2d(x, w, **options)

    def max_pool2d(self, x: Any) -> Any:
        return _pooled(x, 3, 2, 1, -jnp.inf, jax.lax.max)

    def avg_pool2d(self, x: Any) -> Any:
        return _pooled(x, 2, 2, 0, 0.0, jax.lax.add) / 4

    def batch_norm(self, x: Any, w: Any, b: Any) -> Any:
        return _batch_norm(x, w, b)

    def attention(self, q: Any, k: Any, v: Any, causal: bool = False) -> Any:
        scores = q @ jnp.swapaxes(k, -1, -2) * q.shape[-1] ** -0.5
        if causal:
            scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -jnp.inf)
        return jax.nn.softmax(scores, -1) @ v

    def cross_entropy(self, logits: Any, labels: Any) -> Any:
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits, -1), labels[:, None], 1)
        return -chosen.mean()
