"""The rebuilt tables: every row, its agreement with the paper or the cause of the difference, and the files."""

from __future__ import annotations

import csv
import dataclasses

import pytest

from benchmarks.tables import paper
from benchmarks.tables.__main__ import tables_of
from benchmarks.tables.chips import nothing_to_map, predict
from benchmarks.tables.measure import measure
from benchmarks.tables.method import Method, Protocol
from benchmarks.tables.records import text
from benchmarks.tables.render import write_all
from benchmarks.tables.rows import CONFIGS, TOLERANCE, TRAINING, Row, ablations, measured_accuracy, our_row
from benchmarks.tables.zoo import METHODS
from benchmarks.tables.zoo.c3d import STREAMS
from benchmarks.tables.zoo.ours import ours
from hybrid.model import load_config
from hybrid.model.ablations import ABLATIONS
from hybrid.shipped import CLIPS

CLIP = CLIPS[:1]


@pytest.fixture(scope="module")
def our_rows():
    """Our rows by one clip; `large` has the STM of `base`, so that its accumulates need not be counted again."""
    base = our_row("ours", paper.TABLE_1["ours"], CLIP)
    assert load_config("base").stm == load_config("large").stm
    return {"ours": base, "ours-L": Row(ours("ours-L", "large"), paper.TABLE_2["ours-L"], base.acs)}


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


def test_our_models_cost_what_the_paper_states_to_two_percent(our_rows):
    assert our_rows["ours"].joules == pytest.approx(0.734, rel=0.02)
    assert our_rows["ours-L"].joules == pytest.approx(1.40, rel=0.02)


def test_our_accuracies_come_out_of_the_training_page():
    found = measured_accuracy(TRAINING.read_text(encoding="utf-8"))
    assert set(found) & set(ABLATIONS) >= {"full model", "without STM", "ConvLSTM"}
    assert all("±" in value for value in found.values())


def test_a_network_without_spikes_stays_on_the_host_and_ours_says_what_does_not_fit():
    assert nothing_to_map(METHODS["CoViAR"]).startswith("none of its ")
    assert nothing_to_map(ours("tiny", "tiny")) == ""
    plans = {(plan.host, plan.chip): plan for plan in predict("tiny", CLIPS[0])}
    assert set(plans) == {(host, chip) for host in ("horowitz45", "h100") for chip in ("loihi2", "tianjic")}
    assert all(plan.joules != plan.host_joules for plan in plans.values())
    assert not plans["horowitz45", "loihi2"].refused


def test_measuring_counts_reading_and_all_views():
    tiny = dataclasses.replace(ours("ours", "tiny"), name="ours")
    speed = measure([(tiny, "compressed"), (METHODS["VideoMAE V2-g"], "raw")], CLIPS[0], repeats=1)
    assert list(speed) == ["ours"]
    assert speed["ours"].videos_per_second == pytest.approx(1 / (speed["ours"].reading_s + speed["ours"].networks_s))


def test_the_files_hold_every_row(tmp_path, our_rows):
    stated = [
        [our_rows[name] if name in CONFIGS else Row(METHODS[name], row) for name, row in table.items()]
        for table in (paper.TABLE_1, paper.TABLE_2)
    ]
    switches = ablations(("I",), CLIP)
    tables = tables_of(stated, switches, {}, {})
    write_all(tables, [row for table in stated for row in table], tmp_path)
    page = (tmp_path / "tables.html").read_text(encoding="utf-8")
    markdown = (tmp_path / "tables.md").read_text(encoding="utf-8")
    for table in tables:
        with (tmp_path / f"{table.name}.csv").open(encoding="utf-8", newline="") as file:
            read = list(csv.DictReader(file))
        assert len(read) == len(table.records)
        for record, line in zip(table.records, read, strict=True):
            first = next(iter(record.values()))
            assert next(iter(line.values())) == first
            assert f"<td>{first}</td>" in page
            assert f"| {first} |" in markdown
            assert text(record["J/V"]) in page
    assert "http" not in page.split("</script>")[-1]
    assert (tmp_path / "figure-6.png").read_bytes().startswith(b"\x89PNG")
    assert switches[0].macs == pytest.approx(switches[0].macs_by_graph, rel=1e-3)
    assert switches[0].acs == 0
