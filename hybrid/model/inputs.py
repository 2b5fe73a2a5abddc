"""The model's three inputs, as real numbers for torch and as integers for the chip."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hybrid.model.config import InputConfig, unit_of
from hybrid.video.transform import Sizes, Views
from snn_export.network import InputPort, IntArray, SpikingNetwork

INPUT_NAMES = ("iframe", "motion", "residual")
"""In the order of `HybridModel.forward`."""


def sizes_of(config: InputConfig) -> Sizes:
    """What the reader's transform needs to know of a config."""
    return Sizes(**config.model_dump(exclude={"steps", "views", "accumulated"}))


def input_ports(config: InputConfig) -> tuple[InputPort, InputPort]:
    """The two graded inputs that a chip may take; one integer is worth 1 / 2^(bits - 1)."""
    side = config.crop
    return (
        InputPort("motion", (2, side, side), config.motion_bits, unit_of(config.motion_bits)),
        InputPort("residual", (3, side, side), config.residual_bits, unit_of(config.residual_bits)),
    )


def to_tensors(views: Views, config: InputConfig) -> tuple[Tensor, Tensor, Tensor]:
    """The real values that the float model takes: the I-frame 0 to 1, motion and residual at full scale 1."""
    iframe, motion, residual = (
        torch.from_numpy(np.ascontiguousarray(array, np.float32))
        for array in (views.iframe, views.motion, views.residual)
    )
    return iframe / 255, motion * unit_of(config.motion_bits), residual * unit_of(config.residual_bits)


def chip_values(network: SpikingNetwork, views: Views) -> dict[str, IntArray]:
    """The integers of each port of `network`, [V, T, C, S, S]."""
    values = {"motion": views.motion, "residual": views.residual}
    return {port.name: values[port.name] for port in network.inputs}
