"""The pictures of README and documentation, made by the product from real runs: `make pictures`."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

from hybrid.shipped import CHECKPOINT, CLIPS
from tools.browser import Browser, browser

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
RUNS = ROOT / "runs" / "pictures"
COLUMNS = 106
WIDTH = 980
MODEL = (str(CHECKPOINT), "--calibrate", str(CLIPS[0]))
LIMIT = 150_000
"""Bytes of a picture."""


def main() -> None:
    """Run everything and draw everything anew."""
    shutil.rmtree(RUNS, ignore_errors=True)
    PICTURES.mkdir(exist_ok=True)
    terminal("demo", hybrid("demo", "--out", "on-loihi2"))
    hybrid("ingest", str(CLIPS[0]), "--out", "ingest")
    hybrid("compile", *MODEL, "--chip", "loihi1", "--out", "loihi1")
    hybrid("run", "loihi1", *map(str, CLIPS), "--out", "on-loihi1")
    hybrid("report", "on-loihi2", "on-loihi1", "--out", "both.html")
    chips = [x for chip in ("loihi2", "loihi1", "tianjic") for x in ("--chip", chip)]
    hybrid("sweep", *MODEL, *chips, "--host", "orin64", "--link", "onboard", "--out", "sweep")
    with browser() as found:
        for scheme in ("light", "dark"):
            screen(found, "on-loihi2/report.html", f"report-{scheme}", 690, scheme)
        screen(found, "both.html", "side-by-side", 850)
        screen(found, "sweep/sweep.html", "sweep", 800)
    with Image.open(RUNS / "ingest" / "figure.png") as picture:
        save(picture, "ingest")


def hybrid(*arguments: str) -> str:
    """What a command prints, with its colours, run in the folder of these runs."""
    RUNS.mkdir(parents=True, exist_ok=True)
    colours = {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "hybrid", "-q", *arguments]
    return subprocess.run(
        command, cwd=RUNS, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | colours
    ).stdout


def terminal(name: str, text: str) -> None:
    """A terminal with the command and what it printed, as SVG; in the reader's own font, so that none is fetched."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(f"$ hybrid {name}", style="bold", highlight=False)
    console.print(Text.from_ansi(text.rstrip()))
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="hybrid-snn"), flags=re.S)
    (PICTURES / f"{name}.svg").write_text(svg)


def screen(found: Browser, page: str, name: str, height: int, scheme: str = "light") -> None:
    """The top of a page in a window of this height."""
    found.open(RUNS / page, width=WIDTH, height=height, scheme=scheme)
    found.page.wait_for_load_state("networkidle")
    with Image.open(io.BytesIO(found.page.screenshot())) as picture:
        save(picture, name)


def save(picture: Image.Image, name: str) -> None:
    """As WebP, in the best quality that stays below the limit."""
    target = PICTURES / f"{name}.webp"
    for quality in range(90, 20, -10):
        picture.convert("RGB").save(target, quality=quality, method=6)
        if target.stat().st_size < LIMIT:
            return
    raise ValueError(f"{target} does not become smaller than {LIMIT} bytes")


if __name__ == "__main__":
    main()
