"""Find the first kernel that makes a nan or an infinity from finite numbers (CHECK=nan).

After each kernel its outputs are tested. If an output has a nan and no input has one, a few of
those elements are computed again in NumPy, operation by operation, and the error names the
operation that made the nan. Infinities likewise. Infinite constants of the program are no faults: a
mask of -inf, padding. A plan with this check gives no memory to two nodes, so the inputs of a
kernel are still there after it; and a captured function that fails has set nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from ..backends.base import Device
from ..errors import NonFiniteError
from ..graph.elements import Elements, TooManyError
from ..graph.ir import Buffer, Const, Node, Pad
from ..graph.show import formula, type_text
from ..origin import Origin, kernel_origins, name_of, origins
from ..schedule.ir import Kernel
from ..schedule.show import kernel_nodes, title
from .execute import Memories

Array = np.ndarray[Any, Any]
MAX_EXAMINED = 8  # bad elements of an output: some may come from constants, others not


def _is_not_finite(x: Array) -> Array:
    return np.asarray(~np.isfinite(x))


_KINDS: tuple[Callable[[Array], Array], ...] = (np.isnan, _is_not_finite)


@dataclass(frozen=True, eq=False, slots=True)
class CheckValues:
    """Raises NonFiniteError where a kernel has made a nan or an infinity from finite numbers.

    `places` has the place of each output and input of the kernel among the plan's memories.
    """

    device: Device
    kernel: Kernel
    places: Mapping[Node, int]

    def __call__(self, memories: Memories, share: float) -> None:
        for node in self.kernel.outputs:
            if node.dtype.is_float:
                values = self._values(node, memories)
                if not np.isfinite(values).all():
                    self._examine(node, values, memories)

    def _values(self, node: Node, memories: Memories) -> Array:
        values = np.empty(node.shape, node.dtype.numpy)
        if node.size:
            self.device.download(memories[self.places[node]], values)
        return values

    def _examine(self, node: Node, values: Array, memories: Memories) -> None:
        """Raise NonFiniteError unless inputs or constants are the cause of the bad elements."""
        inputs = {x: self._values(x, memories) for x in self.kernel.inputs}
        for is_bad in _KINDS:
            if any(x.dtype.is_float and is_bad(value).any() for x, value in inputs.items()):
                continue
            bad = np.flatnonzero(is_bad(values))
            for place in bad[:: -(-len(bad) // MAX_EXAMINED) or 1]:
                text = self._explain(node, int(place), values, inputs, is_bad)
                if text is not None:
                    raise NonFiniteError(text)

    def _explain(
        self,
        node: Node,
        place: int,
        values: Array,
        inputs: Mapping[Node, Array],
        is_bad: Callable[[Array], Array],
    ) -> str | None:
        """The text of the error for one bad element; None where a constant is the cause."""
        try:
            elements = Elements(node, place, inputs)
            is_known = bool(is_bad(np.asarray(elements.value)))
        except TooManyError:
            is_known = False
        if is_known:
            found = elements.cause(is_bad)
            if found is None:
                return None
            lines = [_made(elements, *found)]
            cause = elements.cause(_is_not_finite, found)
            if cause not in (None, found):
                lines.append(f"  from an infinity: {_made(elements, *cause)}")
        elif _has_infinite_constants(self.kernel):
            return None
        else:  # NumPy gets a finite number (its sums have another order), or has too much to do
            value, known = values.reshape(-1)[place], origins(node) or kernel_origins(self.kernel)
            made = f"{title(self.kernel)} makes {_number(value)}"
            lines = [f"{_where(known)}: {made}, {_element(node, place)}"]
        lines.append(f"  in kernel {title(self.kernel)} on {self.device.name}, which reads")
        return "\n".join([*lines, *[f"    {_described(x, value)}" for x, value in inputs.items()]])


def _has_infinite_constants(kernel: Kernel) -> bool:
    """Whether a kernel has infinities or nans of the program: constants, or values of padding."""
    filled = (n.value for n in kernel_nodes(kernel) if isinstance(n, (Const, Pad)))
    return not all(isfinite(value) for value in filled)


def _made(elements: Elements, node: Node, place: int) -> str:
    """train.py:3  p.log(): log makes -inf: log(0), element [3, 2] of float32(8, 10)"""
    known = origins(node)
    by = known[0].operation if known else node.name
    made = f"{node.name} makes {_number(elements.at(node, place))}"
    made = made if by == node.name else f"in {by}, {made}"
    return f"{_where(known)}: {made}: {_applied(elements, node, place)}, {_element(node, place)}"


def _where(known: Sequence[Origin]) -> str:
    return str(known[0]) if known else "a line that is not known (CHECK was not set there)"


def _applied(elements: Elements, node: Node, place: int) -> str:
    """The operation with the values of its operands: log(0)."""
    texts = {x: _elements_text(values) for x, values in elements.inputs(node, place)}
    return formula(node, lambda x: texts.get(x, "_"))


def _elements_text(values: Array) -> str:
    if values.size == 1:
        return _number(values[0])
    return f"{values.size} elements {_range(values)}"


def _described(node: Node, values: Array) -> str:
    """weight  float32(3, 2)  from -1 to 2"""
    known = () if isinstance(node, Buffer) else origins(node)
    name = name_of(node) or ("an input" if isinstance(node, Buffer) else node.name)
    line = f"  ({known[0]})" if known else ""
    return f"{name}  {type_text(node)}  {_range(values)}{line}"


def _range(values: Array) -> str:
    if not values.size:
        return "without elements"
    return f"from {_number(values.min())} to {_number(values.max())}"


def _number(value: Any) -> str:
    return f"{float(value):.6g}" if np.asarray(value).dtype.kind in "fV" else str(value)


def _element(node: Node, place: int) -> str:
    index = [int(i) for i in np.unravel_index(place, node.shape)] if node.shape else []
    return f"element {index} of {type_text(node)}"
