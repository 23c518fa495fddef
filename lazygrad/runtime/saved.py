"""Plans on disk: one process compiles and saves a plan, the next one loads it.

A saved plan has the keys of its launches' code in place of their loops: it can be used as long as
the code is on disk, too. The format is JSON, so that loading a file runs nothing that is in it. A
plan made by another version of the source, or for another machine, counts as missing.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import astuple, replace
from functools import cache
from time import perf_counter
from typing import Any

from .. import config
from ..backends.base import Launch, Turn
from ..cache import DiskCache, source_digest
from ..dtypes import to_dtype
from ..errors import CompilerError
from ..expr import Array
from ..loops.ir import Function
from .device import Device
from .execute import Allocation, Output, Plan, Run, Transfer
from .flags import Check, Flags
from .report import report_compiled


@cache
def _cache() -> DiskCache:
    return DiskCache("plans")


class _MissingError(Exception):
    """The code of a saved plan is not on disk any more, or is for another machine."""


def load(key: Hashable) -> Plan | None:
    """The plan that was saved under a key; None if there is none, or it cannot be used."""
    data = _cache().get(_text(key))
    if data is None:
        return None
    try:
        return _plan(json.loads(data))
    except (_MissingError, CompilerError, KeyError, IndexError, TypeError, ValueError):
        return None


def save(key: Hashable, plan: Plan) -> None:
    """Save a plan under a key: a value with the same repr in any process. A plan with checks of
    values or accesses is not saved."""
    if all(isinstance(step, (Run, Transfer)) for step in plan.steps):
        _cache().put(_text(key), json.dumps(_record(plan)).encode())


def _text(key: Hashable) -> str:
    machine = Device.get(Device.DEFAULT).machine
    return f"{key!r} {machine} {source_digest()}"


# --------------------------------------------------------------------------- to JSON


def _record(plan: Plan) -> dict[str, Any]:
    return {
        "leaves": plan.leaves,
        "allocations": [(a.device.name, a.nbytes, a.zeroed) for a in plan.allocations],
        "steps": [
            _run_record(step) if isinstance(step, Run) else _transfer_record(step)
            for step in plan.steps
            if isinstance(step, (Run, Transfer))
        ],
        "outputs": [(o.place, o.size, o.dtype.name, o.device) for o in plan.outputs],
        "taken": sorted(plan.taken),
        "peak_bytes": plan.peak_bytes,
        "checks": [_check_record(check) for check in plan.checks],
    }


def _check_record(check: Check) -> list[Any]:
    ends = [check.low, check.high, check.is_signed]
    return [check.place, check.dtype.name, check.device, *ends]


def _transfer_record(step: Transfer) -> dict[str, Any]:
    ends = [step.source.name, step.target.name]
    return {"copy": [*ends, step.from_place, step.to_place, step.size, step.dtype.name]}


def _run_record(step: Run) -> dict[str, Any]:
    """A program: its distinct functions, and for each launch the number of its own."""
    numbers: dict[str, int] = {}
    functions: list[dict[str, Any]] = []
    launches = []
    for launch in step.launches:
        if launch.key not in numbers:
            numbers[launch.key] = len(functions)
            functions.append({"key": launch.key, **_function_record(launch)})
        turn = launch.turn and astuple(launch.turn)
        launches.append((numbers[launch.key], launch.slots, launch.barrier, launch.offsets, turn))
    return {
        "device": step.device.name,
        "machine": str(step.device.machine),
        "functions": functions,
        "launches": launches,
        "places": step.places,
    }


def _function_record(launch: Launch) -> dict[str, Any]:
    function = launch.function
    return {
        "name": function.name,
        "arguments": [(a.name, a.dtype.name, a.size) for a in function.arguments],
        "outputs": function.outputs,
        "flops": function.flops,
        "bytes": function.bytes,
    }


# --------------------------------------------------------------------------- from JSON


def _plan(record: dict[str, Any]) -> Plan:
    checks = [Check(place, to_dtype(d), *rest) for place, d, *rest in record["checks"]]
    return Plan(
        record["leaves"],
        [Allocation(Device.get(name), *rest) for name, *rest in record["allocations"]],
        [_transfer(*step["copy"]) if "copy" in step else _run(step) for step in record["steps"]],
        [Output(place, n, to_dtype(d), name) for place, n, d, name in record["outputs"]],
        frozenset(record["taken"]),
        record["peak_bytes"],
        Flags(checks) if checks else None,
    )


def _transfer(source: str, target: str, start: int, end: int, size: int, dtype: str) -> Transfer:
    return Transfer(Device.get(source), Device.get(target), start, end, size, to_dtype(dtype))


def _run(record: dict[str, Any]) -> Run:
    """A program from its record: its code is found by keys. Raises _MissingError."""
    start = perf_counter()
    device = Device.get(record["device"])
    if str(device.machine) != record["machine"]:
        raise _MissingError
    functions = [(f["key"], _function(f)) for f in record["functions"]]
    if not all(device.cached(key) for key, _ in functions):
        raise _MissingError
    launches = []
    for number, slots, barrier, offsets, turn in record["launches"]:
        key, function = functions[number]
        launch = Launch(function, tuple(slots), barrier, tuple(offsets), key)
        launches.append(replace(launch, turn=_turn(*turn)) if turn else launch)
    program = device.compile(launches, config.DEBUG >= 2)
    if config.DEBUG:
        report_compiled(launches, program, perf_counter() - start)
    return Run(device, program, tuple(launches), tuple(record["places"]))


def _turn(number: int, count: int, line: list[int], moves: list[int]) -> Turn:
    slope, start = line
    return Turn(number, count, (slope, start), tuple(moves))


def _function(record: dict[str, Any]) -> Function:
    """A function from its record, without loops."""
    arguments = tuple(Array(name, to_dtype(d), size) for name, d, size in record["arguments"])
    return Function(
        record["name"],
        arguments,
        record["outputs"],
        (),
        flops=record["flops"],
        bytes=record["bytes"],
    )
