"""Where generated text goes: nested scopes, fresh names, and each value written once.

A scope is a stretch of code that runs together: the function, a loop's body, one side of an If.
A value is written in the outermost scope in which all that it is computed from is known, which
moves what a loop does not change out of it. The text of an inner scope is appended to the outer one
when it closes, so whatever was written outwards meanwhile stands before it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager

from ...dtypes import DType
from ...expr import Array

MEMORY_TYPES = {
    "bool": "i8", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64",
    "float16": "half", "bfloat16": "i16", "float32": "float", "float64": "double",
}  # fmt: skip
# As values, bools are single bits and the 16-bit floats are floats that hold a rounded value.
VALUE_TYPES = {**MEMORY_TYPES, "bool": "i1", "float16": "float", "bfloat16": "float"}


def vector_of(scalar: str, lanes: int) -> str:
    """LLVM's type of `lanes` scalars."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def value_type(dtype: DType, lanes: int = 1) -> str:
    """LLVM's type of a value."""
    scalar = VALUE_TYPES[dtype.name]
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def memory_type(dtype: DType, lanes: int = 1) -> str:
    """LLVM's type of elements as they lie in memory."""
    scalar = MEMORY_TYPES[dtype.name]
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def splat(scalar_type: str, text: str, lanes: int) -> str:
    """A constant in every lane."""
    return text if lanes == 1 else f"splat ({scalar_type} {text})"


class Scope:
    """Lines of text and the values that they define.

    `block` is the label of the basic block that the next line goes to. Values of a `conditional`
    scope (a side of an If) are not moved outwards.
    """

    __slots__ = ("block", "conditional", "defined", "lines")

    def __init__(self, block: str, conditional: bool = False) -> None:
        self.block = block
        self.conditional = conditional
        self.lines: list[str] = []
        self.defined: list[Hashable] = []


class Writer:
    """Text of one function body, and which values are known where.

    `known` has the text of each value that can be used now; `levels` says in which scope (an index
    into `scopes`) it stands; `readers` has, for each array that the function writes, the values
    that were loaded from it and are stale once it is written again.
    """

    def __init__(self) -> None:
        self.scopes = [Scope("entry")]
        self.sink = self.scopes[0]  # where `write` appends
        self.known: dict[Hashable, str] = {}
        self.levels: dict[Hashable, int] = {}
        self.readers: dict[Array, list[Hashable]] = {}
        self.declarations: set[str] = set()
        self.zeros = 0  # bytes of zeros that guarded loads may read instead
        self._names: dict[str, int] = {}

    # ------------------------------------------------------------------ text

    def fresh(self, hint: str) -> str:
        """A name (without %) that is used nowhere else in the function."""
        count = self._names.get(hint, 0)
        self._names[hint] = count + 1
        return hint if count == 0 else f"{hint}.{count}"

    def line(self, text: str) -> None:
        """Append one line that defines nothing."""
        self.sink.lines.append("  " + text)

    def write(self, hint: str, text: str) -> str:
        """Append `%name = text`; returns %name."""
        count = self._names.get(hint, 0)
        self._names[hint] = count + 1
        name = f"%{hint}" if count == 0 else f"%{hint}.{count}"
        self.sink.lines.append(f"  {name} = {text}")
        return name

    def label(self, name: str) -> None:
        """Begin a basic block."""
        self.sink.lines.append(f"{name}:")
        self.sink.block = name

    def call(self, hint: str, result: str, function: str, *arguments: tuple[str, str]) -> str:
        """A call of an intrinsic or a library's function, which is declared too."""
        types = ", ".join(kind for kind, _ in arguments)
        self.declarations.add(f"declare {result} @{function}({types})")
        given = ", ".join(f"{kind} {text}" for kind, text in arguments)
        return self.write(hint, f"call {result} @{function}({given})")

    def run(self, function: str, *arguments: tuple[str, str]) -> None:
        """A call that gives no value."""
        types = ", ".join(kind for kind, _ in arguments)
        self.declarations.add(f"declare void @{function}({types})")
        given = ", ".join(f"{kind} {text}" for kind, text in arguments)
        self.line(f"call void @{function}({given})")

    # ------------------------------------------------------------------ scopes

    @property
    def level(self) -> int:
        """The index of the innermost scope."""
        return len(self.scopes) - 1

    def open(self, block: str, conditional: bool = False) -> None:
        """Begin a scope inside the innermost one."""
        self.scopes.append(Scope(block, conditional))
        self.sink = self.scopes[-1]

    def close(self) -> Scope:
        """End the innermost scope and forget its values; its lines are the caller's to place."""
        scope = self.scopes.pop()
        for key in scope.defined:
            self.known.pop(key, None)
        self.sink = self.scopes[-1]
        return scope

    @contextmanager
    def branch(self, condition: str) -> Iterator[None]:
        """What is written inside runs only where the condition (an i1) holds."""
        then, done = self.fresh("then"), self.fresh("done")
        self.open(then, conditional=True)
        yield
        inner = self.close()
        self.line(f"br i1 {condition}, label %{then}, label %{done}")
        self.label(then)
        self.sink.lines += inner.lines
        self.line(f"br label %{done}")
        self.label(done)

    def outermost(self, levels: Iterable[int]) -> int:
        """The outermost scope that may hold a value computed from values of these levels."""
        lowest = max(levels, default=0)
        level = self.level
        while level > lowest and not self.scopes[level].conditional:
            level -= 1
        return level

    def at(self, level: int) -> None:
        """Let `write` append to the scope of that level."""
        self.sink = self.scopes[level]

    def define(self, key: Hashable, text: str, level: int) -> None:
        """Note that `text` is the value of key until the scope of that level closes."""
        self.known[key] = text
        self.levels[key] = level
        self.scopes[level].defined.append(key)

    def forget_readers(self, array: Array) -> None:
        """Note that an array is written: what was loaded from it is no longer its contents."""
        for key in self.readers.pop(array, ()):
            self.known.pop(key, None)
