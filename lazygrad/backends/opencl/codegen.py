"""The loop IR as OpenCL C: one Function, one kernel, as text.

    workgroup loop   get_group_id                    see items.py for how loops meet the launch
    workitem loop    get_local_id, or a loop over the group's share
    serial loop      for
    local array      __local;  register arrays are private (accesses.py)
    vector           float4 and the like (types.py)
    Let              a const variable
    Accumulate       load, combine, store; fma for the sum of a product

The text is the whole source of a program: pragmas, helper functions, the kernel. It is made to be
read: names are those of the loops and arrays, and the function's comment stands above it.

Accuracy is OpenCL's for its built-in functions: exp, log 3 ULP, sin, cos 4, tanh 5, pow, erf 16 at
most, in float and double; `+ - * fma` and, with the device's option for it, `/ sqrt` are correctly
rounded. Products and sums are fused only where the loop IR says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ...dtypes import int64
from ...errors import CompilerError
from ...expr import Array, Expr, Literal, Load, Op, rewrite
from ...loops.ir import (
    Accumulate,
    Alloc,
    Barrier,
    Body,
    For,
    Function,
    If,
    Let,
    Prefetch,
    Stmt,
    Store,
    expressions,
    statements,
)
from ...loops.ir.rebuild import map_expressions
from .accesses import ALIGNMENT, place_of, variable_units
from .expressions import Expressions
from .fences import global_fences
from .items import Nest, Plan, launch, nest_of, plan_launch
from .scratch import WORD, local_arrays, padded_bytes, scratch_bytes
from .source import Source
from .stores import Stores
from .types import INT_HIGH, Facts
from .values import scalar

__all__ = ["Facts", "codegen", "kernel_name", "launch"]


def codegen(function: Function, facts: Facts | None = None, aliased: bool = False) -> str:
    """The OpenCL C source of a kernel named kernel_name(function).

    Its parameters are the function's arguments, then the scratch buffer where it needs one
    (scratch.py). `aliased` says that two arguments may be the same memory: without it pointers are
    restrict.
    Raises DTypeError for a dtype that the device lacks, CompilerError for loops without a launch.
    """
    return _Kernel(function, facts or Facts(), aliased).text()


def kernel_name(function: Function) -> str:
    """The name of a function's kernel: an identifier."""
    return Source(Facts()).declare(function.name)


class _Kernel:
    def __init__(self, function: Function, facts: Facts, aliased: bool) -> None:
        function = replace(function, body=map_expressions(function.body, _upright))
        self.function = function
        self.aliased = aliased
        self.source = Source(facts)
        self.expressions = Expressions(self.source)
        self.stores = Stores(self.expressions)
        self.plan: Plan = plan_launch(function, facts.group_limit)
        self.units = variable_units(function.body)
        self.vectors = _arrays_with_vectors(function.body)
        self.written = {*function.arguments[: function.outputs], *_written(function.body)}
        self.scratch = scratch_bytes(function, facts)
        self.fences = global_fences(function.body)
        self.in_items = False  # inside a workitem nest

    # ------------------------------------------------------------------------- the whole text

    def text(self) -> str:
        name = self.source.declare(self.function.name)
        parameters = self._parameters()
        self._local_arrays()
        start = len(self.source.lines)
        self._launch_body()
        if any(re.search(r"\bitem\b", line) for line in self.source.lines[start:]):
            self.source.lines.insert(start, f"    const int item = {self._item()};")
        items = (*self.plan.grid.shape, 1, 1)[:3]
        kernel = [
            f"__kernel __attribute__((reqd_work_group_size{items}))",
            f"void {name}(",
            *parameters,
            ") {",
            *self.source.lines,
            "}",
        ]
        comment = "".join(f"// {_ascii(line)}\n" for line in self.function.comment.splitlines())
        helpers = self.source.functions.text()
        text = "\n".join(kernel) + "\n"
        return f"{_pragmas(helpers + text, self.source.facts)}\n{helpers}{comment}{text}"

    def _parameters(self) -> list[str]:
        restrict = "" if self.aliased else "restrict "
        lines: list[str] = []
        for array in self.function.arguments:
            place = place_of(array, self.source.declare(array.name), self.source.facts)
            self.expressions.places[array] = place
            const = "" if array in self.written else "const "
            about = f"{array.dtype}[{array.size}]"
            lines.append(
                f"    __global {const}{place.element} *{restrict}{place.name},  // {about}"
            )
        if self.scratch:
            lines.append(f"    __global char *scratch,  // {self.scratch} bytes for each group")
        if lines:
            lines[-1] = lines[-1].replace(",  //", "  //")
        return lines

    def _local_arrays(self) -> None:
        """OpenCL C wants these at the top of the kernel, wherever their Allocs stand."""
        if self.scratch:
            shape = self.plan.group_shape
            group = " + ".join(
                f"get_group_id({d})" + "".join(f" * get_num_groups({inner})" for inner in range(d))
                for d in reversed(range(len(shape)))
            )
            self.source.line(f"scratch += ({group}) * {self.scratch};")
        offset = 0
        for array in local_arrays(self.function):
            name, scratch = self.source.declare(array.name), bool(self.scratch)
            place = place_of(array, name, self.source.facts, scratch=scratch)
            self.expressions.places[array] = place
            if scratch:
                pointer = f"__global {place.element} *"
                self.source.line(f"{pointer}restrict {name} = ({pointer})(scratch + {offset});")
                offset += padded_bytes(array, ALIGNMENT)
            else:
                count = f"[{padded_bytes(array, WORD) // array.dtype.itemsize}]{self._align(array)}"
                self.source.line(f"__local {place.element} {name}{count};")

    def _align(self, array: Array) -> str:
        return f" __attribute__((aligned({ALIGNMENT})))" if array in self.vectors else ""

    # ------------------------------------------------------------------------- groups and items

    def _launch_body(self) -> None:
        plan = self.plan
        self._statements(plan.prefix)  # its names are for all that follows
        if plan.groups is None:
            self._body(plan.body)
        else:
            self._group_ids(plan.groups, plan.group_shape)
            self._nest_body(plan.groups)

    def _group_ids(self, nest: Nest, shape: tuple[int, ...]) -> None:
        """Each loop's group id; loops that share the last dimension are taken apart."""
        inner = list(reversed(nest.loops))
        last = len(shape) - 1
        self._take_apart(inner[last:], f"get_group_id({last})", "group")
        for dimension in reversed(range(last)):
            self._declare_variable(inner[dimension], f"get_group_id({dimension})")

    def _take_apart(self, loops: list[For], position: str, name: str) -> None:
        """Declares the variables of loops, inner to outer, from a position in all of them."""
        if len(loops) > 1 and not position.isidentifier():
            name = self.source.declare(name)
            self.source.line(f"const int {name} = {position};")
            position = name
        divisor = 1
        texts: list[str] = []
        for loop in loops:
            quotient = position if divisor == 1 else f"{position} / {divisor}"
            outermost = loop is loops[-1]
            texts.append(quotient if outermost else f"{quotient} % {loop.extent}")
            divisor *= int(loop.extent)  # type: ignore[arg-type]
        for loop, text in zip(reversed(loops), reversed(texts), strict=True):
            self._declare_variable(loop, text)

    def _declare_variable(self, loop: For, text: str) -> None:
        name = self.source.declare(loop.var.name)
        self.source.line(f"const int {name} = {text};")
        self.expressions.named[loop.var] = scalar(name, "int", loop.var)

    def _nest_body(self, nest: Nest) -> None:
        for prefix in nest.prefixes:
            self._statements(prefix)
        self._statements(nest.body)

    def _item(self) -> str:
        """The item's number in its group, from its ids."""
        terms, stride = [], 1
        for dimension, count in enumerate(self.plan.grid.shape):
            factor = f" * {stride}" if stride > 1 else ""
            terms.append(f"get_local_id({dimension}){factor}")
            stride *= count
        return " + ".join(reversed(terms))

    def _workitem(self, loop: For, last: bool) -> None:
        """A workitem nest: each item runs its share of the iterations."""
        nest, grid = nest_of(loop), self.plan.grid
        if nest.size != grid.items and any(isinstance(s, Barrier) for s in statements(nest.body)):
            raise CompilerError(
                f"opencl: {self.function.name}: a barrier in {nest.size} of {grid.items} items"
            )
        self.in_items = True
        inner, shape = list(reversed(nest.loops)), grid.shape
        if grid.matches(nest):
            with self._block_unless(last):
                for dimension, each in reversed(list(enumerate(inner))):
                    self._declare_variable(each, f"get_local_id({dimension})")
                self._nest_body(nest)
        elif len(inner) == len(shape) and nest.extents[1:] == shape[-2::-1] and len(shape) > 1:
            with self._share(inner[-1], f"get_local_id({len(shape) - 1})", shape[-1]):
                for dimension, each in reversed(list(enumerate(inner[:-1]))):
                    self._declare_variable(each, f"get_local_id({dimension})")
                self._nest_body(nest)
        elif len(inner) == 1:
            with self._share(loop, "item", grid.items):
                self._nest_body(nest)
        else:
            self._flat_share(nest)
        self.in_items = False

    @contextmanager
    def _share(self, loop: For, item: str, items: int) -> Iterator[None]:
        """The iterations item, item + items, ... of one loop."""
        extent = int(loop.extent)  # type: ignore[arg-type]
        if extent > items:
            with self._for(loop, item, items):
                yield
            return
        with self.source.block(f"if ({item} < {extent})" if extent < items else ""):
            self._declare_variable(loop, item)
            yield

    def _flat_share(self, nest: Nest) -> None:
        """A nest shared by its iterations' numbers."""
        items, inner = self.plan.grid.items, list(reversed(nest.loops))
        if nest.size > items:
            name = self.source.declare("n")
            head = f"for (int {name} = item; {name} < {nest.size}; {name} += {items})"
        else:
            name, head = "item", f"if (item < {nest.size})" if nest.size < items else ""
        with self.source.block(head):
            self._take_apart(inner, name, name)
            self._nest_body(nest)

    @contextmanager
    def _block_unless(self, last: bool) -> Iterator[None]:
        """Braces around what is not the last of its body, so that its names end with it."""
        if last:
            yield
        else:
            with self.source.block():
                yield

    # ------------------------------------------------------------------------- statements

    def _body(self, body: Body) -> None:
        named = dict(self.expressions.named)
        self._statements(body)
        self.expressions.named = named

    def _statements(self, body: Body) -> None:
        for n, stmt in enumerate(body):
            self._statement(stmt, n + 1 == len(body))

    def _statement(self, stmt: Stmt, last: bool) -> None:
        match stmt:
            case For(kind="workitem") if not self.in_items:
                self._workitem(stmt, last)
            case For(kind="serial" | "workitem"):
                with self._for(stmt, "0", 1):
                    self._body(stmt.body)
            case Alloc():
                self._alloc(stmt.array)
            case Let():
                self.expressions.begin((stmt.value,))
                value = self.expressions.value(stmt.value)
                self.expressions.named[stmt.local] = self.expressions.name(value, stmt.local.name)
            case Store() | Accumulate():
                shared = stmt.array.scope in ("global", "local")
                alone = shared and not self.in_items and self.plan.grid.items > 1
                with self.source.block("if (item == 0)") if alone else self._block_unless(True):
                    self.stores.emit(stmt)
            case If():
                self._if(stmt)
            case Barrier():
                both = " | CLK_GLOBAL_MEM_FENCE" if next(self.fences) else ""
                self.source.line(f"barrier(CLK_LOCAL_MEM_FENCE{both});")
            case Prefetch():
                pass  # what a driver makes of OpenCL's prefetch cannot be known
            case For():
                raise CompilerError(
                    f"opencl: {self.function.name}: a {stmt.kind} loop over {stmt.var} is left"
                )
            case _:
                raise CompilerError(f"opencl: no translation of {type(stmt).__name__}")

    @contextmanager
    def _for(self, loop: For, start: str, step: int) -> Iterator[None]:
        """for (int i = start; i < extent; i += step)"""
        if isinstance(loop.extent, int):
            end, type_ = str(loop.extent), "int" if loop.extent <= INT_HIGH else "long"
        else:
            self.expressions.begin((loop.extent,))
            extent = self.expressions.value(loop.extent)
            end, type_ = self.source.named(extent.terms[0], extent.element), extent.element
        name = self.source.declare(loop.var.name)
        advance = f"{name}++" if step == 1 else f"{name} += {step}"
        with self.source.block(f"for ({type_} {name} = {start}; {name} < {end}; {advance})"):
            self.expressions.named[loop.var] = scalar(name, type_, loop.var)
            yield

    def _alloc(self, array: Array) -> None:
        if array.scope == "local":
            return
        unit = self.units.get(array, 0)
        name = self.source.declare(array.name, array.size // unit if unit else 0)
        place = place_of(array, name, self.source.facts, unit)
        self.expressions.places[array] = place
        if not unit:
            size = f"[{max(array.size, 1)}]"
            self.source.line(f"{place.element} {place.name}{size}{self._align(array)};")
            return
        variables = list(place.variables())
        for start in range(0, len(variables), 8):
            names = ", ".join(name for _, name in variables[start : start + 8])
            self.source.line(f"{variables[0][0]} {names};")

    def _if(self, stmt: If) -> None:
        self.expressions.begin((stmt.condition,))
        condition = self.expressions.value(stmt.condition)
        known = self.expressions.knowing(stmt.condition)
        with self.source.block(f"if ({condition.terms[0][0]})"), known:
            self._body(stmt.body)
        if stmt.otherwise:
            with self.source.block("else"):
                self._body(stmt.otherwise)


# --------------------------------------------------------------------------- small parts


def _written(body: Body) -> Iterator[Array]:
    for stmt in statements(body):
        if isinstance(stmt, Store | Accumulate):
            yield stmt.array


def _arrays_with_vectors(body: Body) -> set[Array]:
    """The arrays of which whole vectors are loaded or stored, and so are aligned."""
    found: set[Array] = set()
    seen: set[Expr] = set()
    for stmt in statements(body):
        if isinstance(stmt, Store | Accumulate) and max(stmt.index.lanes, stmt.value.lanes) > 1:
            found.add(stmt.array)
        stack = list(expressions(stmt))
        while stack:
            e = stack.pop()
            if e not in seen:
                seen.add(e)
                stack.extend(e.operands)
                if isinstance(e, Load) and e.lanes > 1:
                    found.add(e.array)
    return found


def _upright(e: Expr) -> Expr:
    """-x < c  ->  -c < x: easier to read, and right for the x whose negative wraps too."""

    def change(part: Expr) -> Expr | None:
        match part:
            case Op(op="lt", args=(Op(op="mul", args=(x, Literal(value=-1))), Literal(value=c))):
                return Op("lt", (Literal(-c), x)) if x.dtype == int64 else None
        return None

    return rewrite(e, change)


def _pragmas(text: str, facts: Facts) -> str:
    signs = {"cl_khr_fp64": "double"}
    if facts.float16:
        signs["cl_khr_fp16"] = "half"
    lines = ["#pragma OPENCL FP_CONTRACT OFF"]
    for extension, sign in signs.items():
        if sign in text:
            lines.append(f"#pragma OPENCL EXTENSION {extension} : enable")
    return "".join(f"{line}\n" for line in lines)


def _ascii(line: str) -> str:
    """Comments go to compilers that may not know UTF-8; a backslash at the end would join lines."""
    return line.encode("ascii", "replace").decode().rstrip("\\")
