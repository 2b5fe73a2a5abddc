"""Whether Lava can run here."""

from __future__ import annotations

import importlib.util
import sys


def available() -> str | None:
    """None where Lava can run, else one line that says why not and how to get it."""
    if sys.platform != "linux":
        return f"Lava runs under this backend on Linux only, and this is {sys.platform}"
    try:
        found = importlib.util.find_spec("lava.magma") is not None
    except ImportError:
        found = False
    if found:
        return None
    python = ".".join(map(str, sys.version_info[:2]))
    return (
        f"Lava (lava-nc 0.10.0) is not installed in this Python {python}; it needs Python 3.10: "
        "make an environment with Python 3.10 and run `pip install lava-nc==0.10.0` in it"
    )
