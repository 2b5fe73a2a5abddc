"""Build all tables: `python -m benchmarks.tables [--measure] [--out runs/tables]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table as Sheet

from benchmarks.tables import paper
from benchmarks.tables.chips import OnChip, predict
from benchmarks.tables.count import SEEN
from benchmarks.tables.measure import Speed, measure
from benchmarks.tables.records import Table, ablation_record, method_record
from benchmarks.tables.render import write_all
from benchmarks.tables.rows import CONFIGS, Ablation, Row, ablations, rows
from hybrid.shipped import CLIPS

TITLES = {
    "table-1": "Table 1: UCF-101 and HMDB-51",
    "table-2": "Table 2: Something-Something V2, Kinetics-400 and Kinetics-600",
    "ablations": "Switches of our model",
}
NOTE = (
    f"Counted on the meta device by torch.utils.flop_counter, which sees {SEEN}. Accumulates of our rows: "
    "benchmarks/costs.py, two real clips, spiking layers initialised and not trained. † marks an architecture that is "
    "not published in full. 'What gives the paper's figure' names the first assumption that brings us within 5 %."
)
ABLATION_NOTE = (
    "Cost of `base` with each switch, by two counters. The paper's accuracies are of UCF-101; our own are of another "
    "data set (ARID, six actions, chance 16.7 %) with the tiny model, cross-validated, mean and deviation of three "
    "seeds (docs/training.md): the two columns do not compare."
)


def tables_of(
    stated: list[list[Row]], switches: list[Ablation], on_chips: dict[str, list[OnChip]], speeds: dict[str, Speed]
) -> list[Table]:
    """The three tables."""
    found = [
        Table(name, TITLES[name], NOTE, [method_record(row, on_chips, speeds) for row in table])
        for name, table in zip(TITLES, stated, strict=False)
    ]
    return [*found, Table("ablations", TITLES["ablations"], ABLATION_NOTE, [ablation_record(x) for x in switches])]


def main() -> None:
    """Count, plan, write, and print what explains each difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("runs/tables"))
    parser.add_argument("--measure", action="store_true", help="time the small methods on this CPU (minutes)")
    options = parser.parse_args()
    console = Console(width=150)
    stated = [rows(paper.TABLE_1), rows(paper.TABLE_2)]
    every = [row for table in stated for row in table]
    sheet = Sheet("method", "J/V", "paper", "difference", "what gives the paper's figure")
    for row in reversed({row.method.name: row for row in reversed(every)}.values()):
        sheet.add_row(
            row.method.name, f"{row.joules:.3f}", f"{row.stated.joules}", f"{row.difference():+.1%}", row.verdict
        )
    console.print(sheet)
    speeds = measure([(row.method, row.stated.modality) for row in every], CLIPS[0]) if options.measure else {}
    on_chips = {name: predict(config, CLIPS[0]) for name, config in CONFIGS.items()}
    for path in write_all(tables_of(stated, ablations(), on_chips, speeds), every, options.out):
        console.print(str(path))


if __name__ == "__main__":
    main()
