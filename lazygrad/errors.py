"""The exceptions that lazygrad raises on purpose; each is also the built-in that a caller would expect."""


class ShapeError(ValueError):
    """Shapes that do not fit an operation; raised on the line that wrote it."""


class DTypeError(TypeError):
    """Element types that do not fit an operation; raised on the line that wrote it."""


class DeviceError(RuntimeError):
    """A device that is unknown, absent, or mixed with another in one operation."""


class OutOfMemoryError(MemoryError):
    """An allocation that the device refused; the text gives the sizes asked for and held."""


class CompilerError(RuntimeError):
    """A fault of the compiler itself; the text names the pass and where its input was written."""
