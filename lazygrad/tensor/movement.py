"""Shapes: the same elements in another arrangement, or repeated, or with others around them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, Self, cast

from ..dtypes import bool_
from ..errors import (
    ArgumentError,
    DTypeError,
    EmptyError,
    KindError,
    RangeError,
    ShapeError,
    check_integers,
    told,
)
from ..graph import build, ir
from ..graph.ir import Shape
from ..questions import depends_on
from .arguments import normalized_axes, normalized_axis, plain, shape_of, whole_size
from .core import TensorCore
from .functions import Functions
from .operands import expand_node
from .views import reshaped_strides


class Movement(Functions):
    """Axes may be negative, counted from the last. Shapes may be given as arguments or a tuple."""

    __slots__ = ()

    # ------------------------------------------------------------------- shape

    def reshape(self, *shape: int | Sequence[int]) -> Self:
        """The same elements, in row-major order, in another shape; -1 stands for what remains.

        A view where strides can tell the elements' places, as in PyTorch; else a copy.
        """
        made = build.reshape(self._node, self._sizes("reshape", shape))
        if self._base is not None or self._shown is not None:  # else it is contiguous
            own = self._strides()
            if own is not None and reshaped_strides(self.shape, own, made.shape) is None:
                return self._derived(made)
        return self._viewed(made)

    def view(self, *shape: int | Sequence[int]) -> Self:
        """A view in another shape; -1 stands for what remains. Where PyTorch refuses a view, as of
        a transposed matrix in one axis, this is one all the same: what is written to it arrives.
        """
        return self._viewed(build.reshape(self._node, self._sizes("view", shape)))

    def _sizes(self, name: str, shape: Sequence[int | Sequence[int]]) -> Shape:
        """A shape of as many elements as there are, given as arguments or a sequence; None keeps
        the size of an axis, as in tinygrad."""
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        own = self.shape
        kept = [own[i] if n is None and i < len(own) else n for i, n in enumerate(given)]
        sizes = [size if type(size) is int else whole_size(name, size) for size in kept]
        unknown = [axis for axis, size in enumerate(sizes) if size == -1]
        if len(unknown) > 1 or any(size < -1 for size in sizes):
            raise ShapeError(f"{name}: {tuple(sizes)} is no shape (at most one -1)")
        if unknown:
            known = -math.prod(sizes)
            if known == 0 or self.numel() % known:
                raise ShapeError(
                    f"{name}: {self.shape} has {self.numel()} elements, "
                    f"which {tuple(sizes)} cannot hold"
                )
            sizes[unknown[0]] = self.numel() // known
        return tuple(sizes)

    def view_as(self, other: TensorCore) -> Self:
        """A view in the shape of `other`."""
        return self.view(other.shape)

    def reshape_as(self, other: TensorCore) -> Self:
        """In the shape of `other`."""
        return self.reshape(other.shape)

    def ravel(self) -> Self:
        """All elements in one axis."""
        return self.reshape(-1)

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
        axis, n = self._divided("unflatten", axis)
        sizes = list(sizes)
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
        return self._viewed(build.reshape(self._node, kept))

    def unsqueeze(self, axis: int) -> Self:
        """With a new axis of size 1 at `axis`."""
        axis = normalized_axis("unsqueeze", axis, self.ndim + 1)
        shape = (*self.shape[:axis], 1, *self.shape[axis:])
        return self._viewed(ir.Reshape(self._node, shape))

    def expand(self, *shape: int | Sequence[int]) -> Self:
        """Axes of size 1, and new ones in front, repeated to `shape`; -1 or None keeps an axis."""
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        sizes = [-1 if size is None else whole_size("expand", size) for size in given]
        new = len(sizes) - self.ndim
        for axis, size in enumerate(sizes):
            if size == -1 and axis >= new:
                sizes[axis] = self.shape[axis - new]
        return self._viewed(expand_node("expand", self._node, shape_of("expand", sizes)))

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
        return self._viewed(build.permute(self._node, axes))

    def transpose(self, axis0: int = 1, axis1: int = 0) -> Self:
        """Two axes exchanged."""
        order = list(range(self.ndim))
        a = normalized_axis("transpose", axis0, self.ndim)
        b = normalized_axis("transpose", axis1, self.ndim)
        if order:
            order[a], order[b] = b, a
        return self._viewed(build.permute(self._node, tuple(order)))

    swapaxes = swapdims = transpose

    def t(self) -> Self:
        """A matrix transposed; a vector or single value as it is."""
        if self.ndim > 2:
            raise ShapeError(f"t: needs at most two axes, shape is {self.shape}; use mT")
        return self.T

    @property
    def T(self) -> Self:
        """The axes in reverse order."""
        return self._viewed(build.permute(self._node, tuple(reversed(range(self.ndim)))))

    @property
    def mT(self) -> Self:
        """The last two axes exchanged."""
        if self.ndim < 2:
            raise ShapeError(f"mT: needs at least two axes, shape is {self.shape}")
        return self.transpose(-2, -1)

    def movedim(self, source: int | Sequence[int], destination: int | Sequence[int]) -> Self:
        """One axis, or each of several, moved to another place; the others keep their order."""
        source, destination = plain(source), plain(destination)
        sources = (source,) if isinstance(source, int) else tuple(source)
        targets = (destination,) if isinstance(destination, int) else tuple(destination)
        moved = [normalized_axis("movedim", axis, self.ndim) for axis in sources]
        places = [normalized_axis("movedim", axis, self.ndim) for axis in targets]
        if len(moved) != len(places) or len({*moved}) != len(moved) or len({*places}) != len(moved):
            raise ShapeError(f"movedim: {source} to {destination} is no move of distinct axes")
        order = [axis for axis in range(self.ndim) if axis not in moved]
        for place, axis in sorted(zip(places, moved, strict=True)):
            order.insert(place, axis)
        return self._viewed(build.permute(self._node, tuple(order)))

    moveaxis = movedim

    def flip(self, *axes: int | Sequence[int]) -> Self:
        """The elements of the axes in reverse order."""
        given = axes[0] if len(axes) == 1 else axes
        node = self._node
        for axis in normalized_axes("flip", given, self.ndim):
            n = self.shape[axis]
            if n > 1:
                node = build.slice_axis(node, axis, n - 1, n, -1)
        return self._derived(node)

    def fliplr(self) -> Self:
        """The second axis in reverse order."""
        if self.ndim < 2:
            raise ShapeError(f"fliplr: needs at least two axes, shape is {self.shape}")
        return self.flip(1)

    def flipud(self) -> Self:
        """The first axis in reverse order."""
        if not self.shape:
            raise ShapeError("flipud: a tensor of shape () has no axis")
        return self.flip(0)

    def rot90(self, k: int = 1, axes: Sequence[int] = (0, 1)) -> Self:
        """Turned k times by 90 degrees in the plane of two axes, from the first to the second."""
        if len(axes) != 2 or self.ndim < 2:
            raise ShapeError(f"rot90: {tuple(axes)} are no two axes of {self.shape}")
        first, second = (normalized_axis("rot90", axis, self.ndim) for axis in axes)
        if first == second:
            raise ShapeError(f"rot90: {tuple(axes)} name one axis twice")
        turned = {1: self.flip(second), 2: self.flip((first, second)), 3: self.flip(first)}
        depends_on(k)
        x = turned.get(k % 4, self.clone())
        return x.transpose(first, second) if k % 2 else x

    # ------------------------------------------------------------------- parts

    def narrow(self, axis: int, start: int | TensorCore, length: int) -> Self:
        """`length` elements of one axis from `start` on, which counts from the end if negative."""
        if not self.shape:
            raise ShapeError("narrow: a tensor of shape () has no axis")
        axis = normalized_axis("narrow", axis, self.ndim)
        if isinstance(start, TensorCore) and not start.dtype.is_int:
            raise DTypeError(f"narrow: the start is an integer, not {start.dtype}")
        if isinstance(start, TensorCore) and start.shape:
            raise ShapeError(f"narrow: the start is one integer, not of shape {start.shape}")
        check_integers(start=start, length=length)
        n, start, length = self.shape[axis], int(start.__index__()), plain(length)
        start = start + n if start < 0 else start
        if not 0 <= start <= start + length <= n:
            raise RangeError(
                f"narrow: {start} to {start + length} is outside axis {axis} of size {n}"
            )
        return self._viewed(build.slice_axis(self._node, axis, start, length))

    def select(self, axis: int, index: int) -> Self:
        """The slice at `index` of an axis, without that axis."""
        axis = normalized_axis("select", axis, self.ndim)
        n = self.shape[axis]
        check_integers(index=index)
        if not -n <= index < n:
            raise RangeError(f"select: index {index} is outside axis {axis} of size {n}")
        return self.narrow(axis, index % n, 1).squeeze(axis)

    def diff(
        self,
        n: int = 1,
        axis: int = -1,
        prepend: TensorCore | None = None,
        append: TensorCore | None = None,
    ) -> Self:
        """Each element minus the one before it along an axis, n times, with further elements put
        before and behind this tensor's first."""
        if not self.shape:
            raise ShapeError("diff: a tensor of shape () has no axis")
        if n <= 0:
            if n < 0:
                raise ArgumentError(f"diff: {n} times")
            return self.clone()
        axis = normalized_axis("diff", axis, self.ndim)
        parts = [part for part in (prepend, self, append) if part is not None]
        x: Any = self.clone() if len(parts) == 1 else type(self).cat(parts, axis=axis)  # type: ignore
        for _ in range(n):
            count = max(x.shape[axis] - 1, 0)
            later, sooner = x.narrow(axis, min(1, x.shape[axis]), count), x.narrow(axis, 0, count)
            x = later.ne(sooner) if x.dtype == bool_ else later - sooner
        made: Self = x
        return made

    def shrink(self, bounds: Sequence[tuple[int, int] | None]) -> Self:
        """The part from bounds[axis][0] to bounds[axis][1] of each axis; None is all of it."""
        if len(bounds) != self.ndim:
            raise ShapeError(f"shrink: {len(bounds)} bounds for shape {self.shape}")
        x = self
        for axis, bound in enumerate(bounds):
            if bound is not None:
                if not isinstance(bound, (tuple, list)) or len(bound) != 2:
                    raise KindError(f"shrink: bounds are (start, stop), not {told(bound)}")
                check_integers(start=bound[0], stop=bound[1])
                x = x.narrow(axis, bound[0], bound[1] - bound[0])
        return x

    def split(self, sizes: int | Sequence[int], axis: int = 0) -> list[Self]:
        """Pieces along an axis: of one size (the last may be smaller), or of the sizes given."""
        axis, n = self._divided("split", axis)
        sizes = _pieces("sizes", sizes)
        if isinstance(sizes, int):
            if sizes <= 0:
                raise ShapeError(f"split: size {sizes} is not above 0")
            depends_on(n)
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
        check_integers(count=count)
        if count <= 0:
            raise ShapeError(f"chunk: count {count} is not above 0")
        axis, n = self._divided("chunk", axis)
        return self.split(max(1, -(-n // count)), axis)

    def tensor_split(self, parts: int | Sequence[int] | TensorCore, axis: int = 0) -> list[Self]:
        """`parts` pieces as equal as can be, larger ones first; or cut at the indices given."""
        axis, n = self._divided("tensor_split", axis)
        cuts = _pieces("parts", parts.tolist() if isinstance(parts, TensorCore) else parts)
        if isinstance(cuts, int):
            if cuts <= 0:
                raise ShapeError(f"tensor_split: parts {cuts} is not above 0")
            depends_on(n)
            return self.split([n // cuts + (i < n % cuts) for i in range(cuts)], axis)
        cuts = [0, *(slice(cut).indices(n)[1] for cut in cuts), n]
        return [self.narrow(axis, i, max(j - i, 0)) for i, j in itertools.pairwise(cuts)]

    def unbind(self, axis: int = 0) -> list[Self]:
        """The slices along an axis, without it."""
        axis, n = self._divided("unbind", axis)
        depends_on(n)
        x, shape = self._node, self.shape
        kept = (*shape[:axis], *shape[axis + 1 :])
        slices = [build.slice_axis(x, axis, place, 1) for place in range(n)]
        return [self._viewed(build.reshape(each, kept)) for each in slices]

    def _divided(self, name: str, axis: int) -> tuple[int, int]:
        """(an axis counted from the front, its size). Raises EmptyError where there is none."""
        axis = normalized_axis(name, axis, self.ndim)
        if not self.shape:
            raise EmptyError(f"{name}: a tensor of shape () has no axis to divide")
        return axis, self.shape[axis]

    def unfold(self, axis: int, size: int, step: int) -> Self:
        """Sliding windows of `size` elements along an axis, `step` apart, in a new last axis."""
        if not self.shape and size in (0, 1):
            return self.reshape(1).unfold(0, size, step).squeeze(0)
        axis = normalized_axis("unfold", axis, self.ndim)
        check_integers(size=size, step=step)
        return self._viewed(ir.Window(self._node, axis, plain(size), plain(step)))


def _pieces(what: str, given: Any) -> Any:
    """One integer, or several. Raises KindError for anything else."""
    if isinstance(given, str) or not (hasattr(given, "__index__") or hasattr(given, "__iter__")):
        raise KindError(f"{what} is an integer or several, not {told(given)}")
    return plain(given)
