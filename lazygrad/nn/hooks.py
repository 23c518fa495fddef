"""Functions that are called before and after a module's `forward`, and with its gradients."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from ..tensor.core import grad_enabled

if TYPE_CHECKING:
    from .backward import Observed
    from .module import Module

_numbers = count()


class RemovableHandle:
    """Takes a hook away again: by `remove()`, or at the end of a `with` block."""

    def __init__(self, hooks: dict[int, Any]) -> None:
        self._hooks = hooks
        self.id = next(_numbers)

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one module, by kind, each with whether it takes keyword arguments."""

    def __init__(self) -> None:
        self.before: dict[int, tuple[Callable[..., Any], bool]] = {}
        self.after: dict[int, tuple[Callable[..., Any], bool]] = {}
        self.before_backward: dict[int, tuple[Callable[..., Any], bool]] = {}
        self.after_backward: dict[int, tuple[Callable[..., Any], bool]] = {}

    @staticmethod
    def add(
        hooks: dict[int, tuple[Callable[..., Any], bool]],
        hook: Callable[..., Any],
        with_kwargs: bool,
        prepend: bool,
    ) -> RemovableHandle:
        handle = RemovableHandle(hooks)
        rest = dict(hooks)
        if prepend:
            hooks.clear()
        hooks[handle.id] = hook, with_kwargs
        if prepend:
            hooks.update(rest)
        return handle

    def call(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`module.forward`, with what the hooks make of its arguments and of its result."""
        for hook, with_kwargs in list(self.before.values()):
            if with_kwargs:
                changed = hook(module, args, kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                        f"but got {changed}"
                    )
                args, kwargs = changed
            elif (changed := hook(module, args)) is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        observed = self._observed(module)
        if observed is not None:
            args = observed.take(args)
        result = module.forward(*args, **kwargs)
        for hook, with_kwargs in list(self.after.values()):
            extra = (kwargs,) if with_kwargs else ()
            changed = hook(module, args, *extra, result)
            if changed is not None:
                result = changed
        return result if observed is None else observed.give(result)

    def _observed(self, module: Module) -> Observed | None:
        """What sees the gradients of this call; None where no hook wants to."""
        before = [hook for hook, _ in self.before_backward.values()]
        after = [hook for hook, _ in self.after_backward.values()]
        if not (before or after) or not grad_enabled.get():
            return None
        from .backward import Observed

        return Observed(module, before, after)
