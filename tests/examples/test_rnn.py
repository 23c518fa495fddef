"""The GRU as a user runs it, and its parts: batches of words of different lengths."""

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
EXAMPLE = ROOT / "examples" / "rnn.py"


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def rnn() -> Any:
    spec = importlib.util.spec_from_file_location("rnn_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_words_are_learnt_and_invented(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(" ".join(f"{a}o{end}" for a in "abcdefgh" for end in ("ness", "ly")))
    done = run("--width", "32", "--steps", "120", "--sample", "7", "--text", str(file))
    assert done.returncode == 0, done.stderr
    assert re.search(r"loss=\d+\.\d+", done.stderr), done.stderr
    title, held_out, *words = done.stdout.splitlines()
    assert title.startswith("16 different words")
    # of a guess among all letters and the end of a word
    assert float(held_out.removeprefix("held-out loss: ")) < 0.7 * math.log(27)
    assert len(words) == 7
    assert all(re.fullmatch(r"[a-z]{0,20}( \(is a word\))?", word) for word in words)


def test_a_batch_is_padded_and_ends_with_a_point(rnn: Any) -> None:
    x, y = rnn.batch_of(["ab", "c"])
    assert x.tolist() == [[0, 1, 2], [0, 3, 0]]
    assert y.tolist() == [[1, 2, 0], [3, 0, rnn.PADDING]]


def test_the_loss_of_a_batch_is_that_of_its_words(rnn: Any) -> None:
    Tensor.manual_seed(0)
    model = rnn.Model(1, 8)
    words = ["a", "bcd", "ef"]
    with no_grad():
        alone = [rnn.evaluate(model, [word]) * (len(word) + 1) for word in words]
        assert rnn.evaluate(model, words) == pytest.approx(sum(alone) / 9, rel=1e-5)


def test_letter_by_letter_the_model_says_the_same(rnn: Any) -> None:
    Tensor.manual_seed(0)
    model, (x, _) = rnn.Model(2, 8), rnn.batch_of(["abcd", "efgh"])
    with no_grad():
        whole, state, steps = model(x)[0].numpy(), None, []
        for n in range(x.shape[1]):
            logits, state = model(x[:, n : n + 1], state)
            steps.append(logits.numpy())
    np.testing.assert_allclose(np.concatenate(steps, 1), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--width", "0"], 2, "valid are whole numbers, 1 or more"),
        (["--text", "/no/such/file"], 1, "FileNotFoundError: "),
        (["--text", os.devnull], 1, "the text has 0 different words: 10 or more are needed"),
    ],
)
def test_a_mistake_is_told_in_one_line(options: list[str], code: int, message: str) -> None:
    done = run(*options)
    assert done.returncode == code
    assert message in done.stderr.splitlines()[-1]
