"""With OPT=1, from a kernel of the schedule to its launch: plain loops, then the loop passes.

    fast_launch
        _shared_launch     kernels that differ only in memory are compiled once
            level "kernel" plain loops
            _finished      stops here where the device has the code already
                _optimized all passes of the level "loops"

Where a loop pass fails, the kernel keeps its plain loops (link.plain_launch).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from . import config
from .backends.base import Device, Launch
from .cache import remember, source_digest
from .errors import CompilerError
from .graph.ir import Node
from .graph.structure import Key
from .link import plain_launch
from .loops.ir import Function, digest
from .loops.lower import Lowered
from .loops.lower.canonical import canonical
from .loops.plans import best_plans, is_plan_for
from .runtime.tune import fastest, remembered
from .schedule.ir import Kernel
from .stages import Stages
from .targets import TUNE_PLANS, At, Target

MAX_KEPT = 4096  # entries of each cache; the oldest are dropped
_launches: dict[Key, Launch] = {}
_functions: dict[str, Function] = {}  # loops after the loop passes, by the key of their code


def fast_launch(
    kernel: Kernel, overwritten: Mapping[Node, Node], device: Device, stages: Stages
) -> Launch:
    """The launch of a kernel, compiled for speed. `overwritten` maps an output to the input whose
    memory it takes over."""
    if kernel.parts:
        return _new_launch(Lowered(kernel, overwritten), device, stages)
    begins = device.machine.target is Target.CPU  # there an argument may begin inside a buffer
    form = canonical(kernel, set(overwritten.values()) if begins else None)
    made = Lowered(kernel, overwritten, shifts=form.shifts)
    new = _new_launch if stages.are_watched else partial(_shared_launch, form.key)
    launch = new(made, device, stages)
    return replace(launch, offsets=form.offsets(launch.function, overwritten.values()))


def _shared_launch(key: Key, made: Lowered, device: Device, stages: Stages) -> Launch:
    """The launch of a kernel, without offsets. Kernels that differ only in the memory they work on
    have equal keys (canonical.py), and share one function."""
    kernel, overwritten = made.kernel, made.overwritten
    numbers = {node: n for n, node in enumerate(kernel.inputs)}
    places = tuple((kernel.outputs.index(n), numbers[x]) for n, x in overwritten.items())
    settings = (config.TUNE, config.CHECK, config.DEBUG >= 3, config.ORIGINS)
    key = (key, places, device.name, device.machine, *settings)
    launch = _launches.get(key)
    if launch is None or not (launch.function.body or device.cached(launch.key)):
        launch = _new_launch(made, device, stages)
        if launch.key:  # no pass was left out
            remember(_launches, key, launch, MAX_KEPT)
    return launch


def _new_launch(made: Lowered, device: Device, stages: Stages) -> Launch:
    """The launch of a kernel, compiled for speed, without offsets."""
    at = At(device.machine, kinds=made.kernel.kinds)
    function = stages.level("kernel", made, at).function
    if config.TUNE:
        at = replace(at, plan=_tuned(function, at, device, stages.unwatched()))
    return _finished(function, _key(function, at), at, device, stages)


def _tuned(function: Function, at: At, device: Device, quiet: Stages) -> str:
    """The fastest of a lowered function's loop plans: read from disk, or measured. "" where there
    is one plan only."""
    key = f"{digest(function)} {at.kinds} {at.machine}"
    known = remembered(key)
    if known is not None and is_plan_for(function, known):
        return known

    def finished(plan: str) -> Launch:
        way = replace(at, plan=plan)
        return _finished(function, _key(function, way), way, device, quiet)

    plans = best_plans(function, at, TUNE_PLANS)
    return fastest(key, plans, finished, device) if len(plans) > 1 else ""


def _key(function: Function, at: At) -> str:
    """The key of a lowered function's code, among all code of its device."""
    return f"{digest(function)} {at.kinds} {at.machine} {at.plan} {source_digest()}"


def _finished(function: Function, key: str, at: At, device: Device, stages: Stages) -> Launch:
    """The launch of a lowered function after the loop passes. If the device has its code and the
    loops are not to be shown, the passes do not run and the launch's function has no body."""
    told = stages.are_watched or "bounds" in config.CHECK or config.DEBUG >= 3
    if not told and device.cached(key):
        return Launch(replace(function, body=()), (), key=key, plain=function)
    loops = None if stages.are_watched else _functions.get(key)
    if loops is None:
        loops = _optimized(function, at, stages)
        if loops is None:
            return plain_launch(stages, Launch(function, ()), at.machine)
        remember(_functions, key, loops, MAX_KEPT)
    loops = replace(loops, comment=function.comment)
    return Launch(loops, (), key=key, plain=function)


def _optimized(function: Function, at: At, stages: Stages) -> Function | None:
    """The function after the loop passes; None where one fails."""
    try:
        made: Function = stages.level("loops", function, at)
        stages.saw("code", made, function, final=at.machine.target)
    except CompilerError as error:
        stages.go_on_after(error)
        return None
    return made
