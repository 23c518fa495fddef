"""IR text to object code; also a program of its own, which does this for another process.

llvmlite holds one lock over all its calls, so a process compiles one function at a time; several
processes compile several. Run as a program, this file needs llvmlite alone, and starts in less than
a tenth of a second. It reads requests from its input and answers each: four bytes of length, then a
pickle; a request is (text, triple, cpu, features), an answer (object code, "") or (b"", complaint).
"""

from __future__ import annotations

import pickle
import struct
import sys
from functools import cache
from typing import IO, Any

import llvmlite.binding as llvm

LENGTH = struct.Struct("<I")


@cache
def target_machine(triple: str, cpu: str, features: str) -> Any:
    """LLVM's code generator for a processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=2, jit=True
    )


def optimized(text: str, machine: Any) -> Any:
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


def to_object(text: str, triple: str, cpu: str, features: str) -> bytes:
    """An object file for IR text. Raises RuntimeError with LLVM's words."""
    machine = target_machine(triple, cpu, features)
    return bytes(machine.emit_object(optimized(text, machine)))


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
