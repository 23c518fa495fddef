"""OPT=0: the core alone compiles every program, rightly; docs/00-core.md lists its files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from inspect import getsourcelines
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import lazygrad
import lazygrad.compile
import lazygrad.launches
import lazygrad.plans
from lazygrad import Tensor, config, looking, nn, stages
from lazygrad.pipeline import LEVELS, PASSES, Pass, passes, present_in
from lazygrad.runtime.device import Device
from lazygrad.schedule.ir import Schedule
from lazygrad.targets import Target

PACKAGE = Path(lazygrad.__file__).parent
PAGE = PACKAGE.parent / "docs" / "00-core.md"
RNG = np.random.default_rng(0)


def floats(*shape: int) -> Tensor:
    return Tensor(RNG.standard_normal(shape).astype(np.float32))


def gradients(x: Tensor, w: Tensor) -> Tensor:
    w = w.detach().requires_grad_()
    (x @ w).relu().square().mean().backward()
    assert w.grad is not None
    return w.grad


def drawn() -> Tensor:
    Tensor.manual_seed(3)
    return Tensor.randn(7, 10)


def slopes_of_powers(x: Tensor, w: Tensor) -> Tensor:
    base = EDGES.detach().requires_grad_()
    (base**-0.5 + base ** Tensor(0.5) + base**1.5).sum().backward()
    assert base.grad is not None
    return base.grad


EDGES = Tensor([0.0, -0.0, float("inf"), float("-inf"), float("nan"), 2.0, -2.0, 1e-30])
INDEX = Tensor(np.array([2, 0, 1, 2]))
PROGRAMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "a product": lambda x, w: (x @ w).relu(),
    "softmax": lambda x, w: x.softmax(1),
    "convolution": lambda x, w: x.reshape(1, 2, 7, 5).conv2d(w[:3].reshape(2, 2, 3, 3)),
    "pooling": lambda x, w: x.reshape(1, 2, 7, 5).max_pool2d(2, padding=1),
    "layer norm": lambda x, w: nn.LayerNorm(10)(x),
    "joined": lambda x, w: x.cat(w.T, x * 2).pad(((1, 0), (2, 1))),
    "gathered": lambda x, w: x[INDEX] + x.gather(1, INDEX.reshape(4, 1)),
    "scattered": lambda x, w: x.scatter_add(0, INDEX.reshape(4, 1), x),
    "sorted": lambda x, w: x.sort(1)[0] + x.argsort(0),
    "running": lambda x, w: x.cumsum(1),
    "functions": lambda x, w: x.exp() + x.sin() + x.erf() + x.abs().log() + x.tanh() ** 2,
    "16 bits": lambda x, w: (x.cast("bfloat16") * 2 + x.half()).float(),
    "powers": lambda x, w: (EDGES**0.5).cat(EDGES**-0.5, EDGES**-1, EDGES**3, EDGES**1.5),
    "slopes of powers": slopes_of_powers,
    "integers": lambda x, w: (x * 100).cast("int32") // 7 % 5 << 2,
    "random": lambda x, w: x * drawn(),
    "nothing": lambda x, w: x[:0].sum(0) + x.flip(1).T.contiguous().T,
    "gradients": gradients,
}


@pytest.fixture(autouse=True)
def nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module in (lazygrad.realize, lazygrad.plans):
        monkeypatch.setattr(module, "_plans", {})
    for name in ("_functions", "_launches"):
        monkeypatch.setattr(lazygrad.launches, name, {})
    # seeds are for the devices that were drawn on, and other tests may have drawn on others
    monkeypatch.setattr(lazygrad.tensor.random._default, "states", {})
    with config.override(LAZYGRAD_CACHE=tmp_path):
        yield


def files_of_core() -> dict[str, int]:
    """Each file of the table in docs/00-core.md, with the lines that it says."""
    rows = re.findall(r"^\| \[(\S+)\]\(\S+\) \| (\d+) \|", PAGE.read_text(), flags=re.MULTILINE)
    return {name: int(lines) for name, lines in rows}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_core_gives_the_same_values(name: str) -> None:
    x, w = floats(7, 10), floats(10, 12)
    wanted = PROGRAMS[name](x, w).numpy()
    with config.override(OPT=0):
        found = PROGRAMS[name](x, w).numpy()
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def files_entered(programs: Iterable[Callable[[Tensor, Tensor], Tensor]]) -> set[str]:
    """The files of this package whose functions run while programs are computed with OPT=0."""
    entered: set[str] = set()

    def call(frame: FrameType, event: str, arg: object) -> None:
        if frame.f_code.co_name != "<module>":
            entered.add(frame.f_code.co_filename)

    inputs = floats(7, 10), floats(10, 12)
    with config.override(OPT=0):
        sys.settrace(call)
        try:
            for program in programs:
                program(*inputs).realize()
        finally:
            sys.settrace(None)
    return {str(Path(f).relative_to(PACKAGE)) for f in entered if f.startswith(f"{PACKAGE}/")}


@pytest.mark.skipif(Device.DEFAULT != "CPU", reason="the page tells of the CPU")
def test_the_core_enters_no_other_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the compiler: whatever is beside or below compile.py, without tensors and their kind."""
    monkeypatch.setattr(looking, "checks", False)
    own = files_entered(PROGRAMS.values())
    compiler = {f for f in own if not f.startswith(("tensor/", "nn/", "jit/"))}
    assert compiler - files_of_core().keys() == set()


def test_a_product_by_the_core_meets_nothing_of_gradients_or_of_those_who_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "checks", False)
    with config.override(ORIGINS=0, DEBUG=0):
        entered = files_entered([PROGRAMS["a product"]])
    for name in ("graph/show.py", "graph/gradient.py", "graph/vjp_rules.py", "loops/lower/sort.py"):
        assert name in files_of_core()
        assert name not in entered
    assert "schedule/separate.py" in entered


@pytest.mark.skipif(Device.DEFAULT != "CPU", reason="the page tells of the CPU")
def test_the_page_tells_how_much_a_product_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a tenth; tensors and their kind count, too."""
    monkeypatch.setattr(looking, "checks", False)
    entered: dict[str, set[int]] = {}

    def call(frame: FrameType, event: str, arg: object) -> None:
        code, path = frame.f_code, frame.f_code.co_filename
        if path.startswith(f"{PACKAGE}/") and not code.co_name.startswith("<"):
            source, first = getsourcelines(code)
            filled = [n for n, line in enumerate(source, first) if line.strip()]
            entered.setdefault(path, set()).update(filled)

    x, w = floats(17, 19), floats(19, 23)  # of which no index is known
    with config.override(OPT=0, ORIGINS=0, DEBUG=0):
        (floats(2) + 1).numpy()  # settings are read, tables are made
        sys.settrace(call)
        try:
            (x @ w).relu().numpy()
        finally:
            sys.settrace(None)
    told = re.search(r"enters ([\d,]+) lines of code in (\d+) files", PAGE.read_text())
    assert told is not None
    lines, files = (int(number.replace(",", "")) for number in told.groups())
    found = sum(map(len, entered.values()))
    assert abs(found - lines) <= lines // 10, f"it enters {found} lines"
    assert abs(len(entered) - files) <= files // 10, f"it enters {len(entered)} files"


@pytest.mark.parametrize("name", files_of_core())
def test_the_page_counts_lines_rightly(name: str) -> None:
    """Within a tenth, so that not every change has to touch the page."""
    source = (PACKAGE / name).read_text()
    lines = sum(bool(line.strip()) for line in source.splitlines())
    assert abs(files_of_core()[name] - lines) <= max(5, lines // 10), f"{name} has {lines} lines"


# --------------------------------------------------------------------------- the table of passes


def test_names_of_passes_are_unique_and_levels_are_in_order() -> None:
    names = [each.name for each in PASSES]
    assert len(set(names)) == len(names)
    levels = [LEVELS.index(each.level) for each in PASSES]
    assert levels == sorted(levels)


@pytest.mark.parametrize("each", PASSES, ids=lambda each: each.name)
def test_a_pass_says_why_it_stands_where_it_stands(each: object) -> None:
    names = [other.name for other in PASSES]
    place = PASSES.index(each)  # type: ignore[arg-type]
    assert PASSES[place].why
    for other in PASSES[place].after:
        assert names.index(other) < place, f"{names[place]} must come after {other}"


@pytest.mark.parametrize("target", Target)
def test_the_core_is_part_of_every_pipeline(target: Target) -> None:
    for level in LEVELS:
        core, whole = (passes(level, target, opt) for opt in (0, 1))
        assert [each for each in whole if each.core] == list(core)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_pass_without_the_nodes_that_it_needs_changes_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def through(self: stages.Stages, passes: Iterable[Pass], value: Any, at: Any = None) -> Any:
        for each in passes:
            made = each.function(value, at)
            if each.needs and not each.has_work(present_in(value)):
                before, after = (x.kernels if isinstance(x, Schedule) else x for x in (value, made))
                assert after == before, each.name
            value = made
        return value

    monkeypatch.setattr(stages.Stages, "through", through)
    PROGRAMS[name](floats(7, 10), floats(10, 12)).realize()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_loop_pass_without_what_it_needs_changes_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, has_work = stages.Stages.run, Pass.has_work
    asked = {each.name: each for each in PASSES if each.level == "loops" and each.needs}
    idle: set[str] = set()

    def checked(self: stages.Stages, stage: str, work: Any, value: Any, *rest: Any) -> Any:
        made = run(self, stage, work, value, *rest)
        if stage in asked and not has_work(asked[stage], present_in(value)):
            assert made == value, stage
            idle.add(stage)
        return made

    monkeypatch.setattr(stages.Stages, "run", checked)
    monkeypatch.setattr(Pass, "has_work", lambda *_: True)
    monkeypatch.setattr(lazygrad.launches, "source_digest", lambda: f"idle passes of {name}")
    monkeypatch.setattr(lazygrad.plans, "_plans", {})
    monkeypatch.setattr(lazygrad.launches, "_launches", {})
    PROGRAMS[name](floats(7, 10), floats(10, 12)).realize()
    assert idle
