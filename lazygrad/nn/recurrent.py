"""Cells of recurrent networks: one step each."""

from __future__ import annotations

from ..tensor import Tensor
from . import init


class _Cell:
    """The weights of `gates` linear maps of the input and of the hidden state, side by side."""

    def __init__(
        self, input_size: int, hidden_size: int, gates: int, bias: bool, device: str | None
    ) -> None:
        bound = hidden_size**-0.5
        rows = gates * hidden_size
        self.hidden_size = hidden_size
        self.weight_ih = init.uniform((rows, input_size), bound, device)
        self.weight_hh = init.uniform((rows, hidden_size), bound, device)
        self.bias_ih = init.uniform((rows,), bound, device) if bias else None
        self.bias_hh = init.uniform((rows,), bound, device) if bias else None

    def _start(self, x: Tensor) -> Tensor:
        shape = (*x.shape[:-1], self.hidden_size)
        return Tensor.zeros(*shape, dtype=x.dtype, device=x.device)


class GRUCell(_Cell):
    """A gated recurrent unit (Cho et al. 2014), with PyTorch's gates reset, update, new."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: str | None = None
    ) -> None:
        super().__init__(input_size, hidden_size, 3, bias, device)

    def __call__(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(batch, input), (batch, hidden) -> the next hidden state; the first is 0."""
        h = self._start(x) if hidden is None else hidden
        reset_x, update_x, new_x = x.linear(self.weight_ih, self.bias_ih).chunk(3, -1)
        reset_h, update_h, new_h = h.linear(self.weight_hh, self.bias_hh).chunk(3, -1)
        reset, update = (reset_x + reset_h).sigmoid(), (update_x + update_h).sigmoid()
        new = (new_x + reset * new_h).tanh()
        return new + update * (h - new)


class LSTMCell(_Cell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), with PyTorch's gates input,
    forget, cell, output."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: str | None = None
    ) -> None:
        super().__init__(input_size, hidden_size, 4, bias, device)

    def __call__(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """(batch, input), (hidden, cell) -> the next (hidden, cell); the first are 0."""
        h, c = (self._start(x), self._start(x)) if state is None else state
        gates = x.linear(self.weight_ih, self.bias_ih) + h.linear(self.weight_hh, self.bias_hh)
        enter, forget, new, leave = gates.chunk(4, -1)
        c = forget.sigmoid() * c + enter.sigmoid() * new.tanh()
        return leave.sigmoid() * c.tanh(), c
