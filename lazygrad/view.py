"""Run a program and look at what the compiler made of it.

    python -m lazygrad.view train.py --epochs 1

runs train.py with these arguments, writes the report of `lazygrad.dump` to a new folder (or to
`--folder`), and opens it in a browser (not with `--no-open`).
"""

from __future__ import annotations

import argparse
import runpy
import sys
import tempfile
import traceback
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from .dump import dump


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program that the arguments name. Returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lazygrad.view",
        description="Run a program and show what the compiler made of it.",
    )
    parser.add_argument("--folder", type=Path, help="where to write; default: a new folder")
    parser.add_argument("--no-open", action="store_true", help="do not open a browser")
    parser.add_argument("script", type=Path, help="the program")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    options = parser.parse_args(arguments)
    if not options.script.is_file():
        parser.error(f"there is no file {options.script}")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="lazygrad-report-"))
    status = _run(options.script, options.arguments, folder)
    page = folder.resolve() / "index.html"
    print(f"report: {page}", file=sys.stderr)
    if not options.no_open:
        webbrowser.open(page.as_uri())
    return status


def _run(script: Path, arguments: Sequence[str], folder: Path) -> int:
    """Run a program as Python would, with a report; its exit status."""
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    with dump(folder):
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
                return 1
            return int(end.code or 0)
        except BaseException:  # the report of what was done until then is what is wanted now
            traceback.print_exc()
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
