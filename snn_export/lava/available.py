"""Whether Lava can run here."""

from __future__ import annotations

import importlib.util
import sys


def available(lowering: str = "fused") -> str | None:
    """None where Lava can run this lowering, else one line that says why not and how to get it."""
    if sys.platform != "linux":
        return f"Lava runs under this backend on Linux only, and this is {sys.platform}"
    module, package = ("lava.lib.dl.netx", "lava-dl 0.6.0") if lowering == "netx" else ("lava.magma", "lava-nc 0.10.0")
    try:
        found = importlib.util.find_spec(module) is not None
    except ImportError:
        found = False
    if found:
        return None
    python = ".".join(map(str, sys.version_info[:2]))
    return (
        f"Lava ({package}) is not installed in this Python {python}; it needs Python 3.10: "
        f"make an environment with Python 3.10 and run `pip install {package.replace(' ', '==')}` in it"
    )
