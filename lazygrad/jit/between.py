"""Replays for sizes between captured ones.

Batches of random length have a new size in nearly every call. A plan serves many sizes
(runtime/sized.py), but to find it the function must run. Where captures at some sizes agree in all
but n, it need not run at a size between the least and the largest of them:

    captured at n = 20, 31, 44, 60      a call at n = 37 gets the replay of n = 20, with the plan
                                        and the shapes of 37

All captured sizes may be multiples of 8, and what the function does at others may not show. So a
size is served if it is as far from a captured one as these are from each other: by a multiple of
the greatest common divisor of their distances. In a long run of sizes that is 1.

An integer that counts calls is such an n, too, where no size varies: each training step adds 1 to
it, and has one plan.

A size that grows in each call, as a cache does, is never between captured ones. There the function
is captured at a larger size ahead of the calls (ahead.py).

Captures agree if what they asked of sizes has one answer between them (sizes.py), and if their
plans are of one family, and read, set and return the same. An integer that is on a line at both
ends is on it between them, since what shapes follow from, in this package, grows with n or falls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

from ..graph.ir import Shape
from ..graph.lines import FixedError, between, differences, function_of_size, varies
from ..graph.sizes import Varying
from ..questions import Question
from ..runtime.buffer import DeviceBuffer
from ..runtime.execute import Plan
from ..runtime.sized import SizedPlan, bound_of
from ..tensor.core import TensorCore
from .cells import Cell, GradientCell
from .environment import Outside, Resized
from .replay import Effects, Held, Place, Replay, State
from .sizes import have_one_answer, sizes_read
from .structure import Mismatch, attributes, is_open, same_value

ENOUGH = 4  # captures that agree: those at both ends, and two between them
GROWING = 3  # captures in a row, each of the largest size so far
MAX_MISSED = 8  # captures ahead that do not agree

Sizes = tuple[tuple[Shape, ...], tuple[int, ...], tuple[tuple[int, int, Any], ...], Outside]
"""The shapes of the tensors in a call's arguments, the integers among these, those in lists, dicts
and objects of the arguments that were read as sizes (watch.py), and the sizes outside."""


Point = tuple[int, ...]
"""The size of a capture, or its two sizes."""


@dataclass(frozen=True, eq=False, slots=True)
class AtSize:
    """A capture at one size: for arguments of a kind, with these sizes. `questions` are what its
    Python asked of them."""

    kind: Hashable
    sizes: Sizes
    replay: Replay
    questions: Sequence[Question]

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.replay.plan

    @property
    def integers(self) -> tuple[int, ...]:
        """Those that were read as sizes."""
        _, passed, items, (_, outside) = self.sizes
        return (*passed, *(n for n, *_ in items), *outside)

    @property
    def may_be_served(self) -> bool:
        """Whether the plan may serve calls with other sizes or integers."""
        return isinstance(self.plan, SizedPlan) or bool(self.integers)

    def is_like(self, other: AtSize) -> bool:
        """Whether both captures find the same outside, but for sizes, and set and return the same.
        Both follow what is there now."""
        a, b = self.replay, other.replay
        with suppress(Mismatch):
            a.follow()
            b.follow()
            return (
                a.aliases == b.aliases
                and _are_alike(a.effects, b.effects)
                and _are_alike(a.result, b.result)
                and a.environment.is_same(b.environment, but_sizes=True)
            )
        return False

    def agrees(self, other: AtSize) -> bool:
        """Whether two captures that are alike may differ in n alone."""
        a, b = self.replay, other.replay
        if [item[1:] for item in self.sizes[2]] != [item[1:] for item in other.sizes[2]]:
            return False  # other items were read
        return (
            _family(self.plan) is _family(other.plan)
            and have_one_answer(self.questions, other.questions)
            and a.arguments == b.arguments
            and not (a.argument_gradients or b.argument_gradients)
            and _are_alike(self._constants()[0], other._constants()[0])
            # of the arguments, no integers differ but these
            and _count(self.kind, other.kind) == _count(self.sizes[:3], other.sizes[:3])
        )

    def numbers(self) -> tuple[Any, ...]:
        """What may vary with n: the kind of the arguments, the sizes, the shapes of the outputs,
        the constants that are arguments of the plan, as the number of rows that a mean divides by,
        the integers that are returned or set, and the shapes that were read."""
        values = [storage.numpy().item() for storage in self._constants()[1]]
        whole = [int(x) if float(x).is_integer() else x for x in values]
        replay = self.replay
        return (
            self.kind, self.sizes, tuple(replay.shapes), tuple(whole), tuple(replay.integers),
            sizes_read(self.questions),
        )  # fmt: skip

    def outside_now(self, is_fixed: bool) -> Outside | None:
        """The sizes outside; unless they are fixed, as they are now. None where they are not there
        any more."""
        if is_fixed:
            return self.sizes[-1]
        try:
            self.replay.follow()
            return self.replay.environment.sizes_now()
        except Mismatch:
            return None

    def _constants(self) -> tuple[Sequence[DeviceBuffer], Sequence[DeviceBuffer]]:
        """The constants among the leaves, and those that are arguments of the plan."""
        every = self.replay.constants
        plan = self.plan
        count = len(plan.compiled.family.arguments) if isinstance(plan, SizedPlan) else 0
        return every[: len(every) - count], every[len(every) - count :]

    def at(
        self,
        plan: Plan,
        outside: Outside,
        shapes: Sequence[Shape],
        numbers: Sequence[float],
        integers: Sequence[int],
    ) -> Replay:
        """The replay for another size, with these sizes outside, shapes of outputs, arguments of
        the plan, and integers that are returned or set."""
        others, old = self._constants()
        new = [
            DeviceBuffer.of_number(number, each.dtype, each.device)
            for number, each in zip(numbers, old, strict=True)
        ]
        memories = self.replay.memories[: len(self.replay.memories) - len(new)]
        memories += map(plan.handle, new)
        return replace(
            self.replay,
            plan=plan, memories=memories, constants=[*others, *new], shapes=list(shapes),
            integers=list(integers), environment=self.replay.environment.at(outside),
        )  # fmt: skip


def _family(plan: Plan) -> Any:
    """What plans for other sizes have in common. A plan for one size is a family by itself."""
    return plan.compiled if isinstance(plan, SizedPlan) else plan


def _count(first: Any, second: Any) -> int:
    """How many integers differ."""
    return sum(1 for _ in differences(first, second))


class Span:
    """Captures for arguments of one form that agree. With the first one that does not, a new span
    begins: a window that slides, when it is full, is another one than a window that grows.

    n is the size of the plan, or that of two which differs. Where a plan has none, n is an
    integer that differs, such as one that counts calls.
    """

    def __init__(self, first: AtSize) -> None:
        self._low = self._high = first
        self._place = 0  # of n among the plan's sizes, or among the integers where it has none
        self._sizes: set[int] = set()
        self._step = 0  # the greatest common divisor of their differences
        self._lines: Any = None  # of `numbers`
        self._numbers_at: Callable[[int], tuple[Any, ...]] = function_of_size(())
        self._kinds: Varying | None = None  # of the arguments
        self._agree = first.may_be_served
        self._growing = 1  # captures in a row, each of the largest size so far
        self._missed: list[int] = []  # sizes at which a capture ahead does not agree
        self._is_closed = False  # to other captures
        self.is_fixed_outside = True  # whether the sizes outside are the same at all n

    def _n(self, capture: AtSize) -> int:
        plan = capture.plan
        sizes = plan.sizes if isinstance(plan, SizedPlan) else capture.integers
        return sizes[self._place]

    def _others(self, capture: AtSize) -> Point:
        """The sizes of the plan but n."""
        sizes = capture.plan.sizes if isinstance(capture.plan, SizedPlan) else ()
        return (*sizes[: self._place], *sizes[self._place + 1 :])

    def _plan_at(self, n: int) -> Plan | None:
        """The plan for the size n."""
        plan = self._low.plan
        if not isinstance(plan, SizedPlan):
            return plan
        return plan.compiled.known((*plan.sizes[: self._place], n, *plan.sizes[self._place + 1 :]))

    @property
    def serves_two(self) -> bool:
        """Whether the plan serves two sizes."""
        return isinstance(self._low.plan, SizedPlan) and len(self._low.plan.sizes) > 1

    @property
    def questions(self) -> Sequence[Question]:
        """What captures ask of sizes."""
        return self._low.questions

    def takes(self, new: AtSize) -> bool:
        """Add a capture, if it agrees."""
        if not self._low.is_like(new):
            return False
        if not self._agrees(new):
            self._is_closed = True
            self._agree = self._agree and not self._covers(new)
            return False
        if not self._agree or self._is_closed:
            return False
        self._note(self._n(new))
        self._growing = self._growing + 1 if self._n(new) >= self._n(self._high) else 0
        self._low = min(self._low, new, key=self._n)
        self._high = max(self._high, new, key=self._n)
        return True

    def _note(self, n: int) -> None:
        self._sizes |= {n, self._n(self._low)}
        self._step = gcd(self._step, n - self._n(self._low))

    def _covers(self, new: AtSize) -> bool:
        """Whether the size of a capture is, or may be, between those of the span."""
        if self._kinds is None:
            return True
        (n,) = self._kinds.sizes_in([(new.kind, new.sizes[-1])])
        return self._n(self._low) <= n <= self._n(self._high)

    def _is_on_lines(self, new: AtSize) -> bool:
        """Whether all numbers of a capture are on the lines that the first two determine."""
        first, numbers = self._low, new.numbers()
        if self._lines is None:
            both = first.integers, new.integers
            if isinstance(first.plan, SizedPlan) and isinstance(new.plan, SizedPlan):
                both = first.plan.sizes, new.plan.sizes
            pairs = enumerate(zip(*both, strict=True))
            differ = [(abs(m - n), place) for place, (n, m) in pairs if n != m]
            if not differ:
                return numbers == first.numbers()
            _, self._place = min(differ)
            try:
                self._lines = between(first.numbers(), numbers, self._n(first), self._n(new))
                kind, (*_, outside), *_ = self._lines
                self._kinds = Varying([(new.kind, new.sizes[-1])], {0: (kind, outside)}, (0,))
            except FixedError:
                return False
            self.is_fixed_outside = not varies(outside)
            self._numbers_at = function_of_size(self._lines)
        is_on_lines = self._numbers_at(self._n(new)) == numbers
        return is_on_lines and self._others(new) == self._others(first)

    def replay_for(self, kind: Hashable) -> Replay | None:
        """The replay for arguments of a kind, from the least to the largest size."""
        if not self._agree or self._kinds is None or len(self._sizes) < ENOUGH:
            return None
        low = self._low
        outside = low.outside_now(self.is_fixed_outside)
        if outside is None:
            return None
        sizes = self._kinds.sizes_of([(kind, outside)])
        if not sizes or not self._n(low) <= sizes[0] <= self._n(self._high):
            return None
        (n,) = sizes
        if (n - self._n(low)) % self._step:
            return None
        plan = self._plan_at(n)
        if plan is None or plan.taken != low.plan.taken:
            return None
        _, _, *others, _ = self._numbers_at(n)
        return low.at(plan, outside, *others)

    @property
    def is_growing(self) -> bool:
        """Whether one more capture of a larger size leads to one ahead."""
        is_open = self._agree and not self._is_closed
        return is_open and self._growing >= GROWING - 1 and len(self._missed) < MAX_MISSED

    def ahead(self) -> tuple[Point, Hashable, Sizes, Resized] | None:
        """A size to capture ahead of the calls: the largest that the plan of the last call serves,
        or half the way to one at which a capture did not agree. With it the kind of its arguments,
        the sizes, and what is outside at that size. None where the sizes of calls do not grow."""
        if not self.is_growing or self._growing < GROWING or self._kinds is None:
            return None
        plan, last = self._high.plan, self._n(self._high)
        n = bound_of(last)
        if isinstance(plan, SizedPlan):
            n = plan.compiled.bounds_of(plan.sizes)[self._place]
        missed = min(self._missed, default=n + 1)
        if missed <= n:
            n = (last + missed) // 2
        while n > last + 1 and self._plan_at(n) is None:
            n = (last + n) // 2
        if n <= last + 1:
            return None
        kind, sizes, *_ = self._numbers_at(n)
        environment = self._low.replay.environment  # as it is now: it has followed the last call
        resized = environment.resized(sizes[-1])
        if resized.shapes and environment.views:
            return None
        return (n,), kind, sizes, resized

    def takes_ahead(self, point: Point, new: AtSize | None) -> None:
        """Add a capture ahead of the calls, at a size, if it agrees with the others. None: the
        function cannot be captured there."""
        (n,) = point
        is_like = new is not None and self._low.is_like(new)
        if new is None or not is_like or not self._agrees(new) or self._n(new) != n:
            self._missed.append(n)
            return
        self._note(n)
        self._high = new

    def _agrees(self, new: AtSize) -> bool:
        """Whether a capture that is like the others agrees with them."""
        return self._low.agrees(new) and self._high.agrees(new) and self._is_on_lines(new)


def _are_alike(a: Any, b: Any) -> bool:
    """Whether templates and effects of two captures do the same."""
    if a is b:
        return True
    if type(a) is not type(b) or isinstance(a, (Cell, State, TensorCore)):
        return isinstance(a, State) and isinstance(b, State) and a.value is b.value
    if isinstance(a, GradientCell):
        return a.owner is b.owner
    if isinstance(a, (list, tuple, deque)):
        return len(a) == len(b) and all(map(_are_alike, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(_are_alike, a.values(), b.values()))
    if isinstance(a, (Place, Effects, Held)) or is_open(type(a)):
        return _are_alike(attributes(a), attributes(b))
    return same_value(a, b)
