"""Products summed over shared axes: matmul, einsum, attention (and convolution, next door).

None of them is an operation of its own. Each is `Reduce(sum, Mul(a, b))` over views of its
operands with the summed axes last, so one path of the compiler serves them all, and their
gradients. float16 and bfloat16 are multiplied and summed in float32, and rounded once.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any, Self

from ..dtypes import bool_
from ..errors import ArgumentError, DTypeError, KindError, ShapeError, told
from ..graph import build
from ..graph.ir import Mul, Node, Reduce, Shape
from .arguments import normalized_axis, plain
from .core import TensorCore
from .operands import broadcast_node, broadcast_shape, cast_node, result_dtype
from .precision import rounded_once
from .random import Random


def summed_product(a: Node, b: Node, count: int) -> Node:
    """sum(a * b) over the last `count` axes, of operands of one shape and dtype."""
    rank = len(a.shape)
    return Reduce(Mul(a, b), "sum", tuple(range(rank - count, rank)))


class Contraction(Random):
    """Operands are promoted to one dtype; integers and bools keep theirs."""

    __slots__ = ()

    # ------------------------------------------------------------------- matrices

    @rounded_once(2, autocast="product", any_size=True)
    def matmul(self, other: TensorCore) -> Self:
        """The matrix product over the last two axes; those before broadcast.

        (..., M, K) @ (..., K, N) -> (..., M, N). A vector on the left is a row, on the right a
        column; its axis is not in the result.
        """
        a, b = self._node.shape, other._node.shape
        if not a or not b:
            raise ShapeError(f"matmul: {a} @ {b}: both need at least one axis")
        inner = b[-2] if len(b) > 1 else b[0]
        if a[-1] != inner:
            raise ShapeError(f"matmul: {a} @ {b}: inner sizes differ ({a[-1]} and {inner})")
        dtype = self.dtype if self.dtype is other.dtype else result_dtype((self, other))
        x, y = cast_node(self._node, dtype), cast_node(other._node, dtype)
        # x becomes (..., M, 1, K) and y (..., 1, N, K), without M or N for a vector
        m: Shape = a[-2:-1]
        n: Shape = ()
        if len(b) > 1:
            y, n = build.move_axis(y, len(b) - 2, len(b) - 1), b[-1:]
        batches = a[:-2], b[:-2]
        batch = broadcast_shape(f"matmul: {a} @ {b}", *batches) if any(batches) else ()
        x = build.reshape(x, (*batches[0], *m, *(1,) * len(n), inner))
        y = build.reshape(y, (*batches[1], *(1,) * len(m), *n, inner))
        x, y = (build.broadcast_to(node, (*batch, *m, *n, inner)) for node in (x, y))
        return self._derived(summed_product(x, y, 1), other)

    def dot(self, other: TensorCore) -> Self:
        """The product of two vectors summed; of more axes `matmul`, as in NumPy."""
        if self.ndim == other.ndim == 1 and self.dtype != other.dtype:
            raise DTypeError(f"dot: {self.dtype} and {other.dtype} differ")
        return self.matmul(other)

    def mm(self, other: TensorCore) -> Self:
        """The product of two matrices."""
        return self._ranked("mm", 2, other, 2).matmul(other)

    def bmm(self, other: TensorCore) -> Self:
        """The products of two batches of matrices."""
        return self._ranked("bmm", 3, other, 3).matmul(other)

    def mv(self, other: TensorCore) -> Self:
        """The product of a matrix and a vector."""
        return self._ranked("mv", 2, other, 1).matmul(other)

    def _ranked(self, name: str, rank: int, other: TensorCore, other_rank: int) -> Self:
        """This tensor. Raises ShapeError unless both have so many axes."""
        if (self.ndim, other.ndim) != (rank, other_rank):
            raise ShapeError(
                f"{name}: {self.shape} and {other.shape} should have {rank} and {other_rank} axes"
            )
        return self

    def __matmul__(self, other: Any) -> Self:
        is_tensor = isinstance(other, TensorCore)
        return self.matmul(other if is_tensor else self._as_tensor("matmul", other))

    def __rmatmul__(self, other: Any) -> Self:
        return self._as_tensor("matmul", other).matmul(self)

    def outer(self, other: TensorCore) -> Self:
        """The product of every element with every other: (N), (M) -> (N, M)."""
        if self.ndim != 1 or other.ndim != 1:
            raise ShapeError(f"outer: needs vectors, shapes are {self.shape} and {other.shape}")
        return self.unsqueeze(1) * other

    def inner(self, other: TensorCore) -> Self:
        """The product summed over the last axis of both: (.., K), (.., K) -> (.., ..)."""
        if not self.shape or not other.shape:
            return self * other
        y = self._as_tensor("inner", other)
        if self.shape[-1] != y.shape[-1]:
            raise ShapeError(f"inner: last axes of {self.shape} and {y.shape} differ")
        rows, columns = math.prod(self.shape[:-1]), math.prod(y.shape[:-1])
        k, kept = y.shape[-1], (*self.shape[:-1], *y.shape[:-1])
        return (self.reshape(rows, k) @ y.reshape(columns, k).T).reshape(kept)

    def tensordot(self, other: TensorCore, dims: int | Sequence[Sequence[int]] = 2) -> Self:
        """The product summed over the last `dims` axes of this tensor and the first of the other;
        or over the axes `dims[0]` of this one and `dims[1]` of the other, in pairs."""
        y = self._as_tensor("tensordot", other)
        dims = plain(dims)
        if isinstance(dims, int):
            dims = (range(self.ndim - dims, self.ndim), range(dims))
        ours, theirs = (
            [normalized_axis("tensordot", axis, x.ndim) for axis in axes]
            for x, axes in zip((self, y), dims, strict=True)
        )
        for axis, other_axis in zip(ours, theirs, strict=True):  # one of size 1 is broadcast
            if self.shape[axis] != y.shape[other_axis] == 1:
                return self.sum(axis, keepdim=True).tensordot(y, (ours, theirs))
            if 1 == self.shape[axis] != y.shape[other_axis]:
                return self.tensordot(y.sum(other_axis, keepdim=True), (ours, theirs))
        sizes = [self.shape[axis] for axis in ours]
        if sizes != [y.shape[axis] for axis in theirs]:
            raise ShapeError(
                f"tensordot: axes {ours} of {self.shape} and {theirs} of {y.shape} differ"
            )
        left = [axis for axis in range(self.ndim) if axis not in ours]
        right = [axis for axis in range(y.ndim) if axis not in theirs]
        kept = [self.shape[axis] for axis in left] + [y.shape[axis] for axis in right]
        count = math.prod(sizes)
        a = self.permute(*left, *ours).reshape(math.prod(self.shape[i] for i in left), count)
        b = y.permute(*theirs, *right).reshape(count, math.prod(y.shape[i] for i in right))
        return (a @ b).reshape(kept)

    def kron(self, other: TensorCore) -> Self:
        """Kronecker's product: each element times the whole of the other, as blocks."""
        y = self._as_tensor("kron", other)
        rank = max(self.ndim, y.ndim)
        own = (1,) * (rank - self.ndim) + self.shape
        each = (1,) * (rank - y.ndim) + y.shape
        blocks = self.reshape([size for n in own for size in (n, 1)]) * y.reshape(
            [size for n in each for size in (1, n)]
        )
        return blocks.reshape([n * m for n, m in zip(own, each, strict=True)])

    def trace(self) -> Self:
        """The sum of a matrix's diagonal."""
        if self.ndim != 2:
            raise ShapeError(f"trace: needs a matrix, shape is {self.shape}")
        return self.diagonal().sum()

    @rounded_once(2)
    def cross(self, other: TensorCore, axis: int = -1) -> Self:
        """The vector product along an axis of size 3."""
        y = self._as_tensor("cross", other)
        shape = broadcast_shape("cross", self.shape, y.shape)
        a, b = self.expand(shape), y.expand(shape)
        place = normalized_axis("cross", axis, len(shape))
        if shape[place] != 3:
            raise ShapeError(f"cross: axis {axis} of {shape} has no size of 3")
        return a.roll(-1, place) * b.roll(-2, place) - a.roll(-2, place) * b.roll(-1, place)

    @rounded_once(3, autocast="product")
    def addmm(self, a: TensorCore, b: TensorCore, beta: float = 1, alpha: float = 1) -> Self:
        """beta * x + alpha * (a @ b), of matrices."""
        return self._plus_product(self._as_tensor("addmm", a).mm(b), beta, alpha)

    @rounded_once(3, autocast="product")
    def addmv(self, a: TensorCore, b: TensorCore, beta: float = 1, alpha: float = 1) -> Self:
        """beta * x + alpha * (a @ b), of a matrix and a vector."""
        return self._plus_product(self._as_tensor("addmv", a).mv(b), beta, alpha)

    @rounded_once(3, autocast="product")
    def baddbmm(self, a: TensorCore, b: TensorCore, beta: float = 1, alpha: float = 1) -> Self:
        """beta * x + alpha * (a @ b), of batches of matrices."""
        return self._plus_product(self._as_tensor("baddbmm", a).bmm(b), beta, alpha)

    def _plus_product(self, product: Self, beta: float, alpha: float) -> Self:
        own = self if beta == 1 else self * beta
        return own + (product if alpha == 1 else product * alpha)

    @rounded_once(2)
    def cosine_similarity(self, other: TensorCore, axis: int = 1, eps: float = 1e-8) -> Self:
        """The cosine of the angle of vectors along an axis; their norms count as at least eps."""
        y = self._as_tensor("cosine_similarity", other)
        shape = broadcast_shape("cosine_similarity", self.shape, y.shape)
        axis = normalized_axis("cosine_similarity", axis, len(shape)) - len(shape)
        if (self.shape[axis:], y.shape[axis:]) != (shape[axis:],) * 2:  # which the norms are along
            return self.expand(shape).cosine_similarity(y.expand(shape), axis, eps)
        a, b = self.norm(2, axis, keepdim=True), y.norm(2, axis, keepdim=True)
        return ((self / a.maximum(eps)) * (y / b.maximum(eps))).sum(axis)

    @rounded_once(2, autocast="product", any_size=True)
    def linear(self, weight: TensorCore, bias: TensorCore | None = None) -> Self:
        """x @ weight.T + bias, for x (..., in) and weight (out, in), as PyTorch has it."""
        if weight.ndim not in (1, 2) or self.ndim < 1 or self.shape[-1] != weight.shape[-1]:
            raise ShapeError(f"linear: input {self.shape} does not fit weight {weight.shape}")
        made = self.matmul(self._as_tensor("linear", weight).T)
        return made if bias is None else made + bias

    @classmethod
    def einsum(cls, formula: Any, *operands: Any) -> Self:
        """Einstein's sum: `Tensor.einsum("bij,bjk->bik", a, b)`. Letters after the arrow are kept,
        in that order; without an arrow, those that occur once, in alphabetical order. "..." stands
        for axes that broadcast. Operands are joined from left to right. The axes may be numbers,
        too, in a list after each operand: `Tensor.einsum(a, [0, 1], b, [1, 2], [0, 2])`.
        """
        if not isinstance(formula, str):
            return cls._einsum(*_from_sublists((formula, *operands)))
        several = len(operands) == 1 and isinstance(operands[0], (list, tuple))
        return cls._einsum(formula, *(operands[0] if several else operands))

    @classmethod
    @rounded_once(operands=52, autocast="product")  # there are no more letters
    def _einsum(cls, formula: str, *tensors: Any) -> Self:
        inputs, output = _einsum_terms(formula, [t.shape for t in tensors])
        made, letters = _diagonals(tensors[0], inputs[0])
        for i, other in enumerate(tensors[1:], 1):
            right, right_letters = _diagonals(other, inputs[i])
            needed = set(output).union(*inputs[i + 1 :])
            made, letters = _contract(made, letters, right, right_letters, needed)
        made, letters = _summed_away(made, letters, set(output))
        result: Self = made.permute([letters.index(letter) for letter in output])
        return result

    # ------------------------------------------------------------------- attention

    @rounded_once(autocast="product", any_size=True)
    def scaled_dot_product_attention(
        self,
        key: TensorCore,
        value: TensorCore,
        attn_mask: TensorCore | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Self:
        """softmax(query @ key.mT * scale + mask) @ value; this tensor is the query.

        (..., L, E), (..., S, E), (..., S, V) -> (..., L, V). A bool mask says who may be attended
        to; a float one is added; a query that may attend to nothing gets zeros. `is_causal` lets
        position i attend to 0 to i only. The scale is 1 / sqrt(E) unless given. With `enable_gqa`
        the heads (axis -3) of key and value serve as many of the query's each as they divide.

            x = Tensor.ones(1, 2, 4);  x.scaled_dot_product_attention(x, x).shape == (1, 2, 4)
        """
        if attn_mask is not None and is_causal:
            raise ArgumentError("give attn_mask or is_causal, not both")
        name = "scaled_dot_product_attention"
        if min(self.ndim, key.ndim, value.ndim) < 2 or not self.shape[-1]:
            shapes = f"query {self.shape}, key {key.shape} and value {value.shape}"
            raise ShapeError(f"{name}: {shapes} need two axes or more, of some width")
        factor = self.shape[-1] ** -0.5 if scale is None else scale
        if enable_gqa:
            key, value = self._shared_heads(key), self._shared_heads(value)
        value = self._as_tensor("attention", value)
        scores = (self * factor).matmul(self._as_tensor("attention", key).mT)
        if is_causal:
            rows, columns = scores.shape[-2:]
            allowed = self._positions(columns) <= self._positions(rows).unsqueeze(1)
            scores = allowed.where(scores, float("-inf"))
        elif attn_mask is not None:
            mask = self._as_tensor("attention", attn_mask)
            if mask.dtype.is_int or broadcast_shape(name, mask.shape, scores.shape) != scores.shape:
                raise ShapeError(
                    f"{name}: a mask of {mask.dtype}{mask.shape} does not fit scores {scores.shape}"
                )
            scores = mask.where(scores, float("-inf")) if mask.dtype == bool_ else scores + mask
        top = scores._top("attention", -1)
        blind = attn_mask is not None or scores.shape[-1] == 0  # whether a query may see nothing
        if blind:
            top = top.eq(float("-inf")).where(0, top)
        shares = (scores - top).exp()
        total = shares.sum(-1, keepdim=True)
        if blind:
            total = total.eq(0).where(1, total)  # and then gets zeros
        # divided last: there are fewer results than shares, forward and backward
        return shares.dropout(dropout_p).matmul(value) / total

    def _shared_heads(self, other: TensorCore) -> Self:
        """`other` (..., heads, length, size) with each head repeated, as many as this one has."""
        x = self._as_tensor("attention", other)
        if self.ndim < 3 or x.ndim < 3 or x.shape[-3] == 0 or self.shape[-3] % x.shape[-3]:
            raise ShapeError(
                f"scaled_dot_product_attention: the heads of {x.shape} do not divide those of "
                f"{self.shape}"
            )
        return x.repeat_interleave(self.shape[-3] // x.shape[-3], -3)


# --------------------------------------------------------------------------- einsum


def _from_sublists(given: Sequence[Any]) -> tuple[Any, ...]:
    """(formula, operands) of operands with a list of axis numbers behind each, and perhaps one for
    the result. Raises TypeError for anything else."""
    odd = len(given) % 2
    operands, lists, output = given[: len(given) - odd : 2], given[1::2], given[len(given) - odd :]
    known: dict[Any, str] = {**dict(enumerate(string.ascii_letters)), Ellipsis: "..."}

    def letters(axes: Any) -> str:
        return "".join(known[axis] for axis in axes)

    try:
        left, right = map(letters, lists), [f"->{letters(axes)}" for axes in output]
        return ",".join(left) + "".join(right), *operands
    except (TypeError, KeyError):
        raise KindError(
            "einsum: give a formula and operands, or operands with a list of axes behind each, "
            f"of numbers from 0 to {len(string.ascii_letters) - 1}, not {told(lists)}"
        ) from None


def _einsum_terms(formula: str, shapes: Sequence[Shape]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with "..." spelled out in letters.

    Raises ShapeError for a formula that does not fit the operands' shapes.
    """
    left, arrow, right = formula.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ShapeError(f"einsum: {formula!r} has {len(terms)} operands, {len(shapes)} are given")
    unused = [letter for letter in string.ascii_letters if letter not in formula]
    wild = max(
        (len(s) - len(t) + 3 for t, s in zip(terms, shapes, strict=True) if "..." in t), default=0
    )
    spelled = "".join(unused[: max(wild, 0)])
    inputs = []
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        if "..." in term:
            count = len(shape) - (len(term) - 3)
            term = term.replace("...", spelled[len(spelled) - count :] if count > 0 else "")
        if len(term) != len(shape) or (not term.isalpha() and term):
            raise ShapeError(f"einsum: {formula!r}: {term!r} does not fit shape {shape}")
        for letter, n in zip(term, shape, strict=True):
            if sizes.setdefault(letter, n) != n and 1 not in (n, sizes[letter]):
                raise ShapeError(f"einsum: {formula!r}: {letter} is {sizes[letter]} and {n}")
            sizes[letter] = max(sizes[letter], n)
        inputs.append(term)
    if arrow:
        output = right.replace("...", spelled)
    else:
        joined = "".join(inputs)
        once = sorted(c for c in set(joined) if joined.count(c) == 1 and c not in spelled)
        output = spelled + "".join(once)
    if len(set(output)) != len(output) or not set(output) <= set(sizes):
        raise ShapeError(f"einsum: {formula!r}: the result {right!r} does not fit the operands")
    return inputs, output


def _diagonals(x: Any, letters: str) -> tuple[Any, str]:
    """x with one axis a letter: of one that occurs twice, the diagonal."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            x = x.diagonal(0, first, second)
            letters = letters.replace(letter, "", 2) + letter
    return x, letters


def _summed_away(x: Any, letters: str, needed: set[str]) -> tuple[Any, str]:
    """x summed over the letters that are not needed."""
    gone = [axis for axis, letter in enumerate(letters) if letter not in needed]
    if not gone:
        return x, letters
    node = x._node
    return x._derived(Reduce(node, "sum", tuple(gone))), "".join(c for c in letters if c in needed)


def _contract(a: Any, la: str, b: Any, lb: str, needed: set[str]) -> tuple[Any, str]:
    """Two operands as one: shared letters that nothing needs are summed, in one contraction."""
    a, la = _summed_away(a, la, needed | set(lb))
    b, lb = _summed_away(b, lb, needed | set(la))
    dtype = result_dtype((a, b))
    shared = [c for c in la if c in lb]
    batch, inner = [c for c in shared if c in needed], [c for c in shared if c not in needed]
    order = [*batch, *(c for c in la if c not in lb), *(c for c in lb if c not in la), *inner]
    nodes = []
    for tensor, letters in ((a, la), (b, lb)):
        node = build.permute(tensor._node, tuple(letters.index(c) for c in order if c in letters))
        sizes = dict(zip((c for c in order if c in letters), node.shape, strict=True))
        nodes.append(build.reshape(cast_node(node, dtype), tuple(sizes.get(c, 1) for c in order)))
    full = broadcast_shape("einsum", nodes[0].shape, nodes[1].shape)
    x, y = (broadcast_node("einsum", node, full) for node in nodes)
    made = summed_product(x, y, len(inner)) if inner else Mul(x, y)
    return a._derived(made, b), "".join(order[: len(order) - len(inner)])
