"""Names of PyTorch and tinygrad that lazygrad does not have, with what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any

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
         "imag", "angle", "view_as_complex", "view_as_real", "stft", "istft"),
        _NO_COMPLEX,
    ),
    **dict.fromkeys(("sparse", "sparse_coo_tensor", "sparse_csr_tensor"), _NO_SPARSE),
    **dict.fromkeys(("distributed", "multiprocessing"), _ONE_PROCESS),
    "as_strided": "strides are the compiler's to choose; write x[...], reshape, expand or unfold",
    "empty_strided": "strides are the compiler's to choose; write empty(shape)",
    "set_num_threads": "set the environment variable THREADS",
    "get_num_threads": "read lazygrad.config.THREADS",
    "set_default_tensor_type": "write lazygrad.set_default_dtype",
    "use_deterministic_algorithms": "all results are deterministic already",
    "jit_script": "write lazygrad.jit",
    "export": "write lazygrad.dump for the code of what is computed",
    "onnx": "there is no ONNX; save weights by nn.state.safe_save",
    "hub": "there is no hub; nn.state.torch_load reads weights that torch.save wrote",
    "vision": "nn.datasets has MNIST and CIFAR",
    "profiler": "set DEBUG=2, or write lazygrad.explain(function, *args)",
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
    **dict.fromkeys(("lu", "lu_solve"), "write linalg.lu_factor and linalg.lu_solve"),
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


LINALG: dict[str, str] = {
    **dict.fromkeys(("eig", "eigvals"), PACKAGE["eig"]),
    **dict.fromkeys(("ldl_factor", "ldl_factor_ex", "ldl_solve"), "write linalg.lu_factor"),
    "householder_product": "write linalg.qr, which gives the product",
}
"""Of `lazygrad.linalg`."""

AUTOGRAD: dict[str, str] = {
    **dict.fromkeys(("detect_anomaly", "set_detect_anomaly"), "set CHECK=nan"),
    "profiler": PACKAGE["profiler"],
    "graph": "write lazygrad.dump(x) for the graph of x",
    "forward_ad": "write lazygrad.func.jvp",
}
"""Of `lazygrad.autograd`."""

DISTRIBUTIONS: dict[str, str] = dict.fromkeys(
    ("Beta", "Binomial", "Cauchy", "Chi2", "Dirichlet", "Gamma", "HalfNormal", "InverseGamma",
     "Kumaraswamy", "MixtureSameFamily", "Multinomial", "NegativeBinomial", "Pareto", "Poisson",
     "StudentT", "VonMises", "Weibull", "Wishart"),
    "it is not written yet; draw by numpy.random, write log_prob by lgamma and arithmetic",
)  # fmt: skip
"""Of `lazygrad.distributions`."""

FFT: dict[str, str] = dict.fromkeys(
    (f"{prefix}{kind}fft{axes}" for prefix in ("", "i") for kind in ("", "r", "h")
     for axes in ("", "2", "n")),
    f"{_NO_COMPLEX}, as x @ cos(angles) and x @ sin(angles), or write numpy.fft of x.numpy()",
)  # fmt: skip
"""Of `lazygrad.fft`."""

NN: dict[str, str] = {
    "SparseAdam": "there are no sparse gradients; write Adam",
    "DataParallel": _ONE_PROCESS,
    "parallel": _ONE_PROCESS,
    "Container": "write nn.Module",
    "modules": "the layers are in lazygrad.nn itself",
}
"""Of `lazygrad.nn` and `lazygrad.optim`."""

HOMES = ("nn", "nn.functional", "optim", "linalg", "special", "nn.init", "nn.utils",
         "optim.lr_scheduler", "utils.data", "transforms", "autograd", "")  # fmt: skip
"""The modules, within the package, where a name is looked for that another does not have."""

_PACKAGE = __name__.partition(".")[0]


class AbsentError(AttributeError):
    """A name that is not there. Its text says what to write instead, where that is known, or a name
    that is nearly the same. It is made when it is read: `hasattr` needs none."""

    def __init__(
        self, owner: str, name: str, hints: dict[str, str], known: Callable[[], Iterable[str]]
    ) -> None:
        super().__init__(owner, name, name=name)  # no `obj`, or Python would guess once more
        self.owner, self.wanted, self.hints, self.known = owner, name, hints, known

    def __str__(self) -> str:
        hint = self.hints.get(self.wanted) or _instead(self.wanted, self.known())
        return f"{self.owner} has no attribute {self.wanted!r}{hint and f': {hint}'}"

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return AttributeError, (str(self),)  # as another process gets it


def absent_from(module: str, hints: dict[str, str] = NN) -> Callable[[str], Any]:
    """The `__getattr__` of a module of the package, which raises AbsentError."""

    def missing(name: str) -> Any:
        raise AbsentError(f"module {module!r}", name, hints, partial(public_names, module))

    return missing


def public_names(module: str) -> list[str]:
    """What a module of the package says is public, else all that it holds."""
    found: Any = import_module(_PACKAGE)
    for name in module.split(".")[1:]:
        found = getattr(found, name)
    return list(vars(found).get("__all__", vars(found)))


def _instead(name: str, known: Iterable[str]) -> str:
    """The same name in other letters, or of another module, or one that is nearly the same."""
    if name.startswith("_"):
        return ""
    public = [other for other in known if not other.startswith("_")]
    public.sort(key=lambda other: not other.endswith("_"))  # `relu` takes the place of `relu_`
    spelled = {_letters(other): other for other in public}
    if found := spelled.get(_letters(name)):
        return f"did you mean {found!r}?"
    for home in HOMES:
        module = f"{_PACKAGE}.{home}".rstrip(".")
        if name in public_names(module):
            return f"it is {module}.{name}"
    from difflib import get_close_matches  # here: it takes time to import, and few need it

    near = get_close_matches(_letters(name), spelled, 1, 0.75)
    return f"did you mean {spelled[near[0]]!r}?" if near else ""


def _letters(name: str) -> str:
    return name.replace("_", "").lower()
