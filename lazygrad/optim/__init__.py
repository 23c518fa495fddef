"""`nn.optim`, where PyTorch has it: `import lazygrad.optim as optim`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..absent import absent_from
from ..nn.optim import *  # noqa: F403
from ..nn.optim import __all__ as _names
from . import lr_scheduler

__all__ = ["lr_scheduler"]
__all__ += _names

if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__)
