"""What the machine can do at most: multiply-adds and copied bytes a second, on all cores."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import llvmlite.binding as llvm
import numpy as np

CORES = len(os.sched_getaffinity(0))
SUMS = 12  # independent chains: more than latency times rate, fewer than registers


def _fma_loop(lanes: int) -> str:
    """LLVM IR of f(n): n rounds of one multiply-add in each of SUMS vectors of float32."""
    vector, places = f"<{lanes} x float>", range(SUMS)
    fma = f"@llvm.fma.v{lanes}f32"
    phis = [f"  %a{i} = phi {vector} [ %s{i}, %entry ], [ %b{i}, %loop ]" for i in places]
    starts = [
        f"  %s{i} = insertelement {vector} zeroinitializer, float {float(i)}, i32 0" for i in places
    ]
    steps = [
        f"  %b{i} = call {vector} {fma}({vector} %a{i}, {vector} %m, {vector} %a{i})"
        for i in places
    ]
    sums = [f"  %t0 = fadd {vector} %b0, %b0"]
    sums += [f"  %t{i} = fadd {vector} %t{i - 1}, %b{i}" for i in places[1:]]
    return "\n".join(
        [
            f"declare {vector} {fma}({vector}, {vector}, {vector})",
            "define float @f(i64 %n) {",
            "entry:",
            f"  %m = insertelement {vector} zeroinitializer, float 0x3E80000000000000, i32 0",
            *starts,
            "  br label %loop",
            "loop:",
            "  %i = phi i64 [ 0, %entry ], [ %j, %loop ]",
            *phis,
            *steps,
            "  %j = add i64 %i, 1",
            "  %more = icmp slt i64 %j, %n",
            "  br i1 %more, label %loop, label %end",
            "end:",
            *sums,
            f"  %r = extractelement {vector} %t{SUMS - 1}, i32 0",
            "  ret float %r",
            "}",
        ]
    )


def flop_rate(rounds: int = 1 << 22) -> float:
    """float32 operations a second (a multiply-add is two) of registers alone; the best of ten."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    lanes = 16 if features.get("avx512f") else 8 if features.get("avx2") else 4
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=2
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_fma_loop(lanes)), target)
    engine.finalize_object()
    loop = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64)(engine.get_function_address("f"))
    seconds = _best(lambda _: loop(rounds))
    return CORES * rounds * SUMS * lanes * 2 / seconds


def copy_rate(nbytes: int = 1 << 28) -> float:
    """Bytes a second, read and written, of NumPy copying on all cores; the best of ten."""
    source = np.ones((CORES, nbytes // 4 // CORES), np.float32)
    target = np.empty_like(source)
    target.fill(0)  # so that its pages are there
    seconds = _best(lambda core: np.copyto(target[core], source[core]))
    return 2 * source.nbytes / seconds


def _best(work: Callable[[int], object]) -> float:
    """The least seconds of ten runs of work(core) on all cores at once."""
    times = []
    with ThreadPoolExecutor(CORES) as pool:
        for _ in range(10):
            start = time.perf_counter()
            list(pool.map(work, range(CORES)))
            times.append(time.perf_counter() - start)
    return min(times)
