"""Run programs in every way there is, and compare with the oracle: the graph's meaning in NumPy.

Where values differ by more than rounding, the oracle runs again with inputs and operations that are
off a little: what moves as far as the difference (a comparison of equal values, a sum of what
cancels) is not held against the compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from lazygrad import Tensor, TinyJit, config
from lazygrad.backends.opencl.device import OpenCLDevice
from lazygrad.errors import DeviceError, JitError
from lazygrad.graph import ir
from lazygrad.graph.evaluate import evaluate_node
from lazygrad.graph.ir import Node
from lazygrad.runtime.buffer import DeviceBuffer, interceptor
from lazygrad.runtime.device import Device
from lazygrad.targets import Target

from .generate import tensor_of
from .program import Array, Input, Program

CALLS = 2  # of each function: the second finds the state that the first has left
MOVES = 4  # runs of the oracle that are off a little
ROUNDED = (
    ir.Add, ir.Sub, ir.Mul, ir.Div, ir.Exp, ir.Log, ir.Sqrt, ir.Sin, ir.Cos, ir.Tanh, ir.Erf,
    ir.Pow, ir.Reduce, ir.Fold,
)  # fmt: skip
GROUPS = "GPU:9"  # PoCL, taken for a GPU

Function = Callable[..., Sequence[Tensor]]


@dataclass(frozen=True)
class Mode:
    """One way to run a program."""

    name: str
    device: str = "CPU"
    captured: bool = False  # by jit
    one_by_one: bool = False  # each result realized by itself
    settings: dict[str, int] = field(default_factory=dict)


MODES = (
    Mode("together"),
    Mode("one by one", one_by_one=True),
    Mode("captured", captured=True),
    Mode("one thread", settings={"THREADS": 1}),
    Mode("three threads", settings={"THREADS": 3}),
    Mode("OpenCL", "GPU"),
    Mode("OpenCL, captured", "GPU", captured=True),
    Mode("groups", GROUPS),
    Mode("groups, captured", GROUPS, captured=True),
)


def open_groups() -> None:
    """Make the device GROUPS, whose loops are those of a GPU."""
    if GROUPS not in Device._opened:
        opened = OpenCLDevice("GPU")
        opened.machine = replace(
            opened.machine, target=Target.GPU, group_limit=256, local_bytes=32 << 10
        )
        Device._opened[GROUPS] = opened


@contextmanager
def on_device(name: str) -> Iterator[None]:
    """What programs make without naming a device is on this one."""
    before = Device._default
    Device._default = name
    try:
        yield
    finally:
        Device._default = before


def computed(function: Function, inputs: Sequence[Input], mode: Mode, seed: int = 0) -> list[Array]:
    """The results of all calls, and then the state."""
    if mode.device == GROUPS:
        open_groups()
    with on_device(mode.device), config.override(**mode.settings):
        return _calls(function, inputs, mode, lambda x, n: x.array(seed + n))


def oracle(
    function: Function, inputs: Sequence[Input], seed: int = 0, moved: int | None = None
) -> list[Array]:
    """What the results should be; with `moved`, nearly: with other errors in each operation."""
    rng = None if moved is None else np.random.default_rng(moved)

    def array(given: Input, call: int) -> Array:
        return _moved(given.array(seed + call), rng)

    token = interceptor.set(partial(_evaluated, rng))
    try:
        with on_device("CPU"), np.errstate(all="ignore"):
            return _calls(function, inputs, Mode("oracle"), array)
    finally:
        interceptor.reset(token)


def _evaluated(
    rng: np.random.Generator | None, nodes: Sequence[Node], *_: object
) -> list[DeviceBuffer]:
    """The nodes' values by their meaning in NumPy."""
    values: dict[Node, Array] = {}
    for node in ir.topological(nodes):
        if isinstance(node, ir.Buffer):
            values[node] = node.storage.numpy().reshape(node.shape)  # type: ignore[attr-defined]
            continue
        values[node] = evaluate_node(node, [values[x] for x in node.inputs])
        if isinstance(node, ROUNDED):
            values[node] = _moved(values[node], rng)
    return [DeviceBuffer.from_numpy(values[node].copy(), "CPU") for node in nodes]


def _moved(x: Array, rng: np.random.Generator | None) -> Array:
    """Floats, each off by some units in the last place."""
    if rng is None or not _is_float(x):
        return x
    step = {2: 2.0**-8, 4: 1e-6, 8: 1e-12}[x.dtype.itemsize]
    noise = 1 + step * rng.standard_normal(x.shape)
    return np.asarray(x.astype(np.float64) * noise).astype(x.dtype)


def _calls(
    function: Function,
    inputs: Sequence[Input],
    mode: Mode,
    array: Callable[[Input, int], Array],
) -> list[Array]:
    state = {x.name: tensor_of(x, array(x, 0)).realize() for x in inputs if x.state}

    def call(*given: Tensor) -> list[Tensor]:
        rest = iter(given)
        return list(function(*[state[x.name] if x.state else next(rest) for x in inputs]))

    run: Any = TinyJit(call) if mode.captured else call
    found: list[Array] = []
    for n in range(CALLS):
        results = run(*[tensor_of(x, array(x, n)) for x in inputs if not x.state])
        if mode.one_by_one:
            for result in results:
                result.realize()
        else:
            Tensor.realize(*results)
        found += [np.array(result.numpy()) for result in results]
    return found + [np.array(tensor.numpy()) for tensor in state.values()]


# --------------------------------------------------------------------------- comparing


def differences(
    found: Sequence[Array], function: Function, inputs: Sequence[Input], wanted: Sequence[Array]
) -> list[str]:
    """How results differ from the oracle's by more than what a small change of the inputs does."""
    far = [n for n, (x, y) in enumerate(zip(found, wanted, strict=True)) if not _close(x, y).all()]
    if not far:
        return []
    others = [oracle(function, inputs, moved=n) for n in range(MOVES)]
    told = []
    for n in far:
        wrong = ~_close(found[n], wanted[n]) & _steady(wanted[n], [other[n] for other in others])
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            told.append(
                f"result {n} {found[n].dtype}{list(found[n].shape)}: {wrong.sum()} wrong, "
                f"at {place} {found[n][place]} instead of {wanted[n][place]}"
            )
    return told


def _tolerance(x: Array) -> float:
    return {2: 0.03, 4: 2e-4, 8: 1e-4}.get(x.dtype.itemsize, 0.0)


def _is_float(x: Array) -> bool:
    return x.dtype.kind not in "iub"


def _close(found: Array, wanted: Array) -> Array:
    if not _is_float(found):
        return np.asarray(found == wanted)
    x, y = found.astype(np.float64), wanted.astype(np.float64)
    size = np.abs(y[np.isfinite(y)]).max(initial=0)
    tolerance = _tolerance(found) * (np.abs(y) + 0.1 * size + 0.01)
    with np.errstate(all="ignore"):
        near = np.abs(x - y) <= tolerance
    return np.asarray(near | (x == y) | (np.isnan(x) & np.isnan(y)))


def _steady(wanted: Array, others: Sequence[Array]) -> Array:
    """Where a result hardly changes with its inputs."""
    if not _is_float(wanted):
        return np.all([other == wanted for other in others], axis=0)
    return np.all([_close(other, wanted) for other in others], axis=0)


def check(program: Program, modes: Sequence[Mode] = MODES) -> list[str]:
    """Where and how a program goes wrong; empty if it does not."""
    return check_modes(program.function(), program.inputs, modes)


def check_modes(
    function: Function, inputs: Sequence[Input], modes: Sequence[Mode] = MODES
) -> list[str]:
    """As `check`, of a function."""
    wanted = oracle(function, inputs)
    told = []
    for mode in modes:
        try:
            found = computed(function, inputs, mode)
        except (DeviceError, JitError):
            continue  # refused, and told why
        except Exception as error:
            if type(error) is RuntimeError:  # a write that is refused; faults are CompilerErrors
                continue
            told.append(f"{mode.name}: {type(error).__name__}: {error}")
            continue
        told += [f"{mode.name}: {text}" for text in differences(found, function, inputs, wanted)]
    return told


def check_function(function: Function, inputs: Sequence[Input]) -> None:
    """Print what `check` says: for scripts."""
    for line in check_modes(function, inputs) or ["no difference"]:
        print(line)
