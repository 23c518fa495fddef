"""Training or evaluation: who says which, and a word to who trains without having chosen; and
whether `autocast` is on.

- A module that was told (`module.train()`, `module.eval()`) says it for all that its call runs.
- Else `with Tensor.train(mode):` says it inside the block, and `Tensor.train()` or
  `Tensor.training = True` from then on. `Tensor.training = False` goes back to the beginning.
- In the beginning nothing is chosen. A model that is an `nn.Module` then trains, as in PyTorch;
  tensors, and layers in plain classes, are evaluated, as in tinygrad.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..dtypes import DType
from ..errors import warn

P = ParamSpec("P")
R = TypeVar("R")

_everywhere: bool | None = None
in_module: ContextVar[bool | None] = ContextVar("in_module", default=None)
"""The mode of the innermost module that runs; None outside of all."""

autocast_dtype: ContextVar[DType | None] = ContextVar("autocast_dtype", default=None)
"""The 16-bit dtype of products inside of `autocast`; None outside, and inside of a product."""

_evaluated: list[str] = []  # what behaved as in evaluation though no mode was chosen
_is_known = False  # whether a mode was chosen at any time, or it was told that none was


def chosen_mode() -> bool | None:
    """The mode of the innermost module that runs, or of `Tensor.training`; None if none is set."""
    inner = in_module.get()
    return _everywhere if inner is None else inner


def choose_mode(mode: bool | None) -> None:
    """Set the mode: inside a module's call until that call ends, elsewhere from now on."""
    global _everywhere, _is_known
    _is_known = True
    if in_module.get() is None:
        _everywhere = mode
    else:
        in_module.set(mode)


@contextmanager
def module_mode(mode: bool) -> Iterator[None]:
    """The mode of a module, for the time of its call."""
    token = in_module.set(mode)
    try:
        yield
    finally:
        in_module.reset(token)


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
        self._before: list[bool | None] = []
        self._first = chosen_mode()
        self._is_entered = False
        choose_mode(mode or None)

    def __enter__(self) -> None:
        self._before.append(chosen_mode() if self._is_entered else self._first)
        self._is_entered = True
        choose_mode(self._mode)

    def __exit__(self, *_: object) -> None:
        choose_mode(self._before.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, running in this mode; outside of it the mode is as before."""
        choose_mode(self._first)
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
