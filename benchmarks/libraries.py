"""The same names for the same work in lazygrad and in PyTorch, so that a row is written once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Work = Callable[[], object]


class Lazygrad:
    """lazygrad, each row captured by `TinyJit`."""

    def __init__(self) -> None:
        from lazygrad import Tensor, TinyJit, nn

        self.Tensor, self.jit, self.nn = Tensor, TinyJit, nn

    def tensor(self, array: np.ndarray[Any, Any]) -> Any:
        return self.Tensor(array).realize()

    def work(self, function: Callable[..., Any], tensors: Sequence[Any]) -> Work:
        """What runs the function once, to the end."""
        captured = self.jit(lambda *xs: function(*xs).realize())
        return lambda: captured(*tensors)

    def gradients(self, loss: Any, *wrt: Any) -> Any:
        """The gradients, as one value that needs them all."""
        first, *rest = loss.gradient(*wrt)
        return self.Tensor.realize(first, *rest)

    def layer_norm(self, x: Any) -> Any:
        return x.layernorm(-1)

    def cat(self, *xs: Any) -> Any:
        return xs[0].cat(*xs[1:], dim=1)

    def pad(self, x: Any) -> Any:
        return x.pad((1, 1, 1, 1))

    def conv2d(self, x: Any, w: Any, **options: int) -> Any:
        return x.conv2d(w, **options)

    def max_pool2d(self, x: Any) -> Any:
        return x.max_pool2d(3, 2, padding=1)

    def batch_norm(self, x: Any, w: Any, b: Any) -> Any:
        axes = (0, 2, 3)
        mean = x.mean(axes, keepdim=True)
        variance = ((x - mean) ** 2).mean(axes, keepdim=True)
        shape = (1, -1, 1, 1)
        return (x - mean) * (variance + 1e-5).rsqrt() * w.reshape(shape) + b.reshape(shape)

    def attention(self, q: Any, k: Any, v: Any) -> Any:
        return q.scaled_dot_product_attention(k, v)

    def training(
        self, model: Any, make: str, loss_of: Callable[..., Any], data: Sequence[Any]
    ) -> Work:
        """A training step of a model with the optimizer `make`."""
        optimizer = getattr(self.nn.optim, make)(self.nn.state.get_parameters(model), lr=1e-3)

        @self.jit
        def step(*xs: Any) -> Any:
            with self.Tensor.train():
                optimizer.zero_grad()
                loss = loss_of(*xs)
                loss.backward()
                optimizer.step()
                return loss.realize()

        return lambda: step(*data)

    def cross_entropy(self, logits: Any, labels: Any) -> Any:
        return logits.sparse_categorical_crossentropy(labels)

    def inference(self, model: Any, x: Any) -> Work:
        return self.work(model, [x])


class Torch:
    """PyTorch, eager, on as many threads as there are cores."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.torch, self.nn, self.F = torch, torch.nn, torch.nn.functional

    def tensor(self, array: np.ndarray[Any, Any]) -> Any:
        return self.torch.from_numpy(array)

    def work(self, function: Callable[..., Any], tensors: Sequence[Any]) -> Work:
        return lambda: function(*tensors)

    def gradients(self, loss: Any, *wrt: Any) -> Any:
        return self.torch.autograd.grad(loss, wrt)

    def layer_norm(self, x: Any) -> Any:
        return self.F.layer_norm(x, x.shape[-1:])

    def cat(self, *xs: Any) -> Any:
        return self.torch.cat(xs, dim=1)

    def pad(self, x: Any) -> Any:
        return self.F.pad(x, (1, 1, 1, 1))

    def conv2d(self, x: Any, w: Any, **options: int) -> Any:
        return self.F.conv2d(x, w, **options)

    def max_pool2d(self, x: Any) -> Any:
        return self.F.max_pool2d(x, 3, 2, 1)

    def batch_norm(self, x: Any, w: Any, b: Any) -> Any:
        return self.F.batch_norm(x, None, None, w, b, training=True)

    def attention(self, q: Any, k: Any, v: Any) -> Any:
        return self.F.scaled_dot_product_attention(q, k, v)

    def training(
        self, model: Any, make: str, loss_of: Callable[..., Any], data: Sequence[Any]
    ) -> Work:
        optimizer = getattr(self.torch.optim, make)(model.parameters(), lr=1e-3)

        def step() -> Any:
            optimizer.zero_grad()
            loss = loss_of(*data)
            loss.backward()
            optimizer.step()
            return loss

        return step

    def cross_entropy(self, logits: Any, labels: Any) -> Any:
        return self.F.cross_entropy(logits, labels.long())

    def inference(self, model: Any, x: Any) -> Work:
        model.eval()

        def work() -> Any:
            with self.torch.no_grad():
                return model(x)

        return work


LIBRARIES = {"lazygrad": Lazygrad, "torch": Torch}
