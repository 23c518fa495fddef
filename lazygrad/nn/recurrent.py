"""Recurrent networks: cells, which are one step, and layers of them over whole sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import ShapeError
from ..tensor import Tensor
from . import weights
from .module import Layer

State = tuple[Tensor, ...]  # (hidden), or (hidden, cell)


def _gru(x: Tensor, h: Tensor, weight: Tensor, bias: Tensor | None) -> State:
    """The step of a gated recurrent unit; x is the input's part of the gates."""
    reset_x, update_x, new_x = x.chunk(3, -1)
    reset_h, update_h, new_h = h.linear(weight, bias).chunk(3, -1)
    reset, update = (reset_x + reset_h).sigmoid(), (update_x + update_h).sigmoid()
    new = (new_x + reset * new_h).tanh()
    return (new + update * (h - new),)


def _lstm(x: Tensor, h: Tensor, c: Tensor, weight: Tensor, bias: Tensor | None) -> State:
    """The step of a long short-term memory; x is the input's part of the gates."""
    enter, forget, new, leave = (x + h.linear(weight, bias)).chunk(4, -1)
    c = forget.sigmoid() * c + enter.sigmoid() * new.tanh()
    return leave.sigmoid() * c.tanh(), c


class _Cell(Layer):
    """The weights of `gates` linear maps of the input and of the hidden state, side by side."""

    def __init__(
        self, input_size: int, hidden_size: int, gates: int, bias: bool, device: str | None
    ) -> None:
        bound = hidden_size**-0.5
        rows = gates * hidden_size
        self.hidden_size = hidden_size
        self.weight_ih = weights.uniform((rows, input_size), bound, device)
        self.weight_hh = weights.uniform((rows, hidden_size), bound, device)
        self.bias_ih = weights.uniform((rows,), bound, device) if bias else None
        self.bias_hh = weights.uniform((rows,), bound, device) if bias else None

    def _start(self, x: Tensor) -> Tensor:
        shape = (*x.shape[:-1], self.hidden_size)
        return Tensor.zeros(*shape, dtype=x.dtype, device=x.device)


class RNNCell(_Cell):
    """h = tanh(W_ih x + b_ih + W_hh h + b_hh) (Elman 1990)."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: str | None = None
    ) -> None:
        super().__init__(input_size, hidden_size, 1, bias, device)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(batch, input), (batch, hidden) -> the next hidden state; the first is 0."""
        h = self._start(x) if hidden is None else hidden
        return (
            x.linear(self.weight_ih, self.bias_ih) + h.linear(self.weight_hh, self.bias_hh)
        ).tanh()

    if TYPE_CHECKING:
        __call__ = forward


class GRUCell(_Cell):
    """A gated recurrent unit (Cho et al. 2014), with PyTorch's gates reset, update, new."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: str | None = None
    ) -> None:
        super().__init__(input_size, hidden_size, 3, bias, device)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(batch, input), (batch, hidden) -> the next hidden state; the first is 0."""
        h = self._start(x) if hidden is None else hidden
        gates = x.linear(self.weight_ih, self.bias_ih)
        return _gru(gates, h, self.weight_hh, self.bias_hh)[0]

    if TYPE_CHECKING:
        __call__ = forward


class LSTMCell(_Cell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), with PyTorch's gates input,
    forget, cell, output."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: str | None = None
    ) -> None:
        super().__init__(input_size, hidden_size, 4, bias, device)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """(batch, input), (hidden, cell) -> the next (hidden, cell); the first are 0."""
        h, c = (self._start(x), self._start(x)) if state is None else state
        gates = x.linear(self.weight_ih, self.bias_ih)
        h, c = _lstm(gates, h, c, self.weight_hh, self.bias_hh)
        return h, c

    if TYPE_CHECKING:
        __call__ = forward


class _Recurrent(Layer):
    """Layers of cells over a sequence, with PyTorch's shapes and names of parameters.

    The input is (length, batch, input_size), or (batch, length, input_size) if `batch_first`, or
    (length, input_size). With `bidirectional`, a second cell of each layer goes backwards, and its
    outputs stand beside the first's. `dropout` is between layers, in training.
    """

    _gates: int
    _states = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
    ) -> None:
        if num_layers < 1 or not 0 <= dropout <= 1:
            raise ValueError(
                f"{type(self).__name__}: {num_layers} layers, with a dropout of {dropout}"
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.dropout, self.bias = batch_first, dropout, bias
        self.directions = ["", "_reverse"] if bidirectional else [""]
        bound, rows = hidden_size**-0.5, self._gates * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * len(self.directions)
            for direction in self.directions:
                end = f"_l{layer}{direction}"
                setattr(self, f"weight_ih{end}", weights.uniform((rows, width), bound, device))
                setattr(
                    self, f"weight_hh{end}", weights.uniform((rows, hidden_size), bound, device)
                )
                if bias:
                    setattr(self, f"bias_ih{end}", weights.uniform((rows,), bound, device))
                    setattr(self, f"bias_hh{end}", weights.uniform((rows,), bound, device))

    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        """The next state; x is the input's part of the gates."""
        raise NotImplementedError

    def _run(self, x: Tensor, start: State | None) -> tuple[Tensor, State]:
        """(outputs of the last layer, last states (layers * directions, batch, hidden))."""
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__}: input {x.shape} is no sequence of {self.input_size} values"
            )
        single = x.ndim == 2
        x = x.unsqueeze(1) if single else x.transpose(0, 1) if self.batch_first else x
        shape = (self.num_layers * len(self.directions), x.shape[1], self.hidden_size)
        if start is None:
            zeros = Tensor.zeros(shape, dtype=x.dtype, device=x.device)
            start = (zeros,) * self._states
        elif single:
            start = tuple(state.unsqueeze(1) for state in start)
        if any(state.shape != shape for state in start):
            told = " and ".join(str(state.shape) for state in start)
            raise ShapeError(f"{type(self).__name__}: the first state is {told}, not {shape}")
        last: list[State] = []
        for layer in range(self.num_layers):
            if layer:
                x = x.dropout(self.dropout)
            outputs = []
            for direction in self.directions:
                first = tuple(state[len(last)] for state in start)
                output, state = self._run_one(x, first, layer, direction)
                outputs.append(output)
                last.append(state)
            x = outputs[0] if len(outputs) == 1 else Tensor.cat(*outputs, axis=-1)
        ends = tuple(Tensor.stack(*states) for states in zip(*last, strict=True))
        if single:
            return x.squeeze(1), tuple(end.squeeze(1) for end in ends)
        return (x.transpose(0, 1) if self.batch_first else x), ends

    def _run_one(self, x: Tensor, state: State, layer: int, direction: str) -> tuple[Tensor, State]:
        """One layer in one direction: the input's part of all steps at once, then step by step."""
        end = f"_l{layer}{direction}"
        weight, bias = getattr(self, f"weight_hh{end}"), getattr(self, f"bias_hh{end}", None)
        gates = x.linear(getattr(self, f"weight_ih{end}"), getattr(self, f"bias_ih{end}", None))
        steps = gates.unbind(0)
        outputs = []
        for step in reversed(steps) if direction else steps:
            state = self._step(step, state, weight, bias)
            outputs.append(state[0])
        if not outputs:
            raise ShapeError(f"{type(self).__name__}: the sequence {x.shape} is empty")
        return Tensor.stack(*(outputs[::-1] if direction else outputs)), state


class RNN(_Recurrent):
    """Layers of `RNNCell` over a sequence; `nonlinearity` "tanh" or "relu"."""

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        **options: Any,
    ) -> None:
        ways: dict[str, Callable[[Tensor], Tensor]] = {"tanh": Tensor.tanh, "relu": Tensor.relu}
        if nonlinearity not in ways:
            raise ValueError(f"RNN: nonlinearity {nonlinearity!r} is neither 'tanh' nor 'relu'")
        self.nonlinearity = nonlinearity
        self._activation = ways[nonlinearity]
        super().__init__(input_size, hidden_size, num_layers, **options)

    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        return (self._activation(x + state[0].linear(weight, bias)),)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(outputs of all steps, last hidden states); the first hidden states are 0."""
        output, (last,) = self._run(x, None if hidden is None else (hidden,))
        return output, last

    if TYPE_CHECKING:
        __call__ = forward


class GRU(_Recurrent):
    """Layers of `GRUCell` over a sequence."""

    _gates = 3

    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        return _gru(x, state[0], weight, bias)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(outputs of all steps, last hidden states); the first hidden states are 0."""
        output, (last,) = self._run(x, None if hidden is None else (hidden,))
        return output, last

    if TYPE_CHECKING:
        __call__ = forward


class LSTM(_Recurrent):
    """Layers of `LSTMCell` over a sequence."""

    _gates = 4
    _states = 2

    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        return _lstm(x, state[0], state[1], weight, bias)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(outputs of all steps, (last hidden states, last cell states)); the first are 0."""
        output, (hidden, cell) = self._run(x, state)
        return output, (hidden, cell)

    if TYPE_CHECKING:
        __call__ = forward
