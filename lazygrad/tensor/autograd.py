"""Gradients as graphs: `backward()` into `.grad`, `gradient()` of any tensors, `no_grad`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ContextDecorator
from contextvars import Token
from functools import partial
from typing import Any, Self
from weakref import WeakKeyDictionary, ref

from .. import config
from ..errors import DeviceError, DTypeError, KindError, ShapeError, told, warn
from ..garbage import without_collections
from ..graph.gradient import gradient as gradient_nodes
from ..graph.gradient import needs_values
from ..graph.ir import Add, Const, Detach, Movement, Node
from .core import TensorCore, grad_enabled, owners, released
from .creation import Creation
from .operands import cast_node
from .past import cut_off
from .realize import note_backward
from .recall import gradient_again, passed_again, walk_back


class GradientMode(ContextDecorator):
    """Sets whether operations record gradients, inside a `with` block or a decorated function."""

    _enabled = True

    def __init__(self) -> None:
        self._before: list[Token[bool]] = []

    def _recreate_cm(self) -> Self:
        return type(self)()

    def __enter__(self) -> None:
        self._before.append(grad_enabled.set(self._enabled))

    def __exit__(self, *_: object) -> None:
        grad_enabled.reset(self._before.pop())


class no_grad(GradientMode):
    """`with no_grad():` or `@no_grad()`: results require no gradient, and record none.

    with Tensor.no_grad():
        y = Tensor([1.0], requires_grad=True) * 2
    y.requires_grad is False
    """

    _enabled = False


class enable_grad(GradientMode):
    """Records gradients again, inside a `no_grad` block.

    with Tensor.no_grad(), Tensor.enable_grad():
        y = Tensor([1.0], requires_grad=True) * 2
    y.requires_grad is True
    """

    _enabled = True


class set_grad_enabled(GradientMode):
    """Whether gradients are recorded, from now on; as a context, until the end of the block.

    with lazygrad.set_grad_enabled(False):
        y = Tensor([1.0], requires_grad=True) * 2
    y.requires_grad is False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._enabled = mode
        self._before.append(grad_enabled.set(mode))

    def _recreate_cm(self) -> Self:
        return self

    def __enter__(self) -> None:
        pass  # it is set already


def is_grad_enabled() -> bool:
    """Whether operations record gradients: False inside `no_grad`.

    lazygrad.is_grad_enabled() is True
    """
    return grad_enabled.get()


Hook = Callable[[Any], Any]
_hooks: dict[int, tuple[ref[Any], list[Hook]]] = {}
"""What wants to see the gradients of tensors, by the tensors' ids."""


node_hooks: WeakKeyDictionary[Node, Callable[[dict[Any, Any], Node], Node]] = WeakKeyDictionary()
"""What sees, and may change, the gradients of nodes, as long as these are alive. It gets a dict for
what it notes during one backward pass, and the gradient."""


class RemovableHook:
    """What `register_hook` returns: `remove()` takes the hook away again."""

    def __init__(self, hooks: list[Hook], hook: Hook) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        """Take the hook away; again does nothing."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)


class _Retained:
    """The hook by which a result of an operation keeps its gradients in `.grad`."""

    def __init__(self, tensor: Autograd) -> None:
        self._tensor = ref(tensor)

    def __call__(self, g: Autograd) -> None:
        tensor = self._tensor()
        if tensor is not None:
            part = g.detach()
            tensor._grad = part if tensor._grad is None else tensor._grad + part  # type: ignore


class Autograd(Creation):
    """Derivatives by reverse accumulation. Nothing is computed here: the graph is extended."""

    __slots__ = ()

    no_grad = no_grad
    enable_grad = enable_grad

    @property
    def grad(self) -> Self | None:
        """The gradient that `backward()` has added up, of this tensor's shape; None before.

        Only variables have one. Of another result of an operation it is None, with a warning,
        unless `retain_grad()` was called. Setting it raises ShapeError, DTypeError or DeviceError
        for a gradient that does not fit the tensor.
        """
        found = self._grad
        if found is None and self._requires_grad and not self.is_leaf and not self._retains_grad():
            warn(
                "grad: this tensor is the result of an operation, and backward() fills .grad of "
                "variables only. To update a variable, write `with no_grad(): w -= lr * w.grad`, "
                "as `w = w - lr * w.grad` makes another tensor; to see the gradient of a result, "
                "call retain_grad() before backward()"
            )
        return found

    @grad.setter
    def grad(self, value: TensorCore | None) -> None:
        if value is not None:
            _verify_gradient(self, value)
        self._grad = value  # type: ignore[assignment]

    def _retains_grad(self) -> bool:
        """Whether `retain_grad()` was called."""
        _, hooks = _hooks.get(id(self), (None, []))
        return any(isinstance(hook, _Retained) for hook in hooks)

    def _seed(self, name: str, gradient: TensorCore | None) -> Node:
        """The cotangent of this tensor: ones for a single value, else what was given."""
        if not self.dtype.is_float:
            raise DTypeError(f"{name}: {self.dtype} has no gradient; only floats have")
        if gradient is None:
            if self.numel() != 1:
                raise ShapeError(
                    f"{name}: a tensor of shape {self.shape} is no single value; "
                    "reduce it first, or give its own gradient"
                )
            return Const(1, self.dtype, self.shape)
        if gradient.shape != self.shape:
            raise ShapeError(
                f"{name}: the gradient given has shape {gradient.shape}, the tensor {self.shape}"
            )
        return cast_node(gradient._node, self.dtype)

    def register_hook(self, hook: Hook) -> RemovableHook:
        """Call `hook` with this tensor's gradient in each backward pass; what it returns, unless
        None, is the gradient from there on. The gradient is lazy, like any other tensor.

            x = Tensor([1.0], requires_grad=True);  x.register_hook(lambda g: g * 2)
            (x * 3).sum().backward();  x.grad.tolist() == [6.0]
        """
        if not self._requires_grad:
            raise RuntimeError("register_hook: this tensor requires no gradient")
        place = id(self)
        if place not in _hooks:
            forget = _hooks.pop  # when Python ends, `_hooks` may be gone before this tensor
            _hooks[place] = ref(self, lambda _: forget(place, None)), []
        hooks = _hooks[place][1]
        hooks.append(hook)
        return RemovableHook(hooks, hook)

    def retain_grad(self) -> None:
        """Let backward passes fill `.grad` of this result of an operation, as of a variable.

        y = Tensor([1.0], requires_grad=True) * 2;  y.retain_grad()
        (y * 3).sum().backward();  y.grad.tolist() == [3.0]
        """
        if self.is_leaf:
            if not self._requires_grad:
                raise RuntimeError("retain_grad: this tensor requires no gradient")
            return
        if not self._retains_grad():
            self.register_hook(_Retained(self))

    def _node_hooks(self) -> dict[Node, Callable[[Node], Node]]:
        """The hooks of all tensors, by the nodes that stand for these."""

        def applied(hooks: list[Hook]) -> Callable[[Node], Node]:
            def apply(g: Node) -> Node:
                for hook in list(hooks):
                    told = hook(self._from_node(g))
                    g = g if told is None else cast_node(told._node, g.dtype)
                return g

            return apply

        noted: dict[Any, Any] = {}
        found: dict[Node, Callable[[Node], Node]] = {
            node: partial(hook, noted) for node, hook in list(node_hooks.items())
        }
        for own, hooks in list(_hooks.values()):
            tensor = own()
            if tensor is not None and hooks:
                found.update(dict.fromkeys(tensor._nodes(), applied(hooks)))
        return found

    def backward(
        self,
        gradient: TensorCore | None = None,
        create_graph: bool = False,
        retain_graph: bool = False,
    ) -> Self:
        """Add the derivative of this value to `.grad` of every variable that it depends on.

        `gradient` is the derivative of the final value with respect to this tensor, needed where
        this is not a single value. With `create_graph` the `.grad` can be differentiated again.
        Gradients are lazy: realize them together with what else is wanted. When they are computed,
        this tensor, and others that it was computed from, let go of their past: another backward
        pass through them raises RuntimeError. With `retain_graph` they keep it.
        """
        if not self._requires_grad:
            raise RuntimeError(
                "backward: nothing that this tensor depends on requires gradient "
                "(or it was computed inside no_grad())"
            )
        seed = self._seed("backward", gradient)
        reached: dict[Node, TensorCore] = {}
        with without_collections():
            walked = walk_back(self._node, seed)
            passed = passed_again(walked, self._node)
        for node in passed:
            if isinstance(node, Detach) and node in released:
                raise RuntimeError(
                    "backward: reaches a second time what a tensor of shape "
                    f"{node.shape} was computed from, which was let go when the first backward "
                    "pass through it was computed. A state that is carried from step to step needs "
                    "detach() after each; else the first needs backward(retain_graph=True)"
                )
            if (owner := owners.get(node)) is not None:
                tensor = owner()
                if tensor is not None and tensor._requires_grad and tensor.is_leaf:
                    reached[node] = tensor
        _verify_unchanged(passed, reached)
        hooks, targets = self._node_hooks(), list(reached)
        if hooks:
            hooks = {node: hooks[node] for node in passed if node in hooks}
        if hooks or config.ORIGINS:
            cotangents = gradient_nodes(self._node, targets, seed, hooks)
        else:
            with without_collections():
                cotangents = gradient_again(walked, self._node, targets, seed)
        for (_, tensor), cotangent in zip(reached.items(), cotangents, strict=True):
            if cotangent is None:
                continue
            total = cotangent if tensor._grad is None else Add(tensor._grad._node, cotangent)
            if create_graph:
                tensor._grad = self._from_node(total, requires_grad=True)
            else:
                tensor._grad = self._from_node(Detach(total))
        gradients = [tensor._grad for tensor in reached.values() if tensor._grad is not None]
        note_backward(self, gradients, passed, retain_graph or create_graph)
        return self

    def gradient(
        self,
        *targets: TensorCore,
        gradient: TensorCore | None = None,
        materialize_grads: bool = False,
    ) -> list[Self]:
        """The derivative of this value with respect to each target, of the target's shape.

        Targets are any float tensors that this one was computed from, whether they require
        gradient or not; the results can be differentiated again. A target that is not reached
        raises RuntimeError, or gives zeros with `materialize_grads`. One that requires no
        gradient raises, too, where a value in between was computed already: it is a constant since.

            x = Tensor([1.0, 2.0]);  (x * x).sum().gradient(x)[0].tolist() == [2.0, 4.0]
        """
        results = []
        for place, (target, total) in enumerate(
            zip(targets, self._gradients("gradient", targets, gradient), strict=True)
        ):
            if total is None and not materialize_grads:
                raise RuntimeError(
                    f"gradient: target {place}, of shape {target.shape}, is not part of this "
                    "tensor's computation (a realized tensor keeps its past only where "
                    "requires_grad is set)"
                )
            requires = grad_enabled.get() and (self._requires_grad or target._requires_grad)
            node = Const(0, target.dtype, target.shape) if total is None else total
            results.append(self._from_node(node, requires))
        return results

    def _gradients(
        self, name: str, targets: Sequence[TensorCore], gradient: TensorCore | None = None
    ) -> list[Node | None]:
        """The derivative with respect to each target; None for one that is not reached.

        Raises RuntimeError where it flows through a value that is a constant by now (past.py).
        """
        seed = self._seed(name, gradient)
        loss = self._history if self._history is not None else self._node
        wanted: list[Node] = []
        for place, target in enumerate(targets):
            if not target.dtype.is_float:
                raise DTypeError(f"{name}: target {place} is {target.dtype}; only floats have one")
            wanted += target._nodes()
        plain = {n for x in targets if not x._requires_grad for n in x._nodes()}
        if plain and (shape := cut_off(loss, plain)) is not None:
            raise RuntimeError(
                f"{name}: a value of shape {shape} in between was computed already, with others "
                "that were asked for, and is a constant since. Set requires_grad=True on the "
                "target before it is used, or use detach() where that value is meant as a constant"
            )
        found = dict(zip(wanted, gradient_nodes(loss, wanted, seed), strict=True))
        totals: list[Node | None] = []
        for target in targets:
            total: Node | None = None
            for node in dict.fromkeys(target._nodes()):
                part = found[node]
                if part is not None:
                    total = part if total is None else Add(total, part)
            totals.append(total)
        return totals


def _verify_unchanged(passed: Sequence[Node], reached: Mapping[Node, TensorCore]) -> None:
    """Raise RuntimeError where a backward pass needs a variable's value from before a change in
    place, and reaches the new one, too."""
    old = {node for node, tensor in reached.items() if node not in tensor._nodes()}
    new = {id(tensor) for node, tensor in reached.items() if node not in old}
    both = {node: reached[node] for node in old if id(reached[node]) in new}
    if not both:
        return
    for node in passed:
        changed = next((both[x] for x in node.inputs if x in both), None)
        if changed is None:
            continue
        if isinstance(node, Movement):
            both[node] = changed
        elif needs_values(node):
            raise RuntimeError(
                f"backward: a variable of shape {changed.shape} was changed in place, as by "
                "optimizer.step(), between two uses of it. A state that is carried from step to "
                "step needs detach() after each"
            )


def _verify_gradient(tensor: TensorCore, value: object) -> None:
    """Raise unless `value` can be the gradient of a tensor, as PyTorch does."""
    if not isinstance(value, TensorCore):
        raise KindError(f"grad: a gradient is a tensor or None, not {told(value)}")
    if value is tensor:
        raise RuntimeError("grad: a tensor cannot be its own gradient")
    if value.shape != tensor.shape:
        raise ShapeError(
            f"grad: a gradient of shape {value.shape} for a tensor of shape {tensor.shape}"
        )
    if value.dtype != tensor.dtype:
        raise DTypeError(f"grad: a gradient of {value.dtype} for a tensor of {tensor.dtype}")
    if value.device != tensor.device:
        raise DeviceError(f"grad: a gradient on {value.device} for a tensor on {tensor.device}")
