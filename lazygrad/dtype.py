"""`lazygrad.dtype`: the class of element types, and the module that tinygrad has there.

isinstance(lazygrad.float32, lazygrad.dtype)
from lazygrad.dtype import DType, dtypes
"""

from __future__ import annotations

import sys
from types import ModuleType

from . import dtypes
from .dtypes import DType


class _Package(ModuleType):
    """This module, which stands for its class."""

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, DType)


DTypeLike = str | DType

sys.modules[__name__].__class__ = _Package

__all__ = ["DType", "DTypeLike", "dtypes"]
