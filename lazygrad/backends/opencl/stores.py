"""Stores and accumulations, with their guards."""

from __future__ import annotations

from contextlib import nullcontext

from ...dtypes import DType, int64
from ...expr import COMBINE, Literal, Load, Op
from ...loops.ir import Accumulate, Store
from .accesses import Place, constant_place, load, load_variables, store
from .expressions import Expressions
from .source import Term
from .types import pieces, register_type
from .values import Value, plus


class Stores:
    """Writes the statements that change arrays."""

    def __init__(self, expressions: Expressions) -> None:
        self.expressions = expressions
        self.source = expressions.source
        self.operations = expressions.operations

    def emit(self, stmt: Store | Accumulate) -> None:
        """The statement. A scalar guard is tested before anything else is computed."""
        guard = None
        if stmt.guard is not None:
            self.expressions.begin((stmt.guard,))
            guard = self.expressions.value(stmt.guard)
            if guard.is_uniform and not guard.is_true:
                known = self.expressions.knowing(stmt.guard)
                with self.source.block(f"if ({guard.terms[0][0]})"), known:
                    self._write(stmt, None)
                return
        self._write(stmt, None if guard is None or guard.is_true else guard)

    def _write(self, stmt: Store | Accumulate, guard: Value | None) -> None:
        reads = (stmt.index,) if isinstance(stmt, Accumulate) else ()
        self.expressions.begin((stmt.value,), (stmt.index, *reads))
        place = self.expressions.places[stmt.array]
        lanes = max(stmt.index.lanes, stmt.value.lanes, 1 if guard is None else guard.lanes)
        if place.unit:
            self._write_variables(stmt, place, lanes, guard)
            return
        index = self.expressions.value(stmt.index)
        consecutive = index.lanes == 1 or index.step == 1
        if guard is None and consecutive:
            self._write_consecutive(stmt, place, index, lanes)
        else:
            self._write_lanes(stmt, place, index, lanes, guard)

    def _new_value(self, stmt: Store | Accumulate, old: Value | None) -> Value:
        """What is to be stored where `old` is now; the sum of a product is rounded once."""
        if old is None or isinstance(stmt, Store):
            return self._fitted(self.expressions.value(stmt.value), stmt.array.dtype)
        value, dtype = stmt.value, stmt.array.dtype
        if stmt.op == "sum" and dtype.is_float and isinstance(value, Op) and value.op == "mul":
            x, y = (self.expressions.value(arg) for arg in value.args)
            fused = "multiply_add" if self.source.facts.contract else "fma"
            return self.operations.apply(fused, dtype, [x, y, old], value)
        new, op = self.expressions.value(value), COMBINE[stmt.op]
        plain = Op(op, (old.plain, new.plain))
        return self._fitted(self.operations.apply(op, dtype, [old, new], plain), dtype)

    def _fitted(self, value: Value, dtype: DType) -> Value:
        """An index as the long that memory has; C does that by itself for scalars."""
        return self.operations.widened(value) if dtype == int64 and value.lanes > 1 else value

    def _old(self, stmt: Store | Accumulate, terms: list[Term], lanes: int) -> Value | None:
        """The Value of what is there, `terms`; None where it does not matter."""
        if isinstance(stmt, Store):
            return None
        element = register_type(stmt.array.dtype, self.source.facts)
        plain = Load(stmt.array, stmt.index)
        return Value(tuple(terms), element, lanes, plain, 0 if lanes == 1 else None)

    def _write_consecutive(
        self, stmt: Store | Accumulate, place: Place, index: Value, lanes: int
    ) -> None:
        positions = self.expressions.positions(index, lanes)
        old = None
        if isinstance(stmt, Accumulate):
            old = self._old(stmt, self.expressions.load_at(place, positions), lanes)
        new = self._new_value(stmt, old).spread(lanes)
        for (at, width, aligned), term in zip(positions, new, strict=True):
            self.source.line(store(self.source, place, at, width, aligned, term))

    def _write_lanes(
        self, stmt: Store | Accumulate, place: Place, index: Value, lanes: int, guard: Value | None
    ) -> None:
        """Lane by lane: places that are apart, or switched off."""
        index = self.expressions.name(index)
        value = self.expressions.value(stmt.value)
        value = value if value.is_uniform and lanes == 1 else self.expressions.name(value)
        guard = None if guard is None else self.expressions.name(guard)
        together = index.lanes == 1 and value.lanes > 1
        for k in range(lanes):
            at = plus(index.lane(0), k) if together else index.lane(k)
            single = Value((value.lane(k),), value.element, 1, Load(stmt.array, Literal(0)), 0)
            block = self.source.block(f"if ({guard.lane(k)[0]})") if guard else nullcontext()
            with block:
                self.source.line(self._write_one(stmt, place, at, single))

    def _write_one(self, stmt: Store | Accumulate, place: Place, at: Term, value: Value) -> str:
        if isinstance(stmt, Accumulate):
            old = self._old(stmt, [load(self.source, place, at, 1, False)], 1)
            assert old is not None
            op, plain = COMBINE[stmt.op], Op(COMBINE[stmt.op], (old.plain, value.plain))
            value = self.operations.apply(op, place.dtype, [old, value], plain)
        return store(self.source, place, at, 1, False, value.terms[0])

    def _write_variables(
        self, stmt: Store | Accumulate, place: Place, lanes: int, guard: Value | None
    ) -> None:
        start = constant_place(stmt.index, lanes)
        assert start is not None
        terms = load_variables(place, start, lanes)
        element = register_type(place.dtype, self.source.facts)
        plain = Load(stmt.array, stmt.index)
        old = Value(tuple(terms), element, lanes, plain, 0 if lanes == 1 else None)
        new = self._new_value(stmt, old)
        if guard is not None:
            new = self.operations.apply("where", place.dtype, [guard, new, old], plain)
        if place.unit < lanes:
            new = self.expressions.name(new)
        if {place.unit} == set(pieces(lanes)):
            for n, (text, _) in enumerate(new.spread(lanes)):
                self.source.line(f"{place.variable(start + n * place.unit)} = {text};")
            return
        for k in range(lanes):
            self.source.line(f"{place.variable(start + k)} = {new.lane(k)[0]};")
