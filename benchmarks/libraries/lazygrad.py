"""lazygrad, each row captured by `TinyJit`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lazygrad import Tensor, TinyJit, nn

from .base import Library, Work


class Lazygrad(Library):
    nn = nn

    def tensor(self, array: np.ndarray[Any, Any]) -> Any:
        return Tensor(array).realize()

    def work(self, function: Callable[..., Any], tensors: Sequence[Any]) -> Work:
        captured = TinyJit(function)  # what a captured function returns is realized
        return lambda: captured(*tensors)

    def gradients(self, loss_of: Callable[..., Any], *xs: Any) -> Any:
        return loss_of(*xs).gradient(*xs)

    def training(
        self, model: Any, optimizer: str, loss_of: Callable[..., Any], data: Sequence[Any]
    ) -> Work:
        update = getattr(nn.optim, optimizer)(nn.state.get_parameters(model), lr=1e-3)

        @TinyJit
        def step(*xs: Any) -> Any:
            with Tensor.train():
                update.zero_grad()
                loss = loss_of(*xs)
                loss.backward()
                update.step()
                return loss.realize()

        return lambda: step(*data)

    def inference(self, model: Any, x: Any) -> Work:
        return self.work(model, [x])

    def generation(self, model: Any) -> Work:
        start = Tensor([0]).realize()
        caches = [
            (
                Tensor.zeros(*model.cache).contiguous().realize(),
                Tensor.zeros(*model.cache).contiguous().realize(),
            )
            for _ in model.blocks
        ]
        places = Tensor.arange(model.context).realize()

        def attend(n: int, position: Any, q: Any, k: Any, v: Any) -> Any:
            here = (places == position).reshape(1, 1, -1, 1)
            for cache, new in zip(caches[n], (k, v), strict=True):
                cache.assign(here.where(new, cache))
            keys, values = caches[n]
            seen = (places <= position).reshape(1, 1, 1, -1)
            return q.scaled_dot_product_attention(keys, values, attn_mask=seen)

        @TinyJit
        def step(token: Any, position: Any) -> Any:
            logits = model(token, position, lambda n, *qkv: attend(n, position, *qkv))
            return logits.argmax(-1).reshape(1).realize(*(c for pair in caches for c in pair))

        state = [start, 0]

        def work() -> object:
            state[0] = step(state[0], Tensor([state[1]]))
            state[1] = (state[1] + 1) % model.context  # type: ignore[operator]
            return state[0]

        return work

    def gru(self, size: int, layers: int) -> Any:
        model = nn.GRU(size, size, layers)
        return _First(model)


class _First(nn.Module):
    """A recurrent network's outputs, without its state."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Any) -> Any:
        return self.network(x)[0]
