"""What is known of an index's range, and which indices need a check."""

from __future__ import annotations

from typing import Any

import numpy as np

from lazygrad import Tensor
from lazygrad.graph.ir import Gather, InRange, Node, topological
from lazygrad.tensor.ranges import integer_range


def table(*shape: int) -> Tensor:
    return Tensor(np.arange(np.prod(shape), dtype=np.float32).reshape(shape)).realize()


def lazy(values: Any, dtype: Any = np.int64) -> Tensor:
    """An index that is not computed yet."""
    return Tensor(np.array(values, dtype)) + 0


def checks(tensor: Tensor) -> list[Node]:
    return [node for node in topological([tensor._node]) if isinstance(node, InRange)]


def test_what_is_proven_needs_no_check() -> None:
    x = table(3, 4) + 0
    proven = [
        x.gather(1, x.argmax(1, keepdim=True)),
        x.gather(0, x.argsort(0)),
        x.sort(1)[0],
        x.topk(2)[0],
        x.cummax(1)[0],
        x[Tensor.arange(3)],
        x[(lazy([5, 6]) % 3)],
        x[lazy([5, 6]).clamp(0, 2)],
        x[Tensor.ones(3).multinomial(5, replacement=True)],
        x[Tensor.ones(3).multinomial(2)],
        table(256).index_select(0, lazy([255], np.uint8)),
        x[lazy([0]).index_select(0, Tensor([0])).minimum(2).maximum(-3)],
    ]
    assert [checks(tensor) for tensor in proven] == [[]] * len(proven)
    assert all(any(isinstance(n, Gather) for n in topological([t._node])) for t in proven)


def test_a_check_is_of_each_element_once() -> None:
    index = Tensor(np.zeros((5, 1), np.int32)).realize() + 0
    made = table(3, 4).gather(0, index.cast("int64").expand(5, 4))
    (check,) = checks(made)
    assert check.shape == (5, 1)
    assert check.dtype == index.dtype
    assert checks(table(3, 2)[index[0]] + table(3, 2)[index[0]]) == checks(table(3, 2)[index[0]])


def test_ranges_hold_and_what_may_wrap_has_none() -> None:
    """The range of random integer expressions has all of their values."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        dtype = rng.choice(["int8", "uint8", "int32", "int64"])
        parts = [Tensor.arange(7).cast(dtype), Tensor(rng.integers(0, 100, 7)).cast(dtype)]
        for _ in range(6):
            x, y = (parts[n] for n in rng.integers(0, len(parts), 2))
            number = int(rng.integers(1, 50))
            parts.append(
                [x + y, x - y, x * y, x.maximum(y), x.minimum(y), x % number, x // number,
                 (x < y).where(x, y), x + number, x.flip(0), x.cast("int64").cast(dtype),
                 x.sum(0, keepdim=True).expand(7).cast(dtype), x.max(0, keepdim=True)[0].expand(7)
                 ][rng.integers(0, 13)]
            )  # fmt: skip
        for part in parts:
            low, high = integer_range(part._node)
            values = part.numpy()
            assert low <= values.min()
            assert values.max() <= high
