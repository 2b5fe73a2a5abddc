"""A user's model, ready to be partitioned, from what the command line names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from hybrid.graph.by_step import StepByStep, takes_steps
from hybrid.user.compile import Job
from hybrid.user.factory import build, load_weights
from hybrid.user.inputs import declared_inputs, example, network_inputs
from snn_export import formats

FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
HDF5 = b"\x89HDF\r\n\x1a\n"
"""How NIR and netx files begin."""


def make_job(name: str, weights: Path | None, shapes: Sequence[str], calibration: Path | None) -> Job | None:
    """The model that `name` says, ready to be partitioned; None where it says neither a factory nor a network.

    Raises:
        BadInputError: for a factory, weights, shapes or calibration inputs that cannot be used.
    """
    if not FACTORY.fullmatch(name):
        return _network_job(Path(name), shapes, calibration)
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
    network = formats.load(path)
    inputs = network_inputs(network, shapes)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    source = "random spikes" if calibration is None else calibration.name
    return Job(path.name, network, inputs, example(inputs, calibration), {"sha256": sha256, "calibration": source})
