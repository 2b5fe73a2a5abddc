"""What the chips would take of a method, and at what cost."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from benchmarks.tables.chips import CHIPS, HOSTS, LINK, spiking_parts, split, stays
from benchmarks.tables.count import Part, count
from benchmarks.tables.method import Method, Protocol
from benchmarks.tables.zoo import METHODS
from benchmarks.tables.zoo.ours import ours
from hwsim.chip import load
from hybrid.graph import trace
from hybrid.partition import Aim, make_plan
from hybrid.platform import load_host, load_link
from hybrid.shipped import CLIPS


def _net() -> nn.Module:
    """One layer that is cheaper on the chip, one on the host; the planner visits the chip once only."""
    return nn.Sequential(
        nn.Conv2d(64, 256, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10)
    )  # fmt: skip


@pytest.fixture(scope="module")
def tiny():
    return spiking_parts("tiny", CLIPS[0])


def test_the_split_of_a_plain_network_is_the_one_of_the_planner():
    part = Part("net", _net, ((1, 64, 14, 14),))
    found = split(Method("net", "", (part,), Protocol("one view", 1, {"net": 1})), "horowitz45", "tianjic")
    graph = trace(_net().eval(), (torch.rand(1, 64, 14, 14),))
    plan = make_plan(graph, load("tianjic"), load_host("horowitz45"), load_link(LINK), {}, Aim(artificial=True))
    assert found.energy.nominal == pytest.approx(plan.energy_j)
    assert found.cores == plan.cores > 0
    macs = {layer.name: layer.macs for layer in count(part).layers}
    assert found.share == pytest.approx(macs["0"] / sum(macs.values()))


def test_a_view_that_runs_a_part_twice_costs_twice_on_the_same_cores():
    part = Part("net", _net, ((1, 64, 14, 14),))
    once, twice = (
        split(Method("net", "", (part,), Protocol("", 1, {"net": runs})), "horowitz45", "tianjic") for runs in (1, 2)
    )
    assert twice.energy.nominal == pytest.approx(2 * once.energy.nominal)
    assert (twice.cores, twice.share) == (once.cores, once.share)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", ["MIMO", "MFCD-Net", "MM-ViT"])
def test_a_network_without_spikes_gives_loihi_nothing_and_tianjic_what_it_saves(name, host):
    alone, loihi, tianjic = (split(METHODS[name], host, chip) for chip in (None, *CHIPS))
    assert (loihi.energy, loihi.share, loihi.cores) == (alone.energy, 0.0, 0)
    assert tianjic.energy.nominal < alone.energy.nominal
    assert 0 < tianjic.share < 1


def test_what_stays_on_the_host_is_said():
    assert stays(METHODS["CoViAR"], {}) == "nothing spikes: Loihi 2 takes nothing"
    assert "grouped convolutions (28)" in stays(METHODS["MFCD-Net"], {})
    assert "products of attention" in stays(METHODS["MM-ViT"], {})


def test_spiking_layers_are_priced_by_the_planner_and_the_rest_by_layer(tiny):
    method = ours("tiny", "tiny")
    graph_plan = tiny["loihi2"]
    assert graph_plan.layers == {f"stm_{stream}.{i}" for stream in ("motion", "residual") for i in range(3)}
    found, alone = split(method, "horowitz45", "loihi2", graph_plan), split(method, "horowitz45")
    dense = count(method.parts[0]).spiking_macs
    host = load_host("horowitz45")
    saved = sum(
        host.energy(x.macs, x.weight_bytes).nominal for x in count(method.parts[0]).layers if x.neuron
    )  # fmt: skip
    views = method.protocol.views
    expected = alone.energy.nominal + (graph_plan.energy.nominal - saved) * views
    assert found.energy.nominal == pytest.approx(expected)
    assert found.share == pytest.approx(dense / (dense + count(method.parts[0]).macs))


def test_a_spiking_layer_that_does_not_fit_stays_with_its_reason(tiny):
    method, on_chip = ours("tiny", "tiny"), tiny["loihi2"]
    assert "do not fit" not in stays(method, tiny)
    without = dataclasses.replace(
        on_chip, layers=on_chip.layers - {"stm_motion.2"}, unfit={"stm_motion.2": "it needs 360 source neurons"}
    )
    assert "1 of 6 spiking layers do not fit Loihi 2: it needs 360 source neurons" in stays(method, {"loihi2": without})
    assert split(method, "horowitz45", "loihi2", without).share < split(method, "horowitz45", "loihi2", on_chip).share
