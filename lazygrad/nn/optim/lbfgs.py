"""LBFGS: a quasi-Newton method, which asks for the loss and its gradient several times a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...errors import ArgumentError, KindError
from ...tensor import Tensor
from .optimizer import Optimizer, Params
from .wolfe import strong_wolfe

Array = np.ndarray[Any, Any]


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal 1980): the curvature is learned from the last `history_size`
    steps.

    `step(closure)` needs a closure, which computes gradients and returns the loss; it is called up
    to `max_eval` times. Vectors of all parameters are kept by NumPy, in float64 only where the
    parameters are. `line_search_fn` is None or "strong_wolfe".

        w = Tensor([1.0], requires_grad=True)
        optimizer = nn.optim.LBFGS([w], lr=0.5)
        def closure():
            optimizer.zero_grad()
            loss = (w * w).sum()
            loss.backward()
            return loss
        optimizer.step(closure).item() == 1.0
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        settings = {"lr": lr, "max_iter": max_iter,
                    "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                    "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change,
                    "history_size": history_size, "line_search_fn": line_search_fn,
                    "maximize": False}  # fmt: skip
        super().__init__(params, settings)
        if len(self.param_groups) != 1:
            raise ArgumentError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._memory: dict[str, Any] = {"func_evals": 0, "n_iter": 0}

    # ------------------------------------------------------------------ vectors

    def _gradient(self) -> Array:
        """The gradients of all parameters as one vector."""
        grads = [Tensor.zeros_like(p) if p.grad is None else p.grad for p in self.params]
        Tensor.realize(*grads)
        return np.concatenate([grad.numpy().reshape(-1) for grad in grads])

    def _values(self) -> Array:
        Tensor.realize(*self.params)
        return np.concatenate([p.numpy().reshape(-1) for p in self.params])

    def _set(self, values: Array) -> None:
        start = 0
        with Tensor.no_grad():
            for p in self.params:
                end = start + p.numel()
                p.assign(values[start:end].reshape(p.shape).astype(p.dtype.numpy))
                start = end
        Tensor.realize(*self.params)

    # ------------------------------------------------------------------ the step

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Move the parameters until the gradient or the change is small, or `max_iter` is reached.

        Returns the loss before. Raises TypeError without a closure.
        """
        if closure is None:
            raise KindError("LBFGS: step needs a closure that computes the gradients and the loss")
        settings, memory = self.param_groups[0].settings, self._memory
        rate, tolerance = float(self.param_groups[0]["lr"]), settings["tolerance_change"]

        def evaluate() -> Tensor:
            with Tensor.enable_grad():
                return closure()

        first = evaluate()
        loss, gradient = float(first.item()), self._gradient()
        evaluations = 1
        memory["func_evals"] += 1
        if np.abs(gradient).max() <= settings["tolerance_grad"]:
            return first
        for n in range(1, settings["max_iter"] + 1):
            memory["n_iter"] += 1
            direction = self._direction(gradient, settings["history_size"])
            memory["d"], memory["prev_flat_grad"], before = direction, gradient, loss
            at_start = memory["n_iter"] == 1
            size = min(1.0, 1.0 / float(np.abs(gradient).sum())) * rate if at_start else rate
            slope = float(gradient @ direction)
            if slope > -tolerance:
                break
            used, start = 1, self._values()
            if settings["line_search_fn"]:

                def at(t: float, start: Array = start, way: Array = direction) -> Any:
                    self._set(start + (way * t).astype(way.dtype))
                    return float(evaluate().item()), self._gradient()

                loss, gradient, size, used = strong_wolfe(
                    at, size, direction, loss, gradient, slope, tolerance
                )
                self._set(start + (direction * size).astype(direction.dtype))
            else:
                self._set(start + (direction * size).astype(direction.dtype))
                if n != settings["max_iter"]:
                    loss, gradient = float(evaluate().item()), self._gradient()
            memory["t"] = size
            evaluations += used
            memory["func_evals"] += used
            is_done = (
                n == settings["max_iter"]
                or evaluations >= settings["max_eval"]
                or np.abs(gradient).max() <= settings["tolerance_grad"]
                or np.abs(direction * size).max() <= tolerance
                or abs(loss - before) < tolerance
            )
            if is_done:
                break
        return first

    def _direction(self, gradient: Array, history: int) -> Array:
        """Minus the gradient times the approximated inverse of the Hessian, by two loops over the
        steps that are remembered."""
        memory = self._memory
        if memory["n_iter"] == 1:
            memory.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -gradient
        change = gradient - memory["prev_flat_grad"]
        move = (memory["d"] * memory["t"]).astype(gradient.dtype)
        curvature = float(change @ move)
        dirs, steps, inverse = memory["old_dirs"], memory["old_stps"], memory["ro"]
        if curvature > 1e-10:
            if len(dirs) == history:
                for kept in (dirs, steps, inverse):
                    kept.pop(0)
            dirs.append(change)
            steps.append(move)
            inverse.append(1 / curvature)
            memory["H_diag"] = curvature / float(change @ change)
        found: Array = -gradient
        shares = [0.0] * len(dirs)
        for n in reversed(range(len(dirs))):
            shares[n] = float(steps[n] @ found) * inverse[n]
            found = found - dirs[n] * np.asarray(shares[n], found.dtype)
        found = found * np.asarray(memory["H_diag"], found.dtype)
        for n, (change, move) in enumerate(zip(dirs, steps, strict=True)):
            share = shares[n] - float(change @ found) * inverse[n]
            found = found + move * np.asarray(share, found.dtype)
        return found

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """All state, as PyTorch lays it out: it is that of the first parameter."""
        made = super().state_dict()

        def saved(value: Any) -> Any:
            if isinstance(value, list):
                return [saved(item) for item in value]
            return Tensor(value) if isinstance(value, np.ndarray) else value

        made["state"] = {0: {name: saved(value) for name, value in self._memory.items()}}
        return made

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, of this optimizer or of PyTorch's."""

        def loaded(value: Any) -> Any:
            if isinstance(value, list):
                return [loaded(item) for item in value]
            is_number = not hasattr(value, "shape")
            if is_number:
                return value
            array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
            return array if array.ndim else array.item()

        super().load_state_dict({**state_dict, "state": {}})
        held = state_dict["state"].get(0) or {"func_evals": 0, "n_iter": 0}
        self._memory = {
            name: loaded(value)
            for name, value in held.items()
            if value is not None and name not in ("al", "prev_loss")
        }
