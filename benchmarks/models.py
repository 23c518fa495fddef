"""The networks of the rows, written once for every library's `nn`."""

from __future__ import annotations

from typing import Any

import numpy as np


def mlp(library: Any) -> Any:
    """784-128-10, on images of any shape."""
    nn = library.nn
    first, last = nn.Linear(784, 128), nn.Linear(128, 10)
    return _module(library, [first, last], lambda x: last(library.relu(first(library.flatten(x)))))


def cnn(library: Any) -> Any:
    """The convolutional network of examples/mnist.py."""
    nn = library.nn
    c1, c2 = nn.Conv2d(1, 32, 5), nn.Conv2d(32, 32, 5)
    c3, c4 = nn.Conv2d(32, 64, 3), nn.Conv2d(64, 64, 3)
    b1, b2, last = nn.BatchNorm2d(32), nn.BatchNorm2d(64), nn.Linear(576, 10)
    pool, relu = nn.MaxPool2d(2), library.relu

    def forward(x: Any) -> Any:
        x = pool(b1(relu(c2(relu(c1(x))))))
        x = pool(b2(relu(c4(relu(c3(x))))))
        return last(library.flatten(x))

    return _module(library, [c1, c2, b1, c3, c4, b2, last], forward)


def resnet18(library: Any) -> Any:
    """He et al., "Deep Residual Learning for Image Recognition", 2015; 1000 classes."""
    nn = library.nn
    stem, norm = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64)
    last = nn.Linear(512, 1000)
    blocks, channels = [], 64
    for width, stride in zip(
        (64, 64, 128, 128, 256, 256, 512, 512), (1, 1, 2, 1, 2, 1, 2, 1), strict=True
    ):
        blocks.append(_block(library, channels, width, stride))
        channels = width

    def forward(x: Any) -> Any:
        x = library.max_pool2d(library.relu(norm(stem(x))))
        for block in blocks:
            x = block(x)
        return last(library.mean(x, (2, 3)))

    return _module(library, [stem, norm, *blocks, last], forward)


def _block(library: Any, channels: int, width: int, stride: int) -> Any:
    nn = library.nn
    c1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
    c2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
    b1, b2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
    parts = [c1, c2, b1, b2]
    shorter = None
    if stride != 1 or channels != width:
        shorter = nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
        parts += shorter

    relu = library.relu

    def forward(x: Any) -> Any:
        y = b2(c2(relu(b1(c1(x)))))
        return relu(y + (x if shorter is None else shorter[1](shorter[0](x))))

    return _module(library, parts, forward)


def transformer(library: Any, layers: int = 6, width: int = 384, heads: int = 6) -> Any:
    """A character model as nanoGPT's: (batch, context) tokens of 65 -> their scores."""
    context, vocabulary = 256, 65
    nn = library.nn
    tokens, places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
    blocks = [_layer(library, width, heads) for _ in range(layers)]
    norm, last = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
    order = library.tensor(np.arange(context, dtype=np.int32))

    def forward(x: Any) -> Any:
        x = tokens(x) + places(order)
        for block in blocks:
            x = block(x, lambda q, k, v: library.attention(q, k, v, causal=True))
        return last(norm(x)).reshape(-1, vocabulary)

    return _module(library, [tokens, places, *blocks, norm, last], forward)


def gpt2(library: Any) -> Any:
    """GPT-2's smallest shape (Radford et al., 2019): a token and its place -> the scores of the
    next. `attend(layer, q, k, v)` is the attention to what has been seen before."""
    width, heads, layers, vocabulary, context = 768, 12, 12, 50257, 128
    nn = library.nn
    tokens, places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
    blocks = [_layer(library, width, heads) for _ in range(layers)]
    norm = nn.LayerNorm(width)

    def forward(token: Any, position: Any, attend: Any) -> Any:
        x = (tokens(token) + places(position)).reshape(1, 1, width)
        for n, block in enumerate(blocks):
            x = block(x, lambda *qkv, n=n: attend(n, *qkv))
        return norm(x) @ tokens.weight.T

    model = _module(library, [tokens, places, *blocks, norm], forward)
    model.blocks, model.context = list(range(layers)), context
    model.cache = (1, heads, context, width // heads)
    return model


def _layer(library: Any, width: int, heads: int) -> Any:
    """Attention and a perceptron, each after a layer norm and added to its input."""
    nn = library.nn
    query, key, value, out = (nn.Linear(width, width) for _ in range(4))
    up, down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
    before, between = nn.LayerNorm(width), nn.LayerNorm(width)

    def split(x: Any) -> Any:
        batch, length, _ = x.shape
        return library.transpose(x.reshape(batch, length, heads, width // heads), 1, 2)

    def forward(x: Any, attend: Any) -> Any:
        y = before(x)
        y = attend(split(query(y)), split(key(y)), split(value(y)))
        x = x + out(library.transpose(y, 1, 2).reshape(*x.shape))
        return x + down(library.gelu(up(between(x))))

    return _module(library, [query, key, value, out, up, down, before, between], forward)


def recurrent(library: Any) -> Any:
    """Two layers of GRU, 256 wide, and a linear map of the last output to ten classes."""
    network, last = library.gru(256, 2), library.nn.Linear(256, 10)
    return _module(library, [network, last], lambda x: last(network(x)[-1]))


def _module(library: Any, parts: list[Any], forward: Any) -> Any:
    """A model of any library: its parts, and what it computes."""
    base = getattr(library.nn, "Module", object)
    holder = getattr(library.nn, "ModuleList", list)

    class Model(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.parts = holder(parts)

        def forward(self, *xs: Any) -> Any:
            return forward(*xs)

    if base is object:
        Model.__call__ = Model.forward  # type: ignore[attr-defined]
    return Model()
