"""lazygrad.draw and Tensor.graph: pictures of graphs; python -m lazygrad.view."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, config, nn
from lazygrad.dump.drawing import Drawing
from lazygrad.dump.svg import to_svg
from lazygrad.errors import ConfigError
from lazygrad.view import main
from tests.pages import report


def data(drawing: Drawing) -> dict[str, Any]:
    """What the page of a drawing shows."""
    (text,) = re.findall(r'id="data">(.*?)</script>', drawing.html, re.S)
    found: dict[str, Any] = json.loads(text)
    return found


def nodes(drawing: Drawing) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = data(drawing)["compilations"][0]["record"]["nodes"]
    return found


@pytest.fixture
def neuron() -> dict[str, Tensor]:
    """The neuron of micrograd's example."""
    x, w = Tensor(2.0, requires_grad=True), Tensor(-3.0, requires_grad=True)
    b = Tensor(6.8813735870195432, requires_grad=True)
    n = x * w + b
    return {"x": x, "w": w, "b": b, "n": n, "o": n.tanh()}


def test_every_node_has_its_name_value_and_gradient(neuron):
    drawing = lazygrad.draw(neuron["o"], **neuron)
    named = {node["name"]: node for node in nodes(drawing) if "name" in node}
    assert named.keys() == neuron.keys()
    values = {name: node["notes"] for name, node in named.items()}
    assert values["x"] == ["value 2", "gradient -1.5"]
    assert values["w"] == ["value -3", "gradient 1"]
    assert values["o"] == ["value 0.7071", "gradient 1"]
    assert "n = add\\nfloat32()\\nvalue 0.8814\\ngradient 0.5" in drawing.dot


def test_drawing_after_backward_draws_the_same(neuron):
    before = lazygrad.draw(neuron["o"], x=neuron["x"]).dot
    neuron["o"].backward()
    assert neuron["o"].item() == pytest.approx(0.7071, abs=1e-4)
    assert lazygrad.draw(neuron["o"], x=neuron["x"]).dot == before
    assert neuron["x"].grad.item() == pytest.approx(-1.5, abs=1e-4)


def test_gradients_are_coloured_as_gradients(neuron):
    neuron["o"].backward()
    drawing = lazygrad.draw(neuron["x"].grad)
    roles = {node["role"] for node in nodes(drawing)}
    assert "backward" in roles
    assert "orange: gradient" in drawing.dot


def test_many_elements_are_told_in_short():
    x = Tensor(np.arange(12.0, dtype=np.float32).reshape(3, 4))
    (noted, *_) = [node["notes"] for node in nodes(lazygrad.draw(x.exp(), x=x)) if "name" in node]
    assert noted[0] == "value mean 5.5, 0 to 11"
    large = Tensor.ones(1024, 1024).contiguous().exp()
    assert all("notes" not in node for node in nodes(lazygrad.draw(large)))


def test_draw_without_a_tensor_says_what_to_give():
    for call in (lambda: lazygrad.draw(), lambda: lazygrad.draw(3.0)):
        with pytest.raises(TypeError, match=r"draw: give at least one tensor"):
            call()


def test_a_picture_is_saved_by_its_ending(tmp_path, neuron, monkeypatch):
    drawing = lazygrad.draw(neuron["o"])
    assert drawing.save(tmp_path / "a.dot").read_text().startswith("digraph")
    assert "<!doctype html>" in drawing.save(tmp_path / "a.html").read_text()
    if to_svg(drawing.dot) is not None:
        assert "<svg" in drawing.save(tmp_path / "a.svg").read_text()
        assert "<svg" in (drawing._repr_svg_() or "")
    with pytest.raises(ValueError, match=r"a\.png.*valid are the endings"):
        drawing.save(tmp_path / "a.png")
    monkeypatch.setattr(import_module("lazygrad.dump.drawing"), "to_svg", lambda dot: None)
    with pytest.raises(ConfigError, match=r"no Graphviz; \.html needs none"):
        drawing.save(tmp_path / "a.svg")
    assert drawing._repr_svg_() is None
    assert drawing._repr_html_().startswith('<iframe srcdoc="&lt;!doctype html&gt;')


def test_stages_of_a_tensor_can_be_drawn():
    x = Tensor(np.ones((16, 24), np.float32))
    y = (x @ x.T).softmax()
    stage = data(y.graph("kernels"))
    record = stage["compilations"][0]["record"]
    assert len(record["kernels"]) == 2
    assert "dot_16x16" in y.graph("kernels").dot
    assert y.graph().dot == y.graph("graph").dot != y.graph("simplify").dot
    with pytest.raises(ValueError, match="graph: 'fast' is none of the stages graph, simplify"):
        y.graph("fast")
    assert y.storage is None  # nothing was computed


def test_view_runs_a_program_and_writes_its_report(tmp_path, capfd):
    script = tmp_path / "program.py"
    script.write_text(
        "import sys, helper\n"
        "from lazygrad import Tensor\n"
        "print((Tensor([1.0, 2.0]).realize() * float(sys.argv[1]) * helper.two).tolist())\n"
        "sys.exit(3)\n"
    )
    (tmp_path / "helper.py").write_text("two = 2\n")
    command = [sys.executable, "-m", "lazygrad.view", "--no-open", "--folder", tmp_path / "out"]
    done = subprocess.run([*command, script, "5"], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stdout == "[10.0, 20.0]\n"
    assert f"report: {tmp_path / 'out' / 'index.html'}" in done.stderr
    assert str(script) in str(report(tmp_path / "out"))


def test_view_names_a_program_that_is_not_there(tmp_path: Path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path / "absent.py")])
    assert "there is no file" in capsys.readouterr().err


def test_random_weights_and_random_bits_are_one_box_each():
    layer = lazygrad.nn.Linear(3, 2)
    x = Tensor(np.ones((4, 3), np.float32))
    y = lazygrad.nn.functional.dropout(layer(x), 0.5)
    drawing = lazygrad.draw(y, x=x, w=layer.weight, b=layer.bias)
    random = [node for node in nodes(drawing) if node["op"] == "random"]
    assert [node.get("name") for node in random] == [None, "w", "b"]  # None: the bits of dropout
    assert all(node["in"] == [] and node["role"] == "input" for node in random)
    assert "randombits" not in {node["op"] for node in nodes(drawing)}
    assert drawing.dot.count("shape=cylinder") == 4
    assert random[2]["notes"][0] == f"value [{', '.join(f'{v:.4g}' for v in layer.bias.tolist())}]"


def test_a_detached_layer_is_still_drawn():
    layer = lazygrad.nn.Linear(3, 2)
    drawing = lazygrad.draw(layer(Tensor(np.ones((4, 3), np.float32))).detach() * 2)
    assert "sum over axis 2" in {node["text"] for node in nodes(drawing)}


def test_a_name_of_no_part_of_the_picture_is_warned_of(neuron):
    with pytest.warns(UserWarning, match="draw: other is no part of what is drawn") as told:
        lazygrad.draw(neuron["o"], x=neuron["x"], other=Tensor([1.0, 2.0]))
    assert len(told) == 1
    assert told[0].filename == __file__


def test_a_large_picture_says_how_to_fold_it_by_layers() -> None:
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(20)))
    text = repr(lazygrad.draw(model(Tensor.ones(1, 4))))
    assert "made with ORIGINS=1, it is folded by layers" in text
    with config.override(ORIGINS=1):
        drawing = lazygrad.draw(model(Tensor.ones(2, 4)))
    assert "ORIGINS" not in repr(drawing)
    assert {"0.weight", "19.bias"} <= {node.get("name") for node in nodes(drawing)}
