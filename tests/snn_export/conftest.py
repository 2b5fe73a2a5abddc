"""Fixtures of the Lava tests: what a run leaves behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from pathlib import Path

import psutil
import pytest

from snn_export.lava import guard

PATIENCE_S = 5.0


class Family:
    """All processes started below a test, by a mark in their environment, and what they hold."""

    def __init__(self, folder):
        self.mark, self.folder = uuid.uuid4().hex, folder

    def environment(self):
        return {"SNN_TEST_FAMILY": self.mark, "TMPDIR": str(self.folder)}

    def processes(self):
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SNN_TEST_FAMILY") == self.mark and process.pid != os.getpid():
                    found.append(process)
            except psutil.Error:
                pass
        return found

    def segments(self):
        return {path for folder in self.folder.glob("snn-lava-*") for path in guard.segments_of(folder)}

    def leftovers(self):
        return self.processes() + list(self.folder.glob("snn-lava-*"))

    @staticmethod
    def soon(condition):
        """Whether a condition comes true within a few seconds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


@pytest.fixture
def family(monkeypatch):
    folder = Path(tempfile.mkdtemp(prefix="snn-", dir="/tmp"))
    family = Family(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for name, value in family.environment().items():
        monkeypatch.setenv(name, value)
    shared = set(os.listdir("/dev/shm"))
    yield family
    assert family.soon(lambda: not family.leftovers()), family.leftovers()
    new = {name for name in os.listdir("/dev/shm") if name.startswith(("psm_", "sem.", "snn-lava-"))} - shared
    assert family.soon(lambda: not new & set(os.listdir("/dev/shm"))), new
    shutil.rmtree(folder)
