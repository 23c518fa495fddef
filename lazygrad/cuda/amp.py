"""`nn.amp`, where PyTorch had it: `from lazygrad.cuda.amp import GradScaler, autocast`."""

from ..amp import GradScaler, autocast

__all__ = ["GradScaler", "autocast"]
