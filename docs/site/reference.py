"""The API reference: each public name on one page, from its docstring.

A page in docs/api/ has a comment for each of its lists,

    <!-- names: tensor.reduce linalg lazygrad.trapz -->

with files and folders of the package, whose definitions the list has, and with names, which it has
wherever they are defined. Names of one object are one entry: `Tensor.exp`, `lazygrad.exp`. An entry
in place, `exp_`, stands with the one that is not.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.docstrings import is_example

from .facts import Facts, facts
from .links import ROOT, in_prose, site_path

PAGES = ROOT / "docs" / "api"
PACKAGE = ROOT / "lazygrad"
MODULES = {
    "lazygrad": "lazygrad", "linalg": "linalg", "special": "functions.special",
    "transforms": "transforms", "func": "func", "autograd": "autograd", "nn": "nn",
    "nn.functional": "nn.functional", "nn.init": "nn.init", "nn.utils": "nn.utils",
    "nn.utils.rnn": "nn.utils.rnn", "nn.utils.parametrize": "nn.utils.parametrize",
    "nn.utils.parametrizations": "nn.utils.parametrizations", "nn.state": "nn.state",
    "nn.datasets": "nn.datasets", "nn.optim": "nn.optim", "nn.lr_scheduler": "nn.lr_scheduler",
    "utils.data": "utils.data", "utils.checkpoint": "utils.checkpoint", "amp": "amp",
    "cuda": "cuda", "fft": "fft", "distributions": "distributions", "dtypes": "dtypes",
    "config": "config", "errors": "errors", "helpers": "helpers",
}  # fmt: skip
"""The public modules: the name before a dot in the reference, and where the module is."""

LISTS = re.compile(r"^<!-- names: ([^>]*?) -->$", flags=re.MULTILINE)


@dataclass(frozen=True, eq=False)
class Entry:
    """What one or several public names stand for: `names[0]` is the one that it is told by."""

    names: tuple[str, ...]
    value: Any

    @cached_property
    def inner(self) -> Any:
        """The function below all wrappers, the class, or the value itself."""
        value = self.value.fget if isinstance(self.value, property) else self.value
        value = getattr(value, "__func__", value)
        return inspect.unwrap(value) if callable(value) else value

    @cached_property
    def place(self) -> tuple[str, int]:
        """The file that defines it, as a path of the repository, and the line."""
        code = getattr(self.inner, "__code__", None)
        if code is not None:
            return Path(code.co_filename).relative_to(ROOT).as_posix(), code.co_firstlineno
        module = sys.modules.get(getattr(self.inner, "__module__", ""))
        if inspect.isclass(self.inner) and module is not None and hasattr(module, "__file__"):
            file = Path(module.__file__ or "")
            if ROOT in file.parents:
                return file.relative_to(ROOT).as_posix(), _line_of_class(file, self.inner.__name__)
        holder = MODULES.get(self.names[0].rpartition(".")[0], "").replace(".", "/")
        return (f"lazygrad/{holder}.py", 0) if (PACKAGE / f"{holder}.py").exists() else ("", 0)

    @property
    def doc(self) -> str:
        """The docstring, or the text below the assignment in the module; "" where there is none."""
        value = getattr(self.value, "__func__", self.value)
        if callable(self.inner) or "__doc__" in getattr(self.inner, "__dict__", {}):
            return inspect.getdoc(value) or ""
        module, _, name = self.names[0].rpartition(".")
        return _texts_below(MODULES.get(module, "")).get(name, "")

    @cached_property
    def facts(self) -> Facts | None:
        """What calls of it show: shapes, dtypes, errors; None where no example calls it."""
        return facts(self.names, self.value, self.inner, self.doc)

    @property
    def anchor(self) -> str:
        return self.names[0].removeprefix("lazygrad.").replace(".", "-")


@cache
def _texts_below(path: str) -> dict[str, str]:
    """By name: the string that stands below an assignment in a module."""
    file = import_module(f"lazygrad.{path}").__file__ if path and path != "lazygrad" else None
    body = ast.parse(Path(file).read_text()).body if file else []
    found = {}
    for statement, below in pairwise(body):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]),
                ast.Expr(ast.Constant(str(text))),
            ):
                found[name] = inspect.cleandoc(text)
    return found


def _line_of_class(file: Path, name: str) -> int:
    """The line of a class; 1 where a call made it."""
    found = re.search(rf"^class {name}\b", text := file.read_text(), flags=re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _held(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The public names of a module and what they stand for: those of `__all__`, or else those that
    it defines."""
    names = getattr(module, "__all__", None)
    for name in names if names is not None else vars(module):
        value = getattr(module, name)
        own = names is not None or (
            not name.startswith("_")
            and (getattr(value, "__module__", None) == module.__name__ or _is_datum(value))
        )
        if own and not isinstance(value, ModuleType) and name != "__version__":
            yield name, value


def _is_datum(value: Any) -> bool:
    from lazygrad.dtypes import DType

    return isinstance(value, DType)


def public() -> dict[str, Any]:
    """Every public name, with what it stands for: `Tensor.exp`, `nn.Linear`, `config.DEBUG`."""
    from lazygrad import Tensor, config

    found: dict[str, Any] = {}
    for name in dir(Tensor):
        if not name.startswith("_"):
            found[f"Tensor.{name}"] = inspect.getattr_static(Tensor, name)
    for prefix, path in MODULES.items():
        module = import_module("lazygrad" if path == "lazygrad" else f"lazygrad.{path}")
        found |= {f"{prefix}.{name}": value for name, value in _held(module)}
    return found | {f"config.{name}": setting for name, setting in config.SETTINGS.items()}


def entries() -> list[Entry]:
    """The public names, those of one object together, and those in place with their function."""
    names = public()
    groups: dict[Any, list[str]] = {}
    values: dict[Any, Any] = {}
    for name, value in names.items():
        base = name.removesuffix("_")
        told = names[base] if base != name and base in names else value
        key = _identity(base if told is not value else name, told)
        groups.setdefault(key, []).append(name)
        values.setdefault(key, told)
    return [Entry(tuple(sorted(group, key=_rank)), values[key]) for key, group in groups.items()]


def _identity(name: str, value: Any) -> Any:
    """What two names of one object have in common."""
    inner = Entry((name,), value).inner
    return id(inner) if callable(inner) or _is_datum(inner) else name


def _rank(name: str) -> tuple[bool, bool]:
    """Names in the order of an entry: a method first, forms in place last."""
    return name.endswith("_"), not name.startswith("Tensor.")


def assigned(all_entries: list[Entry]) -> dict[Entry, list[tuple[Path, str]]]:
    """The lists (page, text of the comment) that have each entry. One that is asked for by its name
    is in no list by its file."""
    lists = [
        (page, found[1])
        for page in sorted(PAGES.glob("*.md"))
        for found in LISTS.finditer(page.read_text())
    ]
    places: dict[Entry, list[tuple[Path, str]]] = {}
    for entry in all_entries:
        by_name = [each for each in lists if set(entry.names) & set(each[1].split())]
        by_file = [each for each in lists if any(map(entry_is_in(entry), each[1].split()))]
        places[entry] = by_name or by_file
    return places


def entry_is_in(entry: Entry) -> Callable[[str], bool]:
    """Whether an entry is defined in a file or folder: "tensor.reduce"."""
    path = entry.place[0].removesuffix(".py").removesuffix("/__init__")

    def is_in(selector: str) -> bool:
        place = "lazygrad/" + selector.replace(".", "/")
        return path == place or path.startswith(f"{place}/")

    return is_in


# ------------------------------------------------------------------- as Markdown


class Reference:
    """The entries of all pages, as Markdown whose links are those of the page at `docs/api/`.

    `with_facts` makes the calls whose shapes, dtypes and errors an entry states: some seconds.
    """

    def __init__(self, with_facts: bool = True) -> None:
        self.with_facts = with_facts
        self.entries = entries()
        self.pages = {
            entry: places[0] for entry, places in assigned(self.entries).items() if places
        }
        self.by_name = {name: entry for entry in self.pages for name in entry.names}
        self.compared = _compared_with_pytorch()

    def lists_in(self, text: str, page: Path) -> str:
        """The text of a page with its lists written out."""
        return LISTS.sub(lambda found: self._list(page, found[1]), text)

    def _list(self, page: Path, names: str) -> str:
        told = [entry for entry, place in self.pages.items() if place == (page, names)]
        told.sort(key=lambda entry: (not entry.names[0].startswith("Tensor."), entry.place))
        return "\n\n".join(map(self._entry, told))

    def _entry(self, entry: Entry) -> str:
        name, *others = entry.names
        parts = [f"### `{name}` {{ #{entry.anchor} }}", _signature(entry)]
        parts += [self._prose(entry, entry.doc)] if entry.doc else []
        parts += self._members(entry)
        parts += _facts(entry, self.pages[entry][0]) if self.with_facts else []
        facts = [f"Also {', '.join(f'`{other}`' for other in others)}."] if others else []
        last_parts = [each.rpartition(".")[2] for each in entry.names]
        facts += [self.compared[each] for each in last_parts if each in self.compared][:1]
        file, line = entry.place
        if line:
            facts.append(f"[{file.removeprefix('lazygrad/')}](../{site_path(file)}#L{line})")
        return "\n\n".join((*parts, f'<p class="facts" markdown>{" ".join(facts)}</p>'))

    def _members(self, entry: Entry) -> list[str]:
        """The methods and properties that a class says something about, a line each."""
        if not inspect.isclass(entry.inner) or entry.names[0] == "lazygrad.Tensor":
            return []
        rows = []
        for name, member in vars(entry.inner).items():
            value = getattr(member, "__func__", getattr(member, "fget", member))
            text = inspect.cleandoc(getattr(value, "__doc__", None) or "").split("\n\n")[0]
            if not name.startswith("_") and inspect.isfunction(inspect.unwrap(value)) and text:
                call = (
                    ""
                    if isinstance(member, property)
                    else re.sub(r"\s*\n\s*", " ", _arguments(value))
                )
                text = self._prose(entry, " ".join(text.split()))
                rows.append(f"- `{name}{call}`: {text}")
        return ["\n".join(rows)] if rows else []

    def _prose(self, entry: Entry, text: str) -> str:
        """A docstring: examples and what is indented become code, names links."""
        parts = []
        for paragraph in re.split(r"\n\s*\n", text):
            lines = paragraph.splitlines()
            if is_example(inspect.cleandoc(paragraph)) or _looks_like_code(paragraph):
                language = "python" if is_example(inspect.cleandoc(paragraph)) else "text"
                parts.append(f"```{language}\n{inspect.cleandoc(paragraph)}\n```")
                continue
            code = [line for line in lines if is_example(line.strip())]
            prose = "\n".join(line for line in lines if line not in code)
            if prose:
                parts.append(self._linked(entry, in_prose(prose, _escaped)))
            if code:
                parts.append("```python\n" + "\n".join(map(str.strip, code)) + "\n```")
        return "\n\n".join(parts)

    def _linked(self, entry: Entry, text: str) -> str:
        """`sum` in the docstring of a method leads to `Tensor.sum`."""
        around = entry.names[0].rpartition(".")[0]

        def link(found: re.Match[str]) -> str:
            meant = self.by_name.get(found[1]) or self.by_name.get(f"{around}.{found[1]}")
            if meant is None or meant is entry:
                return found[0]
            return f"[`{found[1]}`]({self.pages[meant][0].name}#{meant.anchor})"

        return re.sub(r"`([\w.]+)`", link, text)


WITHOUT_FACTS = ("configuration.md", "data.md", "jit.md", "seeing.md")
"""Pages of names whose calls change, read or write what is outside of them."""


def _facts(entry: Entry, page: Path) -> list[str]:
    """Shapes, dtypes and errors, as a list."""
    known = None if page.name in WITHOUT_FACTS else entry.facts
    if known is None:
        return []
    errors = "; ".join(f"``{error}``" for error in known.errors)
    rows = {
        "Shapes": known.shapes and f"``{known.shapes}``" if "(" in known.shapes else known.shapes,
        "Dtypes": known.dtypes,
        "Raises": errors or "nothing, for any argument that was tried",
    }
    return ["\n".join(f"- **{title}** {text}" for title, text in rows.items() if text)]


def _looks_like_code(paragraph: str) -> bool:
    """Whether all lines are indented."""
    return all(line.startswith("    ") for line in paragraph.splitlines())


def _escaped(text: str) -> str:
    """Prose whose signs of mathematics mean nothing in Markdown."""
    return re.sub(r"(?<!^)([*_<>\[\]])", r"\\\1", text)


def _signature(entry: Entry) -> str:
    name = entry.names[0]
    if isinstance(entry.value, property):
        return f"```python\n{name}\n```"
    if inspect.isclass(entry.inner) and issubclass(entry.inner, BaseException):
        bases = ", ".join(base.__name__ for base in entry.inner.__bases__)
        return f"```python\nclass {name}({bases})\n```"
    if callable(entry.inner):
        return f"```python\n{name}{_arguments(entry.inner)}\n```"
    return f"```python\n{name} = {_datum(entry)}\n```"


def _arguments(function: Any) -> str:
    """The arguments of a function or class as they are written, without `self`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return "(...)"
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].name in ("self", "cls"):
        parameters = parameters[1:]
    signature = signature.replace(parameters=parameters)
    if inspect.isclass(function):
        signature = signature.replace(return_annotation=inspect.Signature.empty)
    text = str(signature)
    if len(text) > 70 and len(parameters) > 1:  # an argument a line
        lines = [f"    {argument},\n" for argument in _argument_texts(signature)]
        text = f"(\n{''.join(lines)}){text.rpartition(')')[2]}"
    return re.sub(r"\bSelf\b", "Tensor", text.replace("'", ""))


def _argument_texts(signature: inspect.Signature) -> Iterator[str]:
    """Each argument as it is written, with the stars and slashes between them."""
    kinds = [each.kind for each in signature.parameters.values()]
    for i, parameter in enumerate(signature.parameters.values()):
        kind, before = parameter.kind, kinds[:i]
        if kind is parameter.KEYWORD_ONLY and not {kind, parameter.VAR_POSITIONAL} & set(before):
            yield "*"
        yield str(parameter)
        if kind is parameter.POSITIONAL_ONLY and kind not in kinds[i + 1 :]:
            yield "/"


def _datum(entry: Entry) -> str:
    from lazygrad.config import Setting

    if isinstance(entry.inner, Setting):
        return entry.inner.valid
    return repr(entry.inner)


def _compared_with_pytorch() -> dict[str, str]:
    """By operation: how it compares with PyTorch, from the table in docs/operations.md."""
    rows = re.findall(
        r"^\| `(?:\w+\.)*(\w+)` \| (\d+) \| (\d+) \| ([^|]*?) \|",
        (ROOT / "docs" / "operations.md").read_text(),
        flags=re.MULTILINE,
    )
    return {
        name: f"[Beside PyTorch](../operations.md): {agree} of {cases} samples agree"
        + (f"; also in {', '.join(dtypes.split())}." if dtypes else ".")
        for name, cases, agree, dtypes in rows
    }
