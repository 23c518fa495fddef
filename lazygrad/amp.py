"""`nn.amp`, where PyTorch has it: `from lazygrad.amp import GradScaler, autocast`."""

from .nn.amp import GradScaler, autocast

__all__ = ["GradScaler", "autocast"]
