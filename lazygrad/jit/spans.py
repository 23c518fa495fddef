"""The captures of a function that serve other sizes: spans of one size (between.py), areas of two
(area.py)."""

from __future__ import annotations

from collections.abc import Hashable

from ..cache import remember
from ..graph.sizes import masked
from .area import Area
from .between import AtSize, Span
from .replay import Replay

MAX_SPANS = 64  # of one function: forms of arguments
MAX_OF_A_FORM = 8


class Spans:
    """The spans and areas of a function, by the form of its arguments."""

    def __init__(self) -> None:
        self._spans: dict[Hashable, list[Span | Area]] = {}  # last used first
        self._last: Span | Area | None = None  # the one that was asked last

    def add(self, new: AtSize) -> Span | Area | None:
        """Note the first capture for arguments of its kind. Returns the span that it is in."""
        form = masked(new.kind)
        spans = self._spans.get(form, [])
        for span in spans:
            if span.takes(new):
                _to_front(spans, span)
                return span
        if not new.may_be_served:  # the first captures of a form have plans of their own
            return None
        made: Span | Area = Span(new)
        if made.serves_two and any(span.serves_two for span in spans):
            made = Area(new)  # the sizes do not vary one at a time
        self._last = None
        remember(self._spans, form, [made, *spans][:MAX_OF_A_FORM], MAX_SPANS)
        return made

    def are_growing(self, kind: Hashable) -> bool:
        """Whether one more capture, for arguments of this kind, may lead to one ahead of the
        calls."""
        return any(span.is_growing for span in self._spans.get(masked(kind), ()))

    @property
    def follow_outside(self) -> bool:
        """Whether sizes outside vary in the span that was asked last."""
        return self._last is not None and not self._last.is_fixed_outside

    def replay_for(self, kind: Hashable) -> Replay | None:
        """A replay for arguments of this kind; None where the function is to be captured. It serves
        one call, where sizes outside vary (`follow_outside`)."""
        found = self._last.replay_for(kind) if self._last else None
        if found is None:
            spans = self._spans.get(masked(kind), [])
            for span in spans:
                found = span.replay_for(kind)
                if found is not None:
                    self._last = span
                    _to_front(spans, span)
                    break
        return found


def _to_front(spans: list[Span | Area], span: Span | Area) -> None:
    """Those that are not used are forgotten first: a size that is equal to another number of the
    program may lead to a capture that agrees with no other."""
    spans.remove(span)
    spans.insert(0, span)
