"""LLVM: from IR text to machine code in memory.

llvmlite holds a lock during each call, so that threads take turns. Making an object file is the
call that takes long; here it is made without the lock, and threads compile side by side. For that,
each function has an LLVM context of its own, and each thread a code generator.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, cast

import llvmlite.binding as llvm
from llvmlite.binding import ffi

Loaded = tuple[dict[str, int], Any]
"""The addresses of functions by name, and what keeps their code in memory."""

Native = Callable[..., None]
"""A native function. A kernel takes the arguments' addresses; which thread of how many calls it;
and the address of that thread's scratch block."""


@lru_cache(maxsize=1024)  # the code stays in memory as long
def in_memory(text: str, name: str, triple: str, cpu: str, features: str) -> Native:
    """A kernel of IR text, compiled into this process without optimization. Raises RuntimeError
    with LLVM's words."""
    machine = _generator(triple, cpu, features, opt=0)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    engine.finalize_object()
    kernel: Any = native(engine.get_function_address(name), 3)
    kernel.engine = engine  # or the code would be gone
    return cast(Native, kernel)


def native(address: int, numbers: int) -> Native:
    """The native function at an address, which takes a pointer and so many integers."""
    kinds = (ctypes.c_void_p, *[ctypes.c_int64] * numbers)
    return ctypes.CFUNCTYPE(None, *kinds)(address)


def to_object(text: str, triple: str, cpu: str, features: str, opt: int = 1) -> bytes:
    """An object file for IR text; with opt=0 it is made in a quarter of the time, without
    optimization. Raises RuntimeError with LLVM's words."""
    machine = _own.generator(triple, cpu, features, opt)
    if opt == 0:
        return _emitted(machine, llvm.parse_assembly(text, llvm.create_context()))
    return _emitted(machine, _optimized(text, machine))


def to_assembly(text: str, triple: str, cpu: str, features: str, opt: int = 1) -> str:
    """Assembly for IR text, for people: that of `to_object`, or with opt=0 of `in_memory`."""
    machine = _generator(triple, cpu, features, opt)
    module = _optimized(text, machine) if opt else llvm.parse_assembly(text)
    return str(machine.emit_assembly(module))


def load(
    objects: Sequence[bytes], names: Sequence[str], triple: str, cpu: str, features: str
) -> Loaded:
    """Object files made part of this process, and where the named functions are."""
    machine = _generator(triple, cpu, features)  # which the engine owns
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    for data in objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    engine.finalize_object()
    return {name: engine.get_function_address(name) for name in names}, engine


def _generator(triple: str, cpu: str, features: str, opt: int = 1) -> Any:
    """LLVM's code generator for a processor. Beyond opt=1 it would schedule instructions a second
    time, a sixteenth of its time, and test whether numbers fit a shorter division."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=opt, jit=True
    )


class _Own(threading.local):
    """Code generators of one thread, by processor."""

    def __init__(self) -> None:
        self.generator = cache(_generator)


_own = _Own()


def _emitted(machine: Any, module: Any) -> bytes:
    """machine.emit_object(module), without llvmlite's lock where its function can be had bare."""
    emit = ffi.lib.LLVMPY_TargetMachineEmitToMemory
    with ffi.OutputString() as complaint:
        buffer = getattr(emit, "_cfn", emit)(machine, module, 1, complaint)
        if not buffer:
            raise RuntimeError(str(complaint))
    try:
        start, size = ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer)
        return ctypes.string_at(start, size)
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def _optimized(text: str, machine: Any) -> Any:
    """The parsed module, its register arrays in registers.

    This is all that is left for LLVM's optimizer: the loop passes have tiled, unrolled and
    vectorized, and codegen has moved out of loops what they do not change.
    """
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(2))
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.run(module, builder)
    return module
