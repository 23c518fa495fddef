"""The README and the chapters in docs/: their programs run, print what they say, and links lead."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lazygrad.runtime.device import Device

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text: str) -> Iterator[tuple[str, int, str]]:
    """Each fenced block: its language, the line that it begins on, its lines."""
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        yield found[1], text.count("\n", 0, found.start()) + 2, found[2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_programs_run(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The `python` blocks of a page are one program; an `output` block is what the one before it
    printed, to the letter, on a CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Device, "DEFAULT", "CPU")
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    for language, line, code in blocks(page.read_text()):
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as output:
                # The empty lines make a traceback show the page's own line numbers.
                exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)
            printed = output.getvalue()
        elif language == "output":
            assert printed == code, f"{page}:{line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    not_prose = r"^```.*?^```$|<!--.*?-->"
    prose = re.sub(not_prose, "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_has_the_targets(page: Path) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for target in re.findall(r"(?:^|`|[A-Z]=\S+ )make (\w+)", page.read_text(), flags=re.MULTILINE):
        assert target in targets, f"{page.name} says make {target}"
