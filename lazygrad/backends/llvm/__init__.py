"""The CPU backend: loops to LLVM IR (codegen), IR to machine code, memory and threads (device).

target       an instruction set, as facts
codegen      a Function to LLVM IR text: loops and statements
writer       where generated text goes: types, constants, scopes, names, each value once
values       expressions: operations and casts as instructions
accesses     loads and stores
machine_code IR text to machine code
plain        kernels compiled and called one by one, for OPT=0
build        machine code of many kernels: from the cache on disk, or compiled by several threads
program      many kernels as one native call
driver       the native code that runs a program's kernels;  threads  the threads that run it
device       all of this as a Device
"""
