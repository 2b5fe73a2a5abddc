"""The rebuilt tables: every row, and its agreement with the paper or the cause of the difference."""

from __future__ import annotations

import pytest

from benchmarks.tables import paper
from benchmarks.tables.build import select
from benchmarks.tables.method import Method, Protocol
from benchmarks.tables.rows import CONFIGS, TOLERANCE, TRAINING, Row, measured_accuracy, our_row
from benchmarks.tables.zoo import METHODS
from benchmarks.tables.zoo.c3d import STREAMS
from benchmarks.tables.zoo.ours import ours
from hybrid.errors import BadInputError
from hybrid.model import load_config
from hybrid.model.ablations import ABLATIONS
from hybrid.shipped import CLIPS


def test_every_method_of_both_tables_is_built():
    assert set(paper.TABLE_1) | set(paper.TABLE_2) == set(METHODS) | set(CONFIGS)
    assert len(METHODS) == 17


@pytest.mark.parametrize("table", [paper.TABLE_1, paper.TABLE_2], ids=["table 1", "table 2"])
def test_every_rival_agrees_with_the_paper_or_the_cause_is_shown(table):
    for row in (Row(METHODS[name], stated) for name, stated in table.items() if name not in CONFIGS):
        assert row.agrees or abs(row.difference(row.cause)) <= TOLERANCE, row.verdict


def test_a_row_that_nothing_explains_says_what_was_tried():
    runs = {STREAMS[0].name: 1}
    method = Method("C3D", "", STREAMS[:1], Protocol("one view", 1, runs), (Protocol("two views", 2, runs),))
    row = Row(method, paper.Stated("raw", 1e6, {}))
    assert row.cause is None
    assert row.verdict == "not explained; tried two views: -100%"


def test_our_models_cost_what_the_paper_states_to_two_percent():
    """By one clip; `large` has the STM of `base`, so that its accumulates need not be counted again."""
    base = our_row("ours", paper.TABLE_1["ours"], CLIPS[:1])
    assert load_config("base").stm == load_config("large").stm
    assert base.joules == pytest.approx(0.734, rel=0.02)
    assert Row(ours("ours-L", "large"), paper.TABLE_2["ours-L"], base.acs).joules == pytest.approx(1.40, rel=0.02)


def test_our_accuracies_come_out_of_the_training_page():
    found = measured_accuracy(TRAINING.read_text(encoding="utf-8"))
    assert set(found) & set(ABLATIONS) >= {"full model", "without STM", "ConvLSTM"}
    assert all("±" in real for real, _ in found.values())
    assert "±" in found["full model"][1]
    assert found["ConvLSTM"][1] == ""


def test_chosen_rows_keep_the_order_of_the_paper_and_an_unknown_one_is_named():
    found = select(["PKD", "I + MV", "CoViAR"])
    assert {key: [row.method.name for row in table] for key, table in found.tables.items()} == {
        "table-1": ["CoViAR", "PKD"], "table-2": ["CoViAR"]
    }  # fmt: skip
    assert [row.method.name for row in found.methods] == ["CoViAR", "PKD"]
    assert found.switches == ["I + MV"]
    with pytest.raises(BadInputError, match="did you mean 'CoViAR'"):
        select(["PKD", "Coviar"])
