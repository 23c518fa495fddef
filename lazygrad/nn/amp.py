"""Training in 16 bits: products in 16 bits, and a loss scaled up so that small gradients stay.

with autocast("cpu"):
    loss = loss_of(model(x), y)
scaler = GradScaler()
scaler.scale(loss).backward()
scaler.step(optimizer)      # not where a gradient overflowed
scaler.update()             # the scale goes down then, and up after many good steps
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ContextDecorator
from contextvars import Token
from typing import Any, Self

from ..dtypes import DType, bfloat16, float16, is_low_precision, to_dtype
from ..errors import ArgumentError, check_numbers, warn
from ..tensor import Tensor
from ..tensor.mode import autocast_dtype
from .optim import Optimizer


class autocast(ContextDecorator):
    """`with autocast("cpu"):` or `@autocast("cpu")`: matrix products, convolutions and attention
    inside are given their floats in `dtype`, losses get float32; as `torch.autocast` on a CPU.

    The dtype is bfloat16 on a CPU, float16 on a GPU, unless given. Parameters stay as they are,
    and so does float64. For "cuda", which there is none of, and for a dtype that has no 16 bits,
    nothing changes, and a warning says so. With `enabled=False` nothing changes inside, even inside
    of another autocast.

        with lazygrad.autocast("cpu"):
            made = nn.Linear(2, 2)(Tensor.ones(1, 2))
        made.dtype == lazygrad.bfloat16
    """

    def __init__(
        self,
        device_type: str = "cuda",  # as of torch.cuda.amp.autocast
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        is_cpu = str(device_type).lower().startswith("cpu")
        default = bfloat16 if is_cpu else float16
        self.dtype = default if dtype is None else to_dtype(dtype)
        self.enabled = enabled
        if enabled and str(device_type).lower().startswith("cuda"):
            warn('autocast: there is no CUDA device, so nothing changes; write autocast("cpu")')
            self.enabled = False
        elif enabled and not is_low_precision(self.dtype):
            warn(f"autocast: {self.dtype} has no 16 bits, so nothing changes")
            self.enabled = False
        self._before: list[Token[DType | None]] = []

    def __enter__(self) -> Self:
        self._before.append(autocast_dtype.set(self.dtype if self.enabled else None))
        return self

    def __exit__(self, *_: object) -> None:
        autocast_dtype.reset(self._before.pop())


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether products are cast to 16 bits, inside of `autocast`.

    lazygrad.is_autocast_enabled() is False
    """
    return autocast_dtype.get() is not None


class GradScaler:
    """Scales losses, and gradients back, by a factor that adapts; as `torch.amp.GradScaler`.

    To see whether gradients are finite, `step` and `unscale_` wait for them.

        w = Tensor([1.0], requires_grad=True)
        scaler = lazygrad.GradScaler(init_scale=4.0)
        scaler.scale((w * w).sum()).backward()
        w.grad.item() == 8.0
    """

    def __init__(
        self,
        device: str | None = None,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        check_numbers(
            init_scale=init_scale, growth_factor=growth_factor, backoff_factor=backoff_factor
        )
        if growth_factor <= 1:
            raise ArgumentError("The growth factor must be > 1.0.")
        if backoff_factor >= 1:
            raise ArgumentError("The backoff factor must be < 1.0.")
        self._scale, self._growth_tracker = float(init_scale), 0
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._enabled = growth_interval, enabled
        self._found: dict[int, bool] = {}  # by the optimizer: whether its gradients overflowed
        self._stepped: set[int] = set()

    def is_enabled(self) -> bool:
        """Whether this scales at all."""
        return self._enabled

    def get_scale(self) -> float:
        """The factor of the next loss."""
        return self._scale if self._enabled else 1.0

    def scale(self, outputs: Any) -> Any:
        """A loss, or lists of losses, times the scale."""
        if isinstance(outputs, Tensor):
            return outputs * self.get_scale() if self._enabled else outputs
        return type(outputs)(self.scale(output) for output in outputs)

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, before the step: then
        they can be clipped. Raises RuntimeError where that was done since the last update."""
        if not self._enabled:
            return
        if id(optimizer) in self._found:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        moved = [(p, p.grad) for p in optimizer.params if p.grad is not None]
        if not moved:
            raise RuntimeError("No inf checks were recorded for this optimizer.")
        with Tensor.no_grad():
            bad = [grad.isfinite().all().logical_not() for _, grad in moved]
            for p, grad in moved:
                p.grad = (grad.float() / self._scale).cast(grad.dtype)
            found = Tensor.stack(*(flag.to(bad[0].device) for flag in bad)).any()
            Tensor.realize(found, *(p.grad for p, _ in moved if p.grad is not None))
        self._found[id(optimizer)] = bool(found.item())

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Tensor | None:
        """`optimizer.step()`, unless a gradient is inf or nan. Gradients are unscaled before, if
        `unscale_` was not called."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) in self._stepped:
            raise RuntimeError("step() has already been called since the last update().")
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | None = None) -> None:
        """Make the scale smaller where a gradient overflowed, larger after `growth_interval` steps
        without; or set it."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        else:
            if not self._found:
                raise RuntimeError("No inf checks were recorded prior to update.")
            if any(self._found.values()):
                self._scale *= self._backoff_factor
                self._growth_tracker = 0
            else:
                self._growth_tracker += 1
                if self._growth_tracker == self._growth_interval:
                    self._scale *= self._growth_factor
                    self._growth_tracker = 0
        self._found.clear()
        self._stepped.clear()

    def state_dict(self) -> dict[str, Any]:
        """The scale and what it goes on from, with PyTorch's names."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._scale = float(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = int(state_dict["_growth_tracker"])
