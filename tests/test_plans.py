"""How the plan of a graph is found."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad import Tensor, plans
from lazygrad.graph.skeleton import MAX_STRUCTURES


def test_a_graph_whose_plan_is_known_is_not_compared_with_other_sizes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shapes = [(k + 2, 40 - k) for k in range(2 * MAX_STRUCTURES)]  # more than are recalled

    def run() -> None:
        for shape in shapes:
            x = Tensor(np.ones(shape, np.float32)).realize()
            assert (x + 1).sum().item() == 2 * x.numel()

    looked_up = []
    with monkeypatch.context() as counted:
        original = plans._looked_up
        counted.setattr(plans, "_looked_up", lambda a: (looked_up.append(a), original(a))[1])
        run()
        run()
    assert len(looked_up) > len(shapes)
    monkeypatch.setattr(plans, "Sample", None)
    run()
