"""Videos per second and joules per video of the model as it is deployed, of its eager form, and of published models.

    python benchmarks/throughput.py --quick                    minutes on two cores
    python benchmarks/throughput.py --device cuda --out DIR    everything, on a GPU

One call measures everything on one machine and writes `throughput.json`, `throughput.md` and `throughput.png`:
speeds at 1 to 256 views at once, energy by NVML or RAPL where there is one, peaks and roofline of the ANN part, the
agreement of lower precisions on real clips, and how well reading ahead hides reading. "As deployed" is the exact
integer STM and the tuned ANN part; "eager" is the float model in fp32 as it was trained. Decoding is left out of the
speeds, for all. A video is as many views as each paper takes; one batch is timed, and the rest is computed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from ann_part.energy import idle_watts, open_meter
from ann_part.errors import DeviceError
from ann_part.measure import resolve_device
from ann_part.precision import Precision, check_precision
from ann_part.rewrite import rewrite
from ann_part.roofline import count_work, measure_kinds, measure_peaks
from benchmarks.speed import render
from benchmarks.speed.ours import Ours
from benchmarks.speed.peers import peers
from benchmarks.speed.row import Clock, Speed
from hybrid.runtime.clip import load_clip
from hybrid.runtime.feed import Feed
from hybrid.shipped import CLIPS

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def overlap(ours: Ours, precision: Precision, clips: int) -> dict[str, float]:
    """Share of the time that the device waits for clips, without and with readers ahead."""
    found = {}
    for readers in (0, 2):

        def load(path: Path) -> tuple[torch.Tensor, ...]:
            return ours.crossing(load_clip(path, ours.settings))

        feed = Feed([CLIPS[i % len(CLIPS)] for i in range(clips)], load, ours.device, readers)
        for values in feed:
            ours.finish(values, precision)
            if ours.device.type == "cuda":
                torch.cuda.synchronize()
        found[f"{readers} readers"] = feed.waiting
        found[f"{readers} readers, videos/s"] = feed.count / feed.seconds
    return found


def rooflines(ours: Ours, precision: Precision, batch: int) -> dict[str, Any]:
    """Work, peaks, and times of the given and of the rewritten program at one batch."""
    values = tuple(x.to(ours.device) for x in ours.crossing(ours.repeated(batch)))
    work, peaks = count_work(ours.program, values), measure_peaks(ours.device, precision)
    rewritten = rewrite(ours.program, values, ours.device, precision)
    times = {"given, fp32": measure_kinds(ours.program, values),
             f"rewritten, {precision}": measure_kinds(rewritten, values)}  # fmt: skip
    return {"peaks": peaks, "work": work, "times": times, "batch": batch, "precision": precision}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="base alone, batches of 1 and 8, peers at 1")
    parser.add_argument("--config", nargs="+", help="configs of ours; base and large, or base alone with --quick")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--precision", default="bf16", help="of the deployed ANN part and of the peers, beside fp32")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs; the median counts")
    parser.add_argument("--limit", type=float, help="seconds that one call may take before batches stop rising")
    parser.add_argument("--compiled", action="store_true", help="let torch's compiler take part: minutes more")
    parser.add_argument("--no-peers", action="store_true", help="ours only")
    parser.add_argument("--out", type=Path, help="folder for JSON, table and picture")
    return parser.parse_args()


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    device = resolve_device(options.device)
    precision = check_precision(options.precision, device)
    batches = (1, 8) if options.quick else BATCHES
    meter = open_meter(device)
    idle = None if isinstance(meter, str) else idle_watts(meter)
    clock = Clock(device, options.repeats, options.limit or (20 if options.quick else 60), meter, idle, _say)
    precisions: tuple[Precision, ...] = ("fp32",) if precision == "fp32" else (precision, "fp32")
    speeds: list[Speed] = []
    extras: dict[str, Any] = {}
    for config in options.config or (["base"] if options.quick else ["base", "large"]):
        ours = Ours(config, device, compiled=options.compiled)
        for row in ours.rows(precisions, batches):
            _say(row.name)
            speeds += clock.speeds(row)
        if not extras:
            extras = {"roofline": rooflines(ours, precision, 8 if device.type == "cpu" else 64),
                      "overlap": overlap(ours, precision, 4 if options.quick else 16)}  # fmt: skip
            extras["agreement"] = {f"{config} (random weights), {p}": ours.agreement(p) for p in precisions}
        extras.setdefault("races", {})[config] = [
            {"precision": key[1], "batch": key[2][0][0], "forms": [asdict(r) for r in results]}
            for key, results in ours.tuned.results.items()
        ]
    trained = Ours("trained", device)
    extras["agreement"] |= {f"tiny (trained), {p}": trained.agreement(p) for p in precisions}
    if not options.no_peers:
        for row in peers(device, precisions, (1,) if options.quick else BATCHES):
            _say(row.name)
            speeds += clock.speeds(row)
    return {"speeds": speeds, "extras": extras, "where": _where(device), "meter": str(getattr(meter, "name", meter))}


def _where(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    load = os.getloadavg()[0]
    return f"CPU {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, load {load:.1f}"


def _page(found: dict[str, Any]) -> str:
    extras, roof = found["extras"], found["extras"]["roofline"]
    lines = [f"{found['where']}. Energy: {found['meter']}.", "", render.table(found["speeds"])]
    lines += [f"Roofline of the ANN part at {roof['batch']} views, {roof['precision']}: matrix peak "
              f"{roof['peaks'].operations_per_s / 1e9:.0f} Gop/s, copy {roof['peaks'].bytes_per_s / 1e9:.1f} GB/s.", "",
              render.roofline(roof["peaks"], roof["work"], roof["times"])]  # fmt: skip
    lines += ["| agreement with the program in fp32 | views | same answer | largest error, of the largest logit |",
              "|---|---|---|---|"]  # fmt: skip
    lines += [f"| {name} | {a['views']} | {a['same answer']} | {a['largest error']:.1e} |"
              for name, a in extras["agreement"].items()]  # fmt: skip
    lines += ["", "Reading ahead: " + ", ".join(
        f"{name}: {v:.2f}" if "videos" in name else f"{name}: the device waits {100 * v:.0f} % of the time"
        for name, v in extras["overlap"].items()) + "."]  # fmt: skip
    return "\n".join(lines) + "\n"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print the table, write the files."""
    options = _options()
    try:
        found = _measure(options)
    except DeviceError as error:
        _say(f"error: {error}")
        raise SystemExit(error.exit_code) from error
    page = _page(found)
    print(page)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        data = {**found, "speeds": [render.as_json(s) for s in found["speeds"]]}
        (options.out / "throughput.json").write_text(json.dumps(data, indent=1, default=asdict) + "\n")
        (options.out / "throughput.md").write_text(page)
        (options.out / "throughput.png").write_bytes(render.picture(found["speeds"], found["where"]))


if __name__ == "__main__":
    main()
