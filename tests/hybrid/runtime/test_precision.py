"""The ANN part in half precision: close to fp32, said everywhere, and never numbers that are not finite."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from ann_part.errors import DeviceError
from hybrid.errors import BadInputError
from hybrid.report.render import to_html
from hybrid.runtime.journal import Journal, read_lines, read_settings
from hybrid.runtime.run import open_classifier, run_videos, settings_of
from hybrid.runtime.stream import classify_stream


class BlowsUp(nn.Module):
    """A bundle's ANN part, of which bf16 makes infinities for some clips."""

    def __init__(self, ann, blown):
        super().__init__()
        self.ann, self.blown = ann, blown

    def forward(self, *values):
        scores = self.ann(*values)
        return scores * float("inf") if scores.dtype == torch.bfloat16 and self.blown() else scores


@pytest.fixture(scope="module")
def exact(bundle, demo_clips):
    return run_videos(bundle, demo_clips, settings_of(bundle, device="cpu", repeats=1))


def bf16(bundle):
    return settings_of(bundle, device="cpu", repeats=1, precision="bf16")


def test_bf16_is_near_fp32_and_stated_in_results_report_and_tables(hybrid, bundle_dir, demo_clips, exact, tmp_path):
    options = ("--device", "cpu", "--repeats", "1", "--precision", "bf16", "--json")
    code, out, err = hybrid("run", bundle_dir, *demo_clips, "--out", tmp_path, *options)
    assert code == 0, err
    found = json.loads(out)
    assert found["precision"] == "bf16"
    for video, before in zip(found["videos"], exact.videos, strict=True):
        assert video["precision"] == "bf16"
        assert video["counts"] == before.counts.model_dump()  # the spiking part is exact whatever the precision
        changed = [abs(video["prediction"]["probabilities"][x] - p) for x, p in before.prediction.probabilities.items()]
        assert 0 < max(changed) < 0.02
    assert read_settings(tmp_path).precision == "bf16"
    assert [json.loads(line)["result"]["precision"] for _, line in read_lines(tmp_path / "videos.jsonl")] == [
        "bf16"
    ] * 2
    assert "in bf16 (measured)" in (tmp_path / "report.html").read_text()
    assert "in bf16 (measured)" in (tmp_path / "report.md").read_text()
    with (tmp_path / "videos.csv").open(newline="") as file:
        assert {row["precision"] for row in csv.DictReader(file)} == {"bf16"}
    alone = found["alternatives"]["rows"][-1]
    assert "the whole model in bf16" in alone["note"]


def test_results_of_another_precision_are_not_mixed(bundle, demo_clips, tmp_path):
    run_videos(bundle, demo_clips[:1], bf16(bundle), journal=Journal(tmp_path, bf16(bundle)))
    with pytest.raises(BadInputError, match="precision was bf16, not fp32"):
        Journal(tmp_path, settings_of(bundle, device="cpu", repeats=1))


def test_a_folder_from_before_there_was_a_precision_goes_on_in_fp32(bundle, demo_clips, tmp_path):
    fp32 = settings_of(bundle, device="cpu", repeats=1)
    run_videos(bundle, demo_clips[:1], fp32, journal=Journal(tmp_path, fp32))
    data = json.loads((tmp_path / "run.json").read_text())
    assert data.pop("precision") == "fp32"
    (tmp_path / "run.json").write_text(json.dumps(data))
    assert Journal(tmp_path, fp32).finished == 1


def test_what_bf16_cannot_hold_is_computed_and_timed_in_fp32_and_said(bundle, demo_clips, exact):
    seen, lines = [], []

    def second():  # a clip's ANN part runs three times for the first, which is timed, and then once
        seen.append(1)
        return len(seen) > 3

    broken = replace(bundle, ann=BlowsUp(bundle.ann, second))
    report = run_videos(broken, demo_clips, bf16(bundle), warn=lines.append)
    assert [video.precision for video in report.videos] == ["bf16", "fp32"]
    assert report.videos[1].prediction == exact.videos[1].prediction
    assert report.videos[1].stages_s["ANN part"] != report.videos[0].stages_s["ANN part"]
    assert len(lines) == 1
    assert "bf16 gave numbers that are not finite" in lines[0]
    assert "1 of the videos in fp32, since bf16" in to_html(report)


def test_a_stream_in_bf16_says_so_in_every_line(bundle, demo_clips):
    with open_classifier(bundle, bf16(bundle)) as classifier:
        found = list(classify_stream(bundle, demo_clips[0], classifier))
    assert {line.precision for line in found if line.skipped is None} == {"bf16"}


def test_a_precision_that_the_device_does_not_have_is_refused(hybrid, bundle_dir, demo_clips, tmp_path, bundle):
    with pytest.raises(DeviceError, match="no such precision"):
        settings_of(bundle, precision="fp8")
    options = ("--device", "cpu", "--precision", "fp16", "--out", tmp_path / "r")
    code, _, err = hybrid("run", bundle_dir, *demo_clips, *options)
    assert code == 2
    assert "use bf16 or fp32" in err
    assert not (tmp_path / "r").exists()
