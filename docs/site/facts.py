"""What a call shows of a function: its shapes, dtypes and errors, for the reference.

The call in the example of a docstring is made again: with tensors of other shapes, with each dtype,
and with arguments that do not fit. The results, and the errors, are what the reference states.
"""

from __future__ import annotations

import ast
import inspect
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from operator import attrgetter
from typing import Any

import numpy

import lazygrad
from lazygrad import Tensor, nn
from tests.docstrings import examples

Shape = tuple[int, ...]

KINDS = {
    "bool": ("bool",),
    "integers": ("uint8", "int8", "int32", "int64"),
    "floats": ("float16", "bfloat16", "float32", "float64"),
}
"""The kinds of dtypes that a sentence names, and those that are tried for each."""

SHAPES = ((3,), (2, 3), (4, 2, 3), (1, 4, 2, 3))
"""The shapes that are tried where a function may take any."""

WRONG = (
    (int, (9, -9, "x")), (float, (-1.0, 9.0, "x")), (str, ("x",)),
    (tuple, ((9, 9, 9), (-9,))), (list, ((9, 9, 9), [])),
)  # fmt: skip
"""By the type of an argument: values that may not fit."""

WRONG_OPTIONS = {"dim": 9, "axis": 9, "reduction": "x", "padding_mode": "x"}
"""By the name of an argument that a call leaves out: a value that does not fit."""

NOT_TRIED = ("set_", "manual_seed", "from_blob", "from_url", "fork_rng")
"""Beginnings of names of functions that change, or read, what is outside of their arguments."""

FIRST_ERRORS = ("ShapeError", "IndexError", "RangeError", "DTypeError", "EmptyError")
"""The errors that are told first; three are told in all."""


@dataclass(frozen=True)
class Call:
    """A function with its arguments: a label, such as the name of the parameter, and a value."""

    function: Callable[..., Any]
    args: tuple[tuple[str, Any], ...]
    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self) -> Any:
        """The result. Raises what the function raises."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.function(*(value for _, value in self.args), **dict(self.options))

    @property
    def tensors(self) -> list[int]:
        """The places of the arguments that are tensors."""
        return [i for i, (_, value) in enumerate(self.args) if isinstance(value, Tensor)]

    def with_values(self, values: Mapping[int, Any]) -> Call:
        """This call with other arguments at some places."""
        args = ((label, values.get(i, value)) for i, (label, value) in enumerate(self.args))
        return replace(self, args=tuple(args))


@dataclass(frozen=True)
class Facts:
    """What the calls of a function show; "" where a call has no tensors."""

    shapes: str
    dtypes: str
    errors: tuple[str, ...]


def facts(names: tuple[str, ...], value: Any, inner: Any, doc: str) -> Facts | None:
    """The facts of what a public name stands for; None where no example calls it."""
    found = calls(names, value, inner, doc)
    if not found:
        return None
    return Facts(shapes(found[0]), result_dtypes(found[0]), tuple(raised(found, names)))


# --------------------------------------------------------------------------- the call of an example


def calls(names: tuple[str, ...], value: Any, inner: Any, doc: str) -> list[Call]:
    """The calls in the examples of what a public name stands for."""
    if isinstance(value, property):
        return property_of(names[0].rpartition(".")[2], doc)
    return calls_of(names, inner, doc) if callable(inner) else []


def calls_of(names: tuple[str, ...], inner: Any, doc: str) -> list[Call]:
    """The calls of a function in its examples: of a layer that is called, and of the layer."""
    called = {name.rpartition(".")[2] for name in names}
    if any(name.startswith(NOT_TRIED) for name in called):
        return []
    for example in examples(doc):
        with suppress(NameError):  # the call is inside of a function that the example defines
            if found := _calls_in(ast.parse(example), called, _names_around(inner)):
                return found
    return []


def _calls_in(body: ast.Module, called: set[str], names: dict[str, Any]) -> list[Call]:
    """The first call in a program of a function of these names. Runs the statements before it."""
    for statement in body.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and _is_call_of(node, called):
                both = (_call_around(body, node), node)
                return [_evaluated(each, names) for each in both if each is not None]
        exec(ast.unparse(statement), names)
    return []


def _names_around(inner: Any) -> dict[str, Any]:
    """The names that an example may use without an import."""
    names: dict[str, Any] = {}
    for module in (nn, nn.functional, nn.init, nn.utils, nn.utils.rnn):
        names |= {name: value for name, value in vars(module).items() if name[0] != "_"}
    module = inspect.getmodule(inner)
    names |= vars(module) if module is not None else {}
    return names | {"Tensor": Tensor, "lazygrad": lazygrad, "nn": nn, "numpy": numpy, "np": numpy,
                    "linalg": lazygrad.linalg, "F": nn.functional,
                    "data": import_module("lazygrad.utils.data")}  # fmt: skip


def _is_call_of(node: ast.AST, called: set[str]) -> bool:
    """Whether a node calls one of these names: `f(x)`, `a.f(x)`."""
    match node:
        case ast.Call(ast.Name(name)) | ast.Call(ast.Attribute(attr=name)):
            return name in called
    return False


def property_of(name: str, doc: str) -> list[Call]:
    """The reading of a property in its examples: `x.T`."""
    for example in examples(doc):
        around = _names_around(None)
        for statement in ast.parse(example).body:
            for node in ast.walk(statement):
                if isinstance(node, ast.Attribute) and node.attr == name:
                    value = eval(ast.unparse(node.value), around)
                    return [Call(attrgetter(name), (("x", value),))]
            exec(ast.unparse(statement), around)
    return []


def _call_around(body: ast.AST, inner: ast.AST) -> ast.Call | None:
    """The call of what a call gives: `Linear(2, 3)(x)` of `Linear(2, 3)`, also after `.train()`."""
    for node in ast.walk(body):
        match node:
            case ast.Call(ast.Call(ast.Attribute(value, "train" | "eval"))) if value is inner:
                return node
            case ast.Call(function) if function is inner:
                return node
    return None


def _evaluated(node: ast.Call, names: dict[str, Any]) -> Call:
    """The arguments of a call, computed, with their labels."""

    def value(part: ast.AST) -> Any:
        return eval(ast.unparse(part), names)

    args: list[Any] = []
    for part in node.args:
        args += value(part.value) if isinstance(part, ast.Starred) else [value(part)]
    options = tuple((each.arg, value(each.value)) for each in node.keywords if each.arg)
    function = value(node.func)
    labels = _labels(function, len(args))
    owner = getattr(function, "__self__", None)
    if isinstance(owner, Tensor) and isinstance(node.func, ast.Attribute):
        name = node.func.attr
        args, labels = [owner, *args], ["x", *labels]
        return Call(_method(name), tuple(zip(labels, args, strict=True)), options)
    if type(function).__name__.startswith("Lazy"):  # takes its sizes from its first input
        function = _new_layer(node.func, names)
    return Call(function, tuple(zip(labels, args, strict=True)), options)


def _new_layer(made: ast.AST, names: dict[str, Any]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        return eval(ast.unparse(made), names)(*args, **options)

    return call


def _method(name: str) -> Callable[..., Any]:
    def call(x: Any, *args: Any, **options: Any) -> Any:
        return getattr(x, name)(*args, **options)

    return call


def _labels(function: Any, count: int) -> list[str]:
    """The names of the first parameters; of a module's `forward`, if it is one."""
    function = function.forward if isinstance(function, nn.Module) else function
    try:
        names = [
            "" if each.kind is each.VAR_POSITIONAL else name
            for name, each in inspect.signature(function).parameters.items()
            if each.kind is not each.KEYWORD_ONLY
        ]
    except (TypeError, ValueError):
        names = []
    return [names[min(i, len(names) - 1)] if names else "" for i in range(count)]


# --------------------------------------------------------------------------- shapes


def shapes(call: Call) -> str:
    """The shapes of a call: a rule that trials confirm, or else those of the example."""
    tensors = call.tensors
    if len(tensors) == 1 and len(call.args) == 1:
        tried = [_shape_of(call, {tensors[0]: shape}) for shape in SHAPES]
        if tried == list(SHAPES):
            return "any, which the result has"
        if all(shape == () for shape in tried):
            return "any; the result has ()"
    if _broadcasts(call):
        return "any that broadcast; the result has the broadcast shape"
    try:
        result = _shapes_in(call())
    except Exception:
        return ""
    inputs = [
        f"{label} {inside}".strip()
        for label, value in (*call.args, *call.options)
        if (inside := _shapes_in(value))
    ]
    if not result:
        return ", ".join(inputs)
    return f"{', '.join(inputs)} -> {result}" if inputs else f"the result has {result}"


def _broadcasts(call: Call) -> bool:
    """Whether tensors in place of all tensors and numbers give a result of their common shape."""
    places = [i for i, (_, value) in enumerate(call.args) if _is_operand(value)]
    if not call.tensors or not 2 <= len(places) == len(call.args):
        return False
    first, *others = places
    return all(
        _shape_of(call, {first: shape} | dict.fromkeys(others, other)) == common
        for shape, other, common in (((4, 1), (3,), (4, 3)), ((3,), (2, 4, 1), (2, 4, 3)))
    )


def _is_operand(value: Any) -> bool:
    return isinstance(value, (Tensor, int, float)) and not isinstance(value, bool)


def _shape_of(call: Call, shapes: Mapping[int, Shape]) -> Shape | None:
    """The shape of the result for tensors of other shapes; None where it is an error."""
    try:
        result = call.with_values(
            {i: _ones(shape, call.args[i][1]) for i, shape in shapes.items()}
        )()
    except Exception:
        return None
    return result.shape if isinstance(result, Tensor) else None


def _ones(shape: Shape, like: Any) -> Tensor:
    """Ones of a shape and the dtype of an argument."""
    return Tensor.full(shape, 1, dtype=Tensor(like).dtype)


def _shapes_in(value: Any) -> str:
    """The shapes of the tensors in a value: "(2, 3)", "[(2,), (3,)]"; "" for none."""
    if isinstance(value, Tensor):
        return str(value.shape)
    if isinstance(value, (tuple, list)) and any(isinstance(each, Tensor) for each in value):
        inside = [_shapes_in(each) for each in value if isinstance(each, Tensor)]
        few = ", ".join(inside[:4]) + (", ..." if len(inside) > 4 else "")
        return few if isinstance(value, tuple) else f"[{few}]"
    return ""


# --------------------------------------------------------------------------- dtypes


def result_dtypes(call: Call) -> str:
    """The dtypes of a result, for each kind of dtype of the first tensor and those like it."""
    if not call.tensors:
        with suppress(Exception):
            return ", ".join(dict.fromkeys(map(str, _dtypes_in(call()))))
        return ""
    first = call.tensors[0]
    dtype = call.args[first][1].dtype
    if _broadcasts(call):  # a number takes the dtype of a tensor, and says nothing of two
        values = {i: Tensor(value) for i, (_, value) in enumerate(call.args)}
        numbers = {i: x.cast(dtype) for i, x in values.items() if i not in call.tensors}
        call = call.with_values(numbers)
    alike = [i for i in call.tensors if call.args[i][1].dtype == dtype]
    told, refused = min((_by_outcome(call, places) for places in (alike, [first])), key=_refused)
    if not told:
        return ""
    if len(told) == 1:
        outcome, kinds = next(iter(told.items()))
        taken = "any" if not refused else " and ".join(kinds)
        return taken + (
            ", which the result has" if outcome == "kept" else f"; the result is {outcome}"
        )
    parts = [f"{' and '.join(kinds)}: {outcome}" for outcome, kinds in told.items()]
    return "; ".join(parts) + (f"; not {' or '.join(refused)}" if refused else "")


def _by_outcome(call: Call, places: list[int]) -> tuple[dict[str, list[str]], list[str]]:
    """The kinds of dtypes by what they give, for the tensors at some places; those refused."""
    told: dict[str, list[str]] = {}
    for kind, names in KINDS.items():
        told.setdefault(_outcome(call, places, names), []).append(kind)
    refused = told.pop("", [])
    return told, refused


def _refused(told: tuple[dict[str, list[str]], list[str]]) -> int:
    return len(told[1])


def _outcome(call: Call, places: list[int], names: tuple[str, ...]) -> str:
    """What a kind of dtypes gives, for each tensor of the result: "kept" or a dtype. "" where each
    dtype of the kind is an error."""
    rows: list[tuple[str, list[str]]] = []
    for name in names:
        with suppress(Exception):
            dtypes = _dtypes_in(call.with_values({i: call.args[i][1].cast(name) for i in places})())
            rows.append((name, [*map(str, dtypes)]))
    outcomes = []
    for column in zip(*(dtypes for _, dtypes in rows), strict=False):
        kept = all(dtype == name for dtype, (name, _) in zip(column, rows, strict=True))
        outcomes.append("kept" if kept else " or ".join(dict.fromkeys(column)))
    told = list(dict.fromkeys(outcomes))
    if len(told) == 1:
        return told[0]
    return " and ".join("its own dtype" if each == "kept" else each for each in told)


def _dtypes_in(value: Any) -> list[Any]:
    if isinstance(value, Tensor):
        return [value.dtype]
    return (
        [each.dtype for each in value if isinstance(each, Tensor)]
        if isinstance(value, (tuple, list))
        else []
    )


# --------------------------------------------------------------------------- errors


def raised(calls: list[Call], names: tuple[str, ...] = ()) -> list[str]:
    """The errors of calls with an argument that does not fit: "ShapeError: add: ...". Of one kind,
    the first that begins with one of the names of what is called, or else the first."""
    own = tuple(f"{name.rpartition('.')[2]}: " for name in names)
    found: dict[str, str] = {}
    for call in (wrong for right in calls for wrong in unfit(right)):
        try:
            call()
        except Exception as error:
            kind, text = type(error).__name__, str(error).strip()
            if is_meant(error) and "\n" not in text and "there is no setting" not in text:
                is_better = text.startswith(own) and not found.get(kind, "").startswith(
                    tuple(f"{kind}: {name}" for name in own)
                )
                if kind not in found or is_better:
                    found[kind] = f"{kind}: {text}"
    order = (*FIRST_ERRORS, *found)
    return [found[kind] for kind in dict.fromkeys(order) if kind in found][:3]


def is_meant(error: BaseException) -> bool:
    """Whether a `raise` of the package gave the error, and not Python."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return "/lazygrad/" in frame.filename and (frame.line or "").startswith("raise")


def unfit(call: Call) -> Iterator[Call]:
    """The call with one argument at a time that may not fit."""
    for i, (_, value) in enumerate(call.args):
        for other in values_for(value):
            yield call.with_values({i: other})
    for i, (name, value) in enumerate(call.options):
        for other in values_for(value):
            options = (*call.options[:i], (name, other), *call.options[i + 1 :])
            yield replace(call, options=options)
    operands = [i for i, (_, value) in enumerate(call.args) if _is_operand(value)]
    if len(call.tensors) > 1 or _broadcasts(call):
        for shape, last in (((2, 3), operands[-1]), ((3, 2), call.tensors[-1])):
            other = {operands[0]: _ones(shape, call.args[operands[0]][1])}
            yield call.with_values(other | {last: _ones((5, 7), call.args[last][1])})
    for name, value in WRONG_OPTIONS.items():
        if name not in {label for label, _ in (*call.args, *call.options)}:
            yield replace(call, options=(*call.options, (name, value)))


def values_for(value: Any) -> Iterator[Any]:
    """Values in place of one, which may not fit where it does."""
    if isinstance(value, Tensor):
        for shape in ((*value.shape, 2), value.shape[:-1], (5, 7), (0,)):
            yield _ones(shape, value)
        for name in ("bool", "int64", "float32"):
            yield value.cast(name)
        return
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor):
        yield type(value)([*value, Tensor.ones(5, 7)]) if type(value) in (list, tuple) else None
        return
    if value is not None and not isinstance(value, bool):
        yield from next((others for kind, others in WRONG if isinstance(value, kind)), ())
