"""The command: its files, which say the same in every form, and what it does with bad input."""

from __future__ import annotations

import csv
import html
import re
import sys

import pytest

from benchmarks.tables import command, measure, render
from benchmarks.tables.__main__ import main
from benchmarks.tables.records import Table, text
from benchmarks.tables.render import write_all
from hwsim.quantity import Range

TABLES = ("table-1", "table-2", "chips", "speed")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small run of the whole command."""
    out = tmp_path_factory.mktemp("runs") / "new" / "tables"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "MOST_CALLS", 2)
        patch.setattr(sys, "argv", ["", "--out", str(out), "--measure", "--rows", "MIMO", "VideoMAE V2-g"])
        main()
    return out


def _markdown(content: str) -> list[list[list[str]]]:
    """Heads and rows of every table."""
    found = re.findall(r"(?:^\|.*\|$\n?)+", content, re.MULTILINE)
    rows = [[[x.strip() for x in line[1:-1].split(" | ")] for line in table.splitlines()] for table in found]
    return [[table[0], *table[2:]] for table in rows]


def _page(content: str) -> list[list[list[str]]]:
    found = re.findall(r"<table>(.*?)</table>", content.split("</script>", 1)[1], re.DOTALL)
    rows = [re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.DOTALL) for table in found]
    return [
        [[html.unescape(x) for x in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in table] for table in rows
    ]


def _number(value: str) -> str | float | int | None:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def test_a_small_run_writes_all_files(files):
    names = {path.name for path in files.iterdir()}
    assert names == {"tables.md", "tables.html", "figure-6.png", *(f"{name}.csv" for name in TABLES)}
    assert (files / "figure-6.png").read_bytes().startswith(b"\x89PNG")
    assert "http" not in (files / "tables.html").read_text(encoding="utf-8").split("</script>")[-1]


def test_markdown_page_and_csv_say_the_same(files):
    markdown = _markdown((files / "tables.md").read_text(encoding="utf-8"))
    page = _page((files / "tables.html").read_text(encoding="utf-8"))
    assert markdown == page
    assert len(markdown) == len(TABLES)
    for name, (heads, *rows) in zip(TABLES, markdown, strict=True):
        with (files / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            records = list(csv.DictReader(file))
        assert len(records) == len(rows)
        for record, row in zip(records, rows, strict=True):
            for head, cell in zip(heads, row, strict=True):
                value = _number(record[head])
                if f"{head}, low" in record:
                    value = Range(float(record[f"{head}, low"]), float(value), float(record[f"{head}, high"]))
                assert text(value) == cell, (name, head)


def _run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(monkeypatch, tmp_path, capfd):
    (tmp_path / "file").touch()
    monkeypatch.setattr(command, "select", lambda *_: pytest.fail("the work began"))
    assert _run(monkeypatch, "--out", str(tmp_path / "file" / "tables")) == 2
    assert "no files can be written there: Not a directory" in capfd.readouterr().err


def test_an_unknown_row_is_named_with_its_neighbour(monkeypatch, tmp_path, capfd):
    assert _run(monkeypatch, "--out", str(tmp_path), "--rows", "VidTR") == 2
    assert "did you mean 'VidTr'?" in capfd.readouterr().err


def test_a_run_that_is_stopped_while_it_writes_leaves_whole_files_only(monkeypatch, tmp_path, capfd):
    whole = render.write_aside

    def stop_at_the_second(path, data):
        if any(tmp_path.iterdir()):
            raise KeyboardInterrupt
        whole(path, data)

    monkeypatch.setattr(render, "write_aside", stop_at_the_second)
    assert _run(monkeypatch, "--out", str(tmp_path), "--rows", "PKD") == 130
    assert [path.name for path in tmp_path.iterdir()] == ["table-1.csv"]
    assert "stopped" in capfd.readouterr().err


def test_a_table_of_switches_has_its_own_file(tmp_path):
    write_all([Table("ablations", "Switches", "", [{"switch": "I", "J/V": 0.5}])], [], tmp_path)
    assert (tmp_path / "ablations.csv").read_text() == "switch,J/V\nI,0.5\n"


def test_a_range_is_shown_without_exponents():
    assert text(Range(1.6e2, 484.2, 2996.0)) == "484 (160 to 2996)"
    assert text(Range(0.0241, 0.0559, 12.4)) == "0.0559 (0.024 to 12)"
