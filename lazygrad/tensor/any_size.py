"""Calls of an operation at sizes that it was not called at before.

A template (template.py) is for inputs of some shapes. A cache that grows has another shape in each
step, and each step would try the operation anew. Some operations build the same graph at every
size, but for the sizes. Where two calls of such an operation differ in one size n alone, they tell
what a call at a third size gives: its shape, and that it belongs to this *series*. That is enough
until somebody looks. Then the operation is tried at that size.

    cat(k[5, 64], x[1, 64]), cat(k[6, 64], x[1, 64])   ->   cat(k[n, 64], x[1, 64]) is [n + 1, 64]
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..cache import remember
from ..errors import CompilerError
from ..graph.ir import Node
from ..graph.lines import FixedError, Line, Lines, at, between, differences, positive_at
from ..graph.sizes import Varying, masked
from .template import Gives, Recipe, Template

SMALLEST = 2  # sizes of 0 and 1 are often a case of their own
MAX_FORMS = 256  # kinds of calls that are remembered
MAX_SERIES = 4  # of one kind, the newest


@dataclass(frozen=True, eq=False)
class Series:
    """Calls that differ in a size n: how their keys and the shapes of their results vary."""

    key: Varying
    sizes: range  # of n
    shapes: Sequence[Lines]
    gives: Gives  # at one size
    rest: Any

    def at(self, key: Hashable) -> int | None:
        """The size n of a call with this key; None if it is not in the series."""
        sizes = self.key.sizes_of([key])
        return sizes[0] if sizes and sizes[0] in self.sizes else None


@dataclass(eq=False)
class _Form:
    """What is known of calls whose keys differ in numbers alone."""

    last: tuple[Hashable, Template] | None = None
    series: list[Series] = field(default_factory=list)


Try = Callable[[Sequence[Node]], "Recipe | None"]
"""Tries an operation on inputs like these."""

_forms: dict[Hashable, _Form] = {}


def recipe_at(key: Hashable, tried: Try) -> tuple[SizedTemplate, Any] | None:
    """The recipe of a call with this key, and the rest that was noted, as far as earlier calls
    tell. `tried` tries the operation at this size."""
    form = _forms.get(masked(key))
    for series in form.series if form else ():
        n = series.at(key)
        if n is not None:
            return SizedTemplate(series, n, tried), series.rest
    return None


def note_call(key: Hashable, template: Template, rest: Any) -> None:
    """Note a call that was tried. `rest` is what is known of it at any size."""
    name = masked(key)
    form = _forms.get(name)
    if form is None:
        form = _Form()
        remember(_forms, name, form, MAX_FORMS)
    if form.last is not None:
        with suppress(FixedError):
            series = _series(*form.last, key, template, rest)
            form.series = [series, *form.series][:MAX_SERIES]
    form.last = key, template


def _series(
    first: Hashable, template: Template, key: Hashable, made: Template, rest: Any
) -> Series:
    """The series of two calls. Raises FixedError where they differ in more than a size."""
    found = next(differences(first, key), None)
    if found is None:
        raise FixedError("no size differs")
    n, m = found
    between(template.description, made.description, n, m)  # raises for another graph
    pairs = zip(template.gives, made.gives, strict=True)
    shapes = [between(a[0], b[0], n, m) for (*_, a, _), (*_, b, _) in pairs]
    lines = between(first, key, n, m)
    sizes = positive_at([Line(x.slope, x.start - SMALLEST + 1) for x in _lines_in(lines)])
    return Series(Varying([key], {0: lines}, (0,)), sizes, shapes, made.gives, rest)


def _lines_in(value: Any) -> Iterator[Line]:
    """The lines in a nested tuple."""
    if isinstance(value, Line):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _lines_in(each)


class SizedTemplate(Recipe):
    """A template of which only the results' kinds are known, until one of them is built."""

    def __init__(self, series: Series, n: int, tried: Try) -> None:
        self._n, self._tried = n, tried
        self._template: Recipe | None = None
        self.description = series, n
        pairs = list(zip(series.gives, series.shapes, strict=True))
        self.gives = [
            (0, cls, (at(shape, (n,)), *rest), description)
            for ((_, cls, (_, *rest), _), shape), description in self.tell_apart(pairs)
        ]

    def build(self, inputs: Sequence[Node], given: Mapping[int, Node]) -> list[Any]:
        """As Template's."""
        template = self._template or self._tried(inputs)
        # nodes within may differ: two constants that are equal at this size are one
        if template is None or [x[1:3] for x in template.gives] != [x[1:3] for x in self.gives]:
            raise CompilerError(f"an operation builds another graph at the size {self._n}")
        self._template = template
        return template.build(inputs, given)
