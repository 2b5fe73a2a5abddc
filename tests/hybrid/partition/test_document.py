"""The page on partitioning says what the rules and the cells say, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hybrid.partition.document import cells_markdown, rules_markdown

PAGE = (Path(__file__).parents[3] / "docs" / "partition.md").read_text()


def test_the_page_holds_the_rules_and_the_cells_as_they_are():
    assert rules_markdown() in PAGE, "put rules_markdown() into docs/partition.md"
    assert cells_markdown() in PAGE, "put cells_markdown() into docs/partition.md"


def test_every_rule_and_every_law_says_its_limit():
    for line in (*rules_markdown().splitlines(), *cells_markdown().splitlines()[2:]):
        assert not line.rstrip(" |").endswith(":"), line


def test_the_example_of_the_page_runs_as_it_is_written(hybrid, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (tmp_path / "mynet.py").write_text(code)
    np.savez("inputs.npz", events=(np.random.default_rng(0).random((2, 11, 2, 16, 16)) < 0.3).astype(np.float32))
    commands = [line.split() for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S) for line in block.splitlines()]
    assert len(commands) == 6
    for _, *arguments in commands:
        code, _, err = hybrid(*arguments)
        assert code == 0, (arguments, err)
    assert (tmp_path / "runs" / "run" / "outputs.npz").is_file()
    assert (tmp_path / "runs" / "sweep" / "sweep.html").is_file()
