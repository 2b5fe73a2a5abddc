"""What a run of the engine gives."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwsim.engine.counts import Counts, join
from snn_export.network import Recording

Record = Literal["all", "readout"]
"""Record everything, or the potentials of read-out layers only."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a run gives.

    Attributes:
        recording: spikes and potentials; with `record="readout"` only the potentials of read-out layers. The
            arrays may be views whose channels lie last in memory.
        counts: what every core did; None without a mapping.
        wraps: layer name to the number of synaptic currents that left 24 bits, over all steps and GOPs. The
            contract carries on exactly; a chip's 24-bit adder would wrap. What enters, a << 6, is proven to fit.
    """

    recording: Recording
    counts: Counts | None
    wraps: MappingType[str, int]


def join_results(batches: Sequence[Result]) -> Result:
    """Results of consecutive GOPs as one."""
    if len(batches) == 1:
        return batches[0]
    recordings = [batch.recording for batch in batches]
    first = recordings[0]
    recording = Recording(
        {name: np.concatenate([r.spikes[name] for r in recordings]) for name in first.spikes},
        {name: np.concatenate([r.potentials[name] for r in recordings]) for name in first.potentials},
        {name: sum(r.saturations[name] for r in recordings) for name in first.saturations},
    )
    counts = [batch.counts for batch in batches if batch.counts is not None]
    wraps = {name: sum(batch.wraps[name] for batch in batches) for name in batches[0].wraps}
    return Result(recording, join(counts) if counts else None, wraps)
