"""Which kernels share their outermost loops, and that their values stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.graph.evaluate import evaluate as evaluate_graph
from lazygrad.graph.ir import Node
from lazygrad.graph.simplify import simplify
from lazygrad.loops.chain import chain
from lazygrad.loops.ir import Alloc, statements
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower import lower
from lazygrad.schedule.fuse import fuse
from lazygrad.schedule.ir import Schedule
from lazygrad.schedule.materialize import materialize
from lazygrad.schedule.memory import plan_memory
from lazygrad.schedule.verify import verify as verify_schedule
from lazygrad.targets import Machine
from tests.loops.evaluate import evaluate
from tests.loops.passes import transform

from .conftest import CPU

SMALL_CACHE = replace(CPU, l2_bytes=128)


def values(*shape: int) -> Tensor:
    random = np.random.default_rng(sum(shape))
    return Tensor(random.standard_normal(shape).astype(np.float32))


def chained(*tensors: Tensor, machine: Machine = SMALL_CACHE) -> Schedule:
    nodes = simplify([t.node for t in tensors])
    schedule = chain(materialize(fuse(nodes, machine.cores)), machine)
    verify_schedule(schedule)
    return schedule


def computed(schedule: Schedule) -> list[np.ndarray]:
    """The outputs' values by the chain's loops, before and after the loop passes."""
    memory: dict[Node, np.ndarray] = {}

    def value_of(node: Node) -> np.ndarray:
        return memory.get(node, evaluate_graph([node])[0])

    for kernel in schedule.kernels:
        plain = lower(kernel, "kernel")
        final = transform(plain, kernel.kinds, SMALL_CACHE, lambda _, f: verify(f))
        results = []
        for function in (plain, final):
            nodes = (*kernel.outputs, *kernel.inputs)
            arrays = {
                a.name: value_of(x).ravel()
                if n >= function.outputs
                else np.full(x.size, 99, x.dtype.numpy)
                for n, (a, x) in enumerate(zip(function.arguments, nodes, strict=True))
            }
            evaluate(function, arrays)
            results.append([arrays[a.name] for a in function.arguments[: function.outputs]])
        for before, after in zip(*results, strict=True):
            np.testing.assert_allclose(before, after, 1e-4, 1e-5)
        for node, value in zip(kernel.outputs, results[0], strict=True):
            memory[node] = value.reshape(node.shape)
    return [memory[node] for node in schedule.outputs]


def agrees(schedule: Schedule, *tensors: Tensor) -> None:
    expected = evaluate_graph([t.node for t in tensors])
    for found, wanted in zip(computed(schedule), expected, strict=True):
        np.testing.assert_allclose(found, wanted.reshape(found.shape), 1e-4, 1e-5)


def attention(*lead: int, queries: int = 8, keys: int = 12, mask: bool = False) -> list[Tensor]:
    q, k, v = values(*lead, queries, 4), values(*lead, keys, 4), values(*lead, keys, 4)
    return [q, k, v, q.scaled_dot_product_attention(k, v, is_causal=mask)]


def kinds(schedule: Schedule) -> list[tuple[str, ...]]:
    return [kernel.kinds for kernel in schedule.kernels if kernel.kind == "chain"]


@pytest.mark.parametrize("lead", [(4,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("mask", [False, True])
def test_attention_is_one_kernel(lead: tuple[int, ...], mask: bool) -> None:
    out = attention(*lead, mask=mask)[-1]
    schedule = chained(out)
    (kernel,) = schedule.kernels
    assert kernel.kinds == ("map", "contraction", "row", "contraction")
    assert kernel.outputs == schedule.outputs
    assert plan_memory(schedule).nbytes == -(-out.node.nbytes // 64) * 64
    agrees(schedule, out)


def test_slices_fit_the_second_cache() -> None:
    out = attention(2, 3)[-1]
    (kernel,) = chained(out).kernels
    local = [s.array for s in statements(lower(kernel, "kernel").body) if isinstance(s, Alloc)]
    rows = [a for a in local if a.scope == "local" and a.name.startswith("mid")]
    assert kernel.outer == 6 * 4  # two rows of each matrix: fewer are no loop
    assert {a.size for a in rows} == {2 * 4, 2 * 12, 2 * 1}


def test_slices_are_rows_where_matrices_are_too_large() -> None:
    out = attention(2, 3)[-1]
    schedule = chained(out, machine=replace(CPU, l2_bytes=32))
    (kernel,) = [kernel for kernel in schedule.kernels if kernel.kind == "chain"]
    assert kernel.kinds[-3:] == ("contraction", "row", "contraction")
    assert kernel.outer == 6 * 4
    agrees(schedule, out)


def test_a_gradient_that_waits_computes_again_what_it_needs() -> None:
    q, k, v, out = attention(2, 3)
    for t in (q, k, v):
        t.requires_grad = True
    loss = out.square().sum().square()  # its gradient needs all of out
    gradients = loss.gradient(q, k, v)
    schedule = chained(*gradients)
    forward, backward = kinds(schedule)
    assert forward.count("contraction") == 2
    assert backward.count("contraction") == 5  # the scores again, and four products
    scores = 2 * 3 * 8 * 12
    assert all(node.size < scores for kernel in schedule.kernels for node in kernel.outputs)
    agrees(schedule, *gradients)


def test_a_gradient_that_need_not_wait_is_in_the_same_kernel() -> None:
    q, k, v, out = attention(2, 3)
    for t in (q, k, v):
        t.requires_grad = True
    gradients = out.square().sum().gradient(q, k, v)  # each row's needs that row of out alone
    schedule = chained(*gradients)
    (both,) = kinds(schedule)
    assert both.count("contraction") == 6  # two products forward, four back
    agrees(schedule, *gradients)


def test_what_is_asked_for_is_stored() -> None:
    q, k = values(2, 8, 4), values(2, 12, 4)
    shares = (q @ k.mT).softmax()
    out = shares @ values(2, 12, 4)
    schedule = chained(shares, out)
    stored = {node for kernel in schedule.kernels for node in kernel.outputs}
    assert stored.issuperset(schedule.outputs)
    agrees(schedule, shares, out)


def test_products_without_enough_memory_traffic_stay_apart() -> None:
    out = (values(2, 16, 512) @ values(2, 512, 16)).relu() @ values(2, 16, 512)
    assert not kinds(chained(out))


def test_what_the_caches_hold_stays_in_memory() -> None:
    nodes = simplify([attention(2, 3)[-1].node])
    schedule = fuse(nodes, CPU.cores)
    assert chain(schedule, CPU) is schedule


def test_nothing_that_needs_the_whole_is_in_a_chain() -> None:
    scores = values(4, 8, 4) @ values(4, 12, 4).mT
    out = (scores / scores.sum()) @ values(4, 12, 4)
    schedule = chained(out)
    for kernel in schedule.kernels:
        assert kernel.kinds != ("contraction", "row", "contraction")
    agrees(schedule, out)


def test_weights_that_all_slices_share_are_not_packed_for_each() -> None:
    steps: Sequence[Tensor] = [values(4, 64) for _ in range(4)]
    out = Tensor.stack(list(steps)) @ values(64, 64)
    assert not kinds(chained(out))
