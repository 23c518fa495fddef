"""PyTorch on as many threads as there are cores: eager, and by torch.compile."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .base import Library, Work

torch.set_num_threads(len(os.sched_getaffinity(0)))


class Torch(Library):
    nn = torch.nn

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    def tensor(self, array: np.ndarray[Any, Any]) -> Any:
        return torch.from_numpy(array)

    def work(self, function: Callable[..., Any], tensors: Sequence[Any]) -> Work:
        function = self.compiled(function)
        return lambda: function(*tensors)

    def gradients(self, loss_of: Callable[..., Any], *xs: Any) -> Any:
        xs = tuple(x.detach().requires_grad_() for x in xs)
        return torch.autograd.grad(loss_of(*xs), xs)

    def training(
        self, model: Any, optimizer: str, loss_of: Callable[..., Any], data: Sequence[Any]
    ) -> Work:
        update = getattr(torch.optim, optimizer)(model.parameters(), lr=1e-3)
        loss_of = self.compiled(loss_of)

        def step() -> Any:
            update.zero_grad()
            loss = loss_of(*data)
            loss.backward()
            update.step()
            return loss

        return step

    def inference(self, model: Any, x: Any) -> Work:
        model.eval()
        model = self.compiled(model)

        def work() -> Any:
            with torch.no_grad():
                return model(x)

        return work

    def generation(self, model: Any) -> Work:
        caches = [(torch.zeros(model.cache), torch.zeros(model.cache)) for _ in model.blocks]

        def attend(n: int, position: int, q: Any, k: Any, v: Any) -> Any:
            for cache, new in zip(caches[n], (k, v), strict=True):
                cache[:, :, position : position + 1] = new
            keys, values = (cache[:, :, : position + 1] for cache in caches[n])
            return F.scaled_dot_product_attention(q, keys, values)

        state: list[Any] = [torch.tensor([0]), 0]

        def work() -> Any:
            token, position = state
            with torch.no_grad():
                logits = model(
                    token, torch.tensor([position]), lambda n, *qkv: attend(n, position, *qkv)
                )
                state[:] = logits.argmax(-1).reshape(1), (position + 1) % model.context
            return state[0]

        return work

    def gelu(self, x: Any) -> Any:
        return F.gelu(x)

    def sum(self, x: Any, axis: int | None = None) -> Any:
        return x.sum() if axis is None else x.sum(axis)

    def amax(self, x: Any, axis: int | None = None) -> Any:
        return x.amax() if axis is None else x.amax(axis)

    def layer_norm(self, x: Any) -> Any:
        return F.layer_norm(x, x.shape[-1:])

    def cat(self, a: Any, b: Any) -> Any:
        return torch.cat((a, b), dim=1)

    def pad(self, x: Any) -> Any:
        return F.pad(x, (1, 1, 1, 1))

    def conv2d(self, x: Any, w: Any, **options: int) -> Any:
        return F.conv2d(x, w, **options)

    def max_pool2d(self, x: Any) -> Any:
        return F.max_pool2d(x, 3, 2, 1)

    def avg_pool2d(self, x: Any) -> Any:
        return F.avg_pool2d(x, 2)

    def batch_norm(self, x: Any, w: Any, b: Any) -> Any:
        return F.batch_norm(x, None, None, w, b, training=True)

    def attention(self, q: Any, k: Any, v: Any, causal: bool = False) -> Any:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    def cross_entropy(self, logits: Any, labels: Any) -> Any:
        return F.cross_entropy(logits, labels.long())

    def take(self, weight: Any, indices: Any) -> Any:
        return F.embedding(indices, weight)

    def gru(self, size: int, layers: int) -> Any:
        class Network(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = torch.nn.GRU(size, size, layers)

            def forward(self, x: Any) -> Any:
                return self.network(x)[0]

        return Network()


class Compiled(Torch):
    """The same, each row's function given to torch.compile; autograd outside of it."""

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function)  # type: ignore[no-any-return]

    def gradients(self, loss_of: Callable[..., Any], *xs: Any) -> Any:
        raise NotImplementedError("torch.compile does not capture torch.autograd.grad")

    def generation(self, model: Any) -> Work:
        raise NotImplementedError("the cache's length changes with each token")
