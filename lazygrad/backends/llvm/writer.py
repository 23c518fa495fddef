"""LLVM IR as text: nested scopes, fresh names, and each value written once.

A scope is a stretch of code that runs together: the function, a loop's body, one side of an If.
A value is known until the scope that it is written in closes. The text of an inner scope is
appended to the outer scope when it closes, after the lines that were written to the outer scope
meanwhile.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...dtypes import DType, bfloat16, bool_


@dataclass(eq=False, slots=True)
class Scope:
    """Lines of text and the values that they define. `block` is the label of the basic block that
    the next line goes to."""

    block: str
    lines: list[str] = field(default_factory=list)
    defined: list[Hashable] = field(default_factory=list)


class Writer:
    """Text of one function body, and which values are known where.

    `known` has the text of each value that can be used now; `readers` has, for each array that the
    function writes, the values that depend on loads from it, which are stale once it is written
    again.
    """

    def __init__(self) -> None:
        self.scopes = [Scope("entry")]
        self.sink = self.scopes[0]  # where `write` appends: the innermost scope
        self.known: dict[Any, str] = {}
        self.readers: dict[Hashable, list[Hashable]] = {}
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
        name = f"%{self.fresh(hint)}"
        self.sink.lines.append(f"  {name} = {text}")
        return name

    def label(self, name: str) -> None:
        """Begin a basic block."""
        self.sink.lines.append(f"{name}:")
        self.sink.block = name

    def call(
        self, hint: str, result: str, function: str, *arguments: tuple[str, str], flags: str = ""
    ) -> str:
        """A call of an intrinsic or a library's function, which is declared too."""
        callee = self._declared(result, function, arguments)
        return self.write(hint, f"call {flags}{callee}")

    def run(self, function: str, *arguments: tuple[str, str]) -> None:
        """A call that gives no value."""
        self.line(f"call {self._declared('void', function, arguments)}")

    def _declared(self, result: str, function: str, arguments: Sequence[tuple[str, str]]) -> str:
        types = ", ".join(kind for kind, _ in arguments)
        self.declarations.add(f"declare {result} @{function}({types})")
        given = ", ".join(f"{kind} {text}" for kind, text in arguments)
        return f"{result} @{function}({given})"

    def shuffle(self, kind: str, x: str, y: str, lanes: Sequence[int]) -> str:
        """Lanes picked from x and y, counted through both."""
        mask = (
            "<" + ", ".join(f"i32 {lane}" for lane in lanes) + ">"
            if any(lanes)
            else "zeroinitializer"
        )
        return self.write(
            "lanes", f"shufflevector {kind} {x}, {kind} {y}, <{len(lanes)} x i32> {mask}"
        )

    def spread(self, scalar: str, x: str, lanes: int) -> str:
        """A scalar in every lane."""
        kind = vector_of(scalar, lanes)
        first = self.write("one", f"insertelement {kind} poison, {scalar} {x}, i64 0")
        return self.shuffle(kind, first, "poison", [0] * lanes)

    # ------------------------------------------------------------------ scopes

    def open(self, block: str) -> None:
        """Begin a scope inside the innermost one."""
        self.sink = Scope(block)
        self.scopes.append(self.sink)

    def close(self) -> Scope:
        """End the innermost scope and forget its values; its lines are the caller's to place."""
        scope = self.scopes.pop()
        for key in scope.defined:
            self.known.pop(key, None)
        self.sink = self.scopes[-1]
        return scope

    def fork(self, condition: str, *sides: Callable[[], str | None]) -> list[str]:
        """A branch: the first side writes the code that runs where the condition (an i1) is true,
        the second, if given, where it is false. Returns each side's value and last block, as a
        phi takes them."""
        labels = [self.fresh(hint) for hint, _ in zip(("then", "else"), sides, strict=False)]
        done, scopes, ends = self.fresh("done"), [], []
        for label, side in zip(labels, sides, strict=True):
            self.open(label)
            text = side()
            scopes.append(self.close())
            ends.append(f"[ {text}, %{scopes[-1].block} ]")
        self.line(f"br i1 {condition}, label %{labels[0]}, label %{[*labels, done][1]}")
        for label, scope in zip(labels, scopes, strict=True):
            self.label(label)
            self.sink.lines += scope.lines
            self.line(f"br label %{done}")
        self.label(done)
        return ends

    def define(self, key: Hashable, text: str) -> None:
        """Note that `text` is the value of key until the scope that it is written in closes."""
        self.known[key] = text
        self.sink.defined.append(key)

    def wrote(self, array: Hashable) -> None:
        """Note that an array is written: forget the values that were loaded from it."""
        for key in self.readers.pop(array, ()):
            self.known.pop(key, None)


TYPES = {
    "bool": "i1", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64",
    "float16": "half", "bfloat16": "i16", "float32": "float", "float64": "double",
}  # fmt: skip


def vector_of(scalar: str, lanes: int) -> str:
    """LLVM's type of `lanes` scalars."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def value_type(dtype: DType, lanes: int = 1) -> str:
    """LLVM's type of a dtype's values, in registers and in memory."""
    return vector_of(TYPES[dtype.name], lanes)


def splat(scalar_type: str, text: str, lanes: int) -> str:
    """A constant in every lane."""
    return text if lanes == 1 else f"splat ({scalar_type} {text})"


def literal(value: bool | int | float, dtype: DType) -> str:
    """A scalar constant as LLVM writes it; floats by their bits, as those of a double."""
    if dtype == bool_:
        return "true" if value else "false"
    if dtype.is_int:
        return str(int(value))
    with np.errstate(over="ignore"):
        rounded = np.asarray(value, np.float64).astype(dtype.numpy)
    if dtype.itemsize == 2:
        bits = int(rounded.view(np.uint16))
        return str(bits) if dtype == bfloat16 else f"0xH{bits:04X}"
    return f"0x{struct.unpack('<Q', struct.pack('<d', float(rounded)))[0]:016X}"


def suffix(dtype: DType, lanes: int) -> str:
    """How the names of LLVM's intrinsics end: "f32", "v8f32", "i64"."""
    short = "i1" if dtype == bool_ else f"{'f' if dtype.is_float else 'i'}{8 * dtype.itemsize}"
    return short if lanes == 1 else f"v{lanes}{short}"
