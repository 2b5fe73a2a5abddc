"""Side by side: what holds for every value of the constants, what does not, and what cannot be compared."""

from __future__ import annotations

import json

import pytest

from hybrid.bundle import load_bundle
from hybrid.errors import BadInputError
from hybrid.report.compare import compare, write_comparison
from hybrid.report.load import load_report
from hybrid.report.model import Band
from hybrid.report.render import write_report
from hybrid.report.side import Figure, load_side, of_report
from hybrid.runtime.journal import Journal
from hybrid.runtime.run import run_videos, settings_of


@pytest.fixture(scope="module")
def runs(bundle, demo_clips, tmp_path_factory):
    """A folder of a run of each of the two real clips."""
    root = tmp_path_factory.mktemp("runs")
    settings = settings_of(bundle, device="cpu", repeats=1)
    for name, clip in zip(("a", "b"), demo_clips, strict=True):
        write_report(run_videos(bundle, [clip], settings), root / name)
    return root


@pytest.fixture(scope="module")
def other_chip(compiled, demo_clips, tmp_path_factory):
    bundle = load_bundle(compiled(tmp_path_factory.mktemp("other") / "b", chip="loihi1"))
    return of_report("loihi1", run_videos(bundle, demo_clips[:1], settings_of(bundle, device="cpu", repeats=1)))


def found(comparison, figure):
    return next(d for d in comparison.differences if d.figure == figure)


def test_a_run_equals_itself_in_every_figure(runs):
    same = compare(load_side(runs / "a"), load_side(runs / "a"))
    assert {d.verdict for d in same.differences} == {"equal"}
    assert same.constants == ()
    assert same.common_videos == 1
    assert same.labels == ()


def test_a_mean_that_differs_by_its_rounding_only_is_equal(runs):
    side = load_side(runs / "a")
    step = side.figures["longest step"]
    value = step.value.model_copy(update={"nominal": step.value.nominal * (1 + 1e-15)})
    figures = side.figures | {"longest step": step.model_copy(update={"value": value})}
    difference = found(compare(side, side.model_copy(update={"figures": figures})), "longest step")
    assert difference.left != difference.right
    assert difference.verdict == "equal"


def test_shared_constants_decide_what_overlapping_ranges_would_leave_open(runs):
    left, right = load_side(runs / "a"), load_side(runs / "b")
    energy = found(compare(left, right), "energy")
    assert energy.left.low < energy.right.high  # the ranges overlap
    assert energy.right.low < energy.left.high
    assert energy.verdict == "lower"  # each event is rarer in the second clip
    assert energy.change.nominal == pytest.approx(energy.right.nominal - energy.left.nominal)
    assert energy.change.low < energy.change.high < 0


def test_counts_are_compared_exactly(runs):
    spikes = found(compare(load_side(runs / "a"), load_side(runs / "b")), "spikes")
    reports = [load_report(runs / name) for name in ("a", "b")]
    assert spikes.change.low == spikes.change.high == reports[1].counts.spikes - reports[0].counts.spikes
    assert spikes.how == "counted"


def test_other_constants_leave_rankings_undecided_and_are_listed(runs, other_chip):
    comparison = compare(load_side(runs / "a"), other_chip)
    names = {constant.name for constant in comparison.constants}
    assert "chip: energy_synapse_conv" in names
    assert not any(name.startswith(("link:", "host:")) for name in names)
    assert found(comparison, "energy, link").verdict == "equal"
    assert found(comparison, "energy per GOP without static power").verdict == "undecided"
    assert found(comparison, "spikes").verdict == "equal"


def test_the_sign_of_a_change_that_the_constants_may_turn_is_undecided(runs):
    side = load_side(runs / "a")

    def with_energy(**kinds):
        total = Band(**{x: sum(getattr(b, x) for b in kinds.values()) for x in ("low", "nominal", "high")})
        bands = {f"chip: {kind}": b for kind, b in kinds.items()}
        return side.model_copy(update={"figures": {"e": Figure(value=total, unit="J", how="modelled", kinds=bands)}})

    cheap, dear = Band(low=1, nominal=2, high=3), Band(low=2, nominal=4, high=6)
    mixed = compare(with_energy(x=cheap, y=dear), with_energy(x=dear, y=cheap)).differences[0]
    assert mixed.change == Band(low=1 - 3, nominal=0, high=3 - 1)
    assert mixed.verdict == "undecided"


def test_a_bundles_prediction_stands_beside_a_run(runs, bundle_dir):
    comparison = compare(load_side(runs / "a"), load_side(bundle_dir))
    energy = found(comparison, "energy per GOP without static power")
    plan = load_bundle(bundle_dir).manifest.plan
    assert energy.right.nominal == pytest.approx(plan["predicted_j_per_gop"])
    assert energy.change is not None
    assert found(comparison, "spikes").verdict == "one side only"


def test_the_command_draws_anew_compares_and_names_what_is_wrong(hybrid, runs, bundle, demo_clips, tmp_path, browser):
    (runs / "a" / "report.html").unlink()
    code, out, _ = hybrid("report", runs / "a")
    assert code == 0
    assert (runs / "a" / "report.html").is_file()
    code, out, _ = hybrid("report", runs / "a", runs / "b", "--out", tmp_path / "both.html", "--json")
    assert code == 0
    assert {row["verdict"] for row in json.loads(out)["differences"]} >= {"lower", "equal"}
    browser.open(tmp_path / "both.html")
    assert browser.run("document.querySelectorAll('#differences tbody tr').length") > 15
    assert browser.run("document.querySelectorAll('#figure-pairs li').length") == 10
    assert all(url.startswith(("file:", "data:")) for url in browser.requests)
    assert browser.problems == []
    code, out, _ = hybrid("report", runs / "a", runs / "b")
    assert "B minus A" in out
    journal = Journal(tmp_path / "half", settings := settings_of(bundle, device="cpu", repeats=1))
    run_videos(bundle, demo_clips[:1], settings, journal=journal)
    newer = tmp_path / "newer.json"
    newer.write_text((runs / "a" / "report.json").read_text().replace('"schema_version": 3', '"schema_version": 7', 1))
    torn = tmp_path / "torn.json"
    torn.write_bytes((runs / "a" / "report.json").read_bytes()[:2000])
    (tmp_path / "kind.json").write_text('{"schema_version": 3}')
    before = sorted(tmp_path.rglob("*"))
    for path, what, fix in (
        (tmp_path / "half", "not finished: it has 1 videos", "run the same"),
        (newer, "schema version 7", "newer"),
        (torn, "half written", "again"),
        (tmp_path / "kind.json", "no report of ours", "again"),
        (tmp_path, "holds no report.json", "folder"),
        (tmp_path / "absent", "no such run", "folder"),
    ):
        for arguments in ((path,), (runs / "a", path)):
            code, out, err = hybrid("report", *arguments)
            assert code == 2, err
            assert what in err
            assert fix in err
            assert not out
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(BadInputError):
        load_report(torn)


def test_a_hostile_name_stays_text_in_the_page(runs, tmp_path):
    side = load_side(runs / "a").model_copy(update={"name": "<script>alert(1)</script>"})
    write_comparison(compare(side, side), tmp_path / "x.html")
    assert "<script>alert" not in (tmp_path / "x.html").read_text()
