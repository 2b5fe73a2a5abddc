"""Known holes in the pinned dependencies: says how many pins an advisory service answered for, and fails on a hole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Ask, and tell."""
    options = ["--progress-spinner", "off", "--require-hashes", "--disable-pip", "--format", "json"]
    command = [sys.executable, "-m", "pip_audit", *options, "--requirement", str(ROOT / "constraints.txt")]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        pins = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        sys.exit(f"audit: no advisory service was reached\n{done.stderr.strip().splitlines()[-1]}")
    asked = [pin for pin in pins if "skip_reason" not in pin]
    for pin in asked:
        for hole in pin["vulns"]:
            fixed = ", ".join(hole["fix_versions"]) or "no version"
            print(f"{pin['name']} {pin['version']}: {hole['id']}, fixed in {fixed}")
    holes = sum(len(pin["vulns"]) for pin in asked)
    print(f"audit: {len(asked)} of {len(pins)} pins answered for, {holes} known holes")
    if not asked:
        sys.exit("audit: nothing was audited: the advisory service does not answer for any pin from here")
    sys.exit(1 if holes else 0)


if __name__ == "__main__":
    main()
