"""PyTorch's table of operations (op_db), each with its samples, run by lazygrad and compared.

Every operation that has a name here is looked up in `PLACES`, in `lazygrad`, `lazygrad.nn.functional`
or among the methods of Tensor, called with PyTorch's own samples as arguments, and compared with
PyTorch: shapes, dtypes, values, and the gradients of every float argument.

    python -m tests.parity.operations            # rewrite docs/operations.md
    python -m tests.parity.operations sort std   # tell what differs in these operations
"""

from __future__ import annotations

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
        from torch.testing._internal.common_methods_invocations import op_db as entries
    found: dict[str, Any] = {}
    for entry in entries:
        name = ".".join(filter(None, (entry.name, entry.variant_test_name)))
        found.setdefault(name, entry)
    return found


# --------------------------------------------------------------------------- names


def _reversed(name: str) -> Function:
    return lambda x, y: getattr(x, name)(y)


PLACES: dict[str, str | Function] = {
    "T": lambda x: x.T,
    "__rdiv__": "__rtruediv__",
    "einsum": lambda tensors, formula: Tensor.einsum(formula, *tensors),
    "stack": lambda tensors, *args, **named: Tensor.stack(tensors, *args, **named),
}
"""Where an operation is that has another name here, or another order of arguments."""


def function_of(name: str) -> Function | None:
    """What computes an operation of PyTorch here; None where nothing does."""
    place = PLACES.get(name)
    if callable(place):
        return place
    path = (place or op_db()[name].name).split(".")
    if path[0] in ("nn", "linalg", "fft", "special"):
        owner: Any = lazygrad
        for part in path[:-1]:
            owner = getattr(owner, part, None)
        if (found := getattr(owner, path[-1], None)) is not None:
            return found
        if path[0] != "nn":
            return None
    for owner in (Tensor, lazygrad):
        found = getattr(owner, path[-1], None)
        if callable(found):
            return found
    return None


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
        return {k: _converted(v) for k, v in value.items() if k not in ("out", "layout", "memory_format")}
    if isinstance(value, torch.device) or value == "cpu":
        return "CPU"
    if isinstance(value, complex) or isinstance(value, (torch.memory_format, torch.layout)):
        raise Unsupported
    return value


def _tensor(x: torch.Tensor) -> Tensor:
    if x.ndim > 64 or x.is_complex() or x.layout != torch.strided or x.is_quantized:
        raise Unsupported
    made = Tensor(_array(x).copy(), requires_grad=x.requires_grad)
    return made


def _array(x: torch.Tensor) -> np.ndarray[Any, Any]:
    x = x.detach().resolve_neg().resolve_conj()
    if x.dtype == torch.bfloat16:
        import ml_dtypes

        return x.float().numpy().astype(ml_dtypes.bfloat16)
    return x.numpy()


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

    told: str
    name: str
    sample: Any
    ours: list[Any]
    theirs: list[Any]
    what: list[str]


def samples(name: str, few: int | None, dtype: Any = torch.float32) -> list[Any]:
    """PyTorch's samples of an operation, at most `few`, spread over all of them."""
    entry = op_db()[name]
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
    told = f"{_told(sample.input)} {_told(sample.args)} {_told(sample.kwargs)}"
    try:
        args = _converted((sample.input, *sample.args))
        named = _converted(sample.kwargs)
    except Unsupported:
        return None
    theirs = entry.op(sample.input, *sample.args, **sample.kwargs)
    ours = function(*args, **named)
    case = Case(told, name, sample, _listed(ours), _listed(theirs), [])
    if len(case.ours) != len(case.theirs):
        raise AssertionError(f"{len(case.ours)} results, not {len(case.theirs)}")
    case.what = [f"result {i}" for i in range(len(case.ours))]
    _add_gradients(case, (args, named), ((sample.input, *sample.args), sample.kwargs))
    for mine, other, what in zip(case.ours, case.theirs, case.what, strict=True):
        if isinstance(mine, Tensor):
            assert mine.shape == tuple(other.shape), f"{what}: {mine.shape}, not {tuple(other.shape)}"
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
    if compile_them:
        Tensor.realize(*tensors)
        return [np.asarray(x.numpy()) for x in tensors]
    return evaluate([x.node for x in tensors])


def compare(
    case: Case, values: list[Any], rtol: float = 2e-4, atol: float = 2e-5
) -> None:
    """Raise AssertionError unless values agree; those that are no tensors are equal.

    Where they differ, PyTorch's float64 decides: its float32 may be the one that is wrong.
    """
    given = iter(values)
    wide: list[Any] = []
    for mine, other, what in zip(case.ours, case.theirs, case.what, strict=True):
        if not isinstance(mine, Tensor):
            assert not isinstance(other, torch.Tensor) and mine == other, f"{what}: {mine!r}"
            continue
        value, expected = next(given), _array(other)
        if value.dtype.kind in "V" or value.dtype.itemsize < 4 and value.dtype.kind == "f":
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


def check(name: str, few: int | None = FEW, compile_them: bool = True) -> Report:
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
        flat = [x for case in cases for x in case.ours if isinstance(x, Tensor)]
        values = iter(_values(flat, compile_them)) if flat else iter(())
        for case in cases:
            own = list(islice(values, sum(isinstance(x, Tensor) for x in case.ours)))
            try:
                compare(case, own)
                report.passed += 1
            except AssertionError as error:
                report.faults.append(f"{' '.join(str(error).split()):.300} for {case.told}")
        check_errors(report)
    return report


def _sample_told(sample: Any) -> str:
    return f"{_told(sample.input)} {_told(sample.args)} {_told(sample.kwargs)}"


KINDS = (IndexError, TypeError, ValueError, RuntimeError, NotImplementedError)


def wrong_inputs(name: str) -> Iterator[tuple[Any, Any, type]]:
    """Arguments of an operation that PyTorch refuses, and by which kind of exception."""
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
            yield (args, named, _sample_told(sample)), type(error), str(error)  # type: ignore[misc]


def check_errors(report: Report) -> None:
    """Count the wrong inputs that are refused here too, and by the same kind."""
    function = function_of(report.name)
    assert function is not None
    for (args, named, told), kind, text in wrong_inputs(report.name):  # type: ignore[misc]
        report.errors += 1
        try:
            made = function(*args, **named)
            for x in tensors_in(made, Tensor):
                evaluate([x.node])
        except Exception as error:
            report.refused += 1
            if any(isinstance(error, k) and issubclass(kind, k) for k in KINDS):
                report.kinds += 1
            else:
                report.faults.append(f"KIND {kind.__name__} {text:.80} | {type(error).__name__} {error!s:.100} for {told}")
        else:
            report.faults.append(f"ACCEPTED {kind.__name__} {text:.80} for {told}")


if __name__ == "__main__":
    import os
    torch.set_num_threads(1)
    names = sys.argv[1:]
    if names == ["all"]:
        names = [n for n in op_db() if function_of(n)]
    if not names:
        names=[l.split('|')[0].strip() for l in open('/work/shared/cases/ops.txt') if '|' in l and not l.startswith('#')]
    few = int(os.environ.get("FEW", FEW)) or None
    full = 0
    e=r=k=0
    import time
    for name in names:
        if function_of(name) is None:
            print(f"{name} ABSENT")
            continue
        t=time.process_time()
        try:
            report = check(name, few, bool(int(os.environ.get("COMPILE","0"))))
        except Exception as error:
            import traceback; traceback.print_exc()
            print(f"{name} FAILS {type(error).__name__} {error!s:.300}")
            continue
        t=time.process_time()-t
        full += report.cases == report.passed
        e+=report.errors; r+=report.refused; k+=report.kinds
        if report.faults or t>3:
            print(f"{name}: {report.passed} / {report.cases}; errors {report.errors} {report.refused} {report.kinds} ({t:.1f} s)")
            for fault in report.faults[:int(os.environ.get("N","3"))]:
                print("    ", fault)
    print(full, "of", len(names), "errors", e, "refused", r, "kinds", k)
