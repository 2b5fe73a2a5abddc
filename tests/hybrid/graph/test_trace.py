"""The traced graph against an independent counter and against the model itself."""

from __future__ import annotations

import inspect

import networkx as nx
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hybrid.errors import BadInputError
from hybrid.graph import trace
from hybrid.model.inputs import to_tensors


def test_macs_equal_torchs_own_counter(traced, tiny, clip_views):
    values = to_tensors(clip_views, tiny.config.input)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        tiny(*values)
    counted = counter.get_total_flops() / 2 / len(values[0])
    attention = [op for op in traced.ops.values() if op.kind == "scaled_dot_product_attention"]
    in_attention = sum(op.macs for op in attention)
    # the counter of an older torch has no formula for the CPU's fused attention kernel
    assert counted - sum(op.macs for op in traced.ops.values()) in (0, -in_attention)
    tokens = 3 * tiny.config.grid[0] * tiny.config.grid[1]
    assert [op.macs for op in attention] == [2 * tokens**2 * tiny.config.ann.dim] * tiny.config.ann.depth


def test_spiking_layers_are_leaves_with_neurons_steps_and_measured_activity(traced, clip_views):
    first = traced.ops["stm_motion.0"]
    assert (first.kind, first.spiking, first.emits_spikes, first.steps) == ("ConvLIF", True, True, 11)
    assert first.neurons == 8 * (clip_views.motion.shape[-1] // 2) ** 2
    assert first.activity == pytest.approx((clip_views.motion != 0).mean())
    assert not traced.ops["stm_motion.2"].emits_spikes


def test_parameters_are_counted_once(traced, tiny):
    ours = sum(op.parameter_bytes for op in traced.ops.values())
    position = sum(p.numel() for p in tiny.position.parameters())  # read as attributes, not called as modules
    assert ours == 4 * (sum(p.numel() for p in tiny.parameters()) - position)


def test_the_graph_is_acyclic_and_complete(traced):
    graph = traced.digraph()
    assert nx.is_directed_acyclic_graph(graph)
    assert set(graph) == set(traced.ops)
    assert {name for name, op in traced.ops.items() if op.kind == "input"} == {"iframe", "motion", "residual"}


class Branching(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


def test_control_flow_on_values_is_refused_with_the_way_out():
    with pytest.raises(BadInputError) as error:
        trace(Branching(), (torch.ones(2, 3),))
    line = inspect.getsourcelines(Branching.forward)[1] + 1
    assert error.value.where == f"{__file__}:{line}"
    assert "a decision depends on the numbers" in error.value.what
    assert "torch.where" in error.value.fix
