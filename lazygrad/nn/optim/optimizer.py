"""What all optimizers share: groups of parameters, the step, and state that can be saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, TypedDict

import numpy as np

from ...dtypes import float32, float64, is_low_precision
from ...errors import ArgumentError, KindError, ShapeError, check_numbers, warn
from ...tensor import Tensor
from ...tensor.mode import tell_of_evaluation
from ...tensor.recall import recalled
from ..module import Module
from .group import ParamGroup

Params: TypeAlias = Iterable[Tensor] | Iterable[Mapping[str, Any]] | Iterable[tuple[str, Tensor]]
"""Parameters, with names or without, or groups: {"params": parameters, and their settings}."""


class Ways(TypedDict, total=False):
    """What other libraries name: `b1` and `b2` are tinygrad's betas; the others say how PyTorch is
    to compute a step, and have no meaning, as the compiler decides."""

    b1: float
    b2: float
    foreach: bool | None
    capturable: bool
    differentiable: bool
    fused: bool | None


class Optimizer:
    """Moves parameters. A subclass says how one is moved (`_updated`), which buffers that takes
    (`_buffers`) and which numbers (`_numbers`), and which settings there are (`defaults`).

    Tensors that require no gradient when they are given stay. But where none of a list of plain
    tensors (no parameters or buffers of modules) does, nobody has marked them: they are from now on
    variables, as in tinygrad. Plain tensors beside others that require gradient stay, with a
    warning. What a group has begun as a constant (initial weights) is computed
    now, so that the first step is the same program as all others.

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.SGD([w], lr=0.25).step()
        w.tolist() == [0.5]
    """

    _has_step = True  # whether a parameter's saved state names its number of steps

    def __init__(
        self, params: Params, defaults: Mapping[str, Any], ways: Mapping[str, Any] | None = None
    ) -> None:
        name = type(self).__name__
        ways = ways or {}
        for way in ways:
            is_beta = way in ("b1", "b2")
            if way not in Ways.__annotations__ or (is_beta and "betas" not in defaults):
                raise KindError(f"{name}: there is no setting {way!r}")
        if isinstance(params, Tensor):
            raise KindError(f"{name}: params is a list of tensors, not one tensor")
        if isinstance(params, Module):
            raise KindError(
                f"{name}: params is a list of tensors, not a {type(params).__name__}; "
                "write its .parameters()"
            )
        listed: object = params
        if not isinstance(listed, Iterable):
            remedy = "call it" if callable(listed) else "write nn.state.get_parameters(it)"
            raise KindError(
                f"{name}: params is a list of tensors, not a {type(listed).__name__}; {remedy}"
            )
        self.defaults = dict(defaults)
        if "betas" in defaults:
            first, second = defaults["betas"]
            self.defaults["betas"] = (ways.get("b1", first), ways.get("b2", second))
        self.param_groups: list[ParamGroup] = []
        self._left_out: frozenset[Tensor] = frozenset()
        given: list[Any] = list(params)
        are_groups = bool(given) and all(isinstance(group, Mapping) for group in given)
        if not are_groups and given and all(_is_unmarked(p) for p in given):
            for p in given:
                p.requires_grad_()
        for group in given if are_groups else [{"params": given}]:
            self.add_param_group(group)
        if not self.params:
            raise ArgumentError(
                f"{name}: no parameter requires gradient"
                if given
                else f"{name}: an empty list of parameters; the layers of a module are its "
                "attributes, or in an nn.ModuleList, not in a plain list"
            )

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Move more parameters: {"params": parameters, and settings other than the defaults}.

        Raises TypeError for what is no tensor, ValueError for parameters that are results or in a
        group already, and for settings that make no sense.
        """
        name = type(self).__name__
        settings = {**self.defaults, **group}
        given = settings.pop("params")
        given = [given] if isinstance(given, Tensor) else list(given)
        given = [p[1] if isinstance(p, tuple) and len(p) == 2 else p for p in given]
        for p in given:
            if not isinstance(p, Tensor):
                raise KindError(f"{name}: parameters are tensors, not {type(p).__name__}")
            if p.requires_grad and not p.is_leaf:
                raise ArgumentError(
                    f"{name}: a tensor of shape {p.shape} is the result of an operation; "
                    "only variables can be moved"
                )
        params = [p for p in dict.fromkeys(given) if p.requires_grad]
        if len(set(given)) < len(given):
            warn(f"{name}: a group has the same parameter more than once; a step moves it once")
        unmarked = [p.shape for p in given if _is_unmarked(p)]
        if unmarked and params:
            warn(
                f"{name}: plain tensors of shapes {unmarked} require no gradient and will not be "
                "trained; call requires_grad_() on them, or leave them out of the list"
            )
        if not set(params).isdisjoint(self.params):
            raise ArgumentError(f"{name}: a parameter is in two groups")
        self._check(settings)
        if given:
            Tensor.realize(*given)
        made = ParamGroup(params, settings)
        made.begin([self._buffers(p, settings) for p in params])
        self.param_groups.append(made)
        self._left_out = self._left_out.union(given).difference(self.params)

    def _check(self, settings: Mapping[str, Any]) -> None:
        """Raise ValueError for settings that make no sense."""
        named = {"lr": "a learning rate", "eps": "eps", "weight_decay": "a weight decay",
                 "momentum": "a momentum"}  # fmt: skip
        for key, words in named.items():
            if key in settings:
                check_numbers(**{key: settings[key]})
            if key in settings and not float(settings[key]) >= 0:
                raise ArgumentError(
                    f"{type(self).__name__}: {words} is not negative, as {settings[key]} is"
                )

    # ------------------------------------------------------------------ parameters and their rate

    @property
    def params(self) -> list[Tensor]:
        """The parameters of all groups."""
        return [p for group in self.param_groups for p in group.params]

    @property
    def lr(self) -> Tensor:
        """The learning rate, a tensor of shape (): the first group's, where there are several.
        Set, it is that of all groups."""
        return self.param_groups[0].tensors["lr"]

    @lr.setter
    def lr(self, value: float | Tensor) -> None:
        for group in self.param_groups:
            group["lr"] = value

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the parameters' gradients, or set them to 0."""
        for p in self.params:
            p.grad = None if set_to_none or p.grad is None else Tensor.zeros_like(p.grad)

    # ------------------------------------------------------------------ the step

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Move every parameter that has a gradient; compute them and all state together.

        `closure`, if given, computes gradients first; its value is returned.
        """
        loss = None
        if closure is not None:
            with Tensor.enable_grad():
                loss = closure()
        changed = self.schedule_step()
        if changed:
            Tensor.realize(*changed)
        return loss

    def schedule_step(self) -> list[Tensor]:
        """Move every parameter that has a gradient, as `step`, without computing it: returns what
        is to be realized, the parameters and all state."""
        tell_of_evaluation()
        for p in self._left_out:
            if p.requires_grad and p.grad is not None:
                raise RuntimeError(
                    f"{type(self).__name__}: a parameter of shape {p.shape} required no gradient "
                    "when the optimizer was made, and does now; give it to add_param_group"
                )
        with Tensor.no_grad():
            return [tensor for group in self.param_groups for tensor in self._move(group)]

    def _move(self, group: ParamGroup) -> list[Tensor]:
        """Assign a group's parameters that have a gradient, and their state; return both."""
        moved = [(i, p, p.grad) for i, p in enumerate(group.params) if p.grad is not None]
        if not moved:
            return []
        changed = []
        if group.steps is not None:
            steps: Tensor | int = 1
            if len(moved) < len(group.params):
                mask = np.zeros(len(group.params), group.number_dtype.numpy)
                mask[[i for i, _, _ in moved]] = 1
                steps = Tensor(mask, device=group.device)
            changed.append(group.steps.assign(group.steps + steps))
        # A row for each parameter, computed once for all of them
        numbers = {
            name: number.contiguous() if number.ndim else number
            for name, number in self._numbers(group).items()
        }
        fixed = {k: v for k, v in group.settings.items() if k not in group.tensors}
        for i, p, grad in moved:
            own = {name: _beside(n[i] if n.ndim else n, p) for name, n in numbers.items()}
            state = {name: _wide(buffer) for name, buffer in group.state[i].items()}
            grad = -_wide(grad) if group.settings["maximize"] else _wide(grad)
            value, kept = _updated(type(self), _wide(p), grad, state, own, fixed)
            changed.append(p.assign(value))
            changed += [group.state[i][name].assign(kept[name]) for name in kept]
        return changed

    def _named_state(self) -> Iterator[tuple[Tensor | None, str, Tensor]]:
        """The tensors besides the parameters, with their names: a parameter's, and a group's."""
        for group in self.param_groups:
            for p, buffers in zip(group.params, group.state, strict=True):
                yield from ((p, name, buffer) for name, buffer in buffers.items())
            yield from ((None, name, number) for name, number in group.tensors.items())
            if group.steps is not None:
                yield None, "steps", group.steps

    def _buffers(self, p: Tensor, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        """The state of a parameter before its first step, by PyTorch's names."""
        return {}

    def _numbers(self, group: ParamGroup) -> dict[str, Tensor]:
        """What `_updated` needs beside tensors of a parameter's shape: numbers of shape (), for all
        parameters, or of one axis, with a place for each."""
        return dict(group.tensors)

    @classmethod
    def _updated(
        cls,
        p: Tensor,
        grad: Tensor,
        state: Mapping[str, Tensor],
        numbers: Mapping[str, Tensor],
        settings: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A parameter's next value, and that of its state. `numbers` has those of the settings that
        may change from step to step, `settings` the others."""
        raise NotImplementedError

    # ------------------------------------------------------------------ state

    @property
    def state(self) -> dict[Tensor, dict[str, Tensor]]:
        """Each parameter's buffers and "step", the number of steps that it has taken."""
        return {
            p: {**({} if group.steps is None else {"step": group.steps[i]}), **group.state[i]}
            for group in self.param_groups
            for i, p in enumerate(group.params)
        }

    def state_dict(self) -> dict[str, Any]:
        """All state, as PyTorch lays it out; nothing in it changes with later steps:

            {"state": {0: {"step": .., "exp_avg": .., ..}, 1: .., ..},
             "param_groups": [{"params": [0, 1, ..], "lr": .., ..}, ..]}

        Parameters are numbered through all groups. One that has not been moved has no state.
        """
        state: dict[int, dict[str, Tensor]] = {}
        groups: list[dict[str, Any]] = []
        first = 0
        for group in self.param_groups:
            counts = [] if group.steps is None else group.steps.tolist()
            for i, count in enumerate(counts):
                if count:
                    step = {"step": Tensor(count)} if self._has_step else {}
                    buffers = {name: buffer.clone() for name, buffer in group.state[i].items()}
                    state[first + i] = {**step, **buffers}
            numbered = list(range(first, first + len(group.params)))
            groups.append({**dict(group.items()), "params": numbered})
            first += len(numbered)
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, of this or another optimizer, or of PyTorch's.

        Settings are taken over too. Nothing is changed if anything does not fit. Raises ValueError
        for another number of groups or parameters and for buffers that are missing, ShapeError for
        those of other shapes.
        """
        saved = state_dict["param_groups"]
        sizes = [len(group["params"]) for group in saved]
        own = [len(group.params) for group in self.param_groups]
        if sizes != own:
            raise ArgumentError(
                f"{type(self).__name__}: the state of groups of {sizes} parameters cannot be "
                f"loaded into groups of {own}"
            )
        found = []
        for group, given in zip(self.param_groups, saved, strict=True):
            settings = {key: value for key, value in given.items() if key in group.settings}
            entries = [state_dict["state"].get(number) or {} for number in given["params"]]
            found.append((group, settings, self._read(group, settings, entries)))
        for group, settings, _ in found:
            group.update(settings)
        for group, _, (steps, state) in found:
            group.load(steps, state)

    def _read(
        self, group: ParamGroup, settings: Mapping[str, Any], entries: list[Mapping[str, Any]]
    ) -> tuple[list[float], list[dict[str, Tensor]]]:
        """The counts of steps and the buffers that a group with these settings gets from a saved
        state; of a parameter without an entry, those before its first step."""
        counts, state = [], []
        for p, entry in zip(group.params, entries, strict=True):
            begun = {name: value for name, value in entry.items() if value is not None}
            buffers = self._buffers(p, {**group.settings, **settings})
            counts.append(float(begun.pop("step", 1)) if begun else 0.0)
            if begun and begun.keys() != buffers.keys():
                raise ArgumentError(
                    f"{type(self).__name__}: a parameter's state is {', '.join(buffers) or 'empty'}"
                    f", not {', '.join(begun) or 'empty'}"
                )
            for name, value in begun.items():
                buffer = value if isinstance(value, Tensor) else Tensor(np.asarray(value))
                if buffer.shape != buffers[name].shape:
                    raise ShapeError(
                        f"{type(self).__name__}: {name} of shape {buffer.shape} is not for a "
                        f"parameter of shape {p.shape}"
                    )
                buffers[name] = buffer
            state.append(buffers)
        return counts, state


class OptimizerGroup:
    """Several optimizers as one: each moves its own parameters. As in tinygrad.

    OptimizerGroup(Muon(matrices), AdamW(others)).step()

        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
        nn.optim.OptimizerGroup(nn.optim.SGD([w], lr=0.25)).step()
        w.tolist() == [0.5]
    """

    def __init__(self, *optimizers: Optimizer) -> None:
        self.optimizers = optimizers

    @property
    def params(self) -> list[Tensor]:
        """The parameters of all optimizers."""
        return [p for optimizer in self.optimizers for p in optimizer.params]

    def __getitem__(self, place: int) -> Optimizer:
        return self.optimizers[place]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the parameters' gradients, or set them to 0."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none)

    def step(self) -> None:
        """Move all parameters; what is new is computed together."""
        if changed := self.schedule_step():
            Tensor.realize(*changed)

    def schedule_step(self) -> list[Tensor]:
        """`step` without computing it: returns what is to be realized."""
        return [tensor for each in self.optimizers for tensor in each.schedule_step()]


def _is_unmarked(p: Any) -> bool:
    """Whether nobody has said that a tensor is, or is not, to be trained."""
    return type(p) is Tensor and p.is_leaf and not p.requires_grad and p.is_floating_point()


def _wide(x: Tensor) -> Tensor:
    """A tensor in the dtype that updates are computed in: 16-bit floats are rounded once."""
    return x.cast(float32) if is_low_precision(x.dtype) else x


@recalled
def _updated(optimizer: type[Optimizer], *given: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """`optimizer._updated`, whose nodes follow from the class and from what it is given: those of
    parameters of one shape are built from one template."""
    return optimizer._updated(*given)


def _beside(number: Tensor, p: Tensor) -> Tensor:
    """A number on a parameter's device, in the dtype that its update is computed in."""
    if number.device == p.device and number.dtype is p.dtype:
        return number
    return number.to(p.device).cast(_wide(p).dtype)


def with_momentum(
    step: Tensor, state: Mapping[str, Tensor], momentum: Any, nesterov: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """(velocity, the state to keep): velocity = momentum * velocity + step, and Nesterov's form
    steps by step + momentum * velocity. Without a "momentum_buffer", the step as it is."""
    if "momentum_buffer" not in state:
        return step, {}
    velocity = state["momentum_buffer"] * momentum + step
    return step + velocity * momentum if nesterov else velocity, {"momentum_buffer": velocity}


def trust_ratio(p: Tensor, step: Tensor, factor: float = 1.0, weight_decay: float = 0.0) -> Tensor:
    """factor * |p| / (|step| + weight_decay * |p|), or 1 where |p| or |step| is 0."""
    own, wanted = p.norm(), step.norm()
    usable = (own > 0) & (wanted > 0)
    size = wanted + weight_decay * own if weight_decay else wanted
    return usable.where(factor * own / usable.where(size, 1), 1)


def buffer_of(p: Tensor, value: float = 0.0) -> Tensor:
    """A buffer of a parameter's shape, dtype and device, of one value. It is in memory, not a
    constant of the graph: so the first step is the same program as those after it."""
    filled = np.full(p.shape, value, p.dtype.numpy)
    return Tensor.from_numpy(filled, device=p.device)


def number_of(p: Tensor, value: float) -> Tensor:
    """State of one number beside a parameter, of shape (), in memory."""
    kind = p.dtype.numpy if p.dtype == float64 else np.float32
    return Tensor.from_numpy(np.array(value, kind), device=p.device)
