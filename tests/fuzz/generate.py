"""Random programs: each line is drawn from a table of forms and kept if it is legal.

Lines are run on lazy tensors while the program grows, so shapes and dtypes are known, and what an
operation refuses is simply not in the program. Nothing is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from lazygrad import Tensor

from .program import Input, Line, Program

SIZES = (1, 2, 3, 4, 5, 7, 8, 10, 16, 17, 33, 49, 64)
MOST = 4096  # elements of a tensor; a few programs have larger ones
DTYPES = (
    ["float32"] * 14
    + ["float64", "float16", "bfloat16", "int32", "int32", "int64", "uint8", "int8", "int16"]
    + ["bool"]
)  # fmt: skip
REFUSED = (ValueError, TypeError, IndexError, AttributeError, RuntimeError, NotImplementedError)

UNARY = (
    "-{x}", "{x}.abs()", "{x}.clamp(-4, 4).exp()", "{x}.sin()", "{x}.cos()", "{x}.tanh()",
    "{x}.sigmoid()", "{x}.relu()", "{x}.square()", "({x}.abs() + 0.5).sqrt()",
    "1 / ({x}.abs() + 0.5)", "({x}.abs() + 0.1).log()", "{x}.floor()", "{x}.round()",
    "{x}.trunc()", "{x}.sign()", "{x}.erf()", "{x}.gelu()", "{x} * 3", "{x} - 0.25", "2 - {x}",
    "{x} / 4", "{x} // 3", "{x} % 3", "{x}.clamp(-1, 1)", "{x} > 0", "{x} == 1", "{x} != 0",
    "{x}.isnan()", "{x}.logical_not()", "{x} ** 2", "{x} ** 3", "({x}.abs() + 1) ** -0.5",
    "{x}.silu()", "{x}.softplus()", "{x} & 3", "{x} ^ 5", "{x} << 1", "{x} >> 1",
    "{x}.nan_to_num()", "{x}.detach()", "{x}.contiguous()",
)  # fmt: skip
CASTS = tuple(
    f"{{x}}.cast({name!r})"
    for name in ("float32", "float32", "float16", "bfloat16", "float64", "int32", "bool")
)
BINARY = (
    "{x} + {y}", "{x} - {y}", "{x} * {y}", "{x} * {y}", "{x} / ({y}.abs() + 0.5)",
    "{x}.maximum({y})", "{x}.minimum({y})", "{x} < {y}", "{x} >= {y}", "{x} == {y}",
    "({x} > {y}).where({x}, {y})", "({y} > 0).where({x}, 0.5)", "{x}.lerp({y}, 0.25)",
    "{x} & {y}", "{x} | {y}", "{x}.masked_fill({y} > 0.5, 2)",
)  # fmt: skip
WHOLE = (
    "{x}.sum()", "{x}.mean()", "{x}.max()", "{x}.min()", "{x}.any()", "{x}.all()", "{x}.argmax()",
    "{x}.var()", "{x}.flatten().cumsum(0)", "{x}.flatten().sort()[0]", "{x}.square().sum().sqrt()",
)  # fmt: skip
ALONG = (
    "{x}.sum({d})", "{x}.sum({d}, keepdim=True)", "{x}.mean({d})", "{x}.mean({d}, keepdim=True)",
    "{x}.max({d})[0]", "{x}.amax({d})", "{x}.amin({d}, keepdim=True)", "{x}.argmax({d})",
    "{x}.argmin({d}, keepdim=True)", "{x}.any({d})", "{x}.var({d})", "{x}.std({d}, keepdim=True)",
    "{x}.softmax({d})", "{x}.log_softmax({d})", "{x}.logsumexp({d})", "{x}.cumsum({d})",
    "{x}.clamp(-1.5, 1.5).cumprod({d})", "{x}.cummax({d})[0]", "{x}.sort({d})[0]",
    "{x}.argsort({d})", "{x}.topk(1, {d})[0]", "{x}.flip({d})", "{x}.unsqueeze({d})",
    "{x}.clamp(-1.5, 1.5).prod({d})", "{x}.roll({k}, {d})", "{x} - {x}.mean({d}, keepdim=True)",
    "{x}.repeat_interleave(2, {d})", "{x}.normalize(dim={d})",
)  # fmt: skip
MOVES = (
    "{x}.T", "{x}.flatten()", "{x}.squeeze()", "{x}[None]", "{x}[..., None]", "{x}.tril()",
    "{x}.triu({k})", "{x}.diagonal()", "{x}.unsqueeze(0).expand({k} + 2, {rest})",
    "{x}.repeat({ones})", "{x}.movedim(0, -1)", "{x}.pad(({k}, 1))", "{x}.pad((1, {k}), value=2)",
    "{x}.pad((0, {k}, 1, 0))", "{x}.unfold(0, 2, 1)",
)  # fmt: skip
JOINS = (
    "Tensor.cat({x}, {y}, dim={d})", "Tensor.stack({x}, {y}, dim={d})", "{x}.stack({y})",
    "Tensor.cat({x}, {y}, {x}, dim={d})", "{x}.cat({y})",
    "Tensor.stack({x}, {y} * 2, {x}, dim={d})",
)  # fmt: skip
PRODUCTS = (
    "{x} @ {y}", "{x} @ {y}.T", "{x}.T @ {y}", "{x} @ {y}.mT", "{x}.mT @ {y}", "{x}.outer({y})",
    "{x}.conv2d({y})", "{x}.conv2d({y}, padding=1)", "{x}.conv2d({y}, stride=2, padding=1)",
    "{x}.flatten().dot({x}.flatten())",
)  # fmt: skip
WINDOWS = (
    "{x}.max_pool2d(2)", "{x}.avg_pool2d(2)", "{x}.max_pool2d(3, 2)", "{x}.avg_pool2d(2, 1)",
    "{x}.layernorm()", "{x}.unsqueeze(0).unsqueeze(0).max_pool2d(2)",
)  # fmt: skip
INDEXED = (
    "{x}[{i} % {n}]", "{x}[:, {i} % {m}]", "{x}[{i}.abs() % {n}] * 2", "{x}.gather({d}, {i} % {s})",
    "{x}.index_select({d}, {i}.flatten() % {s})", "{x}[{i} % {n}, {i} % {m}]",
    "{x}.scatter_add(0, {i} % {n}, {y})", "{x}.scatter(0, {i} % {n}, {y})",
    "{x}.take_along_dim({i} % {s}, {d})", "({i} % 5).one_hot(5)", "{x}[{list}]", "{x}[:, {list}]",
    "Tensor.zeros(5, dtype={x}.dtype).scatter_add(0, {i}.flatten()[:9] % 5, {x}.flatten()[:9])",
)  # fmt: skip
WRITES = (
    "{x} += {y}", "{x} *= 0.5", "{x}[{slice}] = {y}", "{x}[{slice}] = 3", "{x}[{slice}] += 1",
    "{x}.add_({y})", "{x}[{list}] = 1.5", "{x}[{slice}] = {x}[{slice}] * 2 - {y}",
    "{x}[{x} > 0.5] = 0.25",
)  # fmt: skip
ASSIGNS = (
    "{s}.assign({s} * 0.75 + {x})", "{s}.assign({s} * 0.75 + {x}.mean() * 0.25)",
    "{s}.assign({x})", "{s} += {x}", "{s}[{slice}] = {x}", "{s}.assign({s}.flip(0) * 0.5 + {x})",
)  # fmt: skip


class Generator:
    """One program in the making."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.most = MOST if self.random.random() < 0.85 else 40 * MOST
        self.inputs: list[Input] = []
        self.lines: list[Line] = []
        self.values: dict[str, Tensor] = {}
        self.space: dict[str, Any] = {"Tensor": Tensor, "np": np}
        self.writable: list[str] = []
        self.count = 0

    def program(self) -> Program:
        """Inputs, then lines, a few writes among them, and perhaps gradients."""
        random = self.random
        shape = self.shape()
        for _ in range(random.randint(1, 4)):
            self.add_input(self.related(shape))
        has_state = random.random() < 0.25
        if has_state:
            self.add_input(self.related(shape), state=True)
        for _ in range(random.randint(3, 14)):
            self.step(has_state)
        results = self.results()
        if random.random() < 0.5:
            results += self.gradients(results)
        results = list(dict.fromkeys(results)) or [self.inputs[0].name]
        return Program(tuple(self.inputs), tuple(self.lines), tuple(results)).pruned()

    # ------------------------------------------------------------------ inputs

    def shape(self) -> tuple[int, ...]:
        if self.random.random() < 0.1:  # images
            sizes = [
                self.random.choice(s) for s in ((1, 2, 4), (1, 3, 8, 16), (4, 7, 9), (5, 8, 10))
            ]
        else:
            sizes = self.random.choices(SIZES, k=self.random.choice((0, 1, 1, 2, 2, 2, 3, 3, 4)))
        while math.prod(sizes) > self.most:
            sizes[self.random.randrange(len(sizes))] = 2
        if self.most > MOST and sizes and math.prod(sizes) < MOST:
            sizes[0] *= self.random.choice((32, 50, 100))
        return tuple(sizes)

    def related(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape, a part of it, one that broadcasts with it, or another."""
        random, sizes = self.random, list(shape)
        form = random.random()
        if form < 0.5 or not sizes:
            return shape
        if form < 0.6:
            return tuple(sizes[random.randrange(len(sizes)) :])
        if form < 0.75:
            sizes[random.randrange(len(sizes))] = 1
            return tuple(sizes)
        if form < 0.85 and len(sizes) == 4:
            return (random.choice((1, 4, 16)), sizes[1], 3, 3)
        if form < 0.95:
            sizes[random.randrange(len(sizes))] = random.choice(SIZES)
            return tuple(sizes)
        return self.shape()

    def add_input(self, shape: tuple[int, ...], state: bool = False) -> None:
        random = self.random
        dtype = random.choice(DTYPES)
        kind = random.choices(("normal", "eighths", "ties", "special"), (60, 30, 8, 2))[0]
        is_float = "float" in dtype
        gradient = is_float and not state and random.random() < 0.5
        name = f"{'s' if state else 'a'}{len(self.inputs)}"
        given = Input(name, shape, dtype, kind, state, gradient)
        self.inputs.append(given)
        self.values[name] = self.space[name] = tensor_of(given, given.array(0))

    # ------------------------------------------------------------------ lines

    def step(self, has_state: bool) -> None:
        """One more line, of the first form drawn that is legal."""
        random = self.random
        forms: list[tuple[float, Callable[[], bool]]] = [
            (10, lambda: self.line(random.choice(UNARY))),
            (2, lambda: self.line(random.choice(CASTS))),
            (16, lambda: self.line(random.choice(BINARY))),
            (6, lambda: self.line(self.slicing())),
            (4, lambda: self.line(random.choice(MOVES))),
            (2, lambda: self.line(self.reshaping())),
            (3, lambda: self.line(random.choice(WHOLE))),
            (8, lambda: self.line(random.choice(ALONG))),
            (6, lambda: self.line(random.choice(JOINS))),
            (4, lambda: self.line(random.choice(PRODUCTS))),
            (2, lambda: self.line(random.choice(WINDOWS))),
            (5, lambda: self.line(random.choice(INDEXED))),
            (3, self.write),
            (3 * has_state, self.assign),
        ]
        for _ in range(30):
            form = random.choices([f for _, f in forms], [w for w, _ in forms])[0]
            if form():
                return

    def pick(self) -> str:
        """A tensor's name: rather one of the last."""
        names = list(self.values)
        return names[-1 - min(int(self.random.expovariate(0.35)), len(names) - 1)]

    def slicing(self) -> str:
        return "{x}[" + self.slices(len(self.values[self.last()].shape)) + "]"

    def last(self) -> str:
        return next(reversed(self.values))

    def slices(self, rank: int) -> str:
        random = self.random
        choices = (":", "::2", "1:", ":-1", "::-1", "::-3", "1::2", "-2:", ":2", "0", "-1", "2:5")
        return ", ".join(random.choice(choices) for _ in range(random.randint(1, max(1, rank))))

    def reshaping(self) -> str:
        x = self.pick()
        size, sizes = self.values[x].numel(), []
        while size > 1 and len(sizes) < 4:
            divisors = [d for d in range(2, min(size, 64) + 1) if size % d == 0] or [size]
            sizes.append(self.random.choice(divisors))
            size //= sizes[-1]
        sizes.append(size)
        self.random.shuffle(sizes)
        return f"{x}.reshape({', '.join(map(str, sizes))})"

    def filled(self, form: str) -> str:
        """The form with names and numbers in its places."""
        random = self.random
        x = self.pick()
        shape = self.values[x].shape
        near = [n for n, v in self.values.items() if v.shape == shape and n != x]
        y = random.choice(near) if near and random.random() < 0.7 else self.pick()
        whole = [n for n, v in self.values.items() if v.dtype.is_int and v.dtype.itemsize > 1]
        d = random.randrange(-len(shape), len(shape)) if shape else 0
        places = {
            "x": x,
            "y": y,
            "d": d,
            "k": random.randint(0, 3),
            "i": random.choice(whole) if whole else "np.arange(3)",
            "n": shape[0] if shape else 1,
            "m": shape[1] if len(shape) > 1 else 1,
            "s": shape[d] if shape else 1,
            "rest": ", ".join(["-1"] * len(shape)),
            "ones": ", ".join(random.choice(("1", "1", "2")) for _ in shape) or "2",
            "list": [
                random.randrange(shape[0] if shape else 1) for _ in range(random.randint(1, 4))
            ],
            "slice": self.slices(len(shape)),
        }
        return form.format(**places)

    def line(self, form: str) -> bool:
        """Append `tN = form`, if it is legal."""
        name = f"t{self.count}"
        text = f"{name} = {self.filled(form)}"
        if not self.execute(text):
            return False
        value = self.space[name]
        if not isinstance(value, Tensor) or not 0 < value.numel() <= self.most or value.ndim > 5:
            return False
        self.count += 1
        self.values[name] = value
        self.lines.append(Line(text, (name,)))
        return True

    def write(self) -> bool:
        """Write into a copy of a tensor, which may be read before and after."""
        if not self.writable or self.random.random() < 0.5:
            x = self.pick()
            if self.values[x].requires_grad or not self.line(f"{x}.clone()"):
                return False
            self.writable.append(self.last())
        target = self.random.choice(self.writable)
        return self.change(self.random.choice(WRITES), target)

    def assign(self) -> bool:
        states = [x.name for x in self.inputs if x.state]
        return self.change(self.random.choice(ASSIGNS).replace("{s}", "{x}", 0), states[0])

    def change(self, form: str, target: str) -> bool:
        """Append a line that writes into `target`; its shape and dtype stay."""
        old = self.values[target]
        shape, dtype = old.shape, old.dtype
        form = form.replace("{s}", target) if "{s}" in form else form.replace("{x}", target)
        form = form.replace("{slice}", self.slices(len(shape)))
        form = form.replace("{list}", str([self.random.randrange(shape[0] if shape else 1)]))
        text = self.filled(form)
        if not self.execute(text):
            return False
        new = self.space[target]
        if new.shape != shape or new.dtype != dtype:
            self.space[target] = old
            return False
        self.values[target] = new
        self.lines.append(Line(text))
        return True

    def execute(self, text: str) -> bool:
        try:
            exec(text, self.space)
        except REFUSED:
            return False
        return True

    # ------------------------------------------------------------------ results

    def results(self) -> list[str]:
        """The last value, and some of those before it."""
        names = [line.targets[0] for line in self.lines if line.targets]
        if not names:
            return []
        chosen = [n for n in names[:-1] if self.random.random() < 0.25]
        return [*chosen, names[-1]]

    def gradients(self, results: list[str]) -> list[str]:
        """Lines for the gradients of a weighted sum of the results, and their names."""
        variables = [x.name for x in self.inputs if x.gradient]
        floats = [
            r for r in results if self.values[r].dtype.is_float and self.values[r].requires_grad
        ]
        if not variables or not floats:
            return []
        terms = " + ".join(f"({r}.float() * {1 + n / 4}).sum()" for n, r in enumerate(floats))
        found = []
        for name in variables:
            gradient = f"g{len(found)}"
            text = f"{gradient}, = ({terms}).gradient({name})"
            if self.execute(text):
                self.lines.append(Line(text, (gradient,)))
                found.append(gradient)
        return found


def tensor_of(given: Input, array: Any, device: str | None = None) -> Tensor:
    """A program's input as a tensor."""
    return Tensor(array, device=device, requires_grad=given.gradient)


def generate(seed: int) -> Program:
    """The program of a seed: the first of those drawn that is legal as a whole."""
    number = seed
    while not _is_legal(program := Generator(number).program()):
        number += 1 << 32
    return program


def _is_legal(program: Program) -> bool:
    """Whether a program runs on lazy tensors: without a line it may be another one."""
    try:
        program.function()(*[tensor_of(x, x.array(0)) for x in program.inputs])
    except REFUSED:
        return False
    return True
