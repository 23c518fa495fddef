"""Integers of every type are integers: Python's, NumPy's, enumerations', bound variables,
sizes in a captured function."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import pytest

from lazygrad import Tensor, Variable, nn
from lazygrad.graph.ir import topological
from lazygrad.jit.sizes import WatchedSize


class Number(IntEnum):
    THREE = 3


KINDS = {
    "variable": Variable("n", 1, 9).bind(3),
    "numpy": np.int64(3),
    "enumeration": Number.THREE,
    "watched": WatchedSize(3),
}
CUBE = np.arange(6.0**3, dtype=np.float32).reshape(6, 6, 6)


def cube():
    return Tensor(CUBE)


def image():
    return Tensor(CUBE[None, :3])


CALLS = {
    "ones": lambda n: Tensor.ones(n, 2),
    "full": lambda n: Tensor.full((2, n), 0.5),
    "eye": lambda n: Tensor.eye(n),
    "arange": lambda n: Tensor.arange(n),
    "arange_step": lambda n: Tensor.arange(1, 30, n),
    "linspace": lambda n: Tensor.linspace(0, 1, n),
    "reshape": lambda n: cube().reshape(n, -1),
    "view": lambda n: cube().view((2, n, 36)),
    "unflatten": lambda n: cube().unflatten(0, (n, 2)),
    "expand": lambda n: Tensor.ones(1, 2).expand(n, 2),
    "repeat": lambda n: cube().repeat(n, 1, 1),
    "tile": lambda n: cube().tile(n),
    "repeat_interleave": lambda n: cube().repeat_interleave(n, 1),
    "slice": lambda n: cube()[:n],
    "steps": lambda n: cube()[::n],
    "index": lambda n: cube()[n],
    "column": lambda n: cube()[:, n],
    "narrow": lambda n: cube().narrow(1, n, n),
    "select": lambda n: cube().select(0, n),
    "shrink": lambda n: cube().shrink(((0, n), (1, n), (n, 6))),
    "shrink_to": lambda n: cube().shrink_to(n, n, 6),
    "pad": lambda n: cube().pad((n, n)),
    "pad_all": lambda n: cube().pad(n),
    "pad_pairs": lambda n: cube().pad(((n, 0), None, (0, n))),
    "pad_to": lambda n: Tensor.ones(2, 2).pad_to(n, n),
    "split": lambda n: cube().split(n)[1],
    "split_sizes": lambda n: cube().split([n, 1, 2])[0],
    "chunk": lambda n: cube().chunk(n)[1],
    "tensor_split": lambda n: cube().tensor_split(n)[0],
    "dsplit": lambda n: cube().dsplit(n)[2],
    "unfold": lambda n: cube().unfold(0, n, n),
    "roll": lambda n: cube().roll(n),
    "roll_axes": lambda n: cube().roll((n, 1), (0, 2)),
    "rot90": lambda n: cube().rot90(n),
    "diff": lambda n: cube().diff(n),
    "tril": lambda n: cube().tril(n),
    "diagonal": lambda n: cube().diagonal(n),
    "diag": lambda n: Tensor.arange(4).diag(n),
    "topk": lambda n: cube().topk(n)[0],
    "kthvalue": lambda n: cube().kthvalue(n)[0],
    "one_hot": lambda n: Tensor([0, 2]).one_hot(n),
    "bincount": lambda n: Tensor([0, 1]).bincount(minlength=n),
    "tensordot": lambda n: cube().tensordot(cube(), n),
    "sum_to_size": lambda n: Tensor.ones(2, 3).sum_to_size(1, n),
    "layer_norm": lambda n: Tensor.ones(2, 3).layer_norm(n),
    "rms_norm": lambda n: Tensor.ones(2, 3).rms_norm(n),
    "max_pool2d": lambda n: cube().max_pool2d(n),
    "avg_pool2d": lambda n: cube().avg_pool2d(n, stride=n, padding=1),
    "adaptive_avg_pool2d": lambda n: cube().adaptive_avg_pool2d(n),
    "conv2d": lambda n: image().conv2d(Tensor.ones(3, 1, 2, 2), stride=n, padding=n, groups=n),
    "conv_transpose2d": lambda n: image().conv_transpose2d(Tensor.ones(3, 1, 2, 2), stride=n),
    "interpolate": lambda n: image().interpolate(n),
    "Conv2d": lambda n: _filled(nn.Conv2d(n, n, n, padding=n))(image()),
    "Linear": lambda n: _filled(nn.Linear(6, n))(cube()),
    "LayerNorm": lambda n: nn.LayerNorm(n)(Tensor.ones(2, n)),
    "RMSNorm": lambda n: nn.RMSNorm(n)(Tensor.ones(2, n)),
    "BatchNorm": lambda n: nn.BatchNorm2d(n)(image()),
    "GroupNorm": lambda n: nn.GroupNorm(n, n)(image()),
    "MaxPool2d": lambda n: nn.MaxPool2d(n)(image()),
    "ConstantPad1d": lambda n: nn.ConstantPad1d(n, 0.0)(cube()),
    "Embedding": lambda n: _filled(nn.Embedding(n, n))(Tensor([0, 2])),
    "Flatten": lambda n: nn.Flatten(1, n)(image()),
    "meshgrid": lambda n: Tensor.arange(n).meshgrid(Tensor.arange(n))[0],
    "cumsum": lambda n: image().cumsum(n),
    "sum": lambda n: image().sum(n),
    "sums": lambda n: image().sum((0, n)),
    "permute": lambda n: image().permute(n, 0, 1, 2),
    "movedim": lambda n: image().movedim(n, 0),
    "transpose": lambda n: image().transpose(0, n),
    "flip": lambda n: image().flip(n),
    "unsqueeze": lambda n: cube().unsqueeze(n),
    "flatten": lambda n: image().flatten(2, n),
    "stack": lambda n: Tensor.stack([cube(), cube()], n),
    "cat": lambda n: Tensor.cat(image(), image(), axis=n),
    "softmax": lambda n: image().softmax(n),
    "gather": lambda n: image().gather(n, Tensor.zeros(1, 3, 6, 1, dtype="int64")),
    "tensor": lambda n: Tensor(n),
    "list": lambda n: Tensor([n, 4]),
    "nested": lambda n: Tensor([[n, 4], (1, n)]),
    "value": lambda n: Tensor.full((2, 2), n),
    "full_like": lambda n: cube().full_like(n),
    "fill": lambda n: cube().clone().fill_(n),
    "written": lambda n: _with(cube(), lambda x: x.__setitem__((0, n), n)),
    "written_slice": lambda n: _with(cube(), lambda x: x.__setitem__(slice(n), n)),
    "where": lambda n: (cube() > n).where(cube(), n),
    "masked_fill": lambda n: cube().masked_fill(cube() == n, n),
    "clamp": lambda n: cube().clamp(n, 2 * 3),
    "maximum": lambda n: cube().maximum(n),
    "minus": lambda n: n - cube(),
    "over": lambda n: (cube() / n) + n / (cube() + 1),
    "floor": lambda n: Tensor.arange(9) // n + Tensor.arange(9) % n,
    "two_to": lambda n: n ** (cube() / 100),
    "integer": lambda n: Tensor.arange(9) * n,
    "tri": lambda n: Tensor.ones(n, n).triu(1),
    "index_select": lambda n: cube().index_select(0, Tensor([n])),
    "take": lambda n: cube()[[0, n]],
    "pair": lambda n: cube()[n, ..., :n],
    "einsum": lambda n: Tensor.einsum("ij,jk->ik", Tensor.ones(n, 2), Tensor.ones(2, n)),
    "addcmul": lambda n: cube().addcmul(cube(), cube(), value=n),
    "lerp": lambda n: cube().lerp(cube() + 1, n),
    "norm": lambda n: cube().norm(n),
    "quantile": lambda n: Tensor.linspace(0, 1, 7).cumsum(0)[:n],
    "logsumexp": lambda n: image().logsumexp(n),
    "argmax": lambda n: image().argmax(n),
    "sort": lambda n: image().sort(n)[0],
    "var": lambda n: image().var(n),
    "pixel_shuffle": lambda n: nn.functional.pixel_shuffle(Tensor.ones(1, 9, 2, 2), n),
    "functional_pad": lambda n: nn.functional.pad(cube(), (n, 0, 0, n), value=n),
    "functional_unfold": lambda n: nn.functional.unfold(image(), n, stride=n),
    "dropout": lambda n: nn.Dropout(0.0)(Tensor.ones(n)),
    "Unflatten": lambda n: nn.Unflatten(1, (1, n))(image()),
    "Upsample": lambda n: nn.Upsample(scale_factor=n)(image()),
    "functional_one_hot": lambda n: nn.functional.one_hot(Tensor([0, 2]), n),
    "cross_entropy": lambda n: nn.functional.cross_entropy(
        Tensor.ones(n, 4), Tensor([1, 1, 2]), ignore_index=n
    ),
    "randperm": lambda n: (Tensor.manual_seed(1), Tensor.randperm(n))[1],
    "randn": lambda n: (Tensor.manual_seed(1), Tensor.randn(2, n))[1],
    "times": lambda n: cube() * n,
    "power": lambda n: cube() ** n,
    "shift": lambda n: Tensor.arange(9) << n,
}


def _with(x, change):
    x = x.clone()
    change(x)
    return x


def _filled(layer):
    for each in layer.parameters():
        each.assign(Tensor.arange(each.numel()).reshape(each.shape).cast("float32"))
    return layer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CALLS)
def test_an_integer_of_another_type_gives_the_same(name, kind):
    with np.errstate(all="ignore"):
        expected, found = CALLS[name](3), CALLS[name](KINDS[kind])
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        assert np.array_equal(found.numpy(), expected.numpy())
    for node in topological([CALLS[name](KINDS[kind])._node]):
        held = [getattr(node, field) for field in node._fields if field != "value"]
        assert all(type(n) in (int, bool) for n in _integers((node.shape, *held)))


def _integers(value):
    if isinstance(value, (int, np.integer)):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _integers(each)
