"""Nodes that are built when somebody looks.

An eager program calls the same operations again and again, and what a call gives is mostly known by
then. So a *call* of an operation gives nodes of the right class, shape, dtype and device, with no
fields or inputs. Who asks for one of those finds it: the call is *built*, with all nodes between
the inputs and what it gives. Who recognises the graph by its calls (graph/skeleton.py) never asks.

    y = x.softmax()     a Div without inputs, and the call softmax(x)
    y.inputs            builds Reduce, Sub, Exp, ..., and returns the inputs of the Div
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock
from typing import Any, Protocol

from ...interned import draft_of
from .node import Node

building = RLock()
"""Held by the thread that builds a call; others wait for it."""

_classes: dict[type[Node], type[Node]] = {}
deferred: set[type[Node]] = set()
"""The classes of nodes that are not built."""


class Call(Protocol):
    """An operation, called on nodes, of which some results are not built."""

    inputs: tuple[Node, ...]

    def alive(self) -> list[Node]:
        """The results that somebody holds."""
        ...

    def build(self) -> None:
        """Build the results. Each becomes a node of its own class."""
        ...


def deferred_class(cls: type[Node]) -> type[Node]:
    """The class of nodes that will be of class `cls` when they are built: a subclass. The slot
    `call` of such a node has the call that gives it, and `description` all that tells the node from
    other results of calls on the same inputs."""
    found = _classes.get(cls)
    if found is None:
        found = _classes[cls] = draft_of(cls, __getattr__=_look)
        deferred.add(found)
    return found


def _look(node: Node, name: str) -> Any:
    """An attribute of a node that is not built."""
    with building:
        if type(node) in deferred:
            node.call.build()
    return getattr(node, name)


def become(node: Node, fields: Sequence[Any], inputs: tuple[Node, ...]) -> None:
    """Make a deferred node one of its own class, with these fields and inputs."""
    cls: Any = type(node).__base__
    for name, value in zip(cls._fields, fields, strict=True):
        setattr(node, name, value)
    node.inputs = inputs
    node.__class__ = cls


def sources(node: Node) -> Sequence[Node]:
    """The inputs of a node; of one that is not built, those of its call."""
    with building:
        return node.call.inputs if type(node) in deferred else node.inputs
