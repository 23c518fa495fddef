"""Operations that are short in terms of others: parts written, matrices added, statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from ..dtypes import bool_, int64
from ..errors import ArgumentError, DTypeError, ShapeError, check_integers, check_numbers
from .arguments import normalized_axis, shape_of
from .core import Number, Operand, TensorCore
from .operands import broadcast_node, broadcast_shape, result_dtype
from .ranges import known_values
from .special import Special


class Numeric(Special):
    """PyTorch's compound operations; each says what it is made of."""

    __slots__ = ()

    # ------------------------------------------------------------------- parts written

    def masked_scatter(self, mask: TensorCore, source: TensorCore) -> Self:
        """x with the elements of `source`, in row-major order, where the mask holds.

        Raises DTypeError unless the mask is bool and the source of x's dtype.
        """
        if mask.dtype != bool_:
            raise DTypeError(f"masked_scatter: the mask is bool, not {mask.dtype}")
        if source.dtype != self.dtype:
            raise DTypeError(f"masked_scatter: values of {source.dtype} into {self.dtype}")
        shape = broadcast_shape("masked_scatter", self.shape, mask.shape)
        kept = self._from_node(broadcast_node("masked_scatter", mask._node, shape))
        place = kept.flatten().cast(int64).cumsum(0) - 1
        flat = self._as_tensor("masked_scatter", source).flatten()
        taken = flat[place.clamp(0)].reshape(shape)
        return kept.where(taken, self)

    def slice_scatter(
        self,
        src: TensorCore,
        axis: int = 0,
        start: int | None = None,
        end: int | None = None,
        step: int = 1,
    ) -> Self:
        """x with `src` in the place of `x[start:end:step]` along an axis."""
        axis = normalized_axis("slice_scatter", axis, self.ndim)
        part = (slice(None),) * axis + (slice(start, end, step),)
        return self._with_exact("slice_scatter", part, src)

    def select_scatter(self, src: TensorCore, axis: int, index: int) -> Self:
        """x with `src` in the place of `x.select(axis, index)`."""
        axis = normalized_axis("select_scatter", axis, self.ndim)
        return self._with_exact("select_scatter", (slice(None),) * axis + (index,), src)

    def _with_exact(self, name: str, index: Any, value: TensorCore) -> Self:
        shape = self[index].shape
        if value.shape != shape:
            raise ShapeError(f"{name}: a source of shape {value.shape} for a part of {shape}")
        return self._with_part(index, value)

    def diagonal_scatter(
        self, src: TensorCore, offset: int = 0, axis1: int = 0, axis2: int = 1
    ) -> Self:
        """x with `src` in the place of `x.diagonal(offset, axis1, axis2)`."""
        made = self.clone()
        part = made.diagonal(offset, axis1, axis2)
        if src.shape != part.shape:
            raise ShapeError(f"diagonal_scatter: {src.shape} for a diagonal of {part.shape}")
        part.copy_(src)  # type: ignore[attr-defined]
        return made

    def put(self, index: TensorCore, source: TensorCore, accumulate: bool = False) -> Self:
        """x with the elements of `source` at indices of the flattened x; with `accumulate` added to
        what is there."""
        if index.numel() != source.numel():
            raise ShapeError(f"put: {index.numel()} indices for {source.numel()} values")
        flat, values = self.flatten(), self._as_tensor("put", source).flatten()
        places = self._as_tensor("put", index).flatten()
        return flat.index_put((places,), values, accumulate).reshape(self.shape)

    # ------------------------------------------------------------------- products

    def addbmm(
        self, batch1: TensorCore, batch2: TensorCore, beta: Number = 1, alpha: Number = 1
    ) -> Self:
        """beta x + alpha times the sum over the batch of batch1 @ batch2."""
        product = self._as_tensor("addbmm", batch1).bmm(batch2).sum(0)
        return product * alpha if beta == 0 else self * beta + product * alpha

    def addr(self, vec1: TensorCore, vec2: TensorCore, beta: Number = 1, alpha: Number = 1) -> Self:
        """beta x + alpha times the outer product of two vectors."""
        product = self._as_tensor("addr", vec1).outer(vec2)
        if beta == 0:
            return (product * alpha).expand(self.shape)
        return self * beta + product * alpha

    def vdot(self, y: TensorCore) -> Self:
        """The sum of the products of two vectors' elements."""
        return self.dot(y)

    def ger(self, vec2: TensorCore) -> Self:
        """The outer product of two vectors."""
        return self.outer(vec2)

    def adjoint(self) -> Self:
        """The last two axes exchanged."""
        return self.mT

    def renorm(self, p: float, axis: int, maxnorm: float) -> Self:
        """x with each slice along an axis scaled down to a p-norm of `maxnorm` at most."""
        check_numbers(p=p, maxnorm=maxnorm)
        if p <= 0 or maxnorm < 0 or self.ndim < 2:
            raise ShapeError(f"renorm: p {p}, maxnorm {maxnorm}, shape {self.shape} do not fit")
        axis = normalized_axis("renorm", axis, self.ndim)
        others = tuple(at for at in range(self.ndim) if at != axis)
        size = self.norm(p, others, keepdim=True)
        return self * (size > maxnorm).where(maxnorm / (size + 1e-7), 1.0)

    def newton_schulz(self, steps: int, params: Sequence[float], eps: float = 1e-7) -> Self:
        """An approximation of the nearest orthogonal matrix: `steps` times
        G = sum over i of params[i] (G G.T)**i G, from x over its norm. As in tinygrad.

        With params (1.5, -0.5) it converges for every matrix of full rank.
        """
        if self.ndim < 2:
            raise ShapeError(f"newton_schulz: needs matrices, shape is {self.shape}")
        check_integers(steps=steps)
        x = self / (self.square().sum((-2, -1), keepdim=True).sqrt() + eps)
        is_tall = self.shape[-2] > self.shape[-1]
        x = x.mT if is_tall else x
        for _ in range(steps):
            square, power, total = x @ x.mT, x, params[0] * x
            for factor in params[1:]:
                power = square @ power
                total = total + factor * power
            x = total
        return x.mT if is_tall else x

    def usum(self, *others: Operand) -> Self:
        """The sum with other tensors or numbers, element by element. As in tinygrad."""
        total = self
        for other in others:
            total = total + other
        return total

    def uprod(self, *others: Operand) -> Self:
        """The product with other tensors or numbers, element by element. As in tinygrad."""
        total = self
        for other in others:
            total = total * other
        return total

    # ------------------------------------------------------------------- shapes

    def diagflat(self, offset: int = 0) -> Self:
        """A matrix with x's elements on a diagonal, and 0 elsewhere."""
        return self.flatten().diag(offset)

    def split_with_sizes(self, sizes: Sequence[int], axis: int = 0) -> Any:
        """`split` into parts of these sizes."""
        return self.split(list(sizes), axis)

    def sum_to_size(self, *size: Any) -> Self:
        """x summed along the axes that would broadcast from `size` to x's shape."""
        wanted = shape_of("sum_to_size", *size)
        lead = self.ndim - len(wanted)
        fits = lead >= 0 and all(
            n in (1, m) for n, m in zip(wanted, self.shape[lead:], strict=True)
        )
        if not fits:
            raise ShapeError(f"sum_to_size: {self.shape} is no broadcast of {wanted}")
        axes = [a for a in range(self.ndim) if a < lead or wanted[a - lead] != self.shape[a]]
        return self.sum(tuple(axes), keepdim=True).reshape(wanted) if axes else self

    # ------------------------------------------------------------------- statistics

    def cov(
        self,
        correction: int = 1,
        fweights: TensorCore | None = None,
        aweights: TensorCore | None = None,
    ) -> Self:
        """The covariances of the rows, each a variable: (variables, observations) -> (v, v).

        `fweights` counts each observation, `aweights` weighs it.
        """
        if self.ndim > 2:
            raise ShapeError(f"cov: a matrix or a vector, not {self.shape}")
        x = self._real("cov")
        x = x.reshape(1, -1) if x.ndim < 2 else x
        weights: Any = None
        for given, whole in ((fweights, True), (aweights, False)):
            if given is not None:
                _verify_weights(given, x.shape[1], whole)
                own = self._as_tensor("cov", given)
                weights = own if weights is None else weights * own
        if weights is None:
            count: Any = x.shape[1]
            centred = x - x.mean(1, keepdim=True)
            scaled = centred
        else:
            count = weights.sum()
            centred = x - (x * weights).sum(1, keepdim=True) / count
            scaled = centred * weights
        if aweights is not None and correction:
            count = count - correction * (weights * aweights).sum() / count
        else:
            count = count - correction
        free = max(count, 0) if isinstance(count, int) else count.clamp(min=0)
        made = scaled @ centred.T / self._as_tensor("cov", free)
        return made.reshape(()) if x.shape[0] == 1 else made

    def corrcoef(self) -> Self:
        """The correlations of the rows, each a variable, between -1 and 1."""
        found = self.cov()
        if not found.ndim:
            return found / found
        size = found.diagonal().sqrt()
        return (found / size.unsqueeze(1) / size).clamp(-1, 1)

    def quantile(
        self, q: Any, axis: int | None = None, keepdim: bool = False, interpolation: str = "linear"
    ) -> Self:
        if not (isinstance(q, TensorCore) and q._requires_grad):
            return super().quantile(q, axis, keepdim, interpolation)
        made = self.nanquantile(q, axis, keepdim, interpolation)  # which has a gradient for q
        has_nan = self.isnan().any() if axis is None else self.isnan().any(axis, keepdim)
        return has_nan.where(math.nan, made)

    quantile.__doc__ = Special.quantile.__doc__

    def nanquantile(
        self, q: Any, axis: int | None = None, keepdim: bool = False, interpolation: str = "linear"
    ) -> Self:
        """`quantile` of what is not nan; nan where all are."""
        if axis is None:
            made = self.flatten().nanquantile(q, 0, False, interpolation)
            return made.reshape(made.shape + (1,) * self.ndim) if keepdim else made
        ordered = self.sort(axis).values.movedim(axis, -1)  # nans come last
        count = ordered.isnan().logical_not().sum(-1, keepdim=True)
        shares = self._as_tensor("nanquantile", q).cast(self.dtype)
        place = shares.reshape(-1) * (count - 1).clamp(0)
        low = place.floor() if interpolation != "higher" else place.ceil()
        high = place.ceil() if interpolation != "lower" else low
        if interpolation == "nearest":
            low = high = place.round()
        part = 0.5 if interpolation == "midpoint" else place - low
        a, b = (ordered.gather(-1, at.cast(int64)) for at in (low, high))
        made = (a + (b - a) * part).movedim(-1, 0)
        made = count.movedim(-1, 0).eq(0).where(math.nan, made)
        made = made if shares.ndim else made[0]
        at = axis if axis < 0 or not shares.ndim else axis + 1
        return made.unsqueeze(at) if keepdim else made

    # ------------------------------------------------------------------- whole numbers

    def gcd(self, y: Operand) -> Self:
        """The greatest common divisor of whole numbers. Realizes both: how many of Euclid's steps
        it takes depends on the values."""
        return self._of_whole_numbers("gcd", np.gcd, y)

    def lcm(self, y: Operand) -> Self:
        """The least common multiple of whole numbers, not negative. Realizes both."""
        return self._of_whole_numbers("lcm", np.lcm, y)

    def _of_whole_numbers(self, name: str, compute: Any, y: Operand) -> Self:
        other = self._as_tensor(name, y)
        for x in (self, other):
            if not x.dtype.is_int:
                raise DTypeError(f"{name}: of whole numbers, not {x.dtype}")
        broadcast_shape(name, self.shape, other.shape)
        dtype = result_dtype((self, other))
        a, b = (x.cast(dtype).numpy() for x in (self, other))
        return self._from_data(np.asarray(compute(a, b)), dtype, self._node.device)


def _verify_weights(weights: TensorCore, count: int, whole: bool) -> None:
    """Raise unless these can weigh `count` observations: whole numbers, or floats, none of them
    negative as far as they are known."""
    kind = "whole numbers" if whole else "floats"
    if weights.shape != (count,):
        raise ShapeError(f"cov: {kind} of shape {weights.shape} weigh {count} observations")
    if not (weights.dtype.is_int if whole else weights.dtype.is_float):
        raise DTypeError(f"cov: these weights are {kind}, not {weights.dtype}")
    values = known_values(weights._node)
    if values is not None and (values < 0).any():
        raise ArgumentError(f"cov: a weight is not negative, as {values.min()} is")
