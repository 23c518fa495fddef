"""What a tile of a contraction reads from which cache, and the best blocks of its sum.

The part of the vector factor b that each tile in a row of tiles reads again should stay in L1. The
other factor a, and what does not fit in L1, comes from L2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from ...expr import Expr, Var
from ...index import divisors
from ...targets import L1_SHARE, PAGE, SUM_BLOCK_BYTES, SUM_BLOCK_TERMS, TAPS, Machine
from ..contraction import Contraction, bytes_of, extent_of, operand_stride
from ..ir.rebuild import variables


@dataclass(frozen=True)
class Tile:
    """A loop's block: `size` iterations of `var`, in vectors of `width` lanes if that is not 1."""

    var: Var
    size: int
    width: int = 1

    @property
    def count(self) -> int:
        """How many blocks cover the loop."""
        return -(-self.var.extent // self.size)


def block_of_sum(
    c: Contraction, b: Expr, packed: bool, tiles: Sequence[Tile], machine: Machine
) -> tuple[Var, int] | None:
    """The summed loop to split, and into how many blocks; None where the sum is best left whole.

    The loop over blocks goes outside of the output's loops. Each block's share of both factors is
    then read from memory once, and a tile's part of b stays in L1 for the next row of tiles.
    """
    loops = (*c.outer, *c.inner)
    small = bytes_of(c.a, loops) + bytes_of(c.b, loops) <= SUM_BLOCK_BYTES
    k = c.inner[0]
    is_tap = k in c.fixed and k.extent <= TAPS
    is_asked_for = bool(c.fixed) and c.fixed.isdisjoint(c.inner)  # a guard of the whole sum
    if small or extent_of(c.inner) < SUM_BLOCK_TERMS or is_tap or is_asked_for:
        return None
    wanted = machine.l1_bytes * L1_SHARE

    def misfit(count: int) -> float:
        nbytes = window(b, packed, _within(c, tiles, (k, count)))
        return max(nbytes / wanted, wanted / nbytes)

    count = min(divisors(k.extent), key=misfit)
    return (k, count) if count > 1 else None


def l2_traffic(
    c: Contraction,
    factors: tuple[Expr, Expr],
    packed: bool,
    tiles: Sequence[Tile],
    sum_block: tuple[Var, int] | None,
    machine: Machine,
) -> float:
    """The bytes that a tile reads from L2 for each term: its rows of a, and the part of b that the
    tile before has not left in L1, as it does not fit there beside these rows."""
    (a, b), extents = factors, _within(c, tiles, sum_block)
    of_a, of_b = window(a, False, extents), window(b, packed, extents)
    missing = max(0, of_a + of_b - machine.l1_bytes)
    return (of_a + min(missing, of_b)) / prod(extents[v] for v in c.inner)


def in_conflict(e: Expr, var: Var) -> bool:
    """Whether the elements that e reads along var are in conflict for the same sets of L1: they lie
    whole pages apart."""
    apart = operand_stride(e, var)
    return apart is not None and apart != 0 and apart * e.dtype.itemsize % PAGE == 0


def window(e: Expr, packed: bool, extents: Mapping[Var, int]) -> int:
    """How many bytes e reads in loops of these extents. An element that several windows read counts
    once, but for each of them if e is packed."""
    return _window(e, packed, tuple([extents.get(v) for v, _ in _steps(e)]))


@lru_cache(maxsize=1 << 12)
def _window(e: Expr, packed: bool, extents: tuple[int | None, ...]) -> int:
    """As `window`, with an extent for each of e's variables, the one with the least step first."""
    found: list[tuple[int, int]] = []  # (step, elements so far apart)
    for (_, step), n in zip(_steps(e), extents, strict=True):
        if n is None:
            continue
        if found and found[-1][0] and step % found[-1][0] == 0 and not packed:
            unit, count = found[-1]
            if step <= unit * count:
                found[-1] = unit, count + (n - 1) * (step // unit)
                continue
        found.append((step, n))
    return prod(n for _, n in found) * e.dtype.itemsize


@lru_cache(maxsize=1 << 10)
def _steps(e: Expr) -> list[tuple[Var, int]]:
    """The variables of e with how far e moves for a step of each, the least first."""
    return sorted(((v, abs(operand_stride(e, v) or 0)) for v in variables(e)), key=lambda x: x[1])


def _within(
    c: Contraction, tiles: Sequence[Tile], sum_block: tuple[Var, int] | None
) -> dict[Var, int]:
    """The extents of a tile's loops in one block of the sum."""
    extents = {t.var: t.size for t in tiles} | {v: v.extent for v in c.inner}
    if sum_block is not None:
        extents[sum_block[0]] //= sum_block[1]
    return extents
