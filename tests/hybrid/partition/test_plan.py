"""Plans of the real model: pins, reasons, baselines, and the two halves that come out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwsim.chip import load
from hybrid.errors import IllegalPlanError
from hybrid.model.inputs import INPUT_NAMES, input_ports, to_tensors
from hybrid.partition import make_plan
from hybrid.partition.extract import chip_layers, host_module
from hybrid.platform import load_host, load_link

BITS = {"motion": 8, "residual": 7}


@pytest.fixture(scope="module")
def plan_for(traced):
    return lambda pins=(), chip="loihi2": make_plan(
        traced, load(chip), load_host("horowitz45"), load_link("pcie4"), BITS, pins
    )


def test_every_op_is_placed_once_with_a_reason(traced, plan_for):
    plan = plan_for(["stm_motion", "stm_residual"])
    assert [p.op for p in plan.placements] == list(traced.ops)
    for placement in plan.placements:
        op = traced.ops[placement.op]
        assert (placement.target == "chip") == (placement.reason == "pinned") or placement.reason == "cheaper"
        assert bool(placement.violations) == (not op.spiking and op.kind not in ("input", "output"))


def test_pins_put_both_stms_on_the_chip_and_only_readouts_come_back(plan_for):
    plan = plan_for(["stm_motion", "stm_residual"])
    assert len(plan.on_chip) == 6
    crossings = {c.op: (c.to, c.kind) for c in plan.crossings}
    assert crossings == {
        "motion": ("chip", "graded"), "residual": ("chip", "graded"),
        "stm_motion.2": ("host", "potential"), "stm_residual.2": ("host", "potential"),
    }  # fmt: skip


def test_the_free_plan_is_never_dearer_than_a_pinned_one_or_all_on_the_host(plan_for):
    free, pinned = plan_for(), plan_for(["stm_motion"])
    assert free.energy_j <= pinned.energy_j
    assert free.energy_j <= free.baselines["all on the host"]
    assert free.energy_j == free.baselines["cheapest cut"]


@pytest.mark.parametrize(("pin", "what"), [("nowhere", "no op"), ("head", "no spiking layer")])
def test_an_illegal_pin_is_refused_with_the_reason(plan_for, pin, what):
    with pytest.raises(IllegalPlanError, match=what):
        plan_for([pin])


@pytest.mark.parametrize("pins", [("stm_motion", "stm_residual"), ("stm_motion",), ("stm_motion.0",)])
def test_host_module_after_the_float_chip_layers_equals_the_whole_model(traced, plan_for, tiny, clip_views, pins):
    plan = plan_for(pins) if len(pins) == 2 else None
    on_chip = (
        plan.on_chip
        if plan
        else [name for name in traced.ops if any(name == p or name.startswith(f"{p}.") for p in pins)]
    )
    module, names = host_module(traced, on_chip)
    values = dict(zip(INPUT_NAMES, to_tensors(clip_views, tiny.config.input), strict=True))
    with torch.no_grad():
        expected = tiny(*values.values())
        for name in on_chip:
            part, index = name.split(".")
            source = values[f"{part}.{int(index) - 1}"] if int(index) else values[part.removeprefix("stm_")]
            values[name] = getattr(tiny, part)[int(index)](source)
        found = module(*(values[name] for name in names))
    assert torch.equal(found, expected)


def test_float_layers_carry_the_folded_weights(traced, tiny):
    (layer, *_) = chip_layers(traced, ["stm_motion.0"])
    module = tiny.stm_motion[0]
    folded = module.conv.weight.detach().double().numpy() * (1 - float(module.keep))
    assert np.allclose(layer.weight, folded)
    assert layer.source == "motion"


def test_a_plan_without_chip_work_is_refused(traced):
    with pytest.raises(IllegalPlanError, match="no op runs on the chip"):
        chip_layers(traced, [])


def test_ports_match_the_planner_s_bits(tiny):
    assert {port.name: port.bits for port in input_ports(tiny.config.input)} == BITS
