"""Operations of several nodes, built a second time from what the first built.

An eager program calls the same operations on the same shapes in each of its steps. What a call of
`@recalled` builds is kept as a template (template.py), by what it depends on: the operation,
the shapes, dtypes and devices of its tensors, its other arguments, and the modes that are set.
Calls that agree in these build from the template, some five times as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from .. import config, dtypes
from ..dtypes import DType
from ..graph.ir import Const, Node
from .core import TensorCore
from .mode import chosen_mode
from .precision import autocast_dtype
from .sharing import grad_enabled
from .template import Template

F = TypeVar("F", bound=Callable[..., Any])

MAX_TEMPLATES = 4096  # some 3 kB each; the oldest are forgotten

_PLAIN = frozenset({int, str, bool, type(None), DType})


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a call gave: one tensor, or a tuple; and which of them require gradient."""

    template: Template
    requires_grad: tuple[bool, ...]
    is_tuple: bool


_templates: dict[Hashable, _Kept | None] = {}
"""By call; None where a call gave what cannot be kept."""


class _Unknown(Exception):
    """An argument that a call cannot be kept by."""


def recalled(operation: F) -> F:
    """Decorator of an operation on tensors that gives a new tensor, or a tuple of them. Which nodes
    it builds must follow from shapes, dtypes, devices, numbers and modes: not from values, nor from
    what its tensors were computed by.

        @recalled
        def silu(self): return self * self.sigmoid()
    """

    @wraps(operation)
    def built(*args: Any, **named: Any) -> Any:
        if config.ORIGINS or autocast_dtype.get() is not None:
            # each node gets the line that asks for it, and each product its dtype
            return operation(*args, **named)
        tensors: dict[Node, TensorCore] = {}
        try:
            key = (
                operation,
                chosen_mode(),
                grad_enabled.get(),
                dtypes.default_float,
                *[_key(x, tensors) for x in args],
                *[(name, _key(x, tensors)) for name, x in named.items()],
            )
        except _Unknown:
            return operation(*args, **named)
        kept = _templates.get(key)
        if kept is not None:
            return _again(kept, tensors)
        made = operation(*args, **named)
        if key not in _templates:
            _remember(key, made, list(tensors))
        return made

    return cast(F, built)


def _key(x: Any, tensors: dict[Node, TensorCore]) -> Hashable:
    """What a call depends on of one argument. Adds the tensors in it, by their nodes."""
    if isinstance(x, TensorCore):
        node = x._node
        if node in tensors or node.__class__ is Const:  # which broadcast in a way of their own
            raise _Unknown
        tensors[node] = x
        return (node.shape, node.dtype, node.device, x._requires_grad)
    kind = x.__class__
    if kind in _PLAIN:
        return (kind, x)
    if kind is float:
        return float.hex(x)  # 0.0 is not -0.0
    if kind is tuple or kind is list:
        return tuple([_key(each, tensors) for each in x])
    raise _Unknown


def _remember(key: Hashable, made: Any, nodes: list[Node]) -> None:
    """Keep what a call built, if that is new tensors."""
    while len(_templates) >= MAX_TEMPLATES:
        _templates.pop(next(iter(_templates)), None)
    given = made if made.__class__ is tuple else (made,)
    is_new = all(isinstance(x, TensorCore) and x._base is None for x in given)
    template = Template.of([x._own for x in given], nodes) if nodes and is_new else None
    kept = None
    if template is not None:
        kept = _Kept(template, tuple([x._requires for x in given]), made.__class__ is tuple)
    _templates[key] = kept


def _again(kept: _Kept, tensors: dict[Node, TensorCore]) -> Any:
    """What the call gives of these tensors."""
    nodes = kept.template.build(list(tensors))
    make = next(iter(tensors.values()))._from_node
    made = tuple([make(*each) for each in zip(nodes, kept.requires_grad, strict=True)])
    return made if kept.is_tuple else made[0]
