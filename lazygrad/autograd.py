"""Gradients by PyTorch's names: `autograd.grad`, `autograd.Function`, `autograd.functional`.

x = Tensor([1.0, 2.0], requires_grad=True)
autograd.grad((x * x).sum(), x)[0].tolist() == [2.0, 4.0]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from .absent import AUTOGRAD, absent_from
from .errors import ArgumentError, ShapeError
from .gradcheck import gradcheck, gradgradcheck
from .graph.ir import Detach
from .tensor import Tensor, enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .transforms import custom, derivatives
from .transforms import hessian as _hessian
from .transforms import jacrev as _jacrev

Tensors = Tensor | Sequence[Tensor]


def _listed(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, (tuple, list)) else [tensors]


def _seeds(name: str, given: Any, outputs: Sequence[Tensor]) -> list[Any]:
    """The gradient of each output, None where none is given. Raises ValueError for another number
    of them."""
    seeds = [None] * len(outputs) if given is None else _listed(given)
    if len(seeds) != len(outputs):
        raise ArgumentError(f"{name}: {len(seeds)} gradients for {len(outputs)} outputs")
    return seeds


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradient of the sum of the outputs with respect to each input, of the input's shape.

    `grad_outputs` are the gradients of each output, needed for those that are no single value.
    An input that no output depends on raises RuntimeError, or gives None with `allow_unused`, zeros
    with `materialize_grads`. The results can be differentiated again with `create_graph`. The graph
    is kept in any case: `retain_graph` says nothing here.

        x = Tensor([1.0, 2.0], requires_grad=True)
        lazygrad.autograd.grad((x * x).sum(), x)[0].tolist() == [2.0, 4.0]
    """
    results, targets = _listed(outputs), _listed(inputs)
    seeds = _seeds("grad", grad_outputs, results)
    totals: list[Tensor | None] = [None] * len(targets)
    for result, seed in zip(results, seeds, strict=True):
        for place, node in enumerate(result._gradients("grad", targets, seed)):
            if node is not None:
                part = Tensor._from_node(node if create_graph else Detach(node), create_graph)
                total = totals[place]
                totals[place] = part if total is None else total + part
    for place, (total, target) in enumerate(zip(totals, targets, strict=True)):
        if total is None and materialize_grads:
            totals[place] = target.zeros_like()
        elif total is None and not allow_unused:
            raise RuntimeError(
                f"grad: no output depends on input {place}, of shape {target.shape}; "
                "allow_unused=True gives None for it"
            )
    return tuple(totals)


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """`backward()` of each tensor, with its gradient from `grad_tensors`.

    x = Tensor([3.0], requires_grad=True)
    lazygrad.autograd.backward([x * x, x * 2]);  x.grad.tolist() == [8.0]
    """
    results = _listed(tensors)
    seeds = _seeds("backward", grad_tensors, results)
    for at, (result, seed) in enumerate(zip(results, seeds, strict=True)):
        keep = retain_graph or at + 1 < len(results)
        result.backward(seed, create_graph=create_graph, retain_graph=keep)


# --------------------------------------------------------------------------- Function


class Context(SimpleNamespace):
    """What `forward` hands to `backward`: saved tensors, and any attribute that is set."""

    saved_tensors: tuple[Any, ...] = ()
    needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors, as `saved_tensors`."""
        self.saved_tensors = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Let no gradient flow through these outputs."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Says nothing here: gradients of outputs that are not used are always zeros."""


class Function:
    """A function with a gradient of its own, called by `apply`; as `torch.autograd.Function`.

        class Double(Function):
            @staticmethod
            def forward(ctx, x): return x * 2
            @staticmethod
            def backward(ctx, g): return g * 2
        Double.apply(Tensor([3.0])).tolist() == [6.0]

    `backward` gets the gradient of each output and gives one for each argument, None for those that
    are no tensors. A subclass with `setup_context(ctx, inputs, output)` has a `forward` without
    `ctx`. Both are ordinary tensor code; `transforms.custom_vjp` is the same for plain functions.
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The outputs."""
        raise NotImplementedError("Function: a subclass says in forward what it computes")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradient of each argument, from those of the outputs."""
        raise NotImplementedError("Function: a subclass says in backward what its gradient is")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """The outputs, whose gradient is what `backward` gives."""
        ctx = Context()
        ctx.needs_input_grad = tuple(isinstance(x, Tensor) and x.requires_grad for x in args)
        setup: Callable[..., None] | None = getattr(cls, "setup_context", None)
        with no_grad():
            if setup is None:
                outputs = cls.forward(ctx, *args)
            else:
                outputs = cls.forward(*args)
                setup(ctx, args, outputs)
        places = [at for at, x in enumerate(args) if isinstance(x, Tensor)]
        constant = getattr(ctx, "_constant", ())
        if any(outputs is y for y in constant):
            return outputs

        def pull(cotangents: Any) -> list[Tensor | None]:
            given = cotangents if isinstance(cotangents, (tuple, list)) else (cotangents,)
            found = _listed(cls.backward(ctx, *given))
            while len(found) > len(args) and found[-1] is None:  # of defaults, which were not given
                found.pop()
            if len(found) != len(args):
                raise RuntimeError(
                    f"{cls.__name__}.backward: {len(found)} gradients for {len(args)} arguments"
                )
            for at in places:
                if found[at] is not None and found[at].shape != args[at].shape:
                    raise ShapeError(
                        f"{cls.__name__}.backward: a gradient of shape {found[at].shape} for "
                        f"argument {at} of shape {args[at].shape}"
                    )
            return [found[at] for at in places]

        made = custom._attached(outputs, tuple(args[at] for at in places), pull)
        if isinstance(outputs, (tuple, list)):
            pairs = zip(outputs, made, strict=True)
            return type(outputs)(y if any(y is c for c in constant) else x for y, x in pairs)
        return made


# --------------------------------------------------------------------------- functional


class functional:
    """`torch.autograd.functional`: derivatives of a function at given inputs.

    functional.jacobian(lambda x: x * x, Tensor([3.0])).tolist() == [[6.0]]
    """

    @staticmethod
    def jacobian(func: Callable[..., Any], inputs: Any, **options: Any) -> Any:
        """The derivatives of the outputs with respect to the inputs; options say nothing here."""
        if isinstance(inputs, tuple):
            return _jacrev(func, tuple(range(len(inputs))))(*inputs)
        return _jacrev(func)(inputs)

    @staticmethod
    def hessian(func: Callable[..., Any], inputs: Tensor, **options: Any) -> Any:
        """The second derivatives of a single value with respect to one input."""
        return _hessian(func)(inputs)

    @staticmethod
    def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, **options: Any) -> Any:
        """(outputs, v J): the outputs' cotangent v, 1 for a single value, times the Jacobian."""
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        outputs, pull = derivatives.vjp(func, *given)
        found = pull(outputs.ones_like() if v is None else v)
        return outputs, found if isinstance(inputs, tuple) else found[0]

    @staticmethod
    def jvp(func: Callable[..., Any], inputs: Any, v: Any, **options: Any) -> Any:
        """(outputs, J v): the Jacobian times the inputs' tangent v."""
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        return derivatives.jvp(func, given, v if isinstance(v, tuple) else (v,))


Variable = Tensor
"""PyTorch's former name of tensors that may require gradient."""

__all__ = [
    "Function", "Variable", "backward", "enable_grad", "functional", "grad", "gradcheck",
    "gradgradcheck",    "is_grad_enabled", "no_grad", "set_grad_enabled",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__, AUTOGRAD)
