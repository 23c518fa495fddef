"""Rewrite rules, and the driver that applies them to a fixed point.

A rule is a small function from a node to its replacement, or to None where it does not apply; its
docstring is its equation. Rules are directional: the right side is simpler by some measure, so
no sequence of rules returns to its start.

    RULES = Rules[Node]()

    @RULES.rule(Neg, of=Neg)
    def negate_twice(node: Neg, inner: Neg) -> Node | None:
        \"\"\"-(-x)  ->  x\"\"\"
        return inner.x

    rewrite([Neg(Neg(Neg(x)))], RULES)  ==  [Neg(x)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, Generic, Protocol, Self, TypeVar

from . import config
from .errors import CompilerError
from .origin import inherit


class Rewritable(Protocol):
    """A node, as the driver sees it: immutable, compared by identity, interned or not."""

    @property
    def inputs(self) -> tuple[Self, ...]: ...

    def with_inputs(self, inputs: Sequence[Self]) -> Self: ...


N = TypeVar("N", bound=Rewritable)
K = TypeVar("K")
V = TypeVar("V")
Rule = Callable[[Any], N | None]


class Rules(Generic[N]):
    """An ordered set of rules, found by the classes of a node and of its first input."""

    def __init__(self, *parts: Rules[N]) -> None:
        """The rules of all `parts`, in order."""
        self._rules: list[tuple[tuple[type, ...], type, Rule[N]]] = [
            entry for part in parts for entry in part._rules
        ]
        self._found: dict[tuple[type, type], tuple[Rule[N], ...]] = {}

    def rule(self, *classes: type, of: type = object) -> Callable[[Callable[..., Any]], Rule[N]]:
        """Decorator: the function is a rule for nodes of these classes and their subclasses.

        With `of`, the rule is only for nodes whose first input is of that class. The function is
        then called with the node and that input. The decorated rule takes the node alone.
        """

        def register(function: Callable[..., N | None]) -> Rule[N]:
            rule = function if of is object else _of_first_input(function, of)
            self._rules.append((classes, of, rule))
            self._found.clear()
            return rule

        return register

    def for_node(self, node: N) -> tuple[Rule[N], ...]:
        """The rules for a node, in the order in which they were registered."""
        inputs = node.inputs
        key = type(node), type(inputs[0]) if inputs else object
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = tuple(
                rule
                for classes, of, rule in self._rules
                if issubclass(key[0], classes) and issubclass(key[1], of)
            )
        return found

    def __iter__(self) -> Iterator[Rule[N]]:
        return (rule for _, _, rule in self._rules)


def _of_first_input(function: Callable[[Any, Any], N | None], cls: type) -> Rule[N]:
    """The rule that calls function(node, first input) where the first input is of class `cls`."""

    @wraps(function)
    def rule(node: Any) -> N | None:
        first = node.inputs[0]
        return function(node, first) if isinstance(first, cls) else None

    return rule


def bottom_up(
    root: K, made: dict[K, V], needs: Callable[[K], Iterable[K]], make: Callable[[K], V]
) -> V:
    """Compute made[root], after made[x] of every part x that it needs; return it.

    `needs(x)` names the parts of x. It is called again once they are made, and may then name more.
    When all are made, made[x] = make(x), unless `needs` has set made[x] itself. This loop rewrites
    and evaluates graphs and expressions. It does not recurse: depth is no limit.
    """
    stack = [root]
    while stack:
        top = stack[-1]
        if top not in made:
            depth = len(stack)
            for x in needs(top):
                if x not in made:
                    stack.append(x)
            if len(stack) > depth:
                continue
            if top not in made:
                made[top] = make(top)
        stack.pop()
    return made[root]


def rewrite(outputs: Sequence[N], rules: Rules[N], replace: Mapping[N, N] | None = None) -> list[N]:
    """Apply the rules to everything the outputs need until none applies; the outputs' new nodes.

    Bottom-up: a rule sees a node whose inputs are final, and its result is rewritten in turn.
    A key of `replace` is replaced before its inputs are visited. Every node is visited once, so
    the time is linear in the graph; depth is no limit.

    Raises CompilerError where rules lead from a node back to a graph that contains it.
    """
    final: dict[N, N] = {}
    rebuilt: dict[N, N] = {}  # a node, on final inputs
    awaited: dict[N, N] = {}  # a node, and its replacement: both have one final form
    replaced = replace or {}
    keeps_origins = bool(config.ORIGINS)

    def needs(node: N) -> Sequence[N]:
        """A node's inputs, and then its replacement."""
        if node in awaited:
            if awaited[node] not in final:
                raise CompilerError(f"rewrite: the rules turn {node} into something that needs it")
            return ()
        replacement = replaced.get(node)
        if replacement is None:
            missing = [x for x in node.inputs if x not in final]
            if missing:
                return missing
            inputs = tuple([final[x] for x in node.inputs])
            same = inputs == node.inputs  # nodes are equal where they are identical
            current = rebuilt[node] = node if same else node.with_inputs(inputs)
            if not same and keeps_origins:
                inherit(current, node)
            replacement = None if current in final else _apply(current, rules)
            if replacement is None:
                return ()
        if keeps_origins:
            inherit(replacement, node)
        awaited[node] = replacement
        return (replacement,)

    def make(node: N) -> N:
        if node in awaited:
            return final[awaited[node]]
        current = rebuilt[node]
        return final.setdefault(current, current)

    return [bottom_up(output, final, needs, make) for output in outputs]


def _apply(node: N, rules: Rules[N]) -> N | None:
    """The replacement by the first rule that applies, or None."""
    for rule in rules.for_node(node):
        replacement = rule(node)
        if replacement is not None and replacement is not node:
            return replacement
    return None
