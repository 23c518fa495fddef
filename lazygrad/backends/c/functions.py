"""The helper functions that a kernel calls: the rules of legalisation, printed as functions.

max(x, y)  ->  x if x > y or x is nan else y

float max_float(float x, float y) {
    return x > y || x != x ? x : y;
}
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from ...expr import Cast, Expr, Local, Op
from ...loops.legal import INSIDE, OUTLINED
from .text import Text

if TYPE_CHECKING:
    from .printer import Printer

_NAMES = "xyz"


class Functions:
    """The functions of one kernel, each written where it is first used."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def text(self) -> str:
        """All of them, to stand before the kernel."""
        return "".join(f"{text}\n\n" for text in self._texts.values())

    def of(self, printer: Printer, e: Op | Cast) -> str:
        """The name of the function that computes an operation or a conversion; its text is written
        at the first use."""
        operands = [
            Local(name, x.dtype, e.lanes) for name, x in zip(_NAMES, e.operands, strict=False)
        ]
        whole: Expr = (
            Cast(operands[0], e.dtype) if isinstance(e, Cast) else Op(e.op, tuple(operands))
        )
        types = printer.types
        n = "" if e.lanes == 1 else str(e.lanes)
        if isinstance(e, Cast):
            kind = f"{e.dtype}_of_{e.x.dtype}"
            name = f"{kind}{'_' if n else ''}{n}"
        else:
            kind = "multiply_add" if e.op == "fma" else e.op
            name = f"{kind}_{types.type(operands[-1].dtype, e.lanes)}".replace(" ", "_")
        if name in self._texts:
            return name
        type_ = types.type(whole.dtype, whole.lanes)
        given = types.dialect.helpers.get(kind)
        if given is not None:
            bytes_ = "uchar2" if e.lanes == 1 else f"ushort{n}"
            self._texts[name] = given.format(n=n, name=name, bytes=bytes_, type=type_)
            return name
        self._texts[name] = ""
        body = Text()
        inner = type(printer)(types, body, self, is_native=True)
        inner.named = {x: x.name for x in operands}
        for x in operands:
            body.declare(x.name)
        result = INSIDE.legalise(whole, types.machine.native, {})
        inner.begin(result)
        returned = inner.print_as(result)
        parameters = ", ".join(f"{types.type(x.dtype, x.lanes)} {x.name}" for x in operands)
        head = f"{types.dialect.function.format(type=type_)} {name}({parameters}) {{"
        rule = OUTLINED.rule_for(whole, types.machine.native)
        about = "" if rule is None else inspect.cleandoc(rule.__doc__ or "")
        lines = [f"// {line}" for line in about.splitlines()]
        if body.lines:
            lines += [head, *body.lines, f"    return {returned};", "}"]
        else:
            lines.append(f"{head} return {returned}; }}")
        del self._texts[name]
        self._texts[name] = "\n".join(lines)
        return name
