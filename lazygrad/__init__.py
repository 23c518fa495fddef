"""lazygrad: a deep-learning compiler whose core can be read in an afternoon.

    Tensor  ->  graph/  ->  schedule/  ->  loops/  ->  backends/  ->  runtime/
    (what the   (WHAT to    (WHICH ops     (HOW one    (LLVM IR or    (buffers, compiled
     user says)  compute)    share a        kernel      OpenCL C       programs, replay)
                             kernel, in     computes)   text, device)
                             which order)

The map of the package, in the order of the pipeline:

    tensor/          Tensor: operations add nodes; realize(), backward(), numpy()
    realize.py       from nodes to values: start here;  compile.py: from a graph to its plan
    pipeline.py      THE PIPELINE: every pass of every target, in order
    targets.py       what code is compiled for, and what is worth it there
    cache.py         files that processes share
    graph/           the graph IR; its meaning in NumPy, gradients, simplification
    schedule/        the schedule IR; which nodes share a kernel, in what order, in which memory
    loops/           the loop IR; lowering, tiling, packing, vectorizing, parallelizing
    backends/        llvm/ and opencl/: loops to code, and the devices that run it
    runtime/         buffers, plans, execution
    jit/             capture a function once, replay it as one call
    functions/       the functions at the top level: lazygrad.exp(x), lazygrad.zeros(2), ...
    distributions/   random variables
    linalg/          linear algebra;  fft.py: frequencies
    explain/         why a function is slow: what was fused, compiled again, held in memory
    decisions.py     what the compiler decides, noted for explain
    gradcheck.py     derivatives beside finite differences
    transforms/      grad, vjp, jvp, vmap, hessian, ...: functions of functions
    autograd.py      autograd.grad and Function;  func.py: the transforms by PyTorch's name
    serialization.py save and load;  cuda.py: that there is none
    absent.py        names that are not there, and what to write instead
    nn/              layers, initialisation, optimizers and schedulers, losses, state, data sets
    dump/            any stage as text, picture and page
    pictures.py      what tensors are computed from, drawn
    view.py          python -m lazygrad.view script.py: its report in a browser
    config.py        every environment variable
    dtypes.py        element types and their promotion
    rewrite.py       rules, and the driver that applies them to a fixed point
    stages.py        runs passes: checks and shows their results, goes on without a faulty one
    progress.py      a line on the terminal while the compiler works for long
    errors.py        every exception that is raised on purpose
    expr.py          scalar expressions in loops;  index.py  arithmetic on indices
    origin.py        the Python lines, operations and layers that nodes come from
    variable.py      sizes that vary, by name
    interned.py      immutable objects of which no two are equal: nodes and expressions

The three IRs are told alike: `ir` opens with the grammar and the meaning, `verify.py` says what
is legal, and each pass is a file named by its verb.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import device, dtype, dtypes, functions
from .dtypes import (
    bfloat16,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .dump import dump
from .explain import explain
from .functions import *  # noqa: F403
from .gradcheck import gradcheck, gradgradcheck
from .jit import TinyJit, jit
from .runtime.device import Device
from .runtime.timings import kernel_table
from .tensor import Tensor
from .tensor.results import Size
from .variable import Variable

if TYPE_CHECKING:
    from . import (
        amp,
        autograd,
        cuda,
        distributions,
        fft,
        func,
        linalg,
        nn,
        optim,
        transforms,
        utils,
    )
    from .functions import special
    from .helpers import GlobalCounters
    from .linalg import (
        cholesky,
        det,
        inverse,
        logdet,
        lu_unpack,
        matrix_exp,
        matrix_power,
        slogdet,
        vander,
    )
    from .nn.amp import GradScaler, autocast, is_autocast_enabled
    from .pictures import draw
    from .serialization import load, save
    from .transforms import scan, vmap

if not TYPE_CHECKING:
    tensor = import_module(".tensor", __name__)  # the package, which can be called: tensor([1.0])

bool, half, float, double = dtypes.bool_, float16, float32, float64
short, int, long = int16, int32, int64

__version__ = "0.1.0"

__all__ = [
    "Device",
    "GlobalCounters",
    "GradScaler",
    "Size",
    "Tensor",
    "TinyJit",
    "Variable",
    "__version__",
    "amp",
    "autocast",
    "autograd",
    "bfloat16",
    "bool",
    "cholesky",
    "cuda",
    "device",
    "distributions",
    "det",
    "double",
    "draw",
    "dtype",
    "dtypes",
    "dump",
    "explain",
    "fft",
    "float",
    "float16",
    "float32",
    "float64",
    "func",
    "gradcheck",
    "gradgradcheck",
    "half",
    "int",
    "int16",
    "int32",
    "int64",
    "int8",
    "inverse",
    "is_autocast_enabled",
    "jit",
    "kernel_table",
    "linalg",
    "load",
    "logdet",
    "long",
    "lu_unpack",
    "matrix_exp",
    "matrix_power",
    "nn",
    "optim",
    "save",
    "scan",
    "short",
    "slogdet",
    "special",
    "transforms",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "utils",
    "vander",
    "vmap",
]
__all__ += functions.__all__


_MODULES = {
    **{name: f".{name}" for name in ("amp", "autograd", "backends", "compile", "cuda",
                                     "distributions", "engine",
                                     "fft", "func", "helpers", "linalg", "nn", "optim",
                                     "transforms", "utils")},
    "special": ".functions.special", "mps": ".cuda", "xpu": ".cuda", "accelerator": ".cuda",
}  # fmt: skip
"""What is imported when it is first used: some by the name that PyTorch has for it."""
_ELSEWHERE = {
    "draw": ".pictures", "save": ".serialization", "load": ".serialization", "autocast": ".amp",
    "is_autocast_enabled": ".amp",
    "GlobalCounters": ".helpers", "GradScaler": ".amp",
    "scan": ".transforms", "vmap": ".transforms",
    **dict.fromkeys(("cholesky", "det", "inverse", "logdet", "lu_unpack", "matrix_exp",
                     "matrix_power", "slogdet", "vander"), ".linalg"),
}  # fmt: skip
"""Public names of modules that are not imported yet."""


def __getattr__(name: str) -> Any:
    """What is imported when it is first used; for names that are not there, what to write."""
    if name in _MODULES:
        return import_module(_MODULES[name], __name__)
    if name in _ELSEWHERE:
        return getattr(import_module(_ELSEWHERE[name], __name__), name)
    from .absent import PACKAGE, absent_from

    return absent_from(__name__, PACKAGE)(name)
