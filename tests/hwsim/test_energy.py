"""Energy against closed forms worked out by hand on the three-core `line` (its counts: test_timing)."""

from __future__ import annotations

import pytest

from hwsim.chip import load, names
from hwsim.energy import energy
from hwsim.engine import run
from hwsim.timing import step_times


@pytest.fixture
def price(line, line_mapping, line_input):
    def make(name):
        chip = load(name)
        mapping = line_mapping(chip)
        counts = run(line, line_input, mapping).counts
        timing = step_times(chip, mapping, counts)
        return energy(chip, mapping, counts, timing), timing

    return make


def test_fitted_loihi_follows_the_closed_form(price):
    found, _ = price("loihi1-fitted")
    expected = {
        "synaptic_operations": 3 * 24.0 + 5 * 35.5,
        "neuron_updates": 2 * 6 * 51.2 + 7 * 21.6,  # two steps of six neurons; 5 and 2 active
        "spikes": 3 * 69.3,
        "packets": 3 * 111.0,  # to the dense layer; what the host sends costs nothing here
        "hops": 4 * 3.0 + 2 * 4.2,
        "static": 0.0,
    }
    got = {event: value.nominal * 1e12 for event, value in found.by_event.items()}
    assert got == pytest.approx(expected, rel=1e-12)
    assert found.total.nominal == pytest.approx(sum(expected.values()) * 1e-12, rel=1e-12)
    # core 0: 1 operation, 2 neurons twice, 1 active, 1 spike, 1 packet on its own tile
    core = 24.0 + 4 * 51.2 + 21.6 + 69.3 + 111.0
    assert found.by_core.nominal[0] * 1e12 == pytest.approx(core, rel=1e-12)
    out = 5 * 35.5 + 4 * 51.2 + 4 * 21.6
    assert found.by_layer["out"].nominal * 1e12 == pytest.approx(out, rel=1e-12)


def test_static_energy_takes_low_power_with_low_time(price):
    found, timing = price("loihi2")
    static = found.by_event["static"]
    assert static.low == pytest.approx(0.23 * timing.step.low.sum(), rel=1e-12)
    assert static.high == pytest.approx(0.28 * timing.step.high.sum(), rel=1e-12)


def test_loihi_2_prices_each_event_with_its_band(price):
    found, _ = price("loihi2")
    operations, updates = found.by_event["synaptic_operations"], found.by_event["neuron_updates"]
    assert (operations.low, operations.high) == pytest.approx((8 * 12e-12, 8 * 36e-12), rel=1e-12)
    assert (updates.low, updates.nominal) == pytest.approx((12 * 40e-12, 12 * 81e-12), rel=1e-12)
    assert found.by_event["hops"].nominal == pytest.approx((4 * 3.0 + 2 * 4.0) * 1e-12, rel=1e-12)


def test_published_loihi_prices_active_neurons_apart(price):
    found, _ = price("loihi1")
    # 7 active updates of 81 pJ, 5 idle ones of 52 pJ
    assert found.by_event["neuron_updates"].nominal == pytest.approx((7 * 81 + 5 * 52) * 1e-12, rel=1e-12)


def test_tianjic_pays_every_mapped_core_in_every_phase(price):
    found, _ = price("tianjic")
    assert found.total.nominal == pytest.approx(3 * 2 * 102.5e-9, rel=1e-12)
    assert found.total.low == pytest.approx(0.42 * 3 * 2 * 102.5e-9, rel=1e-12)
    assert found.total.high == found.total.nominal


def test_truenorth_pays_synaptic_events_and_static_power_within_its_measured_totals(price):
    found, _ = price("truenorth")
    # 8 synaptic operations, 2 ticks of 1 ms; at most what was measured in total: 26 pJ and 63 mW
    static = found.by_event["static"]
    assert (static.nominal, static.high) == pytest.approx((31.5e-3 * 2e-3, 63e-3 * 2e-3), rel=1e-12)
    assert found.total.nominal - static.nominal == pytest.approx(8 * 13e-12, rel=1e-4)
    assert found.by_event["synaptic_operations"].high == pytest.approx(8 * 26e-12, rel=1e-12)


def test_each_connection_of_a_layer_costs_what_its_own_kind_does(three_kinds, line_mapping):
    (network, inputs), chip = three_kinds, load("loihi1-fitted")
    mapping = line_mapping(chip)
    counts = run(network, inputs, mapping).counts
    # `conv` gets every value twice and fires everywhere; `out` reads a matrix of 6 nonzero weights and a list of 3
    assert counts.synops_by_kind[0, 0].tolist() == [[4, 0, 0], [4, 0, 0], [0, 6, 3]]
    timing = step_times(chip, mapping, counts)
    found = energy(chip, mapping, counts, timing)
    joules = 8 * 24.0 + 6 * 35.5 + 3 * 33.6
    assert found.by_event["synaptic_operations"].nominal * 1e12 == pytest.approx(joules, rel=1e-12)
    # core 2 receives 4 packets from `conv` and 2 of the 5 values of `flat`
    receive = 6 * 16.0 + 6 * 3.8 + 3 * 4.7
    assert timing.core.nominal[0, 0, 2] == pytest.approx(receive * 1e-9, rel=1e-12)


@pytest.mark.parametrize("name", names())
def test_parts_sum_to_the_total_and_every_part_names_its_source(price, name):
    found, _ = price(name)
    for end in ("low", "nominal", "high"):
        total = getattr(found.total, end)
        static = getattr(found.by_event["static"], end)
        assert sum(getattr(x, end) for x in found.by_event.values()) == pytest.approx(total, rel=1e-12)
        layers = sum(getattr(x, end) for x in found.by_layer.values())
        assert layers + static == pytest.approx(total, rel=1e-12)
        assert getattr(found.by_core, end).sum() == pytest.approx(layers, rel=1e-12)
    assert found.total.low <= found.total.nominal <= found.total.high
    assert {x.event for x in found.provenance} == set(found.by_event)
    assert all(x.quantity.status and x.quantity.source for x in found.provenance)
