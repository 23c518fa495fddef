"""Families of graphs: what differs in one size, and what keeps a graph at its size."""

from __future__ import annotations

import struct

from lazygrad.graph.at_bound import AtBound
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Exp, Iota, Mul, Neg, Node, Pad, Reduce, Slice, Window
from lazygrad.graph.lines import Fit, Line, Quotient, Whole, function_of_size, positive_at
from lazygrad.graph.sizes import Family, Sample
from lazygrad.graph.structure import Walk
from lazygrad.rewrite import Rules, rewrite

N = Line(1, 0)


def sample(node: Node) -> tuple[Sample, list[Node]]:
    walked = Walk()
    walked.walk([node])
    nodes = list(walked.number)
    return Sample(walked.key([node]), nodes), nodes


def family(build, *sizes: int) -> Family:
    first, second = (sample(build(n))[0] for n in sizes[:2])
    assert first.form == second.form
    return Family(first, second)


def test_integers_of_a_family_are_on_lines(leaf):
    def build(n):
        return Pad(Exp(leaf([[1.0] * 3] * n)), ((0, 0), (n + 2, 2 * n)))

    found = family(build, 5, 7)
    assert found.shapes[-1] == (N, Line(3, 5))
    assert found.structure.sizes_of(sample(build(11))[0].fields) == (11,)


def test_a_graph_off_the_lines_is_of_no_family(leaf):
    def build(n, width):
        return Pad(Exp(leaf([1.0] * n)), ((0, width),))

    found = Family(sample(build(5, 5))[0], sample(build(7, 7))[0])
    assert found.structure.sizes_of(sample(build(9, 9))[0].fields) == (9,)
    assert found.structure.sizes_of(sample(build(9, 8))[0].fields) is None


def test_a_size_that_no_input_has():
    found = family(lambda n: Neg(Iota(n)), 4, 5)
    assert found.structure.sizes_of(sample(Neg(Iota(9)))[0].fields) == (9,)


def test_a_sum_leaves_out_what_lies_beyond_the_size(leaf):
    def build(n):
        x = leaf([float(k) for k in range(n)])
        return Reduce(Mul(x, x), "sum", (0,))

    first, second = build(3), build(4)
    found = Family(sample(first)[0], sample(second)[0])
    nodes = sample(second)[1]
    made = AtBound(found, nodes, [second], 6)
    x, n = made.slots
    undefined = float("nan")
    values = {x: leaf([0.0, 1, 2, 3, undefined, undefined]), n: leaf(4, n.dtype)}
    assert evaluated(made.outputs[0], values) == 14


def test_a_slice_from_the_end_moves_with_the_size(leaf):
    def build(n):
        return Slice(leaf([float(k) for k in range(n)]), (n - 2,), (2,), (1,))

    found = Family(sample(build(4))[0], sample(build(5))[0])
    node = build(5)
    made = AtBound(found, sample(node)[1], [node], 8)
    x, n = made.slots
    values = {x: leaf([0.0, 1, 2, 3, 4, 9, 9, 9]), n: leaf(5, n.dtype)}
    assert evaluated(made.outputs[0], values) == [3, 4]


def evaluated(node: Node, values: dict[Node, Node]) -> object:
    (node,) = rewrite([node], Rules(), dict(values))
    return evaluate([node])[0].tolist()


def test_minus_zero_is_on_no_line():
    (at_four,) = function_of_size([Whole(Line(1, -4))])(4)
    assert at_four == struct.pack("<d", 0.0) != struct.pack("<d", -0.0)


def test_values_at_a_size():
    at = function_of_size([(), (2, N, "f"), Line(-3, 40), ((N,), 0.5)])
    assert at(5) == ((), (2, 5, "f"), 25, ((5,), 0.5))


def test_elements_are_counted_at_any_size(leaf):
    found = family(lambda n: Reduce(Exp(leaf([[1.0] * 3] * n)), "sum", (0,)), 4, 5)
    assert found.elements((7,)) == 7 * 3 + 7 * 3 + 3


def test_sizes_are_those_at_which_all_lines_are_positive():
    lines = [Line(slope, start) for slope in (-3, -2, 1, 2) for start in (-7, 0, 5, 11)]
    for first in lines:
        for second in lines:
            sizes = positive_at([first, second])
            for n in range(-20, 20):
                assert (n in sizes) == (first.at(n) > 0 and second.at(n) > 0)


def test_the_number_of_strided_windows_is_a_quotient(leaf):
    def build(n):
        x = Window(Exp(leaf([[1.0]] * n)), 0, 3, 2)
        return Window(Reduce(x, "sum", (2,)), 0, 2, 2)

    samples = [sample(build(n))[0] for n in (73, 25)]
    found = Family(*samples)
    assert not found.is_likely  # two graphs are few
    assert found.shapes[-1] == (Line(1, 0, Quotient(3, 4)), 1, 2) or found.shapes[-1][0].at(30) == 7
    for n in (30, 31, 32, 33, 99):
        assert found.structure.sizes_of(sample(build(n))[0].fields) == (n,)


def test_the_likely_one_of_several_lines():
    fit = Fit([(32,), (33,)])
    fit.quotient(Line(1, 0), 1, 2)
    assert fit([16, 17]) == Line(1, 0, Quotient(1, 2))  # not n - 16
    fit = Fit([(73,), (25,)])
    fit.quotient(Line(1, 0), 1, 2)
    assert fit([75, 27]) == Line(1, 2)  # not 2 * ((n + 1) // 2) + 1
    assert fit([148, 52]) == Line(4, 0, Quotient(1, 2))


def test_a_quotient_of_a_quotient():
    fit = Fit([(40,), (61,)])
    fit.quotient(Line(1, 0), 1, 2)
    fit.quotient(Line(1, -1, Quotient(1, 2)), 2, 2)
    values = [((n + 1) // 2 - 1 + 2) // 2 for n in (40, 61)]
    line = fit(values)
    assert [line.at(n) for n in range(20, 90)] == [((n + 1) // 2 + 1) // 2 for n in range(20, 90)]
