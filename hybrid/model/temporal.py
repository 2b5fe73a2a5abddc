"""What stands in the temporal modulator's place: spiking layers, ConvLSTMs of the same sizes, or a plain mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybrid.model.config import StmConfig
from hybrid.model.stm import SpikingTemporalModulator


class ConvLSTM(nn.Module):
    """A convolutional LSTM over T steps from zero state (Shi et al., NeurIPS 2015, without peepholes)."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, *, readout: bool) -> None:
        super().__init__()
        self.input = nn.Conv2d(channels, 4 * out, kernel, stride, padding=kernel // 2)
        self.hidden = nn.Conv2d(out, 4 * out, kernel, padding=kernel // 2, bias=False)
        self.readout = readout

    def forward(self, values: Tensor) -> Tensor:
        """[B, T, C, H, W] to the hidden states [B, T, C', H', W'], or the last one [B, C', H', W'] of a read-out."""
        steps = values.shape[1]
        drive = self.input(values.flatten(0, 1))
        drive = drive.reshape(-1, steps, *drive.shape[1:])
        cell = torch.zeros_like(drive[:, 0, : drive.shape[2] // 4])
        hidden, history = torch.zeros_like(cell), []
        for t in range(steps):
            gates = drive[:, t] + self.hidden(hidden)
            enter, forget, leave, candidate = gates.chunk(4, dim=1)
            # forget gates start open: Jozefowicz et al., ICML 2015
            cell = torch.sigmoid(forget + 1) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
            hidden = torch.sigmoid(leave) * torch.tanh(cell)
            history.append(hidden)
        return hidden if self.readout else torch.stack(history, dim=1)


class TemporalMean(nn.Module):
    """The mean over the steps: all of what the frames show, nothing of their order."""

    def forward(self, values: Tensor) -> Tensor:
        """[B, T, C, H, W] to [B, C, H, W]."""
        return values.mean(dim=1)


def temporal_modulator(channels: int, config: StmConfig, unit: float) -> nn.Module:
    """The modulator that `config.kind` names: [B, T, C, H, W] to [B, C', H', W'].

    Args:
        channels: of the stream, C.
        config: kind and sizes.
        unit: real value of one integer of the stream's values.
    """
    if config.kind == "none":
        return TemporalMean()
    if config.kind != "convlstm":
        return SpikingTemporalModulator(channels, config, unit)
    layers, last = [], len(config.channels) - 1
    for i, (out, stride) in enumerate(zip(config.channels, config.strides, strict=True)):
        layers.append(ConvLSTM(channels, out, config.kernel, stride, readout=i == last))
        channels = out
    return nn.Sequential(*layers)
