"""The folder of a run that is killed when it begins anew."""

from __future__ import annotations

import json

import pytest

from hybrid.errors import BadInputError
from hybrid.report.model import Failure
from hybrid.runtime import journal
from hybrid.runtime.journal import RUN, VIDEOS, Journal, Settings

BEFORE = Settings(bundle="b", backend="hwsim", check=(), device="cpu", repeats=7)
AFTER = BEFORE.model_copy(update={"backend": "torch"})


@pytest.fixture
def folder(tmp_path):
    """A folder of a run with one result."""
    (tmp_path / RUN).write_text(BEFORE.model_dump_json())
    line = {"video": "a.avi", "bytes": 1, "modified_ns": 1, "device": "", "result": {}, "failure": None}
    (tmp_path / VIDEOS).write_text(json.dumps(line) + "\n")
    assert Journal(tmp_path, BEFORE).finished == 1
    return tmp_path


def test_results_made_otherwise_are_refused_with_what_differs(folder):
    with pytest.raises(BadInputError, match="backend was hwsim, not torch") as error:
        Journal(folder, AFTER)
    assert "--fresh" in error.value.fix


@pytest.mark.parametrize("written", [False, True])
def test_a_fresh_run_that_is_killed_while_it_begins_never_takes_the_old_results_for_its_own(
    folder, monkeypatch, written
):
    write = journal.write_aside

    def killed(path, data):
        if written:
            write(path, data)
        raise KeyboardInterrupt

    failure = Failure(video="b.avi", where="", what="", fix="")
    with monkeypatch.context() as patch:
        patch.setattr(journal, "write_aside", killed)
        with pytest.raises(KeyboardInterrupt):
            Journal(folder, AFTER, fresh=True).add(folder / "b.avi", failure)
    again = Journal(folder, AFTER)
    assert again.finished == 0
    again.add(folder / "b.avi", failure)
    again.close()
    assert Journal(folder, AFTER).finished == 0
    assert (folder / VIDEOS).read_text().count("\n") == 1
