"""Videos per second of the model as it is deployed, of its eager form, and of published video models, in one run.

    python benchmarks/throughput.py [--config base] [--device auto] [--precision bf16] [--json throughput.json]

Ours reads the 8 views of a real clip. "As deployed" is the exact integer STM by `hwsim.engine` and the ANN part in
the given precision; "eager" is the float model in fp32 as it was trained. Peers are built at their published size
with random weights and fed noise: the arithmetic does not depend on the values. A video is as many views as each
paper takes; what is timed is one batch of views, and the rest is computed. Decoding is left out for all of them.
Energy is the accounting of `horowitz45` (4.6 pJ per MAC of fp32), counted by torch's own counter.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ann_part.measure import resolve_device
from ann_part.precision import Precision, check_precision, precise
from hwsim.engine import Engine
from hybrid.graph import trace
from hybrid.model import HybridModel, load_config
from hybrid.model.inputs import chip_values, input_ports, to_tensors
from hybrid.partition.extract import chip_layers, host_module
from hybrid.runtime.boundary import host_values
from hybrid.runtime.clip import load_clip
from hybrid.shipped import CLIPS
from hybrid.training.initialise import scale_to_firing_rate
from snn_export.quantize import quantize

MAC_J = 4.6e-12
Work = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One system.

    Attributes:
        name: of the system.
        views: views per video.
        batch: views that are timed at once.
        gmac: multiply-accumulates per video by torch's counter, of dense fp32 execution.
        work: computes one batch.
    """

    name: str
    views: int
    batch: int
    gmac: float
    work: Work


class CoViAR(nn.Module):
    """Three ResNets, one per stream, whose scores are added (Wu et al., CVPR 2018)."""

    def __init__(self, classes: int = 101) -> None:
        super().__init__()
        self.iframe = torchvision.models.resnet152(num_classes=classes)
        self.motion = torchvision.models.resnet18(num_classes=classes)
        self.motion.conv1 = nn.Conv2d(2, 64, 7, 2, 3, bias=False)
        self.residual = torchvision.models.resnet18(num_classes=classes)

    def forward(self, iframe: Tensor, motion: Tensor, residual: Tensor) -> Tensor:
        """Scores [B, classes]."""
        scores: Tensor = self.iframe(iframe) + self.motion(motion) + self.residual(residual)
        return scores


def peers(device: torch.device, precision: Precision) -> list[Row]:
    """Published models by torchvision, at the clip lengths and numbers of views of their papers."""
    video = torchvision.models.video
    found = [_row("CoViAR: ResNet-152 + 2 x ResNet-18", CoViAR(), 25,
                  [torch.rand(4, c, 224, 224) for c in (3, 2, 3)], device, precision)]  # fmt: skip
    for name, build, frames, side, views in (
        ("R(2+1)D-18", video.r2plus1d_18, 16, 112, 10),
        ("S3D", video.s3d, 64, 224, 30),
        ("MViTv2-S", video.mvit_v2_s, 16, 224, 5),
        ("VideoSwin-B", video.swin3d_b, 32, 224, 12),
    ):
        found.append(_row(name, build(), views, [torch.rand(1, 3, frames, side, side)], device, precision))
    return found


def _row(
    name: str, model: nn.Module, views: int, inputs: list[Tensor], device: torch.device, precision: Precision
) -> Row:
    model = model.eval().to(device)
    placed = [x.to(device) for x in inputs]

    def work() -> Tensor:
        with precise(precision, device):
            return torch.as_tensor(model(*placed))

    return Row(f"{name}, {precision}", views, len(placed[0]), macs_of(model, placed) * views / len(placed[0]), work)


def macs_of(model: nn.Module, inputs: list[Tensor]) -> float:
    """Billions of multiply-accumulates of one call."""
    with FlopCounterMode(display=False) as counter:
        model(*inputs)
    return float(counter.get_total_flops()) / 2e9


def ours(config: str, device: torch.device, precision: Precision) -> list[Row]:
    """The model as it is deployed and as it was trained, on the views of a real clip."""
    torch.manual_seed(0)
    model = HybridModel(load_config(config)).eval()
    settings = model.config.input
    views = load_clip(CLIPS[0], settings)
    inputs = to_tensors(views, settings)
    scale_to_firing_rate(model, *inputs)
    graph = trace(model, tuple(x[:2] for x in inputs))
    on_chip = [op.name for op in graph.ops.values() if op.spiking]
    network = quantize(input_ports(settings), chip_layers(graph, on_chip))
    engine = Engine(network, device=device.type)
    module, names = host_module(graph, on_chip)
    module.to(device)
    gmac = sum(op.macs for op in graph.ops.values()) * settings.views / 1e9
    chip_inputs = chip_values(network, views)

    def deployed(precision: Precision) -> Work:
        def work() -> Tensor:
            recording = engine.run(chip_inputs, "readout").recording
            values = host_values(network, recording, views, settings, names)
            with precise(precision, device):
                return torch.as_tensor(module(*(x.to(device) for x in values)))

        return work

    model.to(device)
    placed = [x.to(device) for x in inputs]
    count, name = settings.views, f"ours, {config}"
    rows = [Row(f"{name}: exact STM, ANN in {precision}", count, len(placed[0]), gmac, deployed(precision))]
    if precision != "fp32":
        rows.append(Row(f"{name}: exact STM, ANN in fp32", count, len(placed[0]), gmac, deployed("fp32")))
    return [*rows, Row(f"{name}: eager float model", count, len(placed[0]), gmac, lambda: model(*placed))]


@torch.inference_mode()
def measure(rows: list[Row], device: torch.device, repeats: int) -> list[dict[str, Any]]:
    """Median seconds of each row; all take turns, so that they see the same machine; the first turn warms up."""
    times: list[list[float]] = [[] for _ in rows]
    for turn in range(repeats + 1):
        for row, found in zip(rows, times, strict=True):
            begin = time.perf_counter()
            row.work()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn:
                found.append(time.perf_counter() - begin)
    results = []
    for row, found in zip(rows, times, strict=True):
        seconds = statistics.median(found) / row.batch * row.views
        about = {k: v for k, v in asdict(row).items() if k != "work"}
        results.append({**about, "seconds_per_video": seconds, "videos_per_second": 1 / seconds,
                        "spread": (max(found) - min(found)) / statistics.median(found),
                        "accounted_j": row.gmac * 1e9 * MAC_J})  # fmt: skip
    return results


def main() -> None:
    """Run all rows, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", nargs="+", default=["base"], help="configs of ours")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--precision", default="bf16", help="of the deployed ANN part and of the peers")
    parser.add_argument("--repeats", type=int, default=3, help="timed turns; the median counts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads on a CPU")
    parser.add_argument("--no-peers", action="store_true", help="ours only")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = resolve_device(options.device)
    precision = check_precision(options.precision, device)
    with torch.inference_mode():
        rows = [row for config in options.config for row in ours(config, device, precision)]
        rows += [] if options.no_peers else peers(device, precision)
    results = measure(rows, device, options.repeats)
    base = next(r for r in results if "eager" in r["name"])
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {options.threads} threads"
    table = Table("system", "views", "GMAC/video", "s/video", "videos/s", "against eager", "J/video", title=where)
    for r in results:
        ratio = r["videos_per_second"] / base["videos_per_second"]
        table.add_row(r["name"], str(r["views"]), f"{r['gmac']:.1f}", f"{r['seconds_per_video']:.2f}",
                      f"{r['videos_per_second']:.3f}", f"{ratio:.2f}x", f"{r['accounted_j']:.3f}")  # fmt: skip
    Console(width=130).print(table)
    if options.json:
        options.json.write_text(json.dumps({"device": where, "rows": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
