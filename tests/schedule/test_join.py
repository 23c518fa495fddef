"""Joined tensors: each part is computed into its place, by few functions."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.compile import plan_for
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Join, topological
from lazygrad.runtime.device import Device
from lazygrad.schedule.join import CONSTANTS, select_joined
from lazygrad.targets import Target

RNG = np.random.default_rng(0)
OFFSETS = Device.get(Device.DEFAULT).machine.target is Target.CPU
COUNT = 20 if OFFSETS else 10  # of parts: more than are selected by position anyway
only_with_offsets = pytest.mark.skipif(not OFFSETS, reason="parts are selected by position there")


def random(*shape: int) -> Tensor:
    return Tensor(RNG.standard_normal(shape).astype(np.float32)).realize()


def functions(*tensors: Tensor) -> tuple[int, int]:
    """How many launches compute the tensors, and how many functions those are of."""
    plan, _ = plan_for([t.node for t in tensors])
    launches = [launch for run in plan.programs() for launch in run.launches]
    return len(launches), len({launch.function for launch in launches})


def check(*tensors: Tensor) -> None:
    wanted = evaluate([t.node for t in tensors])
    Tensor.realize(*tensors)
    for tensor, value in zip(tensors, wanted, strict=True):
        np.testing.assert_allclose(tensor.numpy(), value, 1e-5, 1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", ["in memory", "computed", "summed", "mixed", "repeated"])
def test_values(axis, kind):
    xs = [random(3, 5) for _ in range(COUNT)]
    if kind == "computed":
        xs = [x.sin() * n for n, x in enumerate(xs)]
    elif kind == "summed":
        xs = [x + x.sum(0, keepdim=True) for x in xs]
    elif kind == "mixed":
        xs = [x if n % 3 else x * 2 if n % 2 else x.full_like(n) for n, x in enumerate(xs)]
    elif kind == "repeated":
        xs = [xs[n % 3] for n in range(COUNT)]
    check(Tensor.stack(xs, axis=axis))
    if axis < 2:
        widths = [(x if n % 2 else x.narrow(axis, 0, 2)) for n, x in enumerate(xs)]
        check(Tensor.cat(widths, axis=axis))


def test_what_reads_it_and_what_reads_its_parts():
    xs = [random(4, 6) for _ in range(12)]
    parts = [x.exp() + n for n, x in enumerate(xs)]
    joined = Tensor.cat(parts)
    check(joined @ joined.T, parts[3] * 2, joined.sum(0), joined[5:9], joined[2:40:7], parts[11])
    check(Tensor.cat(parts), Tensor.cat(parts[::-1]), Tensor.cat(parts, axis=1) + 1)


@pytest.mark.parametrize("dtype", ["bool", "int64", "float16", "bfloat16", "float64"])
def test_dtypes(dtype):
    xs = [random(3, n % 3 + 1).cast(dtype) for n in range(COUNT)]
    joined = Tensor.cat(xs, axis=1)
    assert joined.numpy().tobytes() == evaluate([joined.node])[0].tobytes()


def test_gradients_of_what_is_taken_apart():
    w = random(COUNT, 5)
    w.requires_grad_(True)
    loss = (Tensor.stack([w[n].sin() * n for n in range(COUNT)]) ** 2).sum()
    (gradient,) = loss.gradient(w)
    check(gradient)


@only_with_offsets
def test_equal_parts_are_launches_of_one_function():
    x = random(100, 16)
    order = RNG.permutation(100)
    launches, distinct = functions(Tensor.cat([x[int(n) : int(n) + 1] for n in order]))
    assert launches <= 100
    assert distinct <= 3  # neighbours that follow one another are one slice
    assert functions(Tensor.stack([random(16) * 2 for _ in range(60)])) == (60, 1)


@only_with_offsets
def test_work_is_linear_in_the_parts(count_calls):
    def work(count: int) -> int:
        xs = [random(16) for _ in range(count)]
        return count_calls(lambda: plan_for([Tensor.stack(xs).node]))

    work(20)
    assert work(400) < 5 * work(100)


@only_with_offsets
def test_numbers_are_few_functions():
    x = Tensor.cat([Tensor.full((1,), n * 0.5) for n in range(200)])
    launches, distinct = functions(x)
    assert launches == distinct == -(-200 // CONSTANTS)
    np.testing.assert_array_equal(x.numpy(), np.arange(200, dtype=np.float32) * 0.5)


@only_with_offsets
def test_parts_of_one_join_do_not_wait_for_one_another():
    plan, _ = plan_for([Tensor.stack([random(16) * 2 for _ in range(30)]).node])
    (run,) = plan.programs()
    assert not any(launch.barrier for launch in run.launches[1:])


def test_selected_by_position_where_kernels_begin_at_the_start_of_memory():
    joined = Tensor.cat([random(2, n + 1) * n for n in range(12)], axis=1)
    (node,) = select_joined([joined.node])
    assert not any(isinstance(n, Join) for n in topological([node]))
    old, new = evaluate([joined.node, node])
    np.testing.assert_array_equal(old, new)
