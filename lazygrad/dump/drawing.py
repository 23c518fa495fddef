"""A picture of one graph: shows itself in a notebook, and can be saved.

In a browser the page's own scripts lay it out: it zooms and folds, and needs no other program. As
SVG, Graphviz lays it out, where there is one.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .page import picture
from .svg import to_svg

HEIGHT = 420  # of the picture in a notebook, in points


class Drawing:
    """A picture of a graph, as `lazygrad.draw` and `Tensor.graph` give it."""

    def __init__(self, title: str, data: dict[str, Any], dot: str) -> None:
        self.title = title
        self._data = data
        self._dot = dot

    def __repr__(self) -> str:
        return f'<picture of {self.title}; .save("graph.html") writes it, as .svg and .dot too>'

    @property
    def html(self) -> str:
        """The picture as a page of its own."""
        return picture(json.dumps(self._data, separators=(",", ":")))

    @property
    def dot(self) -> str:
        """The picture as Graphviz source."""
        return self._dot

    def save(self, path: str | Path) -> Path:
        """Write the picture, by the ending of the path: .html, .svg or .dot. Returns the path.

        Raises ValueError for another ending, and ConfigError for .svg without Graphviz.
        """
        path = Path(path).expanduser()
        if path.suffix == ".html":
            content = self.html
        elif path.suffix == ".dot":
            content = self._dot
        elif path.suffix == ".svg":
            svg = to_svg(self._dot)
            if svg is None:
                raise ConfigError(f"save({path}): no Graphviz; .html needs none")
            content = svg
        else:
            raise ValueError(f"save({path}): valid are the endings .html, .svg and .dot")
        path.write_text(content, encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        style = f"width:100%;height:{HEIGHT}px;border:1px solid #8884;border-radius:6px"
        page, title = escape(self.html), escape(self.title)
        return f'<iframe srcdoc="{page}" title="{title}" style="{style}"></iframe>'

    def _repr_svg_(self) -> str | None:
        return to_svg(self._dot)
