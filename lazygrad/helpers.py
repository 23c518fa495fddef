"""What scripts written for tinygrad import from its `helpers`, with the same meaning.

    from lazygrad.helpers import Context, GlobalCounters, Timing, getenv, tqdm, trange

Variables of lazygrad's own (DEBUG, THREADS, ...) are those of `config`; any other is the script's.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import math
import operator
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import ContextDecorator, ExitStack
from pathlib import Path
from typing import Any, TypeVar

from . import config
from .errors import told
from .runtime import counters
from .runtime.buffer import DeviceBuffer

T = TypeVar("T")
U = TypeVar("U")

# --------------------------------------------------------------------------- variables


@functools.cache
def getenv(key: str, default: Any = 0) -> Any:
    """An environment variable, of the default's type.

    getenv("A_VARIABLE_THAT_IS_NOT_SET", 3) == 3
    """
    return type(default)(os.getenv(key, default))


class ContextVar:
    """A whole number that an environment variable sets, and `Context` for a while.

    ContextVar("A_NUMBER", 3).value == 3
    """

    _known: dict[str, ContextVar] = {}  # noqa: RUF012  the one table of them

    def __init__(self, key: str, default: int) -> None:
        self.key = key
        self._value = getenv(key, default)
        self._known[key] = self

    @property
    def value(self) -> int:
        """The number now."""
        return int(getattr(config, self.key)) if self.key in _CONFIGURED else self._value

    def __bool__(self) -> bool:
        return bool(self.value)

    def __int__(self) -> int:
        return self.value

    def __eq__(self, other: object) -> bool:
        return self.value == other

    def __ge__(self, other: int) -> bool:
        return self.value >= other

    def __gt__(self, other: int) -> bool:
        return self.value > other

    def __le__(self, other: int) -> bool:
        return self.value <= other

    def __lt__(self, other: int) -> bool:
        return self.value < other

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"ContextVar({self.key}={self.value})"


_CONFIGURED = ("DEBUG", "THREADS", "TUNE", "WINOGRAD", "SIZES", "OPT", "CHECK")
DEBUG = ContextVar("DEBUG", 0)
JIT, BEAM, WINO = ContextVar("JIT", 1), ContextVar("BEAM", 0), ContextVar("WINO", 0)
"""Variables of tinygrad's, for scripts that read them; the compiler has TUNE and WINOGRAD."""


class Context(ContextDecorator):
    """`with Context(DEBUG=2):` sets variables inside the block. Raises KeyError for one that is
    neither lazygrad's nor a `ContextVar`.

        with Context(DEBUG=1):
            value = DEBUG.value
        value == 1
    """

    def __init__(self, **values: Any) -> None:
        self._values = values
        self._stacks: list[ExitStack] = []

    def __enter__(self) -> None:
        stack = ExitStack()
        ours = {key: value for key, value in self._values.items() if key in _CONFIGURED}
        stack.enter_context(config.override(**ours))
        for key, value in self._values.items():
            if key not in ours:
                variable = ContextVar._known[key]
                stack.callback(setattr, variable, "_value", variable._value)
                variable._value = value
        self._stacks.append(stack)

    def __exit__(self, *_: object) -> None:
        self._stacks.pop().close()


# --------------------------------------------------------------------------- counting and timing


class _GlobalCounters:
    """What has run since `reset()`: kernels, their arithmetic operations and the bytes they move,
    as the compiler counts them; and the bytes that tensors hold now."""

    @property
    def kernel_count(self) -> int:
        """Kernels that ran."""
        return counters.total().kernels

    @property
    def global_ops(self) -> int:
        """Arithmetic operations."""
        return counters.total().operations

    @property
    def global_mem(self) -> int:
        """Bytes read and written."""
        return counters.total().nbytes

    @property
    def time_sum_s(self) -> float:
        """Seconds that schedules took, where DEBUG is 1 or more: else nobody waits for them."""
        return counters.total().seconds

    @property
    def mem_used(self) -> int:
        """Bytes of the memory that tensors refer to."""
        return sum(x.nbytes for x in gc.get_objects() if isinstance(x, DeviceBuffer))

    def reset(self) -> None:
        """Count from 0 again."""
        counters.reset()


GlobalCounters = _GlobalCounters()
counters.reset()


class Timing(ContextDecorator):
    """`with Timing("step "):` prints how long the block took. `on_exit` is given the nanoseconds
    and gives a text to add; nothing is printed unless `enabled`. `et` is the time afterwards.

        with Timing("a step ", enabled=False):
            total = sum(range(10))
        total == 45
    """

    def __init__(
        self,
        prefix: str = "",
        on_exit: Callable[[int], str] | None = None,
        enabled: bool = True,
    ) -> None:
        self.prefix, self.on_exit, self.enabled = prefix, on_exit, enabled
        self.et = 0

    def __enter__(self) -> Timing:
        self._start = time.perf_counter_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self.et = time.perf_counter_ns() - self._start
        if self.enabled:
            more = self.on_exit(self.et) if self.on_exit else ""
            print(f"{self.prefix}{self.et * 1e-6:6.2f} ms{more}")


def tqdm(items: Iterable[T] | None = None, **options: Any) -> Any:
    """A bar on the terminal that shows how far a loop is.

    [n for n in tqdm([1, 2], disable=True)] == [1, 2]
    """
    from tqdm import tqdm as bar

    return bar(items, **options)


def trange(n: int, **options: Any) -> Any:
    """`tqdm(range(n))`.

    [n for n in trange(2, disable=True)] == [0, 1]
    """
    return tqdm(range(n), **options)


# --------------------------------------------------------------------------- text and files

_COLORS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"]


def colored(text: str, color: str | None, background: bool = False) -> str:
    """The text in a color of the terminal; in capitals, a bright one. None leaves it as it is.

    colored("fast", None) == "fast"
    """
    if color is None:
        return text
    code = 10 * background + 60 * color.isupper() + 30 + _COLORS.index(color.lower())
    return f"\x1b[{code}m{text}\x1b[0m"


def fetch(url: str, name: str | None = None, allow_caching: bool = True) -> Path:
    """The file at a URL, downloaded once and kept in the cache; a path is that file itself."""
    if not url.startswith(("http://", "https://")):
        return Path(url)
    folder = config.LAZYGRAD_CACHE / "downloads"
    path = folder / (name or hashlib.sha256(url.encode()).hexdigest()[:32])
    if not (allow_caching and path.is_file()):
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                part.write_bytes(response.read())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


# --------------------------------------------------------------------------- numbers and lists


def prod(values: Iterable[Any]) -> Any:
    """The product; 1 of nothing.

    prod([2, 3, 4]) == 24
    """
    return functools.reduce(operator.mul, values, 1)


def flatten(lists: Iterable[Iterable[T]]) -> list[T]:
    """The elements of all the lists.

    flatten([[1], [2, 3]]) == [1, 2, 3]
    """
    return [x for part in lists for x in part]


def fully_flatten(tree: Any) -> list[Any]:
    """The elements of nested lists and tuples, or of an array.

    fully_flatten([1, [2, [3]]]) == [1, 2, 3]
    """
    if hasattr(tree, "tolist"):
        tree = tree.tolist()
    if not isinstance(tree, (list, tuple)):
        return [tree]
    return [x for part in tree for x in fully_flatten(part)]


def dedup(values: Iterable[T]) -> list[T]:
    """The values, each once, in order.

    dedup([1, 2, 1]) == [1, 2]
    """
    return list(dict.fromkeys(values))


def argsort(values: Sequence[Any]) -> Any:
    """The places of the values in ascending order, as a list or a tuple as they are.

    argsort([30, 10, 20]) == [1, 2, 0]
    """
    return type(values)(sorted(range(len(values)), key=values.__getitem__))  # type: ignore[call-arg]


def all_same(values: Sequence[Any]) -> bool:
    """Whether all are equal.

    all_same([1, 1]) is True
    """
    return all(x == values[0] for x in values)


def all_int(values: Sequence[Any]) -> bool:
    """Whether all are whole numbers.

    all_int([1, 2.0]) is False
    """
    return all(isinstance(x, int) for x in values)


def partition(values: Iterable[T], holds: Callable[[T], bool]) -> tuple[list[T], list[T]]:
    """(those of which it holds, the others).

    partition([1, 2, 3], lambda n: n > 1) == ([2, 3], [1])
    """
    yes: list[T] = []
    no: list[T] = []
    for x in values:
        (yes if holds(x) else no).append(x)
    return yes, no


def make_tuple(value: Any, count: int) -> tuple[Any, ...]:
    """One number `count` times, several as they are.

    make_tuple(3, 2) == (3, 3)
    """
    return (value,) * count if isinstance(value, int) else tuple(value)


def make_pair(value: Any, count: int = 2) -> tuple[Any, ...]:
    """`make_tuple` of two.

    make_pair(3) == (3, 3)
    """
    return make_tuple(value, count)


def ceildiv(n: int, by: int) -> int:
    """n / by, rounded up.

    ceildiv(7, 2) == 4
    """
    return -(n // -by)


def round_up(n: int, multiple: int) -> int:
    """The next multiple, n itself if it is one.

    round_up(7, 4) == 8
    """
    return ceildiv(n, multiple) * multiple


def lo32(n: int) -> int:
    """The low 32 bits.

    lo32(2**32 + 5) == 5
    """
    return n & 0xFFFFFFFF


def unwrap(value: T | None) -> T:
    """The value. Raises ValueError for None.

    unwrap(3) == 3
    """
    if value is None:
        raise ValueError("unwrap: None")
    return value


def get_child(tree: Any, key: str) -> Any:
    """What `a.0.b` names: attributes, list places and dictionary keys in turn.

    get_child({"a": [1, 2]}, "a.1") == 2
    """
    for part in key.split("."):
        if part.isnumeric():
            tree = tree[int(part)]
        elif isinstance(tree, dict):
            tree = tree[part]
        else:
            tree = getattr(tree, part)
    return tree


def merge_dicts(parts: Iterable[dict[T, U]]) -> dict[T, U]:
    """All of them in one. Raises ValueError where they differ on a key.

    merge_dicts([{"a": 1}, {"b": 2}]) == {"a": 1, "b": 2}
    """
    made: dict[T, U] = {}
    for part in parts:
        for key, value in part.items():
            if made.setdefault(key, value) != value:
                raise ValueError(f"merge_dicts: {key!r} is {made[key]!r} and {value!r}")
    return made


def strides_for_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The distances of elements in row-major order.

    strides_for_shape((2, 3, 4)) == (12, 4, 1)
    """
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def is_numpy_ndarray(value: object) -> bool:
    """Whether something is a NumPy array.

    is_numpy_ndarray([1]) is False
    """
    return str(type(value)) == "<class 'numpy.ndarray'>"


def argfix(*args: Any) -> tuple[Any, ...]:
    """The arguments, which may be given as one tuple or list: `f(2, 3)` and `f((2, 3))`.

    argfix((2, 3)) == (2, 3)
    """
    if args and isinstance(args[0], (tuple, list)):
        if len(args) > 1:
            raise ValueError(f"argfix: a {type(args[0]).__name__} and others: {told(args)}")
        return tuple(args[0])
    return args


def polyN(x: Any, coefficients: Sequence[float]) -> Any:
    """c[0] x**n + ... + c[n], of numbers or tensors.

    polyN(2.0, [1.0, 0.0, 3.0]) == 7.0
    """
    return functools.reduce(lambda total, c: total * x + c, coefficients, 0.0)


OSX, WIN = sys.platform == "darwin", sys.platform == "win32"
CI = bool(os.getenv("CI"))

__all__ = [
    "BEAM", "CI", "Context", "ContextVar", "DEBUG", "GlobalCounters", "JIT", "OSX", "Timing", "WIN",
    "WINO",
    "all_int", "all_same", "argfix", "argsort", "ceildiv", "colored", "dedup", "fetch", "flatten",
    "fully_flatten", "get_child", "getenv", "is_numpy_ndarray", "lo32", "make_pair", "make_tuple",
    "merge_dicts", "partition", "polyN", "prod", "round_up", "strides_for_shape", "tqdm", "trange",
    "unwrap",
]  # fmt: skip
