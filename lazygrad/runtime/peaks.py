"""The peak rates of a device, measured: floating point operations and copied bytes a second.

Each is measured with one kernel, written here in loops: multiply-adds on registers, and a copy of
more than the caches hold. This takes about a tenth of a second, once a process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..backends.base import Device, Launch
from ..dtypes import float32
from ..expr import Array, Expr, Literal, Load, Local, Op, Var
from ..index import add, mul
from ..loops.ir import Accumulate, Alloc, Body, For, Function, Let, Store
from ..loops.legal import legalise
from ..loops.legal.memory import over_lanes, wide
from ..targets import Machine, Target
from .device import Device as Devices

SUMS = 12  # independent chains: more than latency times rate, fewer than registers
ROUNDS = 1 << 18  # multiply-adds of each chain
GROUP = 256  # work-items of a group on a GPU
GROUPS = 32  # groups a compute unit
COPIED = 1 << 24  # elements of the copy: 64 MB, read and written
RUNS = 5


@dataclass(frozen=True)
class Peaks:
    """Floating point operations and bytes a second."""

    flops: float
    bytes: float


def peaks(device: Device) -> Peaks:
    """The rates of a device. A CPU that is driven through OpenCL has the rates of the CPU."""
    if device.machine.target is Target.OPENCL_CPU:
        device = Devices.get("CPU")
    return _measured(device.name, device.machine)


@cache
def _measured(name: str, machine: Machine) -> Peaks:
    device = Devices.get(name)
    sums, copy = multiply_adds(machine), copied(machine)
    return Peaks(sums.flops / _seconds(sums, device), copy.bytes / _seconds(copy, device))


def _seconds(function: Function, device: Device) -> float:
    """The least time of a few runs."""
    arrays = [np.zeros(a.size, a.dtype.numpy) for a in function.arguments]
    for array in arrays:
        array.fill(1e-9)  # the system gives memory its pages at the first write
    memories = [device.upload(array) for array in arrays]
    launch = Launch(legalise(function, device.machine), tuple(range(len(memories))))
    program = device.compile([launch], timing=True)
    times = []
    for _ in range(RUNS):
        program.run(memories)
        device.synchronize()
        times.append(program.times()[0])
    return max(min(times), 1e-9)


def multiply_adds(machine: Machine) -> Function:
    """y = y * m + y in registers, ROUNDS times SUMS of them in each thread or item."""
    lanes = 1 if machine.gpu else machine.lanes
    rows = machine.cores * (GROUPS * GROUP if machine.gpu else 1)
    out = Array("out0", float32, rows * SUMS * lanes)
    factor = Array("in0", float32, 1)
    sums = Array("sums", float32, SUMS * lanes, "register")
    m = Local("m", float32)
    places = [over_lanes(Literal(n * lanes), lanes) for n in range(SUMS)]
    row, shared = _rows(machine, rows)
    step = Var("step", ROUNDS)
    start = mul(row, SUMS * lanes)
    body: Body = (
        Let(m, Load(factor, Literal(0))),
        Alloc(sums),
        *[Store(sums, at, wide(Literal(float(n), float32), lanes)) for n, at in enumerate(places)],
        For(
            step,
            ROUNDS,
            "serial",
            tuple(
                Accumulate(sums, at, "sum", Op("mul", (Load(sums, at), wide(m, lanes))))
                for at in places
            ),
        ),
        *[
            Store(out, over_lanes(add(start, n * lanes), lanes), Load(sums, at))
            for n, at in enumerate(places)
        ],
    )
    flops = 2 * rows * lanes * SUMS * ROUNDS
    return Function("multiply_adds", (out, factor), 1, shared(body), flops=flops)


def copied(machine: Machine) -> Function:
    """y = x, of COPIED elements."""
    lanes = 1 if machine.gpu else machine.lanes
    out, x = Array("out0", float32, COPIED), Array("in0", float32, COPIED)
    if machine.gpu:
        row, shared = _rows(machine, COPIED)
        body: Body = (Store(out, row, Load(x, row)),)
    else:
        row, shared = _rows(machine, 64)
        step = Var("step", COPIED // 64 // lanes)
        at = over_lanes(add(mul(row, COPIED // 64), mul(step, lanes)), lanes)
        body = (For(step, step.extent, "serial", (Store(out, at, Load(x, at)),)),)
    return Function("copied", (out, x), 1, shared(body), bytes=2 * 4 * COPIED)


def _rows(machine: Machine, count: int) -> tuple[Expr, Callable[[Body], Body]]:
    """The index of a row, of `count`; and a function from a body to loops over all rows, which
    threads or items share."""
    if not machine.gpu:
        thread = Var("thread", count)
        return thread, lambda body: (For(thread, count, "parallel", body),)
    group, item = Var("group", count // GROUP), Var("item", GROUP)

    def shared(body: Body) -> Body:
        return (For(group, count // GROUP, "workgroup", (For(item, GROUP, "workitem", body),)),)

    return add(mul(group, GROUP), item), shared
