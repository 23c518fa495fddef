"""Layers: shapes, state names, what training changes, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, nn
from lazygrad.errors import ShapeError
from lazygrad.nn.state import get_parameters, get_state_dict

SHAPES: list[tuple[Callable[[], Any], tuple[int, ...], tuple[int, ...]]] = [
    (lambda: nn.Linear(4, 6), (2, 3, 4), (2, 3, 6)),
    (lambda: nn.Conv1d(4, 6, 3, padding=1), (2, 4, 9), (2, 6, 9)),
    (lambda: nn.Conv2d(4, 6, (3, 5), stride=2), (2, 4, 9, 9), (2, 6, 4, 3)),
    (lambda: nn.ConvTranspose2d(4, 6, 2, stride=2), (2, 4, 5, 3), (2, 6, 10, 6)),
    (lambda: nn.BatchNorm(4), (2, 4, 3, 3), (2, 4, 3, 3)),
    (lambda: nn.LayerNorm((3, 4)), (2, 3, 4), (2, 3, 4)),
    (lambda: nn.RMSNorm(4), (2, 4), (2, 4)),
    (lambda: nn.GroupNorm(2, 4), (2, 4, 5), (2, 4, 5)),
    (lambda: nn.InstanceNorm(4), (2, 4, 5), (2, 4, 5)),
    (lambda: nn.MaxPool2d(2), (2, 4, 6, 5), (2, 4, 3, 2)),
    (lambda: nn.AvgPool2d(3, 1, 1), (2, 4, 6, 5), (2, 4, 6, 5)),
    (lambda: nn.AdaptiveAvgPool2d(2), (2, 4, 6, 5), (2, 4, 2, 2)),
    (lambda: nn.Flatten(), (2, 4, 6, 5), (2, 120)),
    (lambda: nn.Dropout(0.5), (3, 4), (3, 4)),
    (lambda: nn.Sequential(nn.Linear(4, 3), Tensor.relu, nn.Linear(3, 2)), (5, 4), (5, 2)),
    (lambda: nn.GRUCell(4, 3), (5, 4), (5, 3)),
]


@pytest.mark.parametrize(("make", "shape", "expected"), SHAPES)
def test_layers_have_their_shapes(make: Any, shape: Any, expected: Any) -> None:
    assert make()(Tensor.ones(*shape)).shape == expected


def test_dropout_of_channels_drops_them_whole() -> None:
    Tensor.manual_seed(0)
    x = Tensor.ones(8, 16, 3, 2)
    assert nn.Dropout2d(0.5)(x).tolist() == x.tolist()
    with Tensor.train():
        values = nn.Dropout2d(0.5)(x).numpy()
    assert set(np.unique(values)) == {0.0, 2.0}
    assert (values == values[:, :, :1, :1]).all()
    assert 0.3 < (values == 0).mean() < 0.7
    with pytest.raises(ValueError, match="Dropout2d: p is a probability, not 2"):
        nn.Dropout2d(2)


def test_layers_refuse_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match="3 groups do not divide 4 and 6 channels"):
        nn.ConvTranspose2d(4, 6, 3, groups=3)
    with pytest.raises(ShapeError, match=r"Conv3d: kernel_size \(3, 3\) is not 3 sizes"):
        nn.Conv3d(4, 6, (3, 3))
    with pytest.raises(ValueError, match="padding_mode 'mirror' is none of"):
        nn.Conv2d(4, 6, 3, padding_mode="mirror")
    with pytest.raises(ShapeError, match="MultiheadAttention: 3 heads do not divide 8"):
        nn.MultiheadAttention(8, 3)
    with pytest.raises(ValueError, match="activation 'tanh' is neither 'relu' nor 'gelu'"):
        nn.TransformerEncoderLayer(8, 2, activation="tanh")


def test_public_names_are_those_there_are() -> None:
    assert all(hasattr(nn, name) for name in nn.__all__)
    assert len(set(nn.__all__)) == len(nn.__all__)


def test_state_has_pytorchs_names() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm(2), nn.Linear(4, 5, bias=False)
    )
    assert list(get_state_dict(model)) == [
        "0.weight", "0.bias", "2.weight", "2.bias", "2.running_mean", "2.running_var",
        "2.num_batches_tracked", "3.weight",
    ]  # fmt: skip
    trained = [p for p in get_parameters(model) if p.requires_grad]
    assert len(trained) == 5
    assert len(model) == 4
    assert isinstance(model[1], nn.ReLU)


def test_batch_norm_moves_its_statistics_in_training_only() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 2, 3)).astype(np.float32) * 3 + 1
    layer = nn.BatchNorm(2, momentum=0.2)
    layer(Tensor(x)).realize()
    assert layer.num_batches_tracked.item() == 0
    with Tensor.train():
        y = layer(Tensor(x)).numpy()
    np.testing.assert_allclose(y.mean((0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.var((0, 2)), 1, atol=1e-3)
    assert layer.num_batches_tracked.item() == 1
    assert layer.running_mean.is_realized  # with the output that was asked for
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.2 * x.mean((0, 2)), rtol=1e-5)
    unbiased = x.transpose(1, 0, 2).reshape(2, -1).var(1, ddof=1)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.8 + 0.2 * unbiased, rtol=1e-5)
    after = layer(Tensor(x)).numpy()
    mean, var = layer.running_mean.numpy()[:, None], layer.running_var.numpy()[:, None]
    np.testing.assert_allclose(after, (x - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)


def test_running_statistics_require_no_gradient() -> None:
    layer = nn.BatchNorm(2)
    x = Tensor.ones(4, 2, 3, requires_grad=True)
    with Tensor.train():
        layer(x).sum().backward()
    assert not layer.running_mean.requires_grad
    assert layer.running_mean.grad is None
    assert layer.weight is not None
    assert layer.weight.grad is not None


def test_training_is_a_block_that_ends() -> None:
    assert not Tensor.training
    with Tensor.train():
        assert Tensor.training
        with Tensor.train(False):
            assert not Tensor.training
        assert Tensor.training
    with pytest.raises(ShapeError), Tensor.train():
        Tensor.ones(2) @ Tensor.ones(3)
    assert not Tensor.training


def test_the_padding_row_of_an_embedding_stays() -> None:
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer(Tensor([4])).tolist() == [[0.0, 0.0, 0.0]]
    layer(Tensor([1, 4, 4])).sum().backward()
    assert layer.weight.grad.sum(1).tolist() == [0.0, 3.0, 0.0, 0.0, 0.0]


def test_cells_start_from_zeros() -> None:
    cell = nn.LSTMCell(3, 2)
    x, zeros = Tensor.ones(4, 3), Tensor.zeros(4, 2)
    for ours, given in zip(cell(x), cell(x, (zeros, zeros)), strict=True):
        np.testing.assert_array_equal(ours.numpy(), given.numpy())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "2 groups do not divide 3 and 4 channels"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, groups=2), "2 groups do not divide 3 and 4"),
        (lambda: nn.GroupNorm(3, 4), "3 groups do not divide 4 channels"),
        (lambda: nn.BatchNorm(3)(Tensor.ones(2, 4)), r"input \(2, 4\) should have 3 channels"),
        (lambda: nn.GroupNorm(2, 4)(Tensor.ones(2, 6)), r"input \(2, 6\) should have 4 channels"),
        (lambda: nn.Linear(3, 4)(Tensor.ones(2, 4)), r"^Linear: input \(2, 4\) does not fit"),
        (lambda: nn.Dropout(2.0), "p is a probability"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ShapeError, ValueError), match=message):
        make()


def test_batch_norm_cannot_train_on_one_value() -> None:
    with Tensor.train(), pytest.raises(ShapeError, match="more than one value"):
        nn.BatchNorm(3)(Tensor.ones(1, 3))
