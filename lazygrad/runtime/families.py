"""The families of graphs that a program has, and their plans.

Graphs that differ in one size n alone are a family (graph/sizes.py). A family is compiled at a
bound, a larger n; the actual n is one more leaf of the plan (graph/at_bound.py), which sized.py
runs. Where two sizes vary, each has a bound and a leaf (graph/at_bounds.py).

    f(x[100]), f(x[101])   ->   one plan at the bound 128, run with n = 100, 101, ... 128
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from operator import le
from typing import Any

from .. import config
from ..cache import remember
from ..dtypes import DType, int64
from ..errors import CompilerError, OperationError, ShapeError
from ..graph.at_bound import AtBound
from ..graph.at_bounds import AtBounds
from ..graph.checks import checks_of
from ..graph.growing import Growth, growths
from ..graph.ir import Buffer, Node, Shape
from ..graph.lines import FixedError, Line, Lines, Surface, at, varies
from ..graph.sizes import Family, Sample, varying_between
from ..graph.skeleton import Fields, Places, Sizes, Skeleton, Structure
from ..graph.structure import Key, Walk
from .buffer import DeviceBuffer
from .device import Device
from .execute import Plan
from .report import report_fixed
from .room import Resized, merged, resized
from .sized import SizedPlan, bound_of

MAX_FORMS = 256  # remembered; the oldest is forgotten first
MAX_SAMPLES = 4  # graphs of one form that are of no family yet
MAX_FAMILIES = 16  # of one form, without a plan
MAX_BYTES = 64 << 20  # of leaves and outputs at the bound: a larger graph has a plan a size
MAX_COPIED = 1 << 20  # of an output that overwrites a leaf, but at the bound would be a copy
MAX_GROWN_BYTES = 4 << 30  # of leaves and outputs with those that grow, which no run copies
MAX_SIZED = 1024  # sizes of a family that are remembered
MAX_CALLS = 16  # skeletons of one family that are remembered
MAX_RECALLED = 512  # structures of graphs whose family is remembered

Compile = Callable[[Sequence[Node], Sequence[Buffer], Mapping[int, int], Hashable], Plan | None]
"""Outputs (a graph over slots), the slots, the donated ones by output, and a part of the key on
disk -> a plan, if one can be made."""


class _Form:
    """Graphs of one form (they differ in integers of shapes, and floats, alone): those met last,
    and the families found among them."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.families: list[Compiled] = []

    def serving(self, sample: Sample, varying: Sequence[int] = ()) -> list[tuple[Compiled, Sizes]]:
        """The families that a graph is in, each with the graph's sizes. Constants at the places
        `varying` must be arguments there."""
        wanted = set(varying)
        every = [
            (each, each.family.pattern.sizes_of(sample.fields))
            for each in self.families
            if wanted.issubset(each.family.arguments)
        ]
        return [(each, sizes) for each, sizes in every if sizes is not None]

    def add(self, sample: Sample, varying: Sequence[int], device: str) -> list[Compiled]:
        """Add a graph, and the families that it makes with earlier ones, which are returned. Where
        no size alone is likely to vary, two may."""
        found: list[Family] = []
        for other in self.samples:
            with suppress(FixedError):
                found.append(Family(other, sample, varying=varying))
        is_likely = any(family.is_likely for family in found)
        for others in () if is_likely else _of_two_sizes(self.samples):
            with suppress(FixedError):
                found.append(Family(*others, sample, varying=varying))
                break
        new = [Compiled(family, device) for family in found]
        self.samples = [*self.samples[-(MAX_SAMPLES - 1) :], sample]
        useful = [each for each in self.families if any(each.plans.values())]
        useless = [each for each in self.families if each not in useful]
        self.families = [*useful, *useless[-MAX_FAMILIES:], *new]
        return new


def _of_two_sizes(samples: Sequence[Sample]) -> Iterator[tuple[Sample, ...]]:
    """The earlier graphs that may tell, with a new one, how two sizes vary. More of them tell
    more surely."""
    for count in range(len(samples), 1, -1):
        yield from combinations(samples, count)


class Compiled:
    """A family, its plans by device and bound, and the SizedPlans of its sizes."""

    def __init__(self, family: Family, device: str) -> None:
        self.family, self.device = family, device
        self.plans: dict[tuple[Any, Sizes], Plan | None] = {}
        self.sized: dict[tuple[Any, Sizes], SizedPlan] = {}
        self.growths: list[Growth] = []  # the same at each bound
        self.ranges: list[tuple[int | Line | Surface, int | Line | Surface]] = []  # of the checks
        # no graph has larger sizes: a buffer holds no more
        self.largest = (sys.maxsize,) * len(family.lead)
        self.kinds = _Kinds()
        self.calls: dict[tuple[Skeleton, Places], dict[Sizes, Fields]] = {}

    def known(self, sizes: Sizes) -> SizedPlan | None:
        """The plan for these sizes; None where their bounds have no plan, or one without the
        origins that config.ORIGINS wants."""
        place = Device.get(self.device), self.bounds_of(sizes)
        plan = self.plans.get(place) if self._is_within(sizes) else None
        if plan is None or config.ORIGINS > plan.has_origins:
            return None
        found = self.sized.get((plan, sizes))
        if found is None:
            found = self._at_sizes(plan, sizes, place[1])
            remember(self.sized, (plan, sizes), found, MAX_SIZED)
        return found

    def _is_within(self, sizes: Sizes) -> bool:
        """Whether no size is larger than the largest."""
        return all(map(le, sizes, self.largest))

    def compile(
        self,
        sizes: Sizes,
        nodes: Sequence[Node],
        outputs: Sequence[Node],
        donated: Mapping[int, int],
        compiled: Compile,
    ) -> bool:
        """Compile the plan for sizes up to the bounds of these; whether there is one. Raises
        CompilerError, once, for a fault."""
        device, bounds = Device.get(self.device), self.bounds_of(sizes)
        if not self._is_within(sizes):
            return False
        plan = self.plans.get((device, bounds))
        if (device, bounds) in self.plans and not (plan and config.ORIGINS > plan.has_origins):
            return plan is not None
        work = nodes, outputs, donated, compiled
        try:
            try:
                plan = self._compiled(bounds, *work)
            except ShapeError:
                self.largest = bounds = self._largest(sizes, bounds, nodes, outputs)
                plan = self._compiled(bounds, *work)
        except (ShapeError, CompilerError) as error:
            self.plans[device, bounds] = None
            if isinstance(error, CompilerError):
                raise
            return False
        self.plans[device, bounds] = plan
        return plan is not None

    def _at_bounds(
        self,
        nodes: Sequence[Node],
        outputs: Sequence[Node],
        bounds: Sizes,
        growing: Sequence[Growth] = (),
    ) -> AtBound | AtBounds:
        """The family's graph at the bound of each size. Raises FixedError where there is none,
        ShapeError where there may be one at smaller bounds, CompilerError for a fault."""
        try:
            if len(bounds) > 1:
                return AtBounds(self.family, nodes, bounds, self.device)
            return AtBound(self.family, nodes, outputs, bounds[0], growing, self.device)
        except (FixedError, ShapeError, MemoryError):
            raise
        except OperationError as error:  # the integers are on other lines
            raise FixedError(f"it has no meaning at {bounds}: {error}") from None
        except Exception as error:
            raise CompilerError(f"the graph at {bounds}: {error!r}") from error

    def _has_meaning(self, bounds: Sizes, nodes: Sequence[Node], outputs: Sequence[Node]) -> bool:
        """Whether the graph fits the shapes of its leaves at bounds."""
        try:
            self._at_bounds(nodes, outputs, bounds)
        except ShapeError:
            return False
        except FixedError:
            pass  # which _compiled tells
        return True

    def _largest(
        self, sizes: Sizes, bounds: Sizes, nodes: Sequence[Node], outputs: Sequence[Node]
    ) -> Sizes:
        """The largest bounds, from these sizes on, at which the graph has a meaning; at `bounds` it
        has none. Each is found where the other sizes are as they are."""
        found = list(bounds)
        for number, (n, bound) in enumerate(zip(sizes, bounds, strict=True)):
            tried = list(sizes)
            tried[number] = middle = n + 1  # where the graph does not vary so, it has none
            while n < bound:
                if self._has_meaning(tuple(tried), nodes, outputs):
                    n = middle
                else:
                    bound = middle - 1
                tried[number] = middle = (n + bound + 1) // 2
            found[number] = n
        return tuple(found)

    def bounds_of(self, sizes: Sizes) -> Sizes:
        """The sizes that the plan for these is compiled at. There, the largest size that grows with
        n is a power of two: families that share a growing tensor have it in memory of one shape."""
        every = zip(sizes, self.family.lead, self.largest, strict=True)
        return tuple([min(bound_of(n + lead) - lead, largest) for n, lead, largest in every])

    def _compiled(
        self,
        bounds: Sizes,
        nodes: Sequence[Node],
        outputs: Sequence[Node],
        donated: Mapping[int, int],
        compiled: Compile,
    ) -> Plan | None:
        """Compile the plan at bounds; None where that is not possible, or does not pay. Raises
        ShapeError where the graph has no meaning there."""
        family = self.family
        try:
            if len(bounds) == 1:
                self.growths = growths(family, nodes)
            self.ranges = self._ranges(nodes, outputs)
            kept = self._kept(bounds, donated)
            made = self._at_bounds(nodes, outputs, bounds, self.growths)
            self.kinds = self._kinds(made.shapes)
            _check_worth(family, bounds, made.shapes, self.growths)
        except FixedError as error:
            if config.DEBUG:
                node = nodes[family.places[0]]
                report_fixed(f"a size in {node.name} of shape {node.shape}", str(error))
            return None
        return compiled(made.outputs, made.slots, kept, bounds)

    def _kept(self, bounds: Sizes, donated: Mapping[int, int]) -> dict[int, int]:
        """The leaf whose memory each output takes over at the bound: outputs that have one shape at
        every size, and outputs that grow. Raises FixedError where a large output of `donated` is
        neither: each run would copy it."""
        family, kept = self.family, {each.output: each.leaf for each in self.growths}
        for n, leaf in donated.items():
            places = family.leaves[leaf], family.outputs[n]
            if not any(varies(family.shapes[place]) for place in places):
                kept[n] = leaf
            elif n not in kept:
                nbytes = _nbytes(family, family.outputs[n], bounds)
                if nbytes > MAX_COPIED:
                    raise FixedError(f"{nbytes} bytes are overwritten in place")
        return kept

    def _ranges(
        self, nodes: Sequence[Node], outputs: Sequence[Node]
    ) -> list[tuple[int | Line | Surface, int | Line | Surface]]:
        """The range of each check of indices. That of a check in a step of a loop is fixed."""
        leaves = [nodes[place] for place in self.family.leaves]
        place = {node: place for place, node in enumerate(nodes)}
        fields, found = self.family.fields, []
        for check in checks_of(outputs, leaves):
            low, high, _ = fields[place[check]] if check in place else (check.low, check.high, None)
            found.append((low, high))
        return found

    def _kinds(self, outputs: Sequence[Lines]) -> _Kinds:
        """The kinds of the leaves, and of outputs of these shapes. At the bound, a leaf that grows
        has the shape of the output that grows from it."""
        family, kinds = self.family, _Kinds()
        grows = {each.leaf: family.shapes[each.place] for each in self.growths}

        def kind(place: int, shape: Lines, larger: Lines) -> int | None:
            return kinds.number(shape, larger, family.dtypes[place]) if varies(shape) else None

        for leaf, place in enumerate(family.leaves):
            shape = family.shapes[place]
            kinds.leaves.append(kind(place, shape, grows.get(leaf, shape)))
        ends = zip(family.outputs, outputs, strict=True)
        kinds.outputs = [kind(place, shape, shape) for place, shape in ends]
        return kinds

    def _at_sizes(self, plan: Plan, sizes: Sizes, bounds: Sizes) -> SizedPlan:
        family, device = self.family, self.device
        leaves, outputs = self.kinds.resized(sizes, bounds, device)
        leaves += [None] * len(family.arguments)
        grown = {each.output: each.leaf for each in self.growths}
        counts = [DeviceBuffer.of_number(n, int64, device) for n in sizes]
        share = family.elements(sizes) / family.elements(bounds)
        ranges = [at(each, sizes) for each in self.ranges]
        made = SizedPlan(plan, leaves, outputs, grown, counts, share, ranges)
        made.compiled, made.sizes = self, sizes
        return made


class _Kinds:
    """The distinct kinds among a family's leaves and outputs: a shape, the shape whose size at the
    bound the memory has, and a dtype. A program in which something grows has each size once, with
    many tensors of one kind."""

    def __init__(self) -> None:
        """`leaves` and `outputs` have the number of a kind, or None for one shape at all sizes."""
        self.leaves: list[int | None] = []
        self.outputs: list[int | None] = []
        self._numbers: dict[tuple[Lines, Lines, DType], int] = {}

    def number(self, shape: Lines, larger: Lines, dtype: DType) -> int:
        """The number of a kind; a new one where there is none."""
        return self._numbers.setdefault((shape, larger, dtype), len(self._numbers))

    def resized(
        self, sizes: Sizes, bounds: Sizes, device: str
    ) -> tuple[list[Resized | None], list[Resized | None]]:
        """The Resized of each leaf and output for these sizes."""
        made = [
            resized(at(shape, sizes), at(larger, bounds), dtype, device)
            for shape, larger, dtype in self._numbers
        ]
        of_leaves = [None if kind is None else made[kind] for kind in self.leaves]
        return of_leaves, [None if kind is None else made[kind] for kind in self.outputs]


@dataclass(frozen=True, eq=False, slots=True)
class _Recalled:
    """A family, and where graphs of a structure have n, the leaves of its plan, and the constants
    that are arguments."""

    compiled: Compiled
    structure: Structure
    leaves: Places
    arguments: Places


class VaryingSizes:
    """The forms of graphs that were met, and the families among them."""

    def __init__(self) -> None:
        self._forms: dict[tuple[Key, Hashable], _Form] = {}
        self._recalled: dict[tuple[Structure, Places, Hashable], _Recalled] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._forms.clear()
        self._recalled.clear()

    def recalled(
        self, walk: Walk, outputs: Places, settings: Hashable
    ) -> tuple[SizedPlan, Places, Places] | None:
        """The plan for a graph of a structure that `known` has found before, and the places of its
        leaves and of the constants that are its arguments."""
        structure = walk.structure
        found = self._recalled.get((structure, outputs, settings))
        if found is None:
            return None
        is_own = structure is found.structure
        sizes = walk.sizes if is_own else found.structure.sizes_of(walk.fields)
        plan = None if sizes is None else found.compiled.known(sizes)
        return None if plan is None else (plan, found.leaves, found.arguments)

    def known(
        self, sample: Sample, walk: Walk, settings: Hashable
    ) -> tuple[SizedPlan, list[int]] | None:
        """The plan for a graph of a known family, and the places of the constants that are its
        arguments: further leaves of the plan. `sample` is of the graph `walk`."""
        form = self._forms.get((sample.form, settings))
        for each, sizes in form.serving(sample) if form else ():
            plan = each.known(sizes)
            if plan is not None:
                family = each.family
                family.structure = walk.note_varying(family.structure_of(walk.fields))
                found = _Recalled(each, family.structure, family.leaves, tuple(family.arguments))
                self._remember(walk, sample.outputs, settings, found)
                return plan, family.arguments
        return None

    def note_calls(
        self,
        plan: SizedPlan,
        walk: Walk,
        outputs: Places,
        settings: Hashable,
        leaves: Places,
        arguments: Places,
    ) -> None:
        """Note that the plan was found for a graph whose calls `walk` has not looked into. When it
        was found at enough sizes, these tell what such graphs have at others."""
        compiled, name = plan.compiled, (walk.skeleton, outputs)
        every = compiled.calls.get(name, {}) | {plan.sizes: walk.fields}
        last = dict(list(every.items())[-len(compiled.family.sizes) :])
        remember(compiled.calls, name, last, MAX_CALLS)
        if len(last) < len(compiled.family.sizes):
            return
        with suppress(FixedError):
            lines = compiled.family.lines
            structure = varying_between([*last.values()], [*last], arguments, lines)
            found = _Recalled(compiled, walk.note_varying(structure), leaves, arguments)
            self._remember(walk, outputs, settings, found)

    def _remember(self, walk: Walk, outputs: Places, settings: Hashable, found: _Recalled) -> None:
        for structure in (walk.structure, found.structure):
            remember(self._recalled, (structure, outputs, settings), found, MAX_RECALLED)

    def learn(
        self,
        sample: Sample,
        settings: Hashable,
        nodes: Sequence[Node],
        outputs: Sequence[Node],
        donated: Mapping[int, int],
        varying: Sequence[int],
        compiled: Compile,
    ) -> None:
        """Note a graph. If it differs from an earlier one in one size alone, compile a plan for all
        sizes up to the next bound. Where two graphs alone do not tell that integers vary together
        (`Family.is_likely`), a third one must confirm it, or may tell that two sizes vary.

        `sample` is of the graph, whose nodes are `nodes`, in order. Constants at the places
        `varying` become arguments.
        """
        if not all(node.size for node in nodes):
            return  # empty tensors take no time, and copy nothing
        name = sample.form, settings
        form = self._forms.get(name)
        if form is None:
            form = _Form()
            remember(self._forms, name, form, MAX_FORMS)
        serving = form.serving(sample, varying)
        for each, sizes in serving:
            if each.compile(sizes, nodes, outputs, donated, compiled):
                return
        if serving and not any(each.family.fit.has_quotients for each, _ in serving):
            return
        device = next((str(node.device) for node in nodes if node.device), Device.DEFAULT)
        found = form.add(sample, varying, device)
        likely = [each for each in found if each.family.is_likely]
        if config.DEBUG and not likely and len(form.samples) == MAX_SAMPLES:
            report_fixed("a size", "more than two sizes vary, or they vary in another way")
        for each in likely:
            sizes = each.family.sizes[-1]
            if each.compile(sizes, nodes, outputs, donated, compiled):
                return


def _nbytes(family: Family, place: int, bounds: Sizes) -> int:
    """The bytes of the node at a place, at bounds."""
    shape: Shape = at(family.shapes[place], bounds)
    return math.prod(shape) * family.dtypes[place].itemsize


def _check_worth(
    family: Family, bounds: Sizes, outputs: Sequence[Lines], growing: Collection[Growth]
) -> None:
    """Raise FixedError where leaves and outputs, of these shapes, take more memory at the bound
    than pays, or where one copy cannot move them there (`copy_box`). A tensor that grows is not
    copied."""
    ends = {p for p in (*family.leaves, *family.outputs) if varies(family.shapes[p])}
    stay = {family.outputs[each.output] for each in growing}
    stay |= {family.leaves[each.leaf] for each in growing}
    nbytes = {p: _nbytes(family, p, bounds) for p in ends}
    copied = sum(nbytes[p] for p in ends - stay)
    if copied > MAX_BYTES or sum(nbytes.values()) > MAX_GROWN_BYTES:
        raise FixedError(f"{sum(nbytes.values())} bytes for {bounds}")
    shapes = {*(family.shapes[place] for place in family.leaves), *outputs}
    more = tuple([n + 1 for n in bounds])
    if any(len(merged(at(shape, bounds), at(shape, more))) > 3 for shape in shapes):
        raise FixedError("more than two axes of one tensor vary")
