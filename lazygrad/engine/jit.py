"""`TinyJit`, where tinygrad has it."""

from ..jit import TinyJit

__all__ = ["TinyJit"]
