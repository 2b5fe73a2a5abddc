"""Is everything there: doctor."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.markup import escape

from hybrid.cli.common import JSON, app, out, print_json, progress

SIGNS = {"ok": "[green]ok[/green]", "warning": "[yellow]warning[/yellow]", "failed": "[red]failed[/red]"}


@app.command()
def doctor(as_json: bool = JSON) -> None:
    """Try every part of the installation for real, and say what to repair. Exit code 1 if one does not work.

    Example: [bold]hybrid doctor[/bold]
    """
    from hybrid.doctor import CHECKS, examine

    findings = []
    with progress() as tell:
        for i, finding in enumerate(examine()):
            findings.append(finding)
            tell(finding.name, i + 1, len(CHECKS))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    for finding in () if as_json else findings:
        out.print(f"{SIGNS[finding.verdict]} {finding.name}: {escape(finding.what)}", soft_wrap=True, highlight=False)
        if finding.fix:
            out.print(f"   {escape(finding.fix)}", soft_wrap=True, highlight=False)
    if any(finding.verdict == "failed" for finding in findings):
        raise typer.Exit(1)
