"""Marks: a value on another device, in memory of its own, or with a gradient of its own."""

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
    """x, computed into memory of its own: a kernel boundary that the user asked for."""

    x: Node

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype


class Token:
    """Something that is only equal to itself."""

    __slots__ = ("__weakref__",)

    def __repr__(self) -> str:
        return "·"


class Detach(Node):
    """x as a fresh variable: no gradient flows through it, and a token of its own makes two
    equal expressions two variables. Simplify removes it."""

    x: Node
    token: Token | None = None

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype


class Overwritten(Node):
    """The elements of `value`, written over those of x while no gradient was recorded: gradients
    flow to x as if nothing were written. Simplify removes it."""

    x: Node
    value: Node

    def _infer(self) -> tuple[Shape, DType]:
        if (self.x.shape, self.x.dtype) != (self.value.shape, self.value.dtype):
            raise ShapeError(f"overwritten: {self.value} for {self.x}")
        return self.x.shape, self.x.dtype


class Custom(Node):
    """The elements of `value`, computed from the primals in any way, with a derivative of its own:
    `rule(g, node)` gives the cotangents of the primals. No gradient flows to `value`. Simplify
    removes it."""

    value: Node
    primals: tuple[Node, ...]
    rule: Rule

    def _infer(self) -> tuple[Shape, DType]:
        return self.value.shape, self.value.dtype

    def _infer_device(self) -> str | None:
        return self.value.device


Rule = Callable[[Node, Custom], tuple[Node | None, ...]]
"""rule(g, node): the cotangents of the node's primals, given its own cotangent g."""
