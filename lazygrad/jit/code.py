"""The names from outside that a function's code mentions: globals and variables of enclosing
functions, with the attributes looked up from there.

    def f(x):
        return x * config.scale + table[0]

mentions ("config", "scale") and ("table",). Code does not tell what it reads of other objects.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType

Way = tuple[str, ...]
"""A name, and the attributes that are looked up one after the other from there."""


@lru_cache(maxsize=4096)
def global_ways(code: CodeType) -> tuple[Way, ...]:
    """The ways from globals in the code, and in that of functions defined in it."""
    return tuple(dict.fromkeys(_ways(code, ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL"))))


@lru_cache(maxsize=4096)
def closure_ways(code: CodeType) -> tuple[Way, ...]:
    """The ways from variables of enclosing functions, likewise."""
    return tuple(dict.fromkeys(_ways(code, ("LOAD_DEREF", "LOAD_CLASSDEREF"))))


@lru_cache(maxsize=4096)
def mentioned(code: CodeType) -> frozenset[str]:
    """The names of globals and attributes in the code, and in that of functions defined in it."""
    inner = [mentioned(each) for each in code.co_consts if isinstance(each, CodeType)]
    return frozenset(code.co_names).union(*inner)


def _ways(code: CodeType, loads: tuple[str, ...]) -> Iterator[Way]:
    way: list[str] = []
    for instruction in dis.get_instructions(code):
        name, argument = instruction.opname, instruction.argval
        if way and name in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"):
            way.append(argument)
            continue
        if name == "PUSH_NULL":
            continue
        if way:
            yield tuple(way)
            way = []
        if name in loads:
            way = [argument]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _ways(constant, loads)
