"""Meters: the files of Linux's powercap, a GPU's counters, and what is said where there are none."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest
import torch

from ann_part.energy import energy_of, idle_watts, open_gpu, open_meter, open_rapl


def zone(root, folder, name, energy, most=1000):
    (root / folder).mkdir()
    for file, text in (("name", name), ("energy_uj", energy), ("max_energy_range_uj", most)):
        (root / folder / file).write_text(f"{text}\n")
    return root / folder / "energy_uj"


def test_rapl_counts_packages_once_and_over_the_end_of_a_round(tmp_path):
    first = zone(tmp_path, "intel-rapl:0", "package-0", 990)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 100)
    core = zone(tmp_path, "intel-rapl:0:0", "core", 0)
    meter = open_meter(torch.device("cpu"), tmp_path)
    assert meter.name == "RAPL, 2 CPU packages"

    def work():
        first.write_text("5\n")  # 990 to 1000, then 0, then to 5: 16 steps
        second.write_text("130\n")
        core.write_text("900\n")

    found = energy_of(work, meter)
    assert found.total_j == pytest.approx(46e-6)
    assert found.above_idle_j is None
    second.write_text("131\n")
    assert meter.joules() == pytest.approx(47e-6)


def test_idle_power_is_taken_off(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 0, 10**12)
    meter = open_rapl(tmp_path)
    assert idle_watts(meter, 0.01) == 0

    def work():
        time.sleep(0.05)
        counter.write_text("2000000\n")

    found = energy_of(work, meter, idle_w=10.0)
    assert found.total_j == 2.0
    assert 1.0 < found.above_idle_j <= 1.5  # 0.05 s of 10 W, or longer on a busy machine


def test_without_counters_there_is_time_only_and_the_reason(tmp_path):
    assert open_rapl(tmp_path) == "time only: this machine shows no RAPL counter"
    counter = zone(tmp_path, "intel-rapl:0", "package-0", "nothing")
    assert "RAPL cannot be read" in open_rapl(tmp_path)
    done = []
    found = energy_of(lambda: done.append(1), open_rapl(tmp_path))
    assert (found.total_j, found.above_idle_j, done) == (None, None, [1])
    assert found.meter.startswith("time only")
    if os.geteuid():
        counter.chmod(0)
        assert "root alone" in open_rapl(tmp_path)


class NVMLError(Exception):
    pass


def test_a_gpus_energy_counter_is_read_in_millijoules():
    readings = iter([0, 1500, 4000])
    nvml = SimpleNamespace(NVMLError=NVMLError, nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(readings))
    found = energy_of(lambda: None, open_gpu(nvml, None))
    assert (found.total_j, found.meter) == (2.5, "NVML, energy counter")


def test_without_a_counter_a_gpus_power_is_summed_over_time():
    def none(handle):
        raise NVMLError

    nvml = SimpleNamespace(
        NVMLError=NVMLError, nvmlDeviceGetTotalEnergyConsumption=none, nvmlDeviceGetPowerUsage=lambda handle: 300_000
    )
    meter, begin = open_gpu(nvml, None), time.perf_counter()
    found = energy_of(lambda: time.sleep(0.1), meter)
    most = 300 * (time.perf_counter() - begin)
    meter.close()
    assert 300 * 0.1 <= found.total_j <= most


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_nvml_does_not_show_leaves_time_only():
    assert str(open_meter(torch.device("cuda"))).startswith("time only: NVML says")
