"""The names that rows and models use, as methods of tensors, which most libraries agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Work = Callable[[], object]
"""Does a row's work once, to its end."""


class Library:
    """One library. What it does otherwise than by a tensor's method is overridden."""

    nn: Any  # Linear, Conv2d, BatchNorm2d, LayerNorm, Embedding, MaxPool2d

    def tensor(self, array: np.ndarray[Any, Any]) -> Any:
        raise NotImplementedError

    def work(self, function: Callable[..., Any], tensors: Sequence[Any]) -> Work:
        """What runs the function of tensors to a tensor, or several, to the end."""
        raise NotImplementedError

    def gradients(self, loss_of: Callable[..., Any], *xs: Any) -> Any:
        """The gradients of a function's value with respect to each of its arguments."""
        raise NotImplementedError

    def training(
        self, model: Any, optimizer: str, loss_of: Callable[..., Any], data: Sequence[Any]
    ) -> Work:
        """A training step of a model; the optimizer is "SGD" or "Adam", with their defaults."""
        raise NotImplementedError

    def inference(self, model: Any, x: Any) -> Work:
        raise NotImplementedError

    def generation(self, model: Any) -> Work:
        """One step of models.GPT: the next token, with the keys and values of those before."""
        raise NotImplementedError

    # what most have as methods of tensors

    def relu(self, x: Any) -> Any:
        return x.relu()

    def gelu(self, x: Any) -> Any:
        return x.gelu()

    def softmax(self, x: Any) -> Any:
        return x.softmax(-1)

    def log_softmax(self, x: Any) -> Any:
        return x.log_softmax(-1)

    def abs(self, x: Any) -> Any:
        return x.abs()

    def sqrt(self, x: Any) -> Any:
        return x.sqrt()

    def sum(self, x: Any, axis: int | None = None) -> Any:
        return x.sum(axis)

    def mean(self, x: Any, axis: Any = None, keepdim: bool = False) -> Any:
        return x.mean(axis, keepdim=keepdim)

    def amax(self, x: Any, axis: int | None = None) -> Any:
        return x.max(axis=axis)

    def argmax(self, x: Any, axis: int | None = None) -> Any:
        return x.argmax(axis)

    def cumsum(self, x: Any) -> Any:
        return x.cumsum(1)

    def sort(self, x: Any) -> Any:
        return x.sort(1)[0]

    def topk(self, x: Any, k: int) -> Any:
        return x.topk(k, 1)[0]

    def contiguous(self, x: Any) -> Any:
        return x.contiguous()

    def flatten(self, x: Any) -> Any:
        return x.flatten(1)

    def transpose(self, x: Any, a: int, b: int) -> Any:
        return x.transpose(a, b)

    def take(self, weight: Any, indices: Any) -> Any:
        return weight[indices]

    # what lazygrad and tinygrad spell alike

    def layer_norm(self, x: Any) -> Any:
        return x.layernorm(-1)

    def cat(self, a: Any, b: Any) -> Any:
        return a.cat(b, dim=1)

    def pad(self, x: Any) -> Any:
        return x.pad((1, 1, 1, 1))

    def conv2d(self, x: Any, w: Any, **options: int) -> Any:
        return x.conv2d(w, **options)

    def max_pool2d(self, x: Any) -> Any:
        return x.max_pool2d(3, 2, padding=1)

    def avg_pool2d(self, x: Any) -> Any:
        return x.avg_pool2d(2)

    def batch_norm(self, x: Any, w: Any, b: Any) -> Any:
        axes = (0, 2, 3)
        mean = x.mean(axes, keepdim=True)
        variance = ((x - mean) ** 2).mean(axes, keepdim=True)
        shape = (1, -1, 1, 1)
        return (x - mean) * (variance + 1e-5).rsqrt() * w.reshape(shape) + b.reshape(shape)

    def attention(self, q: Any, k: Any, v: Any, causal: bool = False) -> Any:
        return q.scaled_dot_product_attention(k, v, is_causal=causal)

    def cross_entropy(self, logits: Any, labels: Any) -> Any:
        return logits.cross_entropy(labels)

    def gru(self, size: int, layers: int) -> Any:
        """A model: (length, batch, size) -> the outputs of the last layer, of the same shape."""
        raise NotImplementedError
