"""Parameters that are computed from others each time they are read.

    parametrize.register_parametrization(layer, "weight", Symmetric())
    layer.weight                            # Symmetric()(layer.parametrizations.weight.original)

The class of the module is then a subclass, with a property in the place of the parameter.
"""

from __future__ import annotations

from typing import Any

from ...errors import ArgumentError
from ...tensor import Tensor
from ..containers import ModuleDict
from ..module import Module
from ..parameter import Buffer, Parameter, registered


class ParametrizationList(Module):
    """The functions that compute a parameter, and what they compute it from: `original`, or
    `original0`, `original1`, ... where the first function's `right_inverse` gives several."""

    def __init__(self, functions: list[Module], original: Tensor) -> None:
        super().__init__()
        for n, function in enumerate(functions):
            self.add_module(str(n), function)
        self._names = ["original"]
        begun = self._undone(original)
        if isinstance(begun, (tuple, list)):
            self._names = [f"original{n}" for n in range(len(begun))]
        for name, value in zip(
            self._names, begun if len(self._names) > 1 else [begun], strict=True
        ):
            kept = Parameter(value.detach(), original.requires_grad)
            setattr(self, name, kept if isinstance(original, Parameter) else Buffer(value))

    @property
    def functions(self) -> list[Module]:
        """The functions, the first of them first."""
        return [module for _, module in self._named_own(Module)]

    def _undone(self, value: Any) -> Any:
        """What the functions make `value` of."""
        for function in reversed(self.functions):
            if hasattr(function, "right_inverse"):
                value = function.right_inverse(value)
        return value

    def forward(self) -> Any:
        first, *rest = self.functions
        value = first(*(getattr(self, name) for name in self._names))
        for function in rest:
            value = function(value)
        return value

    def assign(self, value: Tensor) -> None:
        """Set what the parameter is computed from, so that it becomes `value`."""
        begun = self._undone(value)
        several = begun if isinstance(begun, (tuple, list)) else [begun]
        for name, part in zip(self._names, several, strict=True):
            getattr(self, name).assign(part.detach())

    def __len__(self) -> int:
        return len(self.functions)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let a parameter or buffer be computed by `parametrization`, after those it has already.

    Raises ValueError where there is no such tensor, or where the result has another shape.

        class Positive(nn.Module):
            def forward(self, x):
                return x.abs()
        layer = nn.Linear(1, 1)
        nn.utils.parametrize.register_parametrization(layer, "weight", Positive())
        (layer.weight >= 0).item() is True
    """
    if is_parametrized(module, tensor_name):
        held: ParametrizationList = module.parametrizations[tensor_name]  # type: ignore[attr-defined]
        held.add_module(str(len(held)), parametrization)
        return module
    original = vars(module).get(tensor_name)
    if not isinstance(original, Tensor):
        raise ArgumentError(
            f"Module {type(module).__name__} does not have a parameter, a buffer, or a "
            f"parametrized element with name '{tensor_name}'"
        )
    made = ParametrizationList([parametrization], original)
    value = made()
    if not unsafe and value.shape != original.shape:
        raise ArgumentError(
            "Registering a parametrization may not change the shape of the tensor: "
            f"{original.shape} became {value.shape}"
        )
    delattr(module, tensor_name)
    if not isinstance(vars(module).get("parametrizations"), ModuleDict):
        module.parametrizations = ModuleDict()
        _make_subclass(module)
    module.parametrizations[tensor_name] = made  # type: ignore[attr-defined]
    setattr(type(module), tensor_name, _computed(tensor_name))
    return module


def _make_subclass(module: Module) -> None:
    """Give a module a class of its own, which can have properties of its own."""
    base = type(module)
    own = type(f"Parametrized{base.__name__}", (base,), {"__module__": base.__module__})
    object.__setattr__(module, "__class__", own)


def _computed(name: str) -> property:
    def read(module: Any) -> Any:
        return module.parametrizations[name]()

    def write(module: Any, value: Tensor) -> None:
        module.parametrizations[name].assign(value)

    return property(read, write)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether some tensor of a module, or the one with this name, is computed.

    nn.utils.parametrize.is_parametrized(nn.Linear(1, 1)) is False
    """
    held = vars(module).get("parametrizations")
    if not isinstance(held, ModuleDict):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make a computed tensor a parameter again: with the value that it has, or the one that it was
    computed from. Raises ValueError where it is not computed.

        layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
        nn.utils.parametrize.remove_parametrizations(layer, "weight")
        nn.utils.parametrize.is_parametrized(layer) is False
    """
    if not is_parametrized(module, tensor_name):
        raise ArgumentError(
            f"Module {type(module).__name__} does not have a parametrization on {tensor_name}"
        )
    held: ParametrizationList = module.parametrizations[tensor_name]  # type: ignore[attr-defined]
    if not leave_parametrized and len(held._names) > 1:
        raise ArgumentError("Cannot leave unparametrized a tensor that is made of several")
    first = getattr(held, held._names[0])
    value = held() if leave_parametrized else first
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]  # type: ignore[attr-defined]
    kept: Tensor = Parameter(value.detach(), first.requires_grad)
    setattr(module, tensor_name, kept if isinstance(first, Parameter) else registered(kept, Buffer))
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        object.__setattr__(module, "__class__", type(module).__mro__[1])
    return module
