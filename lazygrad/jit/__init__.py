"""Capture a function once, then replay it as one compiled call.

    @lazygrad.jit
    def step(x, y):
        optimizer.zero_grad()
        loss = model(x).cross_entropy(y)
        loss.backward()
        optimizer.step()
        return loss

The first call with arguments of some kind runs the function to see what it computes; everything in
it, whatever it realizes in between, becomes one graph and one plan. Later calls with arguments of
that kind run the plan: no Python of the function, no graph work.

A call does what the function does: tensors that it assigns (parameters, optimizer state, running
statistics, the random state) and gradients that it leaves are set, state is read when the call is
made, whoever changed it since, and returned tensors are new ones that no later call changes.

What is other than without jit, because the function's Python does not run again:

- Arguments that are no tensors belong to the kind of arguments, by value, as do shapes, dtypes and
  devices, `Tensor.training` and `no_grad`. Each new kind is captured anew.
- Python values from outside (a counter, a list, NumPy's random numbers), and results that are no
  tensors, stay what they were in the first call. Printing happens once.
- Values cannot be read on the host inside; tensors made inside can leave by being returned or
  assigned, not by being stored. Both raise JitError.
- Returned tensors carry no gradient to what they were computed from.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial, update_wrapper
from types import MethodType
from typing import Any, Generic, ParamSpec, TypeVar, overload
from weakref import ref

from .. import config
from ..errors import JitError
from ..runtime.device import Device
from ..tensor import Tensor
from ..tensor.core import TensorCore, grad_enabled
from .replay import Mismatch, Replay
from .structure import describe
from .trace import tracing

P = ParamSpec("P")
R = TypeVar("R")

MAX_CAPTURES = 64  # kinds of arguments a function; more are a sign of a number that keeps changing


class jit(Generic[P, R]):
    """Decorator for functions and methods, and of functions: `step = jit(step)`."""

    def __init__(self, function: Callable[P, R]) -> None:
        self._function = function
        self._replays: dict[Hashable, list[Replay]] = {}
        self._attempts: dict[Hashable, int] = {}
        self._bound: dict[int, tuple[ref[Any], jit[..., R]]] = {}
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function returns. Raises JitError where it cannot be captured."""
        if tracing.get() is not None:  # inside another captured function: part of that
            return self._function(*args, **kwargs)
        tensors: list[TensorCore] = []
        kind = (
            Tensor.training,
            grad_enabled.get(),
            Device.DEFAULT,
            config.DEBUG >= 2,
            *[describe(value, tensors) for value in args],
            *[(name, describe(value, tensors)) for name, value in kwargs.items()],
        )
        replays = self._replays.get(kind, ())
        for replay in replays:
            try:
                return replay(tensors)  # type: ignore[no-any-return]
            except Mismatch:
                continue
        return self._capture(kind, tensors, args, kwargs)

    def _capture(self, kind: Hashable, tensors: list[TensorCore], args: Any, kwargs: Any) -> R:
        """The first call with a kind of arguments."""
        if sum(map(len, self._replays.values())) >= MAX_CAPTURES:
            raise JitError(
                f"jit: {self._name} was called with more than {MAX_CAPTURES} kinds of arguments; "
                "pass numbers that change as tensors, and few different shapes"
            )
        from .capture import Capture  # with it comes the compiler

        attempts = self._attempts.get(kind, 0)
        capture = Capture(tensors, getattr(self._function, "__name__", "function"))
        replay, serves = capture.run(self._function, args, kwargs, attempts > 0)
        result: R = replay(tensors)
        if serves:
            self._replays.setdefault(kind, []).append(replay)
            self._attempts.pop(kind, None)
        else:
            self._attempts[kind] = attempts + 1
        return result

    @property
    def _name(self) -> str:
        return getattr(self._function, "__qualname__", "the function")

    @overload
    def __get__(self, instance: None, owner: type) -> jit[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> jit[..., R]: ...
    def __get__(self, instance: object | None, owner: type) -> jit[..., R]:
        """The method of an instance, with captures of its own."""
        if instance is None:
            return self
        key = id(instance)
        bound = self._bound.get(key)
        if bound is not None and bound[0]() is instance:
            return bound[1]
        # Neither keeps the instance alive: an instance that is gone takes its captures with it.
        alive = ref(instance, lambda _: self._bound.pop(key, None))
        method = jit(partial(_call_method, self._function, alive))
        update_wrapper(method, self._function)
        self._bound[key] = (alive, method)
        return method


def _call_method(function: Callable[..., R], instance: ref[Any], *args: Any, **kwargs: Any) -> R:
    result: R = MethodType(function, instance())(*args, **kwargs)
    return result


TinyJit = jit

__all__ = ["JitError", "TinyJit", "jit"]
