"""`nn.amp`, where PyTorch has it: `from lazygrad.amp import GradScaler, autocast`."""

from .nn.amp import GradScaler, autocast, is_autocast_enabled

__all__ = ["GradScaler", "autocast", "is_autocast_enabled"]
