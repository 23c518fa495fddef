"""`nn.lr_scheduler`, where PyTorch has it."""

from __future__ import annotations

from ..nn.lr_scheduler import *  # noqa: F403
from ..nn.lr_scheduler import __all__ as __all__
