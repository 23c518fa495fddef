"""Products of matrices and vectors, powers and exponentials: ordinary tensor operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np

from ..errors import ArgumentError, ShapeError, check_integers
from ..functions import stack
from ..tensor import Tensor
from ..tensor.arguments import normalized_axis
from .host import matrices
from .solving import inv


def matmul(A: Tensor, B: Tensor) -> Tensor:
    """The matrix product, as `Tensor.matmul`.

    lazygrad.linalg.matmul(Tensor([[1, 2]]), Tensor([[3], [4]])).tolist() == [[11]]
    """
    return A.matmul(B)


def cross(x: Tensor, y: Tensor, dim: int = -1) -> Tensor:
    """The vector product along an axis of size 3.

    lazygrad.linalg.cross(Tensor([1, 0, 0]), Tensor([0, 1, 0])).tolist() == [0, 0, 1]
    """
    normalized_axis("linalg.cross", dim, x.ndim)
    if not x.ndim == y.ndim > 0 or not x.shape[dim] == y.shape[dim] == 3:
        raise ShapeError(f"linalg.cross: axis {dim} of {x.shape} and {y.shape} should have size 3")
    return x.cross(y, dim)


def vecdot(x: Tensor, y: Tensor, dim: int = -1) -> Tensor:
    """The products of vectors along an axis, summed.

    lazygrad.linalg.vecdot(Tensor([1, 2]), Tensor([3, 4])).item() == 11
    """
    return (x * y).sum(dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of the last two axes.

    lazygrad.linalg.diagonal(Tensor([[1, 2], [3, 4]])).tolist() == [1, 4]
    """
    return A.diagonal(offset, dim1, dim2)


def vander(x: Tensor, N: int | None = None) -> Tensor:
    """(..., n) -> (..., n, N): the powers 0 to N - 1 of each element; N is n unless given.

    lazygrad.linalg.vander(Tensor([1, 2, 3])).tolist() == [[1, 1, 1], [1, 2, 4], [1, 3, 9]]
    """
    x = x.atleast_1d()
    count = x.shape[-1] if N is None else N
    if count < 1:
        raise ArgumentError(f"linalg.vander: N {count} is not above 0")
    columns = [x.ones_like(), *[x] * (count - 1)]
    return stack(columns[:count], -1).cumprod(-1).cast(x.dtype if x.dtype.is_float else int)


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices, in the order that needs the fewest multiplications. The
    first may be a row vector, the last a column vector.

    lazygrad.linalg.multi_dot([Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]])]).tolist() == [[11.0]]
    """
    if len(tensors) < 2:
        raise ShapeError(f"linalg.multi_dot: needs two tensors at least, not {len(tensors)}")
    first, *inner, last = tensors
    if first.ndim not in (1, 2) or last.ndim not in (1, 2) or any(x.ndim != 2 for x in inner):
        shapes = ", ".join(str(x.shape) for x in tensors)
        raise ShapeError(f"linalg.multi_dot: needs matrices, shapes are {shapes}")
    chain = [first.atleast_2d(), *inner, last.unsqueeze(-1) if last.ndim == 1 else last]
    sizes = [x.shape[0] for x in chain] + [chain[-1].shape[1]]
    made = _in_order(chain, sizes, _cheapest(sizes), 0, len(chain) - 1)
    made = made.squeeze(-1) if last.ndim == 1 else made
    return made.squeeze(0) if first.ndim == 1 else made


def _cheapest(sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """Where to split the product of matrices i to j (Cormen et al., Introduction to Algorithms)."""
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    where: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            costs = {
                k: cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                for k in range(i, j)
            }
            where[i, j] = min(costs, key=costs.__getitem__)
            cost[i, j] = costs[where[i, j]]
    return where


def _in_order(
    chain: Sequence[Tensor], sizes: Sequence[int], where: dict[tuple[int, int], int], i: int, j: int
) -> Tensor:
    if i == j:
        return chain[i]
    k = where[i, j]
    return _in_order(chain, sizes, where, i, k) @ _in_order(chain, sizes, where, k + 1, j)


def matrix_power(A: Tensor, n: int) -> Tensor:
    """A multiplied by itself, n times in all, by squaring; of the inverse for a negative n.

    lazygrad.linalg.matrix_power(Tensor([[2.0]]), 3).tolist() == [[8.0]]
    """
    x = matrices("matrix_power", A, square=True) if A.dtype.is_float else A
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"linalg.matrix_power: needs square matrices, shape is {x.shape}")
    check_integers(n=n)
    if n < 0:
        return matrix_power(inv(A), -n)
    if n == 0:
        return x._derived(Tensor.eye(x.shape[-1], dtype=A.dtype).expand(x.shape).node)
    factors = []
    while n:
        if n & 1:
            factors.append(x)
        n >>= 1
        x = x @ x if n else x
    return reduce(Tensor.matmul, factors).cast(A.dtype)


TERMS = {4: 12, 8: 18}  # of the series, by the bytes of a float: then 2**-k / k! is below eps


def matrix_exp(A: Tensor) -> Tensor:
    """e**A = sum A**k / k!, of A halved s times so that its norm is below 1/2, and squared s times.
    The norm is computed when this is called.

    lazygrad.linalg.matrix_exp(Tensor([[0.0]])).tolist() == [[1.0]]
    """
    x = matrices("matrix_exp", A, square=True)
    if not x.numel():
        return A.clone()
    size = float(np.abs(np.asarray(x.detach().numpy(), np.float64)).sum(-2).max())
    if not math.isfinite(size):
        return A * float("nan")
    halvings = max(0, math.ceil(math.log2(size)) + 1) if size else 0
    small = x * 2.0**-halvings
    unit = Tensor.eye(x.shape[-1], dtype=x.dtype)
    total = unit
    for k in range(TERMS[x.dtype.itemsize], 0, -1):  # Horner's rule
        total = unit + (small @ total) / k
    total = total.expand(x.shape)
    for _ in range(halvings):
        total = total @ total
    return total.cast(A.dtype)
