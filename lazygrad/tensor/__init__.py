"""Tensor: what the user writes. Each operation adds a node to a graph; nothing is computed yet.

The themes stand in files of their own, each building on those before it:

    views        paths of movement from a base;  blocks: writes to a small part of it
    realize      what is computed when values are asked for;  donate: memory for the next value
    sharing      the node; bases and views, and writing in place
    core         realization, assignment, dtypes and devices
    operands     broadcasting and promotion;  arguments: axes and shapes as they are given
    precision    16-bit floats computed in float32;  ranges: indices that are out of range
    creation     from Python and NumPy data; constants
    autograd     backward, gradient, no_grad
    elementwise  arithmetic, comparisons, logic, selection;  arithmetic: powers, remainders
    operators    the same as Python operators
    functions    exp, log, sin and their like
    movement     reshape, permute, flip, ...;  joining: cat, pad, tril, ...
    reduce       sum, max, mean, var, cumsum, ...;  results: named tuples
    activations  relu, gelu, softmax, layer norm, ...
    indexing     x[...] and x[...] = value;  gather: gather, scatter, sort, topk
    sets         unique, searchsorted, bincount, ...
    random       Threefry, and distributions from it;  mode: training or evaluation
    contraction  matmul, einsum, attention;  convolution;  pooling;  resampling
    losses       cross entropy and others;  special: gamma and Bessel functions
    numeric      covariances, parts written and others;  inplace: what changes a tensor
    protocols    NumPy's functions of tensors, DLPack, the array API;  numpy_forms
    examples     what vmap tells those who draw random numbers, or call the host
    docs         an example of each method, for its docstring
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial, wraps
from inspect import CO_VARARGS, unwrap
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..absent import TENSOR, AbsentError
from .autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .core import grad_enabled
from .docs import add_examples
from .inplace import add_forms
from .mode import Mode
from .protocols import Protocols

if TYPE_CHECKING:
    from ..dump.drawing import Drawing


class Tensor(Protocols):
    """A multi-dimensional array of one dtype, computed when its values are asked for.

    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    (x @ x).sum().backward()
    x.grad.tolist() == [[7.0, 11.0], [9.0, 13.0]]
    """

    __slots__ = ()

    def sequential(self, layers: Iterable[Callable[[Tensor], Tensor]]) -> Tensor:
        """The layers applied one after the other."""
        x = self
        for layer in layers:
            x = layer(x)
        return x

    def graph(self, stage: str = "graph") -> Drawing:
        """A picture of a stage of this tensor's compilation, which a notebook shows and
        `.save("graph.html")` writes.

        "graph" is what was asked for; "gradients" the same where gradients are among it;
        "kernels" the fused kernels; the names of passes ("simplify", "fuse") what they make.
        Nothing is computed. Raises ValueError, with the stages that there are, for another name.

            Tensor([-1.0]).relu().graph("fuse").save("graph.html").name == "graph.html"
        """
        from ..pictures import graph_of  # here: needed by few, and `import lazygrad` is to be quick

        return graph_of(self, stage)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Raises AttributeError, with what to write instead where that is known."""
            raise AbsentError("Tensor", name, TENSOR, partial(dir, type(self)))

    @classmethod
    def train(cls, mode: bool = True) -> Mode:
        """Set `Tensor.training`; `with Tensor.train():` sets it inside the block, and
        `@Tensor.train()` inside the function.

            with Tensor.train():
                mode = Tensor.training
            mode is True
        """
        return Mode(mode)

    @classmethod
    def test(cls, mode: bool = True) -> Mode:
        """`Tensor.train(False)`: evaluation, as a context or from now on.

        with Tensor.test():
            mode = Tensor.training
        mode is False
        """
        return Mode(not mode)


_SPELLINGS = {"dim": "axis", "dims": "axes", "dim0": "axis0",
              "dim1": "axis1", "dim2": "axis2", "start_dim": "start_axis", "end_dim": "end_axis",
              "keepdims": "keepdim", "other": "y", "end": "stop", "min_val": "min_value",
              "max_val": "max_value", "indices_or_sections": "parts", "input": "self",
              "src": "source", "diagonal": "offset"}  # fmt: skip


_STARRED = {"axes": ("dims", "axes"), "order": ("dims", "order"), "shape": ("size", "shape"),
            "size": ("size",), "repeats": ("repeats", "dims"), "others": ("tensors",)}  # fmt: skip
"""Names for all the arguments of `f(*axes)` together: `flip(dims=(0, 1))`."""


def _accept_dim(
    function: Callable[..., Any], spellings: dict[str, str], starred: tuple[str, ...]
) -> Callable[..., Any]:
    @wraps(function)
    def renamed(*args: Any, **named: Any) -> Any:
        if named:
            named = {spellings.get(name, name): value for name, value in named.items()}
            for name in starred:
                if name in named:
                    args = (*args, named.pop(name))
        return function(*args, **named)

    return renamed


def _accept_both_spellings(cls: type) -> None:
    """Let every method that has a parameter `axis` take it as `dim` too, and so on: NumPy's and
    PyTorch's users both find their own word. Where a method has both, each has its own meaning."""
    for name in dir(cls):
        method = getattr(cls, name)
        code = getattr(unwrap(method) if callable(method) else None, "__code__", None)
        if code is not None and not name.startswith("_"):
            count = code.co_argcount + code.co_kwonlyargcount
            known = code.co_varnames[:count]
            takes_any = code.co_flags & CO_VARARGS
            starred = _STARRED.get(code.co_varnames[count], ()) if takes_any else ()
            spellings = {
                theirs: ours
                for theirs, ours in _SPELLINGS.items()
                if ours in known and theirs not in known
            }
            if spellings or starred:
                bound = hasattr(method, "__self__")  # of the class
                accepting = _accept_dim(method.__func__ if bound else method, spellings, starred)
                setattr(cls, name, classmethod(accepting) if bound else accepting)


def _say_tensor(cls: type) -> None:
    """Let errors and help say `Tensor.sum`, not the name of the class of the theme."""
    for theme in cls.__mro__:
        if theme.__module__.startswith(__name__):
            for name, member in vars(theme).items():
                function = getattr(member, "__func__", member)
                while hasattr(function, "__code__") and function.__name__ == name:
                    function.__qualname__ = f"{cls.__name__}.{name}"
                    function.__module__ = cls.__module__  # or pickle would not find it
                    function = getattr(function, "__wrapped__", None)


class TensorModule(ModuleType):
    """`lazygrad.tensor`, which is this package, and PyTorch's function of that name."""

    def __call__(self, *args: Any, **named: Any) -> Tensor:
        """`lazygrad.tensor([1.0, 2.0])`: a new tensor, as `Tensor([1.0, 2.0])`."""
        return Tensor(*args, **named)


sys.modules[__name__].__class__ = TensorModule
add_forms(Tensor)
_accept_both_spellings(Tensor)
_say_tensor(Tensor)
add_examples(Tensor)

__all__ = [
    "Tensor", "enable_grad", "grad_enabled", "is_grad_enabled", "no_grad", "set_grad_enabled",
]  # fmt: skip
