"""LLVM: from IR text to machine code in memory. Also a program of its own, which compiles for
another process.

llvmlite holds one lock over all its calls, so a process compiles one function at a time; several
processes compile several. Run as a program, this file needs llvmlite alone, and starts in less than
a tenth of a second. It reads requests from its input and answers each: four bytes of length, then a
pickle; a request is (text, triple, cpu, features), an answer (object code, "") or (b"", complaint).
"""

from __future__ import annotations

import pickle
import struct
import sys
import threading
from collections.abc import Sequence
from functools import cache
from typing import IO, Any

import llvmlite.binding as llvm

LENGTH = struct.Struct("<I")
Loaded = tuple[dict[str, int], Any]
"""The addresses of functions by name, and what keeps their code in memory."""

_lock = threading.Lock()  # a code generator serves one thread at a time


def in_memory(text: str, name: str, triple: str, cpu: str, features: str) -> tuple[int, Any]:
    """The address of a function of IR text, compiled into this process without optimization, and
    what keeps its code in memory. Raises RuntimeError with LLVM's words."""
    with _lock:
        machine = _generator(triple, cpu, features, opt=0)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
        engine.finalize_object()
        return engine.get_function_address(name), engine


def to_object(text: str, triple: str, cpu: str, features: str) -> bytes:
    """An object file for IR text. Raises RuntimeError with LLVM's words."""
    with _lock:
        machine = _shared_generator(triple, cpu, features)
        return bytes(machine.emit_object(_optimized(text, machine)))


def to_assembly(text: str, triple: str, cpu: str, features: str, opt: int = 2) -> str:
    """Assembly for IR text, for people: that of `to_object`, or with opt=0 of `in_memory`."""
    with _lock:
        machine = _generator(triple, cpu, features, opt)
        module = _optimized(text, machine) if opt else llvm.parse_assembly(text)
        return str(machine.emit_assembly(module))


def load(
    objects: Sequence[bytes], names: Sequence[str], triple: str, cpu: str, features: str
) -> Loaded:
    """Object files made part of this process, and where the named functions are."""
    with _lock:
        machine = _generator(triple, cpu, features)  # which the engine owns
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        for data in objects:
            engine.add_object_file(llvm.ObjectFileRef.from_data(data))
        engine.finalize_object()
        return {name: engine.get_function_address(name) for name in names}, engine


def _generator(triple: str, cpu: str, features: str, opt: int = 2) -> Any:
    """LLVM's code generator for a processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=opt, jit=True
    )


_shared_generator = cache(_generator)


def _optimized(text: str, machine: Any) -> Any:
    """The parsed module, its register arrays in registers.

    This is all that is left for LLVM's optimizer: the loop passes have tiled, unrolled and
    vectorized, and codegen has moved out of loops what they do not change.
    """
    module = llvm.parse_assembly(text)
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(2))
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.run(module, builder)
    return module


# --------------------------------------------------------------------------- for another process


def send(stream: IO[bytes], value: Any) -> None:
    data = pickle.dumps(value)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next value. Raises EOFError where there is none."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    data = stream.read(LENGTH.unpack(head)[0])
    return pickle.loads(data)


def serve() -> None:
    """Answer requests until the input ends."""
    while True:
        try:
            request = receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = to_object(*request), ""
        except RuntimeError as error:
            answer = b"", str(error)
        send(sys.stdout.buffer, answer)


if __name__ == "__main__":
    serve()
