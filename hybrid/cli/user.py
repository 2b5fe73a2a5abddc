"""Users' own models on the command line: what they are made from, and how they run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid.cli.common import out, print_json, progress

if TYPE_CHECKING:
    from hybrid.bundle import Bundle
    from hybrid.user.compile import Job

OUTPUTS = "outputs.npz"


def user_job(name: str, weights: Path | None, shapes: Sequence[str], calibration: Path | None) -> Job | None:
    """The model that `name` says, ready to be partitioned; None where it says neither a factory nor a network.

    Raises:
        BadInputError: for a factory, weights, shapes or calibration inputs that cannot be used.
    """
    from hybrid.user.job import make_job

    return make_job(name, weights, shapes, calibration)


def run_arrays(
    bundle: Bundle,
    files: Sequence[Path],
    to: Path,
    *,
    backend: str,
    check: tuple[str, ...],
    device: str,
    as_json: bool,
) -> None:
    """Run a user's model on the arrays of one file; write its outputs to `to`.

    Raises:
        BadInputError: for more than one file, or one that does not fit the model.
    """
    import io

    import numpy as np

    from hybrid.errors import BadInputError
    from hybrid.files import make_folder, write_aside
    from hybrid.report.text import band
    from hybrid.user.inputs import read_inputs
    from hybrid.user.run import run_tensors, user_model

    if len(files) != 1:
        raise BadInputError("inputs", f"{len(files)} files were given", "give one .npz or safetensors file")
    model = user_model(bundle)
    with progress() as tell:
        inputs = read_inputs(model.inputs, files[0])
        outcome = run_tensors(bundle, inputs, backend=backend, check=check, device=device, tell=tell)
    buffer = io.BytesIO()
    np.savez(buffer, **{f"output{i}": x.numpy() for i, x in enumerate(outcome.outputs)})
    make_folder(to)
    write_aside(to / OUTPUTS, buffer.getvalue())
    record = outcome.record() | {"file": str(to / OUTPUTS)}
    if as_json:
        print_json(record)
        return
    out.print(f"{model.name}: {outcome.samples} samples", highlight=False)
    if outcome.checked:
        out.print(f"  exact: {', '.join(outcome.checked)} are equal bit for bit", highlight=False)
    out.print(f"  on the chip: {outcome.spikes:,} spikes, {outcome.synops:,} synaptic operations", highlight=False)
    out.print(f"  energy {band(outcome.chip_energy_j, 'J')}, time {band(outcome.chip_time_s, 's')}", highlight=False)
    if record["argmax"] is not None:
        out.print(f"  largest score: {record['argmax']}", highlight=False)
    out.print(f"outputs: {to / OUTPUTS}", soft_wrap=True, highlight=False)
