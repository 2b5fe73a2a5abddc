"""A hybrid model of this package's layers: a spiking temporal modulator and a dense head."""

from __future__ import annotations

import torch
from torch import nn

from hybrid.model.config import load_config
from hybrid.model.stm import SpikingTemporalModulator


class Net(nn.Module):
    """Values [B, T, 2, 16, 16] to class scores [B, 3]."""

    def __init__(self):
        super().__init__()
        self.stm = SpikingTemporalModulator(2, load_config("tiny").stm, 1.0)
        self.head = nn.LazyLinear(3)

    def forward(self, motion):
        return self.head(self.stm(motion).flatten(1))


def build():
    """The untrained model, loud enough to spike."""
    torch.manual_seed(3)
    net = Net()
    with torch.no_grad():
        for layer in net.stm:
            layer.conv.weight *= 6
        net(torch.zeros(1, 2, 2, 16, 16))
    return net
