"""Every environment variable that lazygrad reads, once: what it means, what is valid, the default.

    from lazygrad import config
    if config.DEBUG >= 2: ...            # an int; an invalid DEBUG raises ConfigError here
    with config.override(THREADS=1): ... # for a while, in the whole process

A variable is read and checked at its first use and then kept as an attribute of this module, so a
later read costs one dictionary look-up. For that reason write `config.DEBUG` at each use, never
`from config import DEBUG`. An empty variable counts as unset. PYOPENCL_CTX, which chooses among
OpenCL devices, is pyopencl's and read where pyopencl is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ConfigError

BACKEND: str
"""Where tensors live unless a device is named: "CPU" (the default) or "GPU"."""

THREADS: int
"""How many threads the CPU backend computes with; by default, the cores this process may use."""

TUNE: int
"""1: how each contraction is computed on a CPU is chosen by measuring, once, and remembered on
disk; 0 (the default): by the cost model alone."""

WINOGRAD: int
"""1 (the default): convolutions that it makes faster are computed from tiles, with fewer products,
on a CPU. 0: none is."""

SIZES: int
"""1 (the default): graphs that differ in one size share a plan. 0: each size has its own."""

OPT: int
"""1 (the default): all passes run. 0: only those of the core, without which there is no code: each
step is a kernel of plain loops. Slow, simple, and a second way to the same values."""

CHECK: tuple[str, ...]
"""What kernels are tested for while they run: "bounds", "nan", both (`CHECK=bounds,nan`) or nothing
(the default). Both cost time, "bounds" much. With "bounds" an index outside of its axis, and an
access outside of its array, raises IndexError at once. With "nan" the first kernel that makes a nan
or an infinity of finite numbers raises NonFiniteError."""

DEBUG: int
"""What is told while running, on stderr: 0 nothing (the default), 1 a line per schedule, 2 also a
line per kernel with its time and rates, 3 also the transformations chosen and why, 4 also code."""

DUMP: Path | None
"""The folder that every compilation stage is written to, made if missing; by default none is."""

ORIGINS: int
"""1: operations remember the Python lines that made them, and tables, pictures and errors name
these. By default 1 under CHECK, DEBUG and DUMP, else 0, as it slows the building of graphs
(origin.py)."""

LAZYGRAD_DATA: Path | None
"""An existing folder to look for data sets in, before the cache and the network."""

LAZYGRAD_CACHE: Path
"""The folder for compiled code and downloaded data; by default, the system's for user caches."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable: `parse` makes its text a value or raises ValueError; `valid` is told then."""

    parse: Callable[[str], object]
    valid: str
    default: Callable[[], object]

    def value(self, name: str, text: str | None) -> object:
        """The value that `text` means; the default for None and "". Raises ConfigError."""
        if not text:
            return self.default()
        try:
            return self.parse(text)
        except (ValueError, OSError) as error:
            # An OSError's own words tell why a folder will not do; a ValueError's only repeat.
            cause = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
            raise ConfigError(f"{name}={text}{cause}: valid is {self.valid}") from None


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.upper() not in choices:
            raise ValueError(text)
        return text.upper()

    return parse


def _whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text)
        if number < low or (high is not None and number > high):
            raise ValueError(text)
        return number

    return parse


def _some_of(*choices: str) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        found = {word.strip().lower() for word in text.split(",")}
        if not found.issubset(choices):
            raise ValueError(text)
        return tuple(sorted(found))

    return parse


def _existing_folder(text: str) -> Path:
    path = Path(text).expanduser().resolve()
    if not path.is_dir():
        raise ValueError(text)
    return path


def _writable_folder(text: str) -> Path:
    path = Path(text).expanduser().resolve()
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(text)
    return path


def _available_cores() -> int:
    """The cores this process may run on: its affinity, and its control group's share of time."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no control group, or "max": no limit
        pass
    return cores


def _user_cache() -> Path:
    import platformdirs  # here: needed by few, and `import lazygrad` is to be quick

    return platformdirs.user_cache_path("lazygrad", appauthor=False)


def _shows_something() -> bool:
    """Whether any setting asks for lines, tables or pictures, or for errors that name lines."""
    module = sys.modules[__name__]
    return bool(module.CHECK or module.DEBUG or module.DUMP)


SETTINGS: dict[str, Setting] = {
    "BACKEND": Setting(_one_of("CPU", "GPU"), "CPU or GPU", lambda: "CPU"),
    "THREADS": Setting(_whole_number(1), "a whole number, 1 or more", _available_cores),
    "TUNE": Setting(_whole_number(0, 1), "0 or 1", lambda: 0),
    "WINOGRAD": Setting(_whole_number(0, 1), "0 or 1", lambda: 1),
    "SIZES": Setting(_whole_number(0, 1), "0 or 1", lambda: 1),
    "OPT": Setting(_whole_number(0, 1), "0 or 1", lambda: 1),
    "CHECK": Setting(_some_of("bounds", "nan"), "bounds, nan or bounds,nan", lambda: ()),
    "DEBUG": Setting(_whole_number(0, 4), "0, 1, 2, 3 or 4", lambda: 0),
    "DUMP": Setting(_writable_folder, "a folder that can be made and written to", lambda: None),
    "ORIGINS": Setting(_whole_number(0, 1), "0 or 1", lambda: int(_shows_something())),
    "LAZYGRAD_DATA": Setting(_existing_folder, "a folder that exists", lambda: None),
    "LAZYGRAD_CACHE": Setting(
        _writable_folder, "a folder that can be made and written to", _user_cache
    ),
}


if not TYPE_CHECKING:  # hidden from type checkers, which would take any misspelt name for a setting

    def __getattr__(name: str) -> object:
        """Read, check and keep the setting `name`: called only while the module lacks it."""
        if name not in SETTINGS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = SETTINGS[name].value(name, os.environ.get(name))
        value = globals()[name] = _overridden.get(name, value)
        return value


_overridden: dict[str, object] = {}
_DEPENDENT = ("ORIGINS",)  # settings whose defaults follow from others


@contextmanager
def override(**values: object) -> Iterator[None]:
    """Set variables for the time of a `with`, in all threads: `override(DEBUG=2, DUMP="out")`.

    Values are checked as the environment's are; None means the default. Raises ConfigError.

        with config.override(THREADS=1):
            threads = config.THREADS
        threads == 1
    """
    for name in values:
        if name not in SETTINGS:
            raise ConfigError(f"{name} is no setting: valid are {', '.join(SETTINGS)}")
    new = {name: SETTINGS[name].value(name, _as_text(value)) for name, value in values.items()}
    module = globals()
    before = {name: module[name] for name in new if name in module}
    outer = {name: _overridden[name] for name in new if name in _overridden}
    _overridden.update(new)
    module.update(new)
    _forget(name for name in _DEPENDENT if name not in new)
    try:
        yield
    finally:
        for name in new:
            del _overridden[name]
        _overridden.update(outer)
        _forget((*new, *_DEPENDENT))
        module.update((name, value) for name, value in before.items() if name not in _DEPENDENT)


def check() -> None:
    """Read every variable now, so that a program tells mistakes at once. Raises ConfigError.

    config.check() is None
    """
    for name in SETTINGS:
        getattr(sys.modules[__name__], name)


def reload() -> None:
    """Forget what was read, so that the next use of each variable reads the environment again.

    config.reload() is None
    """
    _forget(SETTINGS)


def _forget(names: Iterable[str]) -> None:
    """Let the next use of each variable find its value anew."""
    for name in names:
        globals().pop(name, None)


def _as_text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, (tuple, list, set, frozenset)):
        return ",".join(map(str, value))
    return str(int(value)) if isinstance(value, bool) else str(value)
