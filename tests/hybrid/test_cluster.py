"""Work on Ray: a cluster of two nodes on this machine, workers and drivers that are really killed, nothing left."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import ray
from ray import cloudpickle
from ray.cluster_utils import Cluster

from hybrid.cluster import joined
from hybrid.errors import BadInputError
from hybrid.executor import AHEAD, TRIES, WorkerDiedError, Workers, run_items
from hybrid.guard import users
from hybrid.parquet import read_rows
from hybrid.shipped import CHECKPOINT

WAITING = """
import sys, time
import hybrid.cli
from hybrid.executor import Workers, run_items

folder = sys.argv[1]

def work(x):
    open(f"{folder}/{x}", "w").close()
    time.sleep(60)

hybrid.cli.app = lambda: list(run_items(range(4), work, Workers(2)))
hybrid.cli.main()
"""
"""A command whose two workers are busy."""
LABELS = ("Jump", "Run", "Sit", "Stand", "Turn", "Walk")
CLIPS = 2 * len(LABELS)


@pytest.fixture(scope="module")
def environment():
    """Ray starts some ten Python processes: let them share what Python compiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield


@pytest.fixture(scope="module")
def address(environment):
    """A cluster of two nodes with a CPU each."""
    folder = tempfile.mkdtemp(prefix="two-", dir="/tmp")  # short, for the names of sockets
    (Path(folder) / "ray").mkdir()  # where Ray notes the address of the newest cluster
    slim = {"num_cpus": 1, "include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        cluster = Cluster(initialize_head=True, head_node_args=slim)
        try:
            cluster.add_node(**slim)
            cluster.wait_for_nodes()
            yield cluster.address
        finally:
            cluster.shutdown()
            for process in set(users(folder)) - {os.getpid()}:
                os.kill(process, signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def crew(address):
    """Connected for the tests that share the connection; what they work with goes to the workers by value."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with joined(address) as cpus:
        assert cpus == 2
        yield Workers(2)


@pytest.fixture(scope="module")
def folder(demo_clips, tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    for i, label in enumerate(LABELS * 2):
        (root / label).mkdir(exist_ok=True)
        shutil.copy(demo_clips[i % 2], root / label / f"{label}_{i}_0.avi")
    return root


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_an_address_without_a_cluster_is_refused_soon(hybrid, tmp_path, demo_clips, answer):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        if answer is not None:
            listener.listen()
            threading.Thread(target=lambda: listener.accept()[0].sendall(answer) or time.sleep(8), daemon=True).start()
        begin = time.monotonic()
        code, _, err = hybrid(
            "sweep", CHECKPOINT, "--calibrate", demo_clips[0], "--interval", 2, "--split", "", "--out", tmp_path,
            "--address", f"127.0.0.1:{port}",
        )  # fmt: skip
    assert code == 2
    assert "no Ray cluster answers there" in err
    assert "ray start --head" in err
    assert time.monotonic() - begin < 20


def test_an_address_of_another_form_is_refused(hybrid, tmp_path, demo_clips):
    given = ("sweep", CHECKPOINT, "--calibrate", demo_clips[0], "--interval", 2, "--split", "", "--out", tmp_path)
    code, _, err = hybrid(*given, "--address", "somewhere")
    assert code == 2
    assert "HOST:PORT" in err


def test_both_nodes_work_and_the_results_are_those_of_this_process(crew):
    def work(x):
        time.sleep(0.05)
        return x * x, ray.get_runtime_context().get_node_id()

    found = {outcome.item: outcome.get() for outcome in run_items(range(30), work, crew)}
    assert {x: square for x, (square, _) in found.items()} == {x: x * x for x in range(30)}
    assert len({node for _, node in found.values()}) == 2


def test_workers_are_where_their_giver_is(crew, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {outcome.get() for outcome in run_items([1, 2, 3], lambda _: os.getcwd(), crew)} == {str(tmp_path)}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep it")
def test_workers_keep_freed_memory(crew):
    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        len(b"x" * 40_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    found = [outcome.get() for outcome in run_items(range(2), lambda _: [faults() for _ in range(4)], crew)]
    assert max(min(some) for some in found) < 1000  # of 10,000 pages


def test_the_item_of_a_killed_worker_is_given_to_another_one(crew, tmp_path):
    def work(x):
        tries = tmp_path / f"{x}"
        with tries.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if x == 3 and len(tries.read_text().splitlines()) == 1:
            time.sleep(60)  # until it is killed
        return x

    def kill():
        while not (tmp_path / "3").exists() or not (tmp_path / "3").read_text().endswith("\n"):
            time.sleep(0.01)
        os.kill(int((tmp_path / "3").read_text()), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    assert sorted(outcome.get() for outcome in run_items(range(6), work, crew)) == list(range(6))
    thread.join()
    first, second = (tmp_path / "3").read_text().split()
    assert first != second
    assert [len((tmp_path / f"{x}").read_text().split()) for x in (0, 1, 2, 4, 5)] == [1] * 5


def test_an_item_that_kills_every_worker_is_told_and_left_out(crew, tmp_path):
    def work(x):
        if x == 2:
            with (tmp_path / "tries").open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    outcomes = {outcome.item: outcome for outcome in run_items(range(5), work, crew)}
    assert isinstance(outcomes[2].error, WorkerDiedError)
    assert "each of the 3 times" in outcomes[2].error.what
    assert (tmp_path / "tries").read_text() == "x" * TRIES
    assert [outcomes[x].get() for x in (0, 1, 3, 4)] == [0, 1, 3, 4]


def test_items_are_taken_only_as_they_are_needed(crew):
    taken = []

    def items():
        for x in range(40):
            taken.append(x)
            yield x

    for done, _ in enumerate(run_items(items(), abs, crew)):
        assert len(taken) <= done + 1 + AHEAD * 2
    assert len(taken) == 40


def test_errors_come_back_as_they_were_raised(crew):
    def work(x):
        if x == 1:
            raise BadInputError("here", "one is bad", "take two")
        raise ValueError(x)

    (bad,) = run_items([1], work, crew)
    assert (type(bad.error), bad.error.where, bad.error.fix) == (BadInputError, "here", "take two")
    with pytest.raises(ValueError, match="2"):
        list(run_items([2], work, crew))


def test_a_sweep_on_the_cluster_has_the_points_of_one_in_this_process(hybrid, crew, demo_clips, tmp_path):
    given = (
        "sweep",
        CHECKPOINT,
        "--calibrate",
        demo_clips[0],
        "--interval",
        2,
        "--chip",
        "loihi2",
        "--host",
        "orin64",
        "--json",
    )
    given += ("--split", "", "--split", "stm_motion.0", "--split", "stm_motion.2,stm_residual.2")
    points = {}
    for name, workers in (("here", 1), ("there", 2)):
        code, out, err = hybrid(*given, "--workers", workers, "--out", tmp_path / name)
        assert code == 0, err
        points[name] = json.loads(out)["points"]
    assert points["there"] == points["here"]
    rows = [sorted(read_rows(tmp_path / name / "points.parquet"), key=lambda row: row["key"]) for name in points]
    assert rows[0] == rows[1]
    assert len({row["key"] for row in rows[0]}) == len(points["here"])


def test_clips_prepared_and_measured_on_the_cluster_are_those_of_this_process(hybrid, crew, folder, tmp_path):
    cache, made = tmp_path / "cache", {}
    for workers in (2, 1):
        options = ("--workers", workers, "--cache", cache, "--set", "training.later_starts=false")
        code, out, err = hybrid("extract", folder, *options, "--json")
        assert code == 0, err
        assert json.loads(out)["clips"] == CLIPS
        made[workers] = {path.name: path.stat().st_mtime_ns for path in cache.glob("*.safetensors")}
    assert len(made[2]) == 2  # the clips are copies of two
    assert made[1] == made[2]
    assert len(read_rows(Path(json.loads(out)["table"]))) == CLIPS
    found = []
    for options in (("--workers", 2, "--table", tmp_path / "scores"), ("--table", tmp_path / "scores"), ()):
        code, out, err = hybrid("evaluate", CHECKPOINT, folder, "--held-out", 1, *options, "--json")
        assert code == 0, err
        found.append(json.loads(out))
        assert len(read_rows(tmp_path / "scores")) == CLIPS
    assert found[0] == found[1] == found[2]
    assert found[0]["clips"] == CLIPS
    (folder / "Jump" / "bad.avi").write_text("no video")
    try:
        options = ("--workers", 2, "--table", tmp_path / "scores", "--missing", "skip")
        code, out, err = hybrid("evaluate", CHECKPOINT, folder, "--held-out", 1, *options, "--json")
        assert (code, json.loads(out)) == (0, found[0]), err
        assert "bad.avi" in err
        code, out, err = hybrid("extract", folder, "--workers", 2, "--cache", cache, "--json")
        assert (code, json.loads(out)["failed"]) == (1, 1), err
        assert "bad.avi" in err
    finally:
        (folder / "Jump" / "bad.avi").unlink()


def test_a_killed_run_leaves_nothing_and_goes_on_on_a_cluster(environment, address, bundle_dir, folder, tmp_path):
    run = [sys.executable, "-m", "hybrid", "run", str(bundle_dir), str(folder), "--out", str(tmp_path / "r")]
    run += ["--repeats", "1", "--device", "cpu"]
    lines = tmp_path / "r" / "videos.jsonl"
    temporary = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    alone = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(
        [*run, "--workers", "2"], env=alone, stderr=subprocess.PIPE, start_new_session=True
    ) as driver:
        while driver.poll() is None and (not lines.exists() or lines.read_text().count("\n") < 3):
            time.sleep(0.02)
        assert driver.poll() is None, driver.stderr.read()
        (ours,) = temporary.glob("hybrid-*")
        assert len(users(str(ours))) > 3
        driver.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (in_session(driver.pid) or ours.exists()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert in_session(driver.pid) == []
    assert users(str(ours)) == []
    assert list(temporary.glob("hybrid-*")) == []
    temporary.rmdir()
    kept = lines.read_text()
    kept = kept[: kept.rfind("\n") + 1]
    assert 3 <= kept.count("\n") < CLIPS
    done = subprocess.run([*run, "--address", address], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert lines.read_text().startswith(kept)
    assert lines.read_text().count("\n") == CLIPS
    rows = read_rows(tmp_path / "r" / "videos.parquet")
    assert sorted(row["video"] for row in rows) == sorted(str(path) for path in folder.rglob("*.avi"))
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert [video["video"] for video in report["videos"]] == sorted(row["video"] for row in rows)
    assert len({(row["label"], row["spikes"]) for row in rows}) == 2  # the videos are copies of two


def test_sigterm_to_all_processes_at_once_ends_a_command_with_its_exit_code(environment, tmp_path):
    temporary = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    alone = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen([sys.executable, "-c", WAITING, str(tmp_path)], env=alone, start_new_session=True) as driver:
        while driver.poll() is None and len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.02)
        (ours,) = temporary.glob("hybrid-*")
        # the command first: one that sees Ray's own processes end before it is told fails, with 1
        for process in (driver.pid, *(set(users(str(ours))) - {driver.pid})):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
        assert driver.wait(30) == 128 + signal.SIGTERM
    deadline = time.monotonic() + 20
    while ours.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert users(str(ours)) == []
    temporary.rmdir()


def in_session(session: int) -> list[str]:
    """Names of the processes of that session that are left, zombies aside."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(name)
    return found
