"""The tables of a run, one after the other."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tables import measure, paper
from benchmarks.tables.chips import LINK, spiking_parts
from benchmarks.tables.count import SEEN
from benchmarks.tables.records import Table, ablation_record, chip_record, method_record, speed_record
from benchmarks.tables.rows import CONFIGS, Row, ablation, rows
from benchmarks.tables.zoo import METHODS
from hybrid.errors import BadInputError
from hybrid.model.ablations import ABLATIONS
from hybrid.shipped import CLIPS

PAPER = {
    "table-1": ("Table 1: UCF-101 and HMDB-51", paper.TABLE_1),
    "table-2": ("Table 2: Something-Something V2, Kinetics-400 and Kinetics-600", paper.TABLE_2),
}
NOTE = (
    f"Counted on the meta device by torch.utils.flop_counter, which sees {SEEN}. Accumulates of our rows: "
    "benchmarks/costs.py, two real clips, spiking layers initialised and not trained. † marks an architecture that is "
    "not published in full. 'What gives the paper's figure' names the first assumption that brings us within 5 %."
)
ABLATION_NOTE = (
    "Cost of our model (base) with each switch, by two counters. The paper's accuracies are of UCF-101; our own are of "
    "another data set (ARID, six actions, chance 16.7 %) with the tiny model, cross-validated, mean and deviation of "
    "three seeds (docs/training.md), and only of the switches that were trained: the columns do not compare."
)
CHIP_NOTE = (
    "Estimates, nominal (low to high): events and link, no static power of the chip. The host is joined by "
    f"{LINK} and priced by the paper's accounting (45 nm), or as an H100 from its data sheet, one view at a time, a "
    "layer as long as its arithmetic, its weights or the launch of its kernel. Loihi 2 takes spiking layers only. "
    "Tianjic also takes convolutions and linear layers, as integers of 8 bits (what that does to these models' "
    "accuracy was not measured), where that costs less than the host, each fed and read over the link; all weights are "
    "resident on the stated chips."
)
SPEED_NOTE = (
    "Seconds of a video of 180 frames (320x240, MPEG-4, GOP of 12), networks with one view at a time in fp32, times "
    "the views; benchmarks/tables/measure.py has the protocol. 'Decoding or reading' is decoding to RGB for the raw "
    "domain, our reader for the others; 'saved by not decoding' compares it with decoding the pictures of the same "
    "GOPs. The paper's speeds are of another machine. This run: "
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is built.

    Attributes:
        tables: rows of the paper's tables by table.
        switches: names of ablation rows.
    """

    tables: dict[str, list[Row]]
    switches: list[str]

    @property
    def methods(self) -> list[Row]:
        """Every method once, in the order of the paper's tables."""
        found: dict[str, Row] = {}
        for row in (row for table in self.tables.values() for row in table):
            found.setdefault(row.method.name, row)
        return list(found.values())


def select(names: Collection[str]) -> Selection:
    """Count the methods and choose the switches with these names, or all.

    Raises:
        BadInputError: for a name that no row has.
    """
    known = [*METHODS, *CONFIGS, *ABLATIONS]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.4)
            guess = f"did you mean {near[0]!r}? " if near else ""
            raise BadInputError(f"--rows {name}", "no row has this name", f"{guess}use some of: {', '.join(known)}")
    tables = {key: rows(stated, names) for key, (_, stated) in PAPER.items()}
    return Selection({key: table for key, table in tables.items() if table},
                     [name for name in ABLATIONS if not names or name in names])  # fmt: skip


def build(selection: Selection, timed: bool, tell: Callable[[str, int, int], None]) -> list[Table]:
    """All tables of a selection.

    Args:
        selection: of rows.
        timed: measure speeds too.
        tell: of the progress.
    """
    methods, configs = selection.methods, [row.method.name for row in selection.methods if row.method.name in CONFIGS]
    steps = len(selection.switches) + len(configs) + (len(methods) if timed else 0)
    done = 0

    def next_step(what: str) -> None:
        nonlocal done
        tell(what, done, steps)
        done += 1

    found = [
        Table(key, PAPER[key][0], NOTE, [method_record(x) for x in table]) for key, table in selection.tables.items()
    ]
    spiking = {}
    for name in configs:
        next_step(f"plan {name}")
        spiking[name] = spiking_parts(CONFIGS[name], CLIPS[0])
    if methods:
        records = [chip_record(row, spiking.get(row.method.name, {})) for row in methods]
        found.append(Table("chips", "Chips: with Loihi 2 or Tianjic beside the host", CHIP_NOTE, records))
    if timed and methods:
        found.append(_speeds(methods, next_step))
    costs = []
    for name in selection.switches:
        next_step(f"count {name}")
        costs.append(ablation_record(ablation(name)))
    return [*found, Table("ablations", "Switches of our model", ABLATION_NOTE, costs)] if costs else found


def _speeds(methods: list[Row], tell: Callable[[str], None]) -> Table:
    with tempfile.TemporaryDirectory() as folder:
        video = measure.write_video(CLIPS[0], Path(folder) / "video.avi")
        note = SPEED_NOTE + measure.conditions() + "."
        speeds = measure.measure((row.method for row in methods), video, tell)
    records = [speed_record(row, speeds[row.method.name]) for row in methods]
    return Table("speed", "Speed: videos per second on this machine", note, records)
