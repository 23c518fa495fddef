"""What is wrong is said on the line that wrote it, with the operation, the shapes and the cause."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from lazygrad import Tensor
from lazygrad.errors import DTypeError, ShapeError


def f(*shape: int, dtype: str = "float32") -> Tensor:
    return Tensor.ones(*shape, dtype=dtype)


CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: f(3, 4) @ f(5, 6), ShapeError,
     "matmul: (3, 4) @ (5, 6): inner sizes differ (4 and 5)"),
    (lambda: f(2, 3, 4) @ f(5, 4, 6), ShapeError,
     "matmul: (2, 3, 4) @ (5, 4, 6): shapes (2,) and (5,) do not broadcast (axis -1: 2 and 5)"),
    (lambda: f() @ f(3), ShapeError, "matmul: () @ (3,): both need at least one axis"),
    (lambda: f(1, 3, 9, 9).conv2d(f(16, 1, 5, 5)), ShapeError,
     "conv2d: input has 3 channels, weight (16, 1, 5, 5) expects 1"),
    (lambda: f(1, 3, 4, 4).conv2d(f(8, 3, 5, 5)), ShapeError,
     "conv2d: kernel (5, 5) does not fit the padded input's (4, 4)"),
    (lambda: f(1, 4, 9, 9).conv2d(f(6, 2, 3, 3), groups=4), ShapeError,
     "conv2d: 4 groups divide neither input (1, 4, 9, 9) nor weight (6, 2, 3, 3)"),
    (lambda: f(1, 4, 9, 9).conv2d(f(6, 4, 3, 3), f(5)), ShapeError,
     "conv2d: bias (5,) for 6 output channels"),
    (lambda: f(4, 9).conv2d(f(6, 4, 3)), ShapeError, "conv2d: input (4, 9) and weight (6, 4, 3)"),
    (lambda: f(1, 1, 9, 9).conv2d(f(1, 1, 3, 3), stride=0), ShapeError,
     "conv2d: stride 0 is not 2 numbers of at least 1"),
    (lambda: f(1, 1, 9, 9).conv2d(f(1, 1, 3, 3), padding="full"), ValueError,
     "conv2d: padding 'full' is neither 'same' nor 'valid'"),
    (lambda: f(3, 4) + f(5), ShapeError,
     "add: shapes (3, 4) and (5,) do not broadcast (axis -1: 4 and 5)"),
    (lambda: f(3, 4).reshape(5, -1), ShapeError,
     "reshape: (3, 4) has 12 elements, which (5, -1) cannot hold"),
    (lambda: f(3, 4).reshape(5, 2), ShapeError, "reshape: (3, 4) has 12 elements, (5, 2) has 10"),
    (lambda: f(3, 4).reshape(-1, -1), ShapeError, "reshape: (-1, -1) is no shape"),
    (lambda: f(3, 4).expand(3, 5), ShapeError, "expand: shape (3, 4) does not broadcast to (3, 5)"),
    (lambda: f(3, 4).permute(0, 0), ShapeError, "permute: (0, 0) is no order of the axes of"),
    (lambda: f(3, 4).sum(2), IndexError, "sum: axis 2 is outside the 2 axes that there are"),
    (lambda: f(3, 4).sum((0, -2)), ShapeError, "sum: axes (0, -2) name one axis twice"),
    (lambda: f(3, 4).sum(1.0), TypeError, "sum: an axis is an integer, not 1.0"),
    (lambda: f(0, 4).max(0), ShapeError, "max: axis 0 of (0, 4) is empty and has no maximum"),
    (lambda: f(3, dtype="int64").mean(), DTypeError, "mean: needs floats, this is int64"),
    (lambda: f(3, dtype="bool") - f(3, dtype="bool"), DTypeError, "sub: bools have no difference"),
    (lambda: -f(3, dtype="bool"), DTypeError, "neg: bools have no negative"),
    (lambda: f(3, dtype="int64") ** -1, ValueError, "pow: integers have no integer power -1"),
    (lambda: f(3) + "x", DTypeError, "add: an operand is a tensor, an array or a number, not 'x'"),
    (lambda: f(3) & f(3), DTypeError, "and: needs bool or integer inputs, got float32"),
    (lambda: f(3).where(f(3), 0), DTypeError, "where: the condition is bool, not float32"),
    (lambda: f(3, 4)[3], IndexError, "index 3 is outside axis 0 of size 3 ((3, 4))"),
    (lambda: f(3, 4)[0, 0, 0], IndexError, "3 indices for the 2 axes that there are"),
    (lambda: f(3, 4)[[0, 5]], IndexError, "index 5 is outside axis 0 of size 3 ((3, 4))"),
    (lambda: f(3, 4)[..., ...], IndexError, "an index has at most one ..."),
    (lambda: f(3, 4)[::0], IndexError, "slice step cannot be zero"),
    (lambda: f(3, 4)[f(3)], IndexError, "not float32"),
    (lambda: f(3, 4)[Tensor([True, False])], IndexError, "mask of 2 elements for axis 0 of size 3"),
    (lambda: f(3, 4).__setitem__(0, f(3)), ShapeError, "setitem: shape (3,) does not broadcast"),
    (lambda: f(3, 4).gather(0, f(3, 4)), DTypeError, "gather: indices are integers, not float32"),
    (lambda: f(3, 4).gather(0, f(3, dtype="int64")), ShapeError, "gather: index (3,) has another"),
    (lambda: f(3, 4).cat(f(3, 5)), ShapeError, "cat: shapes (3, 4) and (3, 5) differ on"),
    (lambda: Tensor.cat([]), ShapeError, "there are no tensors to join"),
    (lambda: f(3).stack(f(4)), ShapeError, "stack: shapes (3,) and (4,) differ"),
    (lambda: f(7).split([3, 3]), ShapeError, "split: sizes [3, 3] do not sum to 7"),
    (lambda: f(2, 3).pad((1, 1, 1, 1, 1, 1)), ShapeError, "pad: padding (1, 1, 1, 1, 1, 1)"),
    (lambda: f(2, 3).pad((3, 3), mode="reflect"), ShapeError, "pad: reflect by (3, 3) needs more"),
    (lambda: f(2, 3).pad((1, 1), mode="mirror"), ValueError, "pad: mode 'mirror' is none of"),
    (lambda: f(1, 1, 4, 4).max_pool2d(5), ShapeError, "max_pool2d: kernel (5, 5) does not fit"),
    (lambda: f(1, 1, 4, 4).max_pool2d(2, padding=2), ShapeError, "max_pool2d: padding (2, 2)"),
    (lambda: f(3, 5).cross_entropy(f(3, dtype="float32")), ShapeError,
     "cross_entropy: input (3, 5) and target (3,) differ"),
    (lambda: f(3, 5).cross_entropy(f(4, dtype="int64")), ShapeError,
     "cross_entropy: target (4,) for input (3, 5) should be (3,)"),
    (lambda: f(3, 5).mse_loss(f(5)), ShapeError, "mse_loss: input (3, 5) and target (5,) differ"),
    (lambda: f(3).mse_loss(f(3), reduction="max"), ValueError, "reduction 'max' is none of"),
    (lambda: f(3, 4).linear(f(5, 3)), ShapeError, "linear: input (3, 4) does not fit weight"),
    (lambda: Tensor.einsum("ij,jk->ik", f(3, 4), f(5, 6)), ShapeError,
     "einsum: 'ij,jk->ik': j is 4 and 5"),
    (lambda: Tensor.einsum("ij->ik", f(3, 4)), ShapeError, "einsum: 'ij->ik': the result 'ik'"),
    (lambda: Tensor.einsum("ij", f(3, 4), f(3)), ShapeError, "has 1 operands, 2 are given"),
    (lambda: f(3, 4).layer_norm(5), ShapeError, "layer_norm: input (3, 4) does not end in (5,)"),
    (lambda: f(5).topk(6), ShapeError, "topk: 6 of the 5 values along axis -1"),
    (lambda: f(5).dropout(1.5), ValueError, "dropout: p is a probability, not 1.5"),
    (lambda: Tensor.randint(3, low=5, high=5), ValueError, "randint: low 5, high 5"),
    (lambda: Tensor.rand(3, dtype="int32"), DTypeError, "rand: makes floats, not int32"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[message[:40] for _, _, message in CASES])
def test_faults_are_named_at_once(
    computed: list[int], case: tuple[Callable[[], Any], type[Exception], str]
) -> None:
    make, error, message = case
    with pytest.raises(error, match=re.escape(message)) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert not computed or "mask" in message  # a mask's indices depend on its values
