"""The demo: compile the shipped model, run two real clips, compare every backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwsim.chip import load
from hybrid.bundle import load_bundle
from hybrid.compile import STAGES, compile_model
from hybrid.model.checkpoint import load_checkpoint
from hybrid.partition import Aim
from hybrid.platform import load_host, load_link
from hybrid.report.model import Report
from hybrid.runtime.clip import load_clip
from hybrid.runtime.folder import run_to_folder
from hybrid.runtime.run import settings_of
from hybrid.shipped import CHECKPOINT, CLIPS
from snn_export import lava

PINS = ("stm_motion", "stm_residual")
LAVA = ("lava-fused", "lava-stock")


def run_demo(out: Path, chip: str, device: str, tell: Callable[[str, int, int], None]) -> tuple[Report, Path]:
    """Compile the shipped model for `chip` into `out/bundle`, run both shipped clips, and write the report to `out`.

    The spiking part runs in the simulator and is compared, bit for bit, with the integer reference and with
    both Lava lowerings where Lava can run.

    Args:
        out: folder for the bundle and the report.
        chip: name or file of the chip profile.
        device: where the ANN part runs.
        tell: told (what, done, of how many).

    Returns:
        The report, and the path of its page.
    """
    target = load(chip)
    checkpoint = load_checkpoint(CHECKPOINT)
    views = load_clip(CLIPS[0], checkpoint.model.config.input)
    compile_model(
        checkpoint, views, target, load_host("horowitz45"), load_link("pcie4"), out / "bundle",
        aim=Aim(PINS), on_stage=lambda stage: tell(stage, STAGES.index(stage), len(STAGES)),
    )  # fmt: skip
    bundle = load_bundle(out / "bundle")
    check, left_out = ["reference"], dict[str, str]()
    missing = lava.available()
    if missing is None:
        check += LAVA
    else:
        left_out = dict.fromkeys(LAVA, missing)
    settings = settings_of(bundle, check=check, device=device)
    return run_to_folder(bundle, CLIPS, settings, out, not_checked=left_out, tell=tell)
