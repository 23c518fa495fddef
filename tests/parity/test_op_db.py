"""PyTorch's own samples of its operations: values, gradients and refusals are PyTorch's."""

from __future__ import annotations

import re
import warnings

import pytest
import torch

from tests.parity import operations

FEW_COMPILED = 1  # samples of an operation; the others are computed by the nodes' meaning in NumPy

ROWS = dict(re.findall(r"^\| `(.+?)` \| (.*) \|$", operations.PAGE.read_text(), re.MULTILINE))


def test_the_page_has_the_operations_that_have_a_name() -> None:
    names = operations.names()
    assert not set(ROWS) - set(names)
    if missing := set(names) - set(ROWS):
        warnings.warn(f"`make operations` adds {', '.join(sorted(missing))}", stacklevel=1)


@pytest.mark.parametrize("name", ROWS)
def test_samples_agree_as_the_page_says(name: str) -> None:
    torch.set_num_threads(1)
    report = operations.check(name, compile_them=False)
    report.dtypes = set(ROWS[name].split(" | ")[2].split())
    now, page = operations.row(report), f"| `{name}` | {ROWS[name]} |"
    told = "\n".join([now, page, *report.faults])
    # as many samples agree, and as many inputs are refused, as the page says, or more
    numbers = [[int(n) for n in re.findall(r"\b\d+\b", row.split("`")[2])] for row in (now, page)]
    assert len(numbers[0]) == len(numbers[1]), told
    assert all(a >= b for a, b in zip(*numbers, strict=True)), told
    if now != page:
        warnings.warn(f"`make operations` makes {page} to {now}", stacklevel=1)


@pytest.mark.parametrize("name", ROWS)
def test_compiled_samples_agree(name: str) -> None:
    report = operations.check(name, FEW_COMPILED, wrong=False)
    cases, passed = map(int, ROWS[name].split(" | ")[:2])
    assert report.passed == report.cases or passed < cases, report.faults
