"""A hybrid model as a user of norse writes it: two spiking convolutions in a loop over time, then a dense head."""

from __future__ import annotations

import norse.torch as norse
import torch
from torch import nn


class Net(nn.Module):
    """Events [B, T, 2, 16, 16] to class scores [B, 4]."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1)
        self.lif1 = norse.LIFCell(norse.LIFParameters(tau_mem_inv=torch.tensor(250.0), tau_syn_inv=torch.tensor(500.0)))
        self.pool = nn.AvgPool2d(2)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, bias=False)
        self.lif2 = norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(125.0)))
        self.head = nn.Sequential(nn.Linear(8 * 3 * 3, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, events):
        state1 = state2 = None
        spikes = []
        for t in range(events.shape[1]):
            z, state1 = self.lif1(self.conv1(events[:, t]), state1)
            z, state2 = self.lif2(self.conv2(self.pool(z)), state2)
            spikes.append(z)
        rate = torch.stack(spikes).mean(0)
        return self.head(rate.flatten(1))


def build():
    """The untrained model, loud enough to spike."""
    torch.manual_seed(1)
    net = Net()
    with torch.no_grad():
        net.conv1.weight *= 8
        net.conv2.weight *= 24
    return net
