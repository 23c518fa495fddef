"""Names, checkpoints of every dtype, and what becomes of one when writing it goes wrong."""

from __future__ import annotations

import math
import os
import stat
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from lazygrad import Tensor, TinyJit, dtypes
from lazygrad.errors import DTypeError, ShapeError
from lazygrad.nn.state import (
    get_parameters,
    get_state_dict,
    load_state_dict,
    safe_load,
    safe_save,
)


def tensor(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


class Layer:
    def __init__(self, *weight: float) -> None:
        self.weight = tensor(*weight)
        self.bias = None
        self.size = len(weight)


class Model:
    def __init__(self) -> None:
        self.first = Layer(1, 2)
        self.layers = [Layer(3), (Layer(4), Layer(5))]
        self.named = {"a": tensor(6), 7: tensor(7)}
        self.module, self.function, self.kind = math, math.sin, Layer


# --------------------------------------------------------------------------- names


def test_names_are_the_way_to_each_tensor() -> None:
    assert list(get_state_dict(Model())) == [
        "first.weight",
        "layers.0.weight",
        "layers.1.0.weight",
        "layers.1.1.weight",
        "named.a",
        "named.7",
    ]


def test_the_tensors_are_the_models_own() -> None:
    model = Model()
    assert get_state_dict(model)["layers.1.1.weight"] is model.layers[1][1].weight  # type: ignore[index]


def test_prefix() -> None:
    assert list(get_state_dict(Layer(1), prefix="encoder.")) == ["encoder.weight"]
    assert list(get_state_dict(Layer(1), prefix="encoder")) == ["encoder.weight"]


def test_a_tensor_or_a_list_of_tensors_is_a_model() -> None:
    assert list(get_state_dict([tensor(1), tensor(2)])) == ["0", "1"]
    assert list(get_state_dict(tensor(1), prefix="w")) == ["w"]


def test_named_tuples_and_slots() -> None:
    class Slotted:
        __slots__ = ("empty", "weight")

        def __init__(self) -> None:
            self.weight = tensor(1)

    pair = namedtuple("pair", "left right")
    state = get_state_dict(pair(tensor(1), Slotted()))  # type: ignore[arg-type]
    assert list(state) == ["left", "right.weight"]


def test_a_way_back_to_the_parent_is_no_part() -> None:
    model = Model()
    model.first.parent = model  # type: ignore[attr-defined]
    assert len(get_state_dict(model)) == 6


def test_a_captured_function_is_no_part() -> None:
    layer = Layer(1, 2)
    layer.double = TinyJit(lambda x: x * layer.weight)  # type: ignore[attr-defined]
    for _ in range(3):
        layer.double(tensor(1, 2))  # type: ignore[attr-defined]
    assert list(get_state_dict(layer)) == ["weight"]


def test_shared_tensors_have_two_names_and_are_one_parameter() -> None:
    model = Model()
    model.tied = model.first  # type: ignore[attr-defined]
    assert len(get_state_dict(model)) == 7
    assert len(get_parameters(model)) == 6


def test_a_deep_model_needs_no_deep_stack() -> None:
    model: Any = Layer(1)
    for _ in range(3000):
        model = [model]
    assert len(get_parameters(model)) == 1


# --------------------------------------------------------------------------- loading into a model


def test_load_state_dict_gives_values() -> None:
    source, target = Model(), Model()
    source.layers[1][0].weight.assign(np.array([40], np.float32))  # type: ignore[index]
    held = target.first.weight
    load_state_dict(target, get_state_dict(source))
    assert target.layers[1][0].weight.tolist() == [40]  # type: ignore[index]
    assert target.first.weight is held


def test_load_state_dict_casts_and_takes_numpy() -> None:
    layer = Layer(1, 2)
    load_state_dict(layer, {"weight": np.array([3, 4], np.float64)})
    assert layer.weight.dtype == dtypes.float32
    assert layer.weight.tolist() == [3, 4]


def test_names_that_differ_are_listed_and_nothing_is_loaded() -> None:
    model = Model()
    state = {**get_state_dict(Model()), "extra": tensor(0), "first.weight": tensor(8, 9)}
    del state["named.a"]
    with pytest.raises(ValueError, match=r"missing: named\.a; unexpected: extra$"):
        load_state_dict(model, state)
    assert model.first.weight.tolist() == [1, 2]
    load_state_dict(model, state, strict=False)
    assert model.first.weight.tolist() == [8, 9]


def test_shapes_that_differ_are_listed_and_nothing_is_loaded() -> None:
    model = Model()
    state = get_state_dict(Model())
    state |= {"first.weight": tensor(1), "named.7": tensor(1, 2), "named.a": tensor(0)}
    message = (
        r"first\.weight is \(2,\) in the model and \(1,\) in the state; "
        r"named\.7 is \(1,\) in the model and \(2,\) in the state$"
    )
    for strict in (True, False):
        with pytest.raises(ShapeError, match=message):
            load_state_dict(model, state, strict)
    assert model.named["a"].tolist() == [6]


# --------------------------------------------------------------------------- files


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)], ids=str)
def test_every_dtype_survives_a_file(
    tmp_path: Path, dtype: dtypes.DType, shape: tuple[int, ...]
) -> None:
    values = np.arange(math.prod(shape)).reshape(shape).astype(dtype.numpy)
    safe_save({"x": Tensor(values)}, tmp_path / "x.safetensors")
    loaded = safe_load(tmp_path / "x.safetensors")["x"]
    assert (loaded.dtype, loaded.shape) == (dtype, shape)
    np.testing.assert_array_equal(loaded.numpy(), values)


def test_bits_survive_a_file(tmp_path: Path) -> None:
    bits = np.array([0x7FC1, 0x8000, 0xFF80, 0x0001], np.uint16)
    safe_save({"x": Tensor(bits.view(ml_dtypes.bfloat16))}, tmp_path / "x")
    np.testing.assert_array_equal(safe_load(tmp_path / "x")["x"].numpy().view(np.uint16), bits)


def test_files_are_readable_by_safetensors(tmp_path: Path) -> None:
    from safetensors import safe_open

    safe_save(get_state_dict(Model()), tmp_path / "model", metadata={"made by": "a test"})
    with safe_open(str(tmp_path / "model"), framework="numpy") as file:
        assert file.metadata() == {"made by": "a test"}
        assert file.get_tensor("first.weight").tolist() == [1, 2]


def test_a_model_survives_a_file(tmp_path: Path) -> None:
    safe_save(get_state_dict(Model()), tmp_path / "model")
    other = Model()
    other.first.weight.assign(np.zeros(2, np.float32))
    load_state_dict(other, safe_load(tmp_path / "model"))
    assert other.first.weight.tolist() == [1, 2]


def test_no_tensors_is_a_file_too(tmp_path: Path) -> None:
    safe_save({}, tmp_path / "none")
    assert safe_load(tmp_path / "none") == {}


def test_every_truncation_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safe_save({"x": tensor(1, 2, 3)}, path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"model\.safetensors is no whole safetensors file"):
            safe_load(path)


def test_unsupported_types_are_named(tmp_path: Path) -> None:
    header = b'{"x":{"dtype":"F8_E5M2","shape":[1],"data_offsets":[0,1]}}'
    (tmp_path / "f8").write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(DTypeError, match="f8: x is of type F8_E5M2, unsupported"):
        safe_load(tmp_path / "f8")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        safe_load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no_folder"):
        safe_save({"x": tensor(1)}, tmp_path / "no_folder" / "x")


def test_a_link_and_permissions_are_kept(tmp_path: Path) -> None:
    path, link = tmp_path / "model", tmp_path / "latest"
    path.write_bytes(b"")
    path.chmod(0o640)
    link.symlink_to(path)
    safe_save({"x": tensor(1)}, link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert safe_load(path)["x"].tolist() == [1]


def test_a_new_file_has_a_new_files_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    safe_save({"x": tensor(1)}, tmp_path / "x")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode


# --------------------------------------------------------------------------- interrupted writing


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str
) -> None:
    path = tmp_path / "model"
    safe_save({"x": tensor(1)}, path)

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="the disk is full"):
        safe_save({"x": tensor(2)}, path)
    monkeypatch.undo()
    assert safe_load(path)["x"].tolist() == [1]
    assert os.listdir(tmp_path) == ["model"]


def test_the_file_is_on_disk_before_it_takes_the_old_ones_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (steps.append("replace"), replace(a, b)))
    safe_save({"x": tensor(1)}, tmp_path / "model")
    assert steps == ["fsync", "replace", "fsync"]


KILLED_WHILE_SAVING = """
import sys, numpy as np
from lazygrad import Tensor
from lazygrad.nn.state import safe_save
for value in range(10**6):
    safe_save({"x": Tensor(np.full(1 << 20, value, np.float32))}, sys.argv[1])
    print(value, flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_time_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for wait_ms in range(0, 40, 4):
        command = [sys.executable, "-c", KILLED_WHILE_SAVING, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(wait_ms / 1000)
            process.kill()
        values = safe_load(path)["x"].numpy()
        assert (values == values[0]).all()
