"""Reductions that are made of several, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad import Tensor

SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, 1.0, -1.0, 1e-45, -1e-45, 3e38, np.nan, -np.nan])
DTYPES = ("float32", "float16", "float64", "int8", "uint8", "int32", "uint32", "int64", "bool")


def drawn(dtype: str, shape: tuple[int, ...], values: str) -> np.ndarray:
    """Random values of a kind: any, or few that make ties and reach the dtype's ends."""
    rng = np.random.default_rng(0)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype.startswith("float"):
        if values == "any":
            return rng.standard_normal(shape).astype(dtype)
        few = {"ends": SPECIAL[:-2], "zeros": SPECIAL[:2], "nan": SPECIAL}[values]
        with np.errstate(over="ignore"):
            return rng.choice(few, shape).astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if values == "any":
        return rng.integers(low, high, shape, dtype, endpoint=True)
    return rng.choice(np.array([low, high, 0], dtype), shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((5, 3), 0), ((3, 9000), 1), ((2, 9000), None), ((3, 600, 2), 1), ((600, 7), 0)],
)
def test_places_of_extremes_near_and_far(
    dtype: str, shape: tuple[int, ...], axis: int | None
) -> None:
    for values in ("any", "ends", "zeros", "nan"):
        array = drawn(dtype, shape, values)
        for name in ("argmax", "argmin"):
            found, wanted = getattr(Tensor(array), name)(axis), getattr(array, name)(axis)
            assert str(found.dtype) == "int64"
            np.testing.assert_array_equal(found.numpy(), wanted, f"{name} of {values}")
