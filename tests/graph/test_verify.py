"""verify() accepts what constructors make, and names the node that something tampered with."""

import pytest

from lazygrad.dtypes import float32, int64
from lazygrad.errors import CompilerError
from lazygrad.graph.ir import Add, Cast, Const, Detach, Exp, Expand, Gather, Neg, Reshape, Token
from lazygrad.graph.verify import verify


def tampered(node, **fields):
    """A new node whose fields were changed behind its back."""
    for name, value in fields.items():
        object.__setattr__(node, name, value)
    return node


def test_what_constructors_make_is_legal(leaf):
    x = leaf([[1.0, 2.0]])
    index = Const(0, int64, (3,))
    verify([Add(x, Neg(x)), Gather(x, (index, index)), Detach(x, Token()), Const(1, float32)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: tampered(Neg(x), shape=(3,)), r"neg.*its shape is \(3,\)"),
        (lambda x: tampered(Neg(x), dtype=int64), "neg.*its dtype is int64"),
        (lambda x: tampered(Neg(x), device="GPU"), "neg.*its device is GPU"),
        (lambda x: tampered(Neg(x), inputs=()), "neg.*its inputs are"),
        (lambda x: tampered(Reshape(x, (2, 1)), shape_=(5,)), "reshape.*has 2 elements"),
        (lambda x: tampered(Cast(x, float32), x=Exp(x), inputs=(Exp(x),)), "cast.*same fields"),
        (lambda x: Expand(Reshape(x, (1, 2)), (2.0, 2)), "expand.*no size"),
    ],
)
def test_a_node_that_was_tampered_with_is_named(leaf, make, message):
    x = leaf([1.0, 2.0])
    node = make(x)
    with pytest.raises(CompilerError, match=message):
        verify([Neg(node)])
