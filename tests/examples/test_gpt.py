"""The GPT as a user runs it, and its parts: the cache, the loss, what it may attend to."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, no_grad

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "gpt.py"
SMALL = ("--layers", "1", "--width", "16", "--heads", "2", "--context", "8")
TEXT = "to be, or not to be\n" * 60


def run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def held_out_loss(done: subprocess.CompletedProcess[str]) -> float:
    """The loss of the held-out text; the bar has shown others."""
    assert done.returncode == 0, done.stderr
    shown = re.search(r"loss=\d+\.\d+", done.stderr)
    last = re.search(r"^held-out loss: (\d+\.\d{4})$", done.stdout, re.MULTILINE)
    assert shown, done.stderr
    assert last, done.stdout
    return float(last[1])


@pytest.fixture(scope="module")
def gpt() -> Any:
    spec = importlib.util.spec_from_file_location("gpt_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_text_is_learnt_and_a_sample_is_drawn(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    done = run(*SMALL, "--steps", "150", "--sample", "12", "--text", str(file))
    assert held_out_loss(done) < 0.6 * math.log(len(set(TEXT)))  # of a guess among all characters
    assert "steps/s" in done.stderr
    sample = done.stdout[done.stdout.index("held-out") :].split("\n", 1)[1]
    assert len(sample) == 12 + 1
    assert set(sample) <= set(TEXT)


def test_with_a_cache_the_model_says_the_same(gpt: Any) -> None:
    Tensor.manual_seed(0)
    model = gpt.GPT(9, 2, 16, 2, 8)
    tokens = np.random.default_rng(0).integers(0, 9, (2, 6))
    with no_grad():
        whole, _ = model(Tensor(tokens))
        logits, past = model(Tensor(tokens[:, :3]))
        steps = [logits.numpy()]
        for n in range(3, 6):
            logits, past = model(Tensor(tokens[:, n : n + 1]), past)
            steps.append(logits.numpy())
    np.testing.assert_allclose(np.concatenate(steps, 1), whole.numpy(), atol=1e-5)


def test_no_character_is_told_from_later_ones(gpt: Any) -> None:
    Tensor.manual_seed(0)
    model = gpt.GPT(9, 1, 16, 2, 8)
    tokens = np.zeros((1, 8), np.int64)
    before = model(Tensor(tokens))[0].numpy()
    tokens[0, 5] = 1
    after = model(Tensor(tokens))[0].numpy()
    np.testing.assert_allclose(after[:, :5], before[:, :5], atol=1e-6)
    assert abs(after[:, 5:] - before[:, 5:]).min(axis=-1).max() > 1e-4


def test_the_loss_is_the_mean_over_whole_pieces(gpt: Any) -> None:
    Tensor.manual_seed(0)
    model = gpt.GPT(9, 1, 16, 2, 4)
    text = np.random.default_rng(0).integers(0, 9, 33 * 4 + 3)  # two batches, and a rest
    told = []
    for n in range(33):
        logits = model(Tensor(text[None, 4 * n : 4 * n + 4]))[0].log_softmax(-1).numpy()[0]
        told += [-logits[k, text[4 * n + k + 1]] for k in range(4)]
    assert gpt.evaluate(model, text, 4) == pytest.approx(float(np.mean(told)), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--width", "10", "--heads", "4"], 2, "--width 10 is no multiple of --heads 4"),
        (["--steps", "0"], 2, "valid are whole numbers, 1 or more"),
        (["--text", "/no/such/file"], 1, "FileNotFoundError: "),
        (["--text", str(EXAMPLE), "--context", "5000"], 1, "too few for --context 5000"),
    ],
)
def test_a_mistake_is_told_in_one_line(options: list[str], code: int, message: str) -> None:
    done = run(*options)
    assert done.returncode == code
    assert message in done.stderr.splitlines()[-1]


def test_without_text_and_network_it_says_what_to_do(tmp_path: Path) -> None:
    proxy = "http://127.0.0.1:1"  # a proxy that is not there
    done = run(LAZYGRAD_DATA="", LAZYGRAD_CACHE=str(tmp_path), https_proxy=proxy, no_proxy="")
    assert done.returncode == 1
    assert re.fullmatch(
        "DownloadError: tinyshakespeare: .* set LAZYGRAD_DATA to a folder that has "
        r"tinyshakespeare/input\.txt .*",
        done.stderr.strip(),
    )
