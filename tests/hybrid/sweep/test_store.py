"""Points on disk."""

from __future__ import annotations

import csv

import pytest

from hybrid.errors import BadInputError, HybridError
from hybrid.sweep.store import POINTS, appending, read_points, write_table


def test_points_come_back_as_they_were_written_and_a_torn_last_line_is_cut_off(point, tmp_path):
    first, second = point(1, 2, top1=0.5, samples=3), point(None, None)
    with appending(tmp_path / "s") as append:
        append(first)
        append(second)
    with (tmp_path / "s" / POINTS).open("a") as file:
        file.write('{"key": "half')
    assert read_points(tmp_path / "s") == {first.key: first, second.key: second}
    assert (tmp_path / "s" / POINTS).read_text().endswith("}\n")
    with appending(tmp_path / "s") as append:
        append(point(3, 3))
    assert len(read_points(tmp_path / "s")) == 3


def test_a_point_that_does_not_fit_on_the_disk_is_left_out_whole(point, tmp_path, little_room):
    with appending(tmp_path) as append:
        append(point(1, 2))
        size = (tmp_path / POINTS).stat().st_size
        with little_room(size + 10), pytest.raises(HybridError, match=r"points\.jsonl cannot be written") as error:
            append(point(3, 4))
        assert error.value.exit_code == 1
        assert (tmp_path / POINTS).stat().st_size == size
        append(point(5, 6))
    assert (tmp_path / POINTS).read_text().count("\n") == 2


def test_a_line_that_is_no_point_is_refused_with_its_number(point, tmp_path):
    (tmp_path / POINTS).write_text(point().model_dump_json() + '\n{"a": 1}\n')
    with pytest.raises(BadInputError, match=r"no point(.|\n)*line 2"):
        read_points(tmp_path)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(BadInputError, match="it is a file"):
        read_points(tmp_path / "f")


def test_the_table_has_a_row_for_every_point_and_marks_the_front(point, tmp_path):
    points = [point(1, 2, on_chip=("a", "b")), point(None, None)]
    with write_table(points, points[:1], tmp_path).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["front"] for row in rows] == ["1", "0"]
    assert (rows[0]["energy_j_low"], rows[0]["latency_s_high"], rows[0]["on_chip"]) == ("0.5", "4.0", "a b")
    assert (rows[1]["reason"], rows[1]["energy_j_nominal"]) == ("too small", "")
