"""explain says what was fused and why, why a call was compiled again, and what stands in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lazygrad import Tensor, TinyJit, nn
from lazygrad.decisions import Capture, Compilation, Replay
from lazygrad.explain import Explanation, explain
from lazygrad.explain.peak import peak_of
from lazygrad.graph.ir import Buffer
from lazygrad.helpers import Context
from lazygrad.looking import looking


def floats(*shape: int) -> Tensor:
    return Tensor(np.ones(shape, np.float32)).realize()


def lines(explanation: Explanation) -> list[str]:
    return [line.strip() for line in explanation.details().splitlines()]


def one(explanation: Explanation, *words: str) -> str:
    """The one line that has all these words."""
    found = [line for line in lines(explanation) if all(word in line for word in words)]
    assert len(found) == 1, f"{words} in {len(found)} lines of\n{explanation.details()}"
    return found[0]


# --------------------------------------------------------------------------- what is fused


def test_it_says_what_is_fused_and_what_is_not() -> None:
    def attend(x: Tensor) -> Tensor:
        return (x @ x).relu().softmax(1)

    found = explain(attend, floats(71, 71))
    assert isinstance(found, Explanation)
    assert "on CPU: 2 kernels" in one(found, "on CPU:")
    assert one(found, "where: reads the results of the kernel element by element").startswith("+")
    refused = one(found, "max is not in kernel 1")
    assert "each of its elements reads several elements of that" in refused
    assert "20.2 kB are written and read between them" in refused  # 71 * 71 * 4 bytes
    assert one(found, "kernel 1  matmul_relu").endswith("contraction, 715.8 kFLOP, 40.3 kB")
    assert any(
        line.startswith("test_explain.py:") and "softmax(1)" in line for line in lines(found)
    )


def test_a_chain_says_what_it_saves() -> None:
    q, k, v = (floats(4, 4, 512, 32) for _ in range(3))
    found = explain(lambda q, k, v: q.scaled_dot_product_attention(k, v), q, k, v, calls=1)
    line = one(found, "slices, so that what they pass on stays in the caches")
    assert "kernels, one after another for each of " in line


def test_costs_are_those_of_the_scheduler() -> None:
    """A dear value that three sums read is stored; a cheap one is computed again by both."""

    def dear(x: Tensor) -> list[Tensor]:
        y = x.exp().sin().tanh()
        return [y.sum(0), y.T.sum(0), y.max(0)]

    found = explain(dear, floats(64, 32))
    (part,) = found.compilations[0].parts
    chosen = [c for c in part.memory.values() if c.is_stored and c.inline]
    assert any(c.inline > c.store > 0 for c in chosen)
    assert "tanh" in one(found, "tanh of kernel", "instead of")
    again = explain(lambda x: [(x + 1).sum(0), (x + 1).T.max(0)], floats(64, 32))
    assert one(again, "add", "instead of")
    (part,) = again.compilations[0].parts
    cheap = [c for c in part.memory.values() if not c.is_stored and c.readers > 1]
    assert all(0 < c.inline <= c.store for c in cheap)


def test_nothing_is_noted_when_nobody_looks() -> None:
    assert looking.get() is None
    explain(lambda x: x + 1, floats(3))
    assert looking.get() is None
    with pytest.raises(ZeroDivisionError):
        explain(lambda x: 1 / 0, floats(3))
    assert looking.get() is None


# --------------------------------------------------------------------------- compiled again


def test_a_second_call_with_the_same_kind_compiles_nothing() -> None:
    found = explain(lambda x: x * 3 + 1, floats(19), calls=2)
    assert "call 2: nothing is computed: the values are there already" in lines(found)
    sizes = iter([floats(19), floats(19)])
    found = explain(lambda: next(sizes) * 3 - 1)
    assert "call 2: nothing is compiled again" in lines(found)


def test_a_new_shape_is_named() -> None:
    def double(x: Tensor) -> Tensor:
        return (x * 2).tanh()

    double(floats(32, 10)).realize()
    found = explain(double, floats(33, 10), calls=1)
    assert one(found, "compiled:").endswith(
        "x is float32(33, 10) on CPU, the nearest before float32(32, 10) on CPU"
    )
    assert one(explain(double, floats(33, 10), calls=1), "compiled before")


def test_a_new_dtype_is_named() -> None:
    (floats(23) * 2).sin().realize()
    found = explain(lambda x: (x * 2).sin(), floats(23).half().realize(), calls=1)
    assert "float16(23) on CPU, the nearest before float32(23) on CPU" in str(found)


def test_a_number_that_changes_is_named() -> None:
    def power(x: Tensor, n: float) -> Tensor:
        return (x**n).tanh().sum()

    power(floats(29), 2.25).realize()
    found = explain(power, floats(29), 3.25, calls=1)
    assert "a constant is 3.25" in one(found, "compiled:")
    assert "the nearest before 2.25" in one(found, "compiled:")


def test_an_axis_that_grows_is_told_of() -> None:
    cache = floats(1, 6)

    def append(new: Tensor) -> Tensor:
        nonlocal cache
        cache = cache.cat(new).realize()
        return cache

    with Context(SIZES=0):
        found = explain(append, floats(1, 6), calls=4)
    (line,) = {x for x in lines(found) if "(1, 2, 3, 4)" in x}
    assert line.startswith("hint: axis 0 of ")
    assert line.endswith("compiled anew; write into a tensor of the largest size instead")


def test_a_graph_that_grows_is_told_of_with_its_line() -> None:
    """A state that is kept as an expression, where another value is asked for."""
    state = floats(7)

    def step(x: Tensor) -> Tensor:
        nonlocal state
        state = state * x + 1
        return (state * state).sum()

    line = one(explain(step, floats(7)), "the graph has grown from")
    assert "state = state * x + 1" in line
    assert line.endswith("in the call before is computed again; realize() there keeps its value")


def test_a_loop_that_is_one_graph_is_told_of() -> None:
    def chain(x: Tensor) -> Tensor:
        h = x
        for _ in range(20):
            h = (h * x + 1).tanh()
        return h

    line = one(explain(chain, floats(8)), "a loop of 20 turns is one graph")
    assert "h = (h * x + 1).tanh()" in line
    assert line.endswith("with realize() in the loop a turn is compiled once")


@pytest.mark.parametrize("keep", [Tensor.detach, Tensor.realize, lambda state: state])
def test_a_gradient_through_earlier_calls_is_told_of(keep: Callable[[Tensor], Tensor]) -> None:
    """A state that is carried on: what ends its gradient is detach(). A detached one is computed
    again, as its weights are; realize() keeps its value."""
    w, state = floats(5, 5).requires_grad_(), floats(2, 5)

    def step(x: Tensor) -> Tensor:
        nonlocal state
        state = (x + state @ w).tanh()
        w.grad = None
        state.sum().backward(retain_graph=keep is not Tensor.detach)
        state = keep(state)
        assert w.grad is not None
        return w.grad

    line = one(explain(step, floats(2, 5)), "the graph has grown from")
    assert "state = (x + state @ w).tanh()" in line
    is_ended = keep is Tensor.detach
    assert is_ended == line.endswith("is computed again; realize() there keeps its value")
    assert is_ended != ("backward() goes on" in line and line.endswith("detach() ends it there"))


def test_a_gradient_through_a_loop_is_told_of() -> None:
    w = floats(5, 5).requires_grad_()

    def step(x: Tensor) -> Tensor:
        h = x
        for _ in range(12):
            h = (h @ w).tanh()
        (grad,) = h.sum().gradient(w)
        return grad

    line = one(explain(step, floats(2, 5)), "a loop of 12 turns is one graph")
    assert "backward() goes through all: " in line
    assert "h = (h @ w).tanh()" in line
    assert line.endswith("detach() in the loop ends it there")


def test_a_graph_is_compared_with_those_of_the_same_function() -> None:
    """The nearest earlier graph of the line that asked, not one that happens to be alike."""

    def doubled(x: Tensor) -> Tensor:
        return (x * 2).exp().sum().realize()

    def tripled(x: Tensor) -> Tensor:
        return (x * 3).exp().sum().realize()

    doubled(floats(31))
    tripled(floats(37))
    found = explain(doubled, floats(37), calls=1)
    assert "x is float32(37) on CPU, the nearest before float32(31) on CPU" in str(found)


def test_a_graph_of_another_file_is_no_reason() -> None:
    """However alike it is: who asks here has not compiled it before."""
    elsewhere = "import lazygrad\ndef other(x):\n    (x * 5).exp().log().realize()\n"
    space: dict[str, Callable[[Tensor], None]] = {}
    exec(compile(elsewhere, "elsewhere.py", "exec"), space)
    space["other"](floats(53))
    found = explain(lambda x: (x * 5).exp().log(), floats(59), calls=1)
    assert one(found, "<lambda> (test_explain.py:").endswith("compiled for the first time")


def test_a_graph_of_other_operations_says_which() -> None:
    calls = 0

    def step(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        y = (x + calls).sin().cos()
        return (y.exp().tanh() if calls > 1 else y.log()).sum()

    line = one(explain(step, floats(41)), "the nearest before has")
    assert line.startswith("step (test_explain.py:")
    assert line.endswith("8 operations, the nearest before has 7: 1 exp, 1 tanh more; 1 log less")


def test_a_size_that_varies_is_no_reason_to_compile() -> None:
    """The second size brings kernels for every size: then nothing more is compiled."""
    calls = iter([floats(n, 43) for n in (5, 7, 9, 11)])
    text = str(explain(lambda: (next(calls) * 3).tanh().sum(1), calls=4))
    assert text.count("the kernels are for every size") == 1
    assert "calls 3 to 4: nothing is compiled again" in text


# --------------------------------------------------------------------------- the first screen


def test_the_first_screen_has_what_matters(step: Callable[[Tensor, Tensor], Tensor]) -> None:
    model = nn.Sequential(*(nn.Linear(32, 32) for _ in range(8)))
    optimizer = nn.optim.Adam(model.parameters())

    def train(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean().backward()
        optimizer.step()
        return loss

    text = str(explain(train, floats(64, 32), calls=3)).splitlines()
    assert len(text) <= 40
    assert text[1] == "call 1 compiles 1 graph"
    assert "calls 2 to 3: nothing is compiled again" in text
    assert any("hint: lazygrad.jit around train" in line for line in text)
    assert any("(Linear)" in line for line in text)
    assert any("others, with" in line for line in text)


def test_kernels_with_most_work_come_first() -> None:
    def work(x: Tensor) -> tuple[Tensor, Tensor]:
        return (x[0, :4] + 1).contiguous(), x @ x

    text = str(explain(work, floats(67, 67), calls=1)).splitlines()
    head = text.index("2 kernels, those with most work first")
    assert "matmul" in text[head + 1]
    assert "601.5 kFLOP" in text[head + 1]  # 2 * 67**3
    assert "matmul" not in text[head + 2]


# --------------------------------------------------------------------------- captured functions


@pytest.fixture
def step() -> Callable[[Tensor, Tensor], Tensor]:
    layer = nn.Linear(6, 3)
    optimizer = nn.optim.SGD(layer.parameters(), lr=0.1)

    @TinyJit
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = ((layer(x) - y) ** 2).mean().backward()
        optimizer.step()
        return loss

    return step


def test_a_captured_function_is_explained(step: Callable[[Tensor, Tensor], Tensor]) -> None:
    found = explain(step, floats(4, 6), floats(4, 3))
    first, second = found.calls
    assert [type(event) for event in first] == [Capture, Compilation]
    assert [type(event) for event in second] == [Replay]
    assert one(found, "step is captured for the first time")
    assert one(found, "call 2: replayed, nothing is compiled")
    assert any("gradient of test_explain.py:" in line for line in lines(found))


def test_why_a_function_is_captured_again(step: Callable[[Tensor, Tensor], Tensor]) -> None:
    step(floats(4, 6), floats(4, 3))
    found = explain(step, floats(5, 6), floats(5, 3))
    line = one(found, "captured again")
    assert "argument 0 is float32(5, 6) on CPU, it was float32(4, 6) on CPU" in line
    assert "argument 1 is float32(5, 3) on CPU" in line
    assert one(explain(step, floats(4, 6), floats(4, 3), calls=1), "captured before")


def test_a_number_in_the_arguments_is_named() -> None:
    scale = TinyJit(lambda x, n: x * n)
    scale(floats(3), 2.0)
    line = one(explain(scale, floats(3), 2.5), "captured again")
    assert "argument 1 is" in line
    assert "a number that changes may be a tensor" in line
    line = one(explain(TinyJit(lambda x, flag=True: x if flag else -x), floats(3)), "captured for")
    assert line


def test_explaining_a_step_trains_it(step: Callable[[Tensor, Tensor], Tensor]) -> None:
    x, y = floats(4, 6), floats(4, 3)
    before = step(x, y).item()
    explain(step, x, y, calls=3)
    assert step(x, y).item() < before


# --------------------------------------------------------------------------- memory


def test_the_peak_holds_inputs_and_what_is_read_later() -> None:
    def work(x: Tensor) -> Tensor:
        big = (x.reshape(-1, 1) * x).exp().contiguous()
        return big.sum(0).contiguous() + 1

    found = explain(work, floats(50))
    (part,) = found.compilations[0].parts
    peak = peak_of(part.schedule, part.plan)
    assert peak.nbytes >= 50 * 50 * 4 + 50 * 4
    assert peak.nodes[0].shape == (50, 50)
    assert sum(isinstance(x, Buffer) for x in peak.nodes) == 1
    held = lines(found)[lines(found).index("at the peak, in kernel 1, memory holds") + 1]
    assert held.startswith("10.0 kB  float32(50, 50)")
    assert "big = " in held
