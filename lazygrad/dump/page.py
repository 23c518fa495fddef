"""Pages that show the stages of a compilation side by side, and link all compilations."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

SHOWN = 200_000  # characters of a text on a page; the file has it all


@dataclass(slots=True)
class Section:
    """One stage: its file, its text, and its picture or why there is none."""

    title: str
    path: Path
    text: str
    picture: Path | None = None
    note: str = ""


_STYLE = """
:root { color-scheme: light; --line: #d5dbe1; --faint: #66727f; --accent: #2f6db5; }
* { box-sizing: border-box; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 0; color: #1f2933; background: #f4f6f8; }
header { padding: 14px 22px; background: white; border-bottom: 1px solid var(--line); }
h1 { font-size: 18px; margin: 0 0 4px; } h2 { font-size: 15px; margin: 22px 22px 8px; }
header p { margin: 0; color: var(--faint); } a { color: var(--accent); text-decoration: none; }
nav a { margin-right: 14px; }
.row { display: flex; gap: 12px; overflow-x: auto; padding: 0 22px 14px; align-items: flex-start; }
.stage { flex: 0 0 auto; width: 620px; max-height: 86vh; resize: both; overflow: auto;
  background: white; border: 1px solid var(--line); border-radius: 6px; }
.stage h3 { position: sticky; top: 0; left: 0; margin: 0; padding: 7px 12px; font-size: 13px;
  background: #eef1f4; border-bottom: 1px solid var(--line); }
.stage h3 a { font-weight: normal; margin-left: 8px; }
.stage img { display: block; max-width: none; margin: 8px; } .stage img.fit { max-width: 97%; }
pre { margin: 0; padding: 10px 12px; font: 12px/1.4 Menlo, Consolas, monospace; }
details { margin: 0 22px 8px; background: white; border: 1px solid var(--line);
  border-radius: 6px; } details .row { padding: 8px 12px; }
summary { cursor: pointer; padding: 7px 12px; font-family: Menlo, Consolas, monospace; }
.note { padding: 10px 12px; color: var(--faint); } ol { background: white; padding: 12px 44px; }
"""
_FIT = "this.classList.toggle('fit')"


def write_page(
    folder: Path, sections: Sequence[Section], kernels: Mapping[str, Sequence[Section]]
) -> None:
    """Write index.html: the stages in columns, then each kernel's loops in columns."""
    links = " ".join(f'<a href="#{n}">{escape(s.title)}</a>' for n, s in enumerate(sections))
    columns = "\n".join(_column(folder, section, n) for n, section in enumerate(sections))
    loops = "\n".join(
        f"<details{' open' * (n == 0)}><summary>{n}  {escape(name)}</summary>"
        f'<div class="row">{"".join(_column(folder, s) for s in stages)}</div></details>'
        for n, (name, stages) in enumerate(kernels.items())
    )
    page = f"""{_head(folder.name)}
<header><h1>{escape(folder.name)}</h1>
<nav><a href="../index.html">all compilations</a> {links}</nav>
<p>The stages of one compilation, from left to right. A click on a picture shows it in full size
or fits it to its column, whose corner can be dragged.</p></header>
<h2>Graph, kernels, memory, code</h2>
<div class="row">{columns}</div>
<h2>The loops of each kernel, after each pass that changed them</h2>
{loops}
</html>
"""
    (folder / "index.html").write_text(page, encoding="utf-8")


def write_index(root: Path) -> None:
    """Write the page that links the compilations in a folder, whoever wrote them."""
    names = sorted(path.parent.name for path in root.glob("*/index.html"))
    items = "\n".join(f'<li><a href="{quote(n)}/index.html">{escape(n)}</a></li>' for n in names)
    page = f"""{_head("compilations")}
<header><h1>Compilations</h1><p>In the order in which they were made.</p></header>
<ol>{items}</ol>
</html>
"""
    (root / "index.html").write_text(page, encoding="utf-8")


def _head(title: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>"
    )


def _column(folder: Path, section: Section, number: int | None = None) -> str:
    """One stage: its picture, and its text below."""

    def link(path: Path) -> str:
        return quote(os.path.relpath(path, folder).replace(os.sep, "/"))

    anchor = "" if number is None else f' id="{number}"'
    parts = [
        f'<section class="stage"{anchor}><h3>{escape(section.title)}'
        f'<a href="{link(section.path)}">text</a>'
    ]
    if section.picture is not None:
        parts.append(f'<a href="{link(section.picture)}">picture</a>')
    parts.append("</h3>")
    if section.picture is not None:
        parts.append(
            f'<img class="fit" loading="lazy" src="{link(section.picture)}" '
            f'alt="{escape(section.title)}" onclick="{_FIT}">'
        )
    if section.note:
        parts.append(f'<p class="note">{escape(section.note)}</p>')
    shown = section.text[:SHOWN]
    cut = "" if len(shown) == len(section.text) else "\n... the file has the rest"
    parts.append(f"<pre>{escape(shown + cut)}</pre></section>")
    return "".join(parts)
