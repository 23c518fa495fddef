"""What tests of plans need."""

from __future__ import annotations

import pytest

from lazygrad import compile, plans


@pytest.fixture
def compiled(monkeypatch) -> list[int]:
    """One item a compilation; nothing was compiled before."""
    found: list[int] = []
    whole = compile.compile_graph
    monkeypatch.setattr(compile, "compile_graph", lambda *a: (found.append(1), whole(*a))[1])
    monkeypatch.setattr(plans.saved, "load", lambda key: None)
    plans._plans.clear()
    plans._varying.clear()
    plans._sizes.clear()
    return found
