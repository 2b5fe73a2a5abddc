"""Looking at what was compiled: inspect, verify, diff."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.table import Table

from hybrid.cli.common import JSON, app, err, out, print_json, progress

if TYPE_CHECKING:
    from hybrid.diff import Difference
    from hybrid.verify import Verification

BUNDLE = typer.Argument(help="Folder that `hybrid compile` wrote.")
ROWS = 12
"""Rows of one section of a table of differences in the terminal; --json has them all."""
WIDE = 48
"""Characters of a value in that table."""
DIFFERENT = 4


@app.command()
def inspect(bundle: Path = BUNDLE, as_json: bool = JSON) -> None:
    """Verify a bundle's checksums and show what it holds.

    Example: [bold]hybrid inspect runs/bundle[/bold]
    """
    from hybrid.bundle import load_bundle
    from hybrid.describe import describe

    loaded = load_bundle(bundle)
    found = describe(loaded)
    if as_json:
        print_json(found)
        return
    parity, replay = loaded.manifest.parity, loaded.manifest.replay
    out.print(
        f"model {loaded.manifest.model.name}, for {loaded.manifest.chip.title}; checksums are right", markup=False
    )
    out.print(f"exact on {parity.gops} GOP of the calibration: {', '.join(parity.backends)} equal the reference")
    out.print(f"  `hybrid verify` compares again on {replay.gops} random GOP, kept in the bundle", highlight=False)
    out.print(_layer_table(found))
    for name, row in found["mapping"]["utilisation"].items():
        bound = "" if row["of"] is None else f" of {row['of']:,} ({row['used'] / row['of']:.0%})"
        out.print(f"  {name.replace('_', ' ')}: {row['used']:,}{bound}", highlight=False)
    out.print(f"  chips: {found['mapping']['chips']}", highlight=False)
    _show_quantisation(found)
    table = Table("file", "bytes", "sha256")
    for name, file in loaded.manifest.files.items():
        table.add_row(name, f"{file.bytes:,}", file.sha256[:12])
    out.print(table)
    out.print(f"  in all {found['bytes']:,} bytes", highlight=False)


@app.command()
def verify(
    bundle: Path = BUNDLE,
    backend: list[str] = typer.Option([], "--backend", help="Also compare with this one: lava-fused, lava-stock."),
    gops: int = typer.Option(1, min=1, help="GOPs to compare: the one in the bundle, then random ones."),
    as_json: bool = JSON,
) -> None:
    """Rehash every file, read every part, and make the parity check again.

    Example: [bold]hybrid verify runs/bundle --backend lava-fused --gops 4[/bold]
    """
    from hybrid.verify import verify as check_bundle

    with progress() as tell:
        found = check_bundle(bundle, backends=backend, gops=gops, tell=tell)
    if as_json:
        rows = [asdict(check) | {"ok": check.ok} for check in found.checks]
        print_json({"ok": not found.exit_code, "checks": rows, "left_out": list(found.left_out)})
    else:
        _show_checks(found)
    for check in found.checks:
        if not check.ok:
            err.print(f"error: {check.detail}\n  where: {check.where}\n  fix:   {check.fix}", style="red", markup=False,
                      highlight=False, soft_wrap=True)  # fmt: skip
    raise typer.Exit(found.exit_code)


@app.command()
def diff(left: Path = BUNDLE, right: Path = typer.Argument(help="Another such folder."), as_json: bool = JSON) -> None:
    """Say what differs between two bundles; ends with 0 where nothing does, and 4 where something does.

    Example: [bold]hybrid diff runs/before runs/after[/bold]
    """
    from hybrid.bundle import load_bundle
    from hybrid.diff import differences

    found = differences(load_bundle(left), load_bundle(right), (left, right))
    if as_json:
        print_json({"equal": not found, "differences": [asdict(x) for x in found]})
    elif found:
        _show_differences(found, left, right)
    else:
        out.print("the bundles are equal, byte for byte")
    raise typer.Exit(DIFFERENT if found else 0)


def _layer_table(found: dict[str, Any]) -> Table:
    table = Table("layer", "neurons", "shape", "cores", "weights", "not 0", "scale", "keep", "threshold")
    for row in found["layers"]:
        share = f"{row['weights_not_zero'] / max(row['weights'], 1):.0%}"
        constants = ("–".join(f"{x:.4g}" for x in row[key]) for key in ("scale", "keep", "vth"))
        shape = "x".join(map(str, row["shape"]))
        table.add_row(escape(row["name"]), f"{row['neurons']:,}", shape, str(row["cores"]), f"{row['weights']:,}",
                      share, *constants)  # fmt: skip
    return table


def _show_quantisation(found: dict[str, Any]) -> None:
    how = found["quantisation"]
    ports = ", ".join(f"{p['name']} {p['bits']} bits (one is {p['scale']:.3g})" for p in found["ports"])
    out.print(f"  weights of {how['weight_bits']} bits; inputs: {ports}", highlight=False, markup=False)
    if "notes" in how:
        out.print(f"  {how['notes']}", highlight=False, markup=False)
    if "float_network_flipped" in how:
        share = f"{how['float_network_flipped']:.2%}"
        out.print(f"  before quantisation {share} of the chip's results differed from the model", highlight=False)


def _show_checks(found: Verification) -> None:
    table = Table("check", "what", "result")
    for check in found.checks:
        table.add_row(escape(check.name), check.what, "ok" if check.ok else "failed")
    for name in found.left_out:
        table.add_row(escape(name), "", "not checked")
    out.print(table)


def _show_differences(found: tuple[Difference, ...], left: Path, right: Path) -> None:
    table = Table("", "what", escape(str(left)), escape(str(right)))
    shown: Counter[str] = Counter()
    sources = {(row.section, f"{row.key}.source") for row in found}  # of constants whose values are shown
    for row in found:
        if (row.section, row.key) in sources:
            continue
        shown[row.section] += 1
        if shown[row.section] <= ROWS:
            table.add_row(row.section, escape(row.key), _short(row.left), _short(row.right))
    for section, count in shown.items():
        if count > ROWS:
            table.add_row(section, f"and {count - ROWS:,} more; --json has all")
    out.print(table)


def _short(value: object) -> str:
    text = "–" if value is None else str(value)
    return escape(text if len(text) <= WIDE else f"{text[: WIDE - 1]}…")
