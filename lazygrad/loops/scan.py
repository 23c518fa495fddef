"""Take several rows of a scan together: each row's sum waits for the one before, not for others'.

serial i: acc[0] = 0; serial k: acc[0] += x[i*K + k]; out[i*K + k] = acc[0]
->
serial i_o: acc[0 .. 3] = 0
            serial k: vector i_i in 4: acc[i_i] += x[(i_o*4 + i_i)*K + k]
                      vector i_i in 4: out[(i_o*4 + i_i)*K + k] = acc[i_i]
"""

from __future__ import annotations

from ..targets import SCAN_PANEL, SCAN_ROWS
from .ir import Alloc, Store, statements
from .ir.rebuild import stride, updates_in_place
from .primitives import Schedule, set_scope, split
from .sink import sink


def interleave_rows(s: Schedule, width: int) -> str:
    """Block a scan's rows; of columns, which lie side by side, whole panels with `width` lanes.

    Requires: independent loops, around a body that ends in the loop of one row.
    """
    loops, inside = s.merged()
    if not loops:
        return "one row"
    x, extent = loops[-1].name, loops[-1].extent
    writes = [t for t in statements(inside) if isinstance(t, Store) and t.array.scope == "global"]
    is_column = all(stride(t.index, loops[-1]) == 1 for t in writes)
    size = min(SCAN_PANEL, -(-extent // width) * width) if is_column else min(SCAN_ROWS, extent)
    tail = "guard" if updates_in_place(s.body) or size > extent else "overlap"
    if not is_column:
        s.do(split, x, tail, f"{x}_o", f"{x}_i:{size}")
        s.do(sink, f"{x}_i", "vector")
        return f"{size} rows at once"
    s.do(split, x, tail, f"{x}_o", f"{x}_i:{size // width}", f"{x}_l:{width}")
    s.do(sink, f"{x}_l", "vector")
    s.do(sink, f"{x}_i", "serial")
    for stmt in inside:
        if isinstance(stmt, Alloc):
            s.do(set_scope, stmt.array.name, "local")
    return f"{size} sums along {x} in an array"
