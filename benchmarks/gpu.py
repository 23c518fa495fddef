"""How near a GPU's kernels come to what the card can do: `python -m benchmarks.gpu`.

    matmul    float32, n x n: TFLOP/s, as a share of the card's peak and of PyTorch's (TF32 off)
    memory    what is bound by memory: bytes that must move / time, as a share of the rate at which
              the driver copies one buffer to another
    cnn       a training step of examples/mnist.py's network, beside PyTorch on the same card

    python -m benchmarks.gpu --peak 66.9          the card's float32 TFLOP/s, from its data sheet
    PYOPENCL_CTX=1:0 python -m benchmarks.gpu     another device

PyTorch is compared with where it is installed with CUDA. Kernels' times are the device's own, from
its profiling events; a figure is the median of the runs. On an OpenCL CPU sizes are small: there it
is a check that all of it runs, and no measurement.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lazygrad import Tensor, TinyJit, config, nn
from lazygrad.backends.opencl.platforms import choose_device, describe, import_pyopencl
from lazygrad.compile import plan_for, storage_of
from lazygrad.runtime.device import Device

sys.path.append(str(Path(__file__).parent.parent / "examples"))
import mnist

ROWS = ("matmul", "memory", "cnn")
RUNS, WARM_UP = 20, 3
BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument("--size", type=int, help="of matrices; default: 4096, on a CPU 512")
    parser.add_argument("--peak", type=float, help="the card's float32 TFLOP/s; default: computed")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; valid are {', '.join(ROWS)}")
    Device.DEFAULT = "GPU"
    cl = import_pyopencl()
    card = choose_device(cl, "GPU")
    is_gpu = Device["GPU"].machine.gpu
    size = options.size or (4096 if is_gpu else 512)
    torch = torch_with_cuda()
    print(
        f"{describe(card)}; {f'PyTorch {torch.__version__}' if torch else 'no PyTorch with CUDA'}"
    )
    for row in options.rows or ROWS:
        match row:
            case "matmul":
                matmul(size, options.peak or computed_peak(card), torch)
            case "memory":
                memory(size, copy_rate(cl, card, 4 * size * size))
            case "cnn":
                cnn(torch)


def torch_with_cuda() -> Any:
    """The module torch, with TF32 off, where there is one that has a card; else None."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch


# --------------------------------------------------------------------------- the card


def computed_peak(card: Any) -> float | None:
    """Float32 TFLOP/s of an NVIDIA card: units x lanes x 2 x clock; None for what cannot be asked.

    Lanes of a unit by compute capability: 64 in 6.0, 7.x and 8.0, else 128 (CUDA C++ Programming
    Guide, "Arithmetic Instructions").
    """
    try:
        capability = card.compute_capability_major_nv, card.compute_capability_minor_nv
    except Exception:  # each driver refuses in a way of its own
        return None
    few = capability in ((6, 0), (8, 0)) or capability[0] == 7
    lanes = 64 if few else 128
    return float(card.max_compute_units * lanes * 2 * card.max_clock_frequency * 1e-6)


def copy_rate(cl: Any, card: Any, nbytes: int) -> float:
    """Bytes a second that the driver's own copy reads and writes, of buffers of nbytes."""
    context = cl.Context([card])
    queue = cl.CommandQueue(context, card, cl.command_queue_properties.PROFILING_ENABLE)
    source, target = (cl.Buffer(context, cl.mem_flags.READ_WRITE, nbytes) for _ in range(2))
    cl.enqueue_fill_buffer(queue, source, np.uint8(1), 0, nbytes)
    seconds = []
    for _ in range(RUNS + WARM_UP):
        event = cl.enqueue_copy(queue, target, source, byte_count=nbytes)
        event.wait()
        seconds.append((event.profile.end - event.profile.start) * 1e-9)
    return 2 * nbytes / statistics.median(seconds[WARM_UP:])


# --------------------------------------------------------------------------- kernels


def kernel_seconds(x: Tensor) -> float:
    """The device's time for computing x, all kernels together: the median of the runs."""
    with config.override(DEBUG=2), contextlib.redirect_stderr(io.StringIO()):
        plan, leaves = plan_for([x.node])  # with profiling
    seconds = []
    for _ in range(RUNS + WARM_UP):
        plan.run([storage_of(leaf) for leaf in leaves])
        seconds.append(sum(sum(run.program.times()) for run in plan.programs()))
    return statistics.median(seconds[WARM_UP:])


def normal(*shape: int) -> Tensor:
    """Random numbers, in memory."""
    return Tensor(np.random.default_rng(0).standard_normal(shape, np.float32)).realize()


def matmul(n: int, peak: float | None, torch: Any) -> None:
    a, b = normal(n, n), normal(n, n)
    rate = 2e-12 * n**3 / kernel_seconds(a @ b)
    shares = [f"{rate / peak:.2f} of the peak of {peak:.1f}"] if peak else []
    if torch:
        x, y = (torch.randn(n, n, device="cuda") for _ in range(2))
        theirs = 2e-12 * n**3 / cuda_seconds(torch, lambda: x @ y)
        shares.append(f"{rate / theirs:.2f} of PyTorch's {theirs:.1f}")
    print(f"matmul {n:<18}{rate:8.2f} TFLOP/s  {', '.join(shares)}", flush=True)


def memory(n: int, copy: float) -> None:
    print(f"copy {4 * n * n >> 20} MiB{copy * 1e-9:>24.1f} GB/s     by the driver")
    a, b, row = normal(n, n), normal(n, n), normal(n)
    whole = 4 * n * n
    for name, x, nbytes in (
        ("a + b", a + b, 3 * whole),
        ("relu(a * b + row)", (a * b + row).relu(), 3 * whole),
        ("transpose", a.T.contiguous(), 2 * whole),
        ("sum", a.sum(), whole),
        ("sum of rows", a.sum(1), whole),
        ("sum of columns", a.sum(0), whole),
        ("softmax", a.softmax(1), 2 * whole),
        ("layer norm", a.layernorm(), 2 * whole),
    ):
        rate = nbytes / kernel_seconds(x)
        print(f"{name:<25}{rate * 1e-9:8.1f} GB/s     {rate / copy:.2f} of copy", flush=True)


# --------------------------------------------------------------------------- training


def cnn(torch: Any) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (BATCH, 1, 28, 28)).astype(np.uint8)
    labels = random.integers(0, 10, BATCH).astype(np.uint8)
    model = mnist.cnn()
    optimizer = nn.optim.Adam(nn.state.get_parameters(model), lr=1e-3)

    @TinyJit
    def step(images: Tensor, labels: Tensor) -> Tensor:
        with Tensor.train():
            loss = images.sequential(model).sparse_categorical_crossentropy(labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

    ours = wall_seconds(lambda: step(Tensor(images), Tensor(labels)), Device["GPU"].synchronize)
    beside = ""
    if torch:
        theirs = wall_seconds(torch_step(torch, images, labels), torch.cuda.synchronize)
        beside = f"PyTorch takes {1e3 * theirs:.2f}, {theirs / ours:.2f} times as long"
    print(f"cnn step{'':17}{1e3 * ours:8.2f} ms       {beside}", flush=True)


def torch_step(torch: Any, images: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    from benchmarks.libraries import Torch
    from benchmarks.models import cnn

    model = cnn(Torch()).cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> object:
        x, y = torch.from_numpy(images).cuda(), torch.from_numpy(labels).cuda().long()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model((x.float() - 33.3) / 78.6), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def wall_seconds(work: Callable[[], object], wait: Callable[[], None]) -> float:
    """The time of one of many calls, one after another with no waiting between them."""
    for _ in range(WARM_UP):
        work()
    wait()
    start = time.perf_counter()
    for _ in range(RUNS):
        work()
    wait()
    return (time.perf_counter() - start) / RUNS


def cuda_seconds(torch: Any, work: Callable[[], object]) -> float:
    """CUDA's time for one of many calls."""
    for _ in range(WARM_UP):
        work()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(RUNS):
        work()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) * 1e-3 / RUNS


if __name__ == "__main__":
    main()
