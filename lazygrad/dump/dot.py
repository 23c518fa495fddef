"""Graphviz source: boxes of text, clusters, arrows, and a legend.

Labels are plain text: not every Graphviz is built to read the HTML-like ones.
"""

from __future__ import annotations

from collections.abc import Sequence

TEXT, FAINT = "#1f2933", "#66727f"
FONT, MONO = "Helvetica,Arial,sans-serif", "Courier,monospace"

# What a box stands for: its fill, its border, and what a legend calls the colour.
COLORS = {
    "forward": ("#dce9f7", "#5b83ad", "blue"),
    "backward": ("#fde5cc", "#c27b34", "orange"),
    "update": ("#dcefdc", "#5f9a63", "green"),
    "movement": ("#ffffff", "#c3ccd5", "white"),
    "input": ("#fff6cc", "#b59a2c", "yellow"),
    "between": ("#f4f5f7", "#9aa5b1", "grey"),
    "output": ("#ffffff", "#1f2933", "bold"),
    "map": ("#e3eefa", "#5b83ad", "blue"),
    "row": ("#e9e3f5", "#7a68a6", "violet"),
    "contraction": ("#fdebd7", "#c27b34", "orange"),
    "chain": ("#fdf3e3", "#a8652a", "brown"),
    "winograd": ("#e6efd2", "#7d9440", "olive"),
    "filter": ("#f1f5e4", "#a3b56f", "light olive"),
    "join": ("#e3ebe0", "#6f8766", "sage"),
    "scatter": ("#f9e0e4", "#b0566a", "pink"),
    "sort": ("#dff0ee", "#4d8f88", "teal"),
    "scan": ("#e3eef7", "#557fa3", "steel blue"),
    "recurrence": ("#f6e6f2", "#a0568c", "magenta"),
}
# Inches a character takes at most: whoever shows a picture may have wider fonts than who laid it
# out, and some Graphviz can only guess.
WIDTH, CODE_WIDTH = 0.083, 0.079


class Dot:
    """A directed graph in the making."""

    def __init__(self) -> None:
        self.boxes = 0
        self._lines = [
            "digraph {",
            f'graph [fontname="{FONT}", fontsize=11, rankdir=TB, nodesep=0.25, ranksep=0.4, '
            f'bgcolor=white, fontcolor="{TEXT}", compound=true, nslimit=1];',
            f'node [fontname="{FONT}", fontsize=10, shape=box, style="rounded,filled", '
            f'fontcolor="{TEXT}", margin="0.12,0.06", height=0.2];',
            'edge [color="#8893a0", arrowsize=0.6];',
        ]

    def box(
        self,
        name: str,
        kind: str,
        lines: Sequence[str],
        is_output: bool = False,
        shape: str = "box",
        tooltip: str = "",
    ) -> None:
        """A box of text; the colours are those of its kind."""
        fill, border, _ = COLORS[kind]
        style = "rounded,filled" if shape == "box" else "filled"
        width = 2.4 if is_output else 0.8
        faint = f', fontcolor="{FAINT}", fontsize=9' if kind == "movement" else ""
        self.boxes += 1
        self._lines.append(
            f'{name} [label={quoted(_newline.join(lines))}, shape={shape}, style="{style}", '
            f'fillcolor="{fill}", color="{border}", penwidth={width}, '
            f"width={_inches(lines, WIDTH)}, tooltip={quoted(tooltip)}{faint}];"
        )

    def kernel(self, name: str, kind: str, title: str, lines: Sequence[str]) -> None:
        """Lines of code in a coloured frame, below a title.

        The title is one of the lines: a frame's own label would be centred where Graphviz guesses
        its width, and stand out at the left in wider fonts.
        """
        fill, border, _ = COLORS[kind]
        text = [title, "", *lines]
        label = "".join(line + _left for line in text)
        self.boxes += 1
        self._lines += [
            f"subgraph cluster_{name} {{",
            f'style="rounded,filled"; fillcolor="{fill}"; color="{border}"; margin=8;',
            f'{name} [label={quoted(label)}, shape=plaintext, style="", margin="0.05,0.02", '
            f'width={_inches(text, CODE_WIDTH)}, fontname="{MONO}", fontsize=9];',
            "}",
        ]

    def arrow(self, source: str, target: str, is_faint: bool = False, note: str = "") -> None:
        """An arrow; a faint one for what is of less interest. `note` is in Graphviz's language."""
        faint = 'color="#c9d1d9"' if is_faint else ""
        notes = ", ".join(filter(None, [faint, note]))
        self._lines.append(f"{source} -> {target} [{notes}];")

    def source(self, legend: Sequence[tuple[str, str]]) -> str:
        """The whole, with a legend of (kind, what it stands for)."""
        words = [f"{COLORS[kind][2]}: {meaning}" for kind, meaning in legend]
        label = quoted("".join(line + _left for line in words))
        self._lines.append(
            f'legend [label={label}, shape=note, style=filled, fillcolor="#fafbfc", '
            f'color="#c3ccd5", fontcolor="{FAINT}", fontsize=9, width={_inches(words, WIDTH)}];'
        )
        return "\n".join([*self._lines, "}"]) + "\n"


def _inches(lines: Sequence[str], width: float) -> float:
    """What a box of these lines needs."""
    return round(max(map(len, lines), default=0) * width + 0.15, 2)


_newline, _left = "\n", "\r"  # ends of lines: centred, and left-aligned


def quoted(text: str) -> str:
    """A string of Graphviz's language."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace(_newline, "\\n").replace(_left, "\\l") + '"'
