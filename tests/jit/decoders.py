"""A decoder with a cache, and whether a captured step of it gives the tokens of the step as it
stands."""

from __future__ import annotations

from io import StringIO

import lazygrad
from lazygrad import Tensor, cat, jit, nn
from lazygrad.nn import functional as F

STEPS = 150  # beyond the first bound, 128
FEW = 20  # captures of a function that is served
D, HEADS = 16, 2


class Decoder(nn.Module):
    """One layer of attention; `embed` tells a token's position in its own way."""

    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(32, D), nn.Embedding(512, D)
        self.qkv, self.out = nn.Linear(D, 3 * D), nn.Linear(D, 32)
        self.memory = [Tensor.zeros(1, HEADS, 512, D // HEADS).contiguous() for _ in "kv"]
        Tensor.realize(*self.memory)

    def split(self, h):
        n = h.shape[1]
        return self.qkv(h).reshape(1, n, 3, HEADS, D // HEADS).permute(2, 0, 3, 1, 4).unbind(0)

    def next(self, h, q, k, v, is_causal=False):
        y = F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)
        h = h + y.transpose(1, 2).reshape(1, -1, D)
        return self.out(h[:, -1:]).argmax(-1)

    def cached(self, x, pos, cache):
        h = self.tokens(x) + self.places(Tensor.arange(pos, pos + 1))
        q, k, v = self.split(h)
        if cache is not None:
            k, v = cat((cache[0], k), 2), cat((cache[1], v), 2)
        return self.next(h, q, k, v), (k, v)


def check(run, step, few=FEW):
    """Whether a captured step gives the tokens that it gives as it stands, but seldom runs."""
    Tensor.manual_seed(0)
    model = Decoder()
    runs = StringIO()

    def marked(*args, **kwargs):
        runs.write(".")
        return step(model)(*args, **kwargs)

    with lazygrad.no_grad():
        expected = list(run(model, step(model)))
        found = list(run(model, jit(marked)))
    assert found == expected
    assert len(set(found)) > 2
    assert len(runs.getvalue()) <= few
