"""The folder of a run while it goes on: what is run, and one line per finished video.

`run.json` says which bundle and settings the folder is about; `videos.jsonl` gets a line per video, written whole or
not at all, so that a run that was stopped goes on where it was. `videos.parquet` holds the results as a table: what is
in the lines and not yet in the table when a run is killed goes there when the folder is opened again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hybrid.errors import BadInputError, HybridError
from hybrid.files import write_aside
from hybrid.parquet import Parts
from hybrid.report.model import Failure, Precision, VideoResult
from hybrid.runtime.table import SCHEMA, TABLE, key_of, row_of

RUN, VIDEOS = "run.json", "videos.jsonl"
OTHER_FOLDER = "choose another --out, or add --fresh to run everything anew"


class Settings(BaseModel):
    """What the results of a run depend on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    bundle: str = Field(description="sha256 of the bundle's manifest")
    backend: str = Field(description="what runs the spiking part")
    check: tuple[str, ...] = Field(description="backends to compare with, bit for bit")
    device: str = Field(description="where the ANN part runs: `cpu` or `cuda`")
    repeats: int = Field(description="timed runs of the ANN part")
    precision: Precision = Field(default="fp32", description="of the ANN part")


class Line(BaseModel):
    """One line of `videos.jsonl`: exactly one of `result` and `failure`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    video: str
    bytes: int = Field(description="size of the file; another size or time means another video")
    modified_ns: int
    device: str = Field("", description="what ran the ANN part, in words")
    result: VideoResult | None = None
    failure: Failure | None = None


class Journal:
    """The results of a run on disk; nothing is created before the first result.

    Args:
        folder: of the run.
        settings: of this run.
        fresh: forget what is in the folder; it is replaced with the first result.

    Raises:
        BadInputError: for a folder of another bundle or with other settings, or one that cannot be read.
    """

    def __init__(self, folder: Path, settings: Settings, *, fresh: bool = False) -> None:
        self.folder, self._settings = folder, settings
        self._path = folder / VIDEOS
        self._file: int | None = None
        self._places: dict[tuple[str, int, int], int] = {}
        self._end = 0
        if folder.exists() and not folder.is_dir():
            raise BadInputError(str(folder), "it is a file", "choose a folder for the results")
        if not fresh and self._path.exists():
            _same_run(folder, settings)
            for place, line in read_lines(self._path):
                self._end = place + len(line)
                self._note(place, line)
        self._table: Parts | None = None
        if self._places:
            self._table = self._open_table()
            for identity in self._places:
                if key_of(*identity) not in self._table:
                    self._table.add(row_of(identity, *self._read(identity)))

    @property
    def finished(self) -> int:
        """Videos with a result in the folder."""
        return len(self._places)

    def holds(self, video: Path) -> bool:
        """Whether this very file was finished before; one of another size or time was not."""
        return _identity(video) in self._places

    def result(self, video: Path) -> tuple[VideoResult, str]:
        """The result of a video that it holds, and what ran the ANN part, in words."""
        return self._read(_identity(video))

    def _read(self, identity: tuple[str, int, int]) -> tuple[VideoResult, str]:
        with self._path.open("rb") as file:
            file.seek(self._places[identity])
            line = Line.model_validate_json(file.readline())
        if line.result is None:
            raise RuntimeError("a line that was noted as a result holds none")
        return line.result, line.device

    def add(self, video: Path, outcome: VideoResult | Failure, device: str = "") -> None:
        """Write one line.

        Raises:
            HybridError: where it cannot be written; the lines before it stay.
        """
        name, size, modified = _identity(video)
        kind = {"result": outcome} if isinstance(outcome, VideoResult) else {"failure": outcome}
        line = Line(video=name, bytes=size, modified_ns=modified, device=device, **kind)
        data = (line.model_dump_json() + "\n").encode()
        try:
            self._append(data)
        except OSError as error:
            what = f"the result of {video.name} cannot be written: {error.strerror}"
            fix = f"make room, then run the same command again: {self.finished} finished videos are kept"
            raise HybridError(str(self._path), what, fix) from error
        if isinstance(outcome, VideoResult):
            self._places[(name, size, modified)] = self._end
        self._end += len(data)
        if isinstance(outcome, VideoResult):
            self._table = self._table or self._open_table()
            self._table.add(row_of((name, size, modified), outcome, device))

    def write_table(self) -> None:
        """Write the rows that are not in the table yet.

        Raises:
            HybridError: where they cannot be written.
        """
        if self._table is not None:
            self._table.flush()

    def close(self) -> None:
        """Close the file, and write what is not in the table yet if that can be; else it goes there next time."""
        with suppress(HybridError):
            self.write_table()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open_table(self) -> Parts:
        return Parts(self.folder / TABLE, SCHEMA, "key", self._settings.model_dump_json())

    def _append(self, data: bytes) -> None:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            # before the settings: results of others must never lie beside them
            if not self._places:
                shutil.rmtree(self.folder / TABLE, ignore_errors=True)
            if self._end == 0:
                self._path.unlink(missing_ok=True)
            write_aside(self.folder / RUN, (self._settings.model_dump_json(indent=1) + "\n").encode())
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
            os.ftruncate(self._file, self._end)  # what is not to stay: a half line of a run that was killed
            os.lseek(self._file, self._end, os.SEEK_SET)
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self._end)
            os.lseek(self._file, self._end, os.SEEK_SET)
            raise

    def _note(self, place: int, line: bytes) -> None:
        try:
            data = json.loads(line)
            key = (data["video"], data["bytes"], data["modified_ns"])
            if data["result"] is not None:
                self._places[key] = place
        except (ValueError, KeyError, TypeError) as error:
            what = f"the line at byte {place} is none of ours: {error}"
            raise BadInputError(str(self._path), what, OTHER_FOLDER) from error


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Place and bytes of every whole line; a last one without its end is left out."""
    place = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield place, line
            place += len(line)


def read_settings(folder: Path) -> Settings:
    """What a run's folder is about.

    Raises:
        BadInputError: for a folder that is none of ours, or of a newer version.
    """
    path = folder / RUN
    try:
        data: Any = json.loads(path.read_text())
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > 1:
            what = f"schema version {version}; this program reads 1"
            raise BadInputError(str(path), what, "use the version of hybrid-snn that wrote it")
        return Settings.model_validate(data)
    except FileNotFoundError as error:
        raise BadInputError(str(folder), f"it holds no {RUN}, so it is no run of ours", OTHER_FOLDER) from error
    except (OSError, ValueError, ValidationError) as error:
        raise BadInputError(str(path), "it cannot be read as the settings of a run", OTHER_FOLDER) from error


def _same_run(folder: Path, settings: Settings) -> None:
    before = read_settings(folder)
    if before.bundle != settings.bundle:
        raise BadInputError(str(folder), "it holds the results of another bundle", OTHER_FOLDER)
    differ = [
        f"{name} was {_words(getattr(before, name))}, not {_words(getattr(settings, name))}"
        for name in Settings.model_fields
        if getattr(before, name) != getattr(settings, name)
    ]
    if differ:
        raise BadInputError(str(folder), f"it holds results made otherwise: {'; '.join(differ)}", OTHER_FOLDER)


def _words(value: object) -> str:
    return (", ".join(value) or "none") if isinstance(value, tuple) else str(value)


def _identity(video: Path) -> tuple[str, int, int]:
    try:
        state = video.stat()
    except OSError:
        return str(video), -1, -1
    return str(video), state.st_size, state.st_mtime_ns
