"""What is timed: each row's work, written once for all libraries.

`build(library)` gives what to run. `flops` and `nbytes` are what the row needs at least, for its
share of what the machine can do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import models
from .libraries.base import Library, Work

Build = Callable[[Library], Work]
SIDE = 4096


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    build: Build
    flops: float = 0.0
    nbytes: float = 0.0
    trains: bool = False


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def row_of(
    name: str, function: Callable[..., Any], shapes: list[tuple[int, ...]], **costs: float
) -> Row:
    """A row that is a function of the library and tensors of these shapes."""

    def build(library: Library) -> Work:
        tensors = [library.tensor(normal(*shape)) for shape in shapes]
        return library.work(lambda *xs: function(library, *xs), tensors)

    return Row(name, build, **costs)


# --------------------------------------------------------------------------- products


def _matmul(m: int, k: int, n: int) -> Row:
    return row_of(
        f"matmul {m}x{k}x{n}", lambda _, a, b: a @ b, [(m, k), (k, n)], flops=2.0 * m * k * n
    )


PRODUCTS = [
    _matmul(512, 512, 512),
    _matmul(1024, 1024, 1024),
    _matmul(2048, 2048, 2048),
    _matmul(1000, 700, 333),
    _matmul(64, SIDE, SIDE),
    row_of("matmul A^T B 1024", lambda _, a, b: a.T @ b, [(1024, 1024)] * 2, flops=2.0 * 1024**3),
    row_of("matmul A B^T 1024", lambda _, a, b: a @ b.T, [(1024, 1024)] * 2, flops=2.0 * 1024**3),
    row_of("matvec 4096", lambda _, a, b: a @ b, [(SIDE, SIDE), (SIDE,)], nbytes=4.0 * SIDE**2),
    row_of(
        "batched matmul 64x(128x64x128)",
        lambda _, a, b: a @ b,
        [(64, 128, 64), (64, 64, 128)],
        flops=64 * 2.0 * 128 * 64 * 128,
    ),
    row_of(
        "linear + bias + relu 256x1024x512",
        lambda lib, x, w, b: lib.relu(x @ w.T + b),
        [(256, 1024), (512, 1024), (512,)],
        flops=2.0 * 256 * 1024 * 512,
    ),
]

# --------------------------------------------------------------------------- bound by memory


def _chain(lib: Any, x: Any) -> Any:
    """Ten elementwise operations."""
    y = (x * 2 + 1) * x - 3
    y = lib.abs(y * 0.5 + x) + 0.1
    return lib.sqrt(y) * x + 1


def _rms_norm(lib: Any, x: Any) -> Any:
    return x / lib.sqrt(lib.mean(x * x, -1, keepdim=True) + 1e-6)


def _indexed(name: str, count: int, width: int, shape: tuple[int, ...]) -> Row:
    """Rows of a matrix by their numbers."""

    def build(library: Library) -> Work:
        numbers = np.random.default_rng(0).integers(0, count, shape).astype(np.int32)
        tensors = [library.tensor(normal(count, width)), library.tensor(numbers)]
        return library.work(library.take, tensors)

    return Row(name, build, nbytes=8.0 * int(np.prod(shape)) * width)


_ROWS, _BOTH = [(SIDE, 1024)], 8.0 * SIDE * 1024
_SQUARE, _ONE = [(SIDE, SIDE)], 4.0 * SIDE**2
ELEMENTS = [
    row_of("chain of 10, 16 M", _chain, [(1 << 24,)], nbytes=8.0 * (1 << 24)),
    row_of("softmax 4096x1024", lambda lib, x: lib.softmax(x), _ROWS, nbytes=_BOTH),
    row_of("log-softmax 4096x1024", lambda lib, x: lib.log_softmax(x), _ROWS, nbytes=_BOTH),
    row_of("layer norm 4096x1024", lambda lib, x: lib.layer_norm(x), _ROWS, nbytes=_BOTH),
    row_of("rms norm 4096x1024", _rms_norm, _ROWS, nbytes=_BOTH),
    *(
        row_of(f"{op} {where} 4096x4096", function, _SQUARE, nbytes=_ONE)
        for op in ("sum", "mean", "amax", "argmax")
        for where, function in (
            ("all", lambda lib, x, op=op: getattr(lib, op)(x)),
            ("rows", lambda lib, x, op=op: getattr(lib, op)(x, 1)),
            ("columns", lambda lib, x, op=op: getattr(lib, op)(x, 0)),
        )
    ),
    row_of("transpose + add 4096x4096", lambda _, a, b: a + b.T, _SQUARE * 2, nbytes=3 * _ONE),
    row_of(
        "every second column", lambda lib, x: lib.contiguous(x[:, ::2]), _SQUARE, nbytes=1.5 * _ONE
    ),
    row_of("cat 4096x2048", lambda lib, a, b: lib.cat(a, b), [(SIDE, 2048)] * 2, nbytes=2 * _ONE),
    row_of(
        "pad 32x64x56x56",
        lambda lib, x: lib.pad(x),
        [(32, 64, 56, 56)],
        nbytes=8.0 * 32 * 64 * 56 * 56,
    ),
    row_of("cumsum 256x4096", lambda lib, x: lib.cumsum(x), [(256, SIDE)]),
    row_of("sort 256x4096", lambda lib, x: lib.sort(x), [(256, SIDE)]),
    _indexed("embedding 32x512 of 50257x768", 50257, 768, (32, 512)),
    row_of("topk 10 of 256x4096", lambda lib, x: lib.topk(x, 10), [(256, SIDE)]),
]

# --------------------------------------------------------------------------- convolutions


def _conv(n: int, c: int, size: int, o: int, k: int, stride: int = 1, groups: int = 1) -> list[Row]:
    """Forward, and forward with both gradients."""
    padding = k // 2
    out = (size + 2 * padding - k) // stride + 1
    options = {"stride": stride, "padding": padding, "groups": groups}
    shapes = [(n, c, size, size), (o, c // groups, k, k)]
    flops = 2.0 * n * o * out * out * (c // groups) * k * k
    kind = "depthwise " if groups == c else ""
    name = f"{kind}conv {n}x{c}x{size}x{size} {o}x{k}x{k}" + (f" /{stride}" if stride > 1 else "")

    return [
        row_of(name, lambda lib, x, w: lib.conv2d(x, w, **options), shapes, flops=flops),
        gradients_of(
            f"{name} and gradients",
            lambda lib, x, w: lib.conv2d(x, w, **options),
            shapes,
            flops=3 * flops,
        ),
    ]


def gradients_of(
    name: str, function: Callable[..., Any], shapes: list[tuple[int, ...]], **costs: float
) -> Row:
    """The gradients of the sum of a function's squares, with the function's value on the way."""

    def both(library: Library, *xs: Any) -> Any:
        def loss_of(*xs: Any) -> Any:
            y = function(library, *xs)
            return library.sum(y * y)

        return library.gradients(loss_of, *xs)

    return row_of(name, both, shapes, **costs)


CONVOLUTIONS = [
    row for n in (1, 8, 32) for row in (*_conv(n, 64, 56, 64, 3), *_conv(n, 256, 14, 256, 3))
] + [
    *_conv(8, 3, 224, 64, 7, 2),
    *_conv(8, 128, 28, 256, 1),
    *_conv(8, 64, 56, 128, 3, 2),
    *_conv(8, 512, 7, 512, 3),
    *_conv(8, 128, 28, 128, 3, groups=128),
    *_conv(128, 1, 28, 32, 5),
    gradients_of(
        "max pool 3 /2 8x64x112x112, both ways",
        lambda lib, x: lib.max_pool2d(x),
        [(8, 64, 112, 112)],
    ),
    gradients_of(
        "avg pool 2 8x64x112x112, both ways", lambda lib, x: lib.avg_pool2d(x), [(8, 64, 112, 112)]
    ),
    gradients_of(
        "batch norm 32x64x56x56, both ways",
        lambda lib, x, w, b: lib.batch_norm(x, w, b),
        [(32, 64, 56, 56), (64,), (64,)],
    ),
]

_HEADS = [(4, 8, 512, 64)] * 3
_PRODUCT = 2.0 * 32 * 512 * 512 * 64
ATTENTION = [
    row_of(
        "attention 4x8x512x64",
        lambda lib, q, k, v: lib.attention(q, k, v),
        _HEADS,
        flops=2 * _PRODUCT,
    ),
    gradients_of(
        "attention 4x8x512x64, both ways",
        lambda lib, q, k, v: lib.attention(q, k, v),
        _HEADS,
        flops=6 * _PRODUCT,
    ),
]

# --------------------------------------------------------------------------- networks


def training_of(
    name: str,
    model: Callable[[Any], Any],
    inputs: np.ndarray[Any, Any],
    classes: int,
    optimizer: str,
) -> Row:
    """A training step: scores of as many classes, cross entropy, gradients, update."""

    def build(library: Library) -> Work:
        net = model(library)
        labels = np.random.default_rng(0).integers(0, classes, _cases(inputs)).astype(np.int32)
        return library.training(
            net,
            optimizer,
            lambda x, y: library.cross_entropy(net(x), y),
            [library.tensor(inputs), library.tensor(labels)],
        )

    return Row(name, build, trains=True)


def _cases(inputs: np.ndarray[Any, Any]) -> int:
    """How many labels: one a token, one a sequence (length, batch, width), else one an image."""
    if inputs.dtype == np.int32:
        return inputs.size
    return inputs.shape[1] if inputs.ndim == 3 else len(inputs)


def _inference(name: str, model: Callable[[Any], Any], shape: tuple[int, ...]) -> Row:
    def build(library: Library) -> Work:
        return library.inference(model(library), library.tensor(normal(*shape)))

    return Row(name, build)


_TEXT = np.random.default_rng(1).integers(0, 65, (16, 256)).astype(np.int32)
NETWORKS = [
    *(
        training_of(f"mlp step, batch {n}", models.mlp, normal(n, 1, 28, 28), 10, "Adam")
        for n in (32, 128, 1024)
    ),
    training_of("MNIST cnn step, batch 128", models.cnn, normal(128, 1, 28, 28), 10, "Adam"),
    _inference("ResNet-18 forward, batch 1", models.resnet18, (1, 3, 224, 224)),
    _inference("ResNet-18 forward, batch 8", models.resnet18, (8, 3, 224, 224)),
    training_of("ResNet-18 step, batch 8", models.resnet18, normal(8, 3, 224, 224), 1000, "SGD"),
    training_of("transformer 6x384 step, 16x256", models.transformer, _TEXT, 65, "Adam"),
    training_of("GRU 2x256 step, 128x16", models.recurrent, normal(128, 16, 256), 10, "Adam"),
    Row("GPT-2 small, a token", lambda library: library.generation(models.gpt2(library))),
]

ROWS = {row.name: row for row in (*PRODUCTS, *ELEMENTS, *CONVOLUTIONS, *ATTENTION, *NETWORKS)}
