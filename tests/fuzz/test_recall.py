"""Random programs of operations that are built from templates: with and without, the same graph."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, nn
from lazygrad.graph.build import substitute
from lazygrad.graph.ir import Buffer
from lazygrad.graph.structure import Slot, structure
from lazygrad.tensor import recall

OPERATIONS: list[Callable[[Tensor, Tensor], Tensor]] = [
    lambda a, b: a @ b,
    lambda a, b: a.softmax(-1),
    lambda a, b: a.layernorm(-1, b),
    lambda a, b: Tensor.cat(a, b),
    lambda a, b: a.T,
    lambda a, b: a[0],
    lambda a, b: a.linear(b),
    lambda a, b: a.gelu(),
    lambda a, b: a.mean(0),
    lambda a, b: a.var(-1),
    lambda a, b: a.reshape(-1),
    lambda a, b: a + b,
    lambda a, b: a.mse_loss(b, reduction="none"),
    lambda a, b: a.scaled_dot_product_attention(b, b * 2),
    lambda a, b: a.max(0).values,
    lambda a, b: a.gather(-1, b.argmax(-1, keepdim=True)),
    lambda a, b: a.take_along_dim(b.argsort(-1), -1),
    lambda a, b: a.topk(2)[0],
    lambda a, b: a.logsumexp(0),
    lambda a, b: a.tril(),
    lambda a, b: a.cumsum(0),
    lambda a, b: nn.functional.one_hot(a.argmin(0), 4).float(),
]


def leaves(seed: int) -> list[Tensor]:
    r = random.Random(seed)
    n, m = r.choice([2, 3, 4]), r.choice([2, 3, 4])
    values = np.random.default_rng(seed)
    return [
        Tensor(values.random(shape, dtype=np.float32), requires_grad=bool(seed % 2)).realize()
        for shape in ((n, m), (m, n), (m,), (n, n))
    ]


def built(seed: int, given: list[Tensor]) -> tuple[Any, list[Any]]:
    """The graph of a random program's results, and the kinds of its errors."""
    r, pool, nodes, found = random.Random(seed), list(given), [], []
    for _ in range(10):
        operation, a, b = r.choice(OPERATIONS), r.choice(pool), r.choice(pool)
        try:
            made = operation(a, b)
        except (ValueError, TypeError, IndexError) as error:
            found.append(type(error))
            continue
        nodes.append(made._node)
        if made.ndim and made.numel() < 400:
            pool.append(made)
    own = {x._node: Buffer(Slot.of(x._node), x.shape) for x in given}  # equal nodes become one
    return structure(substitute(nodes, own))[0], found


@pytest.mark.parametrize("first", [0, pytest.param(1000, marks=pytest.mark.slow)])
def test_templates_give_the_nodes_that_operations_build(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any) -> Any:
        raise recall._Unknown

    recall._templates.clear()
    for seed in range(first, first + (400 if first == 0 else 3000)):
        given = leaves(seed)
        from_templates = built(seed, given)
        with monkeypatch.context() as without:
            without.setattr(recall, "_note_values", unknown)
            assert built(seed, given) == from_templates, f"seed {seed}"
    kept = [each for each in recall._templates.values() if isinstance(each, recall._Kept)]
    assert len(kept) > 100
