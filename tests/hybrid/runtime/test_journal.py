"""The folder of a run that is killed when it begins anew."""

from __future__ import annotations

import pytest

from hybrid.errors import BadInputError
from hybrid.report.model import Failure
from hybrid.runtime import journal
from hybrid.runtime.journal import RUN, VIDEOS, Journal, Settings


@pytest.fixture
def folder(tmp_path, hybrid, bundle_dir, demo_clips):
    """A folder of a run with one result."""
    code, _, err = hybrid("run", bundle_dir, demo_clips[0], "--repeats", 1, "--out", tmp_path)
    assert code == 0, err
    return tmp_path


@pytest.fixture
def after(folder):
    """Settings other than those of the run."""
    before = Settings.model_validate_json((folder / RUN).read_text())
    assert Journal(folder, before).finished == 1
    return before.model_copy(update={"backend": "torch"})


def test_results_made_otherwise_are_refused_with_what_differs(folder, after):
    with pytest.raises(BadInputError, match="backend was hwsim, not torch") as error:
        Journal(folder, after)
    assert "--fresh" in error.value.fix


@pytest.mark.parametrize("written", [False, True])
def test_a_fresh_run_that_is_killed_while_it_begins_never_takes_the_old_results_for_its_own(
    folder, after, monkeypatch, written
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
            Journal(folder, after, fresh=True).add(folder / "b.avi", failure)
    again = Journal(folder, after)
    assert again.finished == 0
    again.add(folder / "b.avi", failure)
    again.close()
    assert Journal(folder, after).finished == 0
    assert (folder / VIDEOS).read_text().count("\n") == 1
