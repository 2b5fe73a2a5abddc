"""The parity check that a bundle carries: inputs drawn at random, and what every layer does with them.

The inputs are kept, not only their seed: NumPy does not promise the same random numbers in every version. They are
drawn rather than taken from the calibration clip, so that a bundle holds none of the user's pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from safetensors.numpy import load, save

from hybrid.runtime.spikes import Values, random_spikes
from snn_export import reference
from snn_export.network import Recording, SpikingNetwork, check_inputs

FILE = "parity.safetensors"
STEPS = 8
SEED = 0
RATE = 0.1
"""How likely each value of a drawn input is not 0."""
STEP_VALUE_BYTES = 5
"""What a recording keeps of a neuron at a step: a spike in one byte, a potential in four."""


class Replay(BaseModel):
    """The parity check that `hybrid verify` makes again.

    Attributes:
        seed: of the first GOP of the inputs; each further one has the next.
        gops: GOPs kept in the bundle.
        rate: how likely each value is not 0.
        layers: hash of every spike and potential of the reference, by layer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(ge=0)
    gops: int = Field(ge=1)
    rate: float = Field(gt=0, le=1)
    layers: dict[str, str]


def record(network: SpikingNetwork) -> tuple[Replay, bytes]:
    """Draw the inputs and run the reference on them; equal networks give equal bytes.

    Returns:
        What to keep in the manifest, and the contents of `FILE`.
    """
    inputs = random_spikes(network, STEPS, RATE, SEED)
    layers = layer_hashes(reference.run(network, inputs))
    return Replay(seed=SEED, gops=1, rate=RATE, layers=layers), _dumps(network, inputs)


def more(network: SpikingNetwork, kept: Values, replay: Replay, gops: int) -> Values:
    """The inputs kept in a bundle, and random ones after them up to `gops` GOPs of as many steps."""
    steps = next(iter(kept.values())).shape[1]
    drawn = [random_spikes(network, steps, replay.rate, replay.seed + i) for i in range(replay.gops, gops)]
    return {name: np.concatenate([kept[name], *(values[name] for values in drawn)]) for name in kept}


def layer_hashes(recording: Recording, gops: int | None = None) -> dict[str, str]:
    """Hash of every spike and potential by layer, of the first `gops` GOPs."""
    found = {}
    for name, spikes in recording.spikes.items():
        digest = hashlib.sha256(np.ascontiguousarray(spikes[:gops]).tobytes())
        digest.update(np.ascontiguousarray(recording.potentials[name][:gops]).tobytes())
        found[name] = digest.hexdigest()
    return found


def recording_bytes(network: SpikingNetwork, gops: int, steps: int) -> int:
    """Memory that a recording of so many GOPs and steps takes."""
    return gops * steps * STEP_VALUE_BYTES * sum(layer.size for layer in network.layers)


def loads(network: SpikingNetwork, data: bytes) -> Values:
    """The inputs that `record` wrote, int16 [G, T, *shape] by port.

    Raises:
        safetensors.SafetensorError: where it is no safetensors file.
        NetworkError: where the values do not fit the network's ports.
    """
    inputs = load(data)
    check_inputs(network, inputs)
    return {port.name: inputs[port.name].astype(np.int16) for port in network.inputs}


def _dumps(network: SpikingNetwork, inputs: Mapping[str, np.ndarray]) -> bytes:  # type: ignore[type-arg]
    """As safetensors, in 8 bits where the port has no more."""
    small = {port.name: np.int8 if port.bits <= 8 else np.int16 for port in network.inputs}
    return save({name: np.ascontiguousarray(inputs[name].astype(kind)) for name, kind in small.items()})
