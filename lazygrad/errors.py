"""The exceptions that lazygrad raises on purpose, each also of the built-in kind to expect.

Where NumPy and PyTorch raise different kinds, an exception here is of both.
"""

from __future__ import annotations

import re
import sys
import warnings
from types import FrameType

from .caller import called, layers_of, stack_level, to_program, way_of


def warn(text: str) -> None:
    """A UserWarning at the innermost line of the program: the line that asked."""
    warnings.warn(text, stacklevel=stack_level())


def told(value: object) -> str:
    """A value as an error tells it, in one short line: a tensor or an array by its shape."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"a {type(value).__name__} of shape {shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:60]}..."


class OperationError(Exception):
    """What an operation does not take; the text begins with the name of what the program called.

    `x.std(9)` computes a sum. The sum finds that there is no axis 9, and says so as "sum: axis 9
    ..."; the error that the program gets says "std: axis 9 ...". Of a layer it is the class,
    "Conv2d: ...", as the program knows the layer and not the functions in it; inside of a model a
    note says which layer: "in encoder.0 (Conv2d)". Operators keep the name that they have.
    """

    def __init__(self, text: str = "") -> None:
        frame = sys._getframe(1)
        super().__init__(_by_name(text, frame))
        layers = layers_of(frame)
        if len(layers) > 1 or any(" (" in layer for layer in layers):
            self.add_note(f"in {way_of(layers)}")


def _by_name(text: str, frame: FrameType) -> str:
    """The text with the name of what is called in front, in place of the operation's within."""
    layer, operation = called(to_program(frame)[-2::-1])
    name = layer or operation
    if not name or name.startswith("__"):
        return text
    inner = _NAME.match(text)
    if inner is None:
        return f"{name}: {text}"
    if inner[1].rpartition(".")[2] == name.rpartition(".")[2]:
        return text
    return name + text[inner.end(1) :]


_NAME = re.compile(r"([A-Za-z_][\w.]*): ")


class ShapeError(OperationError, ValueError, RuntimeError):
    """Shapes that do not fit an operation; raised on the line that wrote it."""


class DTypeError(OperationError, TypeError, RuntimeError):
    """Element types that do not fit an operation; raised on the line that wrote it."""


class ArgumentError(OperationError, ValueError, RuntimeError):
    """A value of an argument that an operation does not take; the text says what it does."""


class KindError(OperationError, TypeError):
    """An argument of a kind that an operation does not take, such as a str for a size."""


class AxisError(OperationError, IndexError):
    """An axis that a tensor does not have; the text says how many there are."""


class EmptyError(ShapeError, IndexError):
    """No axis, or one of no elements, where an operation such as a maximum needs some."""


class RangeError(OperationError, IndexError, RuntimeError):
    """A place that is outside an axis; the text says how far the axis reaches."""


class DivisionError(OperationError, ZeroDivisionError, RuntimeError):
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


# --------------------------------------------------------------------------- kinds


def check_integers(**values: object) -> None:
    """Raise KindError, with its name, for an argument that is no integer."""
    for name, value in values.items():
        if not hasattr(value, "__index__"):
            raise KindError(f"{name} is an integer, not {told(value)}")


def check_numbers(**values: object) -> None:
    """Raise KindError, with its name, for an argument that is no number."""
    for name, value in values.items():
        if not hasattr(value, "__float__"):
            raise KindError(f"{name} is a number, not {told(value)}")
