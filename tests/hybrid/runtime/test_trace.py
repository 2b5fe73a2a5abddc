"""The trace of a GOP: the format that viewers read, and times that are the simulator's."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import hybrid.report
from hwsim.timing import depth
from hybrid.report.trace import Trace, schema, write_trace
from hybrid.runtime import trace as tracing
from hybrid.runtime.run import run_videos, settings_of


@pytest.fixture(scope="module")
def seen(bundle, demo_clips):
    found = []
    settings = settings_of(bundle, device="cpu", repeats=1)
    report = run_videos(bundle, demo_clips, settings, look=lambda *given: found.append(given))
    (video, classified) = found[0]
    assert len(found) == 1
    return report, classified, tracing.trace_of(bundle, video.name, classified, torch.device("cpu"))


def spans(trace, pid, tid=None):
    return [e for e in trace.traceEvents if e.ph == "X" and e.pid == pid and tid in (None, e.tid)]


def test_the_file_is_in_the_trace_event_format(seen, tmp_path):
    data = json.loads(write_trace(seen[2], tmp_path).read_text())
    assert Trace.model_validate(data) == seen[2]
    assert {event["ph"] for event in data["traceEvents"]} == {"X", "M"}
    named = {(e["pid"], e["tid"]) for e in data["traceEvents"] if e["name"] == "thread_name"}
    for event in data["traceEvents"]:
        if event["ph"] == "X":
            assert event["ts"] >= 0
            assert event["dur"] > 0
            assert (event["pid"], event["tid"]) in named
    named = {e["pid"] for e in data["traceEvents"] if e["name"] == "process_name"}
    assert named == {e["pid"] for e in data["traceEvents"] if e["ph"] == "X"}


def test_the_shipped_schema_is_that_of_the_record():
    shipped = Path(hybrid.report.__file__).parent / "trace.schema.json"
    assert json.loads(shipped.read_text()) == schema()


def test_lanes_never_hold_two_spans_at_once(seen):
    lanes = {}
    for event in seen[2].traceEvents:
        if event.ph == "X":
            lanes.setdefault((event.pid, event.tid), []).append(event)
    for events in lanes.values():
        ordered = sorted(events, key=lambda e: e.ts)
        assert all(a.ts + a.dur <= b.ts + 1e-6 for a, b in pairwise(ordered))


def test_cores_are_busy_as_long_as_the_simulator_says_and_steps_end_with_the_barrier(seen, bundle):
    _, classified, trace = seen
    timing = classified.timing
    for k in range(len(bundle.mapping.cores)):
        busy = sum(e.dur for e in spans(trace, tracing.CHIP, tracing.FIRST_CORE + k)) / tracing.US
        assert busy == pytest.approx(timing.core.nominal[-1, :, k].sum())
    steps = spans(trace, tracing.CHIP, tracing.STEPS)
    count = timing.step.nominal.shape[1]
    assert len(steps) == count + depth(bundle.network) - 1
    barriers = spans(trace, tracing.CHIP, tracing.BARRIER)
    assert [b.ts + b.dur for b in barriers] == pytest.approx([s.ts + s.dur for s in steps[:count]])
    arrivals = spans(trace, tracing.HOST_LINK, tracing.TO_CHIP)
    assert all(step.ts >= sent.ts + sent.dur - 1e-6 for step, sent in zip(steps, arrivals, strict=False))


def test_what_follows_the_last_p_frame_is_the_reports_timeline(seen):
    report, _, trace = seen
    (result,) = spans(trace, tracing.HOST_LINK, tracing.TO_HOST)
    chip = [span for span in report.videos[0].timeline if span.lane == "chip"]
    last = spans(trace, tracing.CHIP, tracing.STEPS)[-len(chip) :]
    assert [e.dur / tracing.US for e in last] == pytest.approx([span.duration_s for span in chip])
    back = [span for span in report.videos[0].timeline if span.lane == "link"][-1]
    assert result.dur / tracing.US == pytest.approx(back.duration_s)
    operators = spans(trace, tracing.ANN)
    assert {e.cat for e in operators} == {"measured"}
    assert any("conv" in e.args["operator"] for e in operators)
    assert operators[0].ts == pytest.approx(result.ts + result.dur)


def test_the_command_writes_it_once(hybrid, bundle_dir, demo_clips, tmp_path):
    code, _, err = hybrid("run", bundle_dir, *demo_clips, "--out", tmp_path / "r", "--repeats", "1")
    assert code == 0, err
    Trace.model_validate_json((tmp_path / "r" / "trace.json").read_text())
    before = (tmp_path / "r" / "trace.json").stat().st_mtime_ns
    assert hybrid("run", bundle_dir, *demo_clips, "--out", tmp_path / "r", "--repeats", "1")[0] == 0
    assert (tmp_path / "r" / "trace.json").stat().st_mtime_ns == before
