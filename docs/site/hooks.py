"""What MkDocs does besides: pages of the code, the reference, links as the repository has them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from docs.site import sources
from docs.site.links import ROOT, for_site, site_path
from docs.site.reference import Reference

PROJECT = ("CONTRIBUTING.md", "CHANGELOG.md", "README.md")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the project and of its code."""
    for path in PROJECT:
        text = for_site((ROOT / path).read_text(), path)
        files.append(File.generated(config, site_path(path), content=text))
    for path, html in sources.pages():
        files.append(File.generated(config, path, content=html))
    licence = (ROOT / "LICENSE").read_text()
    files.append(File.generated(config, site_path("LICENSE"), content=f"<pre>{licence}</pre>"))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Write out the lists of the reference, and let links lead to pages of the site."""
    path = page.file.src_uri
    if path.startswith("project/"):
        return markdown
    text = for_site(markdown, f"docs/{path}")
    if path.startswith("api/"):
        text = reference().lists_in(text, ROOT / "docs" / path)
    return text


_references: list[Reference] = []


def reference() -> Reference:
    """The reference, made when the first of its pages is."""
    if not _references:
        _references.append(Reference())
    return _references[0]
