"""Processes that were started to train together end with the first one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

import hybrid

FIRST = """
import os, subprocess, sys, time
from hybrid.workers import follow, lead
lead()
assert not follow()
other = "import time; from hybrid.workers import follow; assert follow(); print('follows', flush=True); time.sleep(60)"
process = subprocess.Popen([sys.executable, "-c", other], env=os.environ | {"LOCAL_RANK": "1"}, stdout=subprocess.PIPE)
process.stdout.readline()
print(process.pid, flush=True)
time.sleep(60)
"""


def test_a_follower_ends_when_its_leader_is_killed():
    environment = os.environ | {"PYTHONPATH": str(Path(hybrid.__file__).parents[1]), "LOCAL_RANK": "0"}
    with subprocess.Popen([sys.executable, "-c", FIRST], stdout=subprocess.PIPE, env=environment) as first:
        other = psutil.Process(int(first.stdout.readline()))
        assert other.is_running()
        first.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while other.is_running() and other.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the other process lived on"
        time.sleep(0.05)
