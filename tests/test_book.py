"""The site of the book, built and opened from disk: links lead, the search finds, pages fit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

pytest.importorskip("mkdocs", reason="needs MkDocs")
ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site in the folder that the variable BOOK names, as `make docs` has made it; else a new
    one."""
    if built := os.environ.get("BOOK"):
        return Path(built)
    out = tmp_path_factory.mktemp("book")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", out]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return out


class _Links(HTMLParser):
    """The ids of a page, and what it links to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def test_no_link_is_dead(site: Path) -> None:
    code = {path for path in site.joinpath("code").rglob("*.html") if path.name != "index.html"}
    pages = [path for path in site.rglob("*.html") if path not in code and path.name != "404.html"]
    assert len(pages) > 80
    parsed = cache(_Links)
    for path in pages:
        for link in parsed(path).links:
            place, _, anchor = unquote(link).partition("#")
            if not re.match(r"[a-z]+:", place):
                target = (path.parent / place).resolve() if place else path
                assert target.exists(), f"{path.relative_to(site)}: {link}"
                if anchor and target.suffix == ".html":
                    assert anchor in parsed(target).ids, f"{path.relative_to(site)}: {link}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page of a width and theme; no error and no request to a network is allowed."""
    width, scheme = request.param
    opened = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=scheme)
    wrong: list[str] = []
    opened.on("console", lambda m: m.type in ("error", "warning") and wrong.append(m.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    local = ("file:", "data:", "about:", "blob:")
    opened.on("request", lambda r: r.url.startswith(local) or wrong.append(r.url))
    yield opened
    opened.close()
    assert wrong == []


@pytest.mark.parametrize("page", [(1600, "light"), (390, "dark")], indirect=True, ids=str)
def test_pages_fit_and_need_no_network(page: Any, site: Path) -> None:
    for name in ("index", "04-schedule", "compare", "api/layers", "code/lazygrad/pipeline.py"):
        page.goto((site / f"{name}.html").as_uri())
        width = page.viewport_size["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


@pytest.mark.parametrize("page", [(1600, "light")], indirect=True, ids=str)
def test_the_search_works_from_disk(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    page.click(".md-search__input")
    page.fill(".md-search__input", "argma")  # the theme warns of a search for one letter
    page.keyboard.type("x")
    page.wait_for_selector(".md-search-result__link")
    found = page.locator(".md-search-result__link").all_inner_texts()
    assert any(text.startswith("Tensor.argmax") for text in found)
