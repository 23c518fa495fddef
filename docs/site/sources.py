"""Pages of the code: each file with the numbers of its lines, each folder with its files."""

from __future__ import annotations

import ast
import html
import keyword
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from .links import ROOT, site_path

FOLDERS = ("lazygrad", "examples", "tests")
ENDINGS = (".py", ".txt", ".js", ".css", ".cl", ".cu", ".metal", ".ll")
STYLE = "code/style.css"

_MARKED = re.compile(
    r"(?P<c>#[^\n]*)"
    r"|(?P<s>(?<!\w)[rbfu]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'))"
    rf"|\b(?P<k>{'|'.join(keyword.kwlist)})\b"
    r"|(?P<d>(?<=def )\w+|(?<=class )\w+)",
    flags=re.DOTALL,
)


def highlighted(code: str) -> str:
    """Python as HTML: comments, strings, keywords and the names that are defined are marked."""
    parts, at = [], 0
    for found in _MARKED.finditer(code):
        parts.append(html.escape(code[at : found.start()], quote=False))
        parts.append(f"<i class={found.lastgroup}>{html.escape(found[0], quote=False)}</i>")
        at = found.end()
    return "".join((*parts, html.escape(code[at:], quote=False)))


def _page(path: str, body: str) -> str:
    """A page of the site for a path of the repository, with links to the folders around it."""
    here = posixpath.dirname(site_path(path))

    def up(target: str) -> str:
        return posixpath.relpath(target, here)

    steps = path.split("/")
    folders = [
        f'<a href="{up(site_path("/".join(steps[: i + 1])))}">{step}</a>'
        for i, step in enumerate(steps[:-1])
    ]
    trail = " / ".join((f'<a href="{up("index.html")}">the book</a>', *folders, steps[-1]))
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{path}</title>"
        f'<meta name=viewport content="width=device-width"><link rel=stylesheet href="{up(STYLE)}">'
        f"<nav>{trail}</nav>{body}"
    )


def _about(file: Path) -> str:
    """The first paragraph of a module's docstring."""
    if file.suffix != ".py" or not file.exists():
        return ""
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return html.escape(" ".join(text.split("\n\n")[0].split()))


def _file(file: Path, path: str) -> str:
    code = file.read_text()
    shown = highlighted(code) if file.suffix == ".py" else html.escape(code, quote=False)
    lines = (f"<a id=L{n}></a>{line}" for n, line in enumerate(shown.splitlines(), 1))
    return _page(path, "<pre>" + "\n".join(lines) + "</pre>")


def _folder(folder: Path, path: str) -> str:
    rows = []
    for file in sorted(folder.iterdir(), key=lambda file: (file.is_file(), file.name)):
        if file.is_dir() and any(_files(file)):
            rows.append((f"{file.name}/index.html", f"{file.name}/", _about(file / "__init__.py")))
        elif file.suffix in ENDINGS:
            rows.append((f"{file.name}.html", file.name, _about(file)))
    cells = (f'<tr><td><a href="{at}">{name}</a><td>{about}' for at, name, about in rows)
    return _page(path, f"<table>{''.join(cells)}</table>")


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.suffix in ENDINGS)


def pages() -> Iterator[tuple[str, str]]:
    """The path of each page in the site, and its HTML."""
    yield STYLE, (Path(__file__).parent / "code.css").read_text()
    for top in FOLDERS:
        files = list(_files(ROOT / top))
        for folder in sorted({up for file in files for up in file.parents if ROOT in up.parents}):
            path = folder.relative_to(ROOT).as_posix()
            yield site_path(path), _folder(folder, path)
        for file in files:
            path = file.relative_to(ROOT).as_posix()
            yield site_path(path), _file(file, path)
