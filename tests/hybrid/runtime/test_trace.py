"""The trace of a GOP: the format that viewers read, and times that are the simulator's."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import torch

import hybrid.report
from hwsim.timing import depth
from hybrid.bundle import load_bundle
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


def check_format(data):
    """The object form of Chrome's trace-event format, by its description; not by our own records.

    A viewer draws complete events (`X`) of a thread as a stack: two of them lie one in the other or apart. Metadata
    (`M`) name processes and threads, and a thread that nothing names is shown by its number.
    """
    assert isinstance(data["traceEvents"], list)
    assert data["displayTimeUnit"] in ("ms", "ns")
    threads, processes, slices = set(), set(), {}
    for event in data["traceEvents"]:
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert isinstance(event["name"], str)
        assert isinstance(event["args"], dict)
        if event["ph"] == "M":
            key, kind = {"process_name": ("name", str), "thread_name": ("name", str)}.get(
                event["name"], ("sort_index", int)
            )
            assert event["name"] in ("process_name", "thread_name", "process_sort_index", "thread_sort_index")
            assert list(event["args"]) == [key]
            assert isinstance(event["args"][key], kind)
            if event["name"] == "thread_name":
                threads.add((event["pid"], event["tid"]))
            elif event["name"] == "process_name":
                processes.add(event["pid"])
            continue
        assert event["ph"] == "X"
        assert isinstance(event["cat"], str)
        for key in ("ts", "dur"):
            assert isinstance(event[key], (int, float))
            assert 0 <= event[key] < float("inf")
        slices.setdefault((event["pid"], event["tid"]), []).append(event)
    assert set(slices) == threads
    assert {pid for pid, _ in slices} == processes
    for events in slices.values():
        open_ends = []
        for event in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
            begin, end = event["ts"], event["ts"] + event["dur"]
            while open_ends and open_ends[-1] <= begin + 1e-6:
                open_ends.pop()
            assert not open_ends or end <= open_ends[-1] + 1e-6
            open_ends.append(end)


def test_the_file_is_in_the_trace_event_format(seen, tmp_path):
    data = json.loads(write_trace(seen[2], tmp_path).read_text())
    check_format(data)
    jsonschema.validate(data, schema())
    assert Trace.model_validate(data) == seen[2]
    longer = [e | {"dur": 1.5 * e["dur"]} if e["name"] == "step 1" else e for e in data["traceEvents"]]
    with pytest.raises(AssertionError):  # slices that cross are seen
        check_format(data | {"traceEvents": longer})


def test_cores_links_barrier_transfers_and_operators_all_have_lanes(compiled, demo_clips, tmp_path_factory):
    """On Loihi 1, whose links take time."""
    bundle = load_bundle(compiled(tmp_path_factory.mktemp("links") / "b", chip="loihi1"))
    found, settings = [], settings_of(bundle, device="cpu", repeats=1)
    run_videos(bundle, demo_clips[:1], settings, look=lambda *given: found.append(given[1]))
    trace = tracing.trace_of(bundle, "clip", found[0], torch.device("cpu"))
    check_format(json.loads(trace.model_dump_json()))
    lanes = [e.args["name"] for e in trace.traceEvents if e.name == "thread_name"]
    assert len([name for name in lanes if name.startswith("core ")]) == len(bundle.mapping.cores)
    assert any(name.startswith("tile (") for name in lanes)
    assert {"barrier", "to the chip", "to the host", "operators"} < set(lanes)
    assert len(spans(trace, tracing.CHIP, tracing.BARRIER)) == bundle.video_model().input.steps
    assert sum(e.args["packets"] for e in spans(trace, tracing.LINKS)) == found[0].usage.counts.link_load[-1].sum()


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
