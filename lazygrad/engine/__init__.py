"""Where tinygrad has `jit`: `from lazygrad.engine.jit import TinyJit`."""
