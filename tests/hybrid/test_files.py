"""Writing aside: all or nothing."""

from __future__ import annotations

import pytest

from hybrid.errors import BadInputError
from hybrid.files import folder_aside


def test_a_block_that_fails_leaves_the_old_folder_and_no_trace(tmp_path):
    target = tmp_path / "out"
    with folder_aside(target, "mark") as aside:
        (aside / "mark").write_text("old")
    with pytest.raises(ZeroDivisionError), folder_aside(target, "mark") as aside:
        (aside / "mark").write_text(str(1 / 0))
    assert (target / "mark").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_block_that_ends_well_replaces_the_whole_folder(tmp_path):
    target = tmp_path / "out"
    for name in ("first", "second"):
        with folder_aside(target, "mark") as aside:
            (aside / "mark").write_text("")
            (aside / name).write_text("")
    assert sorted(path.name for path in target.iterdir()) == ["mark", "second"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_not_ours_is_never_replaced(tmp_path, kind):
    target = tmp_path / "out"
    if kind == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "mine").write_text("")
    with pytest.raises(BadInputError, match="holds no mark"), folder_aside(target, "mark"):
        pass
