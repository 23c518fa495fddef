"""Run passes one after another. Verify each result, show it to watchers, name a pass that fails,
and go on without that pass where possible.

A *stage* is the result of a pass: a graph (a list of nodes), a schedule, a function, a program. A
*watcher* writes stages down as text and pictures (dump/).
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from . import config
from .dump import watching
from .dump.text import text
from .errors import CompilerError, CompilerWarning, ConfigError, DeviceError
from .graph.ir import Node
from .graph.verify import verify as verify_graph
from .looking import are_stages_verified
from .loops.ir import Function
from .loops.ir.verify import verify as verify_loops
from .loops.legal.final import verify_legal
from .loops.lower import Lowered
from .loops.plans import steps
from .origin import kernel_origins, title
from .pipeline import Pass, passes, present_in
from .runtime import timings
from .schedule.ir import Schedule
from .schedule.verify import verify as verify_schedule
from .targets import At, Target

R = TypeVar("R")


strict = False
"""Whether a fault of any pass stops the compilation; tests set it. Otherwise a pass that can be
left out is left out, with a warning."""

_told: set[str] = set()  # passes of which a warning was given


class Stages:
    """The passes of one compilation."""

    def __init__(self) -> None:
        self.watchers = [place.watcher() for place in watching()]
        self.has_left_out = False  # whether a failed pass was left out

    def unwatched(self) -> Stages:
        """The same compilation without watchers."""
        quiet = Stages()
        quiet.watchers = []
        return quiet

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *_: object) -> None:
        for watcher in self.watchers:
            watcher.finish()

    @property
    def are_watched(self) -> bool:
        return bool(self.watchers)

    def run(self, stage: str, work: Callable[..., R], value: Any, *rest: Any) -> R:
        """The result of work(value, *rest), a pass called `stage`.

        An exception becomes a CompilerError that names the pass and the file with its input; but
        errors of memory, of the device or of a setting are the user's, and stay as they are.
        """
        begin = perf_counter()
        try:
            result = work(value, *rest)
        except (MemoryError, DeviceError, ConfigError):
            raise
        except Exception as error:
            raise fault(stage, error, value) from error
        if self.are_watched or are_stages_verified():
            self._look(stage, result, value, begin)
        return result

    def _look(self, stage: str, result: Any, value: Any, begin: float) -> None:
        """Show and check the result of a pass that began at time `begin`; count its seconds."""
        end = perf_counter()
        for watcher in self.watchers:
            watcher.took(stage, begin, end)
        self.saw(stage, result, value)
        if config.DEBUG:
            timings.passes[stage] += end - begin
            timings.passes["verify"] += perf_counter() - end

    def through(self, passes: Iterable[Pass], value: Any, at: At | None = None) -> Any:
        """The value after every pass that has work to do. A pass that only makes code faster is
        left out where it fails."""
        present = None
        for each in passes:
            if each.needs:
                present = present_in(value) if present is None else present
                if not each.has_work(present):
                    continue
            before = value
            try:
                value = self.run(each.name, each.function, value, at)
            except CompilerError as error:
                if each.needed:
                    raise
                self.go_on_after(error)
            if value != before:
                present = None
        return value

    def level(self, level: str, value: Any, at: At) -> Any:
        """The value after the passes of a level for a machine."""
        return self.through(passes(level, at.machine.target, config.OPT), value, at)

    def go_on_after(self, error: CompilerError) -> None:
        """Warn, once a pass, that a pass failed and is left out. If `strict`, raise the error."""
        if strict:
            raise error
        self.has_left_out = True
        name = str(error).partition(":")[0]  # "pass unroll"
        if name not in _told:
            _told.add(name)
            warnings.warn(
                f"{error}. The pass is left out: results are right, but computed more slowly. "
                "This is a fault of lazygrad; please report it, with that file",
                CompilerWarning,
                stacklevel=2,
            )

    def saw(self, stage: str, value: Any, before: Any = None, final: Target | None = None) -> None:
        """Verify a stage, if stages are checked, and show it if it differs from the one `before`.
        `final`: the target of final loops, which are verified as legal for it and not shown."""
        shown = value.function if isinstance(value, Lowered) else value
        if are_stages_verified():
            try:
                _verify(shown, final)
            except CompilerError as error:
                raise fault(stage, error, value if before is None else before) from error
        if not self.watchers or final is not None or value is before or value == before:
            return
        for name, each in _in_steps(stage, value, before):
            for watcher in self.watchers:
                watcher.saw(name, each)


def _in_steps(stage: str, value: Any, before: Any) -> Iterable[tuple[str, Any]]:
    """The pictures of a stage: one, but where a plan made the loops, one after each of its lines.
    (A loop plan is text: one schedule primitive a line.)"""
    planned = isinstance(value, Function) and isinstance(before, Function)
    if not (planned and value.plan and not before.plan):
        return ((stage, value),)
    shown = steps(before, value.plan)
    return ((line, _with_line(made, line)) for line, made in shown if line)


def _with_line(made: Function, line: str) -> Function:
    return replace(made, comment=f"{made.comment}\n{line}".strip())


def fault(stage: str, error: Exception, value: Any) -> CompilerError:
    """The error to raise when a pass fails on `value`, which is written to a file."""
    try:
        folder = config.DUMP or Path(tempfile.mkdtemp(prefix="lazygrad-"))
        path = folder / f"{stage}-input.txt"
        path.write_text(text(value.kernel if isinstance(value, Lowered) else value))
        where = f"what it was given is in {path}, for a report"
    except Exception as second:  # what is broken may not be shown, either
        where = f"what it was given cannot be shown: {second}"
    kind = "" if isinstance(error, CompilerError) else f"{type(error).__name__}: "
    return CompilerError(f"pass {stage}: {kind}{error} ({_asked(value)}{where})")


def _asked(value: Any) -> str:
    """The line of the program that asked for this compilation, if it is known."""
    name = title.get()
    known = kernel_origins(value.kernel) if isinstance(value, Lowered) else ()
    lines = [f"computing {known[0]}"] if known else []
    lines += [f"asked for by {name}"] if name else []
    return "".join(f"{line}; " for line in lines)


def _verify(value: Any, final: Target | None) -> None:
    match value:
        case Schedule():
            verify_schedule(value)
        case Function():
            verify_loops(value, final=final is not None)
            if final is not None:
                verify_legal(value, final)
        case list() if value and all(isinstance(n, Node) for n in value):
            verify_graph(value)
