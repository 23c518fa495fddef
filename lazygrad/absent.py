"""Names of PyTorch and tinygrad that lazygrad does not have, with what to write instead."""

from __future__ import annotations

_NO_COMPLEX = "there are no complex numbers; compute real and imaginary parts"
_NO_SPARSE = "there are no sparse tensors; nn.Embedding and index_add work on dense ones"
_ONE_PROCESS = "training runs in one process"
_DTYPES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16",
    "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8",
    "Bool": "bool",
}  # fmt: skip

PACKAGE: dict[str, str] = {
    **{
        f"{kind}Tensor": f"write lazygrad.tensor(data, dtype=lazygrad.{dtype})"
        for kind, dtype in _DTYPES.items()
    },
    **dict.fromkeys(
        ("complex", "complex32", "complex64", "complex128", "cfloat", "cdouble", "polar", "real",
         "imag", "angle", "view_as_complex", "view_as_real", "stft", "istft", "fft"),
        _NO_COMPLEX,
    ),
    **dict.fromkeys(("sparse", "sparse_coo_tensor", "sparse_csr_tensor"), _NO_SPARSE),
    **dict.fromkeys(("distributed", "multiprocessing"), _ONE_PROCESS),
    "as_strided": "strides are the compiler's to choose; write x[...], reshape, expand or unfold",
    "empty_strided": "strides are the compiler's to choose; write empty(shape)",
    "set_printoptions": "write numpy.set_printoptions, which tensors are printed by",
    "set_num_threads": "set the environment variable THREADS",
    "get_num_threads": "read lazygrad.config.THREADS",
    "set_default_device": "set lazygrad.Device.DEFAULT",
    "set_default_tensor_type": "write lazygrad.set_default_dtype",
    "use_deterministic_algorithms": "all results are deterministic already",
    "jit_script": "write lazygrad.jit",
    "export": "write lazygrad.dump for the code of what is computed",
    "onnx": "there is no ONNX; save weights by nn.state.safe_save",
    "hub": "there is no hub; nn.state.torch_load reads weights that torch.save wrote",
    "vision": "nn.datasets has MNIST and CIFAR",
    "profiler": "set DEBUG=2, or write lazygrad.explain(function, *args)",
    "distributions": "write randn, rand, randint, multinomial, bernoulli and arithmetic",
    "typename": "write str(x.dtype)",
    "version": "write lazygrad.__version__",
    "strided": "leave the argument out: every tensor is dense",
    "contiguous_format": "leave the argument out: the compiler chooses how memory is laid out",
    "channels_last": "leave the argument out: the compiler chooses how memory is laid out",
    "preserve_format": "leave the argument out: the compiler chooses how memory is laid out",
    "nextafter": "write numpy.nextafter(x.numpy(), y.numpy())",
    "frexp": "write numpy.frexp(x.numpy())",
    "svd": "write linalg.svd, which gives V transposed",
    "qr": "write linalg.qr",
    "eig": "eigenvalues of general matrices are complex; linalg.eigh is for symmetric ones",
}  # fmt: skip
"""Of the package, `lazygrad.name`."""

TENSOR: dict[str, str] = {
    **dict.fromkeys(("real", "imag", "conj", "angle"), _NO_COMPLEX),
    **dict.fromkeys(("to_sparse", "coalesce", "is_sparse"), _NO_SPARSE),
    "as_strided": PACKAGE["as_strided"],
    "svd": "write lazygrad.linalg.svd(x)",
    "qr": "write lazygrad.linalg.qr(x)",
    "lazydata": "write .node",
    "uop": "write .node",
    "new": "write new_tensor(data), or new_empty(shape)",
    "astype": "write x.cast(dtype)",
    "copy": "write x.clone()",
    "grad_fn": "x.requires_grad says whether there is a gradient; lazygrad.dump(x) shows the graph",
    "share_memory_": _ONE_PROCESS,
    "pin_memory": "leave it out: memory is not copied on its way to a CPU",
    "is_cuda": "compare x.device",
    "shard": "a tensor is on one device",
    "shard_": "a tensor is on one device",
    "schedule": "write lazygrad.dump(x) for kernels, x.realize() to run them",
    "schedule_with_vars": "write lazygrad.dump(x) for kernels, x.realize() to run them",
    "kernelize": "write x.realize(): kernels are chosen by the compiler",
}
"""Of tensors, `x.name`."""


def message(owner: str, name: str, hints: dict[str, str]) -> str:
    """The text of an AttributeError, with what to write instead where that is known."""
    hint = hints.get(name)
    return f"{owner} has no attribute {name!r}" + ("" if hint is None else f": {hint}")
