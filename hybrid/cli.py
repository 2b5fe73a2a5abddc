"""The command line: `hybrid COMMAND`. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from hybrid.partition import Plan
    from hybrid.report import Report

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Put a hybrid spiking/ANN video model on a neuromorphic chip plus a GPU: is it right, how fast, how costly?",
)
PIPED_WIDTH = 160
"""Columns of a table that goes to a file or a pipe; a terminal has its own."""
out = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(width=None if sys.stderr.isatty() else PIPED_WIDTH, stderr=True)

CHIP = typer.Option("loihi2", help="Chip profile, or a TOML file.")
HOST = typer.Option("horowitz45", help="Energy accounting of the ANN part: a profile, or a TOML file.")
LINK = typer.Option("pcie4", help="Link profile, or a TOML file.")
DEVICE = typer.Option("auto", help="Where the ANN part runs: cpu, cuda, or auto.")
JSON = typer.Option(False, "--json", help="Print one JSON object instead of text.")
PINS = typer.Option(["stm_motion", "stm_residual"], "--pin", help="Spiking parts to fix to the chip; '' pins nothing.")


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
) -> None:
    _State.debug, _State.quiet = debug, quiet


class _State:
    debug = False
    quiet = False


@app.command()
def demo(
    to: Path = typer.Option(Path("runs/demo"), "--out", help="Folder for the bundle and the report."),
    chip: str = CHIP,
    device: str = DEVICE,
    as_json: bool = JSON,
) -> None:
    """Run two real clips from file to report with the shipped model, checked on every backend.

    Example: [bold]hybrid demo --out runs/demo[/bold]
    """
    from hybrid.demo import run_demo
    from hybrid.report.render import write_report

    with _progress() as tell:
        report = run_demo(to, chip, device, tell)
        tell("write the report", 0, 1)
        _, page = write_report(report, to)
    _show(report, page, as_json)


@app.command()
def run(
    bundle: Path = typer.Argument(help="Folder that `hybrid compile` wrote."),
    videos: list[Path] = typer.Argument(help="Videos to classify."),
    to: Path = typer.Option(Path("runs/run"), "--out", help="Folder for the report."),
    backend: str = typer.Option("hwsim", help="What runs the spiking part: hwsim, reference, lava-fused, lava-stock."),
    check: list[str] = typer.Option([], "--check", help="Backends to compare with, bit for bit."),
    device: str = DEVICE,
    as_json: bool = JSON,
) -> None:
    """Classify videos with a bundle, account for every event, and write a report.

    Example: [bold]hybrid run runs/bundle clip.avi --check lava-fused[/bold]
    """
    from hybrid.bundle import load_bundle
    from hybrid.report.render import write_report
    from hybrid.runtime.run import run_videos

    with _progress() as tell:
        report = run_videos(load_bundle(bundle), videos, backend=backend, check=tuple(check), device=device, tell=tell)
        _, page = write_report(report, to)
    _show(report, page, as_json)


@app.command("compile")
def compile_(
    checkpoint: Path = typer.Argument(help="Checkpoint that `hybrid train` wrote."),
    calibration: Path = typer.Option(
        ..., "--calibrate", help="A real clip: activities and the parity check come from it."
    ),
    to: Path = typer.Option(Path("runs/bundle"), "--out", help="Folder for the bundle."),
    chip: str = CHIP,
    host: str = HOST,
    link: str = LINK,
    pins: list[str] = PINS,
) -> None:
    """Partition, quantise and map a trained model; write a bundle.

    Example: [bold]hybrid compile model.safetensors --calibrate clip.avi --chip loihi2[/bold]
    """
    from hybrid.compile import STAGES, compile_model

    with _progress() as tell:
        loaded, views, target, accounting, joint = _compile_inputs(checkpoint, calibration, chip, host, link)
        compile_model(
            loaded, views, target, accounting, joint, to,
            pins=[pin for pin in pins if pin], on_stage=lambda stage: tell(stage, STAGES.index(stage), len(STAGES)),
        )  # fmt: skip
    out.print(f"bundle: {to}")


@app.command()
def partition(
    checkpoint: Path = typer.Argument(help="Checkpoint that `hybrid train` wrote."),
    calibration: Path = typer.Option(..., "--calibrate", help="A real clip: the activities come from it."),
    chip: str = CHIP,
    host: str = HOST,
    link: str = LINK,
    pins: list[str] = PINS,
    explain: bool = typer.Option(
        False, "--explain", help="A row for every op: where, why, and the alternative's cost."
    ),
    as_json: bool = JSON,
) -> None:
    """Say what would run where, and what the alternatives would cost, without writing anything.

    Example: [bold]hybrid partition model.safetensors --calibrate clip.avi --pin '' --explain[/bold]
    """
    from hybrid.compile import plan_model, plan_record

    loaded, views, target, accounting, joint = _compile_inputs(checkpoint, calibration, chip, host, link)
    graph, plan = plan_model(loaded, views, target, accounting, joint, [pin for pin in pins if pin])
    if as_json:
        _print_json(plan_record(graph, plan))
        return
    out.print(plan.coverage(graph))
    for name, joules in {"this plan": plan.energy_j, **plan.baselines}.items():
        out.print(f"  {name}: {joules * 1e6:.2f} µJ per GOP (events and link)")
    if explain:
        out.print(_plan_table(plan))


@app.command()
def inspect(bundle: Path = typer.Argument(help="Folder that `hybrid compile` wrote."), as_json: bool = JSON) -> None:
    """Verify a bundle's checksums and show what it holds.

    Example: [bold]hybrid inspect runs/bundle[/bold]
    """
    from hwsim.mapping import utilization
    from hybrid.bundle import load_bundle

    loaded = load_bundle(bundle)
    if as_json:
        _print_json(loaded.manifest.model_dump(mode="json"))
        return
    manifest = loaded.manifest
    out.print(f"model {manifest.model.name}, for {manifest.chip.title}; checksums are right")
    out.print(f"exact on {manifest.parity.gops} GOP: {', '.join(manifest.parity.backends)} equal the reference")
    table = Table("layer", "neurons", "shape", "cores")
    for layer in loaded.network.layers:
        cores = sum(core.layer == layer.name for core in loaded.mapping.cores)
        table.add_row(layer.name, f"{layer.size:,}", "x".join(map(str, layer.shape)), str(cores))
    out.print(table)
    for name, (used, bound) in utilization(loaded.mapping).items():
        out.print(f"  {name.replace('_', ' ')}: {used:,}{'' if bound is None else f' of {bound:,}'}")


@app.command()
def ingest(
    video: Path = typer.Argument(help="Video to look into."),
    to: Path = typer.Option(Path("runs/ingest"), "--out", help="Folder for the picture and the page."),
    as_json: bool = JSON,
) -> None:
    """Show what a compressed video holds: GOPs, bits, sparsity; draw raw and accumulated P-frames.

    Example: [bold]hybrid ingest clip.avi --out runs/ingest[/bold]
    """
    from dataclasses import asdict

    from hybrid.report.ingest import write_ingest

    found, png, page = write_ingest(video, to)
    if as_json:
        _print_json(asdict(found) | {"figure": str(png), "page": str(page)})
        return
    out.print(
        f"{found.codec}, {found.width}x{found.height}, {found.rate:.4g} frames/s, {found.gops} GOPs", highlight=False
    )
    out.print(f"bits: {found.i_bits:,.0f} per I-frame, {found.p_bits:,.0f} per P-frame", highlight=False)
    table = Table("", "still pixels", "residual zero", "residual quiet", "motion median [px]", "99th percentile [px]")
    for name, s in (("raw", found.raw), ("accumulated", found.accumulated)):
        shares = (s.motion_zero, s.residual_zero, s.residual_quiet)
        table.add_row(name, *(f"{share:.1%}" for share in shares), f"{s.motion_median:.1f}", f"{s.motion_p99:.1f}")
    out.print(table)
    out.print(f"page: {page}", soft_wrap=True, highlight=False)


@app.command()
def transcode(
    source: Path = typer.Argument(help="A video, or a folder of videos."),
    target: Path = typer.Argument(help="The AVI file, or the folder, to write."),
    lines: int = typer.Option(240, min=16, max=4096, help="Height of the picture."),
    gop: int = typer.Option(12, min=1, max=600, help="Frames per GOP, the I-frame included."),
    quantiser: int = typer.Option(5, min=2, max=31, help="2 is near-lossless, 31 is coarse."),
    workers: int = typer.Option(os.cpu_count() or 1, min=1, help="Processes, for a folder."),
    as_json: bool = JSON,
) -> None:
    """Re-encode to MPEG-4 part 2 without B-frames, whose motion can be traced back exactly.

    A folder is done in parallel; what is there already is skipped, so a stopped run goes on.

    Example: [bold]hybrid transcode videos/ mpeg4/ --workers 4[/bold]
    """
    from hybrid.video.transcode import Format
    from hybrid.video.transcode import transcode as one
    from hybrid.video.transcode_tree import plan_tree, transcode_tree

    form = Format(lines, gop, quantiser)
    if not source.is_dir():
        frames = one(source, target, form)
        _print_json({"target": str(target), "frames": frames}) if as_json else out.print(f"{target}: {frames} frames")
        return
    total, outcomes = len(plan_tree(source, target)), []
    with _progress() as tell:
        for outcome in transcode_tree(source, target, workers, form):
            outcomes.append(outcome)
            tell(outcome.source.name, len(outcomes), total)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    counts = {status: sum(o.status == status for o in outcomes) for status in ("done", "skipped", "failed")}
    if as_json:
        _print_json(counts | {"failures": {str(o.source): o.reason for o in failed}})
    else:
        out.print(", ".join(f"{count} {status}" for status, count in counts.items()))
        for outcome in failed:
            err.print(f"failed: {outcome.source}: {outcome.reason}", markup=False, highlight=False)
    if failed:
        raise typer.Exit(1)


@app.command()
def train(
    data: Path = typer.Argument(help="Folder with one sub-folder of clips per class."),
    config: str = typer.Option("tiny", help="A shipped config, or a TOML file."),
    to: Path = typer.Option(Path("runs/model.safetensors"), "--out", help="The checkpoint to write."),
    held_out: float = typer.Option(0.25, min=0.0, max=0.9, help="Share of each class held out, in whole groups."),
    seed: int = typer.Option(0, help="Seed of everything random."),
    cache: Path | None = typer.Option(None, help="Folder to keep the prepared clips in, for the next run."),
) -> None:
    """Train a model; whole recording groups are held out and measured at the end.

    Example: [bold]hybrid train clips --config tiny --out model.safetensors[/bold]
    """
    from hybrid.model.config import load_config
    from hybrid.training.train import train as fit

    command = f"hybrid train DATA --config {Path(config).name} --held-out {held_out} --seed {seed}"
    loaded = load_config(config)
    with _progress() as tell:
        result = fit(
            data, loaded, to, held_out=held_out, seed=seed, command=command, cache=cache,
            on_load=lambda done, total: tell("read the clips", done, total),
            on_epoch=lambda done, loss: tell(f"train (loss {loss:.3f})", done, loaded.training.epochs),
        )  # fmt: skip
    if result.accuracy is not None:
        out.print(f"top-1 {result.accuracy:.1%} on {result.held_out_clips} clips of held-out groups")
    out.print(f"trained on {result.train_clips} clips\ncheckpoint: {to}")


@app.command()
def evaluate(
    checkpoint: Path = typer.Argument(help="Checkpoint that `hybrid train` wrote."),
    data: Path = typer.Argument(help="Folder with one sub-folder of clips per class."),
    backend: str = typer.Option(
        "hwsim", help="torch for the float model; hwsim, lava-fused, ... for the quantised one."
    ),
    held_out: float = typer.Option(
        0.25, min=0.0, max=1.0, help="Measure the groups held out by this share; 1 for all clips."
    ),
    as_json: bool = JSON,
) -> None:
    """Measure a checkpoint on labelled clips.

    Example: [bold]hybrid evaluate model.safetensors clips --backend hwsim[/bold]
    """
    from dataclasses import asdict

    from hybrid.model.checkpoint import load_checkpoint
    from hybrid.training.dataset import find_clips, split_by_group
    from hybrid.training.evaluate import evaluate as measure

    loaded = load_checkpoint(checkpoint)
    classes = loaded.model.config.classes
    clips = find_clips(data, classes)
    chosen = clips if held_out == 1 else split_by_group(clips, held_out)[1]
    with _progress() as tell:
        done = iter(range(1, len(chosen) + 1))
        result = measure(loaded, chosen, backend, lambda: tell(f"classify on {backend}", next(done), len(chosen)))
    if as_json:
        _print_json(asdict(result) | {"clips": len(chosen), "classes": list(classes)})
        return
    table = Table("true \\ predicted", *classes)
    for label, row in zip(classes, result.confusion, strict=True):
        table.add_row(label, *map(str, row))
    out.print(table)
    out.print(f"top-1 {result.top1:.1%} on {len(chosen)} clips ({backend})")


@app.command()
def chips(name: str = typer.Argument("", help="Profile to show; all names without it."), as_json: bool = JSON) -> None:
    """List the chip profiles, or show one with the source of every constant.

    Example: [bold]hybrid chips loihi2[/bold]
    """
    from hwsim import chip as profiles

    if not name:
        rows = {known: profiles.load(known).title for known in profiles.names()}
        if as_json:
            _print_json(rows)
        for known, title in () if as_json else rows.items():
            out.print(f"{known}: {title}")
        return
    chip = profiles.load(name)
    if as_json:
        _print_json(chip.model_dump(mode="json"))
        return
    from hybrid.report.constants import chip_constants

    out.print(f"{chip.title}: {chip.mesh.cores} cores of {chip.core.neurons:,} neurons")
    table = Table("constant", "low", "nominal", "high", "unit", "status", "source")
    for row in chip_constants(chip):
        q = row.quantity
        table.add_row(
            row.name.replace("_", " "),
            f"{q.low:g}",
            f"{q.nominal:g}",
            f"{q.high:g}",
            q.unit,
            q.status,
            q.source,
        )
    out.print(table)


def main() -> None:
    """Entry point: run the command and turn errors into one clear message and an exit code."""
    # Two torch threads on a busy machine otherwise spin at OpenMP barriers, which can cost a factor of fifty.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app()
    except Exception as error:
        if _State.debug:
            raise
        if all(hasattr(error, name) for name in ("where", "what", "fix", "exit_code")):
            err.print(f"error: {error}", style="red", markup=False, highlight=False)
            sys.exit(error.exit_code)  # type: ignore[attr-defined]
        err.print(
            f"error: {type(error).__name__}: {error}\n  this is a bug; run with --debug for the traceback",
            markup=False,
        )
        sys.exit(1)


Tell = Callable[[str, int, int], None]


@contextmanager
def _progress() -> Iterator[Tell]:
    """A bar on stderr that shows (what, done, of how many); silent where stderr is no terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=_State.quiet or not err.is_terminal) as bar:
        task = bar.add_task("start", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _compile_inputs(checkpoint: Path, calibration: Path, chip: str, host: str, link: str) -> tuple[Any, ...]:
    from hwsim.chip import load
    from hybrid.model.checkpoint import load_checkpoint
    from hybrid.platform import load_host, load_link
    from hybrid.runtime.clip import load_clip

    target, accounting, joint = load(chip), load_host(host), load_link(link)
    loaded = load_checkpoint(checkpoint)
    return loaded, load_clip(calibration, loaded.model.config.input), target, accounting, joint


def _plan_table(plan: Plan) -> Table:
    table = Table("op", "runs on", "why", "on the chip [µJ]", "on the host [µJ]")
    for p in plan.placements:
        chip_j = "" if p.chip_j is None else f"{p.chip_j.nominal * 1e6:.3f}"
        table.add_row(
            p.op,
            p.target,
            p.violations[0] if p.violations else p.reason,
            chip_j,
            f"{p.host_j.nominal * 1e6:.3f}",
        )
    return table


def _show(report: Report, page: Path, as_json: bool) -> None:
    if as_json:
        _print_json(report.model_dump(mode="json") | {"report": str(page)})
        return
    from hybrid.report.text import summary

    out.print(summary(report), highlight=False)
    out.print(f"report: {page}", soft_wrap=True, highlight=False)


def _print_json(data: object) -> None:
    sys.stdout.write(json.dumps(data, indent=1, allow_nan=False) + "\n")
