"""Training or evaluation: `Tensor.train()`, and a word to who trains without having chosen."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from .core import TensorCore

P = ParamSpec("P")
R = TypeVar("R")

_evaluated: list[str] = []  # what behaved as in evaluation though no mode was ever chosen


class Mode:
    """Sets `Tensor.training`: at once, and, as a context, until the end of the block only.

    Tensor.train()                  # from now on
    with Tensor.train(False): ...   # inside the block
    @Tensor.train()                 # whenever the function runs
    """

    def __init__(self, cls: type[TensorCore], mode: bool) -> None:
        self._cls, self._mode = cls, mode
        self._before: list[bool] = []
        self._first = cls.training
        self._is_entered = False
        cls.training = mode

    def __enter__(self) -> None:
        self._before.append(self._cls.training if self._is_entered else self._first)
        self._is_entered = True
        self._cls.training = self._mode

    def __exit__(self, *_: object) -> None:
        self._cls.training = self._before.pop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, running in this mode; outside of it the mode is as before."""
        self._cls.training = self._first
        cls, mode = self._cls, self._mode

        @wraps(function)
        def in_mode(*args: P.args, **kwargs: P.kwargs) -> R:
            with Mode(cls, mode):
                return function(*args, **kwargs)

        return in_mode


def note_evaluation(cls: type[TensorCore], name: str) -> None:
    """Something that is other in training was not in training."""
    if not _evaluated and not _is_chosen(cls):
        _evaluated.append(name)


def tell_of_evaluation(cls: type[TensorCore]) -> None:
    """Warn, once, who trains what was evaluated where no mode was ever chosen."""
    if _evaluated and not _is_chosen(cls):
        cls.training = cls.training  # chosen from now on: this is told once
        warnings.warn(
            f"{_evaluated[0]} behaves as in evaluation while an optimizer trains; write "
            "Tensor.train() before the training, or `with Tensor.train():` around each step "
            "(or Tensor.training = False, if that is what is wanted)",
            stacklevel=3,
        )


def _is_chosen(cls: type[TensorCore]) -> bool:
    """Whether Tensor.train() was called or Tensor.training set: it is then the class's own."""
    return "training" in vars(cls)
