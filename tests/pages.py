"""The data of a report's page, for tests."""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any


def report(folder: Path) -> dict[str, Any]:
    """The data in a folder's report."""
    page = (folder / "index.html").read_text()
    (data,) = re.findall(r'<script type="application/gzip" id="data">(.*?)</script>', page, re.S)
    found: dict[str, Any] = json.loads(gzip.decompress(b64decode(data)))
    return found
