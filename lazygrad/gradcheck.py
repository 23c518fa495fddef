"""Compare derivatives with finite differences, in float64.

    gradcheck(lambda x, w: (x @ w).tanh(), x, w)        is the derivative right?
    gradgradcheck(lambda x, w: (x @ w).tanh(), x, w)    and the second one?

    backward    row k of the Jacobian: the gradient of output element k
    differences column j: (f(x + eps e_j) - f(x - eps e_j)) / (2 eps)

Functions of many elements take long: the work grows with inputs times outputs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .dtypes import float64
from .errors import ArgumentError, GradcheckError
from .tensor import Tensor

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]


def gradcheck(
    function: Function,
    *inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the derivatives of a function agree with finite differences.

    `inputs` are its arguments, or one tuple of them as PyTorch takes it. Derivatives are those of
    all float outputs (one tensor, or several in a tuple) with respect to the inputs that require
    gradient; float tensors are cast to float64. Two numbers agree where
    `|backward - difference| <= atol + rtol * |difference|`.

    Raises GradcheckError, naming the input, the element and both numbers, or returns False where
    `raise_exception` is False. Raises ValueError where no input requires gradient.

        gradcheck(lambda x: x * x, Tensor([3.0], requires_grad=True)) is True
    """
    found = _first_fault(function, _arguments(inputs), eps, atol, rtol)
    if found and raise_exception:
        raise GradcheckError(f"gradcheck: {found}")
    return not found


def gradgradcheck(
    function: Function,
    *inputs: Any,
    grad_outputs: Sequence[Tensor] | None = None,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the derivatives of a function's gradients agree with finite differences.

    Arguments and errors are as of `gradcheck`. The gradients are those of the outputs weighted by
    `grad_outputs`, one tensor an output; by default random numbers, the same in each call.

        gradgradcheck(lambda x: x * x, Tensor([3.0], requires_grad=True)) is True
    """
    given = _as_float64(_arguments(inputs))
    targets = _checked(given)
    if grad_outputs is None:
        outputs = _outputs(function, given)
        draw = np.random.default_rng(0).standard_normal
        weights = [Tensor(draw(y.shape), device=y.device) for y in outputs]
    else:
        weights = [g.double().detach() for g in grad_outputs]
    for weight in weights:
        weight.requires_grad_()

    def gradients(*arguments: Any) -> tuple[Tensor, ...]:
        own = arguments[: len(given)]
        outputs = _outputs(function, own)
        wanted = [own[n] for n in targets]
        parts = [
            y.gradient(*wanted, gradient=g, materialize_grads=True)
            for y, g in zip(outputs, arguments[len(given) :], strict=True)
        ]
        return tuple(sum(of_one[1:], start=of_one[0]) for of_one in zip(*parts, strict=True))

    gradients.__signature__ = _signature(function, len(given), len(weights))  # type: ignore
    found = _first_fault(gradients, [*given, *weights], eps, atol, rtol)
    if found and raise_exception:
        raise GradcheckError(f"gradgradcheck: of the gradients, {found}")
    return not found


def _first_fault(
    function: Function, inputs: Sequence[Any], eps: float, atol: float, rtol: float
) -> str:
    """What is told of the first input whose derivatives differ; "" where none do."""
    given = _as_float64(inputs)
    targets = _checked(given)
    outputs = _outputs(function, given)
    values = _values(outputs)
    if not all(map(np.array_equal, values, _values(_outputs(function, _as_float64(inputs))))):
        return "outputs are others when the function is called again: nothing can be compared"
    for n in targets:
        by_backward = [_jacobian(y, given[n]) for y in outputs]
        by_differences = _difference_quotients(function, given, n, eps)
        for m, (a, b) in enumerate(zip(by_backward, by_differences, strict=True)):
            wrong = np.argwhere(~(np.abs(a - b) <= atol + rtol * np.abs(b)))
            if len(wrong):
                k, j = wrong[0]
                output = _element(outputs[m], k)
                which = f"output {m}" if len(outputs) > 1 else "the output"
                return (
                    f"the derivative of {which}{output} with respect to "
                    f"{_name(function, n)}{_element(given[n], j)} is {a[k, j]:.6g} by backward(), "
                    f"{b[k, j]:.6g} by finite differences; {len(wrong)} of {a.size} elements of "
                    f"this Jacobian differ{_hint(outputs[m])}"
                )
    return ""


def _jacobian(output: Tensor, target: Tensor) -> Array:
    """A row for each element of the output: its gradient."""
    rows = []
    for k in range(output.numel()):
        unit = np.zeros(output.numel())
        unit[k] = 1
        seed = Tensor(unit, device=output.device).reshape(output.shape)
        (row,) = output.gradient(target, gradient=seed, materialize_grads=True)
        rows.append(row)
    found = [np.array(row.numpy(), np.float64).reshape(-1) for row in rows]
    return np.array(found).reshape(output.numel(), target.numel())


def _difference_quotients(
    function: Function, given: Sequence[Any], n: int, eps: float
) -> list[Array]:
    """For each output the Jacobian, a column for each element of input n."""
    base = np.array(given[n].numpy())
    columns = []
    for j in range(base.size):
        ends = []
        for step in (eps, -eps):
            moved = base.copy()
            moved.reshape(-1)[j] += step
            x = Tensor(moved, device=given[n].device)
            ends.append(_values(_outputs(function, [*given[:n], x, *given[n + 1 :]])))
        pairs = zip(*ends, strict=True)
        columns.append([(up - down).reshape(-1) / (2 * eps) for up, down in pairs])
    return [np.stack(of_one, axis=1) for of_one in zip(*columns, strict=True)]


# --------------------------------------------------------------------------- arguments


def _arguments(inputs: Sequence[Any]) -> list[Any]:
    """The arguments, which may be given as one tuple."""
    one = inputs[0] if len(inputs) == 1 else None
    return list(one if isinstance(one, (tuple, list)) else inputs)


def _as_float64(inputs: Iterable[Any]) -> list[Any]:
    """The inputs, float tensors as new ones of float64."""
    made = []
    for x in inputs:
        if isinstance(x, Tensor) and x.dtype.is_float:
            requires = x.requires_grad
            x = Tensor(np.array(x.numpy(), np.float64), device=x.device)
            x.requires_grad_(requires)
        made.append(x)
    return made


def _checked(inputs: Sequence[Any]) -> list[int]:
    """The places of the inputs that require gradient."""
    found = [n for n, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not found:
        raise ArgumentError("gradcheck: no input requires gradient; give one requires_grad=True")
    return found


def _outputs(function: Function, inputs: Sequence[Any]) -> list[Tensor]:
    """The float tensors that a function returns."""
    made = function(*inputs)
    outputs = made if isinstance(made, (tuple, list)) else (made,)
    found = [y for y in outputs if isinstance(y, Tensor) and y.dtype.is_float]
    if not found:
        raise ArgumentError("gradcheck: the function returns no float tensor")
    return found


def _values(outputs: Sequence[Tensor]) -> list[Array]:
    outputs[0].realize(*outputs[1:])
    return [np.array(y.numpy(), np.float64) for y in outputs]


# --------------------------------------------------------------------------- words


def _element(tensor: Tensor, place: int) -> str:
    """[2, 0]; "" for the one element of shape ()."""
    index = np.unravel_index(place, tensor.shape) if tensor.shape else ()
    return str([int(i) for i in index]) if index else ""


def _name(function: Function, n: int) -> str:
    """What the function calls an argument: `input 1 "w"`."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # one without a signature
        parameters = []
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = n < len(parameters) and all(p.kind in plain for p in parameters[: n + 1])
    return f'input {n} "{parameters[n].name}"' if named else f"input {n}"


def _signature(function: Function, inputs: int, weights: int) -> inspect.Signature:
    """The signature of a function's gradients: its arguments, then a weight for each output."""
    kind = inspect.Parameter.POSITIONAL_ONLY
    names = [_name(function, n).partition('"')[2].rstrip('"') or f"x{n}" for n in range(inputs)]
    names += [f"grad_output{n}" for n in range(weights)]
    return inspect.Signature([inspect.Parameter(name, kind) for name in names])


def _hint(output: Tensor) -> str:
    """What else may be the reason."""
    if output.dtype == float64:
        return ""
    return f" (the output is {output.dtype}: too coarse for differences; compute it in float64)"
