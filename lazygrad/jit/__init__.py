"""Capture a function once, then replay it as one compiled call.

    @lazygrad.jit
    def step(x, y):
        optimizer.zero_grad()
        loss = model(x).cross_entropy(y)
        loss.backward()
        optimizer.step()
        return loss

The first call with arguments of some kind runs the function to see what it computes. All of it
becomes one graph and one plan, whatever the function realizes in between. Later calls with
arguments of that kind run the plan: no Python of the function, no graph work.

A replayed call does what the function does:

- It sets the tensors that the function assigns (parameters, optimizer state, running statistics,
  the random state), the gradients, and what the function sets in Python objects outside.
- It reads state as it is at the time of the call.
- It returns new tensors, which no later call changes.

The function is captured anew for

- arguments of another kind: shapes, dtypes and devices of tensors; values of numbers and strings;
  attributes of objects; `Tensor.training` and `no_grad`;
- other values, or other code, in what its Python reads outside: attributes, lists, dicts, sets,
  globals and variables of enclosing functions.

Another tensor of the same kind needs no new capture: the call uses it in place of the old one. Of
many captures, those used last are kept.

Where four captures agree in all but one size of the tensors in the arguments, or outside, a call at
a size between theirs does not run the function (between.py; area.py for two sizes). So batches of
random length are captured at some lengths, not at each. Where the size grows in each call, as
that of a cache, the function is captured once more at a larger one, ahead of the calls (ahead.py):
its Python runs for arguments of that size, but nothing is computed or set. Integers in the
arguments, as a position, and those that count outside (in attributes, lists, dicts, variables) may
vary with the size; so may integers that the function returns and sets. Where captures do not agree,
as those of a window that slides and those of one that still grows, each part of the sizes is served
by its own.

What the function asks of a size, or of such an integer, is noted (`if n % 2: ...`), and must have
one answer between these sizes (sizes.py). Where it raises an exception (as code in C may do that
takes nothing but an `int`), its Python runs once more, from the start, without that.

Where sizes or other numbers differ from call to call in another way, no capture would ever be
replayed. After 16 such captures a function that sets nothing outside, or only draws random numbers,
runs as it stands with numbers that it meets for the first time, which costs less. It is captured
for numbers that come again, and for all once some have.

What differs from a call without jit, because the function's Python does not run again:

- Inside, values cannot be read on the host, nor items drawn from iterators from outside, nor random
  numbers from Python's and NumPy's generators. Tensors made inside cannot be added to a list in
  each call, nor be kept where jit cannot see them. All of this raises JitError.
- Returned and kept tensors carry no gradient to what they were computed from.
- After an exception everything is as it was before the call, attributes and lists among it.
- jit does not look into objects of Python's and NumPy's own classes (files, clocks, queues), the
  globals of installed packages, arrays of more than 4096 bytes, and containers of more than 10,000
  items. Other effects, like printing, happen where it is captured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from functools import partial, update_wrapper
from operator import itemgetter
from threading import RLock
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload
from warnings import warn
from weakref import ref

from .. import config, dtypes
from ..cache import remember
from ..errors import JitError
from ..graph.sizes import masked
from ..looking import looking
from ..origin import name_of_function
from ..runtime.buffer import interceptor
from ..runtime.device import Device
from ..tensor.core import grad_enabled
from ..tensor.mode import autocast_dtype, chosen_mode
from ..tensor.realize import realize_all
from .structure import METHODS, Arguments, Captured, Computed, Entry, Mismatch, described

if TYPE_CHECKING:  # with these come the compiler's plans
    from .replay import Replay
    from .spans import Spans

P = ParamSpec("P")
R = TypeVar("R")

MAX_CAPTURES = 512  # of one function; each size has a capture of its own
ENOUGH_CAPTURES = 16  # that nothing replays: numbers differ from call to call
FEW_CAPTURES = 2  # for tensors of one kind: numbers that differ become arguments of the plan
MANY_CAPTURES = 8  # for arguments of one kind: a sign of a value outside that keeps changing


class jit(Captured, Generic[P, R]):
    """Captures a function or a method: as a decorator, or called, `step = jit(step)`.

    double = lazygrad.jit(lambda x: x * 2)
    double(Tensor([3.0])).item() == 6.0
    """

    def __init__(self, function: Callable[P, R]) -> None:
        """Raises JitError for generators and coroutines, which run outside of their call."""
        code = _code_of(function)
        if code is not None and code.co_flags & _RUNS_LATER:
            raise JitError(
                f"jit: {code.co_name} is a generator or a coroutine, which runs piece by piece, "
                "outside of its call; capture what a piece computes"
            )
        self._function = function
        self._instance: ref[Any] | None = None  # of which this is a method
        self._attribute: tuple[str, jit[..., R]] | None = None  # a method's name, the class's jit
        self._out: ref[jit[..., R]] | None = None  # the method as the program has it
        self._takes_any = code is None or bool(code.co_flags & _ANY_KEYWORDS)
        self._forget()
        update_wrapper(self, function)

    def reset(self) -> None:
        """Forget what was captured: the next call captures anew."""
        self._forget()

    def _forget(self) -> None:
        """Begin without captures."""
        self._replays: dict[Hashable, list[Replay]] = {}
        self._newest: ref[Replay] | None = None  # capture
        self._attempts: dict[Hashable, int] = {}
        self._spans: Spans | None = None  # made with the first capture
        self._captures: dict[Hashable, int] = {}  # by what numbers leave, and shapes
        self._integers: dict[Entry, None] = {}  # outside, which vary, as counters do
        self._notes_questions: dict[Hashable, bool] = {}  # of sizes, by what numbers leave
        self._pure: dict[Hashable, int] = {}  # captures that set nothing, by what numbers leave
        self._met: dict[Hashable, None] = {}  # kinds with which it ran as it stands
        self._bound: dict[int, tuple[ref[Any], jit[..., R]]] = {}
        self._lock = RLock()
        self._calls = 0
        self._has_warned = self._has_replayed = False

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function returns. Raises JitError where it cannot be captured."""
        if interceptor.get() is not None:  # inside another captured function: part of that
            return self._bound_function()(*args, **kwargs)  # type: ignore[no-any-return]
        arguments = Arguments()
        kind = self._kind(arguments, args, kwargs)
        record = looking.get()
        with self._lock:
            self._calls += 1
            spans = self._spans if record is None else None
            if spans and spans.follow_outside and (served := self._between(spans, kind, arguments)):
                return served[0]
            mismatch: Mismatch | None = None
            for replay in self._replays.get(kind, ()):
                if record is not None and id(replay) not in record.seen:
                    continue  # the record lacks this capture: capture once more
                try:
                    result: R = replay(arguments)
                except Mismatch as error:
                    mismatch = mismatch or error  # of the newest
                    continue
                replay.used = self._calls
                self._has_replayed = True
                if record is not None:
                    record.replayed(self._name)
                return result
            if spans and (served := self._between(spans, kind, arguments, mismatch)):
                return served[0]
            if record is None and mismatch is None and self._is_first(kind):
                return self._run(args, kwargs)
            return self._capture(kind, arguments, args, kwargs, mismatch)

    def _between(
        self, spans: Spans, kind: Hashable, arguments: Arguments, cause: Mismatch | None = None
    ) -> tuple[R] | None:
        """What a replay returns for a size between captured ones, if there is one. (Where a capture
        for this very size did not fit, as `cause` tells, sizes outside must be others.)"""
        found = spans.replay_for(kind)
        if found is None or (cause is not None and not spans.follow_outside):
            return None
        try:
            result: R = found(arguments)
        except Mismatch:
            return None
        if not spans.follow_outside:
            self._keep(kind, found)
        self._has_replayed = True
        return (result,)

    def _kind(self, arguments: Arguments, args: Any, kwargs: Any) -> tuple[Hashable, ...]:
        """The kind of a call: all that a capture depends on but what is outside. Notes the
        arguments."""
        kind: tuple[Hashable, ...] = (
            chosen_mode(),
            grad_enabled.get(),
            autocast_dtype.get(),
            dtypes.default_float,
            dtypes.default_int,
            Device.DEFAULT,
            config.DEBUG >= 2,
            config.WINOGRAD,
            config.CHECK,
            *[described(arguments, value, n) for n, value in enumerate(args)],
        )
        if kwargs:
            named = kwargs.items() if self._takes_any else sorted(kwargs.items())
            kind += tuple([(name, described(arguments, value, name)) for name, value in named])
        return kind

    def _is_first(self, kind: Hashable) -> bool:
        """Whether a call of this kind is the first, after captures for other numbers that no call
        has replayed."""
        if self._has_replayed or kind in self._met:
            return False
        if self._pure.get(masked(kind), 0) < ENOUGH_CAPTURES:
            return False
        remember(self._met, kind, None, MAX_CAPTURES)
        return True

    def _run(self, args: Any, kwargs: Any) -> R:
        """What the function returns, run as it stands; computed, and without gradient."""
        result: R = self._bound_function()(*args, **kwargs)
        found = Computed()
        found(result)
        realize_all(found.tensors)
        return Computed()(result) if found.has_gradient else result

    def _capture(
        self,
        kind: tuple[Hashable, ...],
        arguments: Arguments,
        args: Any,
        kwargs: Any,
        cause: Mismatch | None,
    ) -> R:
        """Capture the function for calls like this one; returns what this call returns."""
        from .ahead import Kept, at_size, capture_ahead, sizes_of  # with them comes the compiler
        from .capture import Capture, captured
        from .spans import Spans

        self._warn(kind, cause)
        record = self._record(kind, cause)
        attempts = self._attempts.get(kind, 0)
        form = masked(kind)
        is_growing = self._spans is not None and self._spans.are_growing(kind)
        before = Kept()((args, kwargs)) if is_growing else None
        sizes = sizes_of(arguments, args, kwargs)
        same = masked(kind, (int, float)), sizes[0]
        count = self._captures.get(same, 0)
        remember(self._captures, same, count + 1, MAX_CAPTURES)
        newest = self._newest() if self._newest else None
        function, name = self._bound_function(), name_of_function(self._function)
        if newest is not None:
            for entry in newest.environment.guard.changed_integers():
                remember(self._integers, entry, None, MAX_CAPTURES)
        may_vary, integers = count >= FEW_CAPTURES, self._integers
        make = partial(Capture, arguments, name, newest, may_vary, integers=integers)
        # not in the first call: what its code mentions is not known before it has run
        notes = self._notes_questions.get(form)
        call = (function, args, kwargs, attempts > 0)
        capture, (replay, serves, result) = captured(make, bool(notes), *call)
        notes_next = notes is None or capture.notes_questions
        # a size that is watched is of another type, and must not stay in a memo
        watch = capture.watch
        notes_next = notes_next and not (watch.mentions(_TYPES) or watch.has_memos)
        remember(self._notes_questions, form, notes_next, MAX_CAPTURES)
        if serves:
            found = at_size(kind, sizes, replay, capture)
            is_known = capture.notes_questions and (cause is None or found.may_be_served)
            if is_known and record is None:
                self._spans = self._spans or Spans()
                span = self._spans.add(found)
                if span is not None and before is not None:
                    capture_ahead(span, function, arguments, before, capture, self._kind)
            self._keep(kind, replay)
            self._newest = ref(replay)
            if record is not None:
                record.seen.add(id(replay))
            self._attempts.pop(kind, None)
            if cause is None and replay.effects.are_none_but(capture.random_state):
                remember(self._pure, form, self._pure.get(form, 0) + 1, MAX_CAPTURES)
        else:
            self._attempts[kind] = attempts + 1
        return result  # type: ignore[no-any-return]

    def _record(self, kind: tuple[Hashable, ...], cause: Mismatch | None) -> Any:
        """What looks at the calls now (looking.py), if anything; it is told of this capture."""
        record = looking.get()
        if record is not None:
            from ..decisions import Capture

            why = None if cause is None else str(cause)
            earlier = [known for known in self._replays if known != kind]
            was_known = kind in self._replays and cause is None
            record.captured(Capture(self._name, kind, earlier, why, was_known))
        return record

    def _warn(self, kind: Hashable, cause: Mismatch | None) -> None:
        """Warn, once, that the function is captured again and again."""
        if self._has_warned:
            return
        if cause is not None:
            if len(self._replays[kind]) < MANY_CAPTURES:
                return
            why = f"what it finds outside: {str(cause) or 'gradients come and go'}"
        else:
            form = masked(kind, (float,))
            alike = 0 if form == kind else sum(masked(k, (float,)) == form for k in self._replays)
            if alike < ENOUGH_CAPTURES:
                return
            why = "a float in its arguments, which is another one each time"
        self._has_warned = True
        warn(
            f"jit: {self._name} is captured again and again, because of {why}; "
            "numbers that change may be tensors",
            stacklevel=4,
        )

    def _keep(self, kind: Hashable, replay: Replay) -> None:
        """Keep a replay, which was used just now."""
        self._make_room()
        replay.used = self._calls
        self._replays.setdefault(kind, []).insert(0, replay)

    def _make_room(self) -> None:
        """Drop the capture that was not used for longest, where there are too many."""
        if sum(map(len, self._replays.values())) < MAX_CAPTURES:
            return
        every = ((replay.used, kind) for kind, kept in self._replays.items() for replay in kept)
        used, kind = min(every, key=itemgetter(0))
        kept = [replay for replay in self._replays[kind] if replay.used != used]
        if kept:
            self._replays[kind] = kept
        else:
            del self._replays[kind]

    @property
    def _name(self) -> str:
        return getattr(self._function, "__qualname__", "the function")

    # ------------------------------------------------------------------ methods

    def __set_name__(self, owner: type, name: str) -> None:
        self._attribute = name, self

    def _bound_function(self) -> Any:
        """The function, or the method of the instance."""
        if self._instance is None:
            return self._function
        return MethodType(self._function, self._instance())

    def parts(self) -> tuple[Any, ...]:
        """The values that a call reaches: the function, and the instance of a method."""
        return (self._function, None if self._instance is None else self._instance())

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> jit[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> jit[..., R]: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> jit[..., R]:
        """The method of an instance, with captures of its own, which the instance keeps."""
        if instance is None or isinstance(self._function, staticmethod):
            return self
        held = getattr(instance, "__dict__", None)
        if not isinstance(held, dict):  # it has slots, or is a class
            return self._bound_elsewhere(instance)
        methods: _Methods | None = held.get(METHODS)
        if methods is None or methods.owner is None or methods.owner() is not instance:
            methods = held[METHODS] = _Methods()
            methods.owner = ref(instance)
        bound: jit[..., R] | None = methods.get(self)
        if bound is None:
            bound = methods[self] = self._method(methods.owner)
        return bound._handed_out(instance)

    def _bound_elsewhere(self, instance: object) -> jit[..., R]:
        key = id(instance)
        found = self._bound.get(key)
        if found is not None and found[0]() is instance:
            return found[1]._handed_out(instance)
        alive = ref(instance, lambda _: self._bound.pop(key, None))
        method = self._method(alive)
        self._bound[key] = (alive, method)
        return method._handed_out(instance)

    def _method(self, instance: ref[Any]) -> jit[..., R]:
        method = jit(self._function)
        method._instance, method._attribute = instance, self._attribute
        return method

    def _handed_out(self, instance: object) -> jit[..., R]:
        """This method as the program gets it; the same one as long as it has it."""
        found = None if self._out is None else self._out()
        if found is None:
            found = _Method(self, instance)
            self._out = ref(found)
        return found

    def __reduce__(self) -> str | tuple[Any, ...]:
        """For copies and pickles: without the captures. A method is that of the copied instance."""
        if self._instance is not None and self._attribute is not None:
            return getattr, (self._instance(), self._attribute[0])
        name: str = getattr(self, "__qualname__", "")
        found: Any = sys.modules.get(self.__module__)
        for part in name.split("."):
            found = getattr(found, part, None)
        return name if found is self else (type(self), (self._function,))


class _Method(jit[P, R]):
    """The method of an instance, as the program has it: it keeps the instance, as any method does.
    The captures, which the instance keeps, do not."""

    __slots__ = ("_kept",)

    def __init__(self, method: jit[P, R], instance: object) -> None:
        self.__dict__ = method.__dict__  # one state: the captures, and what they count
        self._kept = instance


class _Methods(dict[Any, Any]):
    """The captured methods of one instance; a copy of the instance begins without."""

    owner: ref[Any] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _Methods, ()


_TYPES = frozenset({"type"})
_RUNS_LATER = 0x20 | 0x80 | 0x200  # of code: a generator, a coroutine, both
_ANY_KEYWORDS = 0x08


def _code_of(function: Any) -> Any:
    """The code of a function, method, partial or callable object; None where it has none."""
    while isinstance(function, partial):
        function = function.func
    function = getattr(function, "__func__", function)
    if not hasattr(function, "__code__"):
        function = getattr(type(function).__call__, "__func__", type(function).__call__)
    return getattr(function, "__code__", None)


TinyJit = jit

__all__ = ["JitError", "TinyJit", "jit"]
