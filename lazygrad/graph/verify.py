"""Verify that a graph is legal. Runs after every pass, in tests and with DEBUG."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import CompilerError
from .ir import Node, topological


def verify(outputs: Sequence[Node]) -> None:
    """Check every node that the outputs need.

    A legal node has the shape, dtype, device and inputs that follow from its fields, and is the one
    node of its class with these fields. Raises CompilerError, naming the node and the cause.
    """
    for node in topological(outputs):
        try:
            cause = _fault(node)
        except Exception as error:  # whatever an illegal field may raise in _infer
            raise CompilerError(f"verify: {_describe(node)}: {error}") from error
        if cause:
            raise CompilerError(f"verify: {_describe(node)}: {cause}")


def _fault(node: Node) -> str | None:
    """What is wrong with a node, or None."""
    fields = tuple(getattr(node, name) for name in node._fields)
    inputs = [
        item
        for value in fields
        for item in (value if isinstance(value, tuple) else (value,))
        if isinstance(item, Node)
    ]
    if list(node.inputs) != inputs:
        return f"its inputs are {node.inputs}, its fields hold {inputs}"
    shape, dtype = node._infer()
    if node.shape != shape:
        return f"its shape is {node.shape}, its fields give {shape}"
    if any(type(n) is not int or n < 0 for n in shape):
        return f"its shape {shape} holds what is no size"
    if node.dtype != dtype:
        return f"its dtype is {node.dtype}, its fields give {dtype}"
    if node.device != node._infer_device():
        return f"its device is {node.device}, its fields give {node._infer_device()}"
    if type(node)(*fields) is not node:
        return "another node has the same fields"
    return None


def _describe(node: Node) -> str:
    """The node and what it reads, for a message; its fields may be anything."""
    return f"{node!r} of ({', '.join(repr(x) for x in node.inputs)})"
