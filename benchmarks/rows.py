"""What is timed: each row's work, written once for both libraries.

`build(library)` gives what to run. `flops` and `nbytes` are what the row needs at least, for its
share of what the machine can do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import models

Build = Callable[[Any], Callable[[], object]]
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


def _row(
    name: str, function: Callable[..., Any], shapes: list[tuple[int, ...]], **costs: float
) -> Row:
    """A row that is a function of the library and tensors of these shapes."""

    def build(library: Any) -> Callable[[], object]:
        tensors = [library.tensor(normal(*shape)) for shape in shapes]
        return library.work(lambda *xs: function(library, *xs), tensors)

    return Row(name, build, **costs)


# --------------------------------------------------------------------------- products


def _matmul(m: int, k: int, n: int) -> Row:
    return _row(
        f"matmul {m}x{k}x{n}", lambda _, a, b: a @ b, [(m, k), (k, n)], flops=2.0 * m * k * n
    )


PRODUCTS = [
    _matmul(512, 512, 512),
    _matmul(1024, 1024, 1024),
    _matmul(2048, 2048, 2048),
    _matmul(1000, 700, 333),
    _matmul(64, SIDE, SIDE),
    _row("matmul A^T B 1024", lambda _, a, b: a.T @ b, [(1024, 1024)] * 2, flops=2.0 * 1024**3),
    _row("matmul A B^T 1024", lambda _, a, b: a @ b.T, [(1024, 1024)] * 2, flops=2.0 * 1024**3),
    _row("matvec 4096", lambda _, a, b: a @ b, [(SIDE, SIDE), (SIDE,)], nbytes=4.0 * SIDE**2),
    _row(
        "batched matmul 64x(128x64x128)",
        lambda _, a, b: a @ b,
        [(64, 128, 64), (64, 64, 128)],
        flops=64 * 2.0 * 128 * 64 * 128,
    ),
    _row(
        "linear + bias + relu 256x1024x512",
        lambda _, x, w, b: (x @ w.T + b).relu(),
        [(256, 1024), (512, 1024), (512,)],
        flops=2.0 * 256 * 1024 * 512,
    ),
]

# --------------------------------------------------------------------------- bound by memory


def _chain(_: Any, x: Any) -> Any:
    """Ten elementwise operations."""
    y = (x * 2 + 1) * x - 3
    y = (y * 0.5 + x).abs() + 0.1
    return y.sqrt() * x + 1


def _rms_norm(_: Any, x: Any) -> Any:
    return x * ((x * x).mean(-1, keepdim=True) + 1e-6).rsqrt()


_ROWS, _BOTH = [(SIDE, 1024)], 8.0 * SIDE * 1024
_SQUARE, _ONE = [(SIDE, SIDE)], 4.0 * SIDE**2
ELEMENTS = [
    _row("chain of 10, 16 M", _chain, [(1 << 24,)], nbytes=8.0 * (1 << 24)),
    _row("softmax 4096x1024", lambda _, x: x.softmax(-1), _ROWS, nbytes=_BOTH),
    _row("log-softmax 4096x1024", lambda _, x: x.log_softmax(-1), _ROWS, nbytes=_BOTH),
    _row("layer norm 4096x1024", lambda lib, x: lib.layer_norm(x), _ROWS, nbytes=_BOTH),
    _row("rms norm 4096x1024", _rms_norm, _ROWS, nbytes=_BOTH),
    *(
        _row(f"{op} {where} 4096x4096", function, _SQUARE, nbytes=_ONE)
        for op in ("sum", "mean", "amax", "argmax")
        for where, function in (
            ("all", lambda _, x, op=op: getattr(x, op)()),
            ("rows", lambda _, x, op=op: getattr(x, op)(1)),
            ("columns", lambda _, x, op=op: getattr(x, op)(0)),
        )
    ),
    _row("transpose + add 4096x4096", lambda _, a, b: a + b.T, _SQUARE * 2, nbytes=3 * _ONE),
    _row("every second column", lambda _, x: x[:, ::2].contiguous(), _SQUARE, nbytes=1.5 * _ONE),
    _row("cat 4096x2048", lambda lib, a, b: lib.cat(a, b), [(SIDE, 2048)] * 2, nbytes=2 * _ONE),
    _row(
        "pad 32x64x56x56",
        lambda lib, x: lib.pad(x),
        [(32, 64, 56, 56)],
        nbytes=8.0 * 32 * 64 * 56 * 56,
    ),
    _row("cumsum 256x4096", lambda _, x: x.cumsum(1), [(256, SIDE)]),
    _row("sort 256x4096", lambda _, x: x.sort(1)[0], [(256, SIDE)]),
    _row("topk 10 of 256x4096", lambda _, x: x.topk(10, 1)[0], [(256, SIDE)]),
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

    def both(library: Any, x: Any, w: Any) -> Any:
        if hasattr(x, "requires_grad_"):
            x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
        y = library.conv2d(x, w, **options)
        return library.gradients((y * y).sum(), x, w)

    return [
        _row(name, lambda lib, x, w: lib.conv2d(x, w, **options), shapes, flops=flops),
        _row(f"{name} and gradients", both, shapes, flops=3 * flops),
    ]


CONVOLUTIONS = [
    row for n in (1, 8, 32) for row in (*_conv(n, 64, 56, 64, 3), *_conv(n, 256, 14, 256, 3))
] + [
    *_conv(8, 3, 224, 64, 7, 2),
    *_conv(8, 128, 28, 256, 1),
    *_conv(8, 64, 56, 128, 3, 2),
    *_conv(8, 512, 7, 512, 3),
    *_conv(8, 128, 28, 128, 3, groups=128),
    *_conv(128, 1, 28, 32, 5),
    _row("max pool 3 /2 8x64x112x112", lambda lib, x: lib.max_pool2d(x), [(8, 64, 112, 112)]),
]


def _attention(library: Any, q: Any, k: Any, v: Any) -> Any:
    return library.attention(q, k, v)


ATTENTION = [
    _row("attention 4x8x512x64", _attention, [(4, 8, 512, 64)] * 3, flops=4.0 * 32 * 512 * 512 * 64)
]

# --------------------------------------------------------------------------- networks


def _training(
    name: str, model: Callable[[Any], Any], shape: tuple[int, ...], optimizer: str
) -> Row:
    def build(library: Any) -> Callable[[], object]:
        net = model(library)
        images = library.tensor(normal(*shape))
        labels = library.tensor(np.random.default_rng(0).integers(0, 10, shape[0]).astype(np.int32))
        return library.training(
            net, optimizer, lambda x, y: library.cross_entropy(net(x), y), [images, labels]
        )

    return Row(name, build, trains=True)


def _inference(name: str, model: Callable[[Any], Any], shape: tuple[int, ...]) -> Row:
    def build(library: Any) -> Callable[[], object]:
        return library.inference(model(library), library.tensor(normal(*shape)))

    return Row(name, build)


NETWORKS = [
    *(
        _training(f"mlp step, batch {n}", models.mlp, (n, 1, 28, 28), "Adam")
        for n in (32, 128, 1024)
    ),
    _training("MNIST cnn step, batch 128", models.cnn, (128, 1, 28, 28), "Adam"),
    _inference("ResNet-18 forward, batch 1", models.resnet18, (1, 3, 224, 224)),
    _inference("ResNet-18 forward, batch 8", models.resnet18, (8, 3, 224, 224)),
    _training("ResNet-18 step, batch 8", models.resnet18, (8, 3, 224, 224), "SGD"),
]

ROWS = {row.name: row for row in (*PRODUCTS, *ELEMENTS, *CONVOLUTIONS, *ATTENTION, *NETWORKS)}
