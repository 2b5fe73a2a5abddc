"""Results as Parquet, written as they come: a folder of whole files that any reader takes for one table.

A Parquet file has its index at its end, so that one that grows can be read only when it is closed. Here each part is
a file of its own, written aside and renamed: at any time, and after any death of the writer, the table can be read,
and every row is in it once.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hybrid.errors import BadInputError
from hybrid.files import make_folder, write_aside

PART_ROWS = 1000
"""Rows after which a part is written."""
PART_S = 20.0
"""Seconds after which a row does not wait for others."""
SETTINGS = b"settings"
"""Where a part says what its rows depend on."""


class Parts:
    """A table that grows; made anew, or gone on with.

    Args:
        folder: of the parts; made with the first one.
        schema: of a row.
        key: the column that tells rows apart; a row that is there already is not written again.
        settings: what the rows depend on besides the key, in words.

    Raises:
        BadInputError: where something else lies there, or rows of other settings.
    """

    def __init__(self, folder: Path, schema: pa.Schema, key: str, settings: str = "") -> None:
        self._folder, self._key, self._rows = folder, key, list[dict[str, Any]]()
        self._schema = schema.with_metadata({SETTINGS: settings.encode()})
        self._parts = sorted(folder.glob("part-*.parquet"))
        self._since = time.monotonic()
        if folder.exists() and not folder.is_dir():
            raise BadInputError(str(folder), "it is a file", "choose another folder, or remove it")
        self._known = {found for part in self._parts for found in _keys(part, self._schema, key)}

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.flush()

    def __contains__(self, key: object) -> bool:
        return key in self._known

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row, unless its key is there; it is written with the first row that comes `PART_S` seconds after it.

        Raises:
            HybridError: where a part cannot be written; the parts before it stay.
        """
        if row[self._key] in self._known:
            return
        self._known.add(row[self._key])
        if not self._rows:
            self._since = time.monotonic()
        self._rows.append(dict(row))
        if len(self._rows) >= PART_ROWS or time.monotonic() - self._since > PART_S:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait, as a part.

        Raises:
            HybridError: where it cannot be written.
        """
        if not self._rows:
            return
        make_folder(self._folder)
        number = int(self._parts[-1].stem.removeprefix("part-")) + 1 if self._parts else 0
        part, buffer = self._folder / f"part-{number:06}.parquet", io.BytesIO()
        pq.write_table(pa.Table.from_pylist(self._rows, self._schema), buffer, compression="zstd")
        write_aside(part, buffer.getvalue())
        self._parts.append(part)
        self._rows.clear()


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """All rows of a table, in the order in which they were written."""
    parts = sorted(folder.glob("part-*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def _keys(part: Path, schema: pa.Schema, key: str) -> list[Any]:
    fix = "choose another folder, or remove it"
    try:
        file = pq.ParquetFile(part)
        found = file.schema_arrow
        if found.metadata != schema.metadata:
            raise BadInputError(str(part.parent), "it holds rows that were made otherwise", fix)
        if not found.equals(schema):
            raise BadInputError(str(part.parent), "it holds another table", fix)
        return list(file.read(columns=[key]).column(key).to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise BadInputError(str(part), "it cannot be read as a part of a table", fix) from error
