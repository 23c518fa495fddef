"""Name kernels by the program's operations: `linear_relu`, `conv2d_5x5_grad_weight`.

The words are operations from the origins of the kernel's nodes (`origin.py`), in the order in which
they are computed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..graph.ir import Node
from ..origin import Origin, name_of, origins
from .ir import Kernel

MAX_WORDS = 4
_STEP = ".step"  # of an optimizer: "Adam.step"
_NOTHING = ("backward", "gradient")  # operations that compute nothing themselves
_CONVOLUTION = re.compile(r"conv\w*(\d)d")


def asked(kernel: Kernel, nodes: Sequence[Node]) -> str | None:
    """The name of a kernel that computes these nodes, inputs first; None where their origins are
    not known. Forward operations that a kernel of gradients repeats are left out.

        relu(linear(x))                   ->  "linear_relu"
        the gradient of a filter (5, 5)   ->  "conv2d_5x5_grad_weight"
        Adam, of three parameters         ->  "adam_update_3_tensors"
    """
    known = [first for node in nodes if (first := _first(node)) is not None]
    known = [origin for origin in known if origin.operation not in _NOTHING] or known
    if not known:
        return None
    is_backward = all(_is_gradient(node) for node in kernel.outputs)
    forward = _operations(o for o in known if not o.gradient and not _is_step(o))
    backward = _operations(o for o in known if o.gradient)
    steps = _operations(o for o in known if _is_step(o))
    repeats = is_backward and bool(backward or steps)
    told = [word for word in forward if word not in backward and not repeats] + backward
    words = _shortened([_sized(word, kernel) for word in told])
    if backward:
        words += ["grad", *_targets(kernel, nodes)]
    words += [_update(step, kernel) for step in steps]
    return re.sub(r"\W+", "_", "_".join(words)).strip("_").lower()


def asked_value(node: Node) -> str | None:
    """The name of a value by the program's operation; None where its origin is not known.

    softmax(x) -> "softmax";  its gradient -> "softmax_grad";  Adam's moment -> "adam_update"
    """
    known = [origin for origin in origins(node) if origin.operation not in _NOTHING]
    if not known:
        return None
    operation = known[0].operation
    if _is_step(known[0]):
        operation = f"{operation.removesuffix(_STEP).lower()}_update"
    word = re.sub(r"\W+", "_", operation).strip("_")
    return f"{word}_grad" if known[0].gradient else word


def _first(node: Node) -> Origin | None:
    """The origin that a node is named by."""
    return next(iter(origins(node)), None)


def _is_step(origin: Origin) -> bool:
    return origin.operation.endswith(_STEP)


def _is_gradient(node: Node) -> bool:
    """Whether a node is computed for a gradient, or to move a parameter by it."""
    first = _first(node)
    return first is not None and (first.gradient or _is_step(first))


def _operations(known: Iterable[Origin]) -> list[str]:
    """The operations, each once, in order."""
    return list(dict.fromkeys(origin.operation for origin in known))


def _shortened(words: Sequence[str]) -> list[str]:
    """At most MAX_WORDS words; the last says most about the result."""
    if len(words) <= MAX_WORDS:
        return list(words)
    return [*words[: MAX_WORDS - 2], f"{len(words) - MAX_WORDS + 1}_more", words[-1]]


def _sized(operation: str, kernel: Kernel) -> str:
    """A convolution's name with its filter's size, if the kernel reads or writes the weight."""
    found = _CONVOLUTION.fullmatch(operation)
    if found is None:
        return operation
    axes = int(found[1])
    for node in (*kernel.inputs, *kernel.outputs):
        name = name_of(node) or ""
        if name.removesuffix(".grad").endswith("weight") and len(node.shape) > axes:
            return f"{operation}_{'x'.join(map(str, node.shape[-axes:]))}"
    return operation


def _targets(kernel: Kernel, nodes: Sequence[Node]) -> list[str]:
    """What a gradient is with respect to: parameters, by their last names, or the input."""
    names = [name_of(node) or "" for node in nodes]
    found = [name.split(".")[-2] for name in names if name.count(".") and name.endswith(".grad")]
    if found:
        return list(dict.fromkeys(found))[:2]
    is_product = kernel.kind in ("contraction", "winograd")
    weights = [name for x in kernel.inputs if (name := name_of(x) or "").endswith("weight")]
    return ["input"] if is_product and len(weights) == 1 else []


def _update(step: str, kernel: Kernel) -> str:
    """Adam.step, of three parameters  ->  adam_update_3_tensors"""
    names = {name for x in kernel.inputs if (name := name_of(x)) is not None}
    moved = [name for name in names if any(other.startswith(f"{name}.") for other in names)]
    word = f"{step.removesuffix(_STEP).lower()}_update"
    return word if len(moved) < 2 else f"{word}_{len(moved)}_tensors"
