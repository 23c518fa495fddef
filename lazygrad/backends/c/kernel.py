"""The loop IR as C for GPUs: one Function, one kernel, as text.

    workgroup loop   a group's id                    see items.py for how loops map to the launch
    workitem loop    an item's id, or a loop over the group's share
    serial loop      for
    global array     a pointer argument
    local array      an array that a group shares
    register array   variables of their own, where every index is a constant, so that they surely
                     live in registers; else a private array
    vector           float4 and the like
    Let              a const variable

The text is the whole source of a program: pragmas, helper functions, the kernel. It is made to be
read: names are those of the loops and arrays, and the function's comment stands above it.

Accuracy is OpenCL's for its built-in functions: exp, log 3 ULP, sin, cos 4, tanh 5, pow, erf 16 at
most, in float and double; `+ - * fma` and, with the device's option for it, `/ sqrt` are correctly
rounded. Products and sums are fused only where the loop IR says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

from ...dtypes import int32, int64
from ...errors import CompilerError
from ...expr import Array, Expr
from ...loops.ir import (
    Alloc,
    Barrier,
    Body,
    For,
    Function,
    If,
    Let,
    Stmt,
    Store,
    statements,
)
from ...loops.ir.rebuild import accesses, written
from ...targets import Machine
from .dialect import OPENCL, Dialect, Types
from .functions import Functions
from .items import Nest, Plan, nest_of, plan_launch
from .printer import Place, Printer, constant_place, first_lane, is_int
from .shared import ALIGNMENT, WORD, global_fences, local_arrays, padded_bytes, scratch_bytes
from .text import Text


def codegen(function: Function, machine: Machine, dialect: Dialect = OPENCL) -> str:
    """The source of a kernel named kernel_name(function), in a dialect of C.

    Its parameters are the function's arguments, then the scratch buffer where it needs one
    (scratch.py).

    Requires: a function legalised for the machine, whose arguments do not overlap in memory.
    Raises DTypeError for a dtype that the machine lacks, CompilerError for loops without a launch.
    """
    return _Kernel(function, Types(dialect, machine)).source()


def kernel_name(function: Function) -> str:
    """The name of a function's kernel: an identifier."""
    return Text().declare(function.name)


class _Kernel:
    def __init__(self, function: Function, types: Types) -> None:
        self.function = function
        self.types = types
        self.dialect = types.dialect
        self.text = Text()
        self.functions = Functions()
        self.printer = Printer(types, self.text, self.functions)
        self.plan: Plan = plan_launch(function, types.machine.group_limit)
        self.units = variable_units(function.body)
        self.vectors = _arrays_with_vectors(function.body)
        self.written = written(function.body) | set(function.arguments[: function.outputs])
        self.scratch = scratch_bytes(function, types.machine)
        self.fences = global_fences(function.body)
        self.in_items = False  # inside a workitem nest

    # ------------------------------------------------------------------------- the whole text

    def source(self) -> str:
        name = self.text.declare(self.function.name)
        parameters = self._parameters()
        self._local_arrays()
        start = len(self.text.lines)
        self._launch_body()
        if any(re.search(r"\bitem\b", line) for line in self.text.lines[start:]):
            self.text.lines.insert(start, f"    const int item = {self._item()};")
        shape = (*self.plan.grid.shape, 1, 1)[:3]
        items = ", ".join(map(str, shape))
        head = self.dialect.kernel.format(name=name, items=items, count=self.plan.grid.items)
        comment = "".join(f"// {_ascii(line)}\n" for line in self.function.comment.splitlines())
        kernel = "\n".join([head, *parameters, ") {", *self.text.lines, "}"]) + "\n"
        helpers = self.functions.text()
        lines = "".join(f"{line}\n" for line in self._first_lines(helpers + kernel))
        return f"{lines}\n{helpers}{comment}{kernel}"

    def _first_lines(self, text: str) -> Iterator[str]:
        yield from self.dialect.lines
        for line, sign in self.dialect.extensions.items():
            if re.search(sign, text):
                yield line

    def _parameters(self) -> list[str]:
        restrict = self.dialect.restrict
        template, space = self.dialect.parameter, self.dialect.global_space
        lines: list[tuple[str, str]] = []
        for n, array in enumerate(self.function.arguments):
            place = Place(array, self.text.declare(array.name), space)
            self.printer.places[array] = place
            parameter = template.format(
                space=space, const="" if array in self.written else "const ", n=n,
                type=self.types.element(array.dtype), restrict=restrict, name=place.name,
            )  # fmt: skip
            lines.append((parameter, f"{array.dtype}[{array.size}]"))
        if self.scratch:
            parameter = template.format(
                space=space, const="", n=len(lines), type="char", restrict="", name="scratch"
            )
            lines.append((parameter, f"{self.scratch} bytes for each group"))
        rest = [(line, "") for line in self.dialect.last_parameters]
        lines += rest
        return [
            f"    {parameter}{',' if n < len(lines) else ''}{f'  // {about}' if about else ''}"
            for n, (parameter, about) in enumerate(lines, 1)
        ]

    def _local_arrays(self) -> None:
        """Declare the local arrays at the top of the kernel: OpenCL allows them nowhere else."""
        if self.scratch:
            shape = self.plan.group_shape
            counts = [in_dimension(self.dialect.group_count, d) for d in range(len(shape))]
            group = " + ".join(
                " * ".join([self._group_id(d), *counts[:d]]) for d in reversed(range(len(shape)))
            )
            self.text.line(f"scratch += ({group}) * {self.scratch};")
        offset = 0
        for array in local_arrays(self.function):
            name, element = self.text.declare(array.name), self.types.element(array.dtype)
            space = self.dialect.global_space if self.scratch else self.dialect.local_space
            self.printer.places[array] = Place(array, name, space)
            if self.scratch:
                pointer, restrict = f"{space}{element} *", self.dialect.restrict
                self.text.line(f"{pointer}{restrict}{name} = ({pointer})(scratch + {offset});")
                offset += padded_bytes(array, ALIGNMENT)
            else:
                count = padded_bytes(array, WORD) // array.dtype.itemsize
                self.text.line(f"{space}{element} {name}[{count}]{self._align(array)};")

    def _align(self, array: Array) -> str:
        return self.dialect.aligned.format(bytes=ALIGNMENT) if array in self.vectors else ""

    def _group_id(self, dimension: int) -> str:
        return in_dimension(self.dialect.group_id, dimension)

    def _item_id(self, dimension: int) -> str:
        return in_dimension(self.dialect.item_id, dimension)

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
        """Declare each loop's variable as a group id. Loops beyond the third share dimension 2."""
        inner = list(reversed(nest.loops))
        last = len(shape) - 1
        self._take_apart(inner[last:], self._group_id(last), "group")
        for dimension in reversed(range(last)):
            self._declare_variable(inner[dimension], self._group_id(dimension))

    def _take_apart(self, loops: list[For], position: str, name: str) -> None:
        """Declare the variables of loops, inner to outer, by dividing a position in their nest."""
        if len(loops) > 1 and not position.isidentifier():
            name = self.text.declare(name)
            self.text.line(f"const int {name} = {position};")
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
        name = self.text.declare(loop.var.name)
        self.text.line(f"const int {name} = {text};")
        self.printer.named[loop.var] = name

    def _nest_body(self, nest: Nest) -> None:
        for prefix in nest.prefixes:
            self._statements(prefix)
        self._statements(nest.body)

    def _item(self) -> str:
        """The item's number in its group, from its ids."""
        terms, stride = [], 1
        for dimension, count in enumerate(self.plan.grid.shape):
            factor = f" * {stride}" if stride > 1 else ""
            terms.append(f"{self._item_id(dimension)}{factor}")
            stride *= count
        return " + ".join(reversed(terms))

    def _workitem(self, loop: For, last: bool) -> None:
        """Write a workitem nest, of which each item runs its share of the iterations."""
        nest, grid = nest_of(loop), self.plan.grid
        if nest.size != grid.items and any(isinstance(s, Barrier) for s in statements(nest.body)):
            raise CompilerError(
                f"opencl: {self.function.name}: a barrier in {nest.size} of {grid.items} items"
            )
        self.in_items = True
        inner, shape, item, items = list(reversed(nest.loops)), grid.shape, "item", grid.items
        by_id: list[For] = []  # whose variables are the item's ids
        if grid.matches(nest):
            by_id = inner
        elif len(inner) == len(shape) > 1 and nest.extents[1:] == shape[-2::-1]:
            by_id, item, items = inner[:-1], self._item_id(len(shape) - 1), shape[-1]
        shared = inner[len(by_id) :]
        with self._share(shared, item, items) if shared else self._block_unless(last):
            for dimension, each in reversed(list(enumerate(by_id))):
                self._declare_variable(each, self._item_id(dimension))
            self._nest_body(nest)
        self.in_items = False

    @contextmanager
    def _share(self, loops: list[For], item: str, items: int) -> Iterator[None]:
        """The iterations item, item + items, ... of nested loops, given inner to outer."""
        extents: list[int] = [int(loop.extent) for loop in loops]  # type: ignore[arg-type]
        count, name = math.prod(extents), item
        if count > items and len(loops) == 1:
            with self._for(loops[0], item, items):
                yield
            return
        head = f"if ({item} < {count})" if count < items else ""
        if count > items:
            name = self.text.declare("n")
            head = f"for (int {name} = {item}; {name} < {count}; {name} += {items})"
        with self.text.block(head):
            self._take_apart(loops, name, name)
            yield

    @contextmanager
    def _block_unless(self, last: bool) -> Iterator[None]:
        """Braces, so that a statement's names end with it; none if it is the last of its body."""
        if last:
            yield
        else:
            with self.text.block():
                yield

    # ------------------------------------------------------------------------- statements

    def _body(self, body: Body) -> None:
        named = dict(self.printer.named)
        self._statements(body)
        self.printer.named = named

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
            case Let(local, value):
                self.printer.begin(value)
                text, name = self.printer.print_as(value), self.text.declare(local.name)
                self.text.line(
                    f"const {self.types.type(local.dtype, local.lanes)} {name} = {text};"
                )
                self.printer.named[local] = name
            case Store():
                shared = stmt.array.scope in ("global", "local")
                alone = shared and not self.in_items and self.plan.grid.items > 1
                with self.text.block("if (item == 0)") if alone else self._block_unless(True):
                    self.printer.begin(stmt.value, first_lane(stmt.index))
                    self.text.line(self.printer.store(stmt.array, stmt.index, stmt.value))
            case If():
                self._if(stmt)
            case Barrier():
                more = self.dialect.global_fence if next(self.fences) else ""
                self.text.line(self.dialect.barrier.format(more=more))
            case _:
                what = f"a {stmt.kind} loop over {stmt.var}" if isinstance(stmt, For) else stmt
                raise CompilerError(f"{self.dialect.name}: {self.function.name}: {what} is left")

    @contextmanager
    def _for(self, loop: For, start: str, step: int) -> Iterator[None]:
        """for (int i = start; i < extent; i += step)"""
        type_, end = self.types.element(int32 if is_int(loop.var) else int64), str(loop.extent)
        if isinstance(loop.extent, Expr):
            self.printer.begin(loop.extent)
            end = self.text.named(self.printer.print(loop.extent), type_)
        name = self.text.declare(loop.var.name)
        advance = f"{name}++" if step == 1 else f"{name} += {step}"
        with self.text.block(f"for ({type_} {name} = {start}; {name} < {end}; {advance})"):
            self.printer.named[loop.var] = name
            yield

    def _alloc(self, array: Array) -> None:
        if array.scope == "local":
            return
        unit = self.units.get(array, 0)
        name = self.text.declare(array.name, array.size // unit if unit else 0)
        place = self.printer.places[array] = Place(array, name, "", unit)
        type_ = self.types.type(array.dtype, unit or 1)
        if not unit:
            self.text.line(f"{type_} {name}[{max(array.size, 1)}]{self._align(array)};")
            return
        variables = [place.variable(start) for start in range(0, array.size, unit)]
        for start in range(0, len(variables), 8):
            self.text.line(f"{type_} {', '.join(variables[start : start + 8])};")

    def _if(self, stmt: If) -> None:
        self.printer.begin(stmt.condition)
        with self.text.block(f"if ({self.printer.print(stmt.condition)[0]})"):
            self._body(stmt.body)
        if stmt.otherwise:
            with self.text.block("else"):
                self._body(stmt.otherwise)


# --------------------------------------------------------------------------- small parts


def in_dimension(template: str, d: int) -> str:
    """A dialect's text for a group's or an item's id in dimension d."""
    return template.format(d=d, axis="xyz"[d])


def _accesses(body: Body) -> Iterator[tuple[Array, Expr]]:
    """Each access: the array and the index."""
    return (access for stmt in statements(body) for access in accesses(stmt))


def _arrays_with_vectors(body: Body) -> set[Array]:
    """The arrays of which whole vectors are loaded or stored; these are aligned."""
    return {array for array, index in _accesses(body) if index.lanes > 1}


def variable_units(body: Body) -> dict[Array, int]:
    """How many elements each variable of a register array holds; 0 where the array cannot be
    variables. It can if all accesses have constant indices and one width, and are aligned to it."""
    units: dict[Array, int] = {}
    for array, index in _accesses(body):
        if array.scope != "register":
            continue
        start, unit = constant_place(index), index.lanes
        fits = start is not None and 0 <= start <= array.size - unit
        fits = fits and start % unit == 0 == array.size % unit  # type: ignore[operator]
        units[array] = unit if fits and units.get(array, unit) == unit else 0
    return units


def _ascii(line: str) -> str:
    """Comments go to compilers that may not know UTF-8; a backslash at the end would join lines."""
    return line.encode("ascii", "replace").decode().rstrip("\\")
