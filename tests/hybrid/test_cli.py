"""Every command end to end, and what a user sees when something is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hybrid.model.checkpoint import load_checkpoint
from hybrid.report.model import Report
from hybrid.shipped import CHECKPOINT
from snn_export import lava


def data_set(root: Path, clips: tuple[Path, ...]) -> Path:
    """Two groups of one clip in each of the six classes, made of the shipped clips."""
    for label in ("Jump", "Run", "Sit", "Stand", "Turn", "Walk"):
        (root / label).mkdir(parents=True)
        for group, clip in enumerate(clips):
            shutil.copy(clip, root / label / f"{label}_{group}_1.avi")
    return root


def test_help_lists_every_command_and_each_has_an_example(hybrid):
    code, out, _ = hybrid("--help")
    assert code == 0
    commands = (
        "demo", "ingest", "transcode", "train", "evaluate", "synthesize", "figures", "partition", "compile", "inspect",
        "verify", "diff",
        "run", "chips", "simulate", "doctor", "sweep", "report",
    )  # fmt: skip
    for command in commands:
        assert command in out
        code, text, _ = hybrid(command, "--help")
        assert code == 0
        assert "Example:" in text


def test_help_does_not_import_torch():
    code = "import sys, hybrid.cli; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_compile_inspect_partition_and_run_in_a_row(hybrid, tmp_path, demo_clips):
    made, report = tmp_path / "b", tmp_path / "r"
    code, _, err = hybrid("compile", CHECKPOINT, "--calibrate", demo_clips[0], "--out", made, "--chip", "loihi1")
    assert code == 0, err
    code, out, _ = hybrid("inspect", made)
    assert code == 0
    assert "checksums are right" in out
    assert "stm_residual.2" in out
    assert "weights of 8 bits; inputs: motion 8 bits" in out
    code, out, _ = hybrid("inspect", made, "--json")
    found = json.loads(out)
    assert found["chip"]["name"] == "loihi1"
    assert found["bytes"] == sum((made / name).stat().st_size for name in found["files"])
    assert sum(layer["cores"] for layer in found["layers"]) == found["mapping"]["utilisation"]["cores"]["used"]
    assert found["parity"]["backends"] == ["hwsim"]
    assert set(found["replay"]["layers"]) == {layer["name"] for layer in found["layers"]}
    code, out, _ = hybrid("run", made, demo_clips[1], "--out", report, "--check", "reference", "--json")
    assert code == 0
    result = json.loads(out)
    assert result["exact"] is True
    assert Path(result["report"]).is_file()
    Report.model_validate_json((report / "report.json").read_text())


def test_partition_explains_every_op_and_writes_nothing(hybrid, tmp_path, demo_clips, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = hybrid("partition", CHECKPOINT, "--calibrate", demo_clips[0], "--pin", "", "--explain")
    assert code == 0
    assert "is no spiking layer" in out
    assert "cheapest cut" in out
    code, out, _ = hybrid("partition", CHECKPOINT, "--calibrate", demo_clips[0], "--json")
    plan = json.loads(out)
    assert sum(op["target"] == "chip" for op in plan["ops"]) == 6
    assert not list(tmp_path.iterdir())


SMALLER = [
    x for change in ("training.epochs=2", "training.batch=2", "input.resize=32", "input.crop=32", "ann.patch=8",
                     "stm.strides=[2,2,2]", "training.later_starts=false", "training.quantised_from=0.5")
    for x in ("--set", change)
]  # fmt: skip


def test_train_writes_a_checkpoint_that_evaluate_measures(hybrid, tmp_path, demo_clips):
    data, model = data_set(tmp_path / "data", demo_clips), tmp_path / "m.safetensors"
    code, out, err = hybrid("train", data, *SMALLER, "--out", model, "--held-out", "0.5")
    assert code == 0, err
    assert "6 held-out clips" in out
    results = {}
    here = ("torch", "hwsim", "lava-fused")[: 3 if lava.available() is None else 2]
    for backend in here:
        code, out, err = hybrid("evaluate", model, data, "--backend", backend, "--held-out", "0.5", "--json")
        assert code == 0, err
        results[backend] = json.loads(out)
        assert sum(map(sum, results[backend]["confusion"])) == results[backend]["clips"] == 6
        assert results[backend]["top5"] >= results[backend]["top1"]
    assert results["torch"]["top1"] == pytest.approx(float(load_checkpoint(model).notes["held_out_accuracy"]), abs=1e-4)
    assert results["hwsim"]["predictions"] == results[here[-1]]["predictions"]
    code, out, err = hybrid("evaluate", model, data, "--held-out", "1", "--picture", tmp_path / "c.png")
    assert code == 0, err
    assert "on 12 clips" in out
    assert (tmp_path / "c.png").stat().st_size > 5000


def test_train_goes_on_from_a_checkpoint_and_reads_official_splits(hybrid, tmp_path, demo_clips):
    data = data_set(tmp_path / "data", demo_clips)
    rows = [f"{path.parent.name}/{path.name}" for path in sorted(data.glob("*/*.avi"))]
    split = {0: "train", 1: "test"}
    listing = ["path,label,split", *(f"{row},{row.split('/')[0]},{split[i % 2]}" for i, row in enumerate(rows))]
    (tmp_path / "list.csv").write_text("\n".join(listing) + "\nRun/absent.avi,Run,train\n")
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    given = ("train", data, *SMALLER, "--annotations", tmp_path / "list.csv")
    code, _, err = hybrid(*given, "--out", first)
    assert code == 2
    assert "absent.avi" in err
    code, _, err = hybrid(*given, "--out", first, "--missing", "skip")
    assert code == 0, err
    assert "1 left out" in err
    code, _, err = hybrid(*given, "--out", second, "--missing", "skip", "--from", first)
    assert code == 0, err
    assert "--from" in load_checkpoint(second).notes["command"]
    other = ("--set", "ann.depth=1", "--out", tmp_path / "x.safetensors")
    code, _, err = hybrid(*given, "--missing", "skip", "--from", first, *other)
    assert code == 2
    assert "another config" in err


def test_synthesize_and_figures_write_what_they_name(hybrid, tmp_path, demo_clips):
    code, out, err = hybrid("synthesize", tmp_path / "clips", "--clips", "1")
    assert code == 0, err
    assert len(list((tmp_path / "clips").glob("*/*.avi"))) == 6
    code, out, err = hybrid("figures", CHECKPOINT, demo_clips[0], "--out", tmp_path / "figures")
    assert code == 0, err
    assert "tsne.png" in out
    assert "features.png" in out


def test_transcode_makes_a_refused_video_one_that_ingest_reads(hybrid, tmp_path, clip_frames, encode):
    source = encode(tmp_path / "new.mp4", clip_frames[:30], "libx264")
    code, _, err = hybrid("ingest", source, "--out", tmp_path / "page")
    assert code == 2
    assert "hybrid transcode" in err
    assert not (tmp_path / "page").exists()
    code, out, _ = hybrid("transcode", source, tmp_path / "old.avi")
    assert code == 0
    assert "30 frames" in out
    code, out, _ = hybrid("ingest", tmp_path / "old.avi", "--out", tmp_path / "page", "--json")
    assert code == 0
    assert json.loads(out)["gop_frames"] == [12, 12, 6]
    assert (tmp_path / "page" / "ingest.html").is_file()


def test_transcoding_a_folder_reports_what_failed_and_ends_with_1(hybrid, tmp_path, demo_clips):
    (tmp_path / "in").mkdir()
    shutil.copy(demo_clips[0], tmp_path / "in")
    (tmp_path / "in" / "bad.mp4").write_text("no video")
    code, out, err = hybrid("transcode", tmp_path / "in", tmp_path / "out", "--workers", "1")
    assert code == 1
    assert "1 done, 0 skipped, 1 failed" in out
    assert "bad.mp4" in err
    code, out, _ = hybrid("transcode", tmp_path / "in", tmp_path / "out", "--workers", "1", "--json")
    assert code == 1
    assert json.loads(out)["skipped"] == 1


def test_chips_lists_profiles_and_shows_sources(hybrid):
    code, out, _ = hybrid("chips")
    assert code == 0
    assert {"loihi2", "tianjic"} <= {line.split(":")[0] for line in out.splitlines()}
    code, out, _ = hybrid("chips", "loihi2", "--json")
    assert json.loads(out)["name"] == "loihi2"
    code, out, _ = hybrid("chips", "tianjic")
    assert code == 0
    assert "time phase" in out


def test_bad_input_gives_one_clear_message_and_its_exit_code(hybrid, tmp_path, bundle_dir, demo_clips, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no video")
    tampered = shutil.copytree(bundle_dir, tmp_path / "tampered")
    with (tampered / "mapping.json").open("a") as file:
        file.write(" ")
    before = sorted(path for path in tmp_path.rglob("*"))
    clip = demo_clips[0]
    for arguments, exit_code, what, fix in (
        (("run", bundle_dir, "notes.txt"), 2, "cannot be read", "complete video"),
        (("run", bundle_dir, "absent.avi"), 2, "no such file", "path"),
        (("run", tampered, clip), 4, "checksum", "compile"),
        (("run", "absent", clip), 2, "no bundle", "hybrid compile"),
        (("run", bundle_dir, clip, "--backend", "brian"), 2, "no such backend", "hwsim"),
        (("compile", "absent.safetensors", "--calibrate", clip), 2, "no such checkpoint", "hybrid train"),
        (("compile", CHECKPOINT, "--calibrate", clip, "--chip", "loihi3"), 2, "loihi3", "loihi2"),
        (("compile", CHECKPOINT, "--calibrate", clip, "--link", "pcie"), 2, "no link profile", "pcie4"),
        (("compile", CHECKPOINT, "--calibrate", clip, "--pin", "head"), 3, "no spiking layer", "pin spiking"),
        (("demo", "--chip", "tianjik", "--out", "d"), 2, "tianjik", "tianjic"),
        (("train", "absent"), 2, "no such folder", "sub-folder"),
        (("train", "absent", "--set", "stm.kind=lstm"), 2, "stm.kind", "correct"),
        (("train", "absent", "--set", "stm"), 2, "no key=value", "stm.kind=none"),
        (("train", ".", "--layout", "imagenet"), 2, "no such layout", "ucf101"),
        (("train", ".", "--layout", "ucf101"), 2, "annotation", "--annotations"),
        (("evaluate", "absent.safetensors", "."), 2, "no such checkpoint", "hybrid train"),
        (("figures", CHECKPOINT, "notes.txt"), 2, "cannot be read", "complete video"),
        (("transcode", "absent.mp4", "x.avi"), 2, "no such file", "path"),
        (("ingest", "notes.txt", "--out", "p"), 2, "cannot be read", "complete video"),
        (("chips", "loihi"), 2, "loihi", "did you mean"),
    ):
        code, out, err = hybrid(*arguments)
        assert code == exit_code, (arguments, err)
        assert what in err, (arguments, err)
        assert fix in err, (arguments, err)
        assert "Traceback" not in err
        assert not out
    code, _, err = hybrid("run", bundle_dir)
    assert code == 2
    assert sorted(path for path in tmp_path.rglob("*")) == before


SHARED = re.compile(r"/dev/shm/(\S+)")


def family(process: subprocess.Popen) -> list[psutil.Process]:
    """The process and all that descend from it, the ones whose parents are gone included."""
    session = [p for p in psutil.process_iter() if p.pid == process.pid]
    return session + [child for p in session for child in p.children(recursive=True)]


def shared(processes: list[psutil.Process]) -> set[str]:
    """Shared-memory segments that these processes have mapped now."""
    found: set[str] = set()
    for process in processes:
        with contextlib.suppress(OSError):
            found |= set(SHARED.findall(Path(f"/proc/{process.pid}/maps").read_text()))
    return found


def watch(process: subprocess.Popen, until=lambda processes, segments: False) -> tuple[set[psutil.Process], set[str]]:
    """Everything that the process starts and maps, until it ends or `until` says so."""
    processes: set[psutil.Process] = set()
    segments: set[str] = set()
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline and not until(processes, segments):
        now = family(process)
        processes |= set(now)
        segments |= shared(now)
        time.sleep(0.05)
    return processes, segments


def assert_gone(processes: set[psutil.Process], segments: set[str]) -> None:
    _, alive = psutil.wait_procs(list(processes), timeout=10)
    assert not alive
    assert not segments & {path.name for path in Path("/dev/shm").iterdir()}


def test_the_demo_prints_one_json_object_and_leaves_nothing_running(tmp_path):
    command = [sys.executable, "-m", "hybrid", "demo", "--out", str(tmp_path / "demo"), "--json"]
    with (tmp_path / "out").open("w") as out, subprocess.Popen(command, stdout=out, cwd=tmp_path) as process:
        processes, segments = watch(process)
    assert process.returncode == 0
    result = json.loads((tmp_path / "out").read_text())
    assert result["exact"] is True
    if lava.available() is None:
        assert result["checked"] == ["hwsim", "reference", "lava-fused", "lava-stock"]
        assert len(processes) > 4
        assert segments
    assert len(result["videos"]) == 2
    page = (tmp_path / "demo" / "report.html").read_text()
    assert all(Path(video["video"]).name in page for video in result["videos"])
    assert json.loads((tmp_path / "demo" / "trace.json").read_text())["traceEvents"]
    assert len(result["alternatives"]["rows"]) >= 6
    assert_gone(processes, segments)


@pytest.mark.skipif(lava.available() is not None, reason=str(lava.available()))
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_in_the_middle_of_the_demo_leaves_no_process_segment_or_half_file(tmp_path, name):
    command = [sys.executable, "-m", "hybrid", "demo", "--out", str(tmp_path / "demo")]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
        # until Lava's processes share memory
        processes, segments = watch(process, lambda found, mapped: len(found) > 4 and bool(mapped))
        assert process.poll() is None
        processes |= set(family(process))
        process.send_signal(getattr(signal, name))
        process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert segments
    assert_gone(processes, segments)
    assert {path.name for path in tmp_path.iterdir()} <= {"demo"}
    assert {path.name for path in (tmp_path / "demo").iterdir()} <= {"bundle"}
