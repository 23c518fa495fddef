"""Index arithmetic: the same numbers as Python's, one form for equal sums, and sound bounds."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazygrad.dtypes import bool_, int32, int64, uint8
from lazygrad.expr import (
    Array,
    Broadcast,
    Cast,
    Expr,
    Literal,
    Load,
    Op,
    Ramp,
    Var,
    rewrite,
    walk,
)
from lazygrad.index import (
    FALSE,
    TRUE,
    UNBOUNDED,
    add,
    all_of,
    at_least,
    bounds,
    equal,
    flatten,
    floordiv,
    less,
    linear,
    minimum,
    mod,
    mul,
    normalize,
    strides,
    sub,
    substitute,
    unflatten,
)

Numbers = dict[Expr, int]
VARIABLES = [Var("a", 1), Var("b", 3), Var("c", 7), Var("d", 12)]

PYTHON: dict[str, Callable[..., int]] = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y,
    "floordiv": lambda x, y: x // y, "mod": lambda x, y: x % y, "min": min, "max": max,
    "lt": lambda x, y: x < y, "eq": lambda x, y: x == y, "and": lambda x, y: x and y,
}  # fmt: skip


def value(e: Expr, numbers: Numbers) -> int:
    """An expression's value in Python's integers."""

    def visit(x: Expr, operands: tuple[int, ...]) -> int:
        if isinstance(x, Literal):
            return int(x.value)
        return numbers[x] if isinstance(x, Var) else PYTHON[x.op](*operands)  # type: ignore[attr-defined]

    return walk(e, visit)


@dataclass
class Pair:
    """An index made by the functions under test, and what it must be."""

    index: Expr
    number: Callable[[Numbers], int]

    def __repr__(self) -> str:
        return repr(self.index)


def leaf(e: Expr) -> Pair:
    return Pair(e, lambda numbers: value(e, numbers))


def combined(make: Callable[..., Expr], python: Callable[..., int]) -> Callable[[Pair, Pair], Pair]:
    """An operation on two pairs."""
    return lambda x, y: Pair(make(x.index, y.index), lambda n: python(x.number(n), y.number(n)))


def by_constant(
    make: Callable[..., Expr], python: Callable[..., int]
) -> Callable[[Pair, int], Pair]:
    """An operation on a pair and an int."""
    return lambda x, c: Pair(make(x.index, c), lambda n: python(x.number(n), c))


def extend(pairs: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    positive = st.integers(1, 13)
    return st.one_of(
        st.builds(combined(add, operator.add), pairs, pairs),
        st.builds(combined(sub, operator.sub), pairs, pairs),
        st.builds(combined(minimum, min), pairs, pairs),
        st.builds(by_constant(mul, operator.mul), pairs, st.integers(-6, 6)),
        st.builds(by_constant(floordiv, operator.floordiv), pairs, positive),
        st.builds(by_constant(mod, operator.mod), pairs, positive),
    )


leaves = st.one_of(st.sampled_from(VARIABLES), st.builds(Literal, st.integers(-9, 40))).map(leaf)
indices = st.recursive(leaves, extend, max_leaves=8)
numbers = st.fixed_dictionaries({v: st.integers(0, v.extent - 1) for v in VARIABLES})
many = settings(max_examples=300, deadline=None)


@many
@given(indices, numbers)
def test_indices_compute_what_python_does(pair: Pair, given_numbers: Numbers) -> None:
    expected = pair.number(given_numbers)
    assert value(pair.index, given_numbers) == expected
    low, high = bounds(pair.index)
    assert low <= expected <= high


@many
@given(indices, numbers)
def test_the_linear_form_is_the_index(pair: Pair, given_numbers: Numbers) -> None:
    constant, terms = linear(pair.index)
    assert constant + sum(k * value(atom, given_numbers) for atom, k in terms) == pair.number(
        given_numbers
    )
    assert len({atom for atom, _ in terms}) == len(terms)
    assert all(k for _, k in terms)


@many
@given(indices, indices, numbers)
def test_conditions_compute_what_python_does(x: Pair, y: Pair, given_numbers: Numbers) -> None:
    a, b = x.number(given_numbers), y.number(given_numbers)
    assert value(less(x.index, y.index), given_numbers) == (a < b)
    assert value(at_least(x.index, y.index), given_numbers) == (a >= b)
    assert value(equal(x.index, y.index), given_numbers) == (a == b)


@many
@given(indices, indices)
def test_equal_sums_are_one_object(x: Pair, y: Pair) -> None:
    assert add(x.index, y.index) is add(y.index, x.index)
    assert sub(add(x.index, y.index), y.index) is add(x.index, 0)
    assert add(x.index, x.index) is mul(x.index, 2)


@many
@given(indices, st.sampled_from(VARIABLES), st.integers(0, 5), numbers)
def test_substitution(pair: Pair, variable: Var, number: int, given_numbers: Numbers) -> None:
    """A number inside the variable's range, since what was simplified may rest on that range."""
    number %= variable.extent
    replaced = substitute(pair.index, {variable: Literal(number)})
    assert value(replaced, given_numbers) == pair.number({**given_numbers, variable: number})


shapes = st.lists(st.integers(1, 6), max_size=4)


@many
@given(shapes, st.data())
def test_flatten_and_unflatten_are_inverse(shape: list[int], data: st.DataObject) -> None:
    position = Var("p", math.prod(shape))
    multi = unflatten(position, shape)
    assert flatten(multi, shape) is (Literal(0) if math.prod(shape) == 1 else position)
    number = data.draw(st.integers(0, math.prod(shape) - 1))
    expected = [int(i) for i in np.unravel_index(number, shape)] if shape else []
    assert [value(i, {position: number}) for i in multi] == expected


@many
@given(st.lists(st.integers(2, 5), min_size=2, max_size=4))
def test_variables_go_through_a_reshape_and_back(shape: list[int]) -> None:
    """Merging axes into one and splitting them again leaves the variables themselves."""
    axes = [Var(f"v{n}", size) for n, size in enumerate(shape)]
    assert list(unflatten(flatten(axes, shape), shape)) == axes


i, j, p = Var("i", 10), Var("j", 4), Var("p", 120)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (floordiv(add(mul(i, 4), j), 4), i),
        (mod(add(mul(i, 4), j), 4), j),
        (add(mul(floordiv(p, 6), 6), mod(p, 6)), p),
        (floordiv(floordiv(p, 5), 4), floordiv(p, 20)),
        (mod(mod(p, 12), 4), mod(p, 4)),
        (floordiv(add(mul(i, 6), 3), 9), floordiv(add(mul(i, 2), 1), 3)),
        (less(add(Var("k", 7), 1), 8), TRUE),
        (less(i, 0), FALSE),
        (at_least(i, 0), TRUE),
        (equal(i, 10), FALSE),
        (equal(add(i, 1), add(i, 1)), TRUE),
        (minimum(j, 7), j),
        (minimum(add(i, 20), j), j),
        (mul(i, 0), Literal(0)),
    ],
    ids=repr,
)
def test_bounds_simplify(made: Expr, expected: Expr) -> None:
    assert made is expected


@pytest.mark.parametrize("step", [2, 4, 12])
def test_larger_digits_decide_alone_wherever_they_can(step: int) -> None:
    i, j = Var("i", 5), Var("j", step)  # the digits of a number
    for limit in range(1, 5 * step):
        made = less(add(mul(i, step), j), limit)
        for a, b in itertools.product(range(5), range(step)):
            assert value(made, {i: a, j: b}) == (a * step + b < limit)
        assert (made == less(i, limit // step)) == (limit % step == 0)


def test_digits_that_overlap_decide_together() -> None:
    i, j = Var("i", 5), Var("j", 6)
    for limit in range(1, 25):
        made = less(add(mul(i, 4), j), limit)
        for a, b in itertools.product(range(5), range(6)):
            assert value(made, {i: a, j: b}) == (a * 4 + b < limit)
    assert less(add(mul(i, 4), j), 8) is not less(i, 2)  # 4 + 4 is not less than 8


def test_all_of() -> None:
    a, b = less(i, 5), less(j, 2)
    assert all_of([]) is None
    assert all_of([TRUE, a, TRUE, a]) is a
    assert all_of([a, FALSE]) is FALSE
    assert all_of([a, b]) is Op("and", (a, b))


def test_strides() -> None:
    assert strides((2, 3, 4)) == (12, 4, 1)
    assert strides(()) == ()


def test_an_axis_of_no_elements() -> None:
    assert unflatten(Var("p", 0), (2, 0, 3))[1] is Literal(0)


def test_bounds_of_vectors_and_casts() -> None:
    assert bounds(Ramp(i, 3, 4)) == (0, 18)
    assert bounds(Ramp(i, -3, 4)) == (-9, 9)
    assert bounds(Broadcast(i, 4)) == (0, 9)
    assert bounds(Cast(i, int32)) == (0, 9)
    assert bounds(Cast(sub(i, 1), uint8)) == (0, 255)
    assert bounds(Load(Array("x", int64, 5), i)) == (int64.min, int64.max)
    assert bounds(Op("where", (less(i, 3), i, Literal(50)))) == (0, 50)
    assert bounds(less(i, 3)) == (0, 1)


def test_normalize_restores_the_normal_form() -> None:
    raw = Op(
        "add",
        (Op("mul", (Op("floordiv", (p, Literal(6))), Literal(6))), Op("mod", (p, Literal(6)))),
    )
    assert rewrite(raw, normalize) is p
    assert normalize(Op("lt", (i, Literal(10)))) is TRUE
    assert normalize(Op("and", (TRUE, less(i, 5)))) is less(i, 5)
    x = Array("x", int64, 10)
    assert normalize(Load(x, i, TRUE)) is Load(x, i)
    assert normalize(Op("add", (Load(Array("b", bool_, 1), i), TRUE))).dtype == bool_


def test_a_division_by_a_size_that_is_not_read_stays_as_it_is() -> None:
    """A load whose guard is false is 0, and nobody needs the result."""
    n = Load(Array("n", int64, 1), Literal(0), less(i, 5))
    quotient, remainder = Op("floordiv", (j, n)), Op("mod", (j, n))
    unread, zero = {i: Literal(7)}, Literal(0)
    assert substitute(add(remainder, j), unread) is add(Op("mod", (j, zero)), j)
    fourth = Op("floordiv", (Op("floordiv", (j, zero)), Literal(4)))
    assert substitute(Op("floordiv", (quotient, Literal(4))), unread) is fourth
    rest = Op("mod", (Op("mod", (j, zero)), Literal(4)))
    assert substitute(Op("mod", (remainder, Literal(4))), unread) is rest


def test_what_arrays_hold_is_no_index() -> None:
    """Data may be any int64, and its differences wrap: (b < a) is not (b - a < 0)."""
    a, b = Load(Array("a", int64, 10), i), Load(Array("b", int64, 10), i)
    for e in (Op("lt", (b, a)), Op("lt", (a, Literal(UNBOUNDED + 10))), Op("eq", (a, b))):
        assert normalize(e) is e
    third = Op("floordiv", (Op("mul", (a, Literal(3))), Literal(3)))
    assert normalize(third) is third


def test_the_range_of_loaded_numbers_is_tested_without_arithmetic_that_may_wrap() -> None:
    """-(-2**63) is -2**63, so that 0 <= a must not become -a < 1."""
    a, b = Load(Array("a", int64, 10), i), Load(Array("b", int64, 10), i)
    assert at_least(a, 0) is Op("lt", (Literal(-1), a))
    assert less(a, 8) is Op("lt", (a, Literal(8)))
    assert less(a, b) is Op("lt", (a, b))
    assert less(add(a, 5), 8) is Op("lt", (add(a, 5), Literal(8)))
    assert at_least(Cast(Load(Array("c", uint8, 10), i), int64), 0) is TRUE
    assert less(Cast(Load(Array("c", int32, 10), i), int64), 1 << 31) is TRUE


@pytest.mark.parametrize("shift", [-3, 0, 1, 5])
def test_a_quotient_and_its_remainder_are_one_again(shift: int) -> None:
    p = add(VARIABLES[3], shift)
    assert add(mul(floordiv(p, 2), 228), mul(mod(p, 2), 114)) is mul(p, 114)
    assert add(mul(floordiv(p, 4), 4), mod(p, 4), VARIABLES[2], 7) is add(p, VARIABLES[2], 7)
