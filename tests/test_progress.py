"""The line that tells what the compiler does: on a terminal, after a while, and gone at the end."""

from __future__ import annotations

import io
import re
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, config, progress

plans = import_module("lazygrad.plans")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compilations that take as long as it takes to be told of."""
    compiler = import_module("lazygrad.compile")
    inner = compiler._compile_piece

    def compile_piece(*args: Any) -> Any:
        import time

        time.sleep(0.05)
        return inner(*args)

    monkeypatch.setattr(compiler, "_compile_piece", compile_piece)
    monkeypatch.setattr(progress, "EVERY", 0.005)


def compile_something(monkeypatch: pytest.MonkeyPatch, stream: Any, size: int) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(plans.saved, "load", lambda key: None)
    x = Tensor(np.ones((size, 3), np.float32))
    (x.softmax() @ x.T.exp()).sum(0).sort()[0].realize()
    text: str = stream.getvalue()
    return text


@pytest.mark.usefixtures("slow")
def test_a_terminal_sees_which_kernel_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "after", 0.0)
    text = compile_something(monkeypatch, Terminal(), 41)
    lines = text.split(progress.ERASE)
    told = [
        re.match(r"compiling: .*py:\d+\), kernel (\d+) of (\d+) \.\.\.$", line) for line in lines
    ]
    (count,) = {int(match[2]) for match in told if match}
    assert [int(match[1]) for match in told if match] == list(range(1, count + 1))
    assert count > 1
    assert lines[-1] == ""  # erased at the end
    assert "\n" not in text


@pytest.mark.usefixtures("slow")
def test_what_is_quick_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "after", 60.0)
    assert compile_something(monkeypatch, Terminal(), 42) == ""


@pytest.mark.usefixtures("slow")
def test_a_file_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "after", 0.0)
    assert compile_something(monkeypatch, io.StringIO(), 43) == ""


@pytest.mark.usefixtures("slow")
def test_debug_tells_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "after", 0.0)
    monkeypatch.setattr(config, "DEBUG", 1)
    assert "compiling: kernel" not in compile_something(monkeypatch, Terminal(), 44)


def test_a_fault_ends_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "after", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.001)

    def fail() -> None:
        with progress.compiling():
            progress.tell("something")
            while "something" not in stream.getvalue():
                pass
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert stream.getvalue().endswith(progress.ERASE)
    assert not progress._doing
