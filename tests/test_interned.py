"""Interned objects: one a value, immutable, forgotten when nothing refers to them."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from lazygrad.interned import Interned


class Shape(Interned):
    __slots__ = ("area",)
    _derived = ("area",)
    area: float


class Box(Shape):
    width: float
    height: float = 1.0

    def _derive(self) -> tuple[float]:
        if self.width < 0:
            raise ValueError("a box has no negative width")
        return (self.width * self.height,)


class Titled(Box):
    title: str = "box"


class Plain(Box):
    """A subclass without fields of its own."""


def test_equal_fields_are_one_object_however_they_are_written() -> None:
    box: Any = Box(2.0, 1.0)
    assert box is Box(2.0) is Box(2.0, height=1.0) is Box(height=1.0, width=2.0)
    assert box is not Box(2.0, 3.0)
    assert box is not Plain(2.0)
    assert box.area == 2.0


def test_fields_are_inherited_first() -> None:
    assert Titled(2.0, 3.0, "x").title == "x"
    match Titled(2.0, 3.0, "x"):
        case Titled(width, height, title):
            assert (width, height, title) == (2.0, 3.0, "x")
    assert Plain(4.0).height == 1.0
    assert Titled(4.0).height == 1.0


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1.0, 2.0, 3.0), {}), ((1.0,), {"depth": 2.0}), ((1.0,), {"width": 2.0})],
    ids=["too few", "too many", "unknown", "twice"],
)
def test_wrong_fields_are_refused_by_name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"Box\(width, height\) cannot be made of"):
        Box(*args, **kwargs)


def test_what_cannot_be_derived_is_not_kept() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="negative width"):
            Box(-1.0)


def test_they_are_immutable() -> None:
    box: Any = Box(2.0)
    with pytest.raises(AttributeError, match="Box is immutable: width cannot be set"):
        box.width = 3.0
    with pytest.raises(AttributeError, match="Box is immutable: area cannot be deleted"):
        del box.area
    with pytest.raises(AttributeError):
        box.unknown = 1
    assert not hasattr(box, "__dict__")


def test_they_live_as_long_as_something_refers_to_them() -> None:
    box = Box(5.0, 7.0)
    seen = weakref.ref(box)
    del box
    gc.collect()
    assert seen() is None
