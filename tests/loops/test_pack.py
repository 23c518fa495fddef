"""Operands copied in the order in which they are read."""

from __future__ import annotations

from typing import Any

from lazygrad.loops.contraction import factors, operand_stride, recognise
from lazygrad.loops.ir import Alloc, For, show, statements
from lazygrad.loops.pack import pack
from lazygrad.loops.rebuild import nest
from lazygrad.loops.tile import Tile, tile


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


def test_what_lies_together_is_copied_together(sample: Any) -> None:
    found = recognise(sample("matmul").function.body)
    assert found is not None
    (row,) = [v for v in found.outer if operand_stride(found.b, v) == 1]
    rest = [v for v in found.outer if v is not row]
    blocks, body = tile(found.body, Tile(row, 3), overlap=True)
    _, b = factors(body, False)
    body = pack(nest([*rest, blocks], body), b, "panel", vectors=True)
    assert any(
        isinstance(s, For) and s.kind == "vector" and s.extent == 3 for s in statements(body)
    )
    sample("matmul").agrees(sample("matmul").with_body(body))


def test_text(sample: Any, golden: Any) -> None:
    golden("pack.txt", show(_packed(sample("matmul transposed"))))
