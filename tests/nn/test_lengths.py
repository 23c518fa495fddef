"""Recurrent layers over sequences of varying lengths: few graphs, and the values of each length."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest

from lazygrad import Tensor, config, jit, nn
from lazygrad.nn.lengths import Lengths, steps_of
from lazygrad.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

LENGTHS = (7, 11, 16, 9, 3, 2)
LAYERS = {
    "rnn": lambda: nn.RNN(3, 4, nonlinearity="relu"),
    "gru": lambda: nn.GRU(3, 4, num_layers=2, batch_first=True),
    "lstm": lambda: nn.LSTM(3, 4, proj_size=2, bidirectional=True),
    "both ways": lambda: nn.GRU(3, 4, num_layers=2, bidirectional=True, bias=False),
}


def sequence(n: int, layer, batch: int = 2) -> Tensor:
    """`batch` sequences of n steps; a single one without an axis of sequences, if 0."""
    values = np.random.default_rng(n).standard_normal((n, batch or 1, 3)).astype(np.float32)
    if not batch:
        return Tensor(values[:, 0])
    return Tensor(values.swapaxes(0, 1) if layer.batch_first else values, requires_grad=True)


def results(layer, x, *start) -> list[Tensor]:
    """The outputs, the last states, and the gradients of the weights."""
    layer.zero_grad()
    output, last = layer(x, *start)
    states = list(last) if isinstance(last, tuple) else [last]
    loss = (output * output.detach().cos()).sum() + sum(s.square().sum() for s in states)
    loss.backward()
    given = [x.grad] if x.requires_grad else []
    return [output, *states, *given, *[p.grad for p in layer.parameters()]]


def alone(make, layer, x, *start) -> list[Tensor]:
    """The same, each length compiled by itself."""
    other = make()
    other.load_state_dict(layer.state_dict())
    again = Tensor(x.numpy(), requires_grad=x.requires_grad)
    with config.override(SIZES=0):
        found = results(other, again, *start)
        Tensor.realize(*found)
    return found


def assert_close(found, wanted) -> None:
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients_are_those_of_the_length_alone(name):
    make = LAYERS[name]
    layer = make()
    for n in LENGTHS:
        x = sequence(n, layer)
        assert_close(results(layer, x), alone(make, layer, x))


def test_a_first_state_of_a_single_sequence():
    make = LAYERS["gru"]
    layer = make()
    start = Tensor(np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32))
    for n in (7, 5, 6, 8):
        x = sequence(n, layer, 0)
        assert_close(results(layer, x, start), alone(make, layer, x, start))


def test_packed_sequences():
    layer, exact = nn.LSTM(3, 4, bidirectional=True), nn.LSTM(3, 4, bidirectional=True)
    exact.load_state_dict(layer.state_dict())
    for n in (5, 7, 8, 6):
        x = sequence(n, layer, 3)
        packed = pack_padded_sequence(x, [n, 1, n // 2], enforce_sorted=False)
        output, (hidden, cell) = layer(packed)
        output, _ = pad_packed_sequence(output)
        for place, length in enumerate((n, 1, n // 2)):
            one = Tensor(x.numpy()[:length, place])
            wanted, (last, last_cell) = exact(one)
            assert_close(
                [output[:length, place], hidden[:, place], cell[:, place]],
                [wanted, last, last_cell],
            )
            assert not output.numpy()[length:, place].any()


@pytest.mark.skipif(not config.OPT, reason="each size is compiled")
@pytest.mark.parametrize("captured", [False, True])
def test_many_lengths_are_compiled_a_few_times(compiled, captured):
    layer = nn.GRU(3, 4)

    def step(x):
        layer.zero_grad()
        output, _ = layer(x)
        (output * output).mean().backward()
        return [p.grad for p in layer.parameters()]

    run = jit(step) if captured else step
    for n in (20, 9, 13, 15, 10, 16, 11, 14, 12):
        x = sequence(n, layer)
        Tensor.realize(*run(Tensor(x.numpy())))
    assert len(compiled) <= 4


@pytest.mark.skipif(not config.OPT, reason="each size is compiled")
def test_a_captured_layer_does_not_run_at_lengths_between_others():
    layer, runs = nn.LSTM(3, 4), StringIO()

    @jit
    def step(x):
        runs.write(".")
        return layer(x)[0].sum()

    for n in (20, 9, 13, 15, 10, 16):
        step(sequence(n, layer))
    count = len(runs.getvalue())
    for n in (14, 11, 12):
        found, wanted = step(sequence(n, layer)), layer(sequence(n, layer))[0].sum()
        np.testing.assert_allclose(found.item(), wanted.item(), rtol=1e-4)
    assert len(runs.getvalue()) == count


def test_how_many_steps_are_taken():
    lengths = Lengths()
    assert lengths.steps(35) == 35  # the first
    assert [lengths.steps(n) for n in (33, 64, 32, 17, 2)] == [65, 65, 33, 33, 3]
    assert lengths.steps(35) == 35
    assert [lengths.steps(60) for _ in range(65)] == [65] * 64 + [60]


def test_no_sequence_is_padded_where_each_size_is_compiled(monkeypatch):
    layer = nn.GRU(3, 4)
    monkeypatch.setattr(config, "SIZES", 0)
    assert [steps_of(layer, n, "GPU") for n in (5, 7, 1)] == [5, 7, 1]


def test_a_loop_on_a_cpu_needs_no_padding():
    layer = nn.GRU(3, 4)
    assert [steps_of(layer, n, "CPU") for n in (5, 7, 1)] == [5, 7, 1]
