"""Each variable: its default, what it takes, and one clear line for what it does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lazygrad import config
from lazygrad.errors import ConfigError

PACKAGE = Path(config.__file__).parent


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable set, and nothing read yet; afterwards, the real environment is read again."""
    for name in config.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    config.reload()
    yield
    config.reload()


def test_defaults() -> None:
    assert config.BACKEND == "CPU"
    assert config.DEBUG == 0
    assert config.DUMP is None
    assert config.LAZYGRAD_DATA is None
    assert config.LAZYGRAD_CACHE.name == "lazygrad"
    assert 1 <= config.THREADS <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("BACKEND", "CPU", "CPU"),
        ("BACKEND", "gpu", "GPU"),
        ("THREADS", "1", 1),
        ("THREADS", "64", 64),
        ("DEBUG", "4", 4),
        ("DEBUG", "", 0),
        ("DUMP", "", None),
    ],
)
def test_valid(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object) -> None:
    monkeypatch.setenv(name, text)
    read = getattr(config, name)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("BACKEND", "TPU", "BACKEND=TPU: valid is CPU or GPU"),
        ("THREADS", "many", "THREADS=many: valid is a whole number, 1 or more"),
        ("THREADS", "0", "THREADS=0: valid is a whole number, 1 or more"),
        ("THREADS", "1.5", "THREADS=1.5: valid is a whole number, 1 or more"),
        ("DEBUG", "5", "DEBUG=5: valid is 0, 1, 2, 3 or 4"),
        ("DEBUG", "-1", "DEBUG=-1: valid is 0, 1, 2, 3 or 4"),
        ("LAZYGRAD_DATA", "/no/such", "LAZYGRAD_DATA=/no/such: valid is a folder that exists"),
    ],
)
def test_invalid(monkeypatch: pytest.MonkeyPatch, name: str, text: str, message: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        getattr(config, name)


@pytest.mark.parametrize("name", ["DUMP", "LAZYGRAD_CACHE"])
def test_folders_are_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, "new/er")
    assert getattr(config, name) == tmp_path / "new" / "er"
    assert (tmp_path / "new" / "er").is_dir()


@pytest.mark.parametrize("name", ["DUMP", "LAZYGRAD_CACHE"])
def test_a_file_is_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "below"):
        monkeypatch.setenv(name, str(path))
        with pytest.raises(ConfigError, match=rf"{name}=.*file.*: valid is a folder") as caught:
            getattr(config, name)
        assert "\n" not in str(caught.value)


def test_an_invalid_value_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG", "x")
    with pytest.raises(ConfigError):
        _ = config.DEBUG
    monkeypatch.setenv("DEBUG", "3")
    assert config.DEBUG == 3


def test_a_variable_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.DEBUG == 0
    monkeypatch.setenv("DEBUG", "2")
    assert config.DEBUG == 0
    config.reload()
    assert config.DEBUG == 2


def test_override_sets_and_restores(tmp_path: Path) -> None:
    with config.override(DEBUG=2, THREADS=3, DUMP=tmp_path / "out"):
        assert (config.DEBUG, config.THREADS, config.DUMP) == (2, 3, tmp_path / "out")
        with config.override(DEBUG=None):
            assert config.DEBUG == 0
        assert config.DEBUG == 2
    assert (config.DEBUG, config.DUMP) == (0, None)


def test_override_restores_after_an_error() -> None:
    with pytest.raises(KeyError), config.override(DEBUG=1):
        raise KeyError
    assert config.DEBUG == 0


def test_override_checks_names_and_values() -> None:
    with pytest.raises(ConfigError, match="DEBUG=9"), config.override(DEBUG=9):
        pass
    no_setting = "DEBGU is no setting: valid are BACKEND, "
    with pytest.raises(ConfigError, match=no_setting), config.override(DEBGU=1):
        pass
    assert config.DEBUG == 0


def test_an_override_wins_over_an_invalid_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADS", "x")
    with config.override(THREADS=1):
        assert config.THREADS == 1


def test_check_reads_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    config.check()
    config.reload()
    monkeypatch.setenv("THREADS", "-2")
    with pytest.raises(ConfigError, match="THREADS=-2"):
        config.check()


def test_unknown_attributes_are_errors() -> None:
    with pytest.raises(AttributeError, match="NO_SUCH"):
        _ = config.NO_SUCH  # type: ignore[attr-defined]


def test_threads_respects_affinity() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    program += "from lazygrad import config; print(config.THREADS)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "1", done.stderr


def test_every_setting_is_declared_and_explained() -> None:
    text = (PACKAGE / "config.py").read_text()
    declared = re.findall(r'^([A-Z_]+): [^=\n]+\n"""', text, flags=re.MULTILINE)
    assert declared == [name for name in declared if name in config.SETTINGS]
    assert set(declared) == set(config.SETTINGS)


def test_only_config_reads_the_environment() -> None:
    allowed = {
        "config.py",
        "backends/opencl/platforms.py",
        "helpers.py",
    }
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).as_posix() not in allowed:
            assert not re.search(r"\benviron\b|\bgetenv\b", path.read_text()), path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nan", ("nan",)),
        ("nan,bounds", ("bounds", "nan")),
        ("Bounds, NAN", ("bounds", "nan")),
        ("", ()),
    ],
)
def test_check_is_a_set_of_words(
    monkeypatch: pytest.MonkeyPatch, text: str, value: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CHECK", text)
    assert config.CHECK == value
    with config.override(CHECK=value):
        assert config.CHECK == value


def test_check_takes_no_other_word() -> None:
    with (
        pytest.raises(ConfigError, match="CHECK=inf: valid is bounds, nan or bounds,nan"),
        config.override(CHECK="inf"),
    ):
        pass
