"""Optimizers: they move parameters against their gradients. Numerics are PyTorch's.

    optimizer = Adam(get_parameters(model), lr=1e-3)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

`step` computes every new parameter and all state in one go, so the compiler sees the forward pass,
the backward pass and the updates together, and it can be captured by `jit` with them. The learning
rate is a tensor, so changing it (`optimizer.lr = 1e-4`) compiles nothing anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from ..tensor import Tensor

Clock = TypeVar("Clock")


class Optimizer:
    """What all optimizers share. `params` may hold tensors that require no gradient: they stay."""

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        if not lr >= 0:
            raise ValueError(f"{type(self).__name__}: a learning rate is not negative, as {lr} is")
        distinct = {id(p): p for p in params}.values()
        self.params = [p for p in distinct if p.requires_grad]
        if not self.params:
            raise ValueError(f"{type(self).__name__}: no parameter requires gradient")
        self._lr = self._scalar(lr)
        self._begun: set[int] = set()  # the indices of the parameters that have moved before

    def _scalar(self, value: float) -> Tensor:
        """State of one number, beside the parameters."""
        return Tensor(float(value), device=self.params[0].device)

    @property
    def lr(self) -> Tensor:
        """The learning rate, a tensor of shape ()."""
        return self._lr

    @lr.setter
    def lr(self, value: float | Tensor) -> None:
        self._lr.assign(value)

    def zero_grad(self) -> None:
        """Forget the parameters' gradients."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient; compute them and all state together."""
        with Tensor.no_grad():
            moved = [(i, p, p.grad) for i, p in enumerate(self.params) if p.grad is not None]
            if not moved:
                return
            state = self._advance([i for i, _, _ in moved])
            for i, p, grad in moved:
                state += self._update(i, p, grad)
        Tensor.realize(*(p for _, p, _ in moved), *state)

    def _advance(self, moved: list[int]) -> list[Tensor]:
        """Move on what the parameters of these indices share; return it."""
        return []

    def _clocks(self, clocks: list[Clock], moved: list[int]) -> list[Clock]:
        """The clocks (one a parameter) of the parameters that move, each once.

        Parameters whose first step is the same share the first one's clock from then on, those of a
        new optimizer whose state was loaded too. They never part again: a captured step goes on
        with the clocks that it was captured with.
        """
        first = [i for i in moved if i not in self._begun]
        for i in first:
            clocks[i] = clocks[first[0]]
        self._begun.update(first)
        return list({id(clocks[i]): clocks[i] for i in moved}.values())

    def _update(self, index: int, p: Tensor, grad: Tensor) -> list[Tensor]:
        """Assign parameter `index` its next value; return its state."""
        raise NotImplementedError

    def _like_params(self) -> list[Tensor]:
        """Zeros of each parameter's shape, dtype and device."""
        return [Tensor.zeros(p.shape, dtype=p.dtype, device=p.device) for p in self.params]


def _beside(number: Tensor, p: Tensor) -> Tensor:
    """A tensor of one number in p's dtype and on p's device."""
    return number.to(p.device).cast(p.dtype)


class SGD(Optimizer):
    """p -= lr * v, where v = momentum * v + (1 - dampening) * g, and g includes weight_decay * p.

    The first v is g. Nesterov's form steps by g + momentum * v instead.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD: nesterov needs a momentum, and no dampening")
        self.momentum, self.dampening = momentum, dampening
        self.weight_decay, self.nesterov = weight_decay, nesterov
        self.velocity = self._like_params() if momentum else []
        # 1 until a parameter's first step, whose velocity is the whole gradient; a tensor, so that
        # the first step and the later ones are one computation
        self.first = [self._scalar(1.0) for _ in self.params] if momentum and dampening else []

    def _update(self, index: int, p: Tensor, grad: Tensor) -> list[Tensor]:
        if self.weight_decay:
            grad = grad + p * self.weight_decay
        state: list[Tensor] = []
        if self.momentum:
            velocity = self.velocity[index]
            share: Tensor | float = 1 - self.dampening
            if self.dampening:
                first = self.first[index]
                share = share + _beside(first, p) * self.dampening
                state.append(first.assign(first * 0))
            new = velocity * self.momentum + grad * share
            grad = grad + new * self.momentum if self.nesterov else new
            state.append(velocity.assign(new))
        p.assign(p - grad * _beside(self._lr, p))
        return state


class Adam(Optimizer):
    """p -= lr * m' / (sqrt(v') + eps): m and v are running means of g and g*g, m' and v' those
    corrected for their start at 0 (Kingma and Ba 2015).

    `weight_decay` adds to the gradient, or, `decoupled`, shrinks the parameter by lr * weight_decay
    (Loshchilov and Hutter 2019). `amsgrad` divides by the largest v so far.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        decoupled: bool = False,
    ) -> None:
        super().__init__(params, lr)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{type(self).__name__}: betas are in [0, 1), not {betas}")
        self.betas, self.eps = betas, eps
        self.weight_decay, self.decoupled = weight_decay, decoupled
        self.mean, self.square = self._like_params(), self._like_params()
        self.largest = self._like_params() if amsgrad else []
        # 1 - beta ** steps, moved on as a running mean of ones: 1 minus a power, in float32, would
        # lose its digits to cancellation in the first steps
        self.corrections = [(self._scalar(0.0), self._scalar(0.0)) for _ in self.params]

    def _advance(self, moved: list[int]) -> list[Tensor]:
        return [
            correction.assign(correction * beta + (1 - beta))
            for pair in self._clocks(self.corrections, moved)
            for correction, beta in zip(pair, self.betas, strict=True)
        ]

    def _update(self, index: int, p: Tensor, grad: Tensor) -> list[Tensor]:
        beta1, beta2 = self.betas
        lr = _beside(self._lr, p)
        old = p
        if self.decoupled:
            old = old * (1 - lr * self.weight_decay)
        elif self.weight_decay:
            grad = grad + old * self.weight_decay
        mean = self.mean[index].assign(self.mean[index] * beta1 + grad * (1 - beta1))
        square = self.square[index].assign(self.square[index] * beta2 + grad * grad * (1 - beta2))
        state = [mean, square]
        root = square
        if self.largest:
            root = self.largest[index].assign(self.largest[index].maximum(square))
            state.append(root)
        correction1, correction2 = (
            _beside(correction, p) for correction in self.corrections[index]
        )
        size = root.sqrt() / correction2.sqrt() + self.eps
        p.assign(old - (lr / correction1) * (mean / size))
        return state


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, decoupled=True)


class RMSprop(Optimizer):
    """p -= lr * g / (sqrt(v) + eps), where v is a running mean of g*g; with momentum, that step
    is accumulated first. `centered` subtracts the running mean of g, squared, from v."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(params, lr)
        self.alpha, self.eps, self.weight_decay, self.momentum = alpha, eps, weight_decay, momentum
        self.square = self._like_params()
        self.velocity = self._like_params() if momentum else []
        self.mean = self._like_params() if centered else []

    def _update(self, index: int, p: Tensor, grad: Tensor) -> list[Tensor]:
        if self.weight_decay:
            grad = grad + p * self.weight_decay
        square = self.square[index]
        square.assign(square * self.alpha + grad * grad * (1 - self.alpha))
        state = [square]
        spread = square
        if self.mean:
            mean = self.mean[index]
            mean.assign(mean * self.alpha + grad * (1 - self.alpha))
            state.append(mean)
            spread = square - mean * mean
        move = grad / (spread.sqrt() + self.eps)
        if self.momentum:
            velocity = self.velocity[index]
            move = velocity.assign(velocity * self.momentum + move)
            state.append(velocity)
        p.assign(p - move * _beside(self._lr, p))
        return state


class Adagrad(Optimizer):
    """p -= lr * g / (sqrt(v) + eps), where v is the sum of all g*g (Duchi et al. 2011)."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(params, lr)
        self.lr_decay, self.weight_decay, self.eps = lr_decay, weight_decay, eps
        self.total = [
            Tensor.full(p.shape, initial_accumulator_value, dtype=p.dtype, device=p.device)
            for p in self.params
        ]
        self.steps = [self._scalar(-1.0) for _ in self.params]

    def _advance(self, moved: list[int]) -> list[Tensor]:
        return [steps.assign(steps + 1) for steps in self._clocks(self.steps, moved)]

    def _update(self, index: int, p: Tensor, grad: Tensor) -> list[Tensor]:
        if self.weight_decay:
            grad = grad + p * self.weight_decay
        total = self.total[index].assign(self.total[index] + grad * grad)
        lr = _beside(self._lr / (self.steps[index] * self.lr_decay + 1), p)
        p.assign(p - lr * grad / (total.sqrt() + self.eps))
        return [total]


class LAMB(Adam):
    """AdamW whose step of each parameter is scaled to that parameter's norm (You et al. 2020).

    The step is r = m' / (sqrt(v') + eps) + weight_decay * p, times |p| / |r|, or 1 where either
    norm is 0; p -= lr * step.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def _update(self, index: int, p: Tensor, grad: Tensor) -> list[Tensor]:
        beta1, beta2 = self.betas
        mean = self.mean[index].assign(self.mean[index] * beta1 + grad * (1 - beta1))
        square = self.square[index].assign(self.square[index] * beta2 + grad * grad * (1 - beta2))
        correction1, correction2 = (
            _beside(correction, p) for correction in self.corrections[index]
        )
        step = (mean / correction1) / ((square / correction2).sqrt() + self.eps)
        step = step + p * self.weight_decay
        own, wanted = p.norm(), step.norm()
        usable = (own > 0) & (wanted > 0)
        trust = usable.where(own / usable.where(wanted, 1), 1)
        p.assign(p - step * trust * _beside(self._lr, p))
        return [mean, square]
