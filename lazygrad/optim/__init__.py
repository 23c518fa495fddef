"""`nn.optim`, where PyTorch has it: `import lazygrad.optim as optim`."""

from __future__ import annotations

from ..nn.optim import *  # noqa: F403
from ..nn.optim import __all__ as _names
from . import lr_scheduler

__all__ = ["lr_scheduler"]
__all__ += _names
