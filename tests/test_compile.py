"""The pipeline as a whole: any graph, any device, and faults that say where they are."""

from __future__ import annotations

import contextlib
import gc
import re
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import pytest

import lazygrad.backends.llvm.build
import lazygrad.backends.llvm.program
import lazygrad.compile
import lazygrad.launches
import lazygrad.plans
from lazygrad import Tensor, config, jit, pipeline, stages
from lazygrad.compile import plan_for, realize
from lazygrad.dtypes import float32, int64
from lazygrad.dump.text import text
from lazygrad.errors import CompilerError, CompilerWarning, DeviceError, OutOfMemoryError
from lazygrad.garbage import without_collections
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import (
    Add,
    Buffer,
    Const,
    Contiguous,
    Copy,
    Detach,
    Exp,
    Expand,
    Gather,
    Iota,
    Mul,
    Neg,
    Node,
    Pad,
    Reduce,
    Reshape,
    Scatter,
    Sub,
)
from lazygrad.loops.ir import Function, show
from lazygrad.loops.lower import Lowered, lower, named
from lazygrad.pipeline import PASSES, passes
from lazygrad.runtime.buffer import DeviceBuffer
from lazygrad.runtime.device import Device
from lazygrad.runtime.execute import Run, Transfer
from lazygrad.schedule.fuse import fuse
from lazygrad.schedule.place import place
from lazygrad.schedule.show import title
from lazygrad.targets import Target

pytestmark = pytest.mark.usefixtures("own_plans")

RNG = np.random.default_rng(0)


def buffer(*shape: int, device: str = "CPU") -> Buffer:
    array = RNG.standard_normal(shape).astype(np.float32)
    return Buffer(DeviceBuffer.from_numpy(array, device), shape)


def check(*outputs: Node) -> None:
    """realize gives what evaluate says."""
    for node, found, wanted in zip(outputs, realize(outputs), evaluate(outputs), strict=True):
        assert (found.size, found.dtype) == (node.size, node.dtype)
        np.testing.assert_allclose(
            found.numpy().reshape(node.shape), wanted, 1e-5, 1e-5, err_msg=repr(node)
        )


# --------------------------------------------------------------------------- any graph


def test_outputs_may_be_anything_in_any_order():
    x = buffer(3, 4)
    y = Neg(x)
    check(x, y, Const(3.0, float32, (5,)), Iota(4), y, Const(1.0, float32), Reshape(x, (12,)))
    check(Contiguous(x), Detach(y), Reshape(Contiguous(y), (4, 3)), Detach(Detach(x)))
    assert realize([]) == []


def test_tensors_without_elements():
    empty = buffer(0, 3)
    zeros = Reduce(empty, "sum", (0,))
    check(empty, Neg(empty), Add(empty, empty), zeros, Reduce(empty, "max", (1,)))
    check(Reduce(empty, "min", (0,)), Reduce(empty, "prod", (0, 1)), Pad(empty, ((1, 1), (0, 0))))
    index = Const(0, int64, (0,))
    x = buffer(4)
    check(Gather(x, (index,)), Scatter(x, (index,), Const(0, float32, (0,)), "sum"))
    check(Gather(buffer(0), (Const(0, int64, (2,)),)), Add(zeros, buffer(3)))


def test_single_values():
    x, y = buffer(), buffer()
    check(x, Add(x, y), Reduce(buffer(7), "sum", (0,)), Reshape(x, (1, 1, 1)))


def test_random_chains_of_reductions_and_maps_agree():
    x = buffer(6, 5)
    for _ in range(4):
        m = Expand(Reshape(Reduce(x, "max", (1,)), (6, 1)), (6, 5))
        x = Sub(x, Mul(m, x))
    check(x, Reduce(x, "sum", (0, 1)))


def values(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(shape).standard_normal(shape).astype(np.float32))


def joined_with_its_part() -> list[Tensor]:
    x = values(10, 3)[:, :2]
    part = x.sin() * x
    return [x.sin().stack(part), part.sum()]


def joined_with_its_transposed_part() -> list[Tensor]:
    x = values(3, 10).T[:, :2]
    part = x.exp() * (x + 3)
    return [Tensor.cat(part, x), part.max(), part.square()]


def joined_columns() -> list[Tensor]:
    x = values(37, 3)[:, 1:]
    part = x.tanh()
    return [Tensor.stack(part, x * part, dim=1), part.sum(), (x * part).sum()]


def gradients_of_joined_parts() -> list[Tensor]:
    scale, x = Tensor(1.7, requires_grad=True), values(3, 5, 2).requires_grad_()
    scaled, part = scale * x, x / (x.abs() + 0.5)
    joined = (part * scaled).stack(part, axis=1)
    slices = scaled.abs()[::-3, ::3]
    loss = (joined * values(*joined.shape)).sum() + (slices * values(*slices.shape)).sum()
    return [joined, slices, *loss.gradient(scale, x)]


@pytest.mark.parametrize(
    "outputs",
    [
        joined_with_its_part,
        joined_with_its_transposed_part,
        joined_columns,
        gradients_of_joined_parts,
    ],
)
def test_a_joined_result_its_parts_and_their_sums_in_one_go(outputs):
    check(*(x._node for x in outputs()))


@pytest.mark.parametrize("form", ["chain", "wide", "reductions"])
def test_work_is_linear_in_the_nodes(form, count_calls):
    """And depth is no limit."""
    x = buffer(4)
    work = [count_calls(lambda n=n: plan_for([deep_graph(x, form, n)])) for n in (1000, 4000)]
    assert work[1] < 5 * work[0]


def deep_graph(x: Node, form: str, count: int) -> Node:
    if form == "chain":
        node: Node = x
        for n in range(count):
            node = Add(node, x) if n % 2 else Mul(node, node)
    elif form == "wide":
        layer = [Add(x, Const(float(n), float32, (4,))) for n in range(count // 2)]
        while len(layer) > 1:
            layer = [Add(a, b) for a, b in zip(layer[::2], layer[1::2], strict=False)]
        (node,) = layer
    else:
        node = x
        for _ in range(count // 4):
            node = Sub(node, Expand(Reshape(Reduce(node, "sum", (0,)), (1,)), (4,)))
    return node


# --------------------------------------------------------------------------- kernels


def test_code_on_disk_needs_no_passes(monkeypatch, tmp_path):
    from lazygrad.backends.llvm import build

    ran = []
    optimized, digest = lazygrad.launches._optimized, lazygrad.launches.source_digest()

    def counting(function, *rest):
        ran.append(function.name)
        return optimized(function, *rest)

    def compile_anew():
        for cache in (
            lazygrad.plans._plans,
            lazygrad.launches._launches,
            lazygrad.launches._functions,
            build._kernels,
        ):
            cache.clear()
        with config.override(DEBUG=0, LAZYGRAD_CACHE=tmp_path):
            plan_for([node])

    monkeypatch.setattr(lazygrad.launches, "_optimized", counting)
    x = DeviceBuffer.from_numpy(np.ones((7, 313), np.float32), "CPU")
    node = Mul(Buffer(x, (7, 313)), Const(3.0, float32, (7, 313)))
    compile_anew()
    compile_anew()
    assert len(ran) == 1
    monkeypatch.setattr(lazygrad.launches, "source_digest", lambda: digest + " of other source")
    compile_anew()
    assert len(ran) == 2


def test_equal_kernels_are_compiled_once():
    a, b, c = (buffer(64, 64) for _ in range(3))
    first = Contiguous(Reduce(Mul(a, b), "sum", (1,)))
    second = Contiguous(Reduce(Mul(b, c), "sum", (1,)))
    plan, _ = plan_for([Neg(Contiguous(a)), Neg(Contiguous(b)), first, second])
    functions = [launch.function for run in plan.programs() for launch in run.launches]
    assert len({id(f) for f in functions}) == len({f.name for f in functions}) < len(functions)


def named_function(kernel):
    function = lower(kernel, "kernel")
    return named(Lowered(kernel, {}, function, function.arguments)).function


def test_names_tell_what_is_computed_and_are_the_same_in_every_process():
    x = Buffer(DeviceBuffer.from_numpy(np.ones((8, 8), np.float32), "CPU"), (8, 8))
    (kernel,) = fuse([Reduce(Mul(x, x), "sum", (1,))], 1).kernels
    assert title(kernel) == "mul_sum_8"
    name = named_function(kernel).name
    assert re.fullmatch(r"mul_sum_8_[0-9a-f]{10}", name)
    program = f"""
import numpy as np
from lazygrad.graph.ir import Buffer, Mul, Reduce
from lazygrad.loops.lower import Lowered, lower
from lazygrad.loops.lower import named
from lazygrad.runtime.buffer import DeviceBuffer
from lazygrad.schedule.fuse import fuse
x = Buffer(DeviceBuffer.from_numpy(np.ones((8, 8), np.float32), "CPU"), (8, 8))
(kernel,) = fuse([Reduce(Mul(x, x), "sum", (1,))], 1).kernels
function = lower(kernel, "kernel")
made = named(Lowered(kernel, {{}}, function, function.arguments))
assert made.function.name == {name!r}
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_costs_are_counted():
    x, y = buffer(8, 8), buffer(8, 8)
    (kernel,) = fuse([Reduce(Mul(x, y), "sum", (1,))], 1).kernels
    function = named_function(kernel)
    assert function.flops == 2 * 64
    assert function.bytes == 4 * (64 + 64 + 8)


def test_a_function_has_formulas_where_somebody_looks():
    x, y = buffer(8, 8), buffer(8, 8)
    (kernel,) = fuse([Reduce(Mul(x, y), "sum", (1,))], 1).kernels
    assert not named_function(kernel).comment
    with config.override(ORIGINS=1):
        assert "out0 = sum(in0 * in1, axis 1)" in named_function(kernel).comment


def test_launches_wait_only_for_what_they_need():
    a, b = Contiguous(buffer(1000)), Contiguous(buffer(999))
    x, y = Reduce(Neg(a), "sum", (0,)), Reduce(Neg(b), "sum", (0,))
    plan, _ = plan_for([x, y, Add(x, y)])
    (run,) = plan.programs()
    written: set[int] = set()
    for launch in run.launches:
        outputs = set(launch.slots[: launch.function.outputs])
        if launch.barrier:
            written = set()
        assert written.isdisjoint(launch.slots)
        written |= outputs
    assert [launch.barrier for launch in run.launches].count(False) >= 1


# --------------------------------------------------------------------------- devices


class Fake:
    """A second device: the CPU by another name, with memory that only it can read."""

    name = "GPU:7"

    def __init__(self) -> None:
        self.cpu = Device["CPU"]
        self.machine = self.cpu.machine

    def allocate(self, nbytes: int) -> object:
        return Hidden(self.cpu.allocate(nbytes))

    def upload(self, array: np.ndarray) -> object:
        return Hidden(self.cpu.upload(np.array(array)))

    def download(self, memory: Hidden, array: np.ndarray) -> None:
        self.cpu.download(memory.memory, array)

    def cached(self, key: str) -> bool:
        return self.cpu.cached(key)

    def compile(self, launches: object, timing: bool = False) -> object:
        program = self.cpu.compile(launches, timing)  # type: ignore[arg-type]
        return FakeProgram(program)

    def synchronize(self) -> None: ...


class Hidden:
    """A handle that the host cannot look into."""

    def __init__(self, memory: object) -> None:
        self.memory = memory


class FakeProgram:
    def __init__(self, program: object) -> None:
        self.program = program

    def run(self, memories: list[Hidden], share: float = 1.0) -> None:
        self.program.run([m.memory for m in memories])  # type: ignore[attr-defined]


@pytest.fixture
def other(monkeypatch):
    """The name of a second device."""
    monkeypatch.setitem(Device._opened, Fake.name, Fake())
    monkeypatch.setattr(lazygrad.plans, "_plans", {})
    return Fake.name


def test_a_graph_may_go_from_device_to_device_and_back(other):
    x, w = buffer(5, 4), buffer(5, 4, device=other)
    there = Mul(Copy(Add(x, x), other), w)
    back = Sub(Copy(there, "CPU"), x)
    again = Neg(Copy(back, other))
    check(back)
    check(there, back, again, x, w, Copy(x, other), Reshape(Copy(Copy(w, "CPU"), other), (20,)))
    plan, _ = plan_for([back])
    kinds = [type(step) for step in plan.steps]
    assert kinds == [Run, Transfer, Run, Transfer, Run]


def test_outputs_are_on_the_device_that_they_are_wanted_on(other):
    one = Const(1.0, float32, (3,))
    outputs = [Neg(buffer(3, device=other)), Neg(buffer(3)), Copy(one, other), one, Iota(3)]
    found = realize(outputs)
    own = Device.DEFAULT
    assert [b.device for b in found] == [other, "CPU", other, own, own]
    assert found[2].numpy().tolist() == [1.0] * 3
    x = buffer(3, device=other)
    cancelled = Sub(x, x)
    assert realize([Mul(cancelled, Const(0.0, float32, (3,)))])[0].device == other


def test_parts_hold_no_copies_and_one_device_each(other):
    x = buffer(4)
    out = Add(Copy(Neg(Copy(Neg(x), other)), "CPU"), x)
    parts, placed = place([(out, "CPU")])
    assert [p.device for p in parts] == ["CPU", other, "CPU"]
    assert [len(p.arrivals) for p in parts] == [0, 1, 1]
    assert placed == [(parts[2].outputs[0], "CPU")]


# --------------------------------------------------------------------------- faults


def test_a_fault_names_the_pass_and_writes_what_the_pass_was_given(change_pass):
    def broken(*_: object) -> None:
        raise IndexError("no such axis")

    change_pass("fuse", broken)
    with pytest.raises(CompilerError, match="pass fuse: IndexError: no such axis") as caught:
        realize([Neg(buffer(3, 13))])
    assert isinstance(caught.value.__cause__, IndexError)
    path = re.search(r"is in (\S+),", str(caught.value))
    assert path is not None
    assert "neg(%0)" in Path(path[1]).read_text()


@pytest.fixture
def lenient(monkeypatch, tmp_path):
    """As for users: faults are passed over where that is possible; nothing is known from before."""
    monkeypatch.setattr(stages, "strict", False)
    monkeypatch.setattr(stages, "_told", set())
    monkeypatch.setattr(lazygrad.plans, "_plans", {})
    for name in ("_functions", "_launches"):
        monkeypatch.setattr(lazygrad.launches, name, {})
    monkeypatch.setattr(lazygrad.backends.llvm.build, "_kernels", WeakValueDictionary())
    opencl = getattr(Device["GPU"], "builder", None)
    if opencl is not None:
        monkeypatch.setattr(opencl, "_codes", {})
    with config.override(LAZYGRAD_CACHE=tmp_path):
        yield


def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("oops")


@pytest.fixture
def change_pass(monkeypatch) -> Iterator[Callable[[str, Callable[..., Any]], None]]:
    """`change_pass(name, function)`: the pass does something else, for every graph."""

    def change(name: str, function: Callable[..., Any]) -> None:
        new = {name: {"function": function, "needs": ()}}
        changed = tuple(replace(p, **new.get(p.name, {})) for p in PASSES)
        monkeypatch.setattr(pipeline, "PASSES", changed)
        passes.cache_clear()

    yield change
    monkeypatch.undo()
    passes.cache_clear()


def fault_of(name: str, run: Callable[[], Any]) -> str:
    """The fault that is told of while this runs: raised, or a warning."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            run()
        except CompilerError as error:
            return str(error)
    return "".join(str(w.message) for w in told if w.category is CompilerWarning)


@pytest.mark.parametrize("each", PASSES, ids=lambda p: p.name)
def test_a_fault_names_its_pass(each, change_pass, lenient):
    """Every pass, broken in turn. What only makes code faster is left out: values stay right."""
    if Target.CPU not in each.on or each.name in ("separate", "own_memory", "check"):
        pytest.skip("not run on a CPU, or only where another was left out")
    change_pass(each.name, broken)
    a = buffer(24, 24)
    total = Reduce(Exp(Sub(a, Contiguous(Add(a, a)))), "max", (1,))
    stops = each.core or each.must
    fault = fault_of(each.name, lambda: realize([total]) if stops else check(total))
    assert f"pass {each.name}: ZeroDivisionError: oops" in fault


@pytest.mark.parametrize("device", ["CPU", "GPU"])
@pytest.mark.parametrize("name", ["simplify", "vectorize", "fuse", "memory", "split_sums"])
def test_a_pass_that_fails_is_left_out_with_one_warning(
    monkeypatch, lenient, change_pass, name, device
):
    change_pass(name, broken)
    monkeypatch.setattr(Device, "_default", device)
    a, b = (buffer(37, 37, device=device) for _ in range(2))
    product = Reduce(Mul(Expand(Reshape(a, (37, 37, 1)), (37, 37, 37)),
                         Expand(Reshape(b, (1, 37, 37)), (37, 37, 37))), "sum", (1,))  # fmt: skip
    total = Reduce(Add(product, a), "max", (1,))
    message = rf"pass {name}: ZeroDivisionError: oops .*report"
    with pytest.warns(CompilerWarning, match=message) as told:
        check(product, total, Neg(buffer(5, device=device)))
    assert name in str(told[0].message)


@pytest.mark.parametrize("shape", [(3, 70), (300, 40)])
def test_kernels_without_code_get_plain_loops(monkeypatch, lenient, shape):
    """Only those: the others keep their vectors."""
    compile_ = lazygrad.backends.llvm.program.codegen

    def picky(loops: Function, *rest: object) -> str:
        if "exp" in loops.name and "ramp(" in show(loops):
            raise CompilerError("no such vectors")
        return compile_(loops, *rest)

    monkeypatch.setattr(lazygrad.backends.llvm.program, "codegen", picky)
    x = buffer(*shape)
    with pytest.warns(CompilerWarning, match="pass program: no such vectors") as told:
        check(Reduce(Exp(x), "sum", (1,)), Neg(Contiguous(Add(x, x))))
    assert len(told) == 1
    plan, _ = plan_for([Reduce(Exp(x), "sum", (1,)), Neg(Contiguous(Add(x, x)))])
    (run,) = plan.steps
    plain = {launch.function.name.split("_")[0]: launch.key == "" for launch in run.launches}
    assert plain.pop("exp")
    assert not any(plain.values())


def test_where_plain_loops_fail_too_the_fault_is_raised(monkeypatch, lenient, change_pass):
    monkeypatch.setattr(lazygrad.backends.llvm.program, "codegen", broken)
    with (
        pytest.warns(CompilerWarning, match="pass program"),
        pytest.raises(CompilerError, match="pass program: ZeroDivisionError: oops"),
    ):
        realize([Neg(buffer(5))])
    change_pass("lower", broken)  # which nothing can do without
    with pytest.raises(CompilerError, match="pass lower"):
        realize([Neg(buffer(6))])


def test_a_stage_that_is_not_legal_is_a_fault_of_its_pass(change_pass):
    (right,) = (p.function for p in PASSES if p.name == "fuse")

    def broken(*args: object) -> object:
        made = right(*args)
        return type(made)(made.kernels * 2, made.outputs)

    change_pass("fuse", broken)
    with pytest.raises(CompilerError, match=r"pass fuse: verify: .* is written by kernel 0 too"):
        realize([Neg(buffer(3, 14))])


@pytest.mark.parametrize("error", [OutOfMemoryError("too big"), DeviceError("gone")])
def test_what_the_user_can_mend_is_told_as_it_is(change_pass, error):
    def refuse(*_: object) -> None:
        raise error

    change_pass("fuse", refuse)
    with pytest.raises(type(error)) as caught:
        realize([Neg(buffer(3, 15))])
    assert caught.value is error


def test_stages_are_told_in_order_to_who_watches(monkeypatch):
    class Watcher:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def took(self, stage: str, begin: float, end: float) -> None:
            assert end >= begin

        def saw(self, stage: str, value: object) -> None:
            self.seen.append(stage)
            assert text(value)

        def finish(self) -> None:
            self.seen.append("finish")

    class Place:
        number = -1

        def watcher(self) -> Watcher:
            return watcher

    watcher = Watcher()
    monkeypatch.setattr(import_module("lazygrad.dump"), "places", [Place()])
    realize([Neg(Neg(Neg(buffer(3, 16))))])
    wanted = ["graph", "simplify", "fuse", "own_memory", "lower", "name", "program", "finish"]
    assert [s for s in watcher.seen if s in wanted] == wanted
    with config.override(DEBUG=0):
        realize([Neg(Neg(Neg(buffer(3, 16))))])
    assert watcher.seen.count("graph") == 1  # the second time there is a plan


def test_too_large_a_tensor_is_told_without_the_way_through_the_compiler() -> None:
    def large() -> Tensor:
        return Tensor.zeros(10**7, 10**7).realize()

    for ask in (large, jit(lambda: Tensor.zeros(10**7, 10**7))):
        with pytest.raises(OutOfMemoryError) as caught:
            ask()
        files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
        inside = [f for f in files if re.search(r"lazygrad/(backends|runtime|compile\.py)", f)]
        assert __file__ in files
        assert not inside


def test_garbage_is_not_searched_for_while_something_is_compiled() -> None:
    searched: list[bool] = []

    def note(phase: str, info: dict[str, int]) -> None:
        searched.append(phase == "start")

    gc.callbacks.append(note)
    try:
        with without_collections():
            kept = [[n] for n in range(10_000)]
            during = list(searched)
        assert not during
        assert gc.isenabled()
        with contextlib.suppress(ValueError), without_collections():
            raise ValueError
        assert gc.isenabled()
    finally:
        gc.callbacks.remove(note)
    assert len(kept) == 10_000


def test_garbage_is_not_searched_for_while_graphs_are_walked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    were_on: list[bool] = []
    for module, name in (
        ("lazygrad.tensor.realize", "kept"),
        ("lazygrad.tensor.autograd", "walk_back"),
        ("lazygrad.tensor.autograd", "gradient_again"),
    ):
        place = f"{module}.{name}"
        whole = getattr(import_module(module), name)
        monkeypatch.setattr(place, lambda *a, f=whole: (were_on.append(gc.isenabled()), f(*a))[1])
    x = Tensor.ones(7, 13, requires_grad=True)
    loss = (x * 2).sum()
    loss.backward()
    loss.item()
    assert were_on == [False] * 3
    assert gc.isenabled()


def test_a_compilation_leaves_little_garbage() -> None:
    x = Tensor.ones(7, 13).contiguous().realize()
    gc.collect()
    ((x @ x.T).relu().sum(0) * 3).realize()
    assert gc.collect() < 200  # closures that refer to themselves would wait until then
