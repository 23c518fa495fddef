"""What PyTorch refuses is refused: both raise, at the line that is wrong; its neighbours agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lazygrad import Tensor, nn

Make = Callable[[], Any]


def ones(*shape: int, dtype: str = "float32") -> tuple[Tensor, torch.Tensor]:
    """The same ones for both."""
    array = np.ones(shape, dtype)
    return Tensor(array), torch.tensor(array)


X, U = ones(2, 4)
ROW, ROW_ = ones(4)
CUBE, CUBE_ = ones(2, 4, 4)
IMAGE, IMAGE_ = ones(1, 2, 4, 4)
KERNEL, KERNEL_ = ones(2, 3, 3, 3)
LABELS, LABELS_ = ones(2, dtype="int64")
BYTES, BYTES_ = ones(2, dtype="uint8")
MASK, MASK_ = Tensor([True, False]), torch.tensor([True, False])

REFUSED: dict[str, tuple[Make, Make]] = {
    "negative weights": (
        lambda: Tensor([1.0, -1.0]).multinomial(1), lambda: torch.tensor([1.0, -1]).multinomial(1),
    ),
    "weights that are all 0": (
        lambda: Tensor([[1.0, 1.0], [0.0, 0.0]]).multinomial(1, replacement=True),
        lambda: torch.tensor([[1.0, 1], [0, 0]]).multinomial(1, replacement=True),
    ),
    "infinite weights": (
        lambda: Tensor([1.0, np.inf]).multinomial(1),
        lambda: torch.tensor([1.0, np.inf]).multinomial(1),
    ),
    "a probability above 1": (
        lambda: Tensor([0.5, 1.5]).bernoulli(), lambda: torch.tensor([0.5, 1.5]).bernoulli(),
    ),
    "a negative probability": (
        lambda: Tensor.zeros(2).bernoulli_(-0.5), lambda: torch.zeros(2).bernoulli_(-0.5),
    ),
    "batch statistics of one value": (
        lambda: nn.BatchNorm2d(3, track_running_stats=False)(ones(1, 3, 1, 1)[0]),
        lambda: torch.nn.BatchNorm2d(3, track_running_stats=False)(ones(1, 3, 1, 1)[1]),
    ),
    "batch norm of too few axes": (
        lambda: nn.BatchNorm2d(4)(CUBE), lambda: torch.nn.BatchNorm2d(4)(CUBE_),
    ),
    "batch norm of too many axes": (
        lambda: nn.BatchNorm1d(2)(IMAGE), lambda: torch.nn.BatchNorm1d(2)(IMAGE_),
    ),
    "group norm of one value": (
        lambda: nn.GroupNorm(2, 2)(ones(1, 2, 1)[0]),
        lambda: torch.nn.GroupNorm(2, 2)(ones(1, 2, 1)[1]),
    ),
    "instance norm of one value": (
        lambda: nn.InstanceNorm2d(2)(ones(3, 2, 1, 1)[0]),
        lambda: torch.nn.InstanceNorm2d(2)(ones(3, 2, 1, 1)[1]),
    ),
    "layer norm by one weight": (
        lambda: X.layer_norm((4,), ones(1)[0]), lambda: F.layer_norm(U, (4,), ones(1)[1]),
    ),
    "layer norm with a wide bias": (
        lambda: X.layer_norm((4,), None, X), lambda: F.layer_norm(U, (4,), None, U),
    ),
    "output padding of a stride": (
        lambda: IMAGE.conv_transpose2d(KERNEL, stride=2, output_padding=2),
        lambda: F.conv_transpose2d(IMAGE_, KERNEL_, stride=2, output_padding=2),
    ),
    "output padding without stride": (
        lambda: IMAGE.conv_transpose2d(KERNEL, output_padding=(0, 1)),
        lambda: F.conv_transpose2d(IMAGE_, KERNEL_, output_padding=(0, 1)),
    ),
    "output padding of a layer": (
        lambda: nn.ConvTranspose2d(2, 3, 3, output_padding=1)(IMAGE),
        lambda: torch.nn.ConvTranspose2d(2, 3, 3, output_padding=1)(IMAGE_),
    ),
    "kernel beyond the picture": (
        lambda: IMAGE.conv2d(ones(3, 2, 5, 5)[0]), lambda: F.conv2d(IMAGE_, ones(3, 2, 5, 5)[1]),
    ),
    "negative padding": (
        lambda: IMAGE.conv2d(ones(3, 2, 3, 3)[0], padding=-1),
        lambda: F.conv2d(IMAGE_, ones(3, 2, 3, 3)[1], padding=-1),
    ),
    "a word for a padding": (
        lambda: nn.Conv2d(2, 3, 3, padding="some"),
        lambda: torch.nn.Conv2d(2, 3, 3, padding="some"),
    ),
    "same padding with a stride": (
        lambda: nn.Conv2d(2, 3, 3, padding="same", stride=2),
        lambda: torch.nn.Conv2d(2, 3, 3, padding="same", stride=2),
    ),
    "groups that do not divide": (
        lambda: nn.Conv2d(4, 6, 3, groups=3), lambda: torch.nn.Conv2d(4, 6, 3, groups=3),
    ),
    "padding row beyond the last": (
        lambda: nn.Embedding(5, 2, padding_idx=5), lambda: torch.nn.Embedding(5, 2, padding_idx=5),
    ),
    "padding row before the first": (
        lambda: nn.Embedding(5, 2, padding_idx=-6),
        lambda: torch.nn.Embedding(5, 2, padding_idx=-6),
    ),
    "no layers": (lambda: nn.LSTM(3, 4, 0), lambda: torch.nn.LSTM(3, 4, 0)),
    "a dropout that is none": (
        lambda: nn.GRU(3, 4, 2, dropout=2.0), lambda: torch.nn.GRU(3, 4, 2, dropout=2.0),
    ),
    "dropout beyond 1": (lambda: X.dropout(1.5), lambda: F.dropout(U, 1.5)),
    "a mask of more than the scores": (
        lambda: CUBE.scaled_dot_product_attention(CUBE, CUBE, ones(7, 4, 4)[0]),
        lambda: F.scaled_dot_product_attention(CUBE_, CUBE_, CUBE_, ones(7, 4, 4)[1]),
    ),
    "a mask of integers": (
        lambda: CUBE.scaled_dot_product_attention(CUBE, CUBE, ones(4, 4, dtype="int64")[0]),
        lambda: F.scaled_dot_product_attention(
            CUBE_, CUBE_, CUBE_, ones(4, 4, dtype="int64")[1]
        ),
    ),
    "one weight for all classes": (
        lambda: X.cross_entropy(LABELS, ones(1)[0]),
        lambda: F.cross_entropy(U, LABELS_, ones(1)[1]),
    ),
    "weights of two axes": (
        lambda: X.nll_loss(LABELS, ones(4, 1)[0]), lambda: F.nll_loss(U, LABELS_, ones(4, 1)[1]),
    ),
    "weights of fewer classes": (
        lambda: X.cross_entropy(X, ones(3)[0]), lambda: F.cross_entropy(U, U, ones(3)[1]),
    ),
    "weights beyond the loss": (
        lambda: ROW.binary_cross_entropy(ROW, X), lambda: F.binary_cross_entropy(ROW_, ROW_, U),
    ),
    "huber loss of no width": (
        lambda: X.huber_loss(X, delta=0.0), lambda: F.huber_loss(U, U, delta=0.0),
    ),
    "smooth loss of negative width": (
        lambda: X.smooth_l1_loss(X, beta=-1.0), lambda: F.smooth_l1_loss(U, U, beta=-1.0),
    ),
    "targets of another shape": (
        lambda: X.cross_entropy(ones(3, dtype="int64")[0]),
        lambda: F.cross_entropy(U, ones(3, dtype="int64")[1]),
    ),
    "pooling beyond the picture": (lambda: IMAGE.max_pool2d(5), lambda: F.max_pool2d(IMAGE_, 5)),
    "pooling with more padding": (
        lambda: IMAGE.max_pool2d(2, padding=2), lambda: F.max_pool2d(IMAGE_, 2, padding=2),
    ),
    "bilinear along one axis": (
        lambda: CUBE.interpolate(2, mode="bilinear"),
        lambda: F.interpolate(CUBE_, 2, mode="bilinear"),
    ),
    "linear along two axes": (
        lambda: IMAGE.interpolate(2, mode="linear"),
        lambda: F.interpolate(IMAGE_, 2, mode="linear"),
    ),
    "corners of the nearest": (
        lambda: CUBE.interpolate(2, align_corners=True),
        lambda: F.interpolate(CUBE_, 2, align_corners=True),
    ),
    "an odd axis in halves": (lambda: ones(3)[0].glu(), lambda: F.glu(ones(3)[1])),
    "bounds in another order": (lambda: X.hardtanh(2, 1), lambda: F.hardtanh(U, 2, 1)),
    "shrinking by less than 0": (lambda: X.softshrink(-1.0), lambda: F.softshrink(U, -1.0)),
    "celu by 0": (lambda: X.celu(0.0), lambda: F.celu(U, 0.0)),
    "cropping more than all": (lambda: ROW.pad((-2, -3)), lambda: F.pad(ROW_, (-2, -3))),
    "more slices than places": (
        lambda: X.index_add(0, Tensor([1]), X),
        lambda: U.index_add(0, torch.tensor([1]), U),
    ),
    "narrow slices added": (
        lambda: X.index_add(0, Tensor([1]), ones(1, 1)[0]),
        lambda: U.index_add(0, torch.tensor([1]), ones(1, 1)[1]),
    ),
    "narrow slices copied": (
        lambda: X.index_copy(0, Tensor([1]), ones(1, 1)[0]),
        lambda: U.index_copy(0, torch.tensor([1]), ones(1, 1)[1]),
    ),
    "an index of fewer axes": (
        lambda: X.take_along_dim(Tensor([0]), 0), lambda: U.take_along_dim(torch.tensor([0]), 0),
    ),
    "fewer than no elements": (lambda: Tensor.randperm(-1), lambda: torch.randperm(-1)),
    "a negative deviation": (
        lambda: Tensor.normal(3, std=-1.0), lambda: torch.normal(0.0, -1.0, (3,)),
    ),
    "a range turned round": (
        lambda: Tensor.uniform(3, low=2.0, high=1.0), lambda: torch.empty(3).uniform_(2.0, 1.0),
    ),
    "no samples": (lambda: ROW.multinomial(0), lambda: ROW_.multinomial(0)),
    "mm of batches": (lambda: CUBE.mm(X.T), lambda: CUBE_.mm(U.T)),
    "bmm of matrices": (lambda: X.bmm(X.T), lambda: U.bmm(U.T)),
    "mv of matrices": (lambda: X.mv(X.T), lambda: U.mv(U.T)),
    "addmm of batches": (lambda: X.addmm(CUBE, CUBE), lambda: U.addmm(CUBE_, CUBE_)),
    "baddbmm of matrices": (lambda: X.baddbmm(X, X.T), lambda: U.baddbmm(U, U.T)),
    "a byte of 300": (
        lambda: Tensor.full((2,), 300, dtype="uint8"),
        lambda: torch.full((2,), 300, dtype=torch.uint8),
    ),
    "filled with 300": (lambda: BYTES.clone().fill_(300), lambda: BYTES_.clone().fill_(300)),
    "masked by 300": (lambda: BYTES.masked_fill(MASK, 300), lambda: BYTES_.masked_fill(MASK_, 300)),
    "masked in float16": (
        lambda: ones(2)[0].half().masked_fill(MASK, -1e9),
        lambda: ones(2)[1].half().masked_fill(MASK_, -1e9),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_pytorch_refuses_is_refused(name: str) -> None:
    ours, theirs = REFUSED[name]
    with pytest.raises((ValueError, RuntimeError, NotImplementedError, IndexError, AssertionError)):
        theirs()
    with pytest.raises((ValueError, TypeError, IndexError)) as raised:  # ShapeError, DTypeError
        ours()
    assert len(str(raised.value)) > 10


def test_neighbours_of_what_is_refused_agree(agree: Any) -> None:
    image, kernel = np.ones((1, 2, 4, 4), np.float32), np.ones((2, 3, 3, 3), np.float32)
    for options in ({"stride": 2, "output_padding": 1}, {"dilation": 2, "output_padding": 1}):
        agree(
            lambda x, w, o=options: x.conv_transpose2d(w, **o),
            lambda x, w, o=options: F.conv_transpose2d(x, w, **o),
            image, kernel,
        )  # fmt: skip
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    agree(lambda a: a.addmm(a, a.T @ a), None, x)
    agree(lambda a: [a.mm(a.T), a.mv(a[0])], None, x)
    agree(lambda a: a[None].bmm(a.T[None]), None, x)
    agree(lambda a: a[0, :2].addmv(a, a[0], beta=0.5, alpha=2), None, x)
    agree(lambda a: a[:, :2].baddbmm(a[None], a.T[None]), None, x)
    agree(lambda a: a.celu(-1.0), lambda a: F.celu(a, -1.0), x)
    agree(lambda a: a.pad((-2, -2)), lambda a: F.pad(a, (-2, -2)), x)
    for layer, other in ((nn.GroupNorm(2, 2), torch.nn.GroupNorm(2, 2)),):
        agree(layer, other, np.ones((2, 2, 1, 1), np.float32))


def test_padding_rows_count_from_the_end() -> None:
    layer = nn.Embedding(5, 2, padding_idx=-5)
    assert layer(Tensor([0])).tolist() == [[0.0, 0.0]]
