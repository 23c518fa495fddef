"""Operations of several nodes, built again from what the first call built.

An eager program calls the same operations on the same shapes in each of its steps. What a call of
`@recalled` builds is kept as a template (template.py), by what it depends on: the operation, the
shapes, dtypes and devices of its tensors, its other arguments, and the modes that are set. Calls
that agree in these give nodes that are built from the template when something looks at them
(graph/ir/deferred.py). Where they carry gradient they are built at once, about four times as fast
as by the operation. Backward passes of graphs that agree in all but their leaves have templates,
too.

An operation is tried on leaves without memory, to see what it builds. Where it checks their
indices, or draws random numbers, this is done anew with each call, and what it gives is an input of
the template. An operation that asks for values otherwise, or writes to a tensor, has no template:
it runs as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Literal, TypeVar, cast

from .. import config, dtypes
from ..cache import remember
from ..dtypes import DType
from ..graph.gradient import cotangents, differentiable_inputs, gradient, note_cotangents
from ..graph.ir import Const, Custom, Node, topological
from ..graph.skeleton import Places, Skeleton
from ..graph.structure import Walk
from .any_size import note_call, recipe_at
from .core import TensorCore
from .mode import autocast_dtype, chosen_mode, inside
from .ranges import Range, declared
from .sharing import grad_enabled
from .template import Recipe, Template, Trial, trial

F = TypeVar("F", bound=Callable[..., Any])

MAX_TEMPLATES = 4096  # some 4 kB each; the oldest are forgotten
MAX_BACKWARD = 64  # some 500 bytes a node each

_PLAIN = frozenset({int, str, bool, type(None), DType})
_BEGIN, _END = "(", ")"  # of what holds others


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a call gave: its tensors' nodes, which of them require gradient, and what holds them.

    `anew` gives further inputs of the template.
    """

    recipe: Recipe
    anew: tuple[Callable[[Sequence[Node]], Sequence[Node]], ...]
    requires_grad: tuple[bool, ...]
    form: Any  # the number of a tensor's node; or what makes a tuple, and the forms in it

    def built(self, inputs: Sequence[Node]) -> Sequence[Node]:
        """The nodes that a call on these inputs gives, built at once."""
        assert isinstance(self.recipe, Template)
        return self.recipe.results(self.recipe.build(inputs))


_templates: dict[Hashable, _Kept | Literal[False]] = {}
"""By call; False where what it gives cannot be kept."""


class _Unknown(Exception):
    """An argument, or a result, that a call cannot be kept by."""


def recalled(operation: F, any_size: bool = False) -> F:
    """Decorator of an operation on tensors that gives new tensors, alone or in tuples. Which nodes
    it builds must follow from shapes, dtypes, devices, numbers and modes. `any_size`: they are the
    same at all sizes from 2 on, but for the sizes (any_size.py).

        @recalled
        def silu(self): return self * self.sigmoid()
    """

    @wraps(operation)
    def built(*args: Any, **named: Any) -> Any:
        found = None
        # ORIGINS: each node gets the line that asks for it; CHECK: all indices are checked
        if config.OPT and not (config.ORIGINS or config.CHECK or trial.get() is not None):
            found = _recall(operation, any_size, args, named)
        return operation(*args, **named) if found is None else found

    # where the operation is recalled and does not run, tracebacks and errors still have its name
    named_alike: Any = built
    code = named_alike.__code__
    named_alike.__code__ = code.replace(
        co_name=operation.__name__, co_qualname=operation.__qualname__
    )
    return cast(F, built)


def _recall(operation: Any, any_size: bool, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What a call gives, from a template; None where the operation itself must run."""
    tensors: dict[Node, TensorCore] = {}
    parts = [
        operation, chosen_mode(), grad_enabled.get(), autocast_dtype.get(), dtypes.default_float
    ]  # fmt: skip
    try:
        _note_values(args, parts, tensors)
        if named:
            parts.append(tuple(named))
            _note_values(named.values(), parts, tensors)
    except _Unknown:
        return None
    key = tuple(parts)
    nodes = list(tensors)
    kept = _templates.get(key)
    if kept is None:
        call = operation, _numbered(args, tensors), _numbered(named, tensors)
        kept = (_as_at_other_sizes(key, call) if any_size else None) or _kept(*call, nodes) or False
        if any_size and kept:
            _note_size(key, kept)
        remember(_templates, key, kept, MAX_TEMPLATES)
    if not kept:
        return None
    if kept.anew:
        try:
            for given in kept.anew:
                nodes += given(nodes)
        except Exception:  # the operation itself says what is wrong
            return None
    recipe = kept.recipe
    made = recipe.defer(nodes) if recipe.gives else kept.built(nodes)
    make = (tensors[nodes[0]] if tensors else args[0])._from_node
    if kept.form == 0:
        return make(made[0], kept.requires_grad[0])
    return _filled(kept.form, lambda n: make(made[n], kept.requires_grad[n]))


def _note_values(
    values: Iterable[Any], parts: list[Hashable], tensors: dict[Node, TensorCore]
) -> None:
    """Add to `parts` what a call depends on of its arguments, flat, as that is hashed fastest: what
    each begins with tells where it ends. Adds the tensors in them, by their nodes."""
    for x in values:
        kind = x.__class__
        if kind in _PLAIN:
            parts += (kind, x)
        elif isinstance(x, TensorCore):
            if x._base is None:
                node, requires = x._own, x._requires
            else:
                node, requires = x._node, x._requires_grad
            if node.__class__ is Const:  # which broadcast in a way of their own
                raise _Unknown
            if node in tensors:
                parts += (TensorCore, list(tensors).index(node), requires)
            else:
                tensors[node] = x
                parts += (node.shape, node.dtype, node.device, requires)
        elif kind is float:
            parts += (kind, float.hex(x))  # 0.0 is not -0.0
        elif isinstance(x, (tuple, list)):
            parts.append(_BEGIN)
            _note_values(x, parts, tensors)
            parts.append(_END)
        elif kind is dict:
            parts += (kind, tuple(x))
            _note_values(x.values(), parts, tensors)
        elif isinstance(x, type):
            parts += (type, x)
        else:
            raise _Unknown


@dataclass(frozen=True, slots=True)
class _Argument:
    """Stands for a tensor among the arguments of a call: the input with this number."""

    cls: type[TensorCore]
    number: int
    requires_grad: bool


def _numbered(x: Any, tensors: Mapping[Node, TensorCore]) -> Any:
    """Arguments without tensors."""
    if isinstance(x, TensorCore):
        return _Argument(type(x), list(tensors).index(x._node), x._requires_grad)
    if x.__class__ in (tuple, list):
        return type(x)([_numbered(each, tensors) for each in x])
    if x.__class__ is dict:
        return {name: _numbered(each, tensors) for name, each in x.items()}
    return x


def _with_tensors(x: Any, nodes: Sequence[Node]) -> Any:
    """Arguments of `_numbered`, with tensors for these nodes."""
    if x.__class__ is _Argument:
        return x.cls._from_node(nodes[x.number], x.requires_grad)
    if x.__class__ in (tuple, list):
        return type(x)([_with_tensors(each, nodes) for each in x])
    if x.__class__ is dict:
        return {name: _with_tensors(each, nodes) for name, each in x.items()}
    return x


def _as_at_other_sizes(key: Hashable, call: tuple[Callable[..., Any], Any, Any]) -> _Kept | None:
    """What a call gives that differs from earlier ones in a size alone; None if it does not."""

    modes = _modes()

    def tried(inputs: Sequence[Node]) -> Recipe | None:
        kept = modes.copy().run(_kept, *call, inputs)  # a copy: two threads may try at once
        return None if kept is None else kept.recipe

    found = recipe_at(key, tried)
    return None if found is None else _Kept(found[0], (), *found[1])


def _modes() -> Context:
    """A context with the modes that hold now: a result may be built when others do, as after
    no_grad(). It has nothing else of the context, which would live on with it."""
    made = Context()
    made.run(grad_enabled.set, grad_enabled.get())
    made.run(autocast_dtype.set, autocast_dtype.get())
    made.run(inside.set, chosen_mode())
    return made


def _note_size(key: Hashable, kept: _Kept) -> None:
    """Note a call, for those that differ from it in a size alone."""
    if isinstance(kept.recipe, Template) and kept.recipe.gives and not kept.anew:
        note_call(key, kept.recipe, (kept.requires_grad, kept.form))


def _kept(
    operation: Callable[..., Any], args: Any, named: Any, inputs: Sequence[Node]
) -> _Kept | None:
    """What a call gives, if that can be kept. The arguments are numbered.

    The template is made of a call on leaves. With the tensors themselves, a node that the operation
    builds may be an input, too, as one tensor is computed from another:

        x.T @ x    ->    the transposed x, which the product is computed from, is the other factor
    """
    tried = Trial(inputs)
    leaves = list(tried.places)
    found: list[TensorCore] = []
    number: dict[tuple[Node, bool], int] = {}  # of what is found: two tensors may have one node
    token = trial.set(tried)
    try:
        made = operation(*_with_tensors(args, leaves), **_with_tensors(named, leaves))
        form = _form(made, found, number)
    except Exception:  # the call itself will say what is wrong
        return None
    finally:
        trial.reset(token)
    # a view of what nobody else holds is as good as a base; others share memory with an argument
    bases = [x if x._base is None else x._base for x in found if x.is_contiguous()]
    if not found or len(set(map(id, bases))) < len(found):
        return None
    if any(x._own in tried.places for x in bases):
        return None
    results, requires = zip(*number, strict=True)
    can_defer = not any(requires)  # a backward pass needs all nodes
    built = Template.of(results, list(tried.places), can_defer)
    if built is None:
        return None
    template, places = built
    new = [(place, x) for x, place in places.items() if x in declared and x not in tried.places]
    if new:
        template.note = partial(_declare, [(place, declared[x]) for place, x in new])
    return _Kept(template, tuple(tried.calls), requires, form)


def _declare(ranges: Iterable[tuple[int, Range]], made: Sequence[Node]) -> None:
    """Note the ranges of the values at some places of a template."""
    for place, found in ranges:
        declared[made[place]] = found


def _form(made: Any, found: list[TensorCore], number: dict[tuple[Node, bool], int]) -> Any:
    """What holds the tensors of a result, which are added to `found`, and their nodes, with whether
    they require gradient, to `number`."""
    if isinstance(made, TensorCore):
        found.append(made)
        return number.setdefault((made._own, made._requires), len(number))
    if isinstance(made, tuple):
        make = getattr(made, "_make", tuple)  # of a named one
        return make, [_form(each, found, number) for each in made]
    if made.__class__ is dict:
        values = [_form(each, found, number) for each in made.values()]
        return partial(_named, tuple(made)), values
    raise _Unknown


def _filled(form: Any, tensor: Callable[[int], TensorCore]) -> Any:
    """A result of this form, with the tensors of these numbers."""
    if form.__class__ is int:
        return tensor(form)
    make, parts = form
    return make([_filled(each, tensor) for each in parts])


def _named(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))


# --------------------------------------------------------------------------- backward passes


@dataclass(frozen=True, slots=True)
class _Backward:
    """What a backward pass built on the nodes of a graph."""

    template: Template
    reached: tuple[bool, ...]  # which targets have a gradient
    marks: tuple[tuple[int, int], ...]  # places of cotangents, and of what they belong to


_backward: dict[Hashable, _Backward | bool] = {}
"""By the structure of the loss, and the places in it; True where it was met once: what is met a
second time is kept."""

_losses = Skeleton()  # where walks from losses begin


_passed: dict[Hashable, Places] = {}
"""By the structure of a loss, and its place: the places of the nodes that gradients flow to."""


def walk_back(loss: Node, seed: Node) -> Walk:
    """A walk to a loss and to its cotangent."""
    walked = Walk(begin=_losses)
    walked.walk([loss, seed])
    return walked


def passed_again(walked: Walk, loss: Node) -> list[Node]:
    """The nodes that gradients flow to from a loss, inputs first. `walked` is `walk_back` of it:
    where a graph of the same structure was asked before, they are read off the walk."""
    name = walked.exact(), walked.number[loss]
    places = _passed.get(name)
    if places is not None:
        return list(map(walked.nodes.__getitem__, places))
    passed = topological([loss], differentiable_inputs)
    if walked.number.keys() >= set(passed):
        remember(_passed, name, walked.places(passed), MAX_BACKWARD)
    return passed


def gradient_again(
    walked: Walk, loss: Node, targets: Sequence[Node], seed: Node
) -> list[Node | None]:
    """`gradient` (graph/gradient.py), built from a template where the same was asked for before of
    a graph of the same structure. No rule may be the program's own, and none is traced. `walked` is
    `walk_back` of the loss."""
    key = (walked.exact(), walked.places([loss, seed]), walked.places(targets))
    kept = _backward.get(key)
    if isinstance(kept, _Backward):
        made = kept.template.build(walked.nodes)
        note_cotangents([(made[place], made[of]) for place, of in kept.marks])
        rest = iter(kept.template.results(made))
        return [next(rest) if is_reached else None for is_reached in kept.reached]
    gradients = gradient(loss, targets, seed)
    if kept is not False:
        new = True if kept is None else _kept_backward(gradients, walked.nodes) or False
        remember(_backward, key, new, MAX_BACKWARD)
    return gradients


def _kept_backward(gradients: Sequence[Node | None], nodes: list[Node]) -> _Backward | None:
    if any(isinstance(node, Custom) for node in nodes):
        return None
    made = Template.of([g for g in gradients if g is not None], nodes)
    if made is None:
        return None
    template, places = made
    new = [(g, place) for g, place in places.items() if place >= len(nodes) and g in cotangents]
    noted = [(place, node) for g, place in new if (node := cotangents[g]()) is not None]
    marks = tuple([(place, places[node]) for place, node in noted if node in places])
    return _Backward(template, tuple([g is not None for g in gradients]), marks)
