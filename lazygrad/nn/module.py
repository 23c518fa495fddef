"""`Module`: what layers and models are, with PyTorch's names.

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(784, 128)
            self.out = nn.Linear(128, 10)

        def forward(self, x):
            return self.out(self.hidden(x).relu())

Everything that a module holds is an ordinary attribute: a `Parameter`, a `Buffer`, another module,
or anything else. So `nn.state.get_state_dict` and `jit` see a module as they see any object, and
plain classes with tensors may stand beside modules. As in PyTorch, a module registers parameters,
buffers and modules only: not those inside of lists, or of objects that are no modules.

In training or in evaluation is what `train()` and `eval()` said last; `tensor/mode.py` has the
rule for a module that was told neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from ..dtypes import DType
from ..tensor import Tensor
from ..tensor.core import names_dtype
from ..tensor.mode import chosen_mode, module_mode
from ..tensor.sharing import fresh
from .hooks import Hooks, RemovableHandle
from .parameter import Buffer, Parameter, TransientBuffer, registered

if TYPE_CHECKING:
    from .checkpoint import IncompatibleKeys

T = TypeVar("T")


class Module:
    """A part of a model, called with tensors: a subclass says in `forward` what it computes."""

    _trains_by_default: bool = True  # in training, where nobody has chosen
    _told_training: bool | None = None  # what train() or eval() said
    _module_hooks: Hooks | None = None
    _extra_repr: ClassVar[str] = ""  # a template of `extra_repr`, filled in with the attributes

    # ------------------------------------------------------------------ the call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What `forward` returns, with the hooks; in the mode of this module."""
        hooks, chosen = self._module_hooks, chosen_mode()
        mode = _mode_of(self, chosen)
        try:
            if mode is not chosen:
                assert mode is not None
                with module_mode(mode):
                    return (
                        hooks.call(self, args, kwargs) if hooks else self.forward(*args, **kwargs)
                    )
            return hooks.call(self, args, kwargs) if hooks else self.forward(*args, **kwargs)
        except AttributeError as error:
            from .messages import refuse_argument

            refuse_argument(self, error, (*args, *kwargs.values()))
            raise

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes: every subclass that is called says it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    @property
    def training(self) -> bool:
        """Whether this is in training: what `train()` or `eval()` said; see `tensor/mode.py`."""
        return bool(_mode_of(self, chosen_mode()))

    @training.setter
    def training(self, mode: bool) -> None:
        self._told_training = mode

    def train(self, mode: bool = True) -> Self:
        """Put this and every module in it into training, or into evaluation. Returns itself."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """`train(False)`."""
        return self.train(False)

    # ------------------------------------------------------------------ attributes

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a module in it becomes a part of this one.

        A plain tensor that takes the place of a buffer becomes a buffer. As in PyTorch, only a
        parameter or None may take the place of a parameter, only a tensor or None the place of a
        buffer; anything else raises TypeError.
        """
        if isinstance(value, Module):
            if self._trains_by_default:
                value._join_model()
        elif not (value is None or isinstance(value, Parameter)):
            former = vars(self).get(name)
            if isinstance(former, Parameter):
                raise TypeError(
                    f"cannot assign a {type(value).__name__} as parameter '{name}' of "
                    f"{type(self).__name__} (nn.Parameter or None expected): write "
                    f"nn.Parameter(value), or {name}.assign(value) to change its values"
                )
            if isinstance(former, Buffer):
                if not isinstance(value, Tensor):
                    raise TypeError(
                        f"cannot assign a {type(value).__name__} as buffer '{name}' of "
                        f"{type(self).__name__} (a tensor or None expected)"
                    )
                if type(value) is Tensor:
                    registered(value, type(former))
        object.__setattr__(self, name, value)

    def _join_model(self) -> None:
        """Be in training where nobody has chosen, as the model is that this is a part of."""
        for module in self.modules():
            if not module._trains_by_default:
                module._trains_by_default = True

    def _check_module_name(self, name: str, kind: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        held = vars(self).get(name, name)
        is_kind = {
            "parameter": isinstance(held, Parameter),
            "buffer": isinstance(held, Tensor) and not isinstance(held, Parameter),
            "module": isinstance(held, Module),
        }
        if hasattr(self, name) and not (held is None or is_kind[kind]):
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set a parameter as the attribute `name`; None keeps the place free.

        Raises KeyError for a name that cannot be or is taken, TypeError for another tensor.
        """
        self._check_module_name(name, "parameter")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                "(nn.Parameter or None required)"
            )
        setattr(self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Set a tensor, which is not trained, as the attribute `name`.

        It is part of `state_dict()` if it is `persistent`. Raises KeyError for a name that cannot
        be or is taken, TypeError for what is no tensor.
        """
        self._check_module_name(name, "buffer")
        if tensor is not None:
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' "
                    "(Tensor or None required)"
                )
            registered(tensor, Buffer if persistent else TransientBuffer)
        setattr(self, name, tensor)

    def add_module(self, name: str, module: Module | None) -> None:
        """Set a module as the attribute `name`. Raises as `register_buffer` does."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._check_module_name(name, "module")
        setattr(self, name, module)

    register_module = add_module

    # ------------------------------------------------------------------ what it holds

    def _named_own(self, kind: type[T]) -> Iterator[tuple[str, T]]:
        """The attributes of a kind that are held by this module itself."""
        for name, value in list(vars(self).items()):
            if isinstance(value, kind):
                yield name, value

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes, each once, with their names."""
        found: set[int] = set()
        for name, module in self._named_own(Module):
            if id(module) not in found:
                found.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules that are attributes, each once."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This and all modules in it, with the ways to them, as in "encoder.layers.0"."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._named_own(Module):
            inner = f"{prefix}.{name}" if prefix else name
            yield from module.named_modules(memo, inner, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This and all modules in it, each once."""
        for _, module in self.named_modules():
            yield module

    def _named_tensors(
        self, kind: type[T], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, T]]:
        found: set[int] = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for way, module in modules:
            for name, tensor in module._named_own(kind):
                if id(tensor) not in found:
                    if remove_duplicate:
                        found.add(id(tensor))
                    yield f"{way}.{name}" if way else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters of this and, with `recurse`, of all modules in it, with their names.

        Warns of modules and parameters in plain lists, which are not among them.
        """
        yield from self._named_tensors(Parameter, prefix, recurse, remove_duplicate)
        if recurse:
            from .messages import warn_of_lists

            warn_of_lists(self)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this and, with `recurse`, of all modules in it, each once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Buffer]]:
        """The buffers of this and, with `recurse`, of all modules in it, with their names."""
        return self._named_tensors(Buffer, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """The buffers of this and, with `recurse`, of all modules in it, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module at the end of a way such as "encoder.layers.0"; this one for "".

        Raises AttributeError where the way leads to none.
        """
        module: Any = self
        for name in target.split(".") if target else ():
            inner = getattr(module, name, None)
            if not isinstance(inner, Module):
                what = "has no attribute" if inner is None else "is not an nn.Module:"
                raise AttributeError(f"get_submodule: {type(module).__name__} {what} `{name}`")
            module = inner
        return module  # type: ignore[no-any-return]

    def _tensor_at(self, target: str, kind: type[T]) -> T:
        way, _, name = target.rpartition(".")
        module = self.get_submodule(way)
        found = getattr(module, name, None)
        if not isinstance(found, kind):
            what = "has no attribute" if found is None else f"has no {kind.__name__.lower()}"
            raise AttributeError(f"{type(module).__name__} {what} `{name}`")
        return found

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at the end of a way such as "out.weight". Raises AttributeError."""
        return self._tensor_at(target, Parameter)

    def get_buffer(self, target: str) -> Buffer:
        """The buffer at the end of a way such as "norm.running_mean". Raises AttributeError."""
        return self._tensor_at(target, Buffer)

    # ------------------------------------------------------------------ all tensors

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Call `fn` with every module in this one, those inside first, and with this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _change_tensors(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Give every parameter and buffer, and every gradient, another dtype or device."""
        tensors: list[Tensor] = [*self.parameters(), *self.buffers()]
        for tensor in tensors:
            if (changed := change(tensor.detach()))._node is not tensor.detach()._node:
                tensor.node = _variable(changed)
                if tensor.grad is not None:
                    tensor.grad = change(tensor.grad.detach())
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move every parameter and buffer: `to(device)`, `to(dtype)`, `to(device, dtype)` or
        `to(tensor)`. A dtype is for floats only; integers keep theirs. Returns itself.
        """
        device, dtype = _placement(*args, **kwargs)

        def change(tensor: Tensor) -> Tensor:
            moved = tensor if device is None else tensor.to(device)
            return moved.cast(dtype) if dtype is not None and moved.is_floating_point() else moved

        return self._change_tensors(change)

    def type(self, dtype: Any) -> Self:
        """Cast every parameter and buffer, those of integers too."""
        return self._change_tensors(lambda tensor: tensor.cast(dtype))

    def float(self) -> Self:
        """Cast parameters and buffers of floats to float32."""
        return self.to("float32")

    def double(self) -> Self:
        """Cast parameters and buffers of floats to float64."""
        return self.to("float64")

    def half(self) -> Self:
        """Cast parameters and buffers of floats to float16."""
        return self.to("float16")

    def bfloat16(self) -> Self:
        """Cast parameters and buffers of floats to bfloat16."""
        return self.to("bfloat16")

    def cpu(self) -> Self:
        """`to("CPU")`."""
        return self.to("CPU")

    def cuda(self, device: Any = None) -> Self:
        """Raises RuntimeError: a GPU is called "GPU" here."""
        raise RuntimeError('Module.cuda: there is no CUDA device; write module.to("GPU")')

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: every expression is compiled. `lazygrad.jit` captures whole steps."""

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let every parameter be trained, or stay as it is. Returns itself."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradient of every parameter, or set it to 0."""
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad = Tensor.zeros_like(parameter.grad)

    # ------------------------------------------------------------------ state

    def state_dict(
        self,
        *,
        destination: dict[str, Tensor] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Tensor]:
        """The parameters and persistent buffers by name, detached unless `keep_vars`.

        list(nn.Linear(2, 3).state_dict()) == ["weight", "bias"]
        """
        found = {} if destination is None else destination
        for kind in (Parameter, Buffer):
            for name, tensor in self._named_own(kind):
                if not isinstance(tensor, TransientBuffer):
                    found[prefix + name] = tensor if keep_vars else tensor.detach()
        for name, module in self._named_own(Module):
            module.state_dict(destination=found, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return found

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Give parameters and buffers the values in `state_dict`; see `checkpoint.load_into`."""
        from .checkpoint import load_into

        return load_into(self, state_dict, strict, assign)

    # ------------------------------------------------------------------ hooks

    def _hooks_of_its_own(self) -> Hooks:
        if self._module_hooks is None:
            self._module_hooks = Hooks()
        return self._module_hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; a result other than None takes the place of
        the arguments. `with_kwargs`: `hook(module, args, kwargs)`, which gives both or None.
        """
        return Hooks.add(self._hooks_of_its_own().before, hook, with_kwargs, prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; a result other than None takes the
        place of the output. `with_kwargs`: `hook(module, args, kwargs, output)`.
        """
        return Hooks.add(self._hooks_of_its_own().after, hook, with_kwargs, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` in each backward pass, with the gradients of
        the positional arguments and of the results; a result other than None takes the place of
        grad_input. Gradients are lazy, and None where there are none.
        """
        return Hooks.add(self._hooks_of_its_own().after_backward, hook, False, prepend)

    register_backward_hook = register_full_backward_hook

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` in each backward pass, as soon as gradients of the
        results are known; a result other than None takes their place.
        """
        return Hooks.add(self._hooks_of_its_own().before_backward, hook, False, prepend)

    # ------------------------------------------------------------------ as text

    def extra_repr(self) -> str:
        """What stands in the brackets of the module's text: a subclass says its settings."""
        from .text import settings_text

        return settings_text(self, self._extra_repr)

    def __repr__(self) -> str:
        from .text import module_text

        return module_text(self)


def _mode_of(module: Module, chosen: bool | None) -> bool | None:
    """Whether a module is in training, where the `chosen` mode holds; None if neither it nor
    anybody else has chosen. (No method: captured calls would verify for every module that no
    attribute hides it.)"""
    told = module._told_training
    mode = chosen if told is None else told
    return True if mode is None and module._trains_by_default else mode


class Layer(Module):
    """A layer of lazygrad.nn.

    Where nobody has chosen, and it is no part of a model that is a `Module`, it evaluates.
    """

    _trains_by_default = False

    @property
    def _has_bias(self) -> bool:
        return getattr(self, "bias", None) is not None


class UnaryLayer(Layer):
    """A layer from one tensor to one tensor."""

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> Tensor: ...


def _variable(value: Tensor) -> Any:
    return fresh(value._node)


def _placement(
    *args: Any, device: Any = None, dtype: Any = None, **_: Any
) -> tuple[str | None, Any]:
    """The device and the dtype that arguments of `to` name."""
    for given in args:
        if isinstance(given, Tensor):
            device, dtype = given.device, given.dtype
        elif isinstance(given, str) and not names_dtype(given):
            device = given
        elif isinstance(given, (DType, str, type)):
            dtype = given
    return device, dtype
