"""What passes between host and chip in a user's model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from hybrid.errors import BadInputError
from hybrid.user.model import UserModel
from snn_export.network import REAL, InputPort, IntArray, Recording, SpikingNetwork
from snn_export.quantize import to_integers


def port_values(
    network: SpikingNetwork, model: UserModel, feed: nn.Module | None, inputs: Mapping[str, Tensor]
) -> dict[str, IntArray]:
    """The integers [G, T, *shape] of each port for the inputs of the model.

    Raises:
        BadInputError: where a port takes spikes and is given other values.
    """
    values = dict(inputs)
    if feed is not None:
        with torch.no_grad():
            given = feed(*(inputs[name] for name in model.feed_inputs))
        values |= dict(zip(model.fed, given if isinstance(given, tuple) else (given,), strict=True))
    return {port.name: port_array(port, values[port.name]) for port in network.inputs}


def as_result(network: SpikingNetwork, recording: Recording, name: str, shape: tuple[int, ...], delay: int) -> Tensor:
    """What the host takes from a layer, float32 [G, *shape]: its spikes, or its potentials in real units.

    Args:
        network: that ran.
        recording: of the run.
        name: of the layer.
        shape: for one sample; without time where the host takes the last step.
        delay: steps that the host has it late.
    """
    layer = network.layer(name)
    if layer.neuron.readout:
        values = network.real_potentials(name, recording.potentials[name])
    else:
        values = recording.spikes[name]
    gops, steps = values.shape[:2]
    if delay:
        values = np.concatenate([np.zeros_like(values[:, :delay]), values[:, : steps - delay]], axis=1)
    whole = int(np.prod(shape)) == values[0].size
    given = values if whole else values[:, -1]
    return torch.from_numpy(given.reshape(gops, *shape).astype(np.float32, order="C"))


def port_array(port: InputPort, values: Tensor) -> IntArray:
    """The values of a port, as it takes them: spikes, integers at its scale, or real numbers.

    Raises:
        BadInputError: where it takes spikes and is given other values.
    """
    array = values.detach().cpu().numpy()
    if port.bits == REAL:
        return np.asarray(array, np.float64)
    if port.bits > 1:
        return to_integers(port, array.astype(np.float64))
    if not np.isin(array, (0, 1)).all():
        raise BadInputError(
            port.name, "its values are not all 0 or 1, and the model was calibrated on spikes",
            "compile it with --calibrate and inputs as these",
        )  # fmt: skip
    return np.asarray(array, np.int16)
