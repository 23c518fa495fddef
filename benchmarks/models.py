"""The networks of the rows, written once for both libraries' `nn`."""

from __future__ import annotations

from typing import Any


def relu(x: Any) -> Any:
    return x.relu()


def mlp(library: Any) -> Any:
    """784-128-10, on images of any shape."""
    nn = library.nn
    first, last = nn.Linear(784, 128), nn.Linear(128, 10)
    return _module(library, [first, last], lambda x: last(relu(first(x.flatten(1)))))


def cnn(library: Any) -> Any:
    """The convolutional network of examples/mnist.py."""
    nn = library.nn
    c1, c2 = nn.Conv2d(1, 32, 5), nn.Conv2d(32, 32, 5)
    c3, c4 = nn.Conv2d(32, 64, 3), nn.Conv2d(64, 64, 3)
    b1, b2, last = nn.BatchNorm2d(32), nn.BatchNorm2d(64), nn.Linear(576, 10)
    pool = nn.MaxPool2d(2)

    def forward(x: Any) -> Any:
        x = pool(b1(relu(c2(relu(c1(x))))))
        x = pool(b2(relu(c4(relu(c3(x))))))
        return last(x.flatten(1))

    return _module(library, [c1, c2, b1, c3, c4, b2, last], forward)


def resnet18(library: Any) -> Any:
    """He et al., "Deep Residual Learning for Image Recognition", 2015; 1000 classes."""
    nn = library.nn
    stem, norm, last = (
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        None,
    )
    last = nn.Linear(512, 1000)
    blocks, channels = [], 64
    for width, stride in (
        (64, 1),
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        (512, 1),
    ):
        blocks.append(_block(library, channels, width, stride))
        channels = width

    def forward(x: Any) -> Any:
        x = library.max_pool2d(relu(norm(stem(x))))
        for block in blocks:
            x = block(x)
        return last(x.mean((2, 3)))

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

    def forward(x: Any) -> Any:
        y = b2(c2(relu(b1(c1(x)))))
        return relu(y + (x if shorter is None else shorter[1](shorter[0](x))))

    return _module(library, parts, forward)


def _module(library: Any, parts: list[Any], forward: Any) -> Any:
    """A model of either library: its parts, and what it computes."""
    base = getattr(library.nn, "Module", object)
    holder = getattr(library.nn, "ModuleList", list)

    class Model(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.parts = holder(parts)

        def forward(self, x: Any) -> Any:
            return forward(x)

    if base is object:
        Model.__call__ = Model.forward  # type: ignore[attr-defined]
    return Model()
