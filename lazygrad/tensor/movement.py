"""Shapes: the same elements in another arrangement, or repeated, or with others around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self, cast

from ..errors import ShapeError
from ..graph import build, ir
from ..graph.ir import Node, Shape
from .arguments import normalized_axes, normalized_axis, shape_of
from .core import Number, TensorCore
from .functions import Functions
from .operands import broadcast_node, cast_node, result_dtype

Padding = Sequence[int] | Sequence[Sequence[int] | None] | int


def pad_node(node: Node, padding: Sequence[tuple[int, int]], value: Number = 0) -> Node:
    """The node with `value` around it; a negative width crops."""
    if any(before < 0 or after < 0 for before, after in padding):
        sizes = zip(node.shape, padding, strict=True)
        kept = [max(0, n + min(before, 0) + min(after, 0)) for n, (before, after) in sizes]
        starts = [max(-before, 0) if n else 0 for n, (before, _) in zip(kept, padding, strict=True)]
        node = ir.Slice(node, tuple(starts), tuple(kept), (1,) * len(kept))
        padding = [(max(before, 0), max(after, 0)) for before, after in padding]
    if not any(before or after for before, after in padding):
        return node
    return ir.Pad(node, tuple(padding), value)


class Movement(Functions):
    """Axes may be negative, counted from the last. Shapes may be given as arguments or a tuple."""

    __slots__ = ()

    # ------------------------------------------------------------------- shape

    def reshape(self, *shape: int | Sequence[int]) -> Self:
        """The same elements, in row-major order, in another shape; -1 stands for what remains."""
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        sizes = [int(size) for size in given]  # type: ignore[arg-type]
        unknown = [axis for axis, size in enumerate(sizes) if size == -1]
        if len(unknown) > 1 or any(size < -1 for size in sizes):
            raise ShapeError(f"reshape: {tuple(sizes)} is no shape (at most one -1)")
        if unknown:
            known = -math.prod(sizes)
            if known == 0 or self.numel() % known:
                raise ShapeError(
                    f"reshape: {self.shape} has {self.numel()} elements, "
                    f"which {tuple(sizes)} cannot hold"
                )
            sizes[unknown[0]] = self.numel() // known
        return self._derived(build.reshape(self._node, tuple(sizes)))

    view = reshape

    def view_as(self, other: TensorCore) -> Self:
        """In the shape of `other`."""
        return self.reshape(other.shape)

    def flatten(self, start_axis: int = 0, end_axis: int = -1) -> Self:
        """The axes from start to end, both included, as one."""
        start = normalized_axis("flatten", start_axis, self.ndim)
        end = normalized_axis("flatten", end_axis, self.ndim)
        if start > end:
            raise ShapeError(f"flatten: axis {start_axis} comes after {end_axis} in {self.shape}")
        shape = self.shape
        return self.reshape(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])

    def unflatten(self, axis: int, sizes: Sequence[int]) -> Self:
        """One axis as several; one of their sizes may be -1."""
        axis = normalized_axis("unflatten", axis, self.ndim)
        sizes, n = list(sizes), self.shape[axis]
        if -1 in sizes:
            known = -math.prod(sizes)
            sizes[sizes.index(-1)] = n // known if known else 0
        if math.prod(sizes) != n:
            raise ShapeError(f"unflatten: axis {axis} of {self.shape} is not {tuple(sizes)}")
        return self.reshape(*self.shape[:axis], *sizes, *self.shape[axis + 1 :])

    def squeeze(self, axis: int | Sequence[int] | None = None) -> Self:
        """Without its axes of size 1: all of them, or those named that are of size 1."""
        axes = normalized_axes("squeeze", axis, self.ndim)
        kept = tuple(n for i, n in enumerate(self.shape) if n != 1 or i not in axes)
        return self._derived(build.reshape(self._node, kept))

    def unsqueeze(self, axis: int) -> Self:
        """With a new axis of size 1 at `axis`."""
        axis = normalized_axis("unsqueeze", axis, self.ndim + 1)
        shape = (*self.shape[:axis], 1, *self.shape[axis:])
        return self._derived(ir.Reshape(self._node, shape))

    def expand(self, *shape: int | Sequence[int]) -> Self:
        """Axes of size 1, and new ones in front, repeated to `shape`; -1 keeps an axis."""
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        sizes = [int(size) for size in given]  # type: ignore[arg-type]
        new = len(sizes) - self.ndim
        for axis, size in enumerate(sizes):
            if size == -1 and axis >= new:
                sizes[axis] = self.shape[axis - new]
        return self._derived(broadcast_node("expand", self._node, shape_of("expand", sizes)))

    broadcast_to = expand

    def expand_as(self, other: TensorCore) -> Self:
        """Expanded to the shape of `other`."""
        return self.expand(other.shape)

    # ------------------------------------------------------------------- order

    def permute(self, *order: int | Sequence[int]) -> Self:
        """Axis i of the result is axis order[i] of this tensor."""
        given = order[0] if len(order) == 1 and isinstance(order[0], (tuple, list)) else order
        axes = tuple(normalized_axis("permute", cast(int, axis), self.ndim) for axis in given)
        if len(axes) != self.ndim or len(set(axes)) != self.ndim:
            raise ShapeError(f"permute: {tuple(given)} is no order of the axes of {self.shape}")
        return self._derived(build.permute(self._node, axes))

    def transpose(self, axis0: int = 1, axis1: int = 0) -> Self:
        """Two axes exchanged."""
        order = list(range(self.ndim))
        a = normalized_axis("transpose", axis0, self.ndim)
        b = normalized_axis("transpose", axis1, self.ndim)
        if order:
            order[a], order[b] = b, a
        return self._derived(build.permute(self._node, tuple(order)))

    swapaxes = transpose

    @property
    def T(self) -> Self:
        """The axes in reverse order."""
        return self._derived(build.permute(self._node, tuple(reversed(range(self.ndim)))))

    @property
    def mT(self) -> Self:
        """The last two axes exchanged."""
        if self.ndim < 2:
            raise ShapeError(f"mT: needs at least two axes, shape is {self.shape}")
        return self.transpose(-2, -1)

    def movedim(self, source: int, destination: int) -> Self:
        """One axis moved to another place."""
        order = list(range(self.ndim))
        order.insert(
            normalized_axis("movedim", destination, self.ndim),
            order.pop(normalized_axis("movedim", source, self.ndim)),
        )
        return self._derived(build.permute(self._node, tuple(order)))

    def flip(self, *axes: int | Sequence[int]) -> Self:
        """The elements of the axes in reverse order."""
        given = axes[0] if len(axes) == 1 else axes
        node = self._node
        for axis in normalized_axes("flip", given, self.ndim):
            n = self.shape[axis]
            if n > 1:
                node = build.slice_axis(node, axis, n - 1, n, -1)
        return self._derived(node)

    def roll(self, shifts: int | Sequence[int], axes: int | Sequence[int] | None = None) -> Self:
        """Elements moved along axes by shifts, those that leave at one end entering at the other;
        with no axes, along the flattened tensor."""
        if axes is None:
            if not isinstance(shifts, int):
                raise ShapeError("roll: several shifts need as many axes")
            return self.flatten().roll(shifts, 0).reshape(self.shape)
        moves = [shifts] if isinstance(shifts, int) else list(shifts)
        places = [axes] if isinstance(axes, int) else list(axes)
        if len(moves) != len(places):
            raise ShapeError(f"roll: {len(moves)} shifts for {len(places)} axes")
        x = self
        for shift, place in zip(moves, places, strict=True):
            axis = normalized_axis("roll", place, self.ndim)
            n = self.shape[axis]
            if n and shift % n:
                cut = n - shift % n
                x = x.narrow(axis, cut, n - cut).cat(x.narrow(axis, 0, cut), axis=axis)
        return x

    # ------------------------------------------------------------------- parts

    def narrow(self, axis: int, start: int, length: int) -> Self:
        """`length` elements of one axis from `start` on."""
        axis = normalized_axis("narrow", axis, self.ndim)
        n = self.shape[axis]
        start = start + n if start < 0 else start
        if not 0 <= start <= start + length <= n:
            raise IndexError(
                f"narrow: {start} to {start + length} is outside axis {axis} of size {n}"
            )
        return self._derived(build.slice_axis(self._node, axis, start, length))

    def shrink(self, bounds: Sequence[tuple[int, int] | None]) -> Self:
        """The part from bounds[axis][0] to bounds[axis][1] of each axis; None is all of it."""
        if len(bounds) != self.ndim:
            raise ShapeError(f"shrink: {len(bounds)} bounds for shape {self.shape}")
        x = self
        for axis, bound in enumerate(bounds):
            if bound is not None:
                x = x.narrow(axis, bound[0], bound[1] - bound[0])
        return x

    def split(self, sizes: int | Sequence[int], axis: int = 0) -> list[Self]:
        """Pieces along an axis: of one size (the last may be smaller), or of the sizes given."""
        axis = normalized_axis("split", axis, self.ndim)
        n = self.shape[axis]
        if isinstance(sizes, int):
            if sizes <= 0:
                raise ShapeError(f"split: a size of {sizes}")
            sizes = [min(sizes, n - start) for start in range(0, n, sizes)] or [0]
        if sum(sizes) != n:
            raise ShapeError(f"split: sizes {list(sizes)} do not sum to {n}, axis {axis}'s size")
        pieces, start = [], 0
        for size in sizes:
            pieces.append(self.narrow(axis, start, size))
            start += size
        return pieces

    def chunk(self, count: int, axis: int = 0) -> list[Self]:
        """At most `count` pieces of equal size along an axis (the last may be smaller)."""
        if count <= 0:
            raise ShapeError(f"chunk: {count} pieces")
        n = self.shape[normalized_axis("chunk", axis, self.ndim)]
        return self.split(max(1, -(-n // count)), axis)

    def unbind(self, axis: int = 0) -> list[Self]:
        """The slices along an axis, without it."""
        return [piece.squeeze(axis) for piece in self.split(1, axis)] if self.shape[axis] else []

    def unfold(self, axis: int, size: int, step: int) -> Self:
        """Sliding windows of `size` elements along an axis, `step` apart, in a new last axis."""
        axis = normalized_axis("unfold", axis, self.ndim)
        return self._derived(ir.Window(self._node, axis, size, step))

    # ------------------------------------------------------------------- joining

    def cat(self, *others: TensorCore, axis: int = 0) -> Self:
        """Tensors joined along an axis: `Tensor.cat(a, b, axis=0)` or `Tensor.cat([a, b])`."""
        tensors: list[Self] = _several(self, others)
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
        dtype = result_dtype(tensors)
        nodes = [cast_node(t._node, dtype) for t in tensors if t.shape[axis]]
        joined = _joined(axis, nodes) if nodes else cast_node(first._node, dtype)
        return first._derived(joined, *tensors[1:])

    def stack(self, *others: TensorCore, axis: int = 0) -> Self:
        """Tensors of one shape joined along a new axis: `Tensor.stack(a, b)` or of a list."""
        tensors: list[Self] = _several(self, others)
        first = tensors[0]
        for other in tensors[1:]:
            if other.shape != first.shape:
                raise ShapeError(f"stack: shapes {first.shape} and {other.shape} differ")
        axis = normalized_axis("stack", axis, first.ndim + 1)
        parts = [tensor.unsqueeze(axis) for tensor in tensors]
        return parts[0].cat(*parts[1:], axis=axis)

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

    tile = repeat

    def repeat_interleave(self, repeats: int, axis: int | None = None) -> Self:
        """Each element `repeats` times in a row, along an axis, or of the flattened tensor."""
        if axis is None:
            return self.flatten().repeat_interleave(repeats, 0)
        axis = normalized_axis("repeat_interleave", axis, self.ndim)
        x, shape = self.unsqueeze(axis + 1), list(self.shape)
        shape.insert(axis + 1, repeats)
        return x.expand(shape).flatten(axis, axis + 1)

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
            raise ValueError(
                f"pad: mode {mode!r} is none of constant, reflect, replicate, circular"
            )
        x = self
        for axis, (before, after) in enumerate(widths):
            x = x._pad_axis(axis, before, after, mode)
        return x

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
        return kept.where(self, 0)

    def tril(self, diagonal: int = 0) -> Self:
        """The elements on and below a diagonal of the last two axes; 0 elsewhere."""
        return self._triangle("tril", diagonal, lower=True)

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
        rows, columns = x.shape[-2:]
        start = offset if offset >= 0 else -offset * columns
        count = min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns)
        flat = x.flatten(-2)
        if count <= 0:
            return flat.narrow(-1, 0, 0)
        return self._derived(
            build.slice_axis(flat._node, flat.ndim - 1, start, count, columns + 1), x
        )

    def diag(self, diagonal: int = 0) -> Self:
        """A matrix's diagonal; or, of a vector, the matrix with that diagonal and 0 elsewhere."""
        if self.ndim == 2:
            return self.diagonal(diagonal)
        if self.ndim != 1:
            raise ShapeError(f"diag: needs one or two axes, shape is {self.shape}")
        n = self.shape[0]
        square = self.unsqueeze(1).expand(n, n)
        position = self._positions(n)
        square = (position.unsqueeze(1) == position).where(square, 0)
        above, below = max(diagonal, 0), max(-diagonal, 0)
        return square.pad(((below, above), (above, below)))

    def meshgrid(self, *others: TensorCore, indexing: str = "ij") -> tuple[Self, ...]:
        """Each vector's values along an axis of its own, all expanded to one shape.

        `indexing` "xy" exchanges the first two axes.
        """
        tensors = _several(self, others)
        if indexing not in ("ij", "xy"):
            raise ValueError(f"meshgrid: indexing {indexing!r} is neither 'ij' nor 'xy'")
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


def _several(first: Any, others: Sequence[TensorCore]) -> list[Any]:
    """The tensors of `f(a, b)` or `f([a, b])`."""
    tensors = [*first, *others] if isinstance(first, (list, tuple)) else [first, *others]
    if not tensors:
        raise ShapeError("there are no tensors to join")
    for tensor in tensors:
        if not isinstance(tensor, TensorCore):
            raise TypeError(f"only tensors can be joined, not {tensor!r:.60}")
    return tensors


def _joined(axis: int, nodes: Sequence[Node]) -> Node:
    """The nodes side by side along an axis: a balanced tree of selections by position."""
    if len(nodes) == 1:
        return nodes[0]
    half = len(nodes) // 2
    left, right = _joined(axis, nodes[:half]), _joined(axis, nodes[half:])
    n, m = left.shape[axis], right.shape[axis]
    rank = len(left.shape)
    around = [
        ((0, m) if i == axis else (0, 0), (n, 0) if i == axis else (0, 0)) for i in range(rank)
    ]
    padded_left = ir.Pad(left, tuple(after for after, _ in around))
    padded_right = ir.Pad(right, tuple(before for _, before in around))
    position = ir.Iota(n + m)
    less = ir.Less(position, ir.Const(n, position.dtype, position.shape))
    first = build.reshape(less, tuple(n + m if i == axis else 1 for i in range(rank)))
    return ir.Where(broadcast_node("cat", first, padded_left.shape), padded_left, padded_right)


def _padding_of(padding: Any, shape: Shape) -> list[tuple[int, int]]:
    """(before, after) of every axis, from any of the forms that `pad` takes."""
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
