"""From graph nodes to values: find the plan of their graph, or have it compiled, and run it.

The *leaves* of a graph are nodes that have memory already. A *plan* is a compiled graph: machine
code, and launches of it, which run on the memory of any leaves of the same shapes and dtypes.

realize                tensors call it: computes nodes, and returns the memory of each
    plan_for           the plan of their graph: an earlier one of equal structure, or a new one
        compile_plan   the passes (compile.py)
    Plan.run           runs the launches

With OPT=0 plans are kept here. Otherwise plans.py keeps them: it finds them faster, and lets graphs
share a plan that differ in constants or sizes.

The passes are loaded with the first plan that is compiled: a program whose plans are on disk does
without. So this module, and no other, loads one that imports it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from types import ModuleType
from typing import Any

from . import config
from .cache import remember
from .dump import watching
from .graph.build import substitute
from .graph.checks import sources_of
from .graph.ir import Buffer, Node
from .graph.structure import Slot, Walk, structure
from .looking import looking
from .plans import MAX_PLANS, find
from .runtime.buffer import DeviceBuffer, interceptor, realized
from .runtime.device import Device
from .runtime.execute import Plan
from .together import cut, filled, together

_plans: dict[Hashable, Plan] = {}  # with OPT=0


def realize(
    nodes: Sequence[Node],
    walked: Walk | None = None,
    donated: Mapping[int, Node] | None = None,
) -> list[DeviceBuffer]:
    """Compute the nodes, and return the memory of each. `walked` and `donated` are as in
    `plan_for`; a node that takes over the memory of a leaf returns the leaf's storage.

    Raises OutOfMemoryError; IndexError for an index out of range, if the device has reported it by
    now; CompilerError for a fault in a pass that cannot be left out.
    """
    intercept = interceptor.get()
    if intercept is not None:
        return intercept(nodes)
    rows = None
    if config.OPT:
        nodes, walked, rows = together(nodes, walked)
        if rows and donated:
            donated = {rows[n][0]: leaf for n, leaf in donated.items() if rows[n][1] is None}
    plan, leaves = plan_for(nodes, donated, walked, may_vary=True)
    storages: list[Any] = [
        leaf.storage if type(leaf) is Buffer else realized[leaf] for leaf in leaves
    ]
    if rows:
        storages = filled(storages)
    found = plan.run(storages, partial(sources_of, nodes, leaves))
    return cut(found, rows) if rows else found


def storage_of(leaf: Node) -> DeviceBuffer:
    """The memory of a Buffer, or of a node that was computed before and is still alive."""
    return leaf.storage if type(leaf) is Buffer else realized[leaf]  # type: ignore[return-value]


def plan_for(
    outputs: Sequence[Node],
    donated: Mapping[int, Node] | None = None,
    walked: Walk | None = None,
    may_vary: bool = False,
) -> tuple[Plan, list[Node]]:
    """The plan that computes the outputs, and the leaves to run it on, in the plan's order. Nodes
    that are computed already are leaves.

    `donated` maps the number of an output to the leaf whose memory it may take over; `Plan.taken`
    has the leaves that are taken over indeed. `walked` is a walk that has reached the outputs
    already. With `may_vary`, constants may become leaves, the last ones, so that graphs which
    differ in their values share a plan.
    """
    if config.OPT or config.ORIGINS or looking.get() or watching():
        plan, leaves = find(_compile_plan, outputs, donated or {}, walked, may_vary)
    else:
        graph, leaves = structure(outputs, realized)
        key = graph, Device.DEFAULT, config.DEBUG, config.CHECK
        if key not in _plans:
            remember(_plans, key, _new_plan(outputs, leaves), MAX_PLANS)
        plan = _plans[key]
    if plan.flags is not None and not plan.flags.sources:
        plan.flags.sources = sources_of(outputs, leaves)
    return plan, leaves


def _new_plan(outputs: Sequence[Node], leaves: Sequence[Node]) -> Plan:
    """A plan that runs on any leaves of these shapes, dtypes and devices."""
    slots = [Buffer(Slot.of(leaf), leaf.shape) for leaf in leaves]
    return _compile_plan(substitute(outputs, dict(zip(leaves, slots, strict=True))), slots, {})[0]


def _compile_plan(
    outputs: Sequence[Node], leaves: Sequence[Buffer], donated: Mapping[int, int]
) -> tuple[Plan, bool]:
    """As compile.compile_plan."""
    made: tuple[Plan, bool] = _compiler().compile_plan(outputs, leaves, donated)
    return made


@cache
def _compiler() -> ModuleType:
    return import_module(".compile", __package__)
