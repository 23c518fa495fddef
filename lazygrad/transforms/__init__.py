"""Functions of functions: derivatives, the same computation for every element of a batch, loops.

    from lazygrad.transforms import grad, vmap
    grad(lambda x: (x * x).sum())(Tensor([1.0, 2.0])).tolist() == [2.0, 4.0]

A function is called once, on stand-ins for its arguments, and so gives a graph; a transform
rewrites that graph. What comes out is a graph again, so transforms nest in any order, and work
inside `jit`.
Names and arguments are those of torch.func. Arguments and results may be tuples, lists and
dictionaries of tensors.

    trees         nested tuples, lists and dictionaries
    derivatives   grad, vjp, jvp, jacrev, hessian, ...
    batching      vmap: the rules, one a kind of node
    loops         scan: a loop whose step is traced once
    custom        gradients of one's own, checkpoints
"""

from .batching import vmap
from .custom import checkpoint, custom_vjp, stop_gradient
from .derivatives import (
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    value_and_grad,
    vjp,
)
from .loops import scan

__all__ = [
    "checkpoint",
    "custom_vjp",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "scan",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]
