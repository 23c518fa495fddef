"""Operands copied in the order in which they are read."""

from __future__ import annotations

from typing import Any

from lazygrad.loops.contraction import recognise
from lazygrad.loops.ir import Alloc, show
from lazygrad.loops.pack import pack
from lazygrad.loops.rebuild import nest


def _packed(sample: Any) -> Any:
    found = recognise(sample.function.body)
    assert found is not None
    first, *rest = found.outer
    return sample.with_body(nest([first], pack(nest(rest, found.body), found.b, "panel")))


def test_packing_keeps_values(sample: Any) -> None:
    for name in ("matmul", "matmul transposed", "batched matmul", "convolution"):
        sample(name).agrees(_packed(sample(name)))


def test_a_panel_has_each_element_once(sample: Any) -> None:
    (loop,) = _packed(sample("matmul transposed")).body
    assert isinstance(loop.body[0], Alloc)
    assert loop.body[0].array.size == 4 * 24


def test_text(sample: Any, golden: Any) -> None:
    golden("pack.txt", show(_packed(sample("matmul transposed"))))
