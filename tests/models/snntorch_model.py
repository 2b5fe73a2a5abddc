"""A hybrid model as a user of snnTorch writes it: time first, state begun in forward, the last potential read out."""

from __future__ import annotations

import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    """Events [T, B, 2, 12, 12] to class scores [B, 5]."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 5)
        self.lif1 = snn.Leaky(beta=0.75, reset_mechanism="zero")
        self.fc1 = nn.Linear(4 * 4 * 4, 20)
        self.lif2 = snn.Synaptic(alpha=0.5, beta=0.875, reset_mechanism="zero", reset_delay=False)
        self.fc2 = nn.Linear(20, 10)
        self.out = snn.Leaky(beta=0.9, reset_mechanism="none")
        self.head = nn.Linear(10, 5)

    def forward(self, x):
        mem1 = self.lif1.init_leaky()
        syn2, mem2 = self.lif2.init_synaptic()
        mem3 = self.out.init_leaky()
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(F.avg_pool2d(self.conv(x[step]), 2), mem1)
            cur2 = self.fc1(spk1.view(x.size(1), -1))
            spk2, syn2, mem2 = self.lif2(cur2, syn2, mem2)
            _, mem3 = self.out(self.fc2(spk2), mem3)
        return self.head(torch.tanh(mem3))


def build():
    """The untrained model, loud enough to spike."""
    torch.manual_seed(2)
    net = Net()
    with torch.no_grad():
        net.conv.weight *= 5
        net.fc1.weight *= 4
    return net
