"""A timeline in Chrome's trace-event format, which Perfetto and chrome://tracing open.

The file is plain JSON; nothing here contacts ui.perfetto.dev, which shows a file in the browser without sending it on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hybrid.files import write_aside

TRACE = "trace.json"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Complete(_Record):
    """A span."""

    ph: Literal["X"] = "X"
    name: str
    cat: Literal["simulated", "modelled", "measured"] = Field(description="how its length is known")
    ts: float = Field(ge=0, description="begin, in microseconds")
    dur: float = Field(ge=0, description="length, in microseconds")
    pid: int
    tid: int
    args: dict[str, float | str]


class Metadata(_Record):
    """The name of a process (a device) or of a thread (a part of it), or its place in the list."""

    ph: Literal["M"] = "M"
    name: Literal["process_name", "thread_name", "process_sort_index", "thread_sort_index"]
    pid: int
    tid: int
    args: dict[str, str | int]


class Trace(_Record):
    """The JSON object format."""

    traceEvents: tuple[Complete | Metadata, ...]
    displayTimeUnit: Literal["ns"] = "ns"
    otherData: dict[str, str]


def schema() -> dict[str, Any]:
    """The JSON Schema of `trace.json`."""
    return Trace.model_json_schema()


def write_trace(trace: Trace, folder: Path) -> Path:
    """Write `trace.json`, aside and then renamed; returns its path."""
    path = folder / TRACE
    write_aside(path, (trace.model_dump_json() + "\n").encode())
    return path
