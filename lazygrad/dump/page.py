"""The report's page: data, style and scripts in one file that opens from disk."""

from __future__ import annotations

import gzip
from base64 import b64encode
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
    """The report that shows data, which is JSON: the page has it compressed to about a tenth."""
    packed = b64encode(gzip.compress(data.encode(), 6, mtime=0)).decode()
    return _template("report", SCRIPTS, "application/gzip").replace("@DATA@", packed, 1)


def picture(data: str) -> str:
    """The page of one picture, which shows data, JSON."""
    safe = data.replace("</", "<\\/")  # or it could end the element that it stands in
    return _template("picture", PICTURE_SCRIPTS, "application/json").replace("@DATA@", safe, 1)


@cache
def _template(name: str, scripts: Sequence[str], type_: str) -> str:
    """A page without data, which is to be of a media type."""
    style = (PARTS / "report.css").read_text(encoding="utf-8")
    texts = [(PARTS / f"{script}.js").read_text(encoding="utf-8") for script in scripts]
    page, body = ((PARTS / f"{n}.html").read_text(encoding="utf-8") for n in ("page", name))
    filled = page.replace("@STYLE@", style, 1).replace("@BODY@", body.strip(), 1)
    filled = filled.replace("@TYPE@", type_, 1)
    return filled.replace("@SCRIPTS@", "\n".join(texts), 1)
