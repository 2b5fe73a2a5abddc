"""The report: valid against its own schema, self-contained, complete."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import jsonschema
import pytest

import hybrid.report
from hybrid.bundle import load_bundle
from hybrid.report.aggregate import aggregate, mean
from hybrid.report.model import DETAILED, Band, Failure, Report, schema
from hybrid.report.render import to_html, write_report
from hybrid.report.text import si, summary
from hybrid.runtime.folder import run_to_folder
from hybrid.runtime.journal import Journal
from hybrid.runtime.run import run_videos, settings_of


@pytest.fixture(scope="module")
def report(bundle, demo_clips):
    return run_videos(bundle, demo_clips, settings_of(bundle, check=["reference"], device="cpu"))


@pytest.fixture(scope="module")
def page(report):
    return to_html(report)


def test_the_json_file_is_read_back_as_the_same_report(report, tmp_path):
    data, page = write_report(report, tmp_path / "new")
    assert Report.model_validate_json(data.read_text()) == report
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["report.html", "report.json", "report.md", "videos.csv"]
    assert page.stat().st_size < 200_000


def test_the_keys_that_scripts_use_are_there(report):
    data = report.model_dump(mode="json")
    assert data["prediction"]["label"] == data["videos"][0]["prediction"]["label"]
    assert {"synops", "synops_dense", "acs", "macs", "neuron_updates", "spikes", "packets", "hops"} <= data[
        "counts"
    ].keys()
    assert {"low", "nominal", "high", "by_part"} <= data["energy_j"].keys()
    assert data["energy_j"]["by_part"].keys() == {"chip", "link", "ann"}
    assert data["latency_s"].keys() == {"response", "per_gop", "step_max"}
    assert data["throughput_vps"]["nominal"] > 0
    assert data["exact"] is True


def test_the_schema_describes_every_key_and_forbids_others():
    found = schema()
    assert found["additionalProperties"] is False
    assert set(found["properties"]) == set(Report.model_fields)
    json.dumps(found)


def test_the_top_level_is_the_mean_of_the_videos(report):
    energies = [video.energy_j.nominal for video in report.videos]
    assert report.energy_j.nominal == pytest.approx(sum(energies) / len(energies))
    spikes = [video.counts.spikes for video in report.videos]
    assert report.counts.spikes == pytest.approx(sum(spikes) / len(spikes))
    assert mean([Band(low=0, nominal=1, high=2), Band(low=2, nominal=3, high=6)]) == Band(low=1, nominal=2, high=4)


def test_the_page_shows_verdict_cut_constants_and_all_figures(page, report):
    for figure in ("energy", "timeline", "stages", "steps", "cores"):
        assert f'id="figure-{figure}"' in page
    assert "bit for bit" in page
    assert si(report.energy_j.nominal, "J") in page
    assert "stm_motion.2" in page
    for row in report.constants:
        assert row.quantity.source.split(":")[0] in page


def test_a_hostile_file_name_is_shown_as_text(report):
    video = report.videos[0].model_copy(update={"video": "<script>alert(1)</script>.avi"})
    assert "<script>alert(1)" not in to_html(report.model_copy(update={"videos": (video,)}))


@pytest.fixture(scope="module")
def shapes(bundle, compiled, demo_clips, tmp_path_factory):
    """The report.json of real runs: bare, checked, with half the spiking part on the host, failing in the middle."""
    root = tmp_path_factory.mktemp("shapes")
    broken = root / "broken.avi"
    broken.write_bytes(demo_clips[0].read_bytes()[:3000])
    settings = settings_of(bundle, device="cpu", repeats=1)
    found = {"bare": run_videos(bundle, demo_clips[:1], settings)}
    half = load_bundle(compiled(root / "b", pins=("stm_motion",)))
    for name, subject, videos, check in (
        ("whole", bundle, demo_clips, ["torch"]), ("half", half, demo_clips[:1], []),
        ("failed", bundle, [demo_clips[0], broken, demo_clips[1]], []),
    ):  # fmt: skip
        how = settings_of(subject, check=check, device="cpu", repeats=1)
        journal = Journal(root / name, how)
        found[name], _ = run_to_folder(subject, videos, how, root / name, journal=journal)
        journal.close()
    return {name: json.loads(write_report(report, root / name)[0].read_text()) for name, report in found.items()}


def test_reports_of_every_shape_are_valid_by_the_shipped_schema(shapes):
    schema = json.loads((Path(hybrid.report.__file__).parent / "report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for data in shapes.values():
        validator.validate(data)
    assert len(shapes["failed"]["failures"]) == 1
    assert shapes["whole"]["exact"] is True
    assert len(shapes["half"]["chip"]["cores"]) < len(shapes["whole"]["chip"]["cores"])
    assert shapes["whole"]["alternatives"]["rows"][0]["kind"] == "this run"
    for change in ({"energy_j": None}, {"precision": "fp8"}, {"videos": []}, {"more": 1}):
        assert not validator.is_valid(shapes["whole"] | change)


def test_the_shipped_schema_is_that_of_the_record():
    shipped = Path(hybrid.report.__file__).parent / "report.schema.json"
    assert json.loads(shipped.read_text()) == schema()


def test_a_report_of_schema_version_1_is_still_read(report):
    data = report.model_dump(mode="json") | {"schema_version": 1}
    for name in ("failures", "spread", "stages_s", "step_s", "core_load"):
        del data[name]
    old = Report.model_validate(data)
    assert to_html(old).count("figure-") == 5
    assert summary(old).count("energy") == 2


def test_the_spread_and_the_means_of_steps_and_cores_are_those_of_the_videos(report):
    values = [video.energy_j.nominal for video in report.videos]
    spread = report.spread["energy_j"]
    assert (spread.low, spread.high) == (min(values), max(values))
    assert spread.std == pytest.approx(abs(values[0] - values[1]) / 2)
    loads = [video.core_load for video in report.videos]
    assert report.core_load == pytest.approx([sum(pair) / 2 for pair in zip(*loads, strict=True)])
    assert report.step_s == tuple(mean(pair) for pair in zip(*(v.step_s for v in report.videos), strict=True))


def test_details_are_kept_of_the_first_videos_only_and_the_means_are_of_all(report):
    videos = [report.videos[i % 2] for i in range(DETAILED + 4)]
    found = aggregate([*videos, Failure(video="x", where="x", what="y", fix="z")])
    assert [bool(video.core_load and video.timeline) for video in found.videos] == [True] * DETAILED + [False] * 4
    assert found.energy_j.by_kind[0].energy_j.nominal == pytest.approx(report.energy_j.by_kind[0].energy_j.nominal)
    assert found.core_load == pytest.approx(report.core_load)
    assert len(found.failures) == 1


def test_the_table_and_the_text_hold_every_video_and_failure(report, tmp_path):
    failed = Failure(video="a|b.avi", where="x", what="it is\nbroken, cut", fix="z")
    write_report(report.model_copy(update={"failures": (failed,)}), tmp_path)
    with (tmp_path / "videos.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["video"] for row in rows] == [*(video.video for video in report.videos), "a|b.avi"]
    assert float(rows[0]["energy_j"]) == report.videos[0].energy_j.nominal
    assert rows[2]["error"] == "it is\nbroken, cut"
    text = (tmp_path / "report.md").read_text()
    assert "| a\\|b.avi | it is broken, cut |" in text
    assert "measured" in text
    assert si(report.energy_j.nominal, "J") in text


def test_the_summary_says_what_was_not_compared(report):
    text = summary(report.model_copy(update={"not_checked": {"lava-stock": "Lava is not installed"}}))
    assert "not compared: lava-stock (Lava is not installed)" in text
    assert "agree bit for bit" in text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 J"), (0.734, "734 mJ"), (2.5e-3, "2.5 mJ"), (41.0, "41 J"), (1.2e-13, "0.12 pJ")]
)
def test_numbers_get_si_prefixes(value, text):
    assert si(value, "J") == text
