"""Make a program that goes wrong smaller, as long as it still does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from .program import Program

TRIES = 150


def shrink(program: Program, fails: Callable[[Program], bool]) -> Program:
    """The smallest program found that fails too."""
    tries = 0
    smaller = True
    while smaller and tries < TRIES:
        smaller = False
        for candidate in _candidates(program):
            tries += 1
            if tries > TRIES:
                break
            if _size(candidate) < _size(program) and fails(candidate):
                program, smaller = candidate, True
                break
    return program


def _size(program: Program) -> tuple[int, int, int]:
    elements = sum(_elements(x.shape) for x in program.inputs)
    return len(program.lines) + len(program.results), len(program.inputs), elements


def _elements(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def _candidates(program: Program) -> Iterator[Program]:
    """Programs without a result, without a line, with an earlier value in place of a later one."""
    if len(program.results) > 1:
        for result in program.results:
            left = tuple(r for r in program.results if r != result)
            yield replace(program, results=left).pruned()
    for n, line in reversed(list(enumerate(program.lines))):
        without = replace(program, lines=program.lines[:n] + program.lines[n + 1 :])
        if not line.targets:
            yield without.pruned()
            continue
        for name in sorted(line.uses):
            yield without.with_names({line.targets[0]: name}, n).pruned()
