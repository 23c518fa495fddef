"""Small kernels of every form, and what must hold of their loops: legal, and the oracle's values.

The graphs come from Tensor expressions; none is computed by a device here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.graph.evaluate import evaluate as evaluate_graph
from lazygrad.graph.simplify import simplify
from lazygrad.loops.ir import Body, Function
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower import lower
from lazygrad.schedule.fuse import fuse
from lazygrad.schedule.ir import Kernel
from lazygrad.targets import Machine, Native, Target
from tests.loops.evaluate import evaluate

CPU = Machine(
    name="a CPU", target=Target.CPU, cores=2, vector_bytes=32, registers=16, l1_bytes=32 << 10,
    l2_bytes=256 << 10, native=Native(),
)  # fmt: skip
GPU = Machine(
    name="a GPU", target=Target.GPU, cores=4, vector_bytes=16, registers=64, l1_bytes=32 << 10,
    l2_bytes=256 << 10, native=Native(half=False, lanes=(4, 2, 1)), group_limit=64,
    local_bytes=48 << 10,
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """A kernel, its plain loops, and how near values must come."""

    kernel: Kernel
    function: Function
    tolerance: float = 1e-5

    def with_body(self, body: Body) -> Function:
        """The function with other loops."""
        return replace(self.function, body=body)

    def agrees(self, function: Function) -> None:
        """The function is legal, and computes what the oracle says."""
        verify(function)
        nodes = (*self.kernel.outputs, *self.kernel.inputs)
        values = evaluate_graph(nodes)
        arrays = {}
        for n, (array, value) in enumerate(zip(function.arguments, values, strict=True)):
            is_output = n < len(self.kernel.outputs)
            held = np.zeros_like(value) if is_output else value
            arrays[array.name] = held.ravel().view(array.dtype.numpy)
        evaluate(function, arrays)
        for array, value in zip(function.arguments[: function.outputs], values, strict=False):
            found, wanted = arrays[array.name].astype(np.float64), value.ravel().astype(np.float64)
            np.testing.assert_allclose(found, wanted, self.tolerance, self.tolerance)


def _values(*shape: int) -> Tensor:
    rng = np.random.default_rng(sum(shape) + len(shape))
    return Tensor((rng.integers(-24, 25, shape) / 8).astype(np.float32))


def _matmul() -> Tensor:
    return (_values(5, 4) @ _values(4, 13) + _values(13)).relu()


def _convolution() -> Tensor:
    return _values(2, 2, 4, 4).conv2d(_values(4, 2, 2, 2))


def _scattered() -> Tensor:
    rows = Tensor(np.array([0, 2, 2, 5], np.int64)).reshape(4, 1).expand(4, 9)
    return _values(3, 9).scatter_add(0, rows.clamp(0, 2), _values(4, 9))


def _gathered() -> Tensor:
    return _values(5, 9)[Tensor(np.array([4, 0, 1], np.int64))] * 2


SAMPLES: dict[str, Callable[[], Tensor]] = {
    "map": lambda: (_values(5, 7) * 2 + _values(7)).relu(),
    "transpose": lambda: _values(5, 11).T + _values(11, 5),
    "pad": lambda: _values(3, 4).pad((1, 2, 2, 0)) + 1,
    "gather": _gathered,
    "softmax": lambda: _values(3, 21).softmax(),
    "rows and their mean": lambda: (_values(6, 21).softmax() * _values(21)).sum(1).log().mean(),
    "column sum": lambda: _values(5, 20).sum(0),
    "bool any": lambda: (_values(3, 13) > 2.5).any(1),
    "half sum": lambda: _values(3, 20).half().sum(1),
    "pool": lambda: _values(2, 2, 6, 4).max_pool2d(2),
    "matmul": _matmul,
    "matmul transposed": lambda: _values(5, 24) @ _values(4, 24).T,
    "batched matmul": lambda: _values(2, 4, 3) @ _values(2, 3, 8),
    "convolution": _convolution,
    "padded convolution": lambda: _values(2, 3, 5, 5).conv2d(_values(4, 3, 3, 3), padding=1),
    "strided gradient": lambda: _values(1, 4, 2, 2).conv_transpose2d(_values(4, 4, 3, 3), stride=2),
    "scatter": _scattered,
    "first of a sort": lambda: _values(3, 40).argsort(1)[:, :2],
    "first of a long sort": lambda: _values(3, 200).argsort(1)[:, :5],
    "sort of long rows": lambda: (_values(70, 2) * 1e3).argsort(0),
    "sort of wide keys": lambda: (_values(260) * 1e5).long().argsort(descending=True),
    "scan": lambda: _values(7, 9).cumsum(1),
    "scan of columns": lambda: (_values(3, 7, 9) * 2).cumsum(1),
    "sort": lambda: _values(4, 7).argsort(0, descending=True),
}


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Sample]:
    """`sample(name)`: the last kernel of one of SAMPLES, where its own operation is."""
    made: dict[str, Sample] = {}

    def make(name: str) -> Sample:
        if name not in made:
            node = SAMPLES[name]()._node
            schedule = fuse(simplify([node]), cores=1)
            kernel = schedule.kernels[-1]
            function = lower(kernel, "kernel")
            made[name] = Sample(kernel, function, 2e-3 if "half" in name else 1e-5)
        return made[name]

    return make


@pytest.fixture(scope="session", params=SAMPLES)
def any_sample(request: pytest.FixtureRequest, sample: Callable[[str], Sample]) -> Sample:
    """Each of SAMPLES in turn."""
    return sample(request.param)


@pytest.fixture(scope="session")
def cpu() -> Machine:
    return CPU


@pytest.fixture(scope="session")
def gpu() -> Machine:
    return GPU
