"""C as text: indented lines, names that clash with nothing, terms with few parentheses.

A Term is a C expression with its binding strength, so that parentheses stand only where C needs
them: `binary("*", MULTIPLY, ("a + b", ADD), ("c", ATOM))  ->  ("(a + b) * c", MULTIPLY)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

Term = tuple[str, int]  # text and level

# Binding strengths, from C's table of operators.
CONDITIONAL, LOGICAL_OR, LOGICAL_AND, BIT_OR, BIT_XOR, BIT_AND = 3, 4, 5, 6, 7, 8
EQUALITY, RELATION, SHIFT, ADD, MULTIPLY, UNARY, ATOM = 9, 10, 11, 12, 13, 14, 15


def paren(term: Term, level: int) -> str:
    """The text, in parentheses where it binds less than `level`."""
    return term[0] if term[1] >= level else f"({term[0]})"


def binary(sign: str, level: int, x: Term, y: Term) -> Term:
    """x sign y. Bit operations get the parentheses that compilers warn about without."""
    strict = BIT_OR <= level <= BIT_AND or level == SHIFT
    left = UNARY if strict and x[1] != level else level
    return f"{paren(x, left)} {sign} {paren(y, UNARY if strict else level + 1)}", level


def call(name: str, *terms: Term) -> Term:
    """name(x, y)."""
    return f"{name}({', '.join(text for text, _ in terms)})", ATOM


def cast(type_: str, x: Term) -> Term:
    """(type)x; of a scalar to a vector type, x in every lane."""
    if type_[-1].isdigit():
        return f"({type_})({x[0]})", UNARY
    return f"({type_}){paren(x, UNARY)}", UNARY


def unary(sign: str, x: Term) -> Term:
    """sign x."""
    return f"{sign}{paren(x, ATOM)}", UNARY


def conditional(condition: Term, x: Term, y: Term) -> Term:
    """condition ? x : y."""
    above = CONDITIONAL + 1
    return f"{paren(condition, above)} ? {paren(x, above)} : {paren(y, above)}", CONDITIONAL


# Names that C, OpenCL C or the helper functions have taken: types, keywords, macros, builtins.
_WORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while bool half uchar ushort uint ulong size_t ptrdiff_t true false
    kernel global local constant private read_only write_only read_write event_t sampler_t quad
    complex imaginary image2d_t image3d_t pipe main NAN INFINITY MAXFLOAT HUGE_VAL M_PI M_E
    abs all any barrier cbrt ceil clamp copysign cos cosh cross degrees distance dot erf erfc exp
    exp10 exp2 expm1 fabs fdim floor fma fmax fmin fmod fract frexp hypot ilogb isfinite isinf
    isnan ldexp length lgamma log log10 log1p log2 mad mad24 max min mix mod modf mul24 mul_hi
    normalize pow pown powr prefetch printf radians remainder rint rootn rotate round rsqrt
    select shuffle sign signbit sin sincos sinh sqrt step tan tanh tgamma trunc upsample vec_step
    class const_cast delete explicit friend new operator private protected public template this
    throw try typename using virtual device thread threadgroup metal group_id group_count item_id
    blockIdx blockDim gridDim threadIdx
    acos asin atan atan2 bitselect hadd rhadd popcount item
"""
_RESERVED = frozenset(_WORDS.split())
_RESERVED_LIKE = re.compile(
    r"(u?(char|short|int|long)|float|double|half|bool)\d+|(as|convert|vload|vstore|get|atom|atomic)_.*"
    r"|vloada?_.*|vstorea?_.*|(cl|CL|CLK|INT|LONG|M)_.*|__.*|tmp\d+"
)


class Text:
    """The body of one function as it grows."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._indent = 1
        self._scopes: list[set[str]] = [set()]
        self._temporaries = 0

    def line(self, text: str) -> None:
        """One line at the current depth."""
        self.lines.append("    " * self._indent + text)

    @contextmanager
    def block(self, head: str = "") -> Iterator[None]:
        """`head { ... }`: lines within are deeper, names within end with it."""
        self.line(f"{head} {{" if head else "{")
        self._indent += 1
        self._scopes.append(set())
        yield
        self._scopes.pop()
        self._indent -= 1
        self.line("}")

    def declare(self, name: str, parts: int = 0) -> str:
        """A C identifier for `name` that means nothing else where it is visible.

        With `parts`, neither does any of identifier_0, identifier_1 and so on.
        """
        base = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
        if base[0].isdigit() or base in _RESERVED or _RESERVED_LIKE.fullmatch(base):
            base = f"v_{base}"
        found, n = base, 1
        while not self._is_free(taken := {found, *(f"{found}_{part}" for part in range(parts))}):
            n += 1
            found = f"{base}_{n}"
        self._scopes[-1] |= taken
        return found

    def _is_free(self, names: set[str]) -> bool:
        return all(names.isdisjoint(scope) for scope in self._scopes)

    def named(self, x: Term, type_: str) -> str:
        """The name of a constant that holds x; x itself where it is a name or a number."""
        if re.fullmatch(r"\w+", x[0]):
            return x[0]
        name = f"tmp{self._temporaries}"
        self._temporaries += 1
        self.line(f"const {type_} {name} = {x[0]};")
        return name
