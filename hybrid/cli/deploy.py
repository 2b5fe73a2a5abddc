"""From model to bundle: demo, partition, compile, chips."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from hybrid.cli.common import CHIP, DEVICE, HOST, JSON, LINK, app, out, print_json, progress
from hybrid.cli.run import show_report
from hybrid.cli.user import user_job

if TYPE_CHECKING:
    from hwsim.chip import Chip
    from hybrid.model.checkpoint import Checkpoint
    from hybrid.partition import Aim, Plan
    from hybrid.platform import Host, Link
    from hybrid.user.compile import Job
    from hybrid.video.transform import Views

STM = ("stm_motion", "stm_residual")

PINS = typer.Option(
    None, "--pin", help="Ops to fix to the chip, '*' for all it can run, '' for none; of a checkpoint, both STMs."
)
MODEL = typer.Argument(help="A checkpoint of `hybrid train`, a model as PACKAGE.MODULE:FACTORY, or a NIR file.")
WEIGHTS = typer.Option(None, help="Of a factory's model: its weights, a safetensors file.")
SHAPES = typer.Option(
    [], "--input-shape", help="Of a model's input: 11,2,32,32, or 11,B,2,32,32 where the batch is not first."
)
CALIBRATION = typer.Option(
    None, "--calibrate", help="What the activities and scales come from: a real clip; for a factory, a .npz file."
)


class Goal(str, Enum):
    """What a plan minimises."""

    energy = "energy"
    latency = "latency"
    pareto = "pareto"


GOAL = typer.Option(Goal.energy, "--objective", help="What to minimise; pareto: the front of both.")
MOST_CHIPS = typer.Option(None, "--max-chips", min=0, help="Most chips that the spiking part may take.")
MEASURE = typer.Option(None, "--measure", help="Measure the time of every op here, on cpu or cuda.")


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

    with progress() as tell:
        report, page = run_demo(to, chip, device, tell)
    show_report(report, page, as_json)


@app.command()
def partition(
    model: str = MODEL,
    calibration: Path | None = CALIBRATION,
    weights: Path | None = WEIGHTS,
    shapes: list[str] = SHAPES,
    chip: str = CHIP,
    host: str = HOST,
    link: str = LINK,
    pins: list[str] | None = PINS,
    goal: Goal = GOAL,
    most_chips: int | None = MOST_CHIPS,
    measure: str | None = MEASURE,
    ann_mode: bool = typer.Option(
        False, "--ann-mode", help="Plan convolutions and linear layers for the chip too, where it has an ANN mode."
    ),
    explain: bool = typer.Option(
        False, "--explain", help="A row for every op: where, why, and the alternative's cost; --json always has it."
    ),
    as_json: bool = JSON,
) -> None:
    """Say what would run where, and what the alternatives would cost, without writing anything.

    Example: [bold]hybrid partition mynet.model:build --weights w.safetensors --input-shape 11,2,32,32 --explain[/bold]
    """
    from hybrid.compile import plan_model, plan_record
    from hybrid.user.compile import plan_user

    targets = _targets(chip, host, link)
    job = user_job(model, weights, shapes, calibration)
    if job is not None:
        graph, plan = plan_user(job, *targets, _aim(pins, _usual(job), goal, most_chips, measure, ann_mode))
    else:
        loaded, views = _checkpoint(model, calibration)
        graph, plan = plan_model(loaded, views, *targets, _aim(pins, STM, goal, most_chips, measure, ann_mode))
    if as_json:
        print_json(plan_record(graph, plan))
        return
    out.print(plan.coverage(graph))
    for name, joules in {"this plan": plan.energy_j, **plan.baselines}.items():
        out.print(f"  {name}: {joules * 1e6:.2f} µJ per GOP (events and link)")
    energy, latency = plan.energy_band_j, plan.latency_band_s
    out.print(f"  this plan with all constants low, or all high: {energy.low * 1e6:.2f} to {energy.high * 1e6:.2f} µJ")
    if latency is not None:
        span = f"{latency.low * 1e3:.3f} to {latency.high * 1e3:.3f}"
        out.print(f"  this plan takes {latency.nominal * 1e3:.3f} ms per GOP ({span}), one part after the other")
    undecided = [p.op for p in plan.placements if p.undecided]
    if undecided:
        out.print(f"undecided inside the bands of the constants: {', '.join(undecided)}", soft_wrap=True)
    if plan.effect is not None:
        ann = plan.effect
        out.print(
            f"in ANN mode on the chip: {', '.join(plan.artificial)}; with {ann.bits} bits the largest output is "
            f"another one on {ann.changed} of {ann.samples} samples, and outputs change by up to {ann.largest:.1%}",
            soft_wrap=True,
        )
    if plan.front:
        out.print(_front_table(plan))
    if explain:
        out.print(_plan_table(plan))


@app.command("compile")
def compile_(
    model: str = MODEL,
    calibration: Path | None = CALIBRATION,
    weights: Path | None = WEIGHTS,
    shapes: list[str] = SHAPES,
    to: Path = typer.Option(Path("runs/bundle"), "--out", help="Folder for the bundle."),
    chip: str = CHIP,
    host: str = HOST,
    link: str = LINK,
    pins: list[str] | None = PINS,
    goal: Goal = GOAL,
    most_chips: int | None = MOST_CHIPS,
    measure: str | None = MEASURE,
) -> None:
    """Partition, quantise and map a trained model; write a bundle.

    Example: [bold]hybrid compile model.safetensors --calibrate clip.avi --chip loihi2[/bold]
    """
    from hybrid.compile import STAGES, compile_model
    from hybrid.user.compile import compile_user

    def stage(name: str) -> None:
        tell(name, STAGES.index(name), len(STAGES))

    with progress() as tell:
        targets = _targets(chip, host, link)
        job = user_job(model, weights, shapes, calibration)
        if job is not None:
            compile_user(job, *targets, to, aim=_aim(pins, _usual(job), goal, most_chips, measure), on_stage=stage)
        else:
            loaded, views = _checkpoint(model, calibration)
            compile_model(loaded, views, *targets, to, aim=_aim(pins, STM, goal, most_chips, measure), on_stage=stage)
    out.print(f"bundle: {to}")


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


def _targets(chip: str, host: str, link: str) -> tuple[Chip, Host, Link]:
    from hwsim.chip import load
    from hybrid.platform import load_host, load_link

    return load(chip), load_host(host), load_link(link)


def _checkpoint(path: str, calibration: Path | None) -> tuple[Checkpoint, Views]:
    from hybrid.errors import BadInputError
    from hybrid.model.checkpoint import load_checkpoint
    from hybrid.runtime.clip import load_clip

    loaded = load_checkpoint(Path(path))
    if calibration is None:
        raise BadInputError("--calibrate", "a checkpoint needs a real clip", "add --calibrate clip.avi")
    return loaded, load_clip(calibration, loaded.model.config.input)


def _usual(job: Job) -> tuple[str, ...]:
    """Without --pin, the chip runs all of a network from a file, and what is cheaper there of any other model."""
    from torch import nn

    return () if isinstance(job.model, nn.Module) else ("*",)


def _aim(
    pins: list[str] | None,
    usual: tuple[str, ...],
    goal: Goal,
    most_chips: int | None,
    measure: str | None,
    ann_mode: bool = False,
) -> Aim:
    from hybrid.partition import Aim

    given = usual if pins is None else tuple(pin for pin in pins if pin)
    return Aim(given, goal.value, most_chips, measure, ann_mode)


def _front_table(plan: Plan) -> Table:
    table = Table("µJ per GOP", "ms per GOP", "cores", "on the chip", title="plans that none beats in both")
    for point in plan.front:
        here, latency = "*" if point.on_chip == plan.on_chip else "", point.figures.latency_s or 0.0
        table.add_row(
            f"{point.figures.energy_j * 1e6:.2f}{here}", f"{latency * 1e3:.4f}", str(point.figures.cores),
            ", ".join(point.on_chip) or "nothing",
        )  # fmt: skip
    return table


def _plan_table(plan: Plan) -> Table:
    table = Table("op", "runs on", "why", "on the chip [µJ]", "on the host [µJ]")
    for p in plan.placements:
        chip_j = "" if p.chip_j is None else f"{p.chip_j.nominal * 1e6:.3f}"
        table.add_row(
            p.op,
            p.target,
            p.violations[0] if p.violations else f"{p.reason}, undecided" if p.undecided else p.reason,
            chip_j,
            f"{p.host_j.nominal * 1e6:.3f}",
        )
    return table
