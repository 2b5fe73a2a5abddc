"""Every command end to end, and what a user sees when something is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hybrid import cli
from hybrid.model.checkpoint import load_checkpoint
from hybrid.report.model import Report
from hybrid.shipped import CHECKPOINT
from snn_export import lava


@pytest.fixture
def hybrid(monkeypatch, capsys):
    """Run a command in this process: (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hybrid", *map(str, arguments)])
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return run


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
    for command in ("demo", "run", "compile", "partition", "inspect", "train", "evaluate", "chips"):
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
    code, out, _ = hybrid("inspect", made, "--json")
    assert json.loads(out)["chip"]["name"] == "loihi1"
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


def test_train_writes_a_checkpoint_that_evaluate_measures(hybrid, tmp_path, demo_clips):
    data = data_set(tmp_path / "data", demo_clips)
    config = (Path(cli.__file__).parent / "model" / "configs" / "tiny.toml").read_text()
    smaller = {"epochs = 20": "epochs = 1", "batch = 8": "batch = 2", "crop = 112": "crop = 64", "= 128": "= 64"}
    for old, new in smaller.items():
        assert old in config
        config = config.replace(old, new)
    (tmp_path / "mini.toml").write_text(config)
    model = tmp_path / "m.safetensors"
    code, out, err = hybrid("train", data, "--config", tmp_path / "mini.toml", "--out", model, "--held-out", "0.5")
    assert code == 0, err
    assert "6 clips of held-out groups" in out
    results = {}
    for backend in ("torch", "hwsim"):
        code, out, err = hybrid("evaluate", model, data, "--backend", backend, "--held-out", "0.5", "--json")
        assert code == 0, err
        results[backend] = json.loads(out)
        assert sum(map(sum, results[backend]["confusion"])) == results[backend]["clips"] == 6
    assert results["torch"]["top1"] == pytest.approx(float(load_checkpoint(model).notes["held_out_accuracy"]), abs=1e-4)


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


def ours() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir()}


def test_the_demo_prints_one_json_object_and_leaves_nothing_running(tmp_path):
    before = ours()
    command = [sys.executable, "-m", "hybrid", "demo", "--out", str(tmp_path / "demo"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["exact"] is True
    if lava.available() is None:
        assert result["checked"] == ["hwsim", "reference", "lava-fused", "lava-stock"]
    assert len(result["videos"]) == 2
    assert (tmp_path / "demo" / "report.html").stat().st_size > 100_000
    assert ours() <= before
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]


@pytest.mark.skipif(lava.available() is not None, reason=str(lava.available()))
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_in_the_middle_of_the_demo_leaves_no_process_segment_or_half_file(tmp_path, name):
    before = ours()
    command = [sys.executable, "-m", "hybrid", "demo", "--out", str(tmp_path / "demo")]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
        root = psutil.Process(process.pid)
        deadline = time.monotonic() + 120
        while not ours() - before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)  # until Lava has made its shared memory
        family = [root, *root.children(recursive=True)]
        assert len(family) > 2
        process.send_signal(getattr(signal, name))
        process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert ours() <= before
    assert {path.name for path in tmp_path.iterdir()} <= {"demo"}
    assert {path.name for path in (tmp_path / "demo").iterdir()} <= {"bundle"}
