"""Elements agrees with evaluate(), and tells what a nan begins with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.dtypes import float32
from lazygrad.graph import elements, ir
from lazygrad.graph.elements import Elements, TooManyError
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Const, Div, Exp, Log, Mul, Node, Pad, Reduce, Sub, Where

RNG = np.random.default_rng(0)

PROGRAMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "softmax": lambda x, y: x.softmax(1) * 2,
    "product": lambda x, y: (x @ y.T).relu(),
    "convolution": lambda x, y: x.reshape(1, 2, 3, 5).conv2d(y.reshape(2, 2, 3, 2), padding=1),
    "movement": lambda x, y: x.T[::-1, 1:].pad(((1, 0), (0, 2)), value=3.0).expand(2, 6, 7),
    "joined": lambda x, y: x.cat(y, dim=0).permute(1, 0).reshape(10, 5),
    "gather": lambda x, y: x[Tensor([3, 0, 1]), Tensor([1, 2, 0])] + y[0, :3],
    "scatter": lambda x, y: x.scatter_add(0, Tensor([[0, 3, 1]]), y) * 2,
    "sort": lambda x, y: x.sort(1)[0].exp(),
    "pooling": lambda x, y: x.reshape(1, 1, 6, 5).max_pool2d(2, padding=1),
    "scan": lambda x, y: x.cumsum(0).mean(),
    "halves": lambda x, y: (x.half() + y[0, 0].half()).float(),
    "where": lambda x, y: (x > y[:, :1].max()).where(x.log(), -x),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_element_is_that_of_the_whole(name: str) -> None:
    values = [RNG.standard_normal(shape).astype(np.float32) for shape in ((6, 5), (4, 5))]
    if name == "convolution":
        values[1] = RNG.standard_normal((8, 3)).astype(np.float32)
    x, y = map(Tensor, values)
    node = PROGRAMS[name](x, y).node
    buffers = [n for n in ir.topological([node]) if isinstance(n, ir.Buffer)]
    known: dict[Node, np.ndarray] = {n: evaluate([n])[0] for n in buffers}
    (whole,) = evaluate([node])
    for place in RNG.integers(0, node.size, 8):
        found = Elements(node, int(place), known).value
        np.testing.assert_allclose(found, whole.reshape(-1)[place], rtol=1e-6)


def begins(node: Node, known: dict[Node, np.ndarray], place: int = 0) -> str:
    found = Elements(node, place, known).cause(np.isnan)
    return "a constant" if found is None else f"{found[0].name} at {found[1]}"


def test_a_nan_begins_where_no_input_is_one(leaf: Callable[..., Node]) -> None:
    values = np.array([[1.0, 2.0], [3.0, -1.0]], np.float32)
    x = leaf(values)
    total = Reduce(Log(x), "sum", (1,))
    y = Exp(Sub(total, Const(1.0, float32, (2,))))
    assert begins(y, {x: values}, 1) == "log at 3"


def test_infinities_make_a_nan(leaf: Callable[..., Node]) -> None:
    values = np.array([np.inf], np.float32)
    x = leaf(values)
    assert begins(Mul(Sub(x, x), x), {x: values}) == "sub at 0"


def test_what_is_not_chosen_does_not_count(leaf: Callable[..., Node]) -> None:
    values = np.array([0.0], np.float32)
    x, nan = leaf(values), Const(np.nan, float32, (1,))
    chosen = Where(ir.Less(x, Const(1.0, float32, (1,))), Div(x, x), nan)
    assert begins(chosen, {x: values}) == "div at 0"
    chosen = Where(ir.Less(x, Const(0.0, float32, (1,))), Div(x, x), nan)
    assert begins(chosen, {x: values}) == "a constant"


def test_padding_is_a_constant(leaf: Callable[..., Node]) -> None:
    values = np.array([0.0], np.float32)
    x = leaf(values)
    assert begins(Exp(Pad(x, ((0, 1),), np.nan)), {x: values}, 1) == "a constant"


def test_too_many_elements(leaf: Callable[..., Node], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "MAX_PLACES", 3)
    x = leaf(np.zeros(4, np.float32))
    with pytest.raises(TooManyError):
        Elements(Reduce(x, "sum", (0,)), 0, {x: np.zeros(4)})
