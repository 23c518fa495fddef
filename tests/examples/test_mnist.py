"""The example as a user runs it: a process, its output, its exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lazygrad import config
from lazygrad.nn.state import safe_load

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "mnist.py"


def run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def accuracy(done: subprocess.CompletedProcess[str]) -> float:
    """What the last line of a good run tells, in percent."""
    assert done.returncode == 0, done.stderr
    last = re.fullmatch(r"test accuracy: (\d+\.\d\d) %", done.stdout.splitlines()[-1])
    assert last, done.stdout
    return float(last[1])


def losses(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"loss (\S+),", done.stdout)


QUICK = ("--dataset", "digits", "--model", "mlp")


def test_digits_are_learnt_and_saved(tmp_path: Path) -> None:
    file = tmp_path / "mlp.safetensors"
    done = run(*QUICK, "--epochs", "8", "--save", str(file))
    assert accuracy(done) > 93
    assert len(losses(done)) == 8
    assert "images/s" in done.stderr  # the progress bar
    drawing = [line for line in done.stdout.splitlines() if re.search("[%@#]{2}", line)]
    assert len(drawing) >= 5
    assert sorted(tensor.shape for tensor in safe_load(file).values()) == [
        (10,),
        (10, 128),
        (128,),
        (128, 784),
    ]


def test_a_seed_decides_the_losses() -> None:
    one, again, other = (run(*QUICK, "--epochs", "2", "--seed", seed) for seed in "112")
    assert losses(one) == losses(again)
    assert losses(one) != losses(other)


def test_the_cnn_learns_digits() -> None:
    assert accuracy(run("--dataset", "digits", "--epochs", "3", "--batch-size", "64")) > 90


def test_without_data_and_network_it_says_so_and_trains_on_digits(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:1"  # a proxy that is not there
    done = run(
        "--model",
        "mlp",
        "--epochs",
        "1",
        LAZYGRAD_DATA="",
        LAZYGRAD_CACHE=str(tmp_path),
        http_proxy=nowhere,
        https_proxy=nowhere,
        no_proxy="",
    )
    assert accuracy(done) > 20
    assert "MNIST is not on this machine and cannot be downloaded" in done.stdout
    assert "mlp on digits" in done.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BACKEND", "TPU"),
        ("THREADS", "many"),
        ("DEBUG", "9"),
        ("DUMP", "/dev/null/folder"),
        ("LAZYGRAD_DATA", "/no/such/folder"),
        ("LAZYGRAD_CACHE", "/dev/null/folder"),
    ],
)
def test_a_mistake_in_a_variable_is_told_in_one_line(name: str, value: str) -> None:
    done = run("--model", "mlp", "--epochs", "1", **{name: value})
    assert done.returncode == 1
    assert re.fullmatch(rf"ConfigError: {name}={value}.*: valid is .*", done.stderr.strip())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "rnn"], "invalid choice: 'rnn'"),
        (["--epochs", "0"], "0: valid is a whole number, 1 or more"),
        (["--batch-size", "x"], "x: valid is a whole number, 1 or more"),
        (["--seed", "-1"], "-1: valid is a whole number, 0 or more"),
        (["--lr", "nan"], "nan: valid is a number, 0 or more"),
        (["--save", "/no/such/folder/x"], "--save: there is no folder /no/such/folder"),
    ],
)
def test_a_mistake_in_an_option_is_told(options: list[str], message: str) -> None:
    done = run(*options)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]


def test_more_images_a_batch_than_there_are() -> None:
    done = run(*QUICK, "--batch-size", "5000")
    assert done.returncode == 1
    assert done.stderr.strip() == "--batch-size 5000: there are only 1437 images"


def test_a_damaged_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"")
    done = run(LAZYGRAD_DATA=str(tmp_path))
    assert done.returncode == 1
    assert re.fullmatch(
        r"DatasetError: .*train-images-idx3-ubyte\.gz is not .*", done.stderr.strip()
    )


# --------------------------------------------------------------------------- the real thing


@pytest.mark.slow
@pytest.mark.parametrize(("model", "epochs", "wanted"), [("mlp", "3", 97.5), ("cnn", "2", 98.8)])
def test_mnist_is_learnt(model: str, epochs: str, wanted: float) -> None:
    if config.LAZYGRAD_DATA is None or not (config.LAZYGRAD_DATA / "mnist").is_dir():
        pytest.skip("LAZYGRAD_DATA has no MNIST")
    assert accuracy(run("--model", model, "--epochs", epochs)) >= wanted


@pytest.mark.slow
def test_what_is_saved_tells_the_same(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for file in (first, second):
        assert accuracy(run(*QUICK, "--epochs", "2", "--save", str(file))) > 50
    for one, other in zip(safe_load(first).values(), safe_load(second).values(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_ctrl_c_stops_in_one_line() -> None:
    """Sent once training has begun; in the background a shell may have it ignored."""
    program = (
        "import signal, runpy, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        f"sys.argv = ['mnist.py', *{[*QUICK, '--epochs', '100000']}];"
        f"runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("epoch 1"):
                break
        time.sleep(0.1)  # into an epoch: a bar that is half made complains when it is let go
        process.send_signal(signal.SIGINT)
        error = process.stderr.read()
        assert process.wait() == 130
    assert error.splitlines()[-1] == "stopped"
    assert "Traceback" not in error
