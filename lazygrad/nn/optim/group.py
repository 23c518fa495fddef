"""Parameters that share settings, and their state: the items of `optimizer.param_groups`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...dtypes import float32, float64
from ...errors import ArgumentError
from ...tensor import Tensor

FIXED = "params"  # the one item that no assignment replaces


class ParamGroup:
    """Parameters, and the settings that an optimizer has for them, which are items as in a dict:

        for group in optimizer.param_groups:
            group["lr"] *= 0.1

    Numbers that schedules change (the learning rate, a momentum, Adam's first beta) are in tensors
    of shape (), so a captured step follows them; items give them as Python floats, with all the
    digits that were set. The other settings are constants of a captured step, which is captured
    anew when one is changed; `settings` has what the group began with of those that vary.

    `state` holds each parameter's buffers by PyTorch's names; `steps` counts the steps of each
    parameter, and is None where there are no buffers. `initial_lr` is the rate that schedules start
    from: no item, and nan in its tensor, before there is a schedule.

        nn.optim.SGD([Tensor([1.0])], lr=0.25).param_groups[0]["lr"] == 0.25
    """

    def __init__(self, params: list[Tensor], settings: Mapping[str, Any]) -> None:
        self.params = params
        self.settings: dict[str, Any] = {**settings, "initial_lr": math.nan}
        self.device = params[0].device if params else None
        self.number_dtype = float64 if any(p.dtype == float64 for p in params) else float32
        self.known = self._varying(self.settings)  # what is in the tensors, with all digits
        self.tensors = {name: self._number(value) for name, value in self.known.items()}
        self.state: list[dict[str, Tensor]] = [{} for _ in params]
        self.steps: Tensor | None = None

    def begin(self, state: list[dict[str, Tensor]]) -> None:
        """Take up the parameters' buffers as they are before the first step."""
        self.state = state
        if any(state):
            count = np.zeros(len(state), self.number_dtype.numpy)
            self.steps = Tensor(count, device=self.device)

    def load(self, counts: list[float], state: list[dict[str, Tensor]]) -> None:
        """Take up saved buffers and counts of steps. Tensors that are there stay the same ones,
        which a captured step knows."""
        for own, buffers in zip(self.state, state, strict=True):
            for name in own.keys() - buffers:
                del own[name]
            for name, buffer in buffers.items():
                if name in own:
                    own[name].assign(buffer)
                else:
                    own[name] = buffer
        if self.steps is None:
            self.begin(self.state)
        if self.steps is not None:
            self.steps.assign(np.array(counts, self.number_dtype.numpy))
            Tensor.realize(self.steps, *(buffer for own in self.state for buffer in own.values()))

    @staticmethod
    def _varying(settings: Mapping[str, Any]) -> dict[str, float]:
        """The settings that are in tensors, by the tensors' names. Without a momentum to start
        with there is no buffer for one."""
        varying = {name: settings[name] for name in ("lr", "initial_lr")}
        if settings.get("momentum"):
            varying["momentum"] = settings["momentum"]
        if "betas" in settings:
            varying["beta1"] = settings["betas"][0]
        return varying

    def _number(self, value: float) -> Tensor:
        """A tensor of one number, beside the parameters."""
        return Tensor(float(value), dtype=self.number_dtype, device=self.device)

    # ------------------------------------------------------------------ items

    def __getitem__(self, key: str) -> Any:
        """A setting. Where it is in a tensor, the number there is read, and waited for."""
        if key == FIXED:
            return self.params
        value = self.settings[key]
        if key == "betas":
            return (self._current("beta1"), *value[1:])
        value = self._current(key) if key in self.tensors else value
        if key == "initial_lr" and math.isnan(value):
            raise KeyError(key)
        return value

    def _current(self, name: str) -> float:
        """The number in a tensor: the known one, which has more digits, unless the tensor was set
        in another way (by a captured step, or from a file), or else its shortest decimal."""
        found, known = self.tensors[name].numpy()[()], self.known[name]
        return known if found == found.dtype.type(known) else float(str(found))

    def __setitem__(self, key: str, value: Any) -> None:
        if key == FIXED:
            raise KeyError("params: a group's parameters stay; add_param_group adds others")
        old = self.settings.get(key)
        if key in self.tensors:
            self._set_number(key, value)
        elif key == "betas" and old is not None:
            self._set_number("beta1", value[0])
            self.settings[key] = (old[0], *value[1:])
        elif key == "momentum" and value and key in self.settings and not old:
            raise ArgumentError("this group keeps no buffer for a momentum; begin with one")
        else:
            self.settings[key] = value

    def _set_number(self, name: str, value: Any) -> None:
        """Set the number in a tensor, and what Python knows of it."""
        if isinstance(value, Tensor):
            self.tensors[name].assign(value)
        else:
            self.tensors[name].assign(float(value))
            self.known[name] = float(value)

    def refine(self, key: str, value: float) -> None:
        """Give a number in a tensor back the digits that it lost there, if it is this one."""
        found = self.tensors[key].numpy()[()]
        if found == found.dtype.type(value):
            self.known[key] = value

    # ------------------------------------------------------------------ as a dict

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def keys(self) -> list[str]:
        unset = math.isnan(self._current("initial_lr"))
        return [FIXED, *(key for key in self.settings if not (unset and key == "initial_lr"))]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def items(self) -> list[tuple[str, Any]]:
        return [(key, self[key]) for key in self.keys()]

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def setdefault(self, key: str, default: Any) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, settings: Mapping[str, Any]) -> None:
        for key, value in settings.items():
            self[key] = value
