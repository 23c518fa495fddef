"""Nodes whose elements are those of an input, on another device, in memory of their own, or with
another gradient."""

from __future__ import annotations

from collections.abc import Callable

from ...dtypes import DType
from ...errors import ShapeError
from .node import Node, Shape


class Copy(Node):
    """x on another device."""

    x: Node
    device_: str

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype

    def _infer_device(self) -> str | None:
        return self.device_


class Contiguous(Node):
    """x, stored in memory of its own: a kernel boundary that the user asked for."""

    x: Node

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype


class Token:
    """An object that is equal only to itself."""

    __slots__ = ("__weakref__",)

    def __repr__(self) -> str:
        return "·"


class Detach(Node):
    """x as a new variable: no gradient flows through it. Different tokens make two variables of
    equal expressions. Simplify removes it."""

    x: Node
    token: Token | None = None

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype


class Overwritten(Node):
    """The elements of `value`, which were written over x while no gradient was recorded: gradients
    flow to x as if nothing were written. Simplify removes it."""

    x: Node
    value: Node

    def _infer(self) -> tuple[Shape, DType]:
        if (self.x.shape, self.x.dtype) != (self.value.shape, self.value.dtype):
            raise ShapeError(f"overwritten: {self.value} for {self.x}")
        return self.x.shape, self.x.dtype


class Custom(Node):
    """The elements of `value`, computed from `primals` in any way, with a user's derivative:
    `rule(g, node)` returns the cotangents of the primals. No gradient flows to `value`. Simplify
    removes it."""

    value: Node
    primals: tuple[Node, ...]
    rule: Rule

    def _infer(self) -> tuple[Shape, DType]:
        return self.value.shape, self.value.dtype

    def _infer_device(self) -> str | None:
        return self.value.device


Rule = Callable[[Node, Custom], tuple[Node | None, ...]]
"""rule(g, node): the cotangents of the node's primals, from the node's cotangent g."""
