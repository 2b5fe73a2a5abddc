"""A table that grows: readable at any time, every row in it once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pyarrow as pa
import pytest

from hybrid import parquet
from hybrid.errors import BadInputError
from hybrid.parquet import Parts, read_rows

SCHEMA = pa.schema([("key", pa.string()), ("value", pa.float64())])


def rows(*numbers):
    return [{"key": str(n), "value": float(n)} for n in numbers]


def test_rows_come_back_once_each_over_several_writers(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "PART_ROWS", 2)
    for numbers in ((1, 2, 3), (2, 3, 4), (5,)):
        with Parts(tmp_path / "t", SCHEMA, "key") as parts:
            for row in rows(*numbers):
                parts.add(row)
    assert read_rows(tmp_path / "t") == rows(1, 2, 3, 4, 5)
    assert [path.name for path in sorted((tmp_path / "t").iterdir())] == [f"part-{i:06}.parquet" for i in range(4)]


def test_nothing_is_made_without_a_row(tmp_path):
    with Parts(tmp_path / "t", SCHEMA, "key"):
        pass
    assert not (tmp_path / "t").exists()


def test_a_row_waits_for_others_only_so_long(tmp_path, monkeypatch):
    parts = Parts(tmp_path / "t", SCHEMA, "key")
    parts.add(rows(1)[0])
    assert read_rows(tmp_path / "t") == []
    monkeypatch.setattr(parquet, "PART_S", -1.0)
    parts.add(rows(2)[0])
    assert read_rows(tmp_path / "t") == rows(1, 2)


def test_what_is_not_this_table_is_refused(tmp_path):
    with Parts(tmp_path / "t", SCHEMA, "key", "of one") as parts:
        parts.add(rows(1)[0])
    with pytest.raises(BadInputError, match="made otherwise"):
        Parts(tmp_path / "t", SCHEMA, "key", "of another")
    with pytest.raises(BadInputError, match="another table"):
        Parts(tmp_path / "t", pa.schema([("key", pa.string())]), "key", "of one")
    (tmp_path / "t" / "part-000001.parquet").write_text("no table")
    with pytest.raises(BadInputError, match="cannot be read"):
        Parts(tmp_path / "t", SCHEMA, "key", "of one")
    (tmp_path / "f").write_text("")
    with pytest.raises(BadInputError, match="it is a file"):
        Parts(tmp_path / "f", SCHEMA, "key")


def test_a_writer_that_is_killed_leaves_whole_parts_and_the_next_one_goes_on(tmp_path):
    script = (
        "import sys, pyarrow as pa; from pathlib import Path; from hybrid import parquet; parquet.PART_ROWS = 7\n"
        "schema = pa.schema([('key', pa.string()), ('value', pa.float64())])\n"
        "parts = parquet.Parts(Path(sys.argv[1]), schema, 'key')\n"
        "for n in range(10**6): parts.add({'key': str(n), 'value': float(n)})\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "t")]) as process:
        while process.poll() is None and len(read_rows(tmp_path / "t")) < 50:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    found = read_rows(tmp_path / "t")
    assert len(found) % 7 == 0
    assert found == rows(*range(len(found)))
    with Parts(tmp_path / "t", SCHEMA, "key") as parts:
        for row in rows(*range(len(found) + 3)):
            parts.add(row)
    assert read_rows(tmp_path / "t") == rows(*range(len(found) + 3))
