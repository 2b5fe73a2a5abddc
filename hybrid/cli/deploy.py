"""From model to report: demo, partition, compile, inspect, run, chips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from hybrid.cli.common import CHIP, DEVICE, HOST, JSON, LINK, app, out, print_json, progress

if TYPE_CHECKING:
    from hybrid.partition import Plan
    from hybrid.report import Report

PINS = typer.Option(["stm_motion", "stm_residual"], "--pin", help="Spiking parts to fix to the chip; '' pins nothing.")


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

    with progress() as tell:
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

    with progress() as tell:
        report = run_videos(load_bundle(bundle), videos, backend=backend, check=tuple(check), device=device, tell=tell)
        _, page = write_report(report, to)
    _show(report, page, as_json)


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
        print_json(plan_record(graph, plan))
        return
    out.print(plan.coverage(graph))
    for name, joules in {"this plan": plan.energy_j, **plan.baselines}.items():
        out.print(f"  {name}: {joules * 1e6:.2f} µJ per GOP (events and link)")
    if explain:
        out.print(_plan_table(plan))


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

    with progress() as tell:
        loaded, views, target, accounting, joint = _compile_inputs(checkpoint, calibration, chip, host, link)
        compile_model(
            loaded, views, target, accounting, joint, to,
            pins=[pin for pin in pins if pin], on_stage=lambda stage: tell(stage, STAGES.index(stage), len(STAGES)),
        )  # fmt: skip
    out.print(f"bundle: {to}")


@app.command()
def inspect(bundle: Path = typer.Argument(help="Folder that `hybrid compile` wrote."), as_json: bool = JSON) -> None:
    """Verify a bundle's checksums and show what it holds.

    Example: [bold]hybrid inspect runs/bundle[/bold]
    """
    from hwsim.mapping import utilization
    from hybrid.bundle import load_bundle

    loaded = load_bundle(bundle)
    if as_json:
        print_json(loaded.manifest.model_dump(mode="json"))
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
def chips(name: str = typer.Argument("", help="Profile to show; all names without it."), as_json: bool = JSON) -> None:
    """List the chip profiles, or show one with the source of every constant.

    Example: [bold]hybrid chips loihi2[/bold]
    """
    from hwsim import chip as profiles

    if not name:
        rows = {known: profiles.load(known).title for known in profiles.names()}
        if as_json:
            print_json(rows)
        for known, title in () if as_json else rows.items():
            out.print(f"{known}: {title}")
        return
    chip = profiles.load(name)
    if as_json:
        print_json(chip.model_dump(mode="json"))
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
        print_json(report.model_dump(mode="json") | {"report": str(page)})
        return
    from hybrid.report.text import summary

    out.print(summary(report), highlight=False)
    out.print(f"report: {page}", soft_wrap=True, highlight=False)
