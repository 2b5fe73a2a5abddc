"""Tianjic's ANN mode: what layers take, which can go, and what 8 bits do to the output."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwsim.chip import load
from hybrid.graph import trace
from hybrid.model.inputs import to_tensors
from hybrid.partition import Aim, make_plan
from hybrid.partition.artificial import artificial_work, artificial_works, effect
from hybrid.platform import load_host, load_link

PHASE_S, CORE_PHASE_J = 16.83e-6, 102.5e-9


class Small(nn.Module):
    """Two convolutions and a linear layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 300, 5)
        self.head = nn.Linear(300, 4)

    def forward(self, x):
        return self.head(self.second(self.first(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def graph():
    return trace(Small().eval(), (torch.rand(6, 3, 8, 8),))


def test_a_layer_takes_crossbars_for_its_fan_in_and_outputs_and_a_phase_for_each_position(graph):
    found = artificial_works(graph, load("tianjic"))
    assert (found["first"].cores, found["first"].phases) == (1, 64)
    # 400 inputs on two crossbars, 300 outputs on two, and two more cores that add partial sums; 4 x 4 positions
    assert (found["second"].cores, found["second"].phases) == (2 * 2 + 2, 16)
    assert (found["head"].cores, found["head"].phases) == (3, 1)
    assert found["second"].energy.nominal == pytest.approx(6 * 16 * CORE_PHASE_J)
    assert found["second"].time.nominal == pytest.approx(16 * PHASE_S)


def test_a_chip_without_such_a_mode_and_ops_without_weights_take_nothing(graph):
    assert artificial_works(graph, load("loihi2")) == {}
    assert artificial_work(graph.ops["mean"], None, load("tianjic")) is None


def test_eight_bits_change_the_output_a_little_and_two_bits_a_lot(graph):
    x, tianjic = torch.rand(6, 3, 8, 8), load("tianjic")
    coarse = tianjic.model_copy(update={"core": tianjic.core.model_copy(update={"ann_bits": 2})})
    fine, rough = (effect(graph, ["first", "second"], (x,), chip) for chip in (tianjic, coarse))
    assert 0 < fine.largest < 0.03 < rough.largest
    assert fine.samples == 6
    assert effect(graph, [], (x,), tianjic) is None
    before = graph.module(x)
    assert torch.equal(graph.module(x), before)  # the model itself keeps its weights


@pytest.fixture
def plan_for(traced):
    def plan(*pins, **options):
        bits = {"motion": 8, "residual": 7}
        chip, host, link = load("tianjic"), load_host("horowitz45"), load_link("pcie4")
        return make_plan(traced, chip, host, link, bits, Aim(pins, **options))

    return plan


def test_patch_embeddings_behind_the_stm_may_join_it_on_the_chip(plan_for, traced):
    without, plan = plan_for("*"), plan_for("*", artificial=True)
    assert without.artificial == ()
    assert plan.on_chip == without.on_chip
    assert {"embed_motion.projection", "embed_residual.projection"} <= set(plan.artificial)
    assert "embed_iframe.projection" not in plan.artificial  # the host prepares its picture
    kinds = {c.op: c.kind for c in plan.crossings}
    assert kinds["embed_motion.projection"] == "activation"
    assert "10 of" in plan.coverage(traced)


def test_artificial_ops_are_taken_only_where_it_pays(plan_for):
    assert plan_for(artificial=True).energy_j <= plan_for().energy_j


def test_eight_bits_of_the_patch_embeddings_hardly_move_the_video_models_output(plan_for, traced, tiny, clip_views):
    plan = plan_for("*", artificial=True)
    found = effect(traced, plan.artificial, to_tensors(clip_views, tiny.config.input), load("tianjic"))
    assert 0 < found.largest < 0.05
