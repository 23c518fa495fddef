"""Blocks of loops, sunk to the innermost statements."""

from __future__ import annotations

from typing import Any

import pytest

from lazygrad.loops.ir import show
from lazygrad.loops.rebuild import nest, peel
from lazygrad.loops.tile import Tile, block_count, tile


def _tiled(sample: Any, size: int, width: int, overlap: bool) -> Any:
    loops, inside = peel(sample.function.body)
    *outer, last = [loop.var for loop in loops]
    blocks, body = tile(inside, Tile(last, size, width), overlap)
    return sample.with_body(nest([*outer, blocks], body))


@pytest.mark.parametrize("size", [1, 2, 4, 7, 13, 16])
@pytest.mark.parametrize("overlap", [True, False])
def test_any_block_size_keeps_values(sample: Any, size: int, overlap: bool) -> None:
    matmul = sample("matmul")
    matmul.agrees(_tiled(matmul, size, 1, overlap))


@pytest.mark.parametrize("overlap", [True, False])
def test_vectors_in_a_block_keep_values(sample: Any, overlap: bool) -> None:
    matmul = sample("matmul")
    matmul.agrees(_tiled(matmul, 8, 4, overlap))


def test_blocks_cover_the_loop(sample: Any) -> None:
    last = peel(sample("matmul").function.body)[0][-1].var
    assert [block_count(Tile(last, size)) for size in (1, 8, 13, 14)] == [13, 2, 1, 1]


def test_text(sample: Any, golden: Any) -> None:
    golden("tile.txt", show(_tiled(sample("matmul"), 8, 4, True)))
