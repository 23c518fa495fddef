"""Which tensors share memory: bases and views, and how what is written to one reaches the others.

- A *base* has a node of its own. A *view* reads the node of its base through a path of movement
  (`views.py`), anew when the base was written to.
- Writing to a view gives its base a new node; nothing that was built from the old one changes.
- A view whose base nobody else holds parts from it and becomes a base: nobody could tell.
- A *variable* is a tensor that gradients are taken of: created by the user, not by an operation.
  Interned nodes make equal expressions one object, so variables get a `Detach` with a token of
  their own.
"""

from __future__ import annotations

from contextvars import ContextVar
from sys import getrefcount
from threading import get_ident
from typing import Any, Self
from weakref import ref

from .. import config
from ..errors import DTypeError
from ..graph.ir import Buffer, Detach, Node, NodeDict, Overwritten, Shape, Token
from ..origin import inherit
from ..runtime.buffer import DeviceBuffer, interceptor, realized
from .blocks import put_block
from .donate import offer
from .realize import mine, realize_all, written
from .results import Size
from .template import need_values
from .views import (
    HELD_ONCE,
    Path,
    Shown,
    contiguous_strides,
    follow,
    is_contiguous,
    is_detached,
    path_between,
    put,
    strides,
)

grad_enabled: ContextVar[bool] = ContextVar("grad_enabled", default=True)
"""False inside `no_grad()`: results of operations then require no gradient."""

MANY_WRITES = 32  # to parts of a tensor, that wait to be computed together

owners: NodeDict[ref[Any]] = NodeDict()
"""The tensor that each leaf node stands for, or stood for before it was realized or assigned."""


class Sharing:
    """A node, what it shares memory with, and its place in autograd."""

    __slots__ = (
        "__weakref__", "_base", "_grad", "_history", "_own", "_path", "_requires", "_seen",
        "_shown", "_variable", "_version",
    )  # fmt: skip

    _own: Node  # the node; of a view, what it was at version `_seen` of the base
    _requires: bool  # whether gradient is required; of a view, whether it was at that version
    _grad: Self | None
    _history: Node | None  # what the node was before the tensor was realized
    _variable: ref[Node] | None  # the Detach that stood for this variable before it was realized
    _version: int  # counts the values that the tensor was given in place
    _base: Self | None  # what this is a view of
    _path: Path  # of a view: from the base's node to its own
    _seen: int
    _shown: Shown | None  # of a base: what `t_()` and its like made of the order of its memory

    # ------------------------------------------------------------------- making tensors

    @classmethod
    def _from_node(cls, node: Node, requires_grad: bool = False) -> Self:
        """A tensor for `node`; `requires_grad` says that autograd reaches a variable through it."""
        if config.ORIGINS:
            _recorded(node, is_new=False)
        made = object.__new__(cls)
        made._begin(node, requires_grad)
        return made

    def _begin(self, node: Node, requires_grad: bool) -> None:
        """Fill the slots of a new base."""
        self._own = node
        self._requires = requires_grad
        self._grad = None
        self._history = None
        self._variable = None
        self._version = 0
        self._base = None
        self._shown = None
        mine.live.append(ref(self))

    @classmethod
    def _leaf(cls, node: Node, requires_grad: bool = False) -> Self:
        """A tensor that `node`, which stands for nothing else, is the value of."""
        made = cls._from_node(node)
        owners[node] = ref(made)
        if requires_grad:
            made.requires_grad_()
        return made

    @classmethod
    def _from_storage(cls, storage: DeviceBuffer, shape: Shape) -> Self:
        """A realized tensor of the elements in `storage`."""
        return cls._leaf(Buffer(storage, shape))

    @classmethod
    def _variable_of(cls, node: Node, requires_grad: bool = False) -> Self:
        """A fresh variable with the value of `node`, equal to no other."""
        return cls._leaf(fresh(node), requires_grad)

    def _derived(self, node: Node, *others: Sharing) -> Self:
        """The result `node` of an operation on this tensor and `others`."""
        requires = self._requires if self._base is None else self._requires_grad
        for other in others:
            requires = requires or other._requires_grad
        if requires:
            requires = node.dtype.is_float and grad_enabled.get()
            if not requires and node.dtype.is_float:
                node = Detach(node)
        if config.ORIGINS:
            _recorded(node)
        made: Self = object.__new__(type(self))
        made._begin(node, requires)
        return made

    def _viewed(self, node: Node) -> Self:
        """A view of this tensor that shows `node`, which is movement of this tensor's node."""
        made = self._derived(node)
        made._look_at(self, path_between(made._own, self._own))
        return made

    def _viewed_along(self, path: Path) -> Self:
        """A view of this tensor at the end of a path from it."""
        made = self._derived(follow(path, self._node))
        made._look_at(self, path)
        return made

    def _look_at(self, tensor: Self, path: Path) -> None:
        """Become a view of `tensor`, or of its base."""
        base = tensor._base
        if base is None or tensor._is_variable():
            base = tensor
            path = path if tensor._shown is None else tensor._shown.path + path
        else:
            path = tensor._path + path
        self._base, self._path, self._seen = base, path, base._version

    # ------------------------------------------------------------------- its node

    @property
    def _node(self) -> Node:
        base = self._base
        if base is not None:
            if base._base is not None:
                _ = base._node  # which may have been written to through its own base
            if self._seen != base._version:
                self._follow(base)
        return self._own

    @property
    def _requires_grad(self) -> bool:
        if self._base is not None:
            _ = self._node
        return self._requires

    @_requires_grad.setter
    def _requires_grad(self, value: bool) -> None:
        self._requires = value

    def _follow(self, base: Sharing) -> None:
        """Read the base anew: it was written to."""
        is_variable = self._is_variable()
        node = follow(self._path, base._in_memory(base._node))
        self._history = self._variable = None
        self._version += 1
        self._seen = base._version
        if is_variable:
            self._own = node = fresh(node)
            owners[node] = ref(self)
        else:
            self._own = node
            self._requires = base._requires_grad and not is_detached(self._path)

    @property
    def node(self) -> Node:
        """The expression that new operations build on. Setting it makes the tensor a leaf."""
        return self._node

    @node.setter
    def node(self, node: Node) -> None:
        need_values()
        offer(self, node)
        self._base = None
        self._own = node
        self._version += 1
        self._history = None
        self._variable = None
        owners[node] = ref(self)

    @property
    def shape(self) -> Size:
        """The size of each axis."""
        return Size(self._node.shape)

    def _nodes(self) -> list[Node]:
        """Every node that stands for this tensor in expressions built so far."""
        nodes = [self._node]
        if self._history is not None:
            nodes.append(self._history)
        if self._variable is not None and (former := self._variable()) is not None:
            nodes.append(former)
        return nodes

    # ------------------------------------------------------------------- gradient

    @property
    def requires_grad(self) -> bool:
        """Whether `backward()` goes through this tensor."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, value: bool = True) -> Self:
        """Make this tensor a variable of autograd (floats only), or no longer one."""
        if value and not self._requires_grad:
            node = self._node
            if not node.dtype.is_float:
                raise DTypeError(
                    f"requires_grad: only floats have a gradient, this is {node.dtype}"
                )
            self._part()
            owner = owners.get(node)
            if owner is None or owner() is not self:  # an expression, or another's leaf
                self._own = fresh(node)
                self._variable = None
                self._history = node
                owners[self._own] = ref(self)
            self._requires_grad = True
        elif not value and self._requires_grad:
            if not self.is_leaf:
                raise RuntimeError(
                    "requires_grad: this tensor is the result of an operation; "
                    "use detach() for one without gradient"
                )
            self._requires_grad = False
        return self

    @property
    def is_leaf(self) -> bool:
        """True where no operation that requires gradient made this tensor."""
        return not self._requires_grad or self._is_variable()

    def _is_variable(self) -> bool:
        """Whether gradients are taken of this tensor itself."""
        if not self._requires:
            return False
        owner = owners.get(self._own)
        return owner is not None and owner() is self

    # ------------------------------------------------------------------- memory

    @property
    def storage(self) -> DeviceBuffer | None:
        """The memory that holds the values, or None while they are not computed."""
        node = self._node
        return node.storage if type(node) is Buffer else realized.get(node)  # type: ignore[return-value]

    def _strides(self) -> tuple[int, ...] | None:
        """In elements of the base; None where no one distance tells."""
        if self._base is not None:
            return strides(self._path, self._base._in_memory(self._base._node).shape)
        if self._shown is not None:
            return strides(self._shown.path, self._in_memory(self._node).shape)
        return contiguous_strides(self.shape)

    def is_contiguous(self) -> bool:
        """Whether the elements lie in row-major order, without gaps, in the base's memory."""
        own = self._strides()
        return own is not None and is_contiguous(self.shape, own)

    def detach(self) -> Self:
        """A view with these values as a constant: no gradient flows through it."""
        node = self._node
        storage = self.storage
        made = object.__new__(type(self))
        made._begin(Detach(node if storage is None else Buffer.of(node, storage)), False)
        if storage is not None:
            realized[made._own] = storage
        made._look_at(self, ((Detach, (None,)),))
        made._part_later()
        return made

    def _write(self, node: Node, requires_grad: bool, records: bool) -> None:
        """Give this tensor the value of `node`, and what shares its memory the same elements.

        `records` says whether gradients reach the old and the new value through the change;
        if not, they flow as if nothing had changed.
        """
        need_values()
        variable = self._requires_grad and self._is_variable()
        if variable and records:
            raise RuntimeError(
                "a variable that requires gradient cannot be changed in place "
                "where gradients are recorded; do it inside no_grad()"
            )
        if not self._part():
            base = self._base
            assert base is not None
            detached = is_detached(self._path)
            if detached and requires_grad:
                raise RuntimeError(
                    "in place: a detached tensor shares its memory with the one it was detached "
                    "from, so it cannot take a value that requires gradient; use clone() first"
                )
            whole = None
            recorded = records and (requires_grad or base._requires_grad)
            is_lazy = recorded or interceptor.get()
            if not is_lazy and base._version >= MANY_WRITES and id(base) in written:
                # then each further write goes to its memory at once
                realize_all([base])  # type: ignore[list-item]
            before = base._in_memory(base._node)
            if not is_lazy:
                whole = put_block(self._path, before, node, self._own)
            if whole is None:
                whole = put(self._path, before, node)
            if base._shown is not None:
                whole = follow(base._shown.path, whole)
            base._write(whole, requires_grad, records and not detached)
            _ = self._node  # anew, or it would hold the old value of the base
            return
        if variable:
            self.node = fresh(node)
        else:
            if self._requires and not records:
                node = Overwritten(self._own, node)
            offer(self, node)
            if config.ORIGINS:
                _recorded(node, is_new=False)
            self._own = node
            self._requires = self._requires or requires_grad
            self._history = self._variable = None
            self._version += 1
        if variable or not self._requires:
            self._await_realization()

    def _part(self) -> bool:
        """Whether this is a base, or becomes one, as nobody else holds what it is a view of."""
        if self._base is None:
            return True
        _ = self._node
        if getrefcount(self._base) > HELD_ONCE or self._base._is_variable():
            return False
        self._base = None
        return True

    def _part_later(self) -> None:
        """Part now, or with a later realization, when nobody else holds the base any more."""
        if not self._part() and self._base is not None and not self._base._is_variable():
            mine.shared[id(self)] = ref(self)

    def _part_computed(self) -> bool:
        """Part from a base that is computed, and from the expression that it was computed by."""
        node, base = self._node, self._base
        storage, shape = (None, ()) if base is None else (base.storage, base.shape)
        del base  # or it would be counted
        if storage is None or self._requires or not self._part():
            return False
        if node not in realized and not isinstance(node, Buffer):
            self._own = follow(self._path, Buffer(storage, shape))
        return True

    def _in_memory(self, node: Node) -> Node:
        """A value of this tensor, in the shape and order in which its views read it."""
        return node if self._shown is None else follow(self._shown.back, node)

    def _show(self, name: str, node: Node) -> None:
        """Become `node`, the same elements in another shape or order: what `name` does in place.

        Views stay as they are. Raises RuntimeError for a variable where gradients are recorded,
        and inside of a captured function.
        """
        if interceptor.get() is not None:
            raise RuntimeError(
                f"{name}_: a captured function cannot change the shape of a tensor in place; "
                f"use {name}()"
            )
        variable = self._requires_grad and self._is_variable()
        if variable and grad_enabled.get():
            raise RuntimeError(
                f"{name}_: a variable that requires gradient cannot be changed in place "
                "where gradients are recorded; do it inside no_grad()"
            )
        shown = Shown.between(node, self._own)
        if variable:
            self.node = fresh(node)
        else:
            self._own = node
            self._history = self._variable = None
            self._version += 1
        if self._base is not None:
            self._path += shown.path
        else:
            self._shown = shown if self._shown is None else self._shown.then(shown)

    def _await_realization(self) -> None:
        """Be realized along with whatever is realized next."""
        if not isinstance(self._own, Buffer) and self._own not in realized:
            written[id(self)] = ref(self), get_ident()


SLOTS = ("_own", "_grad", "_requires", "_history", "_variable")
slot: dict[str, Any] = {name: Sharing.__dict__[name] for name in SLOTS}
"""The slots' own descriptors. While `jit` captures, it puts properties in their places: to read
`tensor._own` says that the function reads the tensor, and slot["_own"] does not."""


def _recorded(node: Node, is_new: bool = True) -> None:
    """Note which line asks for a node, and the names of the leaves that it reads."""
    from .naming import recorded  # needed by few, and it looks at tensors

    recorded(node, is_new)


def fresh(node: Node) -> Node:
    """`node` as a variable that is equal to no other; computed already if `node` is."""
    storage = node.storage if isinstance(node, Buffer) else realized.get(node)
    made = Detach(node if storage is None else Buffer.of(node, storage), Token())
    if storage is not None:
        realized[made] = storage  # type: ignore[assignment]
    if config.ORIGINS:
        inherit(made, node)
    return made
