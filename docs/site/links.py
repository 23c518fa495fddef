"""Links of the book: from files of the repository to pages of the site.

A chapter links to code as a reader of the repository needs it, `../lazygrad/pipeline.py`. On the
site such a link leads to a page with the code, which `sources.py` writes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_NOT_PROSE = re.compile(r"^```.*?^```$|<!--.*?-->|`[^`\n]*`", flags=re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r"(\]\()([^)\s#]*)(#[^)\s]*)?(\))")


def in_prose(text: str, change: Callable[[str], str]) -> str:
    """Markdown with `change` applied to what is no code and no comment."""
    parts, at = [], 0
    for found in _NOT_PROSE.finditer(text):
        parts += [change(text[at : found.start()]), found[0]]
        at = found.end()
    return "".join((*parts, change(text[at:])))


def site_path(path: str) -> str:
    """The page of a file or folder of the repository, as a path in the folder of the pages.

    docs/01-graph.md -> 01-graph.md;  CONTRIBUTING.md -> project/CONTRIBUTING.md;
    lazygrad/compile.py -> code/lazygrad/compile.py.html
    """
    if path.startswith("docs/") and not path.endswith(".py"):
        return path.removeprefix("docs/")
    if path.endswith(".md"):
        return f"project/{path}"
    suffix = "/index.html" if (ROOT / path).is_dir() else ".html"
    return f"code/{path}{suffix}"


def for_site(text: str, path: str) -> str:
    """The Markdown of a file of the repository, with links between pages of the site."""
    here = posixpath.dirname(site_path(path))

    def link(found: re.Match[str]) -> str:
        opening, target, anchor, closing = found.groups()
        if not target or "://" in target or target.startswith("mailto:"):
            return found[0]
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        return f"{opening}{posixpath.relpath(site_path(meant), here)}{anchor or ''}{closing}"

    # a link's text may be code, so that links are changed where fences and comments end
    fences = re.compile(r"(^```.*?^```$|<!--.*?-->)", flags=re.MULTILINE | re.DOTALL)
    parts = fences.split(text)
    return "".join(part if i % 2 else _TARGET.sub(link, part) for i, part in enumerate(parts))
