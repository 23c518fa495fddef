"""Nested tuples, lists and dictionaries with tensors in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..errors import ArgumentError, KindError, told
from ..tensor import Tensor


def leaves(tree: Any) -> list[Any]:
    """What is no tuple, list or dictionary, in order."""
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in leaves(part)]
    if isinstance(tree, (tuple, list)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same tree with another value for each leaf."""
    if isinstance(tree, dict):
        return type(tree)((key, mapped(function, part)) for key, part in tree.items())
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(mapped(function, part) for part in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(mapped(function, part) for part in tree)
    return function(tree)


def filled(tree: Any, values: Iterator[Any]) -> Any:
    """The same tree with the values for its leaves, in order."""
    return mapped(lambda _: next(values), tree)


def broadcast(prefix: Any, tree: Any) -> list[Any]:
    """One value for each leaf of a tree, from a tree that may stop earlier: a value there stands
    for all leaves below."""
    if isinstance(prefix, dict) and isinstance(tree, dict):
        return [x for key, part in tree.items() for x in broadcast(prefix[key], part)]
    if isinstance(prefix, (tuple, list)) and isinstance(tree, (tuple, list)):
        if len(prefix) != len(tree):
            raise ArgumentError(f"vmap: {len(prefix)} axes for {len(tree)} values")
        pairs = zip(prefix, tree, strict=True)
        return [x for one, part in pairs for x in broadcast(one, part)]
    return [prefix] * len(leaves(tree))


def tensors(name: str, tree: Any) -> list[Tensor]:
    """The leaves. Raises TypeError where one is no tensor of floats."""
    found = leaves(tree)
    for leaf in found:
        if not isinstance(leaf, Tensor):
            raise KindError(f"{name}: derivatives are of tensors, not of {told(leaf)}")
        if not leaf.dtype.is_float:
            raise KindError(f"{name}: derivatives are of floats, this is {leaf.dtype}")
    return found
