"""Machine code of kernels: from the cache on disk, or compiled from LLVM IR.

Each function is an object file of its own, found by a key, so that it is compiled once for all
programs. Its IR text is made only if no cache has the key. Threads compile side by side.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakValueDictionary

from ... import config
from ...cache import DiskCache
from ...errors import CompilerError
from ...progress import tell
from .machine_code import Loaded, load, to_object
from .target import Target

PASSES = "sroa,instcombine O1"  # changes whenever the same text is compiled in another way


@dataclass(frozen=True)
class Source:
    """A function's LLVM IR, and what running it takes: bytes of scratch memory for each thread,
    and whether threads can share it."""

    text: str
    scratch: int = 0
    parallel: bool = False


@dataclass(frozen=True, eq=False)
class Kernel:
    """One compiled function: its address, and what running it takes. `engine` is the LLVM object
    that keeps its code in memory."""

    address: int
    scratch: int
    parallel: bool
    engine: Any


_kernels: WeakValueDictionary[str, Kernel] = WeakValueDictionary()  # by key
_HEAD = struct.Struct("<Q?")  # of an entry in the cache: scratch, parallel


_entries: dict[str, Kernel | bytes] = {}  # found by `has` since the last Build


@cache
def _cache() -> DiskCache:
    return DiskCache("llvm")


def has(key: str, target: Target) -> bool:
    """Whether there is code under a key. The code then stays until a Build has finished."""
    if key not in _entries:
        found = _kernels.get(key) or _cache().get(_fingerprint(target) + key)
        if found is None:
            return False
        _entries[key] = found
    return True


@cache
def _fingerprint(target: Target) -> str:
    """What machine code depends on besides its text: the compiler and the processor."""
    import llvmlite
    import llvmlite.binding as llvm

    version = ".".join(map(str, llvm.llvm_version_info))
    return f"llvmlite {llvmlite.__version__} LLVM {version} {PASSES}\n{target}\n"


def load_text(text: str, names: Sequence[str], target: Target) -> Loaded:
    """Machine code for IR text, without optimization, and where the named functions are."""
    key = f"{_fingerprint(target)}not optimized\n{text}"
    data = _cache().get(key)
    if data is None:
        data = to_object(text, *target.llvm, opt=0)
        _cache().put(key, data)
    return load([data], names, *target.llvm)


def _to_object(text: str, target: Target) -> bytes:
    return to_object(text, *target.llvm)


@dataclass(eq=False)
class _Task:
    """A function to compile or to load; `unique` is a name that no other function has, and
    `renamed` is its text with that name."""

    name: str
    key: str
    unique: str
    source: Source = Source("")
    renamed: str = ""
    data: bytes = b""
    error: Exception | None = None


class Build:
    """Compiles functions: `add` each, then `finish`.

    Equal keys must mean equal functions, in all processes that use the cache.

    With several threads, compiling begins before all functions are added.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._found: dict[str, Kernel] = {}
        self._tasks: dict[str, _Task] = {}
        self._new: list[_Task] = []  # which no cache had
        self._open: list[_Task] = []  # of these, what nobody has begun to compile
        self._helpers: list[threading.Thread] = []

    def add(self, name: str, key: str, make: Callable[[], Source]) -> None:
        """Add a function by name and key. `make` gives its source; it is called if no cache has
        the key."""
        if key in self._found or key in self._tasks:
            return
        known = _entries.get(key)
        kernel = known if isinstance(known, Kernel) else _kernels.get(key)
        if kernel is not None:
            self._found[key] = kernel
            return
        # The loader tells functions apart by name alone, and one key may come with several names.
        unique = f"kernel.{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        task = self._tasks[key] = _Task(name, key, unique)
        entry = known or _cache().get(_fingerprint(self._target) + key)
        if isinstance(entry, bytes):
            scratch, parallel = _HEAD.unpack_from(entry)
            task.source, task.data = Source("", scratch, parallel), entry[_HEAD.size :]
            return
        task.source = make()
        text = task.source.text
        task.renamed = text.replace(f"define void @{name}(", f"define void @{unique}(", 1)
        self._new.append(task)
        self._open.append(task)
        if len(self._helpers) < min(len(self._new), config.THREADS) - 1:
            helper = threading.Thread(target=self._compile, name="lazygrad-build", daemon=True)
            self._helpers.append(helper)
            helper.start()

    def finish(self) -> dict[str, Kernel]:
        """The kernels by key. Raises CompilerError, naming the function, where LLVM does not
        take its text."""
        try:
            self._compile()
        finally:
            self._open.clear()
            for helper in self._helpers:
                helper.join()
        for task in self._new:
            if isinstance(task.error, RuntimeError):
                raise _fault(task, str(task.error))
            if task.error is not None:
                raise task.error
        key = _fingerprint(self._target)
        for task in self._new:
            head = _HEAD.pack(task.source.scratch, task.source.parallel)
            _cache().put(key + task.key, head + task.data)
        self._load()
        _entries.clear()
        return self._found

    def _compile(self) -> None:
        """Compile what nobody has begun to compile."""
        while task := _next(self._open):
            tell(f"machine code of kernel {len(self._new) - len(self._open)} of {len(self._new)}")
            try:
                task.data = _to_object(task.renamed, self._target)
            except Exception as error:  # also out of a helper, for `finish` to raise
                task.error = error

    def _load(self) -> None:
        tasks = list(self._tasks.values())
        if tasks:
            names = [task.unique for task in tasks]
            addresses, engine = load([task.data for task in tasks], names, *self._target.llvm)
            for task in tasks:
                source = task.source
                kernel = Kernel(addresses[task.unique], source.scratch, source.parallel, engine)
                self._found[task.key] = _kernels[task.key] = kernel


def _next(tasks: list[_Task]) -> _Task | None:
    """Take a task from the list, from which helpers take, too; None if it is empty."""
    try:
        return tasks.pop(0)
    except IndexError:
        return None


def _fault(task: _Task, complaint: str) -> CompilerError:
    """LLVM's complaint, with the text where it can be read."""
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"lazygrad-{task.name}-", suffix=".ll", delete=False
    ) as file:
        file.write(task.source.text)
    cause = " ".join(complaint.split())
    return CompilerError(f"llvm: {task.name}: {cause}; its LLVM IR is in {file.name}")
