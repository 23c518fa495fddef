"""The change that CONTRIBUTING.md shows: it fits the package, and what it adds works everywhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import lazygrad

PACKAGE = Path(lazygrad.__file__).parent
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
import lazygrad
from lazygrad import Tensor

FIRST = np.array([-8.0, -0.001, 0.5, 27.0, 1000.0])
for device in ("CPU", "GPU"):
    for dtype, tolerance in (("float16", 2e-3), ("float32", 5e-7), ("float64", 1e-15)):
        x = Tensor(FIRST, dtype=dtype, device=device, requires_grad=True)
        folder = Path(sys.argv[1], device, dtype)
        with lazygrad.dump(folder):
            y = (x * 2).cbrt() + 1
            y.realize()
        y.sum().backward()
        root = np.cbrt(FIRST * 2)
        np.testing.assert_allclose(y.numpy().astype(float), root + 1, tolerance, tolerance)
        np.testing.assert_allclose(x.grad.numpy().astype(float), 2 / (3 * root**2), 4 * tolerance)
        (compiled,) = [path for path in folder.iterdir() if path.is_dir()]
        texts = "".join(path.read_text() for path in compiled.rglob("*.txt"))
        assert "= cbrt(%" in texts and "(cbrt((" in texts, texts
        assert len(list((compiled / "loops").iterdir())) == 1, "x * 2, cbrt and + 1 are one kernel"
    special = Tensor([0.0, -0.0, float("inf"), -float("inf"), float("nan")], device=device).cbrt()
    assert [str(x) for x in special.tolist()] == ["0.0", "-0.0", "inf", "-inf", "nan"]
print("cube roots")
"""


def apply(diff: str, root: Path) -> list[str]:
    """Make the changes of a diff without line numbers: what stands there must occur once.

    Returns the names of the files that were changed.
    """
    changed = []
    for part in re.split(r"^--- ", diff, flags=re.MULTILINE)[1:]:
        name, *hunks = re.split(r"\n@@\n", part)
        text = (root / name).read_text()
        for hunk in hunks:
            lines = hunk.splitlines()
            old, new = (
                "\n".join(line[1:] for line in lines if line[:1] != sign) for sign in ("+", "-")
            )
            assert text.count(old) == 1, f"{name} no longer has\n{old}"
            text = text.replace(old, new)
        (root / name).write_text(text)
        changed.append(name)
    return changed


def test_the_change_shown_adds_an_operation(tmp_path: Path) -> None:
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    (diff,) = re.findall(r"^```diff\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    shutil.copytree(PACKAGE, tmp_path / "lazygrad", ignore=shutil.ignore_patterns("__pycache__"))
    assert len(apply(diff, tmp_path)) <= 5
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "dump")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "cube roots\n", done.stderr
