"""The forms in which users write time: every one rolls up into the same populations, or is left as it is, with why."""

from __future__ import annotations

import norse.torch as norse
import pytest
import torch
from torch import nn

from hybrid.errors import BadInputError
from hybrid.graph import trace
from hybrid.graph.by_step import StepByStep, takes_steps
from hybrid.partition.extract import chip_network
from hybrid.partition.legality import violations
from hybrid.user.boundary import as_result
from snn_export import reference

snn = pytest.importorskip("snntorch")
T = 5


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(2, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.norm.running_mean.uniform_(-0.2, 0.2)
        self.norm.running_var.uniform_(0.05, 0.2)
        self.lif = norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(500.0), v_th=torch.tensor(0.2)))
        self.fc = nn.Linear(4 * 4 * 4, 6)
        self.lif2 = norse.LIFCell(norse.LIFParameters(v_th=torch.tensor(0.05)))


class Unbound(Base):
    def forward(self, x):
        s1 = s2 = None
        total = 0
        for frame in x.unbind(1):
            z, s1 = self.lif(self.norm(self.conv(frame)), s1)
            z, s2 = self.lif2(self.fc(z.flatten(1)), s2)
            total = total + z
        return total / x.shape[1]


class TimeFirst(Base):
    def forward(self, x):
        x = x.transpose(0, 1)
        s1 = s2 = None
        for frame in x:
            z, s1 = self.lif(self.norm(self.conv(frame)), s1)
            z, s2 = self.lif2(self.fc(z.reshape(z.shape[0], -1)), s2)
        return z


class LayerByLayer(Base):
    def forward(self, x):
        s1 = s2 = None
        first = []
        for t in range(x.size(1)):
            z, s1 = self.lif(self.norm(self.conv(x.select(1, t))), s1)
            first.append(z)
        second = []
        for z in first:
            z, s2 = self.lif2(self.fc(torch.flatten(z, 1)), s2)
            second.append(z)
        return torch.stack(second, 1).sum(1)


class Residual(Base):
    """Two ways into one population, and a stem that the host runs."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU())
        self.skip = nn.Conv2d(4, 4, 1)
        self.back = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        s1 = s2 = None
        for t in range(x.shape[1]):
            stem = self.stem(x[:, t])
            z, s1 = self.lif(self.back(stem), s1)
            y, s2 = self.lif2(self.skip(stem) * 0.5 + self.back(z) / 2, s2)
        return y.mean((2, 3))


class Image(Base):
    """One image, held for all steps."""

    def forward(self, x):
        s1, total = None, 0
        current = self.conv(x[:, 0])
        for _ in range(T):
            z, s1 = self.lif(current, s1)
            total += z
        return total


class Sequences(Base):
    """norse's layers of whole sequences, time first."""

    def __init__(self):
        super().__init__()
        self.net = norse.SequentialState(
            norse.Lift(self.conv), norse.LIF(), nn.Flatten(2), norse.Lift(self.fc), norse.LI()
        )

    def forward(self, x):
        out, _ = self.net(x.transpose(0, 1) * 8)
        return out[-1]


class Kept(nn.Module):
    """snnTorch cells that keep their state to themselves."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(2, 4, 3)
        self.lif = snn.Leaky(0.5, threshold=0.2, reset_mechanism="zero", init_hidden=True)

    def forward(self, x):
        self.lif.reset_mem()
        return torch.stack([self.lif(self.conv(x[:, t])) for t in range(x.shape[1])], 1)


class Augmented(Base):
    """Counts spikes from a tensor of zeros."""

    def forward(self, x):
        s, count = None, torch.zeros(x.shape[0], 4, 4, 4)
        for t in range(x.shape[1]):
            z, s = self.lif(self.conv(x[:, t]), s)
            count += z
        return count


class InPlace(Augmented):
    def forward(self, x):
        s, count = None, torch.zeros(x.shape[0], 4, 4, 4)
        for t in range(x.shape[1]):
            z, s = self.lif(self.conv(x[:, t]), s)
            count.add_(z)
        return count


FORMS = {
    form.__name__: (form, count, ports)
    for form, count, ports in (
        (Unbound, 2, {"x"}), (TimeFirst, 2, {"x"}), (LayerByLayer, 2, {"x"}), (Residual, 2, {"stem_1.steps"}),
        (Image, 1, {"getitem.held"}), (Sequences, 2, None), (Kept, 1, {"x"}), (Augmented, 1, {"x"}),
    )
}  # fmt: skip


def frames():
    return (torch.rand(3, T, 2, 6, 6, generator=torch.Generator().manual_seed(1)) < 0.4).float()


@pytest.mark.parametrize("form", FORMS)
def test_the_chip_can_run_all_and_spikes_as_the_model_does(form):
    make, count, ports = FORMS[form]
    model = make().eval()
    graph = trace(model, (frames(),), feeds=True)
    spiking = [name for name, op in graph.ops.items() if op.spiking]
    assert len(spiking) == count
    assert [violations(graph.ops[name], graph) for name in spiking] == [()] * count
    assert not graph.refused
    network = chip_network(graph, spiking)
    assert ports is None or {port.name for port in network.inputs} == ports
    own = {}

    class Keep(torch.fx.Interpreter):
        def run_node(self, n):
            own[graph.names[n]] = super().run_node(n)
            return own[graph.names[n]]

    with torch.no_grad():
        assert torch.allclose(Keep(graph.module).run(frames()), model(frames()), atol=1e-6)
    recording = reference.run(network, {port.name: own[port.name].double().numpy() for port in network.inputs})
    for name in spiking:
        found = as_result(network, recording, name, graph.ops[name].shape, 0)
        if graph.ops[name].emits_spikes:
            assert (found != own[name]).float().mean() < 0.002, name
            assert found.mean() > 0.01
        else:
            assert torch.allclose(found, own[name], atol=1e-4)


class Feedback(Base):
    def __init__(self):
        super().__init__()
        self.again = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        z, s = torch.zeros(3, 4, 4, 4), None
        for t in range(x.shape[1]):
            z, s = self.lif(self.conv(x[:, t]) + self.again(z), s)
        return z


class Clipped(Base):
    def forward(self, x):
        s1 = s2 = None
        for t in range(x.shape[1]):
            z, s1 = self.lif(self.conv(x[:, t]), s1)
            z, s2 = self.lif2(torch.relu(self.fc(z.flatten(1))), s2)
        return z


class Stateful(Base):
    def forward(self, x):
        s = None
        for t in range(x.shape[1]):
            z, s = self.lif2(self.conv(x[:, t]), s)
        return z + s.i


@pytest.mark.parametrize(
    ("make", "name", "why"),
    [
        (Feedback, "lif", "depends on its own spikes"),
        (Clipped, "lif2", "which the host computes"),
        (Stateful, "lif2", "more of its state is used"),
    ],
)
def test_what_cannot_be_rolled_stays_on_the_host_with_the_reason(make, name, why):
    model = make().eval()
    graph = trace(model, (frames(),), feeds=True)
    facts = violations(graph.ops[name], graph)
    assert any(why in fact for fact in facts), facts
    with torch.no_grad():
        assert torch.allclose(graph.module(frames()), model(frames()), atol=1e-6)


def test_a_model_of_one_step_becomes_one_of_sequences():
    torch.manual_seed(0)
    net = norse.SequentialState(nn.Conv2d(2, 4, 3), norse.LIFBoxCell(), nn.Flatten(1), nn.Linear(64, 3), norse.LICell())
    assert takes_steps(net)
    assert not takes_steps(Unbound())
    assert not takes_steps(Sequences().net)
    model = StepByStep(net, 1).eval()
    graph = trace(model, (frames() * 50,), feeds=True)
    assert [(op.kind, op.steps) for op in graph.ops.values() if op.spiking] == [("LIFBoxCell", T), ("LICell", T)]
    assert not graph.refused
    state, results = None, []
    with torch.no_grad():
        for t in range(T):
            out, state = net(frames()[:, t] * 50, state)
            results.append(out)
        assert torch.allclose(graph.module(frames() * 50), torch.stack(results, 1), atol=1e-6)


def test_a_tensor_that_is_changed_in_place_is_refused_with_file_and_line():
    with pytest.raises(BadInputError) as error:
        trace(InPlace().eval(), (frames(),))
    assert error.value.where.startswith(f"{__file__}:")
    assert "in place: add_" in error.value.what
