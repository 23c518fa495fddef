"""Matrix products, einsum, convolution, pooling, resampling, attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lazygrad import Tensor


def draw(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 5)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((4,), (4,)),
        ((2, 3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((6, 1, 3, 4), (2, 4, 5)),
        ((3, 4), (2, 4, 5)),
        ((4,), (2, 4, 5)),
        ((2, 3, 4), (4,)),
        ((0, 4), (4, 5)),
        ((3, 0), (0, 5)),
    ],
)
def test_matrix_products_agree(agree: Any, rng: np.random.Generator, a: Any, b: Any) -> None:
    agree(lambda x, y: x @ y, None, draw(rng, *a), draw(rng, *b), rtol=1e-4, atol=1e-5)


def test_integer_products_keep_their_dtype(agree: Any, rng: np.random.Generator) -> None:
    for dtype in (np.int32, np.int64, np.uint8):
        x, y = rng.integers(0, 9, (3, 4)).astype(dtype), rng.integers(0, 9, (4, 2)).astype(dtype)
        agree(lambda a, b: a @ b, None, x, y)


def test_half_products_are_summed_in_float32(rng: np.random.Generator) -> None:
    x, y = draw(rng, 8, 512).astype(np.float16), draw(rng, 512, 8).astype(np.float16)
    exact = (x.astype(np.float64) @ y.astype(np.float64)).astype(np.float16)
    np.testing.assert_allclose((Tensor(x) @ Tensor(y)).numpy(), exact, rtol=2e-3, atol=1e-2)


def test_linear_and_outer_agree(agree: Any, rng: np.random.Generator) -> None:
    x, w, b = draw(rng, 2, 3, 4), draw(rng, 5, 4), draw(rng, 5)
    agree(lambda a, c, d: a.linear(c, d), F.linear, x, w, b, rtol=1e-4)
    agree(lambda a, c: a.outer(c), torch.outer, draw(rng, 3), draw(rng, 4))


@pytest.mark.parametrize(
    ("formula", "shapes"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("ij,jk", [(3, 4), (4, 5)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("bhid,bhjd->bhij", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("ii->i", [(4, 4)]),
        ("ii", [(4, 4)]),
        ("ij->ji", [(3, 4)]),
        ("ij->", [(3, 4)]),
        ("i,j->ij", [(3,), (4,)]),
        ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)]),
        ("...ij,jk->...ik", [(2, 6, 3, 4), (4, 5)]),
        ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)]),
        ("a,ab,abc->abc", [(2,), (2, 3), (2, 3, 4)]),
        ("ijk,jil->kl", [(2, 3, 4), (3, 2, 5)]),
        ("ab,ab->", [(2, 3), (2, 3)]),
        ("ij,kj->ikj", [(2, 3), (4, 3)]),
        ("iij,jk->ik", [(3, 3, 2), (2, 4)]),
    ],
)
def test_einsum_agrees(agree: Any, rng: np.random.Generator, formula: str, shapes: Any) -> None:
    operands = [draw(rng, *shape) for shape in shapes]
    agree(
        lambda *x: Tensor.einsum(formula, *x),
        lambda *x: torch.einsum(formula, *x),
        *operands,
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2},
        {"padding": 2},
        {"padding": (1, 2), "stride": (2, 1)},
        {"dilation": 2, "padding": 2},
        {"groups": 2},
        {"groups": 4, "padding": 1},
        {"padding": "same"},
        {"padding": "same", "dilation": 2},
        {"padding": "valid"},
        {"stride": 3, "padding": 1},
    ],
    ids=str,
)
def test_convolutions_agree(agree: Any, rng: np.random.Generator, options: Any) -> None:
    groups = options.get("groups", 1)
    x, b = draw(rng, 2, 4, 9, 8), draw(rng, 8)
    w = draw(rng, 8, 4 // groups, 3, 2)
    agree(
        lambda a, c, d: a.conv2d(c, d, **options),
        lambda a, c, d: F.conv2d(a, c, d, **options),
        x, w, b, rtol=1e-4, atol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize(
    ("batch", "channels", "outputs", "size"),
    [(8, 16, 24, (14, 22)), (32, 32, 16, (10, 8)), (80, 20, 17, (6, 8)), (1, 96, 64, (16, 16))],
)
def test_convolutions_of_many_channels_agree(
    agree: Any, rng: np.random.Generator, batch: int, channels: int, outputs: int,
    size: tuple[int, int], padding: int,
) -> None:  # fmt: skip
    """Those that are computed from tiles, and the gradients of their inputs."""
    x, w = draw(rng, batch, channels, *size), draw(rng, outputs, channels, 3, 3)
    b, w2 = draw(rng, outputs), draw(rng, channels, outputs, 3, 3)
    agree(
        lambda a, c, d, e: a.conv2d(c, d, padding=padding).relu().conv2d(e, padding=1),
        lambda a, c, d, e: F.conv2d(
            F.relu(F.conv2d(a, c, d, padding=padding)), e, padding=1
        ),
        x, w, b, w2, rtol=1e-4, atol=1e-3,
    )  # fmt: skip


def test_convolutions_of_one_and_three_axes_agree(agree: Any, rng: np.random.Generator) -> None:
    agree(
        lambda a, c: a.conv1d(c, stride=2, padding=1),
        lambda a, c: F.conv1d(a, c, stride=2, padding=1),
        draw(rng, 2, 3, 11), draw(rng, 4, 3, 3), rtol=1e-4, atol=1e-5,
    )  # fmt: skip
    agree(
        lambda a, c: a.conv3d(c, padding=1),
        lambda a, c: F.conv3d(a, c, padding=1),
        draw(rng, 1, 2, 4, 5, 3), draw(rng, 3, 2, 3, 3, 3), rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    agree(
        lambda a, c: a.conv2d(c), F.conv2d, draw(rng, 3, 6, 6), draw(rng, 4, 3, 3, 3), rtol=1e-4,
        atol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2},
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"dilation": 2},
        {"groups": 2, "stride": (1, 2)},
        {"padding": 2},
        {"stride": 3, "output_padding": (2, 1)},
    ],
    ids=str,
)
def test_transposed_convolutions_agree(agree: Any, rng: np.random.Generator, options: Any) -> None:
    groups = options.get("groups", 1)
    x, w, b = draw(rng, 2, 4, 5, 6), draw(rng, 4, 6 // groups, 3, 3), draw(rng, 6)
    agree(
        lambda a, c, d: a.conv_transpose2d(c, d, **options),
        lambda a, c, d: F.conv_transpose2d(a, c, d, **options),
        x, w, b, rtol=1e-4, atol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 1)},
        {"kernel_size": 3, "stride": 2, "ceil_mode": True},
        {"kernel_size": 2, "stride": 3, "ceil_mode": True, "padding": 1},
    ],
    ids=str,
)
def test_pooling_agrees(agree: Any, rng: np.random.Generator, options: Any) -> None:
    x = draw(rng, 2, 3, 8, 9)
    agree(lambda a: a.max_pool2d(**options), lambda a: F.max_pool2d(a, **options), x)
    for counted in (True, False):
        agree(
            lambda a, c=counted: a.avg_pool2d(**options, count_include_pad=c),
            lambda a, c=counted: F.avg_pool2d(a, **options, count_include_pad=c),
            x,
        )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_windows_that_no_input_fills_agree(agree: Any, rng: np.random.Generator, n: int) -> None:
    x, options = draw(rng, 1, 2, n), {"kernel_size": 4, "ceil_mode": True}
    agree(lambda a: a.max_pool1d(**options), lambda a: F.max_pool1d(a, **options), x)
    agree(lambda a: a.avg_pool1d(**options), lambda a: F.avg_pool1d(a, **options), x)


def test_other_pools_agree(agree: Any, rng: np.random.Generator) -> None:
    x = draw(rng, 2, 3, 10)
    agree(lambda a: a.max_pool1d(3, dilation=2), lambda a: F.max_pool1d(a, 3, dilation=2), x)
    agree(lambda a: a.avg_pool1d(3, 2, 1), lambda a: F.avg_pool1d(a, 3, 2, 1), x)
    volume = draw(rng, 1, 2, 4, 4, 6)
    agree(lambda a: a.max_pool3d(2), lambda a: F.max_pool3d(a, 2), volume)
    agree(lambda a: a.avg_pool3d(2), lambda a: F.avg_pool3d(a, 2), volume)
    image = draw(rng, 2, 3, 7, 8)
    for size in (1, 2, 3, (4, 2), (None, 5)):
        agree(
            lambda a, s=size: a.adaptive_avg_pool2d(s),
            lambda a, s=size: F.adaptive_avg_pool2d(a, s),
            image,
        )


@pytest.mark.parametrize(
    "options",
    [
        {"size": (6, 9)},
        {"scale_factor": 2.0},
        {"scale_factor": 1.7},
        {"size": (2, 3)},
        {"size": (7, 10), "mode": "bilinear"},
        {"scale_factor": 2.0, "mode": "bilinear"},
        {"scale_factor": 1.5, "mode": "bilinear"},
        {"size": (3, 2), "mode": "bilinear"},
        {"size": (7, 3), "mode": "bilinear", "align_corners": True},
    ],
    ids=str,
)
def test_resampling_agrees(agree: Any, rng: np.random.Generator, options: Any) -> None:
    x = draw(rng, 2, 3, 4, 5)
    agree(lambda a: a.interpolate(**options), lambda a: F.interpolate(a, **options), x, atol=1e-5)


@pytest.mark.parametrize("kind", ["plain", "causal", "mask", "added", "scaled"])
def test_attention_agrees(agree: Any, rng: np.random.Generator, kind: str) -> None:
    q, k, v = draw(rng, 2, 3, 5, 8), draw(rng, 2, 3, 7, 8), draw(rng, 2, 3, 7, 4)
    mask = rng.random((5, 7)) > 0.3
    mask[:, 0] = True
    options: dict[str, Any] = {
        "plain": {},
        "causal": {"is_causal": True},
        "mask": {"attn_mask": mask},
        "added": {"attn_mask": draw(rng, 5, 7)},
        "scaled": {"scale": 0.3},
    }[kind]

    def made(convert: Any) -> dict[str, Any]:
        return {n: convert(o) if isinstance(o, np.ndarray) else o for n, o in options.items()}

    agree(
        lambda a, b, c: a.scaled_dot_product_attention(b, c, **made(Tensor)),
        lambda a, b, c: F.scaled_dot_product_attention(a, b, c, **made(torch.tensor)),
        q, k, v, rtol=1e-4, atol=1e-5,
    )  # fmt: skip
