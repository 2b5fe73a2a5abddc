"""Plans of the real model: pins, reasons, baselines, and the two halves that come out."""

from __future__ import annotations

import norse.torch as norse
import numpy as np
import pytest
import torch

from hwsim.chip import load
from hybrid.errors import IllegalPlanError
from hybrid.graph import trace
from hybrid.model.inputs import INPUT_NAMES, input_ports, to_tensors
from hybrid.partition import Aim, make_plan
from hybrid.partition.extract import chip_layers, host_module
from hybrid.partition.measure import measure_ops
from hybrid.platform import load_host, load_link

BITS = {"motion": 8, "residual": 7}


@pytest.fixture(scope="module")
def plan_for(traced):
    def plan(pins=(), chip="loihi2", host="horowitz45", link="pcie4", **options):
        return make_plan(traced, load(chip), load_host(host), load_link(link), BITS, Aim(tuple(pins), **options))

    return plan


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


def test_an_op_is_pinned_to_the_host_by_any_of_its_names(plan_for):
    for target in ("host", "gpu", "cpu"):
        plan = plan_for(["*", f"stm_residual={target}"])
        assert plan.on_chip == ("stm_motion.0", "stm_motion.1", "stm_motion.2")


@pytest.mark.parametrize(
    ("pins", "what"),
    [
        (["stm_motion=moon"], "no target 'moon'"),
        (["stm_motion", "stm_motion.1=gpu"], "pinned to the chip and to the host"),
        (["stm_motion.1", "stm_motion.0=gpu"], "which feeds it"),
        (["head=chip"], "no spiking layer"),
    ],
)
def test_pins_that_contradict_are_refused(plan_for, pins, what):
    with pytest.raises(IllegalPlanError, match=what):
        plan_for(pins)


def test_latency_needs_the_hosts_times_and_then_is_never_longer_than_the_cheapest_plans(plan_for):
    with pytest.raises(IllegalPlanError, match="times are not known"):
        plan_for(goal="latency")
    quick, cheap = plan_for(host="h100", goal="latency"), plan_for(host="h100")
    assert quick.latency_s <= cheap.latency_s
    assert quick.energy_j >= cheap.energy_j


def test_the_front_goes_from_least_energy_to_least_latency_and_the_plan_is_one_of_it(plan_for):
    plan = plan_for(host="orin64", link="onboard", goal="pareto")
    energies, latencies = zip(*((x.figures.energy_j, x.figures.latency_s) for x in plan.front), strict=True)
    assert list(energies) == sorted(energies)
    assert list(latencies) == sorted(latencies, reverse=True)
    assert plan.on_chip in [x.on_chip for x in plan.front]
    assert energies[0] == pytest.approx(plan_for(host="orin64", link="onboard").energy_j)
    assert latencies[-1] == pytest.approx(plan_for(host="orin64", link="onboard", goal="latency").latency_s)


def test_a_plan_s_range_holds_its_nominal_cost(plan_for):
    plan = plan_for(["stm_motion"], host="h100")
    assert plan.energy_band_j.low < plan.energy_band_j.nominal == plan.energy_j < plan.energy_band_j.high
    assert plan.latency_band_s.low < plan.latency_band_s.nominal == plan.latency_s < plan.latency_band_s.high
    assert plan_for(["stm_motion"]).latency_band_s is None


def test_fewer_chips_than_the_pins_take_are_refused(plan_for):
    pins = ["stm_motion", "stm_residual"]
    assert plan_for(pins, chip="tianjic").cores > 156
    with pytest.raises(IllegalPlanError, match="cores, and 156 are allowed"):
        plan_for(pins, chip="tianjic", most_chips=1)


def test_the_planned_cores_are_those_that_the_mapper_takes(plan_for, bundle):
    assert plan_for(["stm_motion", "stm_residual"]).cores == len(bundle.mapping.cores)


def test_ops_that_flip_inside_the_bands_are_undecided_and_others_are_not(plan_for):
    # at 1.5 to 4.6 pJ per MAC against 12 to 36 pJ per synaptic operation, the STM may pay or not
    plan = plan_for(chip="loihi2")
    undecided = {p.op for p in plan.placements if p.undecided}
    assert undecided <= {p.op for p in plan.placements if not p.violations}
    assert not {p.op for p in plan_for(["stm_motion", "stm_residual"]).placements if p.undecided}


def test_times_measured_here_replace_those_of_the_profile(traced, tiny, clip_views):
    inputs = to_tensors(clip_views, tiny.config.input)
    measured = measure_ops(traced, inputs, "cpu", len(inputs[0]))
    assert set(measured) == set(traced.ops)
    assert all(0 <= x.low <= x.nominal <= x.high for x in measured.values())
    plan = make_plan(
        traced, load("loihi2"), load_host("horowitz45"), load_link("pcie4"), BITS, Aim(goal="latency"), measured
    )
    assert plan.latency_s <= sum(x.nominal for x in measured.values()) * (1 + 1e-9)


def test_a_neuron_of_too_many_synapses_stays_on_the_host_with_the_reason():
    graph = trace(_wide(), (torch.zeros(2, 3, 140_000),))
    plan = make_plan(graph, load("loihi2"), load_host("horowitz45"), load_link("pcie4"), {}, Aim())
    (placement,) = [p for p in plan.placements if graph.ops[p.op].spiking]
    assert placement.target == "host"
    assert placement.violations


def _wide():
    """One norse layer of two neurons with 140,000 inputs, more than an accumulator of 17 bits can count."""

    class Wide(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.cell = torch.nn.Linear(140_000, 2, bias=False), norse.LIFBoxCell()

        def forward(self, x):
            state, spikes = None, []
            for t in range(x.shape[1]):
                spike, state = self.cell(self.linear(x[:, t]), state)
                spikes.append(spike)
            return torch.stack(spikes, 1)

    return Wide().eval()
