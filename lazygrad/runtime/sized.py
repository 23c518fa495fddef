"""Plans that serve every size of an axis up to a bound (graph/sizes.py, graph/at_bound.py)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from .. import config
from ..dtypes import DType, int64
from ..errors import ShapeError
from ..graph.at_bound import AtBound
from ..graph.ir import Buffer, Const, Node, Shape, Source
from ..graph.sizes import Family, FixedError, Sample, at, varies
from ..graph.structure import Key
from .buffer import DeviceBuffer
from .device import Device
from .execute import Memories, Plan
from .report import report_fixed

MAX_FORMS = 256  # remembered; those met first are forgotten
MAX_SAMPLES = 4  # graphs of one form that are of no family yet
SMALLEST_BOUND = 128
STEP = 2  # from one bound to the next
MAX_BYTES = 64 << 20  # of what a graph reads and writes at its bound: larger ones have own plans
OFTEN = 64  # runs, from which on a size has a plan of its own

Compile = Callable[[Sequence[Node], Sequence[Buffer], Mapping[int, int], Hashable], Plan | None]
"""Outputs over slots, the slots, what is donated, and a name for it on disk -> a plan, if it can be
made."""


class Resized:
    """Copies a tensor between memory of its own shape and memory of its shape at a bound."""

    def __init__(self, shape: Shape, bound: Shape, dtype: DType, device: str) -> None:
        self.size = math.prod(shape)
        self._nbytes, self._bound_nbytes = (math.prod(s) * dtype.itemsize for s in (shape, bound))
        self._device = Device.get(device)
        sizes = merged(shape, bound)
        self._is_prefix = len(sizes) == 1  # the elements are the first ones of the larger memory
        *outer, (n, m) = sizes
        self._sizes = [*outer, (n * dtype.itemsize, m * dtype.itemsize)]

    def enlarged(self, memory: Any) -> Any:
        """Memory at the bound with the tensor's elements. What else is in it is undefined."""
        if self._is_prefix and memory.nbytes >= self._bound_nbytes:
            return memory
        larger = self._device.allocate(self._bound_nbytes)
        self._device.copy_box(memory, larger, tuple((n, m, n) for n, m in self._sizes))
        return larger

    def cut(self, memory: Any) -> Any:
        """The tensor's own memory, from memory at the bound."""
        if self._is_prefix:
            return memory
        own = self._device.allocate(self._nbytes)
        self._device.copy_box(memory, own, tuple((m, n, n) for n, m in self._sizes))
        return own


def merged(shape: Shape, bound: Shape) -> list[tuple[int, int]]:
    """The sizes of the fewest axes, in a shape and in a larger one: neighbours are one axis, unless
    the second differs.

        (2, 3, 37, 4), (2, 3, 64, 4)   ->   (6, 6), (148, 256)
    """
    sizes: list[tuple[int, int]] = []
    inner = 1
    for n, m in reversed(list(zip(shape, bound, strict=True))):
        if n == m:
            inner *= n
        else:
            sizes.append((n * inner, m * inner))
            inner = 1
    if inner > 1 or not sizes:
        sizes.append((inner, inner))
    return sizes[::-1]


class SizedPlan(Plan):
    """A plan at a bound, run for a size n."""

    __slots__ = ("_cut", "_enlarged", "_extra", "_inner", "runs")

    def __init__(
        self,
        inner: Plan,
        leaves: Sequence[Resized | None],
        outputs: Sequence[Resized | None],
        extra: Sequence[DeviceBuffer | int],
    ) -> None:
        """`extra` are the leaves after the graph's own: arguments, and n. An argument that is given
        in each run is its number among those given. There is no Resized for a tensor that is the
        same at every size."""
        own = [
            replace(output, size=resized.size) if resized else output
            for output, resized in zip(inner.outputs, outputs, strict=True)
        ]
        taken, peak = tuple(inner.taken), inner.peak_bytes
        super().__init__(len(leaves), inner.allocations, inner.steps, own, taken, peak)
        self.flags, self.title, self.has_origins = inner.flags, inner.title, inner.has_origins
        self._inner = inner
        self._enlarged = [(n, each) for n, each in enumerate(leaves) if each]
        self._cut = [(n, each) for n, each in enumerate(outputs) if each]
        self._extra = tuple(extra)
        self.runs = 0

    @property
    def is_outgrown(self) -> bool:
        """Whether this size is worth a plan of its own."""
        return self.runs >= OFTEN

    def attempt(
        self, memories: Memories, sources: Callable[[], Sequence[Source]] | None = None
    ) -> tuple[Memories, IndexError | None]:
        """As Plan's."""
        self.runs += 1
        for n, resized in self._enlarged:
            memories[n] = resized.enlarged(memories[n])
        given, memories[self.leaves :] = memories[self.leaves :], ()
        memories.extend(given[x] if isinstance(x, int) else x.memory for x in self._extra)
        found, error = self._inner.attempt(memories, sources)
        for n, resized in self._cut:
            found[n] = resized.cut(found[n])
        return found, error


class _Form:
    """The graphs of one form that were met."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.families: list[_Compiled] = []

    def serving(self, sample: Sample, varying: Sequence[int]) -> list[tuple[_Compiled, int]]:
        """The families that a graph is of and whose arguments the varying constants are, and its
        size in each."""
        every = [(e, e.family.size_of(sample)) for e in self.families if e.takes(varying)]
        return [(each, n) for each, n in every if n is not None]

    def add(self, sample: Sample, varying: Sequence[int]) -> None:
        """Add a graph, and its families with the ones before."""
        for other in self.samples:
            with suppress(FixedError):
                self.families.append(_Compiled(Family(other, sample, varying)))
        self.samples = [*self.samples[-(MAX_SAMPLES - 1) :], sample]


class _Compiled:
    """A family, and its plans by device and bound."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.plans: dict[tuple[Any, int], Plan | None] = {}

    def takes(self, varying: Iterable[int]) -> bool:
        """Whether the constants at these places are arguments."""
        return set(varying).issubset(self.family.arguments)


class VaryingSizes:
    """The forms of graphs that were met, and the families among them."""

    def __init__(self) -> None:
        self._forms: dict[Key, _Form] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._forms.clear()

    def __call__(
        self,
        key: Key,
        settings: Hashable,
        nodes: Sequence[Node],
        outputs: Sequence[Node],
        donated: Mapping[int, int],
        varying: Sequence[int],
        compiled: Compile,
    ) -> Plan | None:
        """A plan for a graph that differs from an earlier one in a size; None for the first one,
        and where a size does not vary alone.

        `key` is the graph's (structure.Structure), `nodes` in the order in which it has them.
        `varying` are the places of constants that each run of the plan is given after the leaves.
        """
        if not all(node.size for node in nodes):
            return None  # empty tensors take no time, and copy nothing
        sample = Sample(key, nodes)
        found = self._forms.get((sample.form, settings))
        if found is None:
            while len(self._forms) >= MAX_FORMS:
                self._forms.pop(next(iter(self._forms)))
            found = self._forms[sample.form, settings] = _Form()
        serving = found.serving(sample, varying)
        if not serving:
            found.add(sample, varying)
            serving = found.serving(sample, varying)
        for each, n in serving:
            plan = self._plan(each, n, nodes, outputs, donated, varying, compiled)
            if plan:
                return plan
        return None

    def _plan(
        self,
        each: _Compiled,
        n: int,
        nodes: Sequence[Node],
        outputs: Sequence[Node],
        donated: Mapping[int, int],
        varying: Sequence[int],
        compiled: Compile,
    ) -> Plan | None:
        bound, family = bound_of(n), each.family
        device = next((str(node.device) for node in nodes if node.device), Device.DEFAULT)
        place = Device.get(device), bound
        known = each.plans.get(place)
        if place not in each.plans or (known and config.ORIGINS > known.has_origins):
            each.plans[place] = _compile(family, bound, nodes, outputs, donated, compiled)
        plan = each.plans[place]
        if plan is None:
            return None

        def resized(place: int) -> Resized | None:
            shape, dtype = nodes[place].shape, nodes[place].dtype
            larger = at(family.shapes[place], bound)
            return None if larger == shape else Resized(shape, larger, dtype, device)

        numbers = {node: number for number, node in enumerate(nodes)}

        def argument(place: int) -> DeviceBuffer | int:
            if place in varying:
                return varying.index(place)
            constant = cast("Const", nodes[place])
            return DeviceBuffer.of_number(constant.value, constant.dtype, device)

        extra = [*map(argument, family.arguments), DeviceBuffer.of_number(n, int64, device)]
        leaves = [resized(place) for place in family.leaves]
        return SizedPlan(plan, leaves, [resized(numbers[x]) for x in outputs], extra)


def bound_of(n: int) -> int:
    """The bound of the plan that serves a size."""
    bound = SMALLEST_BOUND
    while bound < n:
        bound *= STEP
    return bound


def _compile(
    family: Family,
    bound: int,
    nodes: Sequence[Node],
    outputs: Sequence[Node],
    donated: Mapping[int, int],
    compiled: Compile,
) -> Plan | None:
    """The plan at a bound; None where there is none, or none that pays."""
    places = {node: place for place, node in enumerate(nodes)}
    ends = {*family.leaves, *(places[output] for output in outputs)}
    try:
        _check_worth(family, bound, nodes, ends)
        made = AtBound(family, nodes, outputs, bound)
    except (FixedError, ShapeError) as error:  # ShapeError: what has no meaning at the bound
        if config.DEBUG:
            node = nodes[family.place]
            report_fixed(f"a size in {node.name} of shape {node.shape}", str(error))
        return None
    kept = {
        n: leaf
        for n, leaf in donated.items()
        if not varies(family.shapes[family.leaves[leaf]])
        and not varies(family.shapes[places[outputs[n]]])
    }
    return compiled(made.outputs, made.slots, kept, bound)


def _check_worth(family: Family, bound: int, nodes: Sequence[Node], ends: Collection[int]) -> None:
    """Raise FixedError where inputs and outputs take more memory at the bound than pays, or cannot
    be copied there in one piece."""
    shapes = [(nodes[p], at(family.shapes[p], bound)) for p in ends if varies(family.shapes[p])]
    nbytes = sum(math.prod(shape) * node.dtype.itemsize for node, shape in shapes)
    if nbytes > MAX_BYTES:
        raise FixedError(f"{nbytes} bytes for a size of {bound}")
    if any(len(merged(node.shape, shape)) > 3 for node, shape in shapes):
        raise FixedError("more than two axes of one tensor vary")
