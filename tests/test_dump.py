"""dump: every stage as text, graphs as pictures, and an index of all."""

from __future__ import annotations

import pytest

import lazygrad
from lazygrad import Tensor
from lazygrad.errors import ConfigError


def compiled(folder, size):
    x = Tensor.ones(4, size).realize()
    with lazygrad.dump(folder) as written:
        ((x + 1).exp().sum(axis=1) * 2).realize()
    return written


def test_every_stage_is_written_in_order(tmp_path):
    folder = compiled(tmp_path / "out", 11) / "001"
    stages = sorted(path.stem for path in folder.rglob("*.txt"))
    names = [stage.partition("-")[2] for stage in stages]
    for stage in ("graph", "simplify", "fuse", "memory", "lower", "tile", "vectorize", "unroll"):
        assert stage in names
    assert names.index("graph") < names.index("simplify") < names.index("fuse")
    assert names.index("lower") < names.index("tile") < names.index("vectorize")


def test_generated_code_is_written(tmp_path):
    folder = compiled(tmp_path, 12) / "001"
    assert [path for path in folder.iterdir() if path.stem.endswith("program")]


def test_pictures_show_kernels_as_clusters_and_buffers_with_sizes(tmp_path):
    folder = compiled(tmp_path, 13) / "001"
    (fused,) = folder.glob("*-fuse.dot")
    source = fused.read_text()
    assert "subgraph cluster_0" in source
    assert "float32(4, 13)" in source
    assert "208 B" in source  # 4 * 13 elements of 4 bytes


def test_the_index_links_every_stage(tmp_path):
    compiled(tmp_path, 14)
    page = (tmp_path / "index.html").read_text()
    for path in tmp_path.rglob("*.txt"):
        assert str(path.relative_to(tmp_path)) in page


def test_nothing_is_written_after_the_with(tmp_path):
    compiled(tmp_path, 15)
    before = sorted(tmp_path.rglob("*"))
    (Tensor.ones(3, 15).realize() * 3).realize()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(ConfigError, match="/dev/null/out"), lazygrad.dump("/dev/null/out"):
        pass
