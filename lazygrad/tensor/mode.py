"""Training or evaluation: who says which, and a word to who trains without having chosen; and
whether `autocast` is on.

- A module that was told (`module.train()`, `module.eval()`) says it for all that its call runs.
- Else `with Tensor.train(mode):` says it inside the block, and `Tensor.train()` or
  `Tensor.training = True` from then on. `Tensor.training = False` goes back to the beginning.
- In the beginning nothing is chosen. A model that is an `nn.Module` then trains, as in PyTorch;
  tensors, and layers in plain classes, are evaluated, as in tinygrad.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..dtypes import DType
from ..errors import warn

MAX_BEGINNING = 16  # blocks that threads may begin at one time

P = ParamSpec("P")
R = TypeVar("R")

_everywhere: list[tuple[bool | None, object]] = []
"""What was chosen outside of all modules and blocks, and by what. The last counts; those before it
may begin a block in another thread."""

inside: ContextVar[bool | None] = ContextVar("inside", default=None)
"""The mode of the innermost module or block that runs in this thread; None outside of all."""

autocast_dtype: ContextVar[DType | None] = ContextVar("autocast_dtype", default=None)
"""The 16-bit dtype of products inside of `autocast`; None outside, and inside of a product."""

_evaluated: list[str] = []  # what behaved as in evaluation though no mode was chosen
_is_known = False  # whether a mode was chosen at any time, or it was told that none was


def chosen_mode() -> bool | None:
    """The mode of the innermost module or block that runs, or of `Tensor.training`; None if none
    is set."""
    inner = inside.get()
    if inner is None and _everywhere:
        return _everywhere[-1][0]
    return inner


def choose_mode(mode: bool | None, by: object = None) -> None:
    """Set the mode: inside a module's call, or a block, until that ends; elsewhere from now on."""
    global _is_known
    _is_known = True
    if inside.get() is None:
        _everywhere.append((mode, by))
        del _everywhere[:-MAX_BEGINNING]
    else:
        inside.set(bool(mode))


class module_mode:
    """The mode of a module, as a context for the time of its call. (A generator would take three
    times as long.)"""

    __slots__ = ("_mode", "_token")

    def __init__(self, mode: bool) -> None:
        self._mode = mode

    def __enter__(self) -> None:
        self._token = inside.set(self._mode)

    def __exit__(self, *_: object) -> None:
        inside.reset(self._token)


class HasMode(type):
    """The class of `Tensor`: gives it the attribute `Tensor.training`."""

    @property
    def training(cls) -> bool:
        """Whether dropout and batch normalisation behave as in training; see `Tensor.train()`."""
        return bool(chosen_mode())

    @training.setter
    def training(cls, mode: bool) -> None:
        choose_mode(mode or None)

    def __setattr__(cls, name: str, value: Any) -> None:
        if name in ("no_grad", "enable_grad") and isinstance(value, bool):
            raise AttributeError(
                f"Tensor.{name} = {value}: write `with Tensor.{name}():` around a block, or "
                f"@Tensor.{name}() above a function"
            )
        super().__setattr__(name, value)


class Mode:
    """Sets `Tensor.training`: at once, and, as a context, until the end of the block only.

    Tensor.train()                  # from now on
    with Tensor.train(False): ...   # inside the block
    @Tensor.train()                 # whenever the function runs
    """

    def __init__(self, mode: bool) -> None:
        self._mode = mode
        self._is_chosen = True  # at once, as long as no block has begun
        self._around = inside.get()
        self._before: list[bool | None] = []
        choose_mode(mode or None, self)

    def _undo(self) -> None:
        """Take back what was chosen at once: it is chosen inside of a block."""
        if not self._is_chosen:
            return
        self._is_chosen = False
        if self._around is not None:
            inside.set(self._around)
        _everywhere[:] = [each for each in _everywhere if each[1] is not self]

    def __enter__(self) -> None:
        self._undo()
        self._before.append(inside.get())
        inside.set(self._mode)

    def __exit__(self, *_: object) -> None:
        inside.set(self._before.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, running in this mode; outside of it the mode is as before."""
        self._undo()
        mode = self._mode

        @wraps(function)
        def in_mode(*args: P.args, **kwargs: P.kwargs) -> R:
            with Mode(mode):
                return function(*args, **kwargs)

        return in_mode


def note_evaluation(name: str) -> None:
    """Something that is other in training was not in training."""
    if not _evaluated and not _is_known and chosen_mode() is None:
        _evaluated.append(name)


def tell_of_evaluation() -> None:
    """Warn, once, who trains what was evaluated where no mode was ever chosen."""
    global _is_known
    if _evaluated and not _is_known:
        _is_known = True
        warn(
            f"{_evaluated[0]} behaves as in evaluation while an optimizer trains; write "
            "Tensor.train() before the training, or `with Tensor.train():` around each step, or "
            "model.train() of an nn.Module (or Tensor.training = False, if that is what is wanted)"
        )
