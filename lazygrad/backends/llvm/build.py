"""IR text to machine code in this process, by way of the cache on disk.

Each function is an object file of its own, so that what was compiled once serves every program that
has it. LLVM does little: the loop passes have tiled, unrolled and vectorized, and codegen.py has
moved what loops do not change out of them.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakValueDictionary

from ...errors import CompilerError
from ...runtime.cache import DiskCache
from .target import Target

PASSES = "sroa,instcombine O2"  # changes whenever the same text is compiled in another way

_llvm_lock = threading.Lock()  # a TargetMachine serves one thread at a time


@dataclass(frozen=True, eq=False)
class Code:
    """Machine code in this process: addresses by function name, alive as long as this object."""

    addresses: dict[str, int]
    engine: Any


@dataclass(frozen=True, eq=False)
class Kernel:
    """One compiled function: its address, and the code that it is part of."""

    address: int
    code: Code


_kernels: WeakValueDictionary[str, Kernel] = WeakValueDictionary()  # by IR text


@cache
def _llvm() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@cache
def fingerprint(target: Target) -> str:
    """What machine code depends on besides the text, for cache keys."""
    import llvmlite

    version = ".".join(map(str, _llvm().llvm_version_info))
    return f"llvmlite {llvmlite.__version__} LLVM {version} {PASSES}\n{target}"


@cache
def _machine(target: Target) -> Any:
    llvm = _llvm()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, jit=True
    )


def _optimized(text: str, target: Target) -> Any:
    """The parsed module, its register arrays in registers."""
    llvm = _llvm()
    module = llvm.parse_assembly(text)
    module.verify()
    builder = llvm.create_pass_builder(_machine(target), llvm.create_pipeline_tuning_options(2))
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.run(module, builder)
    return module


def to_object(text: str, target: Target) -> bytes:
    """An object file for the IR text. Raises RuntimeError with LLVM's words."""
    with _llvm_lock:
        return bytes(_machine(target).emit_object(_optimized(text, target)))


def to_assembly(text: str, target: Target) -> str:
    """Assembly for the IR text, for people."""
    with _llvm_lock:
        return str(_machine(target).emit_assembly(_optimized(text, target)))


def _load(objects: Sequence[bytes], names: Sequence[str], target: Target) -> Code:
    """Object files made part of this process; `names` are the functions whose addresses to tell."""
    llvm = _llvm()
    with _llvm_lock:
        machine = llvm.Target.from_triple(target.triple).create_target_machine(
            cpu=target.cpu, features=target.features, opt=2, jit=True
        )
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        for data in objects:
            engine.add_object_file(llvm.ObjectFileRef.from_data(data))
        engine.finalize_object()
        return Code({name: engine.get_function_address(name) for name in names}, engine)


def load_text(text: str, names: Sequence[str], target: Target) -> Code:
    """Machine code for IR text, with the addresses of the named functions."""
    return _load([_object(text, target)], names, target)


def build(functions: Sequence[tuple[str, str]], target: Target) -> dict[str, Kernel]:
    """Machine code for functions given as (name, IR text); kernels by text.

    Raises CompilerError, naming the function, where LLVM does not take its text.
    """
    kernels: dict[str, Kernel] = {}
    objects: dict[str, bytes] = {}
    names: dict[str, str] = {}
    for name, text in functions:
        if (found := _kernels.get(text)) is not None:
            kernels[text] = found
        elif text not in objects:
            # Functions of one name may differ, and the loader knows them by their names alone.
            unique = f"{name}.{hashlib.sha256(text.encode()).hexdigest()[:16]}"
            renamed = text.replace(f"define void @{name}(", f"define void @{unique}(", 1)
            try:
                objects[text] = _object(renamed, target)
            except RuntimeError as error:
                raise _fault(name, text, error) from None
            names[text] = unique
    if objects:
        code = _load(list(objects.values()), list(names.values()), target)
        for text, unique in names.items():
            kernels[text] = _kernels[text] = Kernel(code.addresses[unique], code)
    return kernels


def _object(text: str, target: Target) -> bytes:
    """The object file for IR text, from the cache on disk or from LLVM."""
    key = f"{fingerprint(target)}\n{text}"
    data = _cache().get(key)
    if data is None:
        data = to_object(text, target)
        _cache().put(key, data)
    return data


@cache
def _cache() -> DiskCache:
    return DiskCache("llvm")


def _fault(name: str, text: str, error: Exception) -> CompilerError:
    """LLVM's complaint, with the text where it can be read."""
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"lazygrad-{name}-", suffix=".ll", delete=False
    ) as file:
        file.write(text)
    return CompilerError(f"llvm: {name}: {str(error).strip()}; its LLVM IR is in {file.name}")
