"""Layers of torch.nn with the same weights: text, outputs, gradients of inputs and parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor, nn

Shape = tuple[int, ...]
MASK = np.tril(np.ones((4, 4))) == 0

ACTIVATIONS = (
    "ReLU", "ReLU6", "SELU", "SiLU", "Mish", "GELU", "Sigmoid", "LogSigmoid", "Tanh", "Softsign",
    "Tanhshrink", "ELU", "CELU", "LeakyReLU", "Hardtanh", "Hardsigmoid", "Hardswish", "Softplus",
    "Softshrink", "Hardshrink", "PReLU", "GLU",
)  # fmt: skip

LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], list[Shape]]] = [
    *[(name, (), {}, [(2, 3, 4)]) for name in ACTIVATIONS],
    ("Threshold", (0.1, -1.0), {}, [(2, 3)]),
    ("Hardtanh", (-0.5, 0.5), {}, [(2, 3)]),
    ("Softmax", (), {"dim": 1}, [(2, 3, 4)]),
    ("LogSoftmax", (), {"dim": 0}, [(2, 3, 4)]),
    ("Softmin", (), {"dim": -1}, [(2, 3, 4)]),
    ("Softmax2d", (), {}, [(2, 3, 4, 2)]),
    ("Identity", (1, 2), {"three": 3}, [(2, 3)]),
    ("Linear", (4, 3), {"bias": False}, [(4,)]),
    ("Bilinear", (3, 4, 5), {}, [(2, 3), (2, 4)]),
    ("Flatten", (), {"start_dim": 2}, [(2, 3, 4, 5)]),
    ("Unflatten", (1, (2, 3)), {}, [(2, 6, 4)]),
    ("Conv1d", (4, 6, 3), {"stride": 2, "groups": 2, "dilation": 2}, [(2, 4, 9)]),
    ("Conv2d", (2, 3, (3, 2)), {"padding": "same", "padding_mode": "circular"}, [(2, 2, 5, 4)]),
    ("Conv2d", (2, 3, 3), {"padding": 1}, [(2, 5, 4)]),
    ("Conv3d", (2, 3, 2), {"bias": False}, [(1, 2, 3, 4, 3)]),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1}, [(2, 4, 5)]),
    ("ConvTranspose2d", (2, 4, 3), {"stride": 2, "output_padding": 1, "groups": 2}, [(2, 2, 3, 3)]),
    ("ConvTranspose3d", (2, 3, 2), {}, [(1, 2, 3, 2, 3)]),
    ("BatchNorm1d", (3,), {"momentum": 0.3}, [(4, 3, 5)]),
    ("BatchNorm2d", (3,), {"affine": False}, [(4, 3, 5, 2)]),
    ("BatchNorm3d", (3,), {"track_running_stats": False}, [(2, 3, 2, 2, 3)]),
    ("InstanceNorm1d", (3,), {"affine": True, "track_running_stats": True}, [(2, 3, 5)]),
    ("InstanceNorm2d", (3,), {}, [(3, 5, 4)]),
    ("InstanceNorm3d", (2,), {}, [(2, 2, 3, 2, 2)]),
    ("LayerNorm", ((3, 4),), {}, [(2, 3, 4)]),
    ("RMSNorm", (4,), {}, [(2, 3, 4)]),
    ("GroupNorm", (2, 4), {}, [(2, 4, 3)]),
    ("LocalResponseNorm", (3,), {"alpha": 0.1, "k": 2.0}, [(2, 5, 3, 2)]),
    ("MaxPool1d", (2,), {}, [(2, 3, 7)]),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "return_indices": True}, [(2, 3, 7, 6)]),
    ("MaxPool3d", (2,), {"ceil_mode": True}, [(2, 3, 5, 4, 3)]),
    ("AvgPool1d", (2,), {"padding": 1}, [(2, 3, 7)]),
    ("AvgPool2d", (3,), {"stride": 2, "ceil_mode": True, "divisor_override": 5}, [(2, 3, 6, 6)]),
    ("AvgPool3d", (2,), {"count_include_pad": False, "padding": 1}, [(2, 3, 5, 4, 3)]),
    ("LPPool1d", (2.0, 3), {}, [(2, 3, 7)]),
    ("LPPool2d", (3.0, 2), {"stride": 1}, [(2, 3, 5, 4)]),
    ("LPPool3d", (2.0, 2), {}, [(1, 2, 4, 4, 4)]),
    ("AdaptiveAvgPool1d", (3,), {}, [(2, 3, 7)]),
    ("AdaptiveAvgPool2d", ((3, None),), {}, [(2, 3, 7, 4)]),
    ("AdaptiveAvgPool3d", (2,), {}, [(2, 3, 5, 4, 3)]),
    ("AdaptiveMaxPool1d", (3,), {"return_indices": True}, [(2, 3, 7)]),
    ("AdaptiveMaxPool2d", ((3, 2),), {"return_indices": True}, [(2, 3, 7, 4)]),
    ("AdaptiveMaxPool3d", (2,), {"return_indices": True}, [(2, 5, 4, 3)]),
    *[(f"{mode}Pad{n}d", (tuple(range(1, 2 * n + 1)) if mode != "Reflection" else 1,), {},
       [(1, 2, 6, 7, 8)[: n + 2]])
      for mode in ("Zero", "Reflection", "Replication", "Circular") for n in (1, 2, 3)],
    ("ConstantPad1d", (2, 0.5), {}, [(2, 3, 4)]),
    ("ConstantPad2d", ((1, 2, -1, 0), 0.5), {}, [(2, 3, 4, 4)]),
    ("ConstantPad3d", (1, 0.5), {}, [(1, 2, 2, 2, 2)]),
    ("Upsample", (), {"scale_factor": 2, "mode": "bilinear"}, [(2, 3, 3, 4)]),
    ("Upsample", (5,), {"mode": "nearest"}, [(2, 3, 3)]),
    ("UpsamplingNearest2d", (), {"scale_factor": 2}, [(2, 3, 3, 4)]),
    ("UpsamplingBilinear2d", (), {"scale_factor": 2}, [(2, 3, 3, 4)]),
    ("PixelShuffle", (2,), {}, [(2, 8, 3, 2)]),
    ("PixelUnshuffle", (2,), {}, [(2, 2, 4, 6)]),
    ("ChannelShuffle", (2,), {}, [(2, 6, 3, 2)]),
    ("Unfold", ((2, 3),), {"dilation": (2, 1), "padding": 1, "stride": 2}, [(2, 3, 6, 7)]),
    ("Fold", ((5, 6), (2, 3)), {"dilation": (2, 1), "padding": (1, 0)}, [(2, 12, 20)]),
    ("CosineSimilarity", (), {"dim": 1}, [(2, 5, 3), (2, 5, 3)]),
    ("PairwiseDistance", (), {"p": 3.0, "keepdim": True}, [(2, 5), (2, 5)]),
    ("Dropout", (0.0,), {}, [(2, 3)]),
    ("RNNCell", (3, 4), {"nonlinearity": "relu"}, [(2, 3), (2, 4)]),
    ("GRUCell", (3, 4), {}, [(3,)]),
    ("LSTMCell", (3, 4), {"bias": False}, [(2, 3)]),
    ("RNN", (3, 4, 2), {"nonlinearity": "relu", "bidirectional": True}, [(4, 2, 3)]),
    ("GRU", (3, 4, 2), {"batch_first": True, "bias": False}, [(2, 4, 3), (2, 2, 4)]),
    ("LSTM", (3, 4), {"proj_size": 2, "bidirectional": True}, [(4, 2, 3)]),
    ("MultiheadAttention", (8, 2), {}, [(3, 2, 8), (4, 2, 8), (4, 2, 8)]),
    ("MultiheadAttention", (8, 2), {"batch_first": True, "kdim": 5, "vdim": 6, "bias": False},
     [(2, 3, 8), (2, 4, 5), (2, 4, 6)]),
    ("MultiheadAttention", (8, 2), {"add_bias_kv": True, "add_zero_attn": True},
     [(3, 8), (4, 8), (4, 8)]),
    ("TransformerEncoderLayer", (8, 2, 16), {"dropout": 0.0, "activation": "gelu"}, [(4, 2, 8)]),
    ("TransformerDecoderLayer", (8, 2, 16), {"dropout": 0.0, "norm_first": True},
     [(4, 2, 8), (3, 2, 8)]),
    ("Transformer", (8, 2, 2, 2, 16), {"dropout": 0.0, "batch_first": True},
     [(2, 4, 8), (2, 3, 8)]),
]  # fmt: skip


def _all(value: Any) -> list[Any]:
    """The tensors in nested tuples."""
    if isinstance(value, tuple):
        return [tensor for item in value for tensor in _all(item)]
    return [] if value is None else [value]


def _both(name: str, args: Any, options: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(*args, **options)
    mine = getattr(nn, name)(*args, **options)
    for p in theirs.parameters():  # also those that begin as 0 or 1
        p.data += torch.rand_like(p) / 4
    mine.load_state_dict({k: v.detach().numpy() for k, v in theirs.state_dict().items()})
    return mine.train(), theirs.train()


@pytest.mark.parametrize(
    ("name", "args", "options", "shapes"),
    LAYERS,
    ids=[f"{n}-{name}" for n, (name, *_) in enumerate(LAYERS)],
)
def test_layers(name: str, args: Any, options: Any, shapes: list[Shape]) -> None:
    mine, theirs = _both(name, args, options)
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    if name.startswith("LPPool"):
        arrays = [np.abs(a) for a in arrays]
    x = [Tensor(a, requires_grad=True) for a in arrays]
    y = [torch.tensor(a, requires_grad=True) for a in arrays]
    outs, expected = _all(mine(*x)), _all(theirs(*y))
    assert len(outs) == len(expected)
    weights = [rng.standard_normal(tuple(out.shape)).astype(np.float32) for out in expected]
    pairs = [(o, e, w) for o, e, w in zip(outs, expected, weights, strict=True) if e.requires_grad]
    sum(((o * Tensor(w)).sum() for o, _, w in pairs), start=Tensor(0.0)).backward()
    sum((e * torch.tensor(w)).sum() for _, e, w in pairs).backward()  # type: ignore[union-attr]
    ours = [*outs, *[t.grad for t in x], *[p.grad for p in mine.parameters()], *mine.buffers()]
    other = [*expected, *[t.grad for t in y], *[p.grad for p in theirs.parameters()],
             *theirs.buffers()]  # fmt: skip
    Tensor.realize(*ours)
    for ours_, other_ in zip(ours, other, strict=True):
        assert ours_.shape == tuple(other_.shape)
        np.testing.assert_allclose(
            ours_.numpy(), other_.detach().numpy(), rtol=1e-4, atol=2e-5, err_msg=name
        )
    text = [line.split("  # ")[0].rstrip() for line in repr(mine).splitlines()]
    told = repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear")
    assert text == told.splitlines()
