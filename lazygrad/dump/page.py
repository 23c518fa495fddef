"""The report's page: data, style and scripts in one file that opens from disk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

PARTS = Path(__file__).parent / "page"
SCRIPTS = (
    "elements", "data", "code", "fold", "layout", "canvas", "graphs", "sources", "kernels",
    "timeline", "overview", "main",
)  # fmt: skip
PICTURE_SCRIPTS = ("elements", "data", "code", "fold", "layout", "canvas", "graphs", "single")


def page(data: str) -> str:
    """The report that shows data, which is JSON."""
    return _filled(_template("report", SCRIPTS), data)


def picture(data: str) -> str:
    """The page of one picture."""
    return _filled(_template("picture", PICTURE_SCRIPTS), data)


def _filled(template: str, data: str) -> str:
    safe = data.replace("</", "<\\/")  # or it could end the element that it stands in
    return template.replace("@DATA@", safe, 1)


@cache
def _template(name: str, scripts: Sequence[str]) -> str:
    """A page without data."""
    style = (PARTS / "report.css").read_text(encoding="utf-8")
    texts = [(PARTS / f"{script}.js").read_text(encoding="utf-8") for script in scripts]
    page, body = ((PARTS / f"{n}.html").read_text(encoding="utf-8") for n in ("page", name))
    filled = page.replace("@STYLE@", style, 1).replace("@BODY@", body.strip(), 1)
    return filled.replace("@SCRIPTS@", "\n".join(texts), 1)
