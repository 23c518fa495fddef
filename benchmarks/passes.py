"""What each pass of the compiler buys: a row's time without the pass over its time with it.

    python -m benchmarks.passes                       all passes and rows: an hour or two
    python -m benchmarks.passes conv --without layout winograd
    python -m benchmarks.passes --threads 2 --avx2    else one thread, vectors as wide as can be
    python -m benchmarks.passes --results build/passes.jsonl   go on where an earlier run ended

A pass is left out of the table in pipeline.py; a part of a pass is replaced by what does nothing
(PARTS). Where a row's plans and machine code are then the same, there is nothing to time. Else two
processes, with and without, take turns, and each tells its least time: on one thread in seconds of
the processor, which other work on the machine disturbs less. A ratio is the median over several
pairs of processes, as the pages of memory that a process gets have a share in its time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from . import models
from .rows import ROWS, gradients_of, normal, row_of, training_of

TURNS = 5  # of each process of a pair
TURN_SECONDS = 0.15
NOTHING = "(nothing)"  # left out: a control, whose ratio is noise
CLEAR = 0.01  # a ratio nearer to 1 is none

_TEXT = np.random.default_rng(1).integers(0, 65, (4, 256)).astype(np.int32)


def _product_and_transpose(_: Any, a: Any, b: Any) -> Any:
    y = a @ b
    return y + y.T


def _stem(library: Any, x: Any, weight: Any, bias: Any) -> Any:
    return library.max_pool2d(library.relu(library.batch_norm(x, weight, bias)))


MORE = [  # what the other rows lack, and smaller networks, which are compiled sooner
    row_of("(a @ b) + (a @ b).T, 512", _product_and_transpose, [(512, 512)] * 2),
    row_of("x + 1 and sum(x), 4 M", lambda lib, x: (x + 1, lib.sum(x)), [(1 << 22,)]),
    row_of(
        "linear, batch 4: 4x1024 of 4096x1024", lambda _, x, w: x @ w.T, [(4, 1024), (4096, 1024)]
    ),
    *(
        gradients_of(
            f"batch norm, relu, max pool {n}x{c}x{size}x{size}, both ways",
            _stem,
            [(n, c, size, size), (c,), (c,)],
        )
        for n, c, size in ((1, 16, 56), (8, 64, 112))
    ),
    gradients_of(
        "max pool 9 of channels last 8x56x56x64, both ways",
        lambda _, x: x.permute(0, 3, 1, 2).max_pool2d(9, 3),
        [(8, 56, 56, 64)],
    ),
    training_of(
        "transformer block step, 4x256", partial(models.transformer, layers=1), _TEXT, 65, "Adam"
    ),
    training_of("GRU 2x256 step, 16x16", models.recurrent, normal(16, 16, 256), 10, "Adam"),
]
ALL = {row.name: row for row in (*ROWS.values(), *MORE)}
LARGE = (
    "matmul 2048", "conv 32", "ResNet-18 step", "ResNet-18 forward, batch 8", "transformer 6",
    "GRU 2x256 step, 128", "mlp step, batch 1024", "mean", "argmax all",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Something inside of a pass: each of `where`, "module.name" below lazygrad, is replaced by
    what `change` makes of it."""

    name: str
    where: tuple[str, ...]
    change: Callable[[Any], Any]


def _always(result: Any) -> Callable[[Any], Any]:
    """A function that gives this result in place of another."""
    return lambda _: lambda *_: result


def _without_padding(lower: Any) -> Any:
    return lambda *given: lower(*given[:3], False, *given[4:])


def _infinite(_: Any) -> float:
    return float("inf")


_PLAN, _BLOCKS = "loops.cpu.plan.", "loops.cpu.contract."
PARTS = {
    part.name: part
    for part in (
        Part("packed rows", (_PLAN + "_Along._gathering",), _always((0.0, 0.0))),
        Part("packed columns", (_PLAN + "_Along._copying",), lambda _: (False, 0.0)),
        Part("lanes along a sum", (_PLAN + "_lane_plans",), _always(())),
        Part("blocks of a sum", (_PLAN + "block_of_sum",), _always(None)),
        Part("cost of L2", (_PLAN + "l2_traffic",), _always(0.0)),
        Part("cost of scattered stores", (_PLAN + "_Along._scattering",), lambda _: 0.0),
        Part("loads shared by windows", (_PLAN + "_Along._later",), _always(0)),
        Part("registers for windows", (_PLAN + "_Along._elements",), _always(1)),
        Part("conflicts in L1, of plans", (_PLAN + "in_conflict",), _always(False)),
        Part("conflicts in L1, of rows", ("loops.rows.in_conflict",), _always(False)),
        Part("blocks of rows", (_BLOCKS + "A_SHARE",), _infinite),
        Part("blocks of rows finished", (_BLOCKS + "ROWS_SHARE",), _infinite),
        Part("blocks of columns", (_BLOCKS + "B_SHARE",), _infinite),
        Part("packing in the order of memory",
             ("loops.pack.in_order_of_memory",), lambda _: lambda loops, _: loops),
        Part("packing by vectors", ("loops.pack._line",), _always(None)),
        Part("packing by transposed blocks", ("loops.pack.transposable",), _always(None)),
        Part("rows by transposed blocks", ("loops.rows.transposable",), _always(None)),
        Part("rows together", ("loops.rows._may_join_rows",), _always(False)),
        Part("sums of columns in panels", ("loops.rows._walks_pages",), _always(False)),
        Part("phases written out", ("loops.rows._may_exchange",), _always(False)),
        Part("small loops written out", ("loops.rows._bind_small",), _always(None)),
        Part("sums written out", ("loops.primitives.Schedule.unroll_sums",), _always(None)),
        Part("partitioned loops", ("loops.plans.partition_loops",), _always(None)),
        Part("inner loops in the order of memory",
             ("loops.split._by_memory",), lambda _: lambda body: body),
        Part("terms that say when needed", ("pipeline.lower",), _without_padding),
        Part("outputs in the rows of a sum", ("schedule.split._with_rows",), lambda _: list),
    )
}  # fmt: skip


def optional_passes() -> list[str]:
    """The passes of a CPU that code can do without."""
    from lazygrad.pipeline import PASSES
    from lazygrad.targets import Target

    return [p.name for p in PASSES if Target.CPU in p.on and not p.core and not p.must]


def leave_out(name: str) -> None:
    """Change the compiler of this process: without a pass, or without a part of one."""
    if name in PARTS:
        for where in PARTS[name].where:
            change_at(where, PARTS[name].change)
    else:
        change_at("pipeline.PASSES", lambda passes: tuple(p for p in passes if p.name != name))


def change_at(where: str, change: Callable[[Any], Any]) -> None:
    """Replace what is named by what `change` makes of it."""
    owner, name = found_at(where)
    old = owner.__dict__[name]
    new = change(old)
    if isinstance(old, cached_property):
        setattr(owner, name, property(lambda _: new))
    else:
        setattr(owner, name, new)


def found_at(where: str) -> tuple[Any, str]:
    """The module or class that has a name, and the name in it."""
    *path, name = where.split(".")
    owner, inside = None, list[str]()
    while owner is None:
        try:
            owner = import_module(".".join(("lazygrad", *path)))
        except ModuleNotFoundError:
            inside.insert(0, path.pop())
    for each in inside:
        owner = getattr(owner, each)
    return owner, name


# --------------------------------------------------------------------------- processes


@dataclass(frozen=True)
class Options:
    """What holds for all processes of a run."""

    threads: int
    avx2: bool
    cache: Path


class Worker:
    """A process that has built a row with all passes but one, and runs it when it is asked."""

    def __init__(self, row: str, without: str, options: Options) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        arguments = row, without, options, other
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        other.close()
        self.code, self.error, self.changed = "", "the process died", list[str]()
        with suppress(EOFError):
            self.code, self.error, self.changed = self.pipe.recv()

    def seconds(self, budget: float) -> float:
        """The least time of a run, of those in so many seconds."""
        self.pipe.send(budget)
        least: float = self.pipe.recv()
        return least

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.join()


def _serve(row: str, without: str, options: Options, pipe: Connection) -> None:
    """Build a row, tell a digest of its code and which passes changed something, then run it."""
    from lazygrad import config

    with config.override(
        THREADS=options.threads,
        LAZYGRAD_CACHE=options.cache / hashlib.sha256(f"{row} {without}".encode()).hexdigest()[:16],
    ):
        try:
            noted = _Noted()
            leave_out(without)
            if options.avx2:
                change_at("backends.llvm.target.host", lambda _: _avx2)
            from .libraries import library

            work = ALL[row].build(library("lazygrad"))
            for _ in range(3):
                work()
        except Exception as error:
            pipe.send(("", f"{type(error).__name__}: {error}".splitlines()[0], []))
            return
        pipe.send((noted.digest(), "", sorted(noted.changed)))
        clock = time.process_time if options.threads == 1 else time.perf_counter
        with suppress(EOFError):  # the end of the run
            while True:
                pipe.send(_least(work, pipe.recv(), clock))


def _avx2() -> Any:
    from lazygrad.backends.llvm.target import AVX2

    return AVX2


def _least(work: Callable[[], object], budget: float, clock: Callable[[], float]) -> float:
    end, times = clock() + budget, list[float]()
    while not times or clock() < end:
        begin = clock()
        work()
        times.append(clock() - begin)
    return min(times)


class _Noted:
    """What this process compiles: plans and machine code, and the passes that changed a value."""

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self.made: set[str] = set()
        change_at("stages.Stages.run", self._noting_changes)
        change_at("backends.llvm.build.load", self._noting_code)
        change_at("runtime.saved.save", self._noting_plans)

    def _noting_changes(self, run: Any) -> Any:
        def noted(stages: Any, name: str, work: Any, value: Any, *rest: Any) -> Any:
            result = run(stages, name, work, value, *rest)
            if result is not value and result != value:
                self.changed.add(name)
            return result

        return noted

    def _noting_code(self, load: Any) -> Any:
        def noted(objects: Sequence[bytes], *rest: Any) -> Any:
            self.made.update(hashlib.sha256(data).hexdigest() for data in objects)
            return load(objects, *rest)

        return noted

    def _noting_plans(self, save: Any) -> Any:
        from lazygrad.runtime.saved import _record

        def noted(key: Any, plan: Any) -> None:
            self.made.add(json.dumps({**_record(plan), "checks": ()}, default=str))
            save(key, plan)

        return noted

    def digest(self) -> str:
        return hashlib.sha256("".join(sorted(self.made)).encode()).hexdigest()


# --------------------------------------------------------------------------- measuring


def ratio(row: str, without: str, options: Options, pairs: int) -> float:
    """The time without over the time with, a median over pairs of processes."""
    found = []
    for _ in range(pairs):
        with Worker(row, NOTHING, options) as one, Worker(row, without, options) as other:
            times = [[w.seconds(TURN_SECONDS) for w in (one, other)] for _ in range(TURNS)]
            found.append(min(t for _, t in times) / min(t for t, _ in times))
    return statistics.median(found)


@dataclass(frozen=True)
class Found:
    """A ratio; None where the row is the same without."""

    row: str
    without: str
    ratio: float | None
    error: str = ""


def measured(row: str, names: Sequence[str], options: Options, pairs: int) -> Iterator[Found]:
    """Each name with its ratio on a row."""
    if not names:
        return
    with Worker(row, NOTHING, options) as base:
        pass
    if base.error:
        raise RuntimeError(f"{row}: {base.error}")
    passes = optional_passes()
    for name in names:
        if name in passes and name not in base.changed:
            yield Found(row, name, None)
            continue
        with Worker(row, name, options) as other:
            pass
        if name != NOTHING and (other.error or other.code == base.code):
            yield Found(row, name, None, other.error)
        else:
            yield Found(row, name, ratio(row, name, options, pairs))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.passes")
    parser.add_argument("words", nargs="*", help="parts of the names of the rows")
    parser.add_argument("--without", nargs="+", help="passes, or parts of passes; default: all")
    parser.add_argument("--pairs", type=int, default=3, help="of processes, for each ratio")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--avx2", action="store_true", help="as if there were no AVX-512")
    parser.add_argument("--results", type=Path, help="a file of what was measured, to go on with")
    given = parser.parse_args()
    names = given.without or [*optional_passes(), *PARTS]
    if unknown := set(names).difference(optional_passes(), PARTS, [NOTHING]):
        parser.error(f"no pass or part is named {', '.join(unknown)}")
    rows = [
        name
        for name in ALL
        if (any(w in name for w in given.words) if given.words else not name.startswith(LARGE))
    ]
    known: list[Found] = []
    if given.results and given.results.exists():
        known = [Found(**json.loads(line)) for line in given.results.read_text().splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        options = Options(given.threads, given.avx2, Path(folder))
        for row in rows:
            done = {each.without for each in known if each.row == row}
            for found in measured(row, [n for n in names if n not in done], options, given.pairs):
                known.append(found)
                if found.ratio is not None or found.error:
                    print(
                        f"{row}: {found.ratio or 0:.3f} without {found.without} {found.error}",
                        flush=True,
                    )
                if given.results:
                    with given.results.open("a") as file:
                        file.write(json.dumps(asdict(found)) + "\n")
    print(table(known, names))


def table(known: Sequence[Found], names: Sequence[str]) -> str:
    """For each name: how many rows change, and the rows that lose and gain most without it."""
    text = "| without | rows that change | slower | faster |\n|---|---:|---|---|\n"
    for name in names:
        ratios = {f.row: f.ratio for f in known if f.without == name and f.ratio is not None}
        order = sorted(ratios, key=ratios.__getitem__)
        slower = [f"{row}: {ratios[row]:.2f}" for row in order[::-1] if ratios[row] > 1 + CLEAR]
        faster = [f"{row}: {ratios[row]:.2f}" for row in order if ratios[row] < 1 - CLEAR]
        text += f"| {name} | {len(ratios)} | {'; '.join(slower[:3])} | {'; '.join(faster[:3])} |\n"
    return text


if __name__ == "__main__":
    main()
