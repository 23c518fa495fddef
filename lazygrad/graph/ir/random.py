"""Random numbers: a counter through a block cipher.

The cipher is Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel Random
Numbers: As Easy as 1, 2, 3", SC 2011). No generator steps from number to number: each number is
computed independently, and is the same on every device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...dtypes import DType, uint32
from ...errors import DTypeError, ShapeError
from .node import Node, Shape

T = TypeVar("T")
Pair = tuple[T, T]

_PARITY = 0x1BD11BDA  # Skein's key schedule constant for 32-bit words
_CIPHER_COST = 110.0  # the arithmetic of the cipher for one element
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


class RandomBits(Node):
    """Two random words for each element of a shape: uint32, (2, *shape).

    The words of element i, in row-major order, are threefry((state[0], state[1]), (i, state[2])):
    the state is a key, of two words, and a count of earlier draws under this key.
    """

    state: Node
    shape_: Shape

    def _infer(self) -> tuple[Shape, DType]:
        if self.state.shape != (3,):
            raise ShapeError(f"randombits: a state has shape (3,), not {self.state.shape}")
        if self.state.dtype != uint32:
            raise DTypeError(f"randombits: a state is of uint32, not {self.state.dtype}")
        return (2, *self.shape_), uint32

    @property
    def cost(self) -> float:
        return _CIPHER_COST


def threefry(key: Pair[T], counter: Pair[T], operate: Callable[[str, T, T | int], T]) -> Pair[T]:
    """Two random words for a counter under a key.

    `operate(name, x, y)` is an operation on uint32 ("add", "xor", "or", "shl", "shr"); y is a
    number or a value like x. NumPy's values and the compiler's both come from this function.
    """
    keys = (*key, operate("xor", operate("xor", *key), _PARITY))
    x, y = operate("add", counter[0], key[0]), operate("add", counter[1], key[1])
    for block in range(5):
        for bits in _ROTATIONS[block % 2]:
            x = operate("add", x, y)
            rotated = operate("or", operate("shl", y, bits), operate("shr", y, 32 - bits))
            y = operate("xor", rotated, x)
        x = operate("add", x, keys[(block + 1) % 3])
        y = operate("add", y, operate("add", keys[(block + 2) % 3], block + 1))
    return x, y
