"""Tensors side by side: joining, repeating, padding, grids; triangles and diagonals."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Self

from ..errors import ArgumentError, KindError, ShapeError, check_integers, told
from ..graph import build, ir
from ..graph.ir import Node, Shape
from ..questions import depends_on
from .arguments import normalized_axis, plain, shape_of
from .core import Number, TensorCore
from .movement import Movement
from .operands import cast_node, result_dtype
from .recall import recalled

Padding = Sequence[int] | Sequence[Sequence[int] | None] | int


def pad_node(node: Node, padding: Sequence[tuple[int, int]], value: Number = 0) -> Node:
    """The node with `value` around it; a negative width crops."""
    if any(before < 0 or after < 0 for before, after in padding):
        sizes = zip(node.shape, padding, strict=True)
        kept = [n + min(before, 0) + min(after, 0) for n, (before, after) in sizes]
        if min(kept) < 0:
            raise ShapeError(f"pad: {tuple(padding)} crops more than there is of {node.shape}")
        starts = [max(-before, 0) if n else 0 for n, (before, _) in zip(kept, padding, strict=True)]
        node = ir.Slice(node, tuple(starts), tuple(kept), (1,) * len(kept))
        padding = [(max(before, 0), max(after, 0)) for before, after in padding]
    if not any(before or after for before, after in padding):
        return node
    return ir.Pad(node, tuple(padding), value)


class Joining(Movement):
    """Axes may be negative, counted from the last; several tensors may be arguments or a list."""

    __slots__ = ()

    # ------------------------------------------------------------------- joining

    @partial(recalled, any_size=True)
    def cat(self, *others: TensorCore, axis: int = 0) -> Self:
        """Tensors joined along an axis: `Tensor.cat(a, b, axis=0)` or `Tensor.cat([a, b], 0)`.
        Vectors of no elements fit any shape, as in PyTorch."""
        tensors: list[Self]
        tensors, axis = _joined_along(self, others, axis)
        dtype = result_dtype(tensors)
        tensors = [t for t in tensors if t.shape != (0,)] or tensors
        first = tensors[0]
        axis = normalized_axis("cat", axis, first.ndim)
        if not first.shape:
            raise ShapeError("cat: tensors of shape () have no axis; use stack")
        for other in tensors[1:]:
            fits = other.ndim == first.ndim and all(
                n == m or i == axis
                for i, (n, m) in enumerate(zip(first.shape, other.shape, strict=True))
            )
            if not fits:
                shapes = " and ".join(str(t.shape) for t in (first, other))
                raise ShapeError(f"cat: shapes {shapes} differ on other axes than {axis}")
        nodes = [cast_node(t._node, dtype) for t in tensors if t.shape[axis]]
        joined = build.joined(nodes, axis) if nodes else cast_node(first._node, dtype)
        return first._derived(joined, *tensors[1:])

    def stack(self, *others: TensorCore, axis: int = 0) -> Self:
        """Tensors of one shape joined along a new axis: `Tensor.stack(a, b)` or of a list."""
        tensors: list[Self]
        tensors, axis = _joined_along(self, others, axis)
        first = tensors[0]
        for other in tensors[1:]:
            if other.shape != first.shape:
                raise ShapeError(f"stack: shapes {first.shape} and {other.shape} differ")
        axis = normalized_axis("stack", axis, first.ndim + 1)
        parts = [tensor.unsqueeze(axis) for tensor in tensors]
        return parts[0].cat(*parts[1:], axis=axis)

    def hstack(self, *others: TensorCore) -> Self:
        """Tensors joined along their second axis; vectors along their only one."""
        tensors: list[Self] = [t.atleast_1d() for t in _several(self, others)]
        return tensors[0].cat(*tensors[1:], axis=min(1, tensors[0].ndim - 1))

    def vstack(self, *others: TensorCore) -> Self:
        """Tensors joined along their first axis; vectors are rows."""
        tensors: list[Self] = [t.atleast_2d() for t in _several(self, others)]
        return tensors[0].cat(*tensors[1:])

    def dstack(self, *others: TensorCore) -> Self:
        """Tensors joined along their third axis, which they get if they lack it."""
        tensors: list[Self] = [t.atleast_3d() for t in _several(self, others)]
        return tensors[0].cat(*tensors[1:], axis=2)

    def column_stack(self, *others: TensorCore) -> Self:
        """Tensors joined along their second axis; vectors are columns."""
        tensors = [t if t.ndim > 1 else t.reshape(-1, 1) for t in _several(self, others)]
        made: Self = tensors[0].cat(*tensors[1:], axis=1)
        return made

    row_stack, concat, concatenate = vstack, cat, cat

    def atleast_1d(self) -> Self:
        """A single value as a vector; all else as it is."""
        return self if self.shape else self.reshape(1)

    def atleast_2d(self) -> Self:
        """A vector as a row (1, n), a single value as (1, 1)."""
        return self if self.ndim > 1 else self.reshape(1, -1)

    def atleast_3d(self) -> Self:
        """A matrix as (n, m, 1), a vector as (1, n, 1)."""
        return self if self.ndim > 2 else self.atleast_2d().unsqueeze(-1)

    def hsplit(self, parts: int | Sequence[int]) -> list[Self]:
        """`tensor_split` along the second axis; of a vector along its only one."""
        return self._split_evenly("hsplit", parts, 1, min(1, self.ndim - 1))

    def vsplit(self, parts: int | Sequence[int]) -> list[Self]:
        """`tensor_split` along the first axis, of a tensor of two axes at least."""
        return self._split_evenly("vsplit", parts, 2, 0)

    def dsplit(self, parts: int | Sequence[int]) -> list[Self]:
        """`tensor_split` along the third axis."""
        return self._split_evenly("dsplit", parts, 3, 2)

    def _split_evenly(
        self, name: str, parts: int | Sequence[int], least: int, axis: int
    ) -> list[Self]:
        if self.ndim < least:
            raise ShapeError(f"{name}: needs {least} axes at least, shape is {self.shape}")
        parts = plain(parts)
        if isinstance(parts, int) and (parts <= 0 or self.shape[axis] % parts):
            raise ShapeError(f"{name}: {parts} does not divide axis {axis} of {self.shape}")
        return self.tensor_split(parts, axis)

    def repeat(self, *repeats: int | Sequence[int]) -> Self:
        """The whole tensor laid side by side, repeats[axis] times; more repeats than axes add
        axes in front."""
        times = shape_of("repeat", *repeats)
        if len(times) < self.ndim:
            raise ShapeError(f"repeat: {len(times)} repeats for shape {self.shape}")
        own = (1,) * (len(times) - self.ndim) + self.shape
        apart = tuple(size for n in own for size in (1, n))
        spread = tuple(size for k, n in zip(times, own, strict=True) for size in (k, n))
        node = self._node
        if apart != spread:
            node = ir.Expand(build.reshape(node, apart), spread)
        whole = tuple(k * n for k, n in zip(times, own, strict=True))
        return self._derived(build.reshape(node, whole))

    def tile(self, *repeats: int | Sequence[int]) -> Self:
        """`repeat`, where fewer repeats than axes are those of the last axes, as in NumPy."""
        times = shape_of("tile", *repeats)
        return self.repeat((1,) * (self.ndim - len(times)) + times)

    def repeat_interleave(
        self, repeats: int, axis: int | None = None, output_size: int | None = None
    ) -> Self:
        """Each element `repeats` times in a row, along an axis, or of the flattened tensor. The
        resulting size, if it is given, is not needed."""
        repeats = plain(repeats)
        if not isinstance(repeats, int) or repeats < 0:
            raise ShapeError(f"repeat_interleave: {told(repeats)} is no number of repeats")
        if axis is None:
            return self.flatten().repeat_interleave(repeats, 0)
        axis = normalized_axis("repeat_interleave", axis, self.ndim)
        x, shape = self.unsqueeze(axis + 1), list(self.shape)
        shape.insert(axis + 1, repeats)
        return x.expand(shape).flatten(axis, axis + 1).clone()

    def roll(self, shifts: int | Sequence[int], axes: int | Sequence[int] | None = None) -> Self:
        """Elements moved along axes by shifts, those that leave at one end entering at the other;
        with no axes, along the flattened tensor."""
        shifts, axes = plain(shifts), plain(axes)
        if axes is None:
            if not isinstance(shifts, int):
                raise ShapeError("roll: several shifts need as many axes")
            return self.flatten().roll(shifts, 0).reshape(self.shape).clone()
        moves = [shifts] if isinstance(shifts, int) else list(shifts)
        places = [axes] if isinstance(axes, int) else list(axes)
        if len(moves) != len(places):
            raise ShapeError(f"roll: {len(moves)} shifts for {len(places)} axes")
        x = self.clone()
        for shift, place in zip(moves, places, strict=True):
            axis = normalized_axis("roll", place, self.ndim)
            n = self.shape[axis]
            if not 0 <= shift < n:
                depends_on(n, shift)
            if n and shift % n:
                cut = n - shift % n
                x = x.narrow(axis, cut, n - cut).cat(x.narrow(axis, 0, cut), axis=axis)
        return x

    # ------------------------------------------------------------------- padding

    def pad(self, padding: Padding, mode: str = "constant", value: Number = 0) -> Self:
        """Elements added around: `value`, or the tensor's own by mode "reflect", "replicate" or
        "circular". Negative widths crop.

        `padding` is PyTorch's flat list, from the last axis back: (left, right, top, bottom); or
        one (before, after) or None an axis; or one width for both sides of every axis.
        """
        widths = _padding_of(padding, self.shape)
        if mode == "constant":
            if isinstance(value, float) and not self.dtype.is_float:
                value = int(value)
            return self._derived(pad_node(self._node, widths, value))
        if mode not in ("reflect", "replicate", "circular"):
            raise ArgumentError(
                f"pad: mode {mode!r} is none of constant, reflect, replicate, circular"
            )
        x = self
        for axis, (before, after) in enumerate(widths):
            if before or after:
                x = x._pad_axis(axis, before, after, mode)
        return x

    def pad_to(self, *shape: int | Sequence[int | None] | None) -> Self:
        """Zeros added at the end of each axis up to `shape`; None keeps an axis."""
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        if len(given) != self.ndim:
            raise ShapeError(f"pad_to: {tuple(given)} for shape {self.shape}")
        sizes = [n if size is None else size for n, size in zip(self.shape, given, strict=True)]
        for size in sizes:
            check_integers(size=size)
        if any(size < n for n, size in zip(self.shape, sizes, strict=True)):
            raise ShapeError(f"pad_to: {self.shape} exceeds {tuple(sizes)}")
        return self.pad([(0, size - n) for n, size in zip(self.shape, sizes, strict=True)])

    def shrink_to(self, *shape: int | Sequence[int | None] | None) -> Self:
        """The first elements of each axis, as many as `shape` says; None keeps an axis."""
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        if len(given) != self.ndim:
            raise ShapeError(f"shrink_to: {tuple(given)} for shape {self.shape}")
        return self.shrink([None if size is None else (0, size) for size in given])  # type: ignore[misc]

    def _pad_axis(self, axis: int, before: int, after: int, mode: str) -> Self:
        """One axis widened by its own elements."""
        n = self.shape[axis]
        if before < 0 or after < 0:
            kept = self.narrow(axis, max(-before, 0), n + min(before, 0) + min(after, 0))
            return kept._pad_axis(axis, max(before, 0), max(after, 0), mode)
        limit = {"reflect": n - 1, "circular": n, "replicate": before + after}[mode]
        if max(before, after) > limit or (n == 0 and before + after > 0):
            raise ShapeError(
                f"pad: {mode} by {(before, after)} needs more than the {n} elements of axis {axis}"
            )
        if mode == "reflect":
            left = self.narrow(axis, 1 if before else 0, before).flip(axis)
            right = self.narrow(axis, n - 1 - after if after else 0, after).flip(axis)
        elif mode == "circular":
            left, right = self.narrow(axis, n - before, before), self.narrow(axis, 0, after)
        else:
            shape = self.shape
            left = self.narrow(axis, 0, 1).expand(*shape[:axis], before, *shape[axis + 1 :])
            right = self.narrow(axis, n - 1, 1).expand(*shape[:axis], after, *shape[axis + 1 :])
        return left.cat(self, right, axis=axis)

    # ------------------------------------------------------------------- triangles and diagonals

    def _triangle(self, name: str, diagonal: int, lower: bool) -> Self:
        if self.ndim < 2:
            raise ShapeError(f"{name}: needs at least two axes, shape is {self.shape}")
        rows, columns = self.shape[-2:]
        distance = self._positions(columns) - self._positions(rows).reshape(rows, 1)
        kept = distance <= diagonal if lower else distance >= diagonal
        return kept.where(self, False)  # False is 0 in every dtype

    @recalled
    def tril(self, diagonal: int = 0) -> Self:
        """The elements on and below a diagonal of the last two axes; 0 elsewhere."""
        return self._triangle("tril", diagonal, lower=True)

    @recalled
    def triu(self, diagonal: int = 0) -> Self:
        """The elements on and above a diagonal of the last two axes; 0 elsewhere."""
        return self._triangle("triu", diagonal, lower=False)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        """The elements (i, i + offset) of two axes, in a new last axis."""
        first = normalized_axis("diagonal", axis1, self.ndim)
        second = normalized_axis("diagonal", axis2, self.ndim)
        if self.ndim < 2 or first == second:
            raise ShapeError(f"diagonal: {axis1} and {axis2} are no two axes of {self.shape}")
        x = self.movedim(first, -1).movedim(second - (second > first), -1)
        (rows, columns), offset = x.shape[-2:], plain(offset)
        start = offset if offset >= 0 else -offset * columns
        count = min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns)
        flat = x.view(*x.shape[:-2], rows * columns)
        if count <= 0:
            return flat.narrow(-1, 0, 0)
        return flat._viewed(build.slice_axis(flat._node, flat.ndim - 1, start, count, columns + 1))

    @recalled
    def diag(self, diagonal: int = 0) -> Self:
        """A matrix's diagonal; or, of a vector, the matrix with that diagonal and 0 elsewhere."""
        if self.ndim == 2:
            return self.diagonal(diagonal).clone()
        if self.ndim != 1:
            raise ShapeError(f"diag: needs one or two axes, shape is {self.shape}")
        n = self.shape[0]
        square = self.unsqueeze(1).expand(n, n)
        position = self._positions(n)
        square = (position.unsqueeze(1) == position).where(square, False)
        above, below = max(diagonal, 0), max(-diagonal, 0)
        return square.pad(((below, above), (above, below)))

    def diag_embed(self, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Self:
        """Matrices, in two new axes, with the last axis on a diagonal and 0 elsewhere."""
        rank = self.ndim + 1
        first = normalized_axis("diag_embed", axis1, rank)
        second = normalized_axis("diag_embed", axis2, rank)
        if first == second:
            raise ShapeError(f"diag_embed: {axis1} and {axis2} are one axis")
        n = self.shape[-1]
        position = self._positions(n)
        square = (position.unsqueeze(1) == position).where(self.unsqueeze(-1), False)
        above, below = max(offset, 0), max(-offset, 0)
        outer = [None] * (rank - 2)
        return square.pad([*outer, (below, above), (above, below)]).movedim(
            (-2, -1), (first, second)
        )

    def rearrange(self, formula: str, **sizes: int) -> Self:
        """Axes taken apart, put in another order and joined, as in einops:
        `x.rearrange("b (h w) c -> b c h w", h=4)`. Axes in brackets are one; "..." are any."""
        left, arrow, right = formula.partition("->")
        if not arrow:
            raise ArgumentError(f"rearrange: {formula!r} has no ->")
        groups, wanted = (_axis_groups(side, self.ndim, left) for side in (left, right))
        if len(groups) != self.ndim:
            raise ShapeError(f"rearrange: {formula!r} has {len(groups)} axes, not {self.ndim}")
        apart: list[int] = []
        for names, n in zip(groups, self.shape, strict=True):
            own = [1 if name == "1" else sizes.get(name, -1) for name in names]
            own = [n] if len(own) == 1 else own
            if own.count(-1) == 1:
                known = -math.prod(own)
                own[own.index(-1)] = n // known if known else 0
            if math.prod(own) != n:
                raise ShapeError(f"rearrange: {formula!r}: {names} is no axis of {n}")
            apart += own
        flat = [name for names in groups for name in names]
        names_right = [name for names in wanted for name in names if name != "1"]
        if sorted(names_right) != sorted(name for name in flat if name != "1"):
            raise ArgumentError(f"rearrange: {formula!r} names other axes right than left")
        order = [flat.index(name) for name in names_right]
        x = self.reshape(apart).permute(order + [i for i in range(len(flat)) if i not in order])
        size = dict(zip(flat, apart, strict=True))
        return x.reshape([math.prod(size.get(name, 1) for name in names) for names in wanted])

    def meshgrid(self, *others: TensorCore, indexing: str = "ij") -> tuple[Self, ...]:
        """Each vector's values along an axis of its own, all expanded to one shape.

        `indexing` "xy" exchanges the first two axes.
        """
        tensors = _several(self, others)
        if indexing not in ("ij", "xy"):
            raise ArgumentError(f"meshgrid: indexing {indexing!r} is neither 'ij' nor 'xy'")
        if any(tensor.ndim > 1 for tensor in tensors):
            raise ShapeError("meshgrid: the tensors must have one axis each")
        shape = tuple(tensor.numel() for tensor in tensors)
        count = len(tensors)
        grids = [
            t.reshape((1,) * i + (-1,) + (1,) * (count - 1 - i)).expand(shape)
            for i, t in enumerate(tensors)
        ]
        if indexing == "xy" and count > 1:
            grids = [grid.transpose(0, 1) for grid in grids]
        return tuple(grids)


def _axis_groups(side: str, rank: int, left: str) -> list[list[str]]:
    """The names of each axis on one side of an einops formula, "..." spelled out by numbers."""
    named = re.sub(r"\([^)]*\)", "x", left.replace("...", "")).split()
    dots = " ".join(f"dots{i}" for i in range(rank - len(named)))
    tokens = re.findall(r"\([^)]*\)|\w+", side.replace("...", f" {dots} "))
    return [token.strip("()").split() for token in tokens]


def _joined_along(first: Any, others: Sequence[Any], axis: int) -> tuple[list[Any], int]:
    """The tensors and the axis of `f(a, b, axis=0)`, `f([a, b], axis=0)` or `f([a, b], 0)`."""
    if isinstance(first, (list, tuple)) and len(others) == 1:
        last = plain(others[0])
        if isinstance(last, int):
            return _several(first, ()), last
    return _several(first, others), axis


def _several(first: Any, others: Sequence[TensorCore]) -> list[Any]:
    """The tensors of `f(a, b)` or `f([a, b])`."""
    tensors = [*first, *others] if isinstance(first, (list, tuple)) else [first, *others]
    if not tensors:
        raise ShapeError("there are no tensors to join")
    for tensor in tensors:
        if not isinstance(tensor, TensorCore):
            raise KindError(f"only tensors can be joined, not {told(tensor)}")
    return tensors


def _padding_of(padding: Any, shape: Shape) -> list[tuple[int, int]]:
    """(before, after) of every axis, from any of the forms that `pad` takes."""
    padding = plain(padding)
    if isinstance(padding, int):
        return [(padding, padding)] * len(shape)
    given = list(padding)
    if all(isinstance(width, int) for width in given):
        if len(given) % 2 or len(given) > 2 * len(shape):
            raise ShapeError(f"pad: padding {tuple(given)} does not fit shape {shape}")
        pairs = [(given[i], given[i + 1]) for i in range(0, len(given), 2)]
        return [(0, 0)] * (len(shape) - len(pairs)) + pairs[::-1]
    if len(given) != len(shape):
        raise ShapeError(f"pad: {len(given)} pairs of widths for shape {shape}")
    return [(0, 0) if pair is None else (int(pair[0]), int(pair[1])) for pair in given]
