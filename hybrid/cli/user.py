"""Users' own models on the command line: what they are made from, and how they run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid.cli.common import out, print_json, progress

if TYPE_CHECKING:
    from hybrid.bundle import Bundle
    from hybrid.user.compile import Job

FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
HDF5 = b"\x89HDF\r\n\x1a\n"
"""How NIR and netx files begin."""
OUTPUTS = "outputs.npz"


def user_job(name: str, weights: Path | None, shapes: Sequence[str], calibration: Path | None) -> Job | None:
    """The model that `name` says, ready to be partitioned; None where it says neither a factory nor a network.

    Raises:
        BadInputError: for a factory, weights, shapes or calibration inputs that cannot be used.
    """
    if not FACTORY.fullmatch(name):
        return _network_job(Path(name), shapes, calibration)
    from hybrid.graph.by_step import StepByStep, takes_steps
    from hybrid.user.compile import Job
    from hybrid.user.factory import build, load_weights
    from hybrid.user.inputs import declared_inputs, example

    model = build(name)
    sha256 = load_weights(model, weights)
    inputs = declared_inputs(model, shapes)
    if takes_steps(model):
        model = StepByStep(model, 1 if inputs[0].batch_axis == 0 else 0).eval()
        inputs = (inputs[0].model_copy(update={"name": "values"}),)
    source = "random spikes" if calibration is None else str(calibration.name)
    notes = {"sha256": sha256, "weights": "as built" if weights is None else weights.name, "calibration": source}
    return Job(name, model, inputs, example(inputs, calibration), notes)


def _network_job(path: Path, shapes: Sequence[str], calibration: Path | None) -> Job | None:
    """The spiking network in a NIR or netx file; None for a file of another kind."""
    if not path.is_file() or path.read_bytes()[: len(HDF5)] != HDF5:
        return None
    import hashlib

    from hybrid.user.compile import Job
    from hybrid.user.inputs import example, network_inputs
    from snn_export import formats

    network = formats.load(path)
    inputs = network_inputs(network, shapes)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    source = "random spikes" if calibration is None else calibration.name
    return Job(path.name, network, inputs, example(inputs, calibration), {"sha256": sha256, "calibration": source})


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
    from hybrid.files import write_aside
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
    to.mkdir(parents=True, exist_ok=True)
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
