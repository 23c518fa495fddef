"""Layers with PyTorch's weights: outputs, gradients of every parameter, running statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor, nn
from lazygrad.nn.state import get_state_dict

Pair = tuple[Callable[[], Any], Callable[[], Any], tuple[int, ...]]

LAYERS: dict[str, Pair] = {
    "linear": (lambda: nn.Linear(6, 4), lambda: torch.nn.Linear(6, 4), (3, 6)),
    "linear without bias": (
        lambda: nn.Linear(6, 4, bias=False),
        lambda: torch.nn.Linear(6, 4, bias=False),
        (2, 3, 6),
    ),
    "conv1d": (
        lambda: nn.Conv1d(4, 6, 3, stride=2, groups=2),
        lambda: torch.nn.Conv1d(4, 6, 3, stride=2, groups=2),
        (2, 4, 9),
    ),
    "conv2d": (
        lambda: nn.Conv2d(3, 4, 3, padding=1),
        lambda: torch.nn.Conv2d(3, 4, 3, padding=1),
        (2, 3, 6, 5),
    ),
    "conv_transpose2d": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2),
        lambda: torch.nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2),
        (2, 4, 4, 5),
    ),
    "batch_norm": (lambda: nn.BatchNorm(4), lambda: torch.nn.BatchNorm2d(4), (3, 4, 5, 2)),
    "batch_norm of vectors": (lambda: nn.BatchNorm(4), lambda: torch.nn.BatchNorm1d(4), (7, 4)),
    "batch_norm that averages": (
        lambda: nn.BatchNorm(4, momentum=None),
        lambda: torch.nn.BatchNorm2d(4, momentum=None),
        (3, 4, 5, 2),
    ),
    "batch_norm without tracking": (
        lambda: nn.BatchNorm(4, affine=False, track_running_stats=False),
        lambda: torch.nn.BatchNorm2d(4, affine=False, track_running_stats=False),
        (3, 4, 5, 2),
    ),
    "layer_norm": (lambda: nn.LayerNorm(5), lambda: torch.nn.LayerNorm(5), (3, 4, 5)),
    "layer_norm of two axes": (
        lambda: nn.LayerNorm((4, 5), bias=False),
        lambda: torch.nn.LayerNorm((4, 5), bias=False),
        (3, 4, 5),
    ),
    "rms_norm": (lambda: nn.RMSNorm(5), lambda: torch.nn.RMSNorm(5), (3, 5)),
    "group_norm": (lambda: nn.GroupNorm(2, 6), lambda: torch.nn.GroupNorm(2, 6), (3, 6, 4, 2)),
    "group_norm of nothing": (
        lambda: nn.GroupNorm(2, 6),
        lambda: torch.nn.GroupNorm(2, 6),
        (0, 6, 4),
    ),
    "instance_norm": (
        lambda: nn.InstanceNorm(3, affine=True),
        lambda: torch.nn.InstanceNorm2d(3, affine=True),
        (2, 3, 4, 5),
    ),
    "gru": (lambda: nn.GRUCell(5, 4), lambda: torch.nn.GRUCell(5, 4), (3, 5)),
    "lstm": (lambda: nn.LSTMCell(5, 4), lambda: torch.nn.LSTMCell(5, 4), (3, 5)),
    "activations": (
        lambda: nn.Sequential(nn.ReLU(), nn.LeakyReLU(0.2), nn.GELU(), nn.SiLU(), nn.Sigmoid(),
                              nn.Tanh(), nn.Softmax(1), nn.Identity()),
        lambda: torch.nn.Sequential(
            torch.nn.ReLU(), torch.nn.LeakyReLU(0.2), torch.nn.GELU(), torch.nn.SiLU(),
            torch.nn.Sigmoid(), torch.nn.Tanh(), torch.nn.Softmax(1), torch.nn.Identity()),
        (3, 4),
    ),
    "pooling": (
        lambda: nn.Sequential(nn.MaxPool2d(2), nn.AvgPool2d(2, 1), nn.AdaptiveAvgPool2d(2),
                              nn.Flatten()),
        lambda: torch.nn.Sequential(torch.nn.MaxPool2d(2), torch.nn.AvgPool2d(2, 1),
                                    torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten()),
        (2, 3, 9, 8),
    ),
}  # fmt: skip


# (the name in both libraries, its arguments, the shape of the input)
NAMED: list[tuple[str, tuple[Any, ...], tuple[int, ...]]] = [
    ("ReLU6", (), (3, 8)), ("ELU", (0.7,), (3, 8)), ("CELU", (0.7,), (3, 8)), ("SELU", (), (3, 8)),
    ("Mish", (), (3, 8)), ("Hardtanh", (-0.5, 0.7), (3, 8)), ("Hardsigmoid", (), (3, 8)),
    ("Hardswish", (), (3, 8)), ("Softplus", (2.0,), (3, 8)), ("Softsign", (), (3, 8)),
    ("Softshrink", (0.3,), (3, 8)), ("Hardshrink", (0.3,), (3, 8)), ("Tanhshrink", (), (3, 8)),
    ("LogSigmoid", (), (3, 8)), ("Threshold", (0.1, -2.0), (3, 8)), ("GLU", (1,), (3, 8)),
    ("LogSoftmax", (1,), (3, 8)), ("Softmin", (1,), (3, 8)), ("PReLU", (8,), (3, 8, 2)),
    ("Unflatten", (1, (2, 4)), (3, 8)), ("MaxPool1d", (3, 2, 1), (2, 3, 9)),
    ("MaxPool3d", (2,), (2, 3, 4, 5, 4)), ("AvgPool1d", (3, 2, 1), (2, 3, 9)),
    ("AvgPool3d", (2,), (2, 3, 4, 5, 4)), ("AdaptiveAvgPool1d", (4,), (2, 3, 9)),
    ("AdaptiveMaxPool1d", (4,), (2, 3, 9)), ("AdaptiveMaxPool2d", ((2, 3),), (2, 3, 5, 9)),
    ("Upsample", ((5, 7),), (2, 3, 4, 4)), ("PixelShuffle", (2,), (2, 8, 3, 3)),
    ("PixelUnshuffle", (2,), (2, 3, 4, 6)), ("ZeroPad2d", ((1, 2, 0, 3),), (2, 3, 4, 4)),
    ("ConstantPad2d", (1, 0.5), (2, 3, 4, 4)), ("Conv3d", (2, 3, 2), (1, 2, 4, 3, 4)),
    ("ConvTranspose1d", (4, 3, 3, 2), (2, 4, 5)), ("ConvTranspose3d", (2, 3, 2), (1, 2, 3, 2, 3)),
    ("RNNCell", (5, 4), (3, 5)), ("InstanceNorm1d", (3,), (2, 3, 5)),
]  # fmt: skip
LAYERS.update(
    {
        name: (
            lambda name=name, args=args: getattr(nn, name)(*args),
            lambda name=name, args=args: getattr(torch.nn, name)(*args),
            shape,
        )
        for name, args, shape in NAMED
    }
)
for mode in ("reflect", "replicate", "circular"):
    LAYERS[f"conv2d with {mode}"] = (
        lambda mode=mode: nn.Conv2d(2, 3, (3, 2), padding=(2, 1), padding_mode=mode),
        lambda mode=mode: torch.nn.Conv2d(2, 3, (3, 2), padding=(2, 1), padding_mode=mode),
        (2, 2, 5, 4),
    )


def with_weights_of(layer: Any, reference: Any) -> Any:
    """The layer with PyTorch's weights (made different from 0 and 1), which has the same names."""
    torch.manual_seed(0)
    own = get_state_dict(layer)
    for name, value in reference.state_dict().items():
        if value.dtype.is_floating_point and "running" not in name:
            value.add_(torch.randn_like(value) * 0.3)
        own[name].assign(value.numpy().copy())
    return layer


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("training", [True, False])
def test_layers_agree(name: str, training: bool, rng: np.random.Generator) -> None:
    ours, theirs, shape = LAYERS[name]
    reference = theirs()
    reference.train(training)
    layer = with_weights_of(ours(), reference)
    for _ in range(2):  # twice: running statistics move, gradients add up
        values = rng.standard_normal(shape).astype(np.float32)
        x, u = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        with Tensor.train(training):
            y = layer(x)
        v = reference(u)
        y, v = (y, v) if isinstance(y, Tensor) else (y[0] + y[1], v[0] + v[1])
        np.testing.assert_allclose(y.numpy(), v.detach().numpy(), rtol=1e-4, atol=1e-5)
        (y * y).sum().backward()
        (v * v).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), u.grad.numpy(), rtol=1e-3, atol=1e-4)
    own = get_state_dict(layer)
    for key, parameter in reference.named_parameters():
        np.testing.assert_allclose(
            own[key].grad.numpy(), parameter.grad.numpy(), rtol=1e-3, atol=1e-4, err_msg=key
        )
    for key, buffer in reference.named_buffers():
        np.testing.assert_allclose(own[key].numpy(), buffer.numpy(), rtol=1e-5, atol=1e-6)
    assert set(own) == set(reference.state_dict())


WIDE: list[Pair] = [
    (lambda: nn.Linear(300, 80), lambda: torch.nn.Linear(300, 80), ()),
    (lambda: nn.Conv1d(16, 64, 5), lambda: torch.nn.Conv1d(16, 64, 5), ()),
    (lambda: nn.Conv2d(16, 64, 3, groups=2), lambda: torch.nn.Conv2d(16, 64, 3, groups=2), ()),
    (
        lambda: nn.ConvTranspose2d(16, 96, 3, groups=2),
        lambda: torch.nn.ConvTranspose2d(16, 96, 3, groups=2),
        (),
    ),
    (lambda: nn.GRUCell(20, 60), lambda: torch.nn.GRUCell(20, 60), ()),
    (lambda: nn.LSTMCell(20, 60), lambda: torch.nn.LSTMCell(20, 60), ()),
    (lambda: nn.BatchNorm(9), lambda: torch.nn.BatchNorm2d(9), ()),
    (lambda: nn.Embedding(50, 80), lambda: torch.nn.Embedding(50, 80), ()),
]


@pytest.mark.parametrize("pair", WIDE, ids=range(len(WIDE)))
def test_initial_weights_are_spread_as_pytorchs(pair: Pair) -> None:
    Tensor.manual_seed(0)
    torch.manual_seed(0)
    own, reference = get_state_dict(pair[0]()), pair[1]().state_dict()
    for key, expected in reference.items():
        values, theirs = own[key].numpy(), expected.numpy()
        assert values.shape == theirs.shape
        assert abs(values.std() - theirs.std()) <= 0.2 * theirs.std()
        assert abs(np.abs(values).max() - np.abs(theirs).max()) <= 0.15 * np.abs(theirs).max()
        if theirs.size and theirs.min() == theirs.max():
            np.testing.assert_array_equal(values, theirs)


def test_embedding_agrees() -> None:
    index = np.array([[1, 0, 3], [3, 3, 2]])
    reference = torch.nn.Embedding(5, 4, padding_idx=3)
    layer = with_weights_of(nn.Embedding(5, 4, padding_idx=3), reference)
    y, v = layer(Tensor(index)), reference(torch.tensor(index))
    np.testing.assert_allclose(y.numpy(), v.detach().numpy())
    (y * y).sum().backward()
    (v * v).sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), reference.weight.grad.numpy(), rtol=1e-5)
