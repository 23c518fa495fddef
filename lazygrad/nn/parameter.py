"""Tensors that a module knows as its own: parameters, which are trained, and buffers."""

from __future__ import annotations

from typing import Any, Self, TypeVar
from weakref import ref

from ..graph.ir import Node
from ..tensor import Tensor
from ..tensor.core import owners
from ..tensor.sharing import Sharing, fresh

T = TypeVar("T", bound=Tensor)


class _Registered(Tensor):
    """A tensor that a `Module` registers when it is set as an attribute.

    What operations make of it are plain tensors.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool) -> None:
        node = (data if isinstance(data, Tensor) else Tensor(data))._node
        self._begin(fresh(node), False)
        owners[self._own] = ref(self)
        self.requires_grad_(requires_grad)

    @classmethod
    def _from_node(cls, node: Node, requires_grad: bool = False) -> Self:
        return Tensor._from_node(node, requires_grad)  # type: ignore[return-value]

    def _derived(self, node: Node, *others: Sharing) -> Self:
        made: Self = _with_class(super()._derived(node, *others), Tensor)
        return made

    def detach(self) -> Self:
        made: Self = _with_class(super().detach(), Tensor)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made: Self = _with_class(super().__deepcopy__(memo), type(self))
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        plain = _with_class(Tensor._from_node(self._node), Tensor)
        made = plain, self._requires_grad, self._grad
        return _unpickled, (type(self), *made)


class Parameter(_Registered):
    """A variable of autograd that `Module.parameters()` lists.

    `data` is a tensor, or anything that `Tensor` takes. The parameter has the tensor's value and
    none of its history.

        Parameter(Tensor.zeros(2, 3)).requires_grad == True
    """

    __slots__ = ()

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)


class Buffer(_Registered):
    """State of a module that is not trained, such as a running mean; `Module.buffers()` lists it.

    It is part of `state_dict()`, unless `persistent` is False.

        Buffer(Tensor([1.0])).requires_grad is False
    """

    __slots__ = ()

    def __init__(self, data: Any = (), *, persistent: bool = True) -> None:
        super().__init__(data, False)
        if not persistent:
            _with_class(self, TransientBuffer)


class TransientBuffer(Buffer):
    """A buffer that is no part of `state_dict()`."""

    __slots__ = ()


def registered(tensor: Tensor, kind: type[T]) -> T:
    """The tensor itself, which is a `Parameter` or a `Buffer` from now on."""
    made: T = _with_class(tensor, kind)
    return made


def _with_class(tensor: Tensor, kind: type[Any]) -> Any:
    tensor.__class__ = kind  # of one layout: they add no slots
    return tensor


def _unpickled(kind: type[T], plain: Tensor, requires_grad: bool, grad: Any) -> T:
    made = registered(plain, kind)
    made.requires_grad_(requires_grad)
    made._grad = grad
    return made
