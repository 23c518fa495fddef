"""The exceptions that lazygrad raises on purpose, each also of the built-in kind to expect.

Where NumPy and PyTorch raise different kinds, an exception here is of both.
"""

from __future__ import annotations

import sys
import warnings
from types import FrameType

_PACKAGE = __name__.partition(".")[0]


def warn(text: str) -> None:
    """A UserWarning at the innermost line outside of the package: the line that asked."""
    level = 1
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals["__name__"].partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


class ShapeError(ValueError, RuntimeError):
    """Shapes that do not fit an operation; raised on the line that wrote it."""


class DTypeError(TypeError, RuntimeError):
    """Element types that do not fit an operation; raised on the line that wrote it."""


class ArgumentError(ValueError, RuntimeError):
    """A value of an argument that an operation does not take; the text says what it does."""


class EmptyError(ShapeError, IndexError):
    """An axis of no elements where an operation needs one, such as a maximum."""


class RangeError(IndexError, RuntimeError):
    """A place that is outside an axis; the text says how far the axis reaches."""


class DivisionError(ZeroDivisionError, RuntimeError):
    """An integer divided by a 0 that is known when the line runs."""


class DeviceError(RuntimeError):
    """A device that is unknown, absent, or mixed with another in one operation."""


class OutOfMemoryError(MemoryError):
    """An allocation that the device refused; the text gives the sizes asked for and held."""


class CompilerError(RuntimeError):
    """A fault of the compiler itself; the text names the pass and where its input was written."""


class AccessError(CompilerError, IndexError):
    """An access of a kernel outside of its array, which CHECK=bounds finds; the text names the
    kernel, the array and the index."""


class CompilerWarning(RuntimeWarning):
    """A fault of the compiler itself that only makes a program slower; the text is as of the
    error."""


class ScheduleError(ValueError):
    """A step of a plan that a kernel's loops do not allow; the text names the step and why."""


class JitError(RuntimeError):
    """A function that `jit` cannot capture as it is; the text says why and what to write."""


class NonFiniteError(FloatingPointError, RuntimeError):
    """A nan or an infinity that a kernel made of finite numbers, which CHECK=nan finds; the text
    names the line, the operation and its inputs."""


class GradcheckError(RuntimeError):
    """Derivatives that differ from finite differences; the text names the input, the element and
    both numbers."""


class ConfigError(ValueError):
    """An environment variable or setting whose value is not valid; the text says what is."""


class DatasetError(RuntimeError):
    """A data set that cannot be had or is not what it should be; the text names the file."""


class DownloadError(DatasetError):
    """A data set that is not on this machine and that no mirror gave."""
