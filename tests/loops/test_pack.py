"""Operands copied in the order in which they are read."""

from __future__ import annotations

from typing import Any

from lazygrad.expr import Var, Zip
from lazygrad.index import add, minimum, mul
from lazygrad.loops.contraction import operand_stride, recognise
from lazygrad.loops.cpu.transpose import transpose
from lazygrad.loops.ir import Alloc, For, Store, expressions, show, statements
from lazygrad.loops.ir.rebuild import factors, in_order_of_memory, loads, nest, peel, stride
from lazygrad.loops.pack import pack
from lazygrad.loops.primitives import Schedule, split
from lazygrad.loops.sink import sink
from lazygrad.loops.unroll import unroll
from lazygrad.loops.vectorize import vectorize


def _packed(sample: Any) -> Any:
    found = recognise(sample.function.body)
    assert found is not None
    first, *rest = found.outer
    return sample.with_body(nest([first], pack(nest(rest, found.body), found.b, "panel")))


def _tiled(body: Any, var: Var, size: int) -> tuple[Var, Any]:
    """A loop's tiles of so many iterations: the loop over them, and the body of one."""
    whole = (For(var, var.extent, "serial", body),)
    (loop,) = sink(split(whole, var.name, "overlap", "o", f"i:{size}"), "i", "unroll")
    assert isinstance(loop, For)
    return loop.var, loop.body


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
    blocks, body = _tiled(found.body, row, 3)
    _, b = factors(body, False)
    body = pack(nest([*rest, blocks], body), b, "panel", vectors=True)
    assert any(
        isinstance(s, For) and s.kind == "vector" and s.extent == 3 for s in statements(body)
    )
    sample("matmul").agrees(sample("matmul").with_body(body))


def test_rows_are_copied_along_memory_where_a_sum_is_written_out(sample: Any) -> None:
    """Four terms of each row of a tile lie together, and are copied together."""
    found = recognise(sample("matmul").function.body)
    assert found is not None
    (row,) = [v for v in found.outer if operand_stride(found.a, v) not in (None, 0)]
    rest = [v for v in found.outer if v is not row]
    blocks, body = _tiled(found.body, row, 3)
    s = Schedule(body)
    s.unroll_sums()
    body = s.body
    a, _ = factors(body, False)
    body = pack(nest([blocks, *rest], body), a, "panel", vectors=True)
    (line,) = [s for s in statements(body) if isinstance(s, For) and s.kind == "vector"]
    (store,) = statements(line.body)
    assert isinstance(store, Store)
    assert stride(store.index, line.var) == 1
    assert [stride(x.index, line.var) for x in loads(store.value)] == [1]
    sample("matmul").agrees(sample("matmul").with_body(body))


def test_a_factor_is_read_in_the_order_of_memory(sample: Any) -> None:
    """Columns in blocks of a vector: a panel has one block after another, but is filled row by
    row."""
    found = recognise(sample("matmul").function.body)
    assert found is not None
    (row,) = [v for v in found.outer if operand_stride(found.a, v) not in (None, 0)]
    (column,) = [v for v in found.outer if v is not row]
    s = Schedule(nest([row, column], found.body))
    s.do(split, column.name, "overlap", "blocks", "lane:8")
    s.do(sink, "lane", "vector")
    _, b = factors(s.body, False)
    body = pack(s.body, b, "panel")
    filled, *_ = [s for s in body if isinstance(s, For)]
    loops, (store,) = peel((filled,))
    (read,) = loads(store.value)
    assert stride(read.index, loops[0].var) == column.extent
    assert len(loops) == 3
    sample("matmul").agrees(sample("matmul").with_body(body))


def test_a_transposed_factor_is_packed_in_square_blocks(sample: Any) -> None:
    """Columns are rows of memory: eight elements of each of eight rows are written out, so that
    `transpose` loads them along the rows."""
    found = recognise(sample("matmul transposed").function.body)
    assert found is not None
    (row,) = [v for v in found.outer if operand_stride(found.a, v) not in (None, 0)]
    (column,) = [v for v in found.outer if v is not row]
    s = Schedule(nest([row, column], found.body))
    s.do(split, column.name, "overlap", "blocks", "lane:4")
    s.do(sink, "lane", "vector")
    _, b = factors(s.body, False)
    body = pack(s.body, b, "panel")
    fill = [x for x in statements(body) if isinstance(x, For) and x.var.name.endswith("_p_i")]
    assert [(x.kind, x.extent) for x in fill] == [("unroll", 4)]
    made = sample("matmul transposed").with_body(transpose(unroll(vectorize(body))))
    assert any(isinstance(e, Zip) for x in statements(made.body) for e in expressions(x))
    sample("matmul transposed").agrees(made)


def test_a_loop_whose_last_block_begins_earlier_keeps_its_place() -> None:
    row, block, lane = Var("row", 5), Var("block", 4), Var("lane", 8)
    clamped = add(mul(row, 28), minimum(mul(block, 8), add(20)), lane)
    assert in_order_of_memory([lane, row, block], [clamped]) == [row, block, lane]
    turned = add(mul(minimum(mul(block, 8), add(20)), 100), mul(lane, 100), row)
    assert in_order_of_memory([row, lane, block], [turned]) == [block, lane, row]


def test_text(sample: Any, golden: Any) -> None:
    golden("pack.txt", show(_packed(sample("matmul transposed"))))
