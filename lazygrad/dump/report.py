"""The report on all that a process compiled and ran: one page, and a trace for other viewers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from .. import config
from ..runtime.device import Device
from ..runtime.peaks import Peaks, peaks
from .page import page
from .record import Record, Sources
from .runs import Runs, now
from .trace import trace_events

REST = 10  # times as long as writing the page took, it is not written again: a crash loses little


class Report:
    """Collects compilations and their runs, and writes them to a folder."""

    def __init__(self, path: Path | None) -> None:
        """Without a path, nothing is written."""
        self.path = path
        self.began = now()
        self.sources = Sources()
        self._compilations: list[tuple[str, Record, Runs]] = []
        self._next = 0.0  # when the page may be written again, while things are compiled
        self._peaks: dict[str, Peaks] = {}  # by device, measured at the end
        self._is_open = True
        self._own = 0.0  # seconds that watching and writing have taken
        self._began_own: float | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Count the time inside as that of the report, not of the program."""
        if self._began_own is not None:  # it is counted already
            yield
            return
        self._began_own = perf_counter()
        try:
            yield
        finally:
            self._own += perf_counter() - self._began_own
            self._began_own = None

    def add(self, record: Record, runs: Runs) -> None:
        """A compilation has ended, well or not."""
        self._compilations.append((_compact(record.json()), record, runs))
        if self._is_open and perf_counter() >= self._next:
            start = perf_counter()
            self.write()
            self._next = perf_counter() + REST * (perf_counter() - start)

    def close(self) -> None:
        """Write everything; what runs later is not counted."""
        if self._is_open:
            self._is_open = False
            for _, _, runs in self._compilations:
                runs.is_open = False
            with self.at_work():
                self._peaks = {name: peaks(Device.get(name)) for name in self._devices()}
                self.write()

    def write(self) -> None:
        """Write the page and the trace. A folder that is gone is no reason to stop a program."""
        if self.path is None:
            return
        compilations = ",\n".join(
            f'{{"record": {record}, "runs": {_compact(runs.json())}}}'
            for record, _, runs in self._compilations
        )
        about = {
            **_sources(self.sources),
            "program": " ".join([os.path.basename(sys.argv[0]) or "python", *sys.argv[1:]]),
            "date": datetime.now().astimezone().isoformat(timespec="seconds"),
            "seconds": perf_counter() - self.began,
            "own": self._own + (perf_counter() - (self._began_own or perf_counter())),
            "machines": self._machines(),
        }
        data = f'{{"about": {_compact(about)},\n"compilations": [{compilations}]}}'
        events = [
            event
            for number, (_, record, runs) in enumerate(self._compilations)
            for event in trace_events(number, record, runs)
        ]
        try:
            (self.path / "index.html").write_text(page(data), encoding="utf-8")
            (self.path / "trace.json").write_text(_compact({"traceEvents": events}))
        except OSError as error:
            print(f"dump: {self.path}: {error.strerror}", file=sys.stderr)

    def _machines(self) -> dict[str, Any]:
        """What is known of the devices that were compiled for."""
        return {name: _machine(name, self._peaks.get(name)) for name in self._devices()}

    def _devices(self) -> list[str]:
        names = dict.fromkeys(record.device for _, record, _ in self._compilations)
        return [name for name in names if name]


def report_data(sources: Sources, records: Sequence[dict[str, Any]], stage: str) -> dict[str, Any]:
    """What the page of one picture shows: a stage of a compilation that has not run."""
    runs = Runs(0.0).json()
    about = {**_sources(sources), "machines": {}}
    compilations = [{"record": record, "runs": runs} for record in records]
    return {"about": about, "compilations": compilations, "stage": stage}


def _sources(sources: Sources) -> dict[str, Any]:
    return {"files": sources.files, "origins": sources.origins}


def _machine(name: str, peak: Peaks | None) -> dict[str, Any]:
    machine = Device.get(name).machine
    rates = {} if peak is None else {"peak_flops": peak.flops, "peak_bytes": peak.bytes}
    return {
        **rates,
        "name": machine.name,
        "target": machine.target.value,
        "cores": machine.cores,
        "threads": config.THREADS,
    }


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
