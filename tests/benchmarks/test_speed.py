"""The benchmark of speeds: turns, memory that does not suffice, and what it writes."""

from __future__ import annotations

import time

import pytest
import torch

from ann_part.energy import Energy
from benchmarks import throughput
from benchmarks.speed.peers import PEERS
from benchmarks.speed.render import best, eager_of, picture, table
from benchmarks.speed.row import Clock, Row, Speed, macs_of


def clock(lines, limit=60.0):
    return Clock(torch.device("cpu"), 3, limit, "time only", None, lines.append)


def test_a_row_is_timed_at_every_batch_and_scaled_to_a_video():
    calls = []

    def prepare(batch):
        return lambda: (calls.append(batch), time.sleep(0.01 * batch))

    found = clock([]).speeds(Row("sleeper", 8, 1.0, prepare, (1, 4)))
    assert calls == [1] * 4 + [4] * 4  # one warms up
    assert [s.batch for s in found] == [1, 4]
    for speed in found:
        assert min(speed.seconds) >= 8 * 0.01
        assert speed.videos_per_second <= 1 / 0.08
        assert max(speed.cpu_s) < 0.08  # sleeping costs a CPU nothing
        assert speed.accounted_j == pytest.approx(4.6e-3)


def test_batches_stop_where_memory_or_time_does_and_memory_is_told():
    def prepare(batch):
        def work():
            if batch > 4:
                raise torch.cuda.OutOfMemoryError("as the driver would")
            time.sleep(0.01)

        return work

    lines = []
    assert [s.batch for s in clock(lines).speeds(Row("hungry", 8, 1.0, prepare, (1, 2, 4, 8, 16)))] == [1, 2, 4]
    assert lines == ["hungry: out of memory at 8 views at once; 4 was the last"]
    assert [s.batch for s in clock(lines, limit=0.015).speeds(Row("slow", 8, 1.0, prepare, (1, 2, 4)))] == [1]


def speed(name, batch, seconds):
    return Speed(name, 8, 10.0, batch, (seconds,) * 3, (seconds,) * 3, Energy(2.0, 1.5, "NVML"))


def test_ours_are_compared_with_their_own_eager_form_at_the_same_batch():
    rows = [speed("ours, base: deployed", 1, 2.0), speed("ours, base: deployed", 8, 1.0),
            speed("ours, base: eager float model", 1, 4.0), speed("ours, base: eager float model", 8, 3.0),
            speed("ours, large: deployed", 8, 9.0), speed("peer", 1, 5.0)]  # fmt: skip
    assert eager_of(rows[1], rows) is rows[3]
    assert eager_of(rows[4], rows) is None
    lines = table(rows).splitlines()
    assert [line.split(" | ")[7] for line in lines[2:]] == ["2.00x", "3.00x", "1.00x", "1.00x", "", ""]
    assert "2 (1.5)" in lines[2]
    assert [s.batch for s in best(rows)] == [8, 8, 8, 1]
    assert picture(rows, "here").startswith(b"\x89PNG")


def test_operations_of_a_peer_are_counted():
    assert macs_of(torch.nn.Linear(4, 6), [torch.rand(5, 4)]) == 4 * 6 * 5 / 1e9


def test_every_peer_of_the_issue_is_there():
    assert [name.split()[0].split(":")[0] for name, *_ in PEERS] == [
        "CoViAR", "R(2+1)D-18", "S3D", "MViTv2-S", "VideoSwin-B"
    ]  # fmt: skip


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_asked_for_and_absent_ends_the_benchmark_with_one_error(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["throughput.py", "--quick", "--device", "cuda"])
    with pytest.raises(SystemExit) as error:
        throughput.main()
    assert error.value.code == 2
    assert "no CUDA GPU can be used on this machine" in capsys.readouterr().err
