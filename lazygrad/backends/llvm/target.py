"""What passes and codegen know of an instruction set; and the one of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """An instruction set. `triple`, `cpu` and `features` are LLVM's own names.

    `vector_bytes` is the width of a vector register and `registers` their number; `fma` says that
    x * y + z is one instruction, of which `fma_rate` begin in a cycle; `half` that float16 is
    converted by one.
    """

    name: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    fma: bool
    half: bool
    fma_rate: int = 2

    @property
    def has_masks(self) -> bool:
        """Whether a vector store that leaves out elements is as fast as a whole one."""
        return self.vector_bytes == 64

    @property
    def llvm(self) -> tuple[str, str, str]:
        """LLVM's names: triple, processor, features."""
        return self.triple, self.cpu, self.features


SSE2 = Target("sse2", "x86_64-unknown-linux-gnu", "x86-64", "", 16, 16, fma=False, half=False)
AVX2 = Target("avx2", "x86_64-unknown-linux-gnu", "haswell", "", 32, 16, fma=True, half=True)
AVX512 = Target(
    "avx512", "x86_64-unknown-linux-gnu", "skylake-avx512", "-prefer-256-bit", 64, 32, True, True
)
NEON = Target("neon", "aarch64-unknown-linux-gnu", "cortex-a76", "", 16, 32, fma=True, half=True)

# Processors (LLVM's names) that split an operation on 64 bytes into two halves.
_HALVES = frozenset({"znver4"})


@cache
def host() -> Target:
    """The processor that this process runs on, at its full vector width."""
    import llvmlite.binding as llvm

    features = dict(llvm.get_host_cpu_features())
    has = {name for name, present in features.items() if present}
    triple = llvm.get_process_triple()
    if not triple.startswith(("x86", "i686", "amd64")):
        wide, registers, fma, half = 16, 32, True, True
    elif "avx512f" in has and "avx512vl" in has and "avx512dq" in has and "avx512bw" in has:
        # LLVM prefers 256 bits on many processors that have 512; measured, 512 is the faster.
        features["prefer-256-bit"] = False
        wide, registers, fma, half = 64, 32, True, True
    else:
        wide = 32 if "avx2" in has else 16
        registers, fma, half = 16, "fma" in has, "f16c" in has
    cpu = llvm.get_host_cpu_name()
    rate = 1 if wide == 64 and cpu in _HALVES else 2
    text = ",".join(("+" if on else "-") + name for name, on in sorted(features.items()))
    return Target(cpu, triple, cpu, text, wide, registers, fma, half, rate)


# Sizes to assume where the system tells none.
_USUAL_CACHES = {1: 32 << 10, 2: 512 << 10}


@cache
def cache_bytes(level: int) -> int:
    """The bytes of one core's data cache of that level (1 or 2)."""
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            if (folder / "level").read_text().strip() != str(level):
                continue
            if (folder / "type").read_text().strip() == "Instruction":
                continue
            text = (folder / "size").read_text().strip()
            return int(text[:-1]) * {"K": 1 << 10, "M": 1 << 20}[text[-1]]
        except (OSError, ValueError, KeyError):
            continue
    return _USUAL_CACHES[level]
