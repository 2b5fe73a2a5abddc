"""Running a spiking network alone on a simulated chip: simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.table import Table

from hybrid.cli.common import CHIP, JSON, app, err, out, print_json, progress

if TYPE_CHECKING:
    from hybrid.report.simulation import Events, NeuroBench, PlacementQuality, SimulationReport, StepRow
    from hybrid.runtime.spikes import Values
    from snn_export.network import SpikingNetwork

EVENTS = {
    "spikes": "spikes", "synops": "syn. ops", "neuron_updates": "updates", "packets_sent": "sent",
    "packets_received": "received", "hops": "hops",
}  # fmt: skip
"""Counts that the tables show, with their headings."""
ROWS = 24
"""Rows of a table of cores or steps in the terminal; --json has them all."""
LINKS = 8
"""Rows of the table of links."""


@app.command()
def simulate(
    network: Path = typer.Argument(help="A folder with spiking.json, as a bundle is; a NIR file; a netx .net file."),
    chip: str = CHIP,
    steps: int | None = typer.Option(None, min=1, help="Steps to run; without it, as many as the spike file has."),
    spikes: Path | None = typer.Option(
        None, help="A .npz or .safetensors file: per input port one array [steps, ...] or [GOPs, steps, ...]."
    ),
    rate: float = typer.Option(0.1, min=0.0, max=1.0, help="Without --spikes: how likely each input value is nonzero."),
    seed: int = typer.Option(0, min=0, help="Without --spikes: seed of the random input."),
    strict: bool = typer.Option(False, "--strict", help="Fail if a potential is clipped or a current wraps."),
    bits: int | None = typer.Option(
        None, min=1, max=16, help="Bits of the integers that enter, where the file does not say; 1 is spikes."
    ),
    input_shape: str = typer.Option("", help="C,H,W for a netx file that does not say it."),
    dt: float | None = typer.Option(None, help="Step of a NIR file, in the unit of its time constants."),
    reset: str = typer.Option("zero", help="What a spike does to a potential of a NIR file: zero, soft or none."),
    as_json: bool = JSON,
) -> None:
    """Run any spiking network alone on a chip: counts by layer and core, step times, energy.

    A float network is quantised first. Without --spikes the input is random.

    Example: [bold]hybrid simulate model.nir --chip loihi2 --steps 11 --spikes spikes.npz[/bold]
    """
    from hwsim.chip import load
    from hybrid.errors import HybridError
    from hybrid.report.simulation import build
    from hybrid.runtime.simulate import STAGES, to_integer_network
    from hybrid.runtime.simulate import simulate as run

    target = load(chip)
    loaded = _load(network, bits, input_shape, dt, reset)
    given, source = _input(loaded, spikes, steps, rate, seed)
    ready, values, notes = to_integer_network(loaded, given)
    with progress() as tell:
        done = run(ready, values, target, lambda stage: tell(stage, STAGES.index(stage), len(STAGES)))
    report = build(done, str(network), (source, *notes))
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        _show(report)
    problems = _problems(report)
    if strict and problems:
        raise HybridError(str(network), "; ".join(problems), "scale weights or input down, or leave out --strict")
    for problem in problems:
        err.print(f"warning: {problem}", style="yellow", markup=False, highlight=False)


def _load(path: Path, bits: int | None, shape: str, dt: float | None, reset: str) -> SpikingNetwork:
    from hybrid.errors import BadInputError
    from snn_export import formats
    from snn_export.network import Reset

    resets = {kind.value: kind for kind in Reset}
    if reset not in resets:
        raise BadInputError("--reset", f"there is no reset {reset!r}", f"use one of {', '.join(resets)}")
    try:
        sizes = tuple(int(size) for size in shape.split(",")) if shape else None
    except ValueError:
        raise BadInputError("--input-shape", f"{shape!r} is no list of numbers", "give it as 2,34,34") from None
    return formats.load(path, dt=dt, reset=resets[reset], bits=bits, input_shape=sizes)


def _input(
    network: SpikingNetwork, spikes: Path | None, steps: int | None, rate: float, seed: int
) -> tuple[Values, str]:
    """The values of every port, and in words where they come from."""
    from hybrid.errors import BadInputError
    from hybrid.runtime.spikes import random_spikes, read_spikes

    if spikes is not None:
        return read_spikes(spikes, network, steps), f"input from {spikes}"
    if steps is None:
        raise BadInputError("--steps", "neither spikes nor a number of steps was given", "add --spikes or --steps")
    return random_spikes(network, steps, rate, seed), f"random input: rate {rate:g}, seed {seed}"


def _problems(report: SimulationReport) -> list[str]:
    problems = []
    for row in report.layers:
        if row.saturations:
            problems.append(f"layer {row.layer!r}: {row.saturations:,} potentials were clipped to 24 bits")
        if row.wraps:
            problems.append(
                f"layer {row.layer!r}: {row.wraps:,} synaptic currents left 24 bits, where a chip would wrap"
            )
    return problems


def _show(report: SimulationReport) -> None:
    out.print(f"{report.network} on {report.title}", markup=False, highlight=False, soft_wrap=True)
    for note in report.notes:
        out.print(f"  {note}", markup=False, highlight=False, soft_wrap=True)
    tables = [
        (_layer_table(report), 0), (_core_table(report), len(report.cores) - ROWS),
        (_link_table(report), len(report.links) - LINKS), (_step_table(report), len(report.by_step) - ROWS),
    ]  # fmt: skip
    for table, more in tables:
        if table.row_count:
            out.print(table)
        if more > 0:
            out.print(f"  and {more:,} more; --json has all", highlight=False)
    _show_totals(report)
    _show_placement(report.placement)
    _show_metrics(report.neurobench)


def _show_totals(report: SimulationReport) -> None:
    from hybrid.report.text import band

    where = f"cores: {len(report.cores):,}, chips: {report.chips:,}"
    out.print(f"GOPs: {report.gops:,}, steps of each: {report.steps:,}, {where}", highlight=False)
    out.print(f"  time     {band(report.time_s, 's')}; a GOP through all layers {band(report.latency_s, 's')}")
    out.print(f"  energy   {band(report.energy_j, 'J')}")
    for event, joules in report.energy_by_event_j.items():
        if joules.high > 0:
            out.print(f"    {event.replace('_', ' ')}: {band(joules, 'J')}")


def _show_placement(found: PlacementQuality) -> None:
    from hybrid.report.text import si

    slowest = si(found.slowest * 1e-12, "s") if found.unit == "ps" else f"{found.slowest:,} packets"
    out.print("placement, for a step in which every neuron fires", highlight=False)
    rows = (("slowest core or link", slowest, found.slowest_bound, found.slowest_gap),
            ("hops", f"{found.hops:,}", found.hops_bound, found.hops_gap))  # fmt: skip
    for name, value, bound, gap in rows:
        if gap == 0:
            against = "none is better"
        elif found.how == "optimum":
            against = f"{1 + gap:.2f} times the optimum"
        else:
            against = f"at most {1 + gap:.2f} times the optimum" if bound else "no lower bound is known"
        out.print(f"  {name:20} {value}; {against}", highlight=False)


def _show_metrics(found: NeuroBench) -> None:
    operations = found.synaptic_operations
    out.print("NeuroBench's metrics; operations are per GOP", highlight=False)
    out.print(f"  footprint            {found.footprint:,} bytes", highlight=False)
    out.print(f"  connection sparsity  {found.connection_sparsity:.1%}", highlight=False)
    out.print(f"  activation sparsity  {found.activation_sparsity:.1%}", highlight=False)
    out.print(
        f"  synaptic operations  dense {operations.dense:,.1f}, effective MACs {operations.effective_macs:,.1f}, "
        f"effective ACs {operations.effective_acs:,.1f}", highlight=False,
    )  # fmt: skip


def _layer_table(report: SimulationReport) -> Table:
    from hybrid.report.text import si

    table = Table("layer", "neurons", "cores", *EVENTS.values(), "clipped", "wrapped", "energy")
    for row in report.layers:
        last = (f"{row.saturations:,}", f"{row.wraps:,}", si(row.energy_j.nominal, "J"))
        table.add_row(escape(row.layer), f"{row.neurons:,}", f"{row.cores:,}", *_events(row), *last)
    return table


def _core_table(report: SimulationReport) -> Table:
    """The cores that the most steps waited for, then the busiest."""
    from hybrid.report.text import si

    table = Table("core", "layer", "chip, x, y", "neurons", *EVENTS.values(), "busy", "critical in", "energy")
    ranked = sorted(report.cores, key=lambda x: (-x.critical_steps, -x.busy_s.nominal, -x.synops, x.core))
    for row in ranked[:ROWS]:
        last = (si(row.busy_s.nominal, "s"), f"{row.critical_steps} steps", si(row.energy_j.nominal, "J"))
        place = f"{row.chip}, {row.x}, {row.y}"
        table.add_row(str(row.core), escape(row.layer), place, f"{row.neurons:,}", *_events(row), *last)
    return table


def _link_table(report: SimulationReport) -> Table:
    """The links that the most steps waited for, then those with the most packets in one step."""
    from hybrid.report.text import si

    table = Table("hottest links: from x, y to", "packets", "most in a step", "busy", "critical in")
    ranked = sorted(report.links, key=lambda x: (-x.critical_steps, -x.packets_max, -x.packets))
    for row in ranked[:LINKS]:
        last = (si(row.busy_s.nominal, "s"), f"{row.critical_steps} steps")
        table.add_row(f"{row.x}, {row.y} {row.direction}", f"{row.packets:,}", f"{row.packets_max:,}", *last)
    return table


def _step_table(report: SimulationReport) -> Table:
    from hybrid.report.text import band

    table = Table("GOP", "step", "input events", "spikes", "syn. ops", "waited for", "time")
    for row in report.by_step[:ROWS]:
        numbers = (row.gop, row.step, row.input_events, row.spikes, row.synops)
        table.add_row(*(f"{number:,}" for number in numbers), escape(_waited_for(report, row)), band(row.time_s, "s"))
    return table


def _waited_for(report: SimulationReport, row: StepRow) -> str:
    if row.critical_link is not None:
        link = report.links[row.critical_link]
        return f"link {link.x}, {link.y} {link.direction}"
    return "none: fixed length" if row.critical_core is None else f"core {row.critical_core} ({row.critical_layer})"


def _events(row: Events) -> tuple[str, ...]:
    return tuple(f"{getattr(row, name):,}" for name in EVENTS)
