"""structure() abstracts buffers and tokens, and nothing else."""

import numpy as np

from lazygrad.dtypes import bfloat16, bool_, float16, float32, float64, int32
from lazygrad.graph.ir import (
    Add,
    Cast,
    Const,
    Detach,
    Gather,
    Iota,
    Mul,
    Neg,
    Pad,
    Reduce,
    Reshape,
    Slice,
    Sub,
    Token,
    Window,
)
from lazygrad.graph.structure import structure


def key(*outputs):
    return structure(outputs)[0]


def test_graphs_that_differ_in_buffers_only_have_one_key_and_buffers_in_the_same_places(leaf):
    a, b, c, d = (leaf([float(i)]) for i in range(4))
    first, leaves = structure([Add(a, Mul(a, b))])
    second, others = structure([Add(c, Mul(c, d))])
    assert first == second
    assert hash(first) == hash(second)
    places = dict(zip(leaves, others, strict=True))
    assert places == {a: c, b: d}


def test_which_buffer_stands_where_matters(leaf):
    a, b = leaf([1.0]), leaf([2.0])
    assert key(Sub(a, b)) != key(Sub(a, a))
    assert key(Sub(a, b)) == key(Sub(b, a))
    assert key(Sub(a, b), Neg(a)) != key(Sub(a, b), Neg(b))


def test_a_buffers_shape_dtype_and_device_matter(leaf):
    one = key(Neg(leaf([1.0])))
    assert one == key(Neg(leaf([2.0])))
    assert one != key(Neg(leaf([1.0, 2.0])))
    assert one != key(Neg(leaf([1.0], float32)))
    assert one != key(Neg(leaf([1.0], device="GPU")))


def test_every_field_matters(leaf):
    x = leaf(np.ones((4, 4)))
    index = Iota(4)
    different = [
        Neg(x), Reduce(x, "sum", (0,)), Reduce(x, "max", (0,)), Reduce(x, "sum", (1,)),
        Reshape(x, (2, 8)), Reshape(x, (8, 2)), Cast(x, float32), Cast(x, float16),
        Cast(x, bfloat16), Slice(x, (0, 0), (2, 2), (1, 1)), Slice(x, (1, 0), (2, 2), (1, 1)),
        Pad(x, ((0, 1), (0, 0)), 0.0), Pad(x, ((0, 1), (0, 0)), -0.0), Window(x, 0, 2),
        Window(x, 0, 2, 2), Gather(x, (index, index)), Const(0.0, float64), Const(-0.0, float64),
        Const(1.0, float64), Const(1, int32), Const(True, bool_), Const(1, int32, (2,)),
        Iota(3), Iota(3, int32),
    ]  # fmt: skip
    assert len({key(node) for node in different}) == len(different)


def test_nan_is_itself():
    assert key(Const(float("nan"), float32)) == key(Const(float("nan"), float32))


def test_order_and_repetition_of_outputs_matter(leaf):
    x = leaf([1.0])
    y, z = Neg(x), Add(x, x)
    assert len({key(y, z), key(z, y), key(y), key(y, y)}) == 4


def test_sharing_matters(leaf):
    x = leaf([1.0])
    first, second = Detach(x, Token()), Detach(x, Token())
    assert key(Add(first, first)) != key(Add(first, second))
    assert key(Add(first, second)) == key(Add(Detach(x, Token()), Detach(x, Token())))


def test_a_chain_of_100_000_nodes_has_a_key(deep):
    _, y = deep
    assert len(key(y)) == 100_003  # the nodes, two leaves, and which are outputs
