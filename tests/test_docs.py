"""The README and the chapters in docs/: their programs run, print what they say, and links lead."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lazygrad.config import SETTINGS
from lazygrad.runtime.device import Device

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PICTURE = re.compile(r"!\[[^\]]*\]\(((?:\.\./)*(?:docs/)?pictures/([\w-]+\.svg))\)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> Iterator[tuple[str, int, str]]:
    """Each fenced block: its language, the line that it begins on, its lines."""
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        yield found[1], text.count("\n", 0, found.start()) + 2, found[2]


def executed(page: Path) -> str:
    """The text of a page with what its programs print now in its `output` blocks.

    The `python` blocks of a page are one program; an `output` block is what the one before it
    printed, to the letter, on a CPU.
    """
    names = vars(sys.modules["__main__"])
    text, printed = page.read_text(), ""
    result, at = [], 0
    for language, line, code in blocks(text):
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as output:
                # The empty lines make a traceback show the page's own line numbers.
                exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)
            printed = output.getvalue()
        elif language == "output":
            start = text.index("```output\n", at) + len("```output\n")
            result += [text[at:start], printed]
            at = start + len(code)
    return "".join((*result, text[at:]))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_programs_run(
    page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The programs of a page print what it says, and make its pictures; `--refresh-golden` writes
    both."""
    refresh = request.config.getoption("--refresh-golden")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Device, "DEFAULT", "CPU")
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))  # the page is the program
    text = page.read_text()
    now = executed(page)
    if refresh and now != text:
        page.write_text(now)
    assert refresh or now.splitlines() == text.splitlines()
    for path, name in PICTURE.findall(text):
        if refresh:
            (page.parent / path).write_text(Path(name).read_text())
        assert labels(Path(name)) == labels(page.parent / path), f"{name} differs"


def labels(picture: Path) -> list[str]:
    """The texts in an .svg: where they stand depends on the version of Graphviz."""
    return re.findall(r"<text[^>]*>(.*?)</text>", picture.read_text())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    not_prose = r"^```.*?^```$|<!--.*?-->"
    prose = re.sub(not_prose, "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_has_the_targets(page: Path) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for target in re.findall(r"(?:^|`|[A-Z]=\S+ )make (\w+)", page.read_text(), flags=re.MULTILINE):
        assert target in targets, f"{name_of(page)} says make {target}"


def test_every_setting_has_a_row() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .+? \| .+? \| .+ \|$", page, flags=re.MULTILINE)
    assert sorted(rows) == sorted(SETTINGS)
