"""An error begins with the name of what the program called, whatever it was found in."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from docs.site import facts
from docs.site.reference import Entry, entries
from lazygrad import Tensor, linalg, nn
from lazygrad.errors import AxisError, DTypeError, KindError, OperationError, ShapeError
from tests.docstrings import computed_by_the_oracle


def f(*shape: int, dtype: str = "float32") -> Tensor:
    return Tensor.ones(*shape, dtype=dtype)


CALLS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: f(3).std(9), AxisError, "std: axis 9 is outside the 1 axes that there are"),
    (lambda: f(3).std(axis="x"), KindError, "std: an axis is an integer, not 'x'"),
    (lambda: f(3).dist(f(4)), ShapeError, "dist: shapes (3,) and (4,) do not broadcast"),
    (lambda: f(3).add_(f(4)), ShapeError, "add_: shapes (3,) and (4,) do not broadcast"),
    (lambda: f(3) + f(4), ShapeError, "add: shapes (3,) and (4,) do not broadcast"),
    (lambda: f(3).cast("x"), DTypeError, "cast: dtype 'x' is not supported"),
    (lambda: linalg.pinv(f(3)), ShapeError, "linalg.pinv: needs matrices, shape is (3,)"),
    (lambda: nn.Conv2d(3, 4, 3)(f(1, 1, 9, 9)), ShapeError, "Conv2d: input has 1 channels"),
    (lambda: nn.TransformerEncoderLayer(8, 3), ShapeError, "TransformerEncoderLayer: 3 heads do"),
    (lambda: nn.Sequential(nn.ReLU(), nn.Linear(2, 3))(f(4)), ShapeError, "Linear: input (4,)"),
]  # fmt: skip


@pytest.mark.parametrize("case", CALLS, ids=[text[:40] for _, _, text in CALLS])
def test_an_error_names_what_was_called(
    case: tuple[Callable[[], Any], type[Exception], str],
) -> None:
    call, kind, text = case
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).startswith(text)


def test_a_note_says_which_layer_of_a_model_it_was() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(4, 4), nn.Linear(3, 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x)

    with pytest.raises(ShapeError) as caught:
        Net()(f(4))
    assert caught.value.__notes__ == ["in layers.1 (Linear)"]


def test_functions_of_the_program_are_not_named() -> None:
    """The line that is wrong calls `sum`: what called the function around it does not matter."""

    def wrong(x: Tensor) -> Tensor:
        return x.sum(9)

    with pytest.raises(AxisError, match=r"^sum: axis 9"):
        f(3).sequential([wrong])
    with pytest.raises(AxisError, match=r"^sum: axis 9"):
        nn.Sequential(nn.ReLU(), wrong)(f(3))


def test_an_error_can_be_raised_and_stored_by_a_program() -> None:
    error = ShapeError("mine: no name is put in front")
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == error.args[0]
    assert error.args == ("mine: no name is put in front",)


# --------------------------------------------------------------------------- all operations


CALL_OTHERS = ("Tensor.sequential", "lazygrad.scan", "lazygrad.vmap", "transforms.jacfwd")
"""What calls functions of the program, in which an error may be."""

SIGNATURE = re.compile(
    r"unexpected keyword argument|positional argument|keyword-only|multiple values|takes no "
)
"""What Python says of a call that does not have the form of the function."""

NOT_OURS = ("lazygrad.load", "Tensor.sequential", "lazygrad.vmap")
"""A file that is not there, and functions of the program, give errors of others."""


@pytest.mark.slow
def test_errors_of_all_operations_name_what_was_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each public function, method and layer, with arguments that do not fit: an error of ours has
    the name, and no error of Python or NumPy tells of a line inside."""
    computed_by_the_oracle(monkeypatch)
    monkeypatch.chdir(tmp_path)  # for what writes files
    count, wrong = 0, []
    with Tensor.test():  # the mode that is before is again afterwards
        for entry, error in _errors():
            text = f"{entry.names[0]}: {type(error).__name__}: {error}"
            if isinstance(error, OperationError) and entry.names[0] not in CALL_OTHERS:
                count += 1
                if not _names(entry, str(error)):
                    wrong.append(text)
            elif not (isinstance(error, OperationError) or _is_fit_to_read(entry, error)):
                wrong.append(text)
    assert not wrong, "\n".join(dict.fromkeys(wrong))
    assert count > 2000


def _errors() -> Iterator[tuple[Entry, Exception]]:
    """The errors of all public names, each with a name that is called as its example does, but
    with one argument that may not fit."""
    for entry in entries():
        for call in facts.calls(entry.names, entry.value, entry.inner, entry.doc):
            for unfit in facts.unfit(call):
                try:
                    unfit()
                except Exception as error:
                    yield entry, error


def _names(entry: Entry, text: str) -> bool:
    """Whether a text begins with a name of the entry; with that of a layer, for a layer, which may
    hold others."""
    told = text.partition(":")[0].rpartition(".")[2]
    if isinstance(entry.inner, type) and issubclass(entry.inner, nn.Module) and hasattr(nn, told):
        return True
    return told.strip("_") in {name.rpartition(".")[2].strip("_") for name in entry.names}


def _is_fit_to_read(entry: Entry, error: Exception) -> bool:
    """Whether an error that is not of an operation is meant for who calls, as it is."""
    if entry.names[0] in NOT_OURS or entry.names[0].startswith("helpers."):
        return True
    return facts.is_meant(error) or bool(SIGNATURE.search(str(error)))
