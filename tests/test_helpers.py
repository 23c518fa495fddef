"""Scripts written for tinygrad run after the import lines are changed; `helpers` is as theirs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, TinyJit, config, dtypes, nn
from lazygrad.helpers import (
    Context,
    ContextVar,
    GlobalCounters,
    Timing,
    argsort,
    ceildiv,
    colored,
    dedup,
    fetch,
    flatten,
    fully_flatten,
    get_child,
    getenv,
    make_tuple,
    partition,
    prod,
    round_up,
    trange,
)


def test_lists_and_numbers() -> None:
    assert [prod((2, 3, 4)), prod(()), ceildiv(7, 2), round_up(7, 4)] == [24, 1, 4, 8]
    assert flatten([[1], [2, 3]]) == [1, 2, 3]
    assert fully_flatten([1, (2, [3])]) == [1, 2, 3]
    assert dedup([3, 1, 3]) == [3, 1]
    assert argsort((3, 1, 2)) == (1, 2, 0)
    assert partition([1, 2, 3], lambda n: n > 1) == ([2, 3], [1])
    assert make_tuple(3, 2) == (3, 3)
    assert get_child({"a": [1, Path("b")]}, "a.1.name") == "b"
    assert colored("x", "red") == "\x1b[31mx\x1b[0m"
    assert colored("x", None) == "x"


def test_variables_are_set_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_NUMBER_OF_STEPS", "7")
    assert getenv("A_NUMBER_OF_STEPS", 3) == 7
    assert getenv("NOTHING_OF_THE_KIND", "text") == "text"
    own = ContextVar("A_VARIABLE_OF_A_TEST", 2)
    before = config.DEBUG
    with Context(A_VARIABLE_OF_A_TEST=5, DEBUG=1):
        assert own == 5
        assert config.DEBUG == 1
    assert (own.value, config.DEBUG) == (2, before)
    with pytest.raises(KeyError):
        Context(ANOTHER=1).__enter__()


def test_counters_count_what_ran() -> None:
    x = Tensor.rand(64, 64).realize()
    GlobalCounters.reset()
    assert (GlobalCounters.kernel_count, GlobalCounters.global_ops) == (0, 0)
    y = (x + 1.5).realize()
    assert GlobalCounters.kernel_count == 1
    assert GlobalCounters.global_ops == 64 * 64
    assert GlobalCounters.global_mem == 2 * 64 * 64 * 4
    assert GlobalCounters.mem_used >= 2 * 64 * 64 * 4
    del y


def test_blocks_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    with Timing("step: ", on_exit=lambda ns: f", {ns > 0}") as timing:
        pass
    assert timing.et > 0
    assert capsys.readouterr().out.startswith("step: ")
    with Timing(enabled=False):
        pass
    assert not capsys.readouterr().out


def test_files_are_tensors(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_bytes(np.arange(6, dtype=np.float32).tobytes())
    assert fetch(str(path)) == path
    assert Tensor(path).shape == (24,)
    assert Tensor(path).bitcast("uint8").dtype == dtypes.uint8
    assert Tensor(path, dtype="float32").tolist() == [0, 1, 2, 3, 4, 5]
    read = Tensor.empty(2, 3, dtype="float32", device=f"disk:{path}").to("CPU")
    assert (read * 2).tolist() == [[0, 2, 4], [6, 8, 10]]
    assert Tensor(b"abc").tolist() == [97, 98, 99]


def test_names_of_tinygrads_are_there() -> None:
    x = Tensor.arange(24).reshape(2, 12).float()
    made = x.rearrange("b (h w) -> w b h", h=3)
    np.testing.assert_array_equal(made.numpy(), x.numpy().reshape(2, 3, 4).transpose(2, 0, 1))
    assert x.rearrange("... w -> w ...").shape == (12, 2)
    assert x.rearrange("b w -> (b w) 1").shape == (24, 1)
    assert Tensor([7, -7]).idiv(2).tolist() == [3, -3]
    assert Tensor([6]).xor(Tensor([3])).tolist() == [5]
    assert x.T.stride() == (1, 12)
    with Tensor.train(), Tensor.test():
        assert not Tensor.training
    with pytest.raises(ValueError, match="rearrange"):
        x.rearrange("a b -> a c")


# --------------------------------------------------------------------------- scripts

RNG = np.random.default_rng(0)
PICTURES = RNG.standard_normal((16, 1, 8, 8)).astype(np.float32)
LABELS = (PICTURES.mean((1, 2, 3)) > 0).astype(np.int64)


def fell(losses: list[float]) -> bool:
    return all(map(math.isfinite, losses)) and losses[-1] < losses[0]


def test_a_perceptron_learns_pictures() -> None:
    class TinyBobNet:
        def __init__(self) -> None:
            self.l1 = nn.Linear(64, 16)
            self.l2 = nn.Linear(16, 2)

        def __call__(self, x: Any) -> Any:
            return self.l2(self.l1(x.flatten(1)).relu())

    Tensor.manual_seed(0)
    model = TinyBobNet()
    opt = nn.optim.Adam(nn.state.get_parameters(model), lr=0.01)
    x_train, y_train = Tensor(PICTURES), Tensor(LABELS)

    @TinyJit
    @Tensor.train()
    def step() -> Any:
        samples = Tensor.randint(8, high=x_train.shape[0])
        opt.zero_grad()
        loss = model(x_train[samples]).sparse_categorical_crossentropy(y_train[samples]).backward()
        opt.step()
        return loss.realize()

    losses = []
    for _ in (t := trange(30, disable=True)):
        GlobalCounters.reset()
        losses.append(step().item())
        t.set_description(f"loss: {losses[-1]:6.2f}")
    assert fell(losses)
    with Tensor.test():
        accuracy = (model(x_train).argmax(axis=1) == y_train).mean(dtype=dtypes.float32).item()
    assert accuracy > 0.5


def test_a_convolutional_network_learns_with_accumulated_gradients() -> None:
    class ConvNet:
        def __init__(self) -> None:
            self.layers: list[Any] = [
                nn.Conv2d(1, 4, 3, padding=1),
                nn.BatchNorm(4),
                Tensor.relu,
                Tensor.max_pool2d,
                lambda x: x.flatten(1),
                nn.Linear(64, 2),
            ]

        def __call__(self, x: Any) -> Any:
            return x.sequential(self.layers)

    Tensor.manual_seed(1)
    model = ConvNet()
    opt = nn.optim.SGD(nn.state.get_parameters(model), lr=0.1, momentum=0.9, nesterov=True)
    losses = []
    with Tensor.train():
        for _ in range(4):
            opt.zero_grad()
            for start in range(0, 16, 8):
                x, y = Tensor(PICTURES[start : start + 8]), Tensor(LABELS[start : start + 8])
                loss = model(x).cross_entropy(y, label_smoothing=0.1) / 2
                loss.backward()
            opt.step()
            losses.append(loss.item())
    assert fell(losses)


def test_a_transformer_learns_a_text() -> None:
    class Attention:
        def __init__(self, dim: int, heads: int) -> None:
            self.c_attn, self.c_proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
            self.heads, self.dim = heads, dim

        def __call__(self, x: Any) -> Any:
            b, t, _ = x.shape
            q, k, v = (
                part.reshape(b, t, self.heads, -1).transpose(1, 2)
                for part in self.c_attn(x).chunk(3, dim=-1)
            )
            y = q.scaled_dot_product_attention(k, v, is_causal=True)
            return self.c_proj(y.transpose(1, 2).reshape(b, t, self.dim))

    class GPT:
        def __init__(self, vocab: int, dim: int, context: int) -> None:
            self.wte, self.wpe = nn.Embedding(vocab, dim), nn.Embedding(context, dim)
            self.ln_1, self.attn = nn.LayerNorm(dim), Attention(dim, 2)
            self.ln_f, self.lm_head = nn.LayerNorm(dim), nn.Linear(dim, vocab, bias=False)
            self.lm_head.weight = self.wte.weight

        def __call__(self, tokens: Any) -> Any:
            x = self.wte(tokens) + self.wpe(Tensor.arange(tokens.shape[1]).unsqueeze(0))
            x = x + self.attn(self.ln_1(x))
            return self.lm_head(self.ln_f(x))

    Tensor.manual_seed(2)
    text = np.frombuffer(b"the cat sat on the mat. ", np.uint8).astype(np.int64) % 32
    model = GPT(32, 16, 23)
    opt = nn.optim.AdamW(nn.state.get_parameters(model), lr=0.02)
    tokens, target = Tensor(text[None, :-1]), Tensor(text[None, 1:])
    losses = []
    with Tensor.train():
        for _ in range(5):
            logits = model(tokens)
            loss = logits.flatten(0, 1).sparse_categorical_crossentropy(target.flatten())
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
    assert fell(losses)
    assert model(tokens)[:, -1, :].argmax(-1).tolist()[0] in range(32)


def test_a_state_is_saved_and_loaded(tmp_path: Path) -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    path = str(tmp_path / "model.safetensors")
    nn.state.safe_save(nn.state.get_state_dict(model), path)
    nn.state.load_state_dict(other, nn.state.safe_load(path))
    assert other.weight.tolist() == model.weight.tolist()


def test_a_line_is_fitted_by_hand() -> None:
    x = Tensor(np.linspace(-1, 1, 16, dtype=np.float32))
    y = x * 3 + 1
    w, b = Tensor.zeros(1, requires_grad=True), Tensor.zeros(1, requires_grad=True)
    for _ in range(40):
        loss = (x * w + b - y).square().mean()
        for parameter, slope in zip((w, b), loss.gradient(w, b), strict=True):
            parameter.assign(parameter.detach() - slope.detach() * 0.5).realize()
    np.testing.assert_allclose([w.item(), b.item()], [3, 1], atol=1e-2)
