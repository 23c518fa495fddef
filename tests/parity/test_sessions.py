"""Random sessions: what a program does line by line over some time, with PyTorch and with lazygrad.

Sizes vary from step to step, values live on, a cache grows, views are written to, a function reads
and sets what lies outside of it and is captured or not, gradients are left and used.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import lazygrad
from lazygrad import Tensor, config, jit
from lazygrad.runtime.device import Device

VALUES = (
    "x + 1", "x * w", "(x @ W).tanh()", "x.softmax(0)", "x.softmax(1)", "x.cumsum(0) / 8", "x[1:]",
    "x[::2]", "x.flip(0)", "m.cat((x, y))", "x - x.mean(0)", "x.sort(0)[0]", "x.roll(1, 0)",
    "(x.T @ x / 9).tanh()", "((x @ x.T) / 9).softmax(1) @ x", "x.reshape(-1, 2).repeat(1, 2)",
    "m.nn.functional.pad(x, (0, 0, 1, 0))", "x - x.var(0, correction=0)", "x[-1:] + x",
    "x * m.arange(x.shape[0]).reshape(-1, 1) / 9", "(x @ x.T).tril().tanh() @ x / 3",
    "x.masked_fill(x > 1, 0.5)", "x.gather(0, x.argsort(0))", "x * x.shape[0] / 7",
    "x.expand(2, -1, -1).reshape(-1, 4)", "x[m.arange(x.shape[0]) % 2 * 0]", "y @ (x.T @ x).tanh()",
    "m.zeros_like(x).index_add(0, m.arange(x.shape[0]) % 3, x).tanh()",
)  # fmt: skip
EFFECTS = (
    "s += x.mean(0)", "s[0] = x.amax(0)", "s = s * 0.5 + x.mean(0)", "s.copy_(s.T)", "h = x",
    "s.T[1] = x.sum(0).tanh()", "v = s[1]; v *= 0.5",
    "h = m.cat((h, x.mean(0, keepdim=True)))[-3:]",
    "x = x + h.sum(0).tanh()", "x = x * scale", "x = x + s.mean(0)", "scale += 1",
    "x = x + 0; x[1:] += x[:-1].clone()", "h = h + x[:1]",
)  # fmt: skip
ACTIONS = (
    "c = m.cat((c, a[:1]))", "c = m.cat((c, a))", "kept.append(m.cat((c, a * 2)))", "c[0] = 1",
    "kept.append(c)", "c = c[1:] if len(c) > 1 else c", "kept.append((c @ c.T).sum(0))", "c *= 0.5",
    "v = c[-1]; c = m.cat((c, a[:1])); v += 1; kept.append(v)", "kept.append(s[1])", "s = s * 0.5",
    "v = b.T[1:3]; v += 1", "b[b > 0.5] = 0", "b.reshape(-1)[::3].copy_(a.mean())", "scale = 3",
    "v = b[::2]; kept.append(v); b.tanh_()", "b.diagonal().mul_(2)", "h = a[:1] * 1", "s[0] = 1",
)  # fmt: skip
TRAIN = """
    loss = (x * x).mean() + (w.sum() + W.sum()) / 100
    w.grad = W.grad = None
    loss.backward()
    with m.no_grad():
        w -= w.grad / 10
        W -= W.grad / 10
    return loss.detach(), W.grad"""


def session(seed: int) -> Iterator[str]:
    """The lines of a program; `m` is the library, `show` compares, `new` makes a tensor."""
    r = random.Random(seed)
    body = [f"x = {value}" for value in r.choices(VALUES, k=r.randint(1, 4))]
    body += r.choices(EFFECTS, k=r.randint(0, 3))
    r.shuffle(body)
    trains = r.random() < 0.5
    yield "w, W, s, h = new(4), new(4, 4), new(4, 4), new(1, 4)"
    yield "b, c, kept, scale = new(5, 4), new(r.choice([1, 2, 127]), 4), [], 2.0"
    if trains:
        yield "w.requires_grad_(); W.requires_grad_()"
    lines = [
        "@jit", "def f(x, y):", "    global w, W, s, h, scale", *(f"    {line}" for line in body),
    ]  # fmt: skip
    yield "\n".join(lines) + (TRAIN if trains else "\n    return x, x.mean(0)")
    n = r.choice([2, 5, 120, 126])
    for _ in range(r.randint(4, 10)):
        n = r.choice([n, n + 1, n + 1, max(2, n - 1), r.randint(2, 12), r.choice([64, 128, 130])])
        yield f"a, y = new({n}, 4), new({r.choice([2, 3, n])}, 4)"
        yield r.choice(("kept.append(f(a, y))", "show(f(a, y))", *r.choices(ACTIONS, k=4)))
        if r.random() < 0.3:
            yield "show((s, h, c))"
    yield "show((kept, w, W, s, h, c, b, scale))"
    if trains:
        yield "show((w.grad, W.grad))"


def arrays(value: Any) -> list[Any]:
    """All values in nested ones, as they are now."""
    if isinstance(value, (list, tuple)):
        return [found for each in value for found in arrays(each)]
    return [np.array(value.detach().numpy()) if hasattr(value, "detach") else value]


def shown(lines: list[str], library: Any, is_captured: bool) -> tuple[list[Any], list[str]]:
    """What a session shows, and its lines without those that raise an error in PyTorch."""
    rng, found, valid = np.random.default_rng(0), list[Any](), list[str]()

    def new(*shape: int) -> Any:
        values = rng.standard_normal(shape).astype(np.float32)
        return torch.tensor(values) if library is torch else Tensor(values)

    names = {
        "__name__": "session", "m": library, "new": new, "r": random.Random(0),
        "show": lambda value: found.extend(arrays(value)),
        "jit": jit if is_captured else lambda function: function,
    }  # fmt: skip
    for line in lines:
        try:
            exec(line, names)
        except (IndexError, RuntimeError, ValueError):
            if library is not torch:
                raise
        else:
            valid.append(line)
    return found, valid


def check(seed: int, is_captured: bool) -> None:
    """Compare a session of the lines that PyTorch takes."""
    lines = list(session(seed))
    valid: list[str] = []
    while len(valid) != len(lines):  # a line that was left out may be what made another valid
        lines = valid or lines
        wanted, valid = shown(lines, torch, False)
    found, _ = shown(lines, lazygrad, is_captured)
    program = "\n".join(lines)
    assert len(found) == len(wanted), program
    for ours, theirs in zip(found, wanted, strict=True):
        if theirs is None:  # a gradient that is not there
            assert ours is None, program
        else:
            np.testing.assert_allclose(ours, theirs, 2e-3, 2e-3, err_msg=program)


@pytest.mark.parametrize("is_captured", [False, True], ids=["line by line", "captured"])
@pytest.mark.parametrize("seed", range(4))
def test_a_session_shows_what_it_shows_in_pytorch(seed: int, is_captured: bool) -> None:
    check(seed, is_captured)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 130))
def test_many_sessions(seed: int) -> None:
    for opt in (0, 1):
        with config.override(OPT=opt):
            check(seed, bool(seed % 2))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200, 203))
def test_sessions_on_a_gpu(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "_default", "GPU")
    check(seed, bool(seed % 2))
