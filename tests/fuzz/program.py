"""A random program as data: inputs, lines of Python, results; its text, and how it is run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from lazygrad import Tensor, dtypes

Array = np.ndarray[Any, np.dtype[Any]]
NAME = re.compile(r"\b[a-z]\d+\b")


@dataclass(frozen=True)
class Input:
    """A tensor that a program is given; `values` names how its elements are drawn.

    `state` is kept from call to call, and may be assigned; `gradient` says that it is a variable.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: str = "normal"
    state: bool = False
    gradient: bool = False

    def array(self, seed: int) -> Array:
        """The elements, equal for equal seeds."""
        rng = np.random.default_rng([seed, int(self.name[1:]), *self.shape])
        dtype = getattr(dtypes, "bool_" if self.dtype == "bool" else self.dtype).numpy
        if self.dtype == "bool":
            return rng.random(self.shape) < 0.5
        if not dtypes.to_dtype(dtype).is_float:
            low = 0 if self.dtype.startswith("u") else -9
            return rng.integers(low, 10, self.shape).astype(dtype)
        x = rng.standard_normal(self.shape)
        if self.values == "eighths":
            x = np.round(x * 8) / 8
        if self.values == "ties":
            x = np.round(x)
        if self.values == "special":
            special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])
            x = np.where(rng.random(self.shape) < 0.1, rng.choice(special, self.shape), x)
        return np.asarray(x).astype(dtype)


@dataclass(frozen=True)
class Line:
    """A statement, and the names that it gives values; a write names none."""

    text: str
    targets: tuple[str, ...] = ()

    @cached_property
    def uses(self) -> frozenset[str]:
        return frozenset(NAME.findall(self.text)) - set(self.targets)


@dataclass(frozen=True)
class Program:
    """A function of tensors: lines one after another, and what is returned."""

    inputs: tuple[Input, ...]
    lines: tuple[Line, ...]
    results: tuple[str, ...]

    def source(self) -> str:
        """The function's text."""
        arguments = ", ".join(x.name for x in self.inputs)
        lines = [line.text for line in self.lines]
        returned = ", ".join(self.results) + ("," if len(self.results) == 1 else "")
        return "\n    ".join([f"def program({arguments}):", *lines, f"return {returned}"]) + "\n"

    def script(self, title: str) -> str:
        """A Python program that runs this one and says where it differs from the oracle."""
        inputs = "".join(f"    {x!r},\n" for x in self.inputs)
        return (
            f'"""{title}"""\n'
            "import numpy as np\n\nfrom lazygrad import Tensor\n"
            "from tests.fuzz.program import Input\n"
            "from tests.fuzz.run import check_function\n\n"
            f"INPUTS = [\n{inputs}]\n\n\n{self.source()}\n\n"
            'if __name__ == "__main__":\n'
            "    check_function(program, INPUTS)\n"
        )

    def function(self) -> Any:
        """The function itself."""
        namespace: dict[str, Any] = {"Tensor": Tensor, "np": np}
        exec(compile(self.source(), "program", "exec"), namespace)
        return namespace["program"]

    def pruned(self) -> Program:
        """Without lines and inputs that no result needs."""
        needed = set(self.results)
        kept = []
        for line in reversed(self.lines):
            writes = not line.targets and bool(line.uses & needed)
            if writes or needed & set(line.targets):
                kept.append(line)
                needed |= line.uses
        inputs = tuple(x for x in self.inputs if x.name in needed or x.state)
        return replace(self, inputs=inputs, lines=tuple(reversed(kept)))

    def with_names(self, names: Mapping[str, str], start: int = 0) -> Program:
        """Other names in place of some, in the lines from `start` on and in the results."""

        def change(text: str) -> str:
            return NAME.sub(lambda found: names.get(found[0], found[0]), text)

        lines = tuple(
            replace(line, text=change(line.text)) if n >= start else line
            for n, line in enumerate(self.lines)
        )
        return replace(self, lines=lines, results=tuple(names.get(r, r) for r in self.results))
