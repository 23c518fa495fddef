"""Recurrent networks: cells, which are one step, and layers of them over whole sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import ArgumentError, ShapeError, check_integers, check_numbers
from ..tensor import Tensor
from ..tensor.mode import autocast_dtype
from ..tensor.recall import recalled
from ..tensor.recurrence import recurrence
from . import weights
from .lengths import steps_of
from .module import Layer
from .packed import PackedSequence
from .parameter import Parameter

State = tuple[Tensor, ...]  # (hidden), or (hidden, cell)
Weights = tuple[Tensor, Tensor | None, Tensor | None]  # of the hidden state: weight, bias, proj

LayerWeights = tuple[tuple[Tensor, Tensor | None], Weights]  # of the input: weight, bias

NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {"tanh": Tensor.tanh, "relu": Tensor.relu}


def _rnn(x: Tensor, state: State, of: Weights, activation: Callable[[Tensor], Tensor]) -> State:
    """The step of Elman's network; x is the input's part of the gate."""
    weight, bias, _ = of
    return (activation(x + state[0].linear(weight, bias)),)


@recalled
def _gru(x: Tensor, state: State, of: Weights) -> State:
    """The step of a gated recurrent unit; x is the input's part of the gates."""
    (h,), (weight, bias, _) = state, of
    reset_x, update_x, new_x = x.chunk(3, -1)
    reset_h, update_h, new_h = h.linear(weight, bias).chunk(3, -1)
    reset, update = (reset_x + reset_h).sigmoid(), (update_x + update_h).sigmoid()
    new = (new_x + reset * new_h).tanh()
    return (new + update * (h - new),)


@recalled
def _lstm(x: Tensor, state: State, of: Weights) -> State:
    """The step of a long short-term memory; x is the input's part of the gates."""
    (h, c), (weight, bias, projection) = state, of
    enter, forget, new, leave = (x + h.linear(weight, bias)).chunk(4, -1)
    c = forget.sigmoid() * c + enter.sigmoid() * new.tanh()
    h = leave.sigmoid() * c.tanh()
    return (h if projection is None else h.linear(projection)), c


def _nonlinearity(layer: str, name: str) -> Callable[[Tensor], Tensor]:
    if name not in NONLINEARITIES:
        raise ArgumentError(f"{layer}: nonlinearity {name!r} is neither 'tanh' nor 'relu'")
    return NONLINEARITIES[name]


# ---------------------------------------------------------------------- cells


class RNNCellBase(Layer):
    """The weights of `gates` linear maps of the input and of the hidden state, side by side."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_integers(input_size=input_size, hidden_size=hidden_size)
        if hidden_size < 1:
            raise ArgumentError(f"hidden_size {hidden_size} is not above 0")
        bound, rows = hidden_size**-0.5, num_chunks * hidden_size
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias

        def drawn(*shape: int) -> Parameter:
            return weights.uniform(shape, bound, device, dtype)

        self.weight_ih = drawn(rows, input_size)
        self.weight_hh = drawn(rows, hidden_size)
        self.bias_ih = drawn(rows) if bias else None
        self.bias_hh = drawn(rows) if bias else None

    def _gates(self, x: Tensor) -> Tensor:
        """The input's part of the gates."""
        if x.ndim not in (1, 2):
            raise ShapeError(f"input {x.shape} is neither (batch, features) nor (features,)")
        return x.linear(self.weight_ih, self.bias_ih)

    def _start(self, x: Tensor) -> Tensor:
        shape = (*x.shape[:-1], self.hidden_size)
        return Tensor.zeros(*shape, dtype=x.dtype, device=x.device)

    @property
    def _of(self) -> Weights:
        return self.weight_hh, self.bias_hh, None

    def extra_repr(self) -> str:
        shown = f"{self.input_size}, {self.hidden_size}" + ", bias=False" * (not self.bias)
        way = getattr(self, "nonlinearity", "tanh")
        return shown if way == "tanh" else f"{shown}, nonlinearity={way}"


class RNNCell(RNNCellBase):
    """h = tanh(W_ih x + b_ih + W_hh h + b_hh) (Elman 1990), or with relu for `nonlinearity`.

    RNNCell(3, 4)(Tensor.ones(2, 3)).shape == (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity
        self._activation = _nonlinearity("RNNCell", nonlinearity)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(batch, input), (batch, hidden) -> the next hidden state; the first is 0."""
        h = self._start(input) if hx is None else hx
        return _rnn(self._gates(input), (h,), self._of, self._activation)[0]

    if TYPE_CHECKING:
        __call__ = forward


class GRUCell(RNNCellBase):
    """A gated recurrent unit (Cho et al. 2014), with PyTorch's gates reset, update, new.

    GRUCell(3, 4)(Tensor.ones(2, 3)).shape == (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(batch, input), (batch, hidden) -> the next hidden state; the first is 0."""
        h = self._start(input) if hx is None else hx
        return _gru(self._gates(input), (h,), self._of)[0]

    if TYPE_CHECKING:
        __call__ = forward


class LSTMCell(RNNCellBase):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), with PyTorch's gates input,
    forget, cell, output.

        [x.shape for x in LSTMCell(3, 4)(Tensor.ones(2, 3))] == [(2, 4), (2, 4)]
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """(batch, input), (hidden, cell) -> the next (hidden, cell); the first are 0."""
        state = (self._start(input), self._start(input)) if hx is None else hx
        h, c = _lstm(self._gates(input), state, self._of)
        return h, c

    if TYPE_CHECKING:
        __call__ = forward


# ---------------------------------------------------------------------- layers


@partial(recalled, any_size=True)
def _run_layers(
    kind: type[RNNBase],
    x: Tensor,
    start: State,
    batch: int | None,
    every: Sequence[LayerWeights],
    directions: int,
    dropout: float,
    nonlinearity: str,
    lengths: Any,
    steps: int,
) -> tuple[Tensor, State]:
    """The outputs of the last layer, and the last states of all. `batch` and `lengths` are as in
    `_run_padded`, `steps` is the length of the loop (lengths.py)."""
    if batch is None:
        x, start = x.unsqueeze(1), tuple(state.unsqueeze(1) for state in start)
    elif batch == 0:
        x = x.transpose(0, 1)
    counted = _counted(x, lengths, steps)
    last: list[State] = []
    while len(last) < len(every):
        if last:
            x = x.dropout(dropout)
        outputs = []
        for direction in range(directions):
            first = tuple(state[len(last)] for state in start)
            step = partial(kind._step, of=every[len(last)][1], nonlinearity=nonlinearity)
            gates = x.linear(*every[len(last)][0])
            output, state = _run_one(step, gates, first, direction == 1, counted)
            outputs.append(output)
            last.append(state)
        x = outputs[0] if directions == 1 else Tensor.cat(*outputs, axis=-1)
    ends = tuple(Tensor.stack(*states) for states in zip(*last, strict=True))
    if batch is None:
        return x.squeeze(1), tuple(end.squeeze(1) for end in ends)
    return x.transpose(0, 1) if batch == 0 else x, ends


def _counted(x: Tensor, lengths: Any, steps: int) -> Tensor | None:
    """For each step which sequences have it, (steps, batch, 1), or (steps, 1, 1) where all have the
    same; None where all have all."""
    length = x.shape[0]
    if lengths is not None:
        return Tensor(np.arange(steps)[:, None, None] < lengths[:, None], device=x.device)
    if steps == length:
        return None
    inside = Tensor.ones(length, dtype=bool, device=x.device).pad((0, steps - length))
    return inside.reshape(steps, 1, 1).contiguous()


def _run_one(
    step: Callable[[Tensor, State], State],
    x: Tensor,
    state: State,
    backwards: bool,
    counted: Tensor | None,
) -> tuple[Tensor, State]:
    """One layer in one direction. x is the input's part of the gates, of all steps. A sequence
    keeps its state in steps that are not `counted`. x is padded to as many steps."""
    length, steps = x.shape[0], x.shape[0] if counted is None else counted.shape[0]
    if steps > length:  # in memory, so that the kernels of all steps are the same
        x = x.pad((*[(0, 0)] * (x.ndim - 1), (0, steps - length))[::-1]).contiguous()
    if x.shape[0] == 1 and counted is None:
        state = step(x[0], state)
        return state[0].unsqueeze(0), state

    def trace(state: Sequence[Tensor], rows: Sequence[Tensor]) -> tuple[State, State]:
        gates, *inside = rows
        new = step(gates, tuple(state))
        if inside:
            new = tuple(inside[0].where(*each) for each in zip(new, state, strict=True))
        return new, ()

    if autocast_dtype.get() is not None:  # a step may give states of another dtype
        wanted = [new.dtype for new in step(x[0], state)]
        state = tuple(old.cast(dtype) for old, dtype in zip(state, wanted, strict=True))
    series = [x] if counted is None else [x, counted]
    lasts, (output, *_) = recurrence("recurrent layer", trace, state, series, steps, backwards)
    if steps > length:
        output = output.contiguous().contiguous_backward()[:length]
    return output, tuple(lasts)


class RNNBase(Layer):
    """Layers of cells over a sequence, with PyTorch's shapes and names of parameters.

    The input is (length, batch, input_size), or (batch, length, input_size) if `batch_first`, or
    (length, input_size). With `bidirectional`, a second cell of each layer goes backwards, and its
    outputs stand beside the first's. `dropout` is between layers, in training.
    """

    _chunks: ClassVar[int]
    _states: ClassVar[int] = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_integers(
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            proj_size=proj_size,
        )
        check_numbers(dropout=dropout)
        if num_layers < 1 or not 0 <= dropout <= 1:
            raise ArgumentError(
                f"num_layers {num_layers} is below 1, or dropout {dropout} no probability"
            )
        if proj_size and self._states == 1:
            raise ArgumentError("proj_size is of LSTM only")
        if not 0 <= proj_size < hidden_size:
            raise ArgumentError(
                f"proj_size {proj_size} is not from 0 to below hidden_size {hidden_size}"
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.dropout, self.bias = batch_first, dropout, bias
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._directions = ["", "_reverse"] if bidirectional else [""]
        self._output_size = proj_size or hidden_size
        bound, rows = hidden_size**-0.5, self._chunks * hidden_size
        for layer in range(num_layers):
            width = self._output_size * len(self._directions) if layer else input_size
            for direction in self._directions:
                end = f"_l{layer}{direction}"
                shapes: dict[str, tuple[int, ...]] = {}
                shapes["weight_ih"] = rows, width
                shapes["weight_hh"] = rows, self._output_size
                if bias:
                    shapes["bias_ih"] = shapes["bias_hh"] = (rows,)
                if proj_size:
                    shapes["weight_hr"] = proj_size, hidden_size
                for start, shape in shapes.items():
                    setattr(self, start + end, weights.uniform(shape, bound, device, dtype))

    def flatten_parameters(self) -> None:
        """Nothing: the compiler lays memory out itself."""

    @staticmethod
    def _step(x: Tensor, state: State, of: Weights, nonlinearity: str) -> State:
        """The next state; x is the input's part of the gates."""
        raise NotImplementedError

    def _run(self, x: Any, start: State | None) -> tuple[Any, State]:
        """(outputs of the last layer, last states (layers * directions, batch, hidden)). Of packed
        sequences the outputs are packed, too."""
        if isinstance(x, PackedSequence):
            padded, ends = self._run_padded(x.padded(), start, 1, x.lengths)
            return x.with_padded(padded), ends
        return self._run_padded(x, start, None if x.ndim == 2 else 0 if self.batch_first else 1)

    def _run_padded(
        self, x: Tensor, start: State | None, batch: int | None, lengths: Any = None
    ) -> tuple[Tensor, State]:
        """`_run` of sequences side by side along the axis `batch`; None for one sequence. `lengths`
        says how many steps of each sequence count; its state stays as it is in the others."""
        name = type(self).__name__
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(f"{name}: input {x.shape} is no sequence of {self.input_size} values")
        length = x.shape[1 if batch == 0 else 0]
        if not length:
            raise ShapeError(f"{name}: the sequence {x.shape} is empty")
        beside = () if batch is None else (x.shape[batch],)
        sizes = (self._output_size, self.hidden_size)[: self._states]
        states = self.num_layers * len(self._directions)
        shapes = [(states, *beside, size) for size in sizes]
        if start is None:
            start = tuple(Tensor.zeros(s, dtype=x.dtype, device=x.device) for s in shapes)
        if [state.shape for state in start] != shapes:
            told = " and ".join(str(state.shape) for state in start)
            wanted = " and ".join(map(str, dict.fromkeys(shapes)))
            raise ShapeError(f"{name}: the first state is {told}, not {wanted}")
        every = [
            self._weights(f"_l{layer}{direction}")
            for layer in range(self.num_layers)
            for direction in self._directions
        ]
        settings = len(self._directions), self.dropout, getattr(self, "nonlinearity", "tanh")
        steps = steps_of(self, length, x.device)
        return _run_layers(type(self), x, start, batch, every, *settings, lengths, steps)

    def _weights(self, end: str) -> LayerWeights:
        """The weights of one layer in one direction."""

        def held(name: str) -> Any:
            return getattr(self, name + end, None)

        of_state = held("weight_hh"), held("bias_hh"), held("weight_hr")
        return (held("weight_ih"), held("bias_ih")), of_state

    def extra_repr(self) -> str:
        shown = [f"{self.input_size}, {self.hidden_size}"]
        usual = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False,
                 "dropout": 0.0, "bidirectional": False}  # fmt: skip
        shown += [
            f"{name}={getattr(self, name)}"
            for name, value in usual.items()
            if getattr(self, name) != value
        ]
        return ", ".join(shown)


class _OneState(RNNBase):
    """What RNN and GRU share: the state is one tensor."""

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """(outputs of all steps, last hidden states); the first hidden states are 0. Of a
        `PackedSequence` the outputs are one, too."""
        output, (last,) = self._run(input, None if hx is None else (hx,))
        return output, last

    if TYPE_CHECKING:
        __call__ = forward


class RNN(_OneState):
    """Layers of `RNNCell` over a sequence; `nonlinearity` "tanh" or "relu".

    RNN(3, 4)(Tensor.ones(5, 2, 3))[0].shape == (5, 2, 4)
    """

    _chunks = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        _nonlinearity("RNN", nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0,
            device, dtype,
        )  # fmt: skip

    @staticmethod
    def _step(x: Tensor, state: State, of: Weights, nonlinearity: str) -> State:
        return _rnn(x, state, of, NONLINEARITIES[nonlinearity])


class GRU(_OneState):
    """Layers of `GRUCell` over a sequence.

    GRU(3, 4, num_layers=2)(Tensor.ones(5, 2, 3))[1].shape == (2, 2, 4)
    """

    _chunks = 3

    @staticmethod
    def _step(x: Tensor, state: State, of: Weights, nonlinearity: str) -> State:
        return _gru(x, state, of)


class LSTM(RNNBase):
    """Layers of `LSTMCell` over a sequence. With `proj_size`, a linear map of that size follows
    each cell's hidden state (Sak et al. 2014).

        LSTM(3, 4)(Tensor.ones(5, 2, 3))[0].shape == (5, 2, 4)
    """

    _chunks = 4
    _states = 2

    @staticmethod
    def _step(x: Tensor, state: State, of: Weights, nonlinearity: str) -> State:
        return _lstm(x, state, of)

    def forward(
        self, input: Any, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        """(outputs of all steps, (last hidden states, last cell states)); the first are 0. Of a
        `PackedSequence` the outputs are one, too."""
        output, (hidden, cell) = self._run(input, hx)
        return output, (hidden, cell)

    if TYPE_CHECKING:
        __call__ = forward
