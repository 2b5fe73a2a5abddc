"""Freed arrays stay in the process."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from hybrid.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(40_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(min(faults() for _ in range(3)))
"""


def faults(mode: str) -> int:
    """Page faults of a second array of 40 MB."""
    command = [sys.executable, "-c", SCRIPT, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"NUMPY_MADVISE_HUGEPAGE": "0"})
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_a_second_array_costs_no_page_faults_once_freed_memory_is_kept():
    assert faults("default") > 1000
    assert faults("keep") < 10
