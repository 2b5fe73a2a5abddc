"""A hybrid model as a user of lava-dl writes it: slayer blocks on [B, C, H, W, T], then a dense head on the rates."""

from __future__ import annotations

import torch
from lava.lib.dl import slayer
from torch import nn


class Net(nn.Module):
    """Events [B, 2, 10, 10, T] to class scores [B, 4]."""

    def __init__(self):
        super().__init__()
        neuron = {"threshold": 0.5, "current_decay": 0.75, "voltage_decay": 0.1}
        self.blocks = nn.ModuleList(
            [
                slayer.block.cuba.Conv(neuron, 2, 4, 3, weight_scale=4),
                slayer.block.cuba.Conv(neuron, 4, 6, 3, stride=2, weight_scale=4, delay_shift=True),
                slayer.block.cuba.Flatten(),
                slayer.block.cuba.Dense(neuron, 6 * 3 * 3, 12, weight_scale=4),
            ]
        )
        self.head = nn.Linear(12, 4)

    def forward(self, spikes):
        for block in self.blocks:
            spikes = block(spikes)
        return self.head(spikes.mean(-1))


def build():
    """The untrained model."""
    torch.manual_seed(4)
    return Net()
