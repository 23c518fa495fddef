"""PyTorch's table of operations (op_db), each with its samples, run by lazygrad and compared.

Every operation that has a name here is looked up in `PLACES`, in lazygrad and its modules, or among
the methods of Tensor, called with PyTorch's own samples as arguments, and compared with
PyTorch: shapes, dtypes, values, and the gradients of every float argument.

    python -m tests.parity.operations            # rewrite docs/operations.md
    python -m tests.parity.operations sort std   # tell what differs in these operations
"""

from __future__ import annotations

import random
import sys
import types
import unittest
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lazygrad
from lazygrad import Tensor
from lazygrad.graph.evaluate import evaluate

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
FEW = 12  # samples of an operation, spread over all of them

Function = Callable[..., Any]


@cache
def op_db() -> dict[str, Any]:
    """PyTorch's descriptions of its operations, by name and variant."""
    if "expecttest" not in sys.modules:  # which PyTorch's own tests need, and we do not
        stand_in = types.ModuleType("expecttest")
        stand_in.TestCase = unittest.TestCase  # type: ignore[attr-defined]
        sys.modules["expecttest"] = stand_in
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal import common_utils
        from torch.testing._internal.common_methods_invocations import op_db as entries
        from torch.testing._internal.opinfo import core
    common_utils.extract_test_fn = core.extract_test_fn = _no_unittest
    common_utils.set_rng_seed = _seed
    found: dict[str, Any] = {}
    for entry in entries:
        name = ".".join(filter(None, (entry.name, entry.variant_test_name)))
        found.setdefault(name, entry)
    return found


def _no_unittest() -> None:
    """The unittest.TestCase that runs. PyTorch searches every frame and module for it at each
    sample, which takes longer than all else; there is none."""


def _seed(seed: int | None = None) -> None:
    """Let what samples draw begin anew, as PyTorch does at each sample; but torch.manual_seed would
    also keep a stack trace for every kind of device, in case one is opened later."""
    seed = 1234 if seed is None else seed  # PyTorch's own
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


# --------------------------------------------------------------------------- names


PLACES: dict[str, str | Function] = {
    "T": lambda x: x.T,
    "__rdiv__": "__rtruediv__",
    "nn.functional.embedding": lambda weight, index, **named: lazygrad.nn.functional.embedding(
        index, weight, **named
    ),
    "polygamma": lambda x, n: x.polygamma(n),
    "special.polygamma": lambda x, n: x.polygamma(n),
    "nn.functional.embedding_bag": lambda weight, index, **named: (
        lazygrad.nn.functional.embedding_bag(index, weight, **named)
    ),
    "linalg.pinv.singular": lambda a, b: lazygrad.linalg.pinv(a @ b.mT),
    "zero_": lambda x: x.clone().zero_(),
    "einsum": lambda tensors, formula: Tensor.einsum(formula, *tensors),
    "stack": lambda tensors, *args, **named: Tensor.stack(tensors, *args, **named),
}
"""Where an operation is that has another name here, or another order of arguments."""


LEFT_OUT = {
    "item", "randn", "rand_like", "randn_like", "randint", "randint_like", "bernoulli",
    "multinomial", "normal", "normal.in_place", "normal.number_mean", "uniform", "exponential",
    "geometric", "log_normal", "cauchy", "empty", "empty_like", "new_empty",
    "nn.functional.dropout", "nn.functional.dropout2d", "nn.functional.dropout3d",
    "nn.functional.alpha_dropout", "nn.functional.feature_alpha_dropout.with_train",
    "nn.functional.rrelu", "nn.functional.fractional_max_pool2d",
    "nn.functional.fractional_max_pool3d", "gradient", "linalg.svd", "linalg.eigh", "linalg.qr",
    "__rand__", "__ror__", "__rxor__", "bfloat16", "bool", "byte", "char", "double", "float",
    "half", "int", "long", "short", "linalg.lstsq", "linalg.lstsq.grad_oriented",
}  # fmt: skip
"""Random numbers, which differ from PyTorch's; what no value is compared of; factors, of which the
signs are free (`test_linalg.py` has them); and casts."""


def function_of(name: str) -> Function | None:
    """What computes an operation of PyTorch here; None where nothing does."""
    place = PLACES.get(name) or PLACES.get(op_db()[name].name)
    if callable(place):
        return place
    path = (place or op_db()[name].name).split(".")
    owner: Any = lazygrad
    for part in path[:-1]:
        owner = getattr(owner, part, None)
    found: Function | None = getattr(owner, path[-1], None)
    if not callable(found) and (len(path) == 1 or path[0] == "nn"):
        found = getattr(Tensor, path[-1], None)
    return found if callable(found) else None


# --------------------------------------------------------------------------- arguments


class Unsupported(Exception):
    """A sample of what lazygrad does not have: complex numbers, sparse or named tensors."""


def _converted(value: Any) -> Any:
    """PyTorch's arguments as ours; the tensors are appended to `ours`."""
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    if isinstance(value, torch.dtype):
        if value.is_complex:
            raise Unsupported
        return str(value).removeprefix("torch.")
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (tuple, list)):
        return type(value)(_converted(x) for x in value)
    if isinstance(value, dict):
        return {
            k: _converted(v)
            for k, v in value.items()
            if k not in ("out", "layout", "memory_format")
        }
    if isinstance(value, torch.device) or value == "cpu":
        return "CPU"
    if isinstance(value, (complex, torch.memory_format, torch.layout)):
        raise Unsupported
    return value


def _tensor(x: torch.Tensor) -> Tensor:
    if (
        x.ndim > 64
        or x.device.type != "cpu"
        or x.is_complex()
        or x.layout != torch.strided
        or x.is_quantized
    ):
        raise Unsupported
    made = Tensor(_array(x).copy(), requires_grad=x.requires_grad)
    return made


def _array(x: torch.Tensor) -> np.ndarray[Any, Any]:
    x = x.detach().resolve_neg().resolve_conj()
    if x.dtype == torch.bfloat16:
        import ml_dtypes

        return x.float().numpy().astype(ml_dtypes.bfloat16)
    return x.numpy(force=True)


def tensors_in(value: Any, kind: type) -> list[Any]:
    """The tensors in nested lists and dictionaries, in order."""
    if isinstance(value, kind):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [x for part in value for x in tensors_in(part, kind)]
    return []


# --------------------------------------------------------------------------- comparing


@dataclass
class Report:
    """What was seen of one operation."""

    name: str
    cases: int = 0
    passed: int = 0
    refused: int = 0  # inputs that PyTorch refuses, and that were refused here
    errors: int = 0
    kinds: int = 0  # refused by the same built-in kind of exception
    dtypes: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


@dataclass
class Case:
    """One sample, and what both sides made of it; values still to be compared."""

    name: str
    sample: Any
    ours: list[Any]
    theirs: list[Any]
    what: list[str]

    def tensors(self) -> list[Tensor]:
        """What lazygrad made, and has still to compute."""
        return [x for x in self.ours if isinstance(x, Tensor)]


def samples(name: str, few: int | None, dtype: Any = None) -> list[Any]:
    """PyTorch's samples of an operation, at most `few`, spread over all of them; of float32, or of
    int64 where there are none of floats."""
    entry = op_db()[name]
    if dtype is None:
        dtype = torch.float32 if torch.float32 in entry.dtypes else torch.int64
    torch.manual_seed(0)
    grad = bool(entry.supports_autograd) and dtype.is_floating_point
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(entry.sample_inputs("cpu", dtype, requires_grad=grad))
    if few is None or len(found) <= few:
        return found
    return [found[i * len(found) // few] for i in range(few)]


def run(name: str, sample: Any) -> Case | None:
    """One sample on both sides; None where it has no meaning here. Raises what lazygrad raises."""
    entry, function = op_db()[name], function_of(name)
    assert function is not None
    try:
        args = _converted((sample.input, *sample.args))
        named = _converted(sample.kwargs)
    except Unsupported:
        return None
    theirs = entry.op(sample.input, *sample.args, **sample.kwargs)
    ours = function(*args, **named)
    case = Case(name, sample, _listed(ours), _listed(theirs), [])
    if len(case.ours) != len(case.theirs):
        raise AssertionError(f"{len(case.ours)} results, not {len(case.theirs)}")
    case.what = [f"result {i}" for i in range(len(case.ours))]
    _add_gradients(case, (args, named), ((sample.input, *sample.args), sample.kwargs))
    for mine, other, what in zip(case.ours, case.theirs, case.what, strict=True):
        if isinstance(mine, Tensor):
            assert mine.shape == tuple(other.shape), (
                f"{what}: {mine.shape}, not {tuple(other.shape)}"
            )
            kind = str(other.dtype).removeprefix("torch.")
            assert str(mine.dtype) == kind, f"{what}: {mine.dtype}, not {kind}"
    return case


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _add_gradients(case: Case, ours: Any, theirs: Any) -> None:
    """The gradients of all float arguments, under random cotangents of all float results."""
    mine = [x for x in tensors_in(ours, Tensor) if x.requires_grad]
    others = [x for x in tensors_in(theirs, torch.Tensor) if x.requires_grad]
    total = _weighted_sum(case.theirs)
    if total is None:
        return
    rng = np.random.default_rng(0)
    loss = Tensor(0.0)
    for x, y in zip(case.ours, case.theirs, strict=True):
        if isinstance(y, torch.Tensor) and y.requires_grad:
            assert x.requires_grad, "a result requires no gradient"
            seed = rng.standard_normal(tuple(y.shape)).astype(x.dtype.numpy)
            loss = loss + (x * Tensor(np.asarray(seed))).sum()
    wanted = torch.autograd.grad(total, others, allow_unused=True)
    found = loss.gradient(*mine, materialize_grads=True)
    for i, (x, y) in enumerate(zip(found, wanted, strict=True)):
        if y is not None:
            case.ours.append(x)
            case.theirs.append(y)
            case.what.append(f"gradient {i}")


def _weighted_sum(results: list[Any]) -> Any:
    """PyTorch's float results times random numbers, summed; None where nothing has a gradient."""
    rng = np.random.default_rng(0)
    total: Any = None
    for y in results:
        if isinstance(y, torch.Tensor) and y.requires_grad:
            seed = torch.tensor(rng.standard_normal(tuple(y.shape)), dtype=y.dtype)
            part = (y * seed).sum()
            total = part if total is None else total + part
    return total


def _in_float64(case: Case) -> list[Any]:
    """What PyTorch gives for a sample in float64: results, then gradients."""

    def wide(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
            return value.detach().double().requires_grad_(value.requires_grad)
        if isinstance(value, dict):
            return {k: wide(v) for k, v in value.items()}
        if isinstance(value, (tuple, list)):
            return type(value)(map(wide, value))
        return torch.float64 if value is torch.float32 else value

    args, named = wide((case.sample.input, *case.sample.args)), wide(case.sample.kwargs)
    results = _listed(op_db()[case.name].op(*args, **named))
    total = _weighted_sum(results)
    if total is not None:
        others = [x for x in tensors_in((args, named), torch.Tensor) if x.requires_grad]
        found = torch.autograd.grad(total, others, allow_unused=True)
        results += [x for x in found if x is not None]
    return results


def _values(tensors: list[Tensor], compile_them: bool) -> list[np.ndarray[Any, Any]]:
    if not tensors:
        return []
    if compile_them:
        Tensor.realize(*tensors)
        return [np.asarray(x.numpy()) for x in tensors]
    return evaluate([x.node for x in tensors])


def compare(case: Case, values: list[Any], rtol: float = 2e-4, atol: float = 2e-5) -> None:
    """Raise AssertionError unless values agree; those that are no tensors are equal.

    Where they differ, PyTorch's float64 decides: its float32 may be the one that is wrong.
    """
    given = iter(values)
    wide: list[Any] = []
    for mine, other, what in zip(case.ours, case.theirs, case.what, strict=True):
        if not isinstance(mine, Tensor):
            assert not isinstance(other, torch.Tensor), f"{what}: {mine!r}"
            assert mine == other, f"{what}: {mine!r}"
            continue
        value, expected = next(given), _array(other)
        if value.dtype.kind in "V" or (value.dtype.itemsize < 4 and value.dtype.kind == "f"):
            value, expected = value.astype(np.float32), expected.astype(np.float32)
        if not np.allclose(value, expected, rtol, atol, equal_nan=True):
            wide = wide or _in_float64(case)
            better = _array(wide[case.what.index(what)])
            with np.errstate(all="ignore"):
                if np.abs(value - better).max() <= np.abs(expected - better).max():
                    continue  # nearer than PyTorch's float32 is
            np.testing.assert_allclose(value, better, rtol, atol, equal_nan=True, err_msg=what)


def _told(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{tuple(value.shape)}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_told(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_told, value)) + "]"
    return repr(value)


def check(
    name: str, few: int | None = FEW, compile_them: bool = True, wrong: bool = True
) -> Report:
    """Run an operation's samples, all values in one realization, and its wrong inputs."""
    report = Report(name)
    cases = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for sample in samples(name, few):
            try:
                case = run(name, sample)
            except Exception as error:
                report.cases += 1
                said = f"{type(error).__name__}: {error}"
                report.faults.append(f"{said:.300} for {_sample_told(sample)}")
                continue
            if case is not None and not sample.kwargs.get("dropout_p"):  # random numbers differ
                report.cases += 1
                cases.append(case)
        values = iter(_values([x for case in cases for x in case.tensors()], compile_them))
        for case in cases:
            own = list(islice(values, len(case.tensors())))
            try:
                compare(case, own)
                report.passed += 1
            except AssertionError as error:
                report.faults.append(
                    f"{' '.join(str(error).split()):.300} for {_sample_told(case.sample)}"
                )
        if wrong:
            check_errors(report)
    return report


def _sample_told(sample: Any) -> str:
    return f"{_told(sample.input)} {_told(sample.args)} {_told(sample.kwargs)}"


KINDS: tuple[type[Exception], ...] = (
    IndexError,
    TypeError,
    ValueError,
    RuntimeError,
    NotImplementedError,
)


@dataclass
class Wrong:
    """Arguments that PyTorch refuses, by an exception of this kind."""

    told: str
    args: Any
    named: Any
    error: Exception


def wrong_inputs(name: str) -> Iterator[Wrong]:
    """Arguments of an operation on tensors that PyTorch refuses."""
    entry = op_db()[name]
    if entry.error_inputs_func is None:
        return
    torch.manual_seed(0)
    for wrong in entry.error_inputs("cpu"):
        sample = wrong.sample_input
        if not tensors_in(sample.input, torch.Tensor) or "out" in sample.kwargs:
            continue
        try:
            args, named = _converted((sample.input, *sample.args)), _converted(sample.kwargs)
        except Unsupported:
            continue
        try:
            entry.op(sample.input, *sample.args, **sample.kwargs)
        except Exception as error:
            yield Wrong(_sample_told(sample), args, named, error)


def check_errors(report: Report) -> None:
    """Count the wrong inputs that are refused here too, and by the same kind."""
    function = function_of(report.name)
    assert function is not None
    for wrong in wrong_inputs(report.name):
        report.errors += 1
        told = f"{type(wrong.error).__name__} {wrong.error!s:.80}"
        try:
            made = function(*wrong.args, **wrong.named)
            evaluate([x.node for x in tensors_in(made, Tensor)])
        except Exception as error:
            report.refused += 1
            if any(isinstance(error, kind) and isinstance(wrong.error, kind) for kind in KINDS):
                report.kinds += 1
            else:
                ours = f"{type(error).__name__} {error!s:.100}"
                report.faults.append(f"KIND {told} | {ours} for {wrong.told}")
        else:
            report.faults.append(f"ACCEPTED {told} for {wrong.told}")


# --------------------------------------------------------------------------- the page


DTYPES = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool)
HEAD = """# Operations

PyTorch's own table of operations (`op_db`, PyTorch {version}) has {total} entries. The {count}
below have a name in lazygrad. `tests/parity/test_op_db.py` runs PyTorch's samples of each through
lazygrad and compares shapes, dtypes, values and gradients with PyTorch's. Where the two differ by
more than rounding, PyTorch's float64 decides.

- *cases* are samples in float32 (int64, where there are none of floats), at most {few} spread over
  all of PyTorch's; *agree* is how many of them do.
- *dtypes* are others in which a few samples agree.
- *refused* is how many inputs that PyTorch refuses are refused here, of how many; *same kind*, how
  many of them by the same built-in kind of exception. A number where PyTorch wants a tensor, as in
  `x.maximum(2)`, is accepted on purpose.

`make operations` writes this page.

| operation | cases | agree | dtypes | refused | same kind |
|---|---|---|---|---|---|
"""


def names() -> list[str]:
    """The operations of PyTorch's table that have a name here, in alphabetical order."""
    kinds = {torch.float32, torch.int64}
    return sorted(
        name
        for name, entry in op_db().items()
        if name not in LEFT_OUT and kinds & set(entry.dtypes) and function_of(name)
    )


def row(report: Report) -> str:
    """An operation's line of the page."""
    told = " ".join(sorted(report.dtypes))
    refused = f"{report.refused} of {report.errors} | {report.kinds}" if report.errors else "|"
    return f"| `{report.name}` | {report.cases} | {report.passed} | {told} | {refused} |"


def other_dtypes(name: str) -> set[str]:
    """The dtypes beside float32 in which a few samples agree, of those that PyTorch takes."""
    found = set()
    for dtype in DTYPES:
        if dtype in op_db()[name].dtypes and _agrees_in(name, dtype):
            found.add(str(dtype).removeprefix("torch."))
    return found


def _agrees_in(name: str, dtype: torch.dtype) -> bool:
    loose = {torch.float16: (1e-2, 1e-3), torch.bfloat16: (4e-2, 1e-2)}.get(dtype, (1e-5, 1e-6))
    try:
        for sample in samples(name, 2, dtype):
            case = run(name, sample)
            if case is not None:
                compare(case, _values(case.tensors(), False), *loose)
    except Exception:
        return False
    return True


def write_page() -> None:
    """Rewrite docs/operations.md."""
    rows = []
    for name in names():
        report = check(name, compile_them=False)
        report.dtypes = other_dtypes(name)
        rows.append(row(report))
        if report.faults:
            print(row(report), *report.faults[:3], sep="\n    ", flush=True)
    head = HEAD.format(
        version=torch.__version__.partition("+")[0], total=len(op_db()), count=len(rows), few=FEW
    )
    PAGE.write_text(head + "\n".join(rows) + "\n")


def _main(wanted: list[str]) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if not wanted:
        write_page()
    for name in wanted:
        report = check(name, None)
        print(row(report), *report.faults, sep="\n    ")


if __name__ == "__main__":
    _main(sys.argv[1:])
